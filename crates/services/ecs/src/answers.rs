//! Every operation's answers to inputs that callers get wrong: names that are missing, empty or too long, ARNs of
//! something else, names that an enum does not have, members that exclude each other.
//!
//! The rows are in `answers.json`: operation, input, exception (`""` for a good answer), text. Source of a text is what
//! the module that gives it says; a text that no module names a source for is ours.

use std::collections::BTreeSet;

use outport_aws_ecs::MODEL;
use serde_json::{Value, json};

use crate::testing::World;

type Row = (String, Value, String, String);

/// `app:1`, `gone:1` (INACTIVE), the service `web` and the task `0123…` in a cluster with one instance.
async fn world() -> World {
    let world = World::with_node(4096, 8192);
    world.register("app", json!({})).await;
    world.register("gone", json!({})).await;
    world.call("DeregisterTaskDefinition", json!({"taskDefinition": "gone:1"})).await;
    world.create_service("web", "app", 1).await;
    world
}

#[tokio::test]
async fn every_operation_answers_as_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/answers.json");
    let rows: Vec<Row> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut wrong = Vec::new();
    for (operation, input, exception, text) in &rows {
        // A store in memory writes at the first poll, as long as the task has budget left.
        tokio::task::yield_now().await;
        let (status, answer) = world().await.reply(operation, input).await;
        let found = match status {
            200 => (String::new(), String::new()),
            _ => (word(&answer["__type"]), word(&answer["message"])),
        };
        if found != (exception.clone(), text.clone()) {
            wrong.push(serde_json::to_string(&(operation, input, found.0, found.1)).unwrap());
        }
    }
    assert!(wrong.is_empty(), "other answers than the table's:\n{}", wrong.join(",\n"));
    let asked: BTreeSet<&str> = rows.iter().map(|row| row.0.as_str()).collect();
    let unasked: Vec<&str> = MODEL
        .operations
        .iter()
        .filter(|operation| operation.is_implemented && !asked.contains(operation.name))
        .map(|operation| operation.name)
        .collect();
    assert!(unasked.is_empty(), "operations without a row: {unasked:?}");
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
