//! Every operation of the model is called by somebody who may not call it.
//!
//! Each is called as `calls.json` says. What is then not as it is with every other operation stands, with its reason, in
//! `strangers.json`; a row that is not needed any more fails the test, too.

use std::collections::BTreeMap;
use std::sync::Arc;

use outport_aws_logs::MODEL;
use outport_identity::testing::{Oddities, WatchedPermissions, check_oddities};
use outport_identity::{AccountRoots, Principal};
use outport_model::AccountId;
use serde_json::{Value, json};

use crate::testing::Rig;

const NAMED: &str = "is asked for under another name";
const REFUSED_TO_ROOT: &str = "is refused to root";
const LETS_IN: &str = "lets a stranger in";
const CHANGES: &str = "changes something for a stranger";
const TELLS: &str = "tells what is there";
const OUTDATED: &str = "goes on with what was authorized before";

/// The group `/ecs/app` with a tag, a retention and two streams, one with an event.
async fn full() -> Rig {
    let rig = Rig::with_streams().await;
    rig.tag("team", "red");
    rig.call("PutRetentionPolicy", json!({"logGroupName": "/ecs/app", "retentionInDays": 30}))
        .await;
    rig.put("a", &[(0, "first")]).await;
    rig
}

/// All that can be seen of it.
async fn state(rig: &mut Rig) -> String {
    let permissions = std::mem::replace(&mut rig.permissions, Arc::new(AccountRoots));
    let group = json!({"logGroupName": "/ecs/app"});
    let mut state = String::new();
    for (operation, input) in [
        ("DescribeLogGroups", json!({})),
        ("DescribeLogStreams", group.clone()),
        ("FilterLogEvents", group.clone()),
        ("ListTagsLogGroup", group),
    ] {
        state += &rig.reply(operation, &input).await.1.to_string();
    }
    rig.permissions = permissions;
    state
}

fn is_denied(reply: &(u16, Value)) -> bool {
    reply.0 == 400 && reply.1["__type"] == "AccessDeniedException"
}

async fn look(operation: &str, input: &Value, found: &mut Oddities) {
    let mut odd = |what: &str| {
        found.insert((operation.to_owned(), what.to_owned()));
    };
    let mut rig = full().await;
    let refusing = WatchedPermissions::refusing();
    rig.permissions = refusing.clone();
    let before = state(&mut rig).await;
    let refusal = rig.reply(operation, input).await;
    if !is_denied(&refusal) {
        odd(LETS_IN);
    }
    let first = refusing.asked().first().map(|asked| asked.action.clone());
    if first != Some(format!("logs:{operation}")) {
        odd(NAMED);
    }
    if state(&mut rig).await != before {
        odd(CHANGES);
    }
    let mut bare = Rig::new();
    bare.permissions = WatchedPermissions::refusing();
    if bare.reply(operation, input).await != refusal {
        odd(TELLS);
    }

    let mut rig = full().await;
    rig.principal = Principal::root(AccountId::new("999999999999"));
    if !is_denied(&rig.reply(operation, input).await) {
        odd(LETS_IN);
    }

    if full().await.reply(operation, input).await.0 != 200 {
        odd(REFUSED_TO_ROOT);
    }
    if !notices_other_tags(operation, input).await {
        odd(OUTDATED);
    }
}

/// The group gets other tags between the authorization and what it was for.
async fn notices_other_tags(operation: &str, input: &Value) -> bool {
    let mut rig = full().await;
    let tagging = rig.tagging("team", "blue");
    let watched = WatchedPermissions::new(move |asked| {
        if asked.resource.contains(":/ecs/app") {
            tagging();
        }
        true
    });
    rig.permissions = watched.clone();
    let (status, answer) = rig.reply(operation, input).await;
    let is_about_it = watched.asked().iter().any(|asked| asked.resource.contains(":/ecs/app"));
    let mut untouched = full().await;
    untouched.tag("team", "blue");
    !is_about_it
        || (status == 500
            && answer["__type"] == "ServiceUnavailableException"
            && state(&mut rig).await == state(&mut untouched).await)
}

#[tokio::test]
async fn no_operation_is_open_to_strangers() {
    let calls: BTreeMap<String, Value> = serde_json::from_str(include_str!("calls.json")).unwrap();
    let mut found = Oddities::new();
    for operation in MODEL.operations.iter().filter(|operation| operation.is_implemented) {
        let call = calls.get(operation.name);
        let call = call.unwrap_or_else(|| panic!("calls.json has no call of {}", operation.name));
        look(operation.name, call, &mut found).await;
    }
    check_oddities(&found, include_str!("strangers.json"));
}
