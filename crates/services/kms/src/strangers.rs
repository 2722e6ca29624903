//! Every operation of the model is called by somebody who may not call it.
//!
//! Each is called as `calls.json` says. What is then not as it is with every other operation stands, with its reason, in
//! `strangers.json`; a row that is not needed any more fails the test, too.

use std::collections::BTreeMap;

use outport_aws_kms::MODEL;
use outport_identity::Principal;
use outport_identity::testing::{Oddities, WatchedPermissions, check_oddities};
use outport_model::kms::KmsKey;
use outport_model::{AccountId, Region, Scope, Tags};
use outport_store::Row;
use serde_json::Value;

use crate::testing::{POLICY, World, code, write_now};

const NAMED: &str = "is asked for under another name";
const REFUSED_TO_ROOT: &str = "is refused to root";
const LETS_IN: &str = "lets a stranger in";
const CHANGES: &str = "changes something for a stranger";
const TELLS: &str = "tells what is there";
const OUTDATED: &str = "goes on with what was authorized before";

/// The members that name a key, or something of one.
const KEYS: [&str; 4] = ["KeyId", "TargetKeyId", "DestinationKeyId", "SourceKeyId"];

fn calls() -> BTreeMap<String, Value> {
    let policy = POLICY.replace('"', "\\\"");
    serde_json::from_str(&include_str!("calls.json").replace("{policy}", &policy)).unwrap()
}

/// All that the account has.
fn rows(world: &World) -> String {
    let (tables, scope) = (world.store.snapshot(), scope());
    let keys: Vec<_> = tables.kms_keys.of_scope(&scope).collect();
    let aliases: Vec<_> = tables.kms_aliases.of_scope(&scope).collect();
    let grants: Vec<_> = tables.kms_grants.of_scope(&scope).collect();
    format!("{keys:?} {aliases:?} {grants:?}")
}

fn scope() -> Scope {
    Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"))
}

fn is_denied((status, answer): &(u16, Value)) -> bool {
    *status == 400 && code(answer) == "AccessDeniedException"
}

/// The same call, with the ARNs of keys.
fn with_arns(world: &World, input: &Value) -> Value {
    let mut input = world.filled(input);
    for member in KEYS {
        if let Some(id) = input.get_mut(member) {
            let text = id.as_str().unwrap();
            let name = text.strip_prefix("alias/").unwrap_or(text);
            let id_of = world.names.get(name).map_or(text, String::as_str);
            *id = format!("arn:aws:kms:us-east-1:000000000000:key/{id_of}").into();
        }
    }
    input
}

async fn look(operation: &str, template: &Value, found: &mut Oddities) {
    let mut odd = |what: &str| {
        found.insert((operation.to_owned(), what.to_owned()));
    };
    let mut world = World::full().await;
    let input = world.filled(template);
    let version = world.store.snapshot().version();
    let refusing = WatchedPermissions::refusing();
    world.ask(refusing.clone());
    let refusal = world.reply(operation, &input).await;
    if !is_denied(&refusal) {
        odd(LETS_IN);
    }
    let first = refusing.asked().first().map(|asked| asked.action.clone());
    if first != Some(format!("kms:{operation}")) {
        odd(NAMED);
    }
    let mut bare = World::new();
    bare.ask(WatchedPermissions::refusing());
    for input in [input.clone(), with_arns(&world, template)] {
        if world.reply(operation, &input).await != bare.reply(operation, &input).await {
            odd(TELLS);
        }
    }
    if world.store.snapshot().version() != version {
        odd(CHANGES);
    }

    // A root that has nothing to do with the account: names mean its own, and ARNs are refused.
    world = World::full().await;
    let (before, by_arn) = (rows(&world), with_arns(&world, template));
    let is_about_key = KEYS.iter().chain(&["CiphertextBlob"]).any(|it| by_arn.get(*it).is_some());
    world.become_caller(Principal::root(AccountId::new("999999999999")));
    world.reply(operation, &world.filled(template)).await;
    if is_about_key && !is_denied(&world.reply(operation, &by_arn).await) {
        odd(LETS_IN);
    }
    if rows(&world) != before {
        odd(CHANGES);
    }

    let world = World::full().await;
    if world.reply(operation, &world.filled(template)).await.0 != 200 {
        odd(REFUSED_TO_ROOT);
    }
    if !notices_other_tags(operation, template).await {
        odd(OUTDATED);
    }
}

/// The keys get other tags between the authorization and what it was for; with those, the caller may not. Who reads is answered
/// from what was authorized; who writes is asked again, and nothing is written.
async fn notices_other_tags(operation: &str, template: &Value) -> bool {
    let mut world = World::full().await;
    let input = world.filled(template);
    if input == *template {
        return true;
    }
    let store = world.store.clone();
    let before = store.snapshot().version();
    let mut is_first = true;
    world.ask(WatchedPermissions::new(move |asked| {
        if std::mem::take(&mut is_first) {
            write_now(&store, |tx| {
                let keys: Vec<_> = tx.kms_keys.iter().map(|key| key.key()).collect();
                for key in keys {
                    let blue = Tags::from([("team".into(), "blue".into())]);
                    tx.update::<KmsKey>(&key, |key| key.tags = blue);
                }
            });
        }
        asked.context.get("aws:ResourceTag/team") != Some(&"blue".into())
    }));
    let reply = world.reply(operation, &input).await;
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
