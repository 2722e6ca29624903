//! Reading values of a compose file: each finds fault with its own line and goes on.

use super::complaints::Complaints;
use super::variables::Variables;
use super::yaml::{Node, Value};

/// Fills in the variables of a value and of all in it.
pub fn fill(node: &mut Node, variables: &mut Variables, complaints: &mut Complaints) {
    match &mut node.value {
        Value::Null => {}
        Value::Text(text) => match variables.fill(text) {
            Ok(filled) => *text = filled,
            Err(error) => complaints.add(node.line, error.to_string()),
        },
        Value::List(list) => list.iter_mut().for_each(|node| fill(node, variables, complaints)),
        Value::Map(map) => {
            map.iter_mut().for_each(|(_, node)| fill(node, variables, complaints));
        }
    }
}

/// Where a value is, and who is told what is wrong with it.
pub struct At<'a> {
    pub path: String,
    pub node: &'a Node,
    pub complaints: &'a mut Complaints,
}

impl<'a> At<'a> {
    pub fn new(path: impl Into<String>, node: &'a Node, complaints: &'a mut Complaints) -> Self {
        Self { path: path.into(), node, complaints }
    }

    pub fn wrong(&mut self, what: &str) {
        let text = format!("{} {what}", self.path);
        self.complaints.add(self.node.line, text);
    }

    fn expected(&mut self, wanted: &str) {
        let kind = self.node.value.kind();
        self.wrong(&format!("is {kind}, not {wanted}"));
    }

    pub fn not_supported(&mut self, why: &str) {
        self.complaints.not_supported(self.node.line, &self.path, why);
    }

    pub fn text(&mut self) -> Option<String> {
        match &self.node.value {
            Value::Text(text) => Some(text.clone()),
            Value::Null => None,
            _ => {
                self.expected("a single value");
                None
            }
        }
    }

    /// What `parse` makes of the text; `what` it has to be is said otherwise.
    pub fn parsed<T>(&mut self, what: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.text()?;
        let parsed = parse(&text);
        if parsed.is_none() {
            self.wrong(&format!("is {text:?}, and not {what}"));
        }
        parsed
    }

    pub fn flag(&mut self) -> bool {
        let flag = |text: &str| match text {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => None,
        };
        self.parsed("true or false", flag).unwrap_or(false)
    }

    pub fn list(&mut self) -> &'a [Node] {
        match &self.node.value {
            Value::List(list) => list,
            Value::Null => &[],
            _ => {
                self.expected("a list");
                &[]
            }
        }
    }

    pub fn map(&mut self) -> &'a [(String, Node)] {
        match &self.node.value {
            Value::Map(map) => map,
            Value::Null => &[],
            _ => {
                self.expected("a mapping");
                &[]
            }
        }
    }

    /// The value of a key in this one.
    pub fn member(&mut self, key: &str, node: &'a Node) -> At<'_> {
        At { path: format!("{}.{key}", self.path), node, complaints: self.complaints }
    }

    pub fn texts(&mut self) -> Vec<String> {
        let list = self.list();
        list.iter()
            .filter_map(|node| At::new(self.path.clone(), node, self.complaints).text())
            .collect()
    }

    /// Of `NAME=value` lines or of a mapping; without a value where there is none.
    pub fn pairs(&mut self) -> Vec<(String, Option<String>)> {
        if let Value::List(_) = self.node.value {
            let lines = self.texts();
            return lines
                .into_iter()
                .map(|line| match line.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None => (line, None),
                })
                .collect();
        }
        let map = self.map();
        map.iter().map(|(name, node)| (name.clone(), self.member(name, node).text())).collect()
    }
}
