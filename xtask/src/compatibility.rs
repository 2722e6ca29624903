//! `cargo xtask compatibility`: writes `docs/compatibility.md`, the list of operations that are and are not there.
//!
//! **Invariant:** made from the fact files, `ops.toml`, the table by which task definitions are refused, and
//! `docs/compatibility-notes.toml` alone; a test compares it with what is committed.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::codegen::facts::Facts;
use crate::codegen::{SERVICES, model_folder};

/// The table itself: constants only, so that this program needs nothing else of the service.
#[path = "../../crates/services/ecs/src/task_definition/limits.rs"]
mod limits;

use limits::{LIMITS, Limit, When};

const PAGE: &str = "docs/compatibility.md";
const NOTES: &str = "docs/compatibility-notes.toml";

/// What is refused or differs in an implemented operation.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    service: String,
    operation: String,
    text: String,
}

/// What no operation alone says, such as what a container finds around it.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    title: String,
    text: String,
    row: Vec<Row>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    text: String,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Notes {
    #[serde(default)]
    note: Vec<Note>,
    #[serde(default)]
    section: Vec<Section>,
}

/// Writes the page, or fails when `checks_only` and it is stale.
pub fn run(repository: &Path, checks_only: bool) -> Result<()> {
    let page = render(repository)?;
    let path = repository.join(PAGE);
    if !checks_only {
        return std::fs::write(&path, page).with_context(|| path.display().to_string());
    }
    let present = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    if present != page {
        bail!("{PAGE} is stale, run `cargo xtask compatibility`");
    }
    Ok(())
}

fn render(repository: &Path) -> Result<String> {
    let path = repository.join(NOTES);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let notes: Notes = toml::from_str(&text).with_context(|| NOTES.to_owned())?;
    let services: Result<Vec<Facts>> =
        SERVICES.iter().map(|service| Facts::read(&model_folder(repository, service))).collect();
    let services = services?;
    check_notes(&notes, &services)?;
    let mut page = String::from(HEAD);
    for facts in &services {
        let all = facts.operations().len();
        let implemented = facts.implemented().len();
        let name = facts.metadata("serviceFullName");
        let _ = writeln!(page, "| [{name}](#{}) | {implemented} | {all} |", facts.choice.service);
    }
    for section in &notes.section {
        describe(section, &mut page);
    }
    task_definitions(&mut page);
    for facts in &services {
        service(facts, &notes, &mut page);
    }
    Ok(page)
}

const HEAD: &str = "\
<!-- Made by `cargo xtask compatibility` from crates/aws-models and docs/compatibility-notes.toml. Do not edit. -->

# Compatibility

Outport knows every operation of the services below by name. One that it does not implement answers the error
`NotImplemented` with HTTP status 501, which no SDK retries. A member that an implemented operation does not support is
refused with a clear error, never ignored; the column *limits* says which.

| service | implemented | operations |
|---|---|---|
";

/// Fails on a note for an operation that is not implemented: it would never be seen.
fn check_notes(notes: &Notes, services: &[Facts]) -> Result<()> {
    for note in &notes.note {
        let facts = services.iter().find(|facts| facts.choice.service == note.service);
        if !facts.is_some_and(|facts| facts.is_implemented(&note.operation)) {
            bail!("{NOTES}: {}:{} is not implemented", note.service, note.operation);
        }
    }
    Ok(())
}

fn describe(section: &Section, page: &mut String) {
    let one_line = |text: &str| text.trim().replace('\n', " ");
    let (title, text) = (&section.title, one_line(&section.text));
    let _ = writeln!(page, "\n## {title}\n\n{text}\n\n| | |\n|---|---|");
    for row in &section.row {
        let _ = writeln!(page, "| {} | {} |", one_line(&row.name), one_line(&row.text));
    }
}

/// What of a task definition is kept and not run.
fn task_definitions(page: &mut String) {
    page.push_str(TASK_DEFINITIONS);
    for limit in &LIMITS {
        let note = limit.note;
        let _ = writeln!(page, "| `{}` | {} | {note} |", limit.member, refused_when(limit));
    }
}

const TASK_DEFINITIONS: &str = "
<a id=\"task-definitions\"></a>

## What of a task definition is not run

Every member of a task definition is checked, kept and shown. RunTask, CreateService and UpdateService refuse a revision
that uses one of these, by name. It is judged when it is run, not when it was registered: a version that learns to run
something runs the revisions that were there before.

| member | not run | |
|---|---|---|
";

fn refused_when(limit: &Limit) -> String {
    let list = |values: &[&str]| {
        let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
        values.join(", ")
    };
    let mut when = match limit.when {
        When::Used => "in any form".to_owned(),
        When::Is(value) => format!("when it is `{value}`"),
        When::IsNot(values) => {
            format!("when it is not {}", list(values).replace("`{region}`", "the region"))
        }
        When::HasOther([]) => "in any form".to_owned(),
        When::HasOther(names) => format!("when it has other than {}", list(names)),
    };
    if let Some((member, value)) = limit.only {
        let member = member.rsplit('.').next().unwrap_or(member);
        let _ = write!(when, ", with `{member}` `{value}`");
    }
    when
}

fn service(facts: &Facts, notes: &Notes, page: &mut String) {
    let name = facts.metadata("serviceFullName");
    let short = &facts.choice.service;
    let version = facts.metadata("apiVersion");
    let _ = writeln!(
        page,
        "\n<a id=\"{short}\"></a>\n\n## {name}\n\n`{short}`, API version {version}."
    );
    let implemented = facts.implemented();
    if !implemented.is_empty() {
        page.push_str("\n| operation | limits |\n|---|---|\n");
    }
    for operation in implemented {
        let limits: Vec<&str> = notes
            .note
            .iter()
            .filter(|note| note.service == *short && note.operation == operation.name)
            .map(|note| note.text.trim())
            .collect();
        let _ =
            writeln!(page, "| {} | {} |", operation.name, limits.join("<br>").replace('\n', " "));
    }
    let missing: Vec<&str> = facts
        .operations()
        .iter()
        .map(|operation| operation.name)
        .filter(|name| !facts.is_implemented(name))
        .collect();
    if !missing.is_empty() {
        let count = missing.len();
        let _ = writeln!(
            page,
            "\n<details><summary>Not implemented: {count}</summary>\n\n{}\n\n</details>",
            missing.join(", ")
        );
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_is_fresh() {
        super::run(&crate::repository(), true).unwrap();
    }
}
