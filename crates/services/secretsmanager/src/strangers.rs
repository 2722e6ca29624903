//! Every operation of the model is called by somebody who may not call it.
//!
//! Each is called as `calls.json` says. What is then not as it is with every other operation stands, with its reason, in
//! `strangers.json`; a row that is not needed any more fails the test, too.

use std::collections::BTreeMap;

use outport_aws_secretsmanager::MODEL;
use outport_identity::Principal;
use outport_identity::testing::{Oddities, WatchedPermissions, check_oddities};
use outport_model::secret::Secret;
use outport_model::{AccountId, Region, Scope, Tags};
use outport_store::keys::SecretKey;
use serde_json::Value;

use crate::testing::{POLICY, World, code, write_now};

const NAMED: &str = "is asked for under another name";
const REFUSED_TO_ROOT: &str = "is refused to root";
const LETS_IN: &str = "lets a stranger in";
const CHANGES: &str = "changes something for a stranger";
const TELLS: &str = "tells what is there";
const TELLS_BY_ARN: &str = "tells what is there by its ARN";
const OUTDATED: &str = "goes on with what was authorized before";

fn calls() -> BTreeMap<String, Value> {
    let policy = POLICY.replace('"', "\\\"");
    serde_json::from_str(&include_str!("calls.json").replace("{policy}", &policy)).unwrap()
}

/// All that the account has.
fn rows(world: &World) -> String {
    let (tables, scope) = (world.store.snapshot(), scope());
    let secrets: Vec<_> = tables.secrets.of_scope(&scope).collect();
    let values = tables.secret_values.iter().filter(|value| value.scope == scope);
    format!("{secrets:?} {:?}", values.collect::<Vec<_>>())
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
    if first != Some(format!("secretsmanager:{operation}")) {
        odd(NAMED);
    }
    let mut bare = World::new();
    bare.ask(WatchedPermissions::refusing());
    if bare.reply(operation, input).await != refusal {
        odd(TELLS);
    }
    let by_arn = with_arn(&world, input);
    if world.reply(operation, &by_arn).await != bare.reply(operation, &by_arn).await {
        odd(TELLS_BY_ARN);
    }
    if world.store.snapshot().version() != version {
        odd(CHANGES);
    }

    // A root that has nothing to do with the account: names mean its own, and ARNs are refused.
    world = World::full().await;
    let (before, by_arn) = (rows(&world), with_arn(&world, input));
    world.become_caller(Principal::root(AccountId::new("999999999999")));
    world.reply(operation, input).await;
    if input.get("SecretId").is_some() && !is_denied(&world.reply(operation, &by_arn).await) {
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

/// The same call, with the secret's ARN.
fn with_arn(world: &World, input: &Value) -> Value {
    let mut input = input.clone();
    if let Some(id) = input.get_mut("SecretId") {
        let key = SecretKey::new(&scope(), id.as_str().unwrap());
        *id = world.store.snapshot().secrets.get(&key).unwrap().arn().as_str().into();
    }
    input
}

/// The secret gets other tags between the authorization and what it was for; with those, the caller may not. Who reads is answered
/// from what was authorized; who writes is asked again, and nothing is written.
async fn notices_other_tags(operation: &str, input: &Value) -> bool {
    let Some(name) = input.get("SecretId").and_then(Value::as_str) else { return true };
    let mut world = World::full().await;
    let (store, key) = (world.store.clone(), SecretKey::new(&scope(), name));
    let before = store.snapshot().version();
    let mut is_first = true;
    world.ask(WatchedPermissions::new(move |asked| {
        if std::mem::take(&mut is_first) {
            write_now(&store, |tx| {
                let blue = Tags::from([("team".into(), "blue".into())]);
                tx.update::<Secret>(&key, |secret| secret.tags = blue);
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
