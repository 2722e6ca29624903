//! Every operation's answers to forms that callers get wrong: ids that are missing, empty, of something else or of
//! nothing, filters and values that do not exist.
//!
//! The rows are in `answers.json`: form, code (`""` for a good answer), text. Source of a text is what the module that
//! gives it says; a text that no module names a source for is ours.

use std::collections::BTreeSet;

use outport_aws_ec2::MODEL;
use outport_aws_wire::form_parameter;

use crate::testing::World;

type Row = (String, String, String);

#[tokio::test]
async fn every_operation_answers_as_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/answers.json");
    let rows: Vec<Row> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut wrong = Vec::new();
    for (form, code, text) in &rows {
        // A store in memory writes at the first poll, as long as the task has budget left.
        tokio::task::yield_now().await;
        let answer = World::new().call(form).await;
        let found = (element(&answer, "Code"), element(&answer, "Message"));
        if found != (code.clone(), text.clone()) {
            wrong.push(serde_json::to_string(&(form, found.0, found.1)).unwrap());
        }
    }
    assert!(wrong.is_empty(), "other answers than the table's:\n{}", wrong.join(",\n"));
    let asked: BTreeSet<String> =
        rows.iter().filter_map(|row| form_parameter(row.0.as_bytes(), "Action")).collect();
    let unasked: Vec<&str> = MODEL
        .operations
        .iter()
        .filter(|operation| operation.is_implemented && !asked.contains(operation.name))
        .map(|operation| operation.name)
        .collect();
    assert!(unasked.is_empty(), "operations without a row: {unasked:?}");
}

/// The text of an error's element; empty when the answer is no error.
fn element(answer: &str, name: &str) -> String {
    let Some((_, errors)) = answer.split_once("<Errors>") else { return String::new() };
    let found = errors.split_once(&format!("<{name}>"));
    let text = found.and_then(|(_, rest)| rest.split_once(&format!("</{name}>")));
    text.map(|(text, _)| text.to_owned()).unwrap_or_default()
}
