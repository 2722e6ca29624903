//! `cargo xtask events`: writes `docs/operations/events.md`, the list of what the log says and what to do about it.
//!
//! **Invariant:** each line of the log at `info` and above has a name that is found on the page; a name has one meaning.
//! The page is made from the sources and `docs/operations/events.toml` alone; a test compares it with what is committed.

mod sites;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use sites::Site;

const PAGE: &str = "docs/operations/events.md";
const ADVICE: &str = "docs/operations/events.toml";

/// What an operator should do, by event.
type Advice = BTreeMap<String, String>;

/// Writes the page, or fails when `checks_only` and it is stale.
pub fn run(repository: &Path, checks_only: bool) -> Result<()> {
    let offences = check(repository)?;
    if !offences.is_empty() {
        bail!("{}", offences.join("\n"));
    }
    let page = render(&sites::all(repository)?, &advice(repository)?);
    let path = repository.join(PAGE);
    if !checks_only {
        return std::fs::write(&path, page).with_context(|| path.display().to_string());
    }
    let present = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    if present != page {
        bail!("{PAGE} is stale, run `cargo xtask events`");
    }
    Ok(())
}

/// What is wrong with the events of the sources and their advice, one line each.
pub fn check(repository: &Path) -> Result<Vec<String>> {
    Ok(offences(&sites::all(repository)?, &advice(repository)?))
}

fn advice(repository: &Path) -> Result<Advice> {
    let path = repository.join(ADVICE);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    toml::from_str(&text).with_context(|| ADVICE.to_owned())
}

fn offences(sites: &[Site], advice: &Advice) -> Vec<String> {
    let mut offences = Vec::new();
    let mut said: BTreeMap<&str, &Site> = BTreeMap::new();
    for site in sites {
        let place = format!("{}:{}", site.file, site.line);
        let Some(event) = site.event.as_deref() else {
            if site.must_have_event() {
                offences.push(format!("{place}: {}! has no `event = \"noun_verb\"`", site.level));
            }
            continue;
        };
        if !is_name(event) {
            offences.push(format!("{place}: {event:?} is no name such as node_joined"));
        }
        let first = *said.entry(event).or_insert(site);
        if first.message != site.message {
            offences.push(format!(
                "{place}: {event} says {:?} here and {:?} in {}:{}: give one of them another name",
                site.message, first.message, first.file, first.line
            ));
        }
    }
    let missing = said.keys().filter(|event| !advice.contains_key(**event));
    offences.extend(missing.map(|event| format!("{ADVICE}: {event} has no row")));
    let extra = advice.keys().filter(|event| !said.contains_key(event.as_str()));
    offences.extend(extra.map(|event| format!("{ADVICE}: nothing logs {event}")));
    offences
}

/// Two words or more, of small letters and digits.
fn is_name(event: &str) -> bool {
    let is_word = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_lowercase())
            && word.chars().all(|each| each.is_ascii_lowercase() || each.is_ascii_digit())
    };
    event.contains('_') && event.split('_').all(is_word)
}

const HEAD: &str = "\
<!-- Made by `cargo xtask events` from the sources and docs/operations/events.toml. Do not edit. -->

# Events

Every line of Outport's log at `INFO` and above has a field `event`. Its name stays the same when the words of the line
change: alert on it, count it, search for it. With `--log-format json` it is a member of each object. Lines of libraries
have no event.

`DEBUG` lines, for which you ask with `RUST_LOG`, have an event only when the same is also said at another level.

Two events are in no row, since no level hides them: `outport_says` (what is for people, such as that a stop has begun) and
`outport_failed` (why the process ends without success); a third, `log_lines_lost`, says how many lines are missing where
standard error could not be written. They are objects as the others with `--log-format json`.

The column *in* says where it is logged: start there when you read the sources.

| event | level | what it says | fields | in | what to do |
|---|---|---|---|---|---|
";

fn render(sites: &[Site], advice: &Advice) -> String {
    let mut events: BTreeMap<&str, Vec<&Site>> = BTreeMap::new();
    for site in sites {
        if let Some(event) = &site.event {
            events.entry(event).or_default().push(site);
        }
    }
    let mut page = String::from(HEAD);
    for (event, sites) in events {
        let list = |of: &dyn Fn(&Site) -> Vec<String>| {
            let all: BTreeSet<String> = sites.iter().flat_map(|site| of(site)).collect();
            all.into_iter().collect::<Vec<_>>().join(", ")
        };
        let levels = list(&|site| vec![site.level.to_uppercase()]);
        let fields = list(&|site| site.fields.iter().map(|field| format!("`{field}`")).collect());
        let files = list(&|site| vec![site.file.clone()]);
        let says = sites.first().map(|site| cell(&site.message)).unwrap_or_default();
        let advice = advice.get(event).map(|text| cell(text)).unwrap_or_default();
        let _ = writeln!(page, "| `{event}` | {levels} | {says} | {fields} | {files} | {advice} |");
    }
    page
}

fn cell(text: &str) -> String {
    text.trim().replace('\n', " ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(line: usize, level: &str, event: Option<&str>, message: &str) -> Site {
        Site {
            file: "a.rs".into(),
            line,
            level: level.into(),
            event: event.map(str::to_owned),
            message: message.into(),
            fields: vec!["node".into()],
        }
    }

    fn check(sites: &[Site], rows: &[&str], expected: &[&str]) {
        let advice: Advice = rows.iter().map(|row| ((*row).into(), "Nothing.".into())).collect();
        let offences = offences(sites, &advice);
        assert_eq!(offences.len(), expected.len(), "{offences:?}");
        for (offence, part) in offences.iter().zip(expected) {
            assert!(offence.contains(part), "{offence} does not say {part}");
        }
    }

    #[test]
    fn what_is_an_offence() {
        let joined = site(1, "info", Some("node_joined"), "a node joined");
        let rows = ["node_joined"];
        check(std::slice::from_ref(&joined), &rows, &[]);
        check(&[joined.clone(), site(2, "warn", Some("node_joined"), "a node joined")], &rows, &[]);
        check(&[joined.clone(), site(2, "debug", None, "more")], &rows, &[]);
        check(&[joined.clone(), site(2, "error", None, "no name")], &rows, &["a.rs:2: error!"]);
        check(
            &[joined.clone(), site(2, "info", Some("node_joined"), "another")],
            &rows,
            &["give one of them another name"],
        );
        check(std::slice::from_ref(&joined), &[], &["node_joined has no row"]);
        check(&[joined], &["node_joined", "node_left"], &["nothing logs node_left"]);
        for bad in ["joined", "Node_joined", "node__joined", "node-joined", "node_"] {
            check(&[site(1, "warn", Some(bad), "")], &[bad], &["is no name"]);
        }
    }

    #[test]
    fn a_row_has_everything() {
        let sites = [
            site(1, "info", Some("node_joined"), "a node | joined"),
            site(2, "debug", Some("node_joined"), "a node | joined"),
        ];
        let advice = Advice::from([("node_joined".to_owned(), "Nothing,\nreally.".to_owned())]);
        let page = render(&sites, &advice);
        let row = "| `node_joined` | DEBUG, INFO | a node \\| joined | `node` | a.rs | Nothing, really. |";
        assert!(page.lines().any(|line| line == row), "{page}");
    }

    #[test]
    fn the_page_is_fresh() {
        super::run(&crate::repository(), true).unwrap();
    }
}
