//! Every operation's answers to inputs that callers get wrong.
//!
//! The rows are in `answers.json`: operation, input, exception (`""` for a good answer), text. Source of a text is what
//! the module that gives it says; a text that no module names a source for is ours.

use std::collections::BTreeSet;

use outport_aws_kms::MODEL;
use serde_json::Value;

use crate::testing::{World, code, text};

type Row = (String, Value, String, String);

/// Each row is asked of a [`World::full`]; `{…}` is filled in as the world names it.
#[tokio::test]
async fn every_operation_answers_as_the_table_says() {
    let rows: Vec<Row> = serde_json::from_str(include_str!("answers.json")).unwrap();
    let mut wrong = Vec::new();
    for (operation, input, exception, said) in &rows {
        tokio::task::yield_now().await;
        let world = World::full().await;
        let (status, answer) = world.reply(operation, &world.filled(input)).await;
        let found = match status {
            200 => (String::new(), String::new()),
            _ => (code(&answer).to_owned(), unfilled(&world, text(&answer))),
        };
        if found != (exception.clone(), said.clone()) {
            wrong.push(serde_json::to_string(&(operation, input, found.0, found.1)).unwrap());
        }
    }
    assert!(wrong.is_empty(), "other answers than the table's:\n{}", wrong.join(",\n"));
    let asked: BTreeSet<&str> = rows.iter().map(|row| row.0.as_str()).collect();
    let implemented = MODEL.operations.iter().filter(|operation| operation.is_implemented);
    let unasked: Vec<&str> =
        implemented.map(|operation| operation.name).filter(|name| !asked.contains(name)).collect();
    assert!(unasked.is_empty(), "operations without a row: {unasked:?}");
}

/// A text with the names of the world's values in the place of these.
fn unfilled(world: &World, text: &str) -> String {
    let names = world.names.iter();
    names.fold(text.to_owned(), |text, (name, value)| text.replace(value, &format!("{{{name}}}")))
}
