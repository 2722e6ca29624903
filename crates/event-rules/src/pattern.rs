//! Event patterns: which events a rule is about.
//!
//! A pattern is an object of the shape of the events: a field is an object again, or a list of what its value may be. A list is an *or*,
//! fields are an *and*, `$or` is an *or* of objects. A value that is a list matches when one of its members does; a field that lies within a
//! list of objects is looked for in one of them, and all fields of that object of the pattern in the same one.
//!
//! Source: EventBridge user guide, "Comparison operators for use in event patterns"; AWS's open matcher Event Ruler, whose words the
//! refusals have. AWS adds the place of the mistake in the text (`at [Source: …; line: 1, column: 9]`), which is left out here.

use std::fmt;

use serde_json::{Map, Value};

use crate::compile;
use crate::matcher::Matcher;

/// How many combinations the `$or`s of a pattern may make.
/// Source: EventBridge user guide, "Using $or in event patterns": more are refused as an invalid pattern.
pub const OR_COMBINATIONS_MAX: u64 = 1_000;

/// A pattern that compiled.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    root: Object,
}

/// Why a text is no pattern; shown, it is the message of AWS's `InvalidEventPatternException`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternFault(pub(crate) String);

impl fmt::Display for PatternFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Event pattern is not valid. Reason: {}", self.0)
    }
}

impl std::error::Error for PatternFault {}

/// Fields that all match.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Object {
    pub(crate) fields: Vec<(String, Node)>,
    /// Each an `$or`, of which one branch matches.
    pub(crate) choices: Vec<Vec<Object>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Object(Object),
    /// What the value may be: one of them.
    Values(Vec<Matcher>),
}

impl Pattern {
    /// # Errors
    /// [`PatternFault`], in AWS's words.
    pub fn compile(text: &str) -> Result<Self, PatternFault> {
        compile::compile(text).map(|root| Self { root })
    }

    /// Whether the event, an object, is one of those that the rule is about.
    pub fn matches(&self, event: &Value) -> bool {
        event.as_object().is_some_and(|event| self.root.matches(event))
    }

    /// Whether it may match an event that has these texts in its outermost fields; what else it asks for is taken as there. For whoever
    /// would have to make the event first.
    pub fn may_match(&self, known: &[(&str, &str)]) -> bool {
        known.iter().all(|(name, text)| {
            let asked = self.root.fields.iter().filter(|(field, _)| field == name);
            asked.clone().all(|(_, node)| node.matches(Some(&Value::from(*text))))
        })
    }
}

impl Object {
    fn matches(&self, event: &Map<String, Value>) -> bool {
        self.fields.iter().all(|(name, node)| node.matches(event.get(name)))
            && self
                .choices
                .iter()
                .all(|branches| branches.iter().any(|branch| branch.matches(event)))
    }
}

impl Node {
    fn matches(&self, value: Option<&Value>) -> bool {
        match self {
            Self::Object(object) => match value {
                Some(Value::Object(event)) => object.matches(event),
                Some(Value::Array(members)) => {
                    // Nothing is in an empty list, and that may be what is asked for.
                    members.iter().any(|member| self.matches(Some(member)))
                        || members.is_empty() && object.matches(&Map::new())
                }
                // A field below it is not there.
                _ => object.matches(&Map::new()),
            },
            Self::Values(matchers) => {
                let mut leaves = Vec::new();
                leaves_of(value, &mut leaves);
                if leaves.is_empty() {
                    return matchers.contains(&Matcher::Absent);
                }
                leaves.iter().any(|leaf| matchers.iter().any(|matcher| matcher.matches(leaf)))
            }
        }
    }
}

/// The values of a field that are neither object nor list: `exists` asks for these alone.
fn leaves_of<'a>(value: Option<&'a Value>, leaves: &mut Vec<&'a Value>) {
    match value {
        None | Some(Value::Object(_)) => {}
        Some(Value::Array(members)) => {
            members.iter().for_each(|member| leaves_of(Some(member), leaves));
        }
        Some(leaf) => leaves.push(leaf),
    }
}

#[cfg(test)]
#[path = "pattern_test.rs"]
mod tests;
