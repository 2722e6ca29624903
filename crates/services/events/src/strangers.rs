//! Every operation of the model is called by somebody who may not call it.
//!
//! Each is called as `calls.json` says. What is then not as it is with every other operation stands, with its reason, in
//! `strangers.json`; a row that is not needed any more fails the test, too.

use std::collections::BTreeMap;

use outport_aws_events::MODEL;
use outport_identity::Principal;
use outport_identity::testing::{Oddities, WatchedPermissions, check_oddities};
use outport_model::event::EventRule;
use outport_model::{AccountId, Region, Scope, Tags};
use outport_store::keys::EventRuleKey;
use serde_json::Value;

use crate::testing::{World, code, write_now};

const NAMED: &str = "is asked for under another name";
const REFUSED_TO_ROOT: &str = "is refused to root";
const LETS_IN: &str = "lets a stranger in";
const CHANGES: &str = "changes something for a stranger";
const TELLS: &str = "tells what is there";
const OUTDATED: &str = "goes on with what was authorized before";

fn calls() -> BTreeMap<String, Value> {
    serde_json::from_str(include_str!("calls.json")).unwrap()
}

/// All that the account has.
fn rows(world: &World) -> String {
    let (tables, scope) = (world.store.snapshot(), scope());
    let rules: Vec<_> = tables.event_rules.iter().filter(|rule| rule.scope == scope).collect();
    let buses: Vec<_> = tables.event_buses.of_scope(&scope).collect();
    let pending: Vec<_> = tables.pending_events.iter().filter(|row| row.scope == scope).collect();
    format!("{rules:?} {buses:?} {pending:?}")
}

fn scope() -> Scope {
    Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"))
}

fn is_denied((status, answer): &(u16, Value)) -> bool {
    *status == 400 && code(answer) == "AccessDeniedException"
}

async fn look(operation: &str, input: &Value, found: &mut Oddities) {
    let mut odd = |what: &str| {
        found.insert((operation.to_owned(), what.to_owned()));
    };
    let mut world = World::full().await;
    let version = world.store.snapshot().version();
    let refusing = WatchedPermissions::refusing();
    world.ask(refusing.clone());
    let refusal = world.reply(operation, input).await;
    if !is_denied(&refusal) {
        odd(LETS_IN);
    }
    let first = refusing.asked().first().map(|asked| asked.action.clone());
    if first != Some(format!("events:{operation}")) {
        odd(NAMED);
    }
    let mut bare = World::new();
    bare.ask(WatchedPermissions::refusing());
    if bare.reply(operation, input).await != refusal {
        odd(TELLS);
    }
    if world.store.snapshot().version() != version {
        odd(CHANGES);
    }

    // A root that has nothing to do with the account: names mean its own, and ARNs of others are refused.
    world = World::full().await;
    let before = rows(&world);
    world.become_caller(Principal::root(AccountId::new("999999999999")));
    let reply = world.reply(operation, input).await;
    if input.get("ResourceARN").is_some() && !is_denied(&reply) {
        odd(LETS_IN);
    }
    if rows(&world) != before {
        odd(CHANGES);
    }

    if World::full().await.reply(operation, input).await.0 != 200 {
        odd(REFUSED_TO_ROOT);
    }
    if !notices_other_tags(operation, input).await {
        odd(OUTDATED);
    }
}

/// Whether it is about the rule `nightly`, which has tags.
fn is_about_the_rule(input: &Value) -> bool {
    let is_its_name = |name: &str| input.get(name) == Some(&"nightly".into());
    is_its_name("Name") || is_its_name("Rule") || input.get("ResourceARN").is_some()
}

/// The rule gets other tags between the authorization and what it was for; with those, the caller may not. Who reads is answered
/// from what was authorized; who writes is asked again, and nothing is written.
async fn notices_other_tags(operation: &str, input: &Value) -> bool {
    if !is_about_the_rule(input) {
        return true;
    }
    let mut world = World::full().await;
    let (store, key) = (world.store.clone(), EventRuleKey::new(&scope(), "default", "nightly"));
    let before = store.snapshot().version();
    let mut is_first = true;
    world.ask(WatchedPermissions::new(move |asked| {
        if std::mem::take(&mut is_first) {
            write_now(&store, |tx| {
                let blue = Tags::from([("team".into(), "blue".into())]);
                tx.update::<EventRule>(&key, |rule| rule.tags = blue);
            });
        }
        asked.context.get("aws:ResourceTag/team") != Some(&"blue".into())
    }));
    let reply = world.reply(operation, input).await;
    world.store.snapshot().version() == before + 1 && (reply.0 == 200 || is_denied(&reply))
}

#[tokio::test]
async fn no_operation_is_open_to_strangers() {
    let calls = calls();
    let mut found = Oddities::new();
    for operation in MODEL.operations.iter().filter(|operation| operation.is_implemented) {
        let call = calls.get(operation.name);
        let call = call.unwrap_or_else(|| panic!("calls.json has no call of {}", operation.name));
        // A store in memory writes at the first poll, as long as the task has budget left.
        tokio::task::yield_now().await;
        look(operation.name, call, &mut found).await;
    }
    check_oddities(&found, include_str!("strangers.json"));
}
