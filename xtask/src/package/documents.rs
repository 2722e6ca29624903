//! The pages for users, and what they refer to, as they lie below `docs/`. Beside them the examples and whatever else of the
//! sources the pages tell of.
//!
//! **Invariant:** a link of a page that is placed leads to something that is placed, or is none any more.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

use super::{Release, archive, git};

const FOLDERS: [&str; 2] = ["guide", "operations"];
/// Of the sources, with all that is committed below them.
const TREES: [&str; 4] = ["examples", "clients/pytest-outport", "README.md", "SECURITY.md"];
const FILES: [&str; 2] = ["compatibility.md", "performance.md"];
/// Of the folders: pages, a dashboard, rules. What pages are made of stays in the sources.
const KINDS: [&str; 4] = ["md", "json", "yml", "yaml"];

/// Where each file of the sources is placed. In the same order everywhere.
type Places = BTreeMap<String, String>;

/// Places them below `at`.
pub fn place(root: &Path, at: &str, release: &Release) -> Result<()> {
    let places = places(&release.repository)?;
    for (source, place) in &places {
        let bytes = release.file(source)?;
        let bytes = match source.ends_with(".md") {
            true => {
                let text = String::from_utf8(bytes).with_context(|| format!("{source} is text"))?;
                relinked(source, &text, &places).into_bytes()
            }
            false => bytes,
        };
        let mode = if source.ends_with(".sh") { 0o755 } else { 0o644 };
        archive::place(root, &Path::new(at).join(place).to_string_lossy(), mode, bytes)?;
    }
    Ok(())
}

fn places(repository: &Path) -> Result<Places> {
    let docs = repository.join("docs");
    let mut places: Places =
        FILES.iter().map(|name| (format!("docs/{name}"), (*name).to_owned())).collect();
    for folder in FOLDERS {
        let found = docs.join(folder);
        let entries =
            found.read_dir().with_context(|| format!("cannot read {}", found.display()))?;
        for entry in entries {
            let name = entry?.file_name().into_string().ok().context("names of pages are text")?;
            let kind = Path::new(&name).extension().and_then(|kind| kind.to_str());
            if kind.is_some_and(|kind| KINDS.contains(&kind)) {
                places.insert(format!("docs/{folder}/{name}"), format!("{folder}/{name}"));
            }
        }
    }
    // Those of the commit: what running them has left beside is nobody's.
    let mut arguments = vec!["ls-files", "--"];
    arguments.extend(TREES);
    for name in git(repository, &arguments)?.lines() {
        places.insert(name.to_owned(), name.to_owned());
    }
    Ok(places)
}

/// A page of the sources with its links as they lead from where it is placed. What is not placed is named and no link.
fn relinked(source: &str, text: &str, places: &Places) -> String {
    let place = places.get(source).map_or(source, String::as_str);
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("](") {
        done.push_str(before);
        let Some((target, behind)) = behind.split_once(')') else {
            done.push_str("](");
            rest = behind;
            continue;
        };
        rest = behind;
        let (path, anchor) = target.split_at(target.find('#').unwrap_or(target.len()));
        if path.is_empty() || path.contains(':') {
            done.push_str(&format!("]({target})"));
            continue;
        }
        match placed(&joined(folder_of(source), path), places) {
            Some(target) => {
                done.push_str(&format!("]({}{anchor})", relative(folder_of(place), &target)));
            }
            None => {
                if let Some(at) = done.rfind('[') {
                    done.remove(at);
                }
            }
        }
    }
    done + rest
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Where a file of the sources is, or a folder that has some.
fn placed(source: &str, places: &Places) -> Option<String> {
    let source = source.trim_end_matches('/');
    places.get(source).cloned().or_else(|| {
        let below = format!("{source}/");
        let (file, place) = places.range(below.clone()..).next()?;
        let name = file.strip_prefix(&below)?;
        Some(place.strip_suffix(name)?.trim_end_matches('/').to_owned())
    })
}

/// A path of a folder, with its `..` taken.
fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            ".." => {
                parts.pop();
            }
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn relative(folder: &str, to: &str) -> String {
    let from: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    let to: Vec<&str> = to.split('/').collect();
    let same = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
    let up = std::iter::repeat_n("..", from.len() - same);
    up.chain(to[same..].iter().copied()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, text: &str, expected: &str) {
        let sources = [
            ("docs/guide/a.md", "guide/a.md"),
            ("docs/operations/e.md", "operations/e.md"),
            ("docs/x.md", "x.md"),
            ("examples/first/run.sh", "examples/first/run.sh"),
            ("README.md", "README.md"),
        ];
        let places = sources.map(|(source, place)| (source.to_owned(), place.to_owned()));
        assert_eq!(relinked(source, text, &places.into()), expected);
    }

    #[test]
    fn links_lead_from_where_a_page_is_placed() {
        check(
            "docs/guide/a.md",
            "[s](../../examples/first/run.sh).",
            "[s](../examples/first/run.sh).",
        );
        check("docs/guide/a.md", "a [f](../../examples/first)", "a [f](../examples/first)");
        check("docs/guide/a.md", "[r](../../README.md#s)", "[r](../README.md#s)");
        check(
            "docs/guide/a.md",
            "[e](../operations/e.md) [x](../x.md)",
            "[e](../operations/e.md) [x](../x.md)",
        );
        check("README.md", "[a](docs/guide/a.md)", "[a](guide/a.md)");
        check(
            "README.md",
            "[d](docs/design/1.md), [w](https://x.y) [h](#h)",
            "d, [w](https://x.y) [h](#h)",
        );
        check("README.md", "`a](b` and [open](", "`a](b` and [open](");
    }

    #[test]
    fn every_link_of_the_pages_leads_somewhere() {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let places = places(repository).unwrap();
        for example in ["examples/systemd/web.service", "clients/pytest-outport/README.md"] {
            assert!(places.contains_key(example), "{example}");
        }
        let installed: Vec<&String> = places.values().collect();
        for (source, place) in places.iter().filter(|(source, _)| source.ends_with(".md")) {
            let text = std::fs::read_to_string(repository.join(source)).unwrap();
            let text = relinked(source, &text, &places);
            let targets = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
            for target in targets.filter(|target| !target.contains(':') && !target.starts_with('#'))
            {
                let path = joined(folder_of(place), target.split('#').next().unwrap());
                let is_there =
                    |name: &&&String| **name == &path || name.starts_with(&format!("{path}/"));
                assert!(installed.iter().any(|name| is_there(&name)), "{source}: {target}");
            }
        }
    }
}
