//! Every operation of the model is called by somebody who may not call it, and by the root of another account.
//!
//! Each is called as `calls.json` says. What is then not as it is with every other operation stands, with its reason, in
//! `strangers.json`; a row that is not needed any more fails the test, too.

use std::collections::BTreeMap;

use outport_aws_cloudtrail::MODEL;
use outport_identity::Principal;
use outport_identity::testing::{Oddities, WatchedPermissions, check_oddities};
use outport_model::AccountId;
use serde_json::Value;

use crate::testing::{World, code};

const NAMED: &str = "is asked for under another name";
const REFUSED_TO_ROOT: &str = "is refused to root";
const LETS_IN: &str = "lets a stranger in";
const TELLS: &str = "tells what is there";

fn full() -> World {
    let world = World::new();
    world.record(&["CreateCluster"]);
    world
}

async fn look(operation: &str, input: &Value, found: &mut Oddities) {
    let mut odd = |what: &str| {
        found.insert((operation.to_owned(), what.to_owned()));
    };
    let mut world = full();
    let refusing = WatchedPermissions::refusing();
    world.ask(refusing.clone());
    let refusal = world.reply(operation, input).await;
    if code(&refusal.1) != "AccessDeniedException" {
        odd(LETS_IN);
    }
    let first = refusing.asked().first().map(|asked| asked.action.clone());
    if first != Some(format!("cloudtrail:{operation}")) {
        odd(NAMED);
    }
    let mut bare = World::new();
    bare.ask(WatchedPermissions::refusing());
    if bare.reply(operation, input).await != refusal {
        odd(TELLS);
    }
    let own = full().reply(operation, input).await;
    if own.0 != 200 {
        odd(REFUSED_TO_ROOT);
    }
    // A root that has nothing to do with the account sees nothing of it.
    let mut world = full();
    world.become_caller(Principal::root(AccountId::new("999999999999")));
    let foreign = world.reply(operation, input).await;
    if foreign == own {
        odd(TELLS);
    }
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
