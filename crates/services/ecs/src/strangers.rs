//! Every operation of the model is called by somebody who may not call it.
//!
//! Each is called as `calls.json` says. What is then not as it is with every other operation stands, with its reason, in
//! `strangers.json`; a row that is not needed any more fails the test, too.

use std::collections::BTreeMap;
use std::sync::Arc;

use outport_aws_ecs::MODEL;
use outport_identity::testing::{Asked, Oddities, WatchedPermissions, check_oddities};
use outport_model::Tags;
use outport_model::task_definition::TaskDefinition;
use serde_json::{Value, json};

use crate::resource::Resource;
use crate::testing::{World, write_now};

/// A world where every call finds what it is about.
async fn full_world() -> World {
    let world = World::with_node(8192, 16384);
    world.run("app").await;
    world.register("old", json!({})).await;
    world.call("DeregisterTaskDefinition", json!({"taskDefinition": "old:1"})).await;
    world.create_service("web", "app", 1).await;
    world.call("CreateCluster", json!({"clusterName": "spare"})).await;
    world
}

struct Calls(BTreeMap<String, Value>);

impl Calls {
    /// The calls, about the things of `world`.
    fn in_world(world: &World) -> Self {
        let rows = world.store.snapshot();
        let deployment = rows.service_deployments.iter().next().unwrap();
        let below = format!("{}/{}", deployment.cluster, deployment.service);
        let arn = |kind: &str, id: &str| format!("arn:aws:ecs:us-east-1:000000000000:{kind}/{id}");
        let revision = rows.service_revisions.iter().next().unwrap();
        let task = rows.tasks.iter().next().unwrap();
        let instance = rows.container_instances.iter().next().unwrap();
        let text = include_str!("calls.json")
            .replace("{task}", &arn("task", &format!("default/{}", task.id)))
            .replace("{instance}", instance.id.as_str())
            .replace(
                "{deployment}",
                &arn("service-deployment", &format!("{below}/{}", deployment.id)),
            )
            .replace("{revision}", &arn("service-revision", &format!("{below}/{}", revision.id)));
        Self(serde_json::from_str(&text).unwrap())
    }

    fn of(&self, operation: &str) -> &Value {
        self.0.get(operation).unwrap_or_else(|| panic!("calls.json has no call of {operation}"))
    }
}

const NAMED: &str = "is asked for under another name";
const REFUSED_TO_ROOT: &str = "is refused to root";
const LETS_IN: &str = "lets a stranger in";
const CHANGES: &str = "changes something for a stranger";
const TELLS: &str = "tells what is there";
const OUTDATED: &str = "goes on with what was authorized before";

async fn look(operation: &str, found: &mut Oddities) {
    let mut odd = |what: &str| {
        found.insert((operation.to_owned(), what.to_owned()));
    };
    let mut world = full_world().await;
    let calls = Calls::in_world(&world);
    let input = calls.of(operation);

    let refusing = WatchedPermissions::refusing();
    world.ask(refusing.clone());
    let version = world.store.snapshot().version();
    let (status, refusal) = world.reply(operation, input).await;
    if (status, &refusal["__type"]) != (400, &json!("AccessDeniedException")) {
        odd(LETS_IN);
    }
    if refusing.asked().first().map(|asked| asked.action.clone())
        != Some(format!("ecs:{operation}"))
    {
        odd(NAMED);
    }
    if world.store.snapshot().version() != version {
        odd(CHANGES);
    }
    let mut bare = World::new();
    bare.ask(WatchedPermissions::refusing());
    if bare.reply(operation, input).await != (status, refusal) {
        odd(TELLS);
    }

    let mut world = full_world().await;
    world.become_stranger();
    let (status, refusal) = world.reply(operation, input).await;
    if (status, &refusal["__type"]) != (400, &json!("AccessDeniedException")) {
        odd(LETS_IN);
    }

    if full_world().await.reply(operation, input).await.0 != 200 {
        odd(REFUSED_TO_ROOT);
    }
    if !notices_other_tags(operation, input).await {
        odd(OUTDATED);
    }
}

/// The resource gets other tags between the authorization and the transaction; with those, the caller may not.
async fn notices_other_tags(operation: &str, input: &Value) -> bool {
    let mut world = full_world().await;
    let (store, scope) = (world.store.clone(), world.scope.clone());
    let before = store.snapshot().version();
    let tag = move |asked: &Asked| {
        let Ok(resource) = Resource::parse(&scope, &asked.resource) else { return };
        write_now(&store, |tx| {
            let tags = Tags::from([("team".to_owned(), "blue".to_owned())]);
            // What is yet to be made has none.
            drop(resource.set_tags(tx, tags));
        });
    };
    let mut tag = Some(tag);
    world.ask(WatchedPermissions::new(move |asked| {
        if let Some(tag) = tag.take() {
            tag(asked);
        }
        asked.context.get("aws:ResourceTag/team") != Some(&"blue".into())
    }));
    let (status, answer) = world.reply(operation, input).await;
    let after = world.store.snapshot().version();
    let was_tagged = after != before && after == before + 1;
    // Who only reads is answered from what was authorized; who writes is asked again, and refused.
    match (status, answer["__type"].as_str()) {
        (400, Some("AccessDeniedException")) => was_tagged,
        (200, _) => was_tagged || !is_about_tags(operation, input).await,
        _ => true,
    }
}

/// Whether the first thing that it asks about is there and can carry tags.
async fn is_about_tags(operation: &str, input: &Value) -> bool {
    let mut world = full_world().await;
    let watched = WatchedPermissions::refusing();
    world.ask(watched.clone());
    world.reply(operation, input).await;
    let tables = world.store.snapshot();
    let asked = watched.asked();
    let resource = Resource::parse(&world.scope, &asked[0].resource);
    resource.is_ok_and(|resource| resource.tags(&tables).is_ok())
}

#[tokio::test]
async fn no_operation_is_open_to_strangers() {
    let mut found = Oddities::new();
    for operation in MODEL.operations.iter().filter(|operation| operation.is_implemented) {
        // A store in memory writes at the first poll, as long as the task has budget left.
        tokio::task::yield_now().await;
        look(operation.name, &mut found).await;
    }
    check_oddities(&found, include_str!("strangers.json"));
    let implemented = |name: &str| MODEL.operation(name).is_some_and(|found| found.is_implemented);
    let calls = Calls::in_world(&full_world().await);
    let unknown: Vec<_> = calls.0.keys().filter(|name| !implemented(name)).collect();
    assert!(unknown.is_empty(), "calls.json calls what is not there: {unknown:?}");
}

fn give_role(row: &mut TaskDefinition) {
    let mut document: Value = serde_json::from_str(&row.document).unwrap();
    document["executionRoleArn"] = json!("arn:aws:iam::000000000000:role/admin");
    row.document = document.to_string();
}

/// Somebody adds a revision with another role while a request for the newest one is being authorized.
fn adds_a_revision(world: &World, mut left: u32, role_is_allowed: bool) -> Arc<WatchedPermissions> {
    let store = world.store.clone();
    WatchedPermissions::new(move |asked| {
        let is_own = ["ecs:RunTask", "ecs:CreateService", "ecs:UpdateService"]
            .contains(&asked.action.as_str());
        if is_own && left > 0 {
            left -= 1;
            write_now(&store, |tx| {
                let rows = tx.task_definitions.iter().filter(|row| row.family.as_str() == "app");
                let newest = rows.max_by_key(|row| row.revision).unwrap();
                let mut next = (*newest).clone();
                next.revision += 1;
                give_role(&mut next);
                tx.put(next);
            });
        }
        role_is_allowed || asked.action != "iam:PassRole"
    })
}

const RACES: [&str; 3] = ["RunTask", "CreateService", "UpdateService"];

#[tokio::test]
async fn a_revision_that_comes_meanwhile_is_authorized_before_it_runs() {
    for operation in RACES {
        let mut world = full_world().await;
        let input = Calls::in_world(&world).of(operation).clone();
        world.ask(adds_a_revision(&world, 1, false));
        let before = world.store.snapshot().version();
        let (_, answer) = world.reply(operation, &input).await;
        let text = answer["message"].as_str().unwrap_or_default();
        assert!(
            text.contains("iam:PassRole on resource: arn:aws:iam::000000000000:role/admin"),
            "{operation}: {answer}"
        );
        assert_eq!(world.store.snapshot().version(), before + 1, "{operation}: only the revision");

        let mut world = full_world().await;
        let watched = adds_a_revision(&world, 1, true);
        world.ask(watched.clone());
        let answer = world.call(operation, input).await;
        assert!(answer.to_string().contains("task-definition/app:2"), "{operation}: {answer}");
        let asked = watched.asked();
        let passed: Vec<_> = asked.iter().filter(|asked| asked.action == "iam:PassRole").collect();
        assert_eq!(passed.len(), 1, "{operation}: {asked:?}");
    }
}

/// A family that nobody knew when the request was authorized.
#[tokio::test]
async fn a_family_that_comes_meanwhile_is_authorized_before_it_runs() {
    for operation in RACES {
        let mut world = full_world().await;
        let mut input = Calls::in_world(&world).of(operation).clone();
        input["taskDefinition"] = json!("late");
        let store = world.store.clone();
        let mut is_late = true;
        world.ask(WatchedPermissions::new(move |asked| {
            if std::mem::take(&mut is_late) {
                write_now(&store, |tx| {
                    let row = tx.task_definitions.iter().find(|row| row.family.as_str() == "app");
                    let mut late = (*row.unwrap()).clone();
                    late.family = outport_model::Family::new("late");
                    give_role(&mut late);
                    tx.put(late);
                });
            }
            asked.action != "iam:PassRole"
        }));
        let (_, answer) = world.reply(operation, &input).await;
        let text = answer["message"].as_str().unwrap_or_default();
        assert!(text.contains("iam:PassRole"), "{operation}: {answer}");
    }
}

/// A revision with every look: it is never the one that was authorized.
#[tokio::test]
async fn what_never_rests_is_refused_and_can_be_asked_for_again() {
    for operation in RACES {
        let mut world = full_world().await;
        let input = Calls::in_world(&world).of(operation).clone();
        world.ask(adds_a_revision(&world, u32::MAX, true));
        let (status, answer) = world.reply(operation, &input).await;
        assert_eq!((status, &answer["__type"]), (500, &json!("ServerException")), "{operation}");
        assert!(answer["message"].as_str().unwrap().contains("Try again"), "{answer}");
    }
}
