//! A YAML document whose every value knows its line.
//!
//! **Invariant:** what is made of a file weighs at most [`WEIGHT_MAX`], whatever its aliases say, and aliases and merge keys are
//! gone from it.

use std::collections::{HashMap, HashSet};

use anyhow::{Result, bail};
use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// The largest compose file.
pub const FILE_BYTES_MAX: u64 = 1 << 20;
/// A value weighs 1, and more when it is long; an alias as much as what it stands for.
const WEIGHT_MAX: usize = 200_000;
/// Of a text, as many bytes weigh 1.
const BYTES_PER_WEIGHT: usize = 16;
const DEPTH_MAX: usize = 64;
const MERGE: &str = "<<";

#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// From 1 on.
    pub line: usize,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    /// A number and a word are texts, too: what they mean, their reader knows.
    Text(String),
    List(Vec<Node>),
    /// In the order of the file; no key comes twice.
    Map(Vec<(String, Node)>),
}

impl Value {
    /// For an error.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Text(_) => "a single value",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// A list or mapping that has not ended yet.
struct Open {
    line: usize,
    anchor: usize,
    kind: Kind,
    /// With what is in it.
    weight: usize,
}

enum Kind {
    List(Vec<Node>),
    Map {
        entries: Vec<(String, Node)>,
        merged: Vec<Node>,
        keys: HashSet<String>,
        key: Option<(String, usize)>,
    },
}

/// Reads a file of one document.
///
/// # Errors
/// With the line, when it is no YAML, or has what no compose file needs.
pub fn parse(text: &str) -> Result<Node> {
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => reader.take(event, span)?,
            Err(error) => {
                let at = error.marker().line();
                // Found in a line, it is often said of the one before.
                let has_tab = |line: &str| line.trim_start_matches(' ').starts_with('\t');
                let mut near = text.lines().skip(at.saturating_sub(1)).take(2);
                if let Some(beside) = near.position(has_tab) {
                    bail!("{}: a line begins with a tab: YAML takes spaces only", at + beside);
                }
                bail!("{at}: no YAML: {}", error.info());
            }
        }
    }
    match reader.document {
        Some(node) => Ok(node),
        None => bail!("1: there is nothing in it"),
    }
}

#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    /// What an anchor stands for, and what that weighs.
    anchors: HashMap<usize, (Node, usize)>,
    weight: usize,
    document: Option<Node>,
}

impl Reader {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<()> {
        let line = span.start.line();
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) {
                    bail!("{line}: the tag {}{} is not supported", tag.handle, tag.suffix);
                }
                let is_null = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null");
                let value = if is_null { Value::Null } else { Value::Text(text.into_owned()) };
                let weight = match &value {
                    Value::Text(text) => 1 + text.len() / BYTES_PER_WEIGHT,
                    _ => 1,
                };
                self.count(line, weight)?;
                self.put(Node { line, value }, anchor, weight)
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(line, anchor, tag.is_some(), Kind::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let kind = Kind::Map {
                    entries: Vec::new(),
                    merged: Vec::new(),
                    keys: HashSet::new(),
                    key: None,
                };
                self.begin(line, anchor, tag.is_some(), kind)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let Some((node, weight)) = self.anchors.get(&anchor) else {
                    bail!("{line}: an alias to what has not ended or is not there");
                };
                let (weight, node) = (*weight, node.clone());
                self.count(line, weight)?;
                self.put(node, 0, weight)
            }
            Event::DocumentStart(_) if self.document.is_some() => {
                bail!("{line}: a second document: a compose file has one")
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, line: usize, anchor: usize, tagged: bool, kind: Kind) -> Result<()> {
        if tagged {
            bail!("{line}: a tag, such as !reset, is not supported");
        }
        if self.open.len() >= DEPTH_MAX {
            bail!("{line}: values are nested more than {DEPTH_MAX} deep");
        }
        self.open.push(Open { line, anchor, kind, weight: 1 });
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let Some(Open { line, anchor, kind, weight }) = self.open.pop() else { return Ok(()) };
        self.count(line, 1)?;
        let value = match kind {
            Kind::List(list) => Value::List(list),
            Kind::Map { entries, merged, .. } => Value::Map(merge(entries, merged)?),
        };
        self.put(Node { line, value }, anchor, weight)
    }

    fn count(&mut self, line: usize, weight: usize) -> Result<()> {
        self.weight += weight;
        if self.weight > WEIGHT_MAX {
            bail!("{line}: with all that its aliases stand for the file is too large");
        }
        Ok(())
    }

    /// A value that has ended.
    fn put(&mut self, node: Node, anchor: usize, weight: usize) -> Result<()> {
        let line = node.line;
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), weight));
        }
        let Some(open) = self.open.last_mut() else {
            self.document = Some(node);
            return Ok(());
        };
        open.weight += weight;
        match &mut open.kind {
            Kind::List(list) => list.push(node),
            Kind::Map { entries, merged, keys, key } => match key.take() {
                Some((key, _)) if key == MERGE => merged.push(node),
                // A list begins with its first entry, and an alias is where it was said: a person looks for the key.
                Some((key, line)) => entries.push((key, Node { line, ..node })),
                None => {
                    let Value::Text(text) = node.value else {
                        bail!("{line}: the key of a mapping is {}", node.value.kind());
                    };
                    if !keys.insert(text.clone()) {
                        bail!("{line}: the key {text} comes twice");
                    }
                    *key = Some((text, line));
                }
            },
        }
        Ok(())
    }
}

/// What stands in the mapping itself comes before what is merged into it, and an earlier mapping before a later one.
/// Source: YAML's merge key, <https://yaml.org/type/merge.html>.
fn merge(mut entries: Vec<(String, Node)>, merged: Vec<Node>) -> Result<Vec<(String, Node)>> {
    for node in merged {
        let line = node.line;
        let maps = match node.value {
            Value::List(list) => list.into_iter().map(|node| node.value).collect(),
            value => vec![value],
        };
        for map in maps {
            let Value::Map(map) = map else {
                bail!("{line}: << takes a mapping, or a list of them");
            };
            for (key, node) in map {
                if !entries.iter().any(|(own, _)| *own == key) {
                    entries.push((key, node));
                }
            }
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> Vec<(String, Node)> {
        match parse(text).unwrap().value {
            Value::Map(map) => map,
            other => panic!("{other:?}"),
        }
    }

    fn text(node: &Node) -> &str {
        match &node.value {
            Value::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn values_know_their_lines() {
        let map = map("a: 1\nb:\n  - x\n  - \"y\"\nc: ~\nd: 'null'\n");
        let lines: Vec<(&str, usize)> = map.iter().map(|(key, node)| (&**key, node.line)).collect();
        assert_eq!(lines, [("a", 1), ("b", 2), ("c", 5), ("d", 6)]);
        assert_eq!(map[2].1.value, Value::Null);
        assert_eq!(text(&map[3].1), "null");
    }

    #[test]
    fn anchors_and_merge_keys_are_filled_in() {
        let map = map("x-base: &base {a: 1, b: 2}\nx-more: &more {b: 3, c: 4}\n\
             own:\n  b: 0\n  <<: [*base, *more]\nlist: &list [1]\nagain: *list\n");
        let Value::Map(own) = &map[2].1.value else { panic!() };
        let own: Vec<(&str, &str)> = own.iter().map(|(key, node)| (&**key, text(node))).collect();
        assert_eq!(own, [("b", "0"), ("a", "1"), ("c", "4")]);
        assert_eq!(map[3].1.value, map[4].1.value);
        assert_eq!(map[4].1.line, 7);
    }

    #[track_caller]
    fn check_refused(text: &str, expected: &str) {
        let refused = parse(text).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused.contains(expected), "{refused:?}, expected {expected:?}");
    }

    #[test]
    fn what_is_no_compose_file_is_refused_with_its_line() {
        check_refused("", "1: there is nothing");
        check_refused("a: 1\n\tb: 2\n", "2: a line begins with a tab");
        check_refused("a: [1\nb: }\n", "2: no YAML");
        check_refused("a: 1\n---\nb: 2\n", "2: a second document");
        check_refused("a: 1\na: 2\n", "2: the key a comes twice");
        check_refused("a: !reset null\n", "1: the tag !reset");
        check_refused("a: !override [1]\n", "1: a tag");
        check_refused("? [a]\n: b\n", "1: the key of a mapping is a list");
        check_refused("a: *b\n", "1: ");
        check_refused("a: &a [*a]\n", "1: an alias");
        check_refused("<<: 1\n", "1: << takes");
        check_refused(&"[".repeat(100), "nested more than 64 deep");
    }

    #[test]
    fn a_bomb_of_aliases_does_not_go_off() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let alias = format!("*a{}, ", level - 1).repeat(10);
            bomb.push_str(&format!("a{level}: &a{level} [{alias}]\n"));
        }
        check_refused(&bomb, "the file is too large");
    }
}
