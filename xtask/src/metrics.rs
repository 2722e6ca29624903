//! `cargo xtask metrics`: writes `docs/operations/metrics.md`, the list of what `GET /_outport/metrics` shows.
//!
//! **Invariant:** each metric that the sources count is described once, and nothing else is. The page is made from the
//! sources alone; a test compares it with what is committed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use proc_macro2::TokenTree;

use crate::sources::{self, MacroCall, unquoted};

const PAGE: &str = "docs/operations/metrics.md";
const KINDS: [&str; 3] = ["counter", "gauge", "histogram"];
const DESCRIBES: [&str; 3] = ["describe_counter", "describe_gauge", "describe_histogram"];

/// What the sources say of one metric.
#[derive(Debug, Default)]
struct Metric {
    kinds: BTreeSet<String>,
    labels: BTreeSet<String>,
    files: BTreeSet<String>,
    /// Kind and text.
    described: Vec<(String, String)>,
}

type Metrics = BTreeMap<String, Metric>;

/// Writes the page, or fails when `checks_only` and it is stale.
pub fn run(repository: &Path, checks_only: bool) -> Result<()> {
    let metrics = read(repository)?;
    let offences = offences(&metrics);
    if !offences.is_empty() {
        bail!("{}", offences.join("\n"));
    }
    let page = render(&metrics);
    let path = repository.join(PAGE);
    if !checks_only {
        return std::fs::write(&path, page).with_context(|| path.display().to_string());
    }
    let present = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    if present != page {
        bail!("{PAGE} is stale, run `cargo xtask metrics`");
    }
    Ok(())
}

/// What is wrong with the metrics of the sources, one line each.
pub fn check(repository: &Path) -> Result<Vec<String>> {
    Ok(offences(&read(repository)?))
}

fn read(repository: &Path) -> Result<Metrics> {
    let names: Vec<&str> = KINDS.into_iter().chain(DESCRIBES).collect();
    Ok(collect(&sources::calls(repository, &names)?))
}

fn collect(calls: &[MacroCall]) -> Metrics {
    let mut metrics = Metrics::new();
    for call in calls {
        let parts = call.parts();
        let text = |part: &Vec<TokenTree>| match part.first() {
            Some(TokenTree::Literal(literal)) => Some(unquoted(&literal.to_string())),
            _ => None,
        };
        let Some(name) = parts.first().and_then(text) else { continue };
        let metric = metrics.entry(name).or_default();
        match call.name.strip_prefix("describe_") {
            Some(kind) => {
                let said = parts.last().and_then(text).unwrap_or_default();
                metric.described.push((kind.to_owned(), said));
            }
            None => {
                metric.kinds.insert(call.name.clone());
                metric.labels.extend(parts.iter().skip(1).filter_map(text));
                metric.files.insert(call.file.clone());
            }
        }
    }
    metrics
}

fn offences(metrics: &Metrics) -> Vec<String> {
    let mut offences = Vec::new();
    for (name, metric) in metrics {
        if !name.starts_with("outport_") {
            offences.push(format!("{name}: the names of metrics begin with outport_"));
        }
        let is_total = name.ends_with("_total");
        match (metric.kinds.first(), &metric.described[..]) {
            (None, _) => offences.push(format!("{name} is described and nothing counts it")),
            (Some(_), []) => offences.push(format!("{name} is not described")),
            (Some(kind), [(described, _)]) => {
                if metric.kinds.len() > 1 || described != kind {
                    offences.push(format!("{name} is of two kinds"));
                }
                if is_total != (kind == "counter") {
                    offences.push(format!("{name}: the names of counters end with _total"));
                }
            }
            (Some(_), _) => offences.push(format!("{name} is described more than once")),
        }
    }
    offences
}

const HEAD: &str = "\
<!-- Made by `cargo xtask metrics` from the sources. Do not edit. -->

# Metrics

`GET /_outport/metrics` answers them in Prometheus's text form, over the loopback of the machine of `outport up` or `outport
server` only. Metrics of launches, shims and logs are of the node in the same process; an `outport node` serves its own, and
those of its disk, with `--metrics-listen`. All begin anew with each start, most of them with what they first count. A histogram has `_bucket`, `_sum` and `_count`; the count is how
often it happened.

| metric | kind | labels | what it says | in |
|---|---|---|---|---|
";

fn render(metrics: &Metrics) -> String {
    let mut page = String::from(HEAD);
    for (name, metric) in metrics {
        let list = |words: &BTreeSet<String>, quote: &str| {
            let words: Vec<String> =
                words.iter().map(|word| format!("{quote}{word}{quote}")).collect();
            words.join(", ")
        };
        let (kinds, labels) = (list(&metric.kinds, ""), list(&metric.labels, "`"));
        let said = metric.described.first().map_or("", |(_, said)| said.as_str());
        let files = list(&metric.files, "");
        let _ = writeln!(page, "| `{name}` | {kinds} | {labels} | {said} | {files} |");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESCRIBED: &str =
        r#"fn d() { describe_counter!("outport_polls_total", Unit::Count, "Polls."); }"#;

    fn metrics(text: &str) -> Metrics {
        let names: Vec<&str> = KINDS.into_iter().chain(DESCRIBES).collect();
        collect(&sources::of_text("a.rs", text, &names).unwrap())
    }

    fn check(text: &str, expected: &[&str]) {
        let offences = offences(&metrics(text));
        assert_eq!(offences.len(), expected.len(), "{offences:?}");
        for (offence, part) in offences.iter().zip(expected) {
            assert!(offence.contains(part), "{offence} does not say {part}");
        }
    }

    #[test]
    fn what_is_an_offence() {
        let counted =
            r#"fn f() { counter!("outport_polls_total", "answer" => answer).increment(1); }"#;
        check(&format!("{counted}{DESCRIBED}"), &[]);
        check(counted, &["is not described"]);
        check(DESCRIBED, &["nothing counts it"]);
        check(&format!("{counted}{DESCRIBED}{DESCRIBED}"), &["more than once"]);
        check(
            &format!("{}{DESCRIBED}", counted.replace("counter", "gauge")),
            &["two kinds", "_total"],
        );
    }

    #[test]
    fn a_row_has_everything() {
        let counted =
            r#"fn f() { counter!("outport_polls_total", "answer" => answer).increment(1); }"#;
        let page = render(&metrics(&format!("{counted}{DESCRIBED}")));
        let row = "| `outport_polls_total` | counter | `answer` | Polls. | a.rs |";
        assert!(page.lines().any(|line| line == row), "{page}");
    }

    #[test]
    fn the_page_is_fresh() {
        super::run(&crate::repository(), true).unwrap();
    }
}
