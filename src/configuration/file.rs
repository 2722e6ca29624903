//! The configuration file: one TOML table whose keys are the long names of options.
//!
//! **Invariant:** each entry is an option that there is, with values of its kind, and knows its line.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// How alike two names must be that one is offered for the other, of 1.
const ALIKE: f64 = 0.8;

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Flag,
    One,
    List,
}

/// An option that the file may have.
#[derive(Clone, Debug)]
pub struct Known {
    pub name: String,
    pub kind: Kind,
}

/// A line of the file.
#[derive(Clone, Debug)]
pub struct Entry {
    pub name: String,
    /// As they would stand on the command line; several only of a list.
    pub values: Vec<String>,
    path: PathBuf,
    line: usize,
}

impl Entry {
    /// `FILE:LINE`.
    pub fn place(&self) -> impl fmt::Display {
        format!("{}:{}", self.path.display(), self.line)
    }

    /// Whether it is more than a flag that is off.
    pub fn says_something(&self) -> bool {
        self.values != ["false"]
    }
}

/// # Errors
/// When the file cannot be read, or has anything in it that is not understood: a line for each, with its place in the file.
pub fn read(path: &Path, known: &[Known]) -> Result<Vec<Entry>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the configuration file {}", path.display()))?;
    let line = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    let place = |at: usize| format!("{}:{}", path.display(), line(at));
    let table = DeTable::parse(&text).map_err(|error| {
        let place = place(error.span().map_or(0, |span| span.start));
        anyhow!("{place}: {}", error.message())
    })?;
    let (mut entries, mut wrong) = (Vec::new(), BTreeMap::new());
    for (key, value) in table.get_ref() {
        let (name, at) = (key.get_ref().as_ref(), key.span().start);
        let Some(option) = known.iter().find(|known| known.name == name) else {
            wrong.insert(at, unknown(name, known));
            continue;
        };
        match values(option.kind, value) {
            Ok(values) => entries.push(Entry {
                name: name.to_owned(),
                values,
                path: path.to_owned(),
                line: line(at),
            }),
            Err(problem) => {
                wrong.insert(at, format!("{name} takes {problem}"));
            }
        }
    }
    if !wrong.is_empty() {
        let lines = wrong.iter().map(|(at, problem)| format!("{}: {problem}", place(*at)));
        bail!("{}", lines.collect::<Vec<_>>().join("\n"));
    }
    Ok(entries)
}

/// How alike two names are, of 1.
pub fn likeness(one: &str, two: &str) -> f64 {
    strsim::jaro_winkler(one, two)
}

/// The one that is most like what was meant, if any is like it.
pub fn nearest<'n>(
    names: impl Iterator<Item = &'n str>,
    likeness: impl Fn(&str) -> f64,
) -> Option<&'n str> {
    let nearest = names.max_by(|one, two| likeness(one).total_cmp(&likeness(two)));
    nearest.filter(|nearest| likeness(nearest) >= ALIKE)
}

fn unknown(name: &str, known: &[Known]) -> String {
    let names = known.iter().map(|known| known.name.as_str());
    match nearest(names, |known| likeness(name, known)) {
        Some(nearest) => format!("there is no option {name}; did you mean {nearest}?"),
        None => {
            format!("there is no option {name}: `outport up --help` lists those that there are")
        }
    }
}

/// What an option takes is said when it is given something else.
fn values(kind: Kind, value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, String> {
    match (kind, value.get_ref()) {
        (Kind::Flag, DeValue::Boolean(flag)) => Ok(vec![flag.to_string()]),
        (Kind::Flag, other) => Err(format!("true or false, not {}", kind_of(other))),
        (Kind::List, DeValue::Array(items)) => items
            .iter()
            .map(|item| {
                one(item.get_ref()).ok_or_else(|| {
                    format!("a list of texts or numbers, not {} in it", kind_of(item.get_ref()))
                })
            })
            .collect(),
        (_, other) => match one(other) {
            Some(text) => Ok(vec![text]),
            None => Err(format!("a text or a number, not {}", kind_of(other))),
        },
    }
}

/// With its article.
fn kind_of(value: &DeValue<'_>) -> String {
    let kind = value.type_str();
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {kind}")
}

/// Numbers may be in quotes and need not: a port and an account are both.
fn one(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        _ => None,
    }
}
