//! Every operation of the model is called by somebody who may not call it. What is not as it is with every other operation
//! stands, with its reason, in `strangers.json`; a row that is not needed any more fails the test, too.
//!
//! All of them only read, so that nothing can change in between, and nothing be changed.

use outport_aws_ec2::MODEL;
use outport_identity::testing::{Oddities, WatchedPermissions, check_oddities};

use crate::testing::World;

/// What an operation needs beside its name.
fn form(operation: &str, vpc: &str) -> String {
    let more = match operation {
        "DescribeVpcAttribute" => format!("&VpcId={vpc}&Attribute=enableDnsSupport"),
        _ => String::new(),
    };
    format!("Action={operation}{more}")
}

/// What a refusal tells who is refused, and how much more there is that it does not.
fn told(refusal: &str) -> (&str, usize) {
    let (told, sealed) = refusal.split_once("Encoded authorization failure message: ").unwrap();
    (told, sealed.len())
}

#[tokio::test]
async fn no_operation_is_open_to_strangers() {
    let mut found = Oddities::new();
    for operation in MODEL.operations.iter().filter(|operation| operation.is_implemented) {
        // A store in memory writes at the first poll, as long as the task has budget left.
        tokio::task::yield_now().await;
        let mut odd = |what: &str| {
            found.insert((operation.name.to_owned(), what.to_owned()));
        };
        let mut world = World::new();
        let vpc = world.store.snapshot().vpcs.iter().next().unwrap().id.clone();
        let form = form(operation.name, vpc.as_str());
        let answer = world.call(&form).await;
        if !answer.contains(&format!("<{}Response", operation.name)) {
            odd("is refused to root");
        }
        let refusing = WatchedPermissions::refusing();
        world.permissions = refusing.clone();
        for form in [form.clone(), format!("{form}&DryRun=true")] {
            let refusal = world.call(&form).await;
            if !refusal.contains("<Code>UnauthorizedOperation</Code>") {
                odd("lets a stranger in");
            }
            let first = refusing.asked().first().map(|asked| asked.action.clone());
            if first != Some(format!("ec2:{}", operation.name)) {
                odd("is asked for under another name");
            }
            let mut bare = World::bare();
            bare.permissions = refusing.clone();
            if told(&bare.call(&form).await) != told(&refusal) {
                odd("tells what is there");
            }
            refusing.asked();
        }
    }
    check_oddities(&found, include_str!("strangers.json"));
}
