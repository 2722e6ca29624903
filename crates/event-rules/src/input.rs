//! What a target is handed: the event, a part of it, a constant text, or a template with parts of it.
//!
//! Source: EventBridge user guide, "Amazon EventBridge input transformation": variables, what becomes of their quotation marks, the
//! reserved ones. Guesses are that a variable whose path finds nothing is nothing within quotation marks and `null` outside, and that what
//! is within quotation marks is escaped, so that what was JSON stays JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::json_path::JsonPath;

const RULE_ARN: &str = "aws.events.rule-arn";
const RULE_NAME: &str = "aws.events.rule-name";
const INGESTION_TIME: &str = "aws.events.event.ingestion-time";
const EVENT: &str = "aws.events.event";
const EVENT_JSON: &str = "aws.events.event.json";
const RESERVED: [&str; 5] = [RULE_ARN, RULE_NAME, INGESTION_TIME, EVENT, EVENT_JSON];

/// What of a rule a template may name.
#[derive(Clone, Copy, Debug)]
pub struct RuleFacts<'a> {
    pub arn: &'a str,
    pub name: &'a str,
    /// As in an event's `time`.
    pub ingestion_time: &'a str,
}

/// Why nothing can be made by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputFault {
    /// Of `InputPath`, or of this variable.
    Path(Option<String>),
    /// The template names a variable that the map has not.
    Variable(String),
    /// The name of a variable begins with `aws.` or is empty.
    Name(String),
}

impl fmt::Display for InputFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(None) => f.write_str("InputPath is not a valid JSON path"),
            Self::Path(Some(name)) => write!(f, "the path of <{name}> is not a valid JSON path"),
            Self::Variable(name) => write!(
                f,
                "the template contains the placeholder <{name}>, which is not in InputPathsMap"
            ),
            Self::Name(name) => write!(f, "<{name}> is not a valid name of a variable"),
        }
    }
}

/// Checks what a target says of its input, before there is an event.
///
/// # Errors
/// [`InputFault`].
pub fn check_template(paths: &BTreeMap<String, String>, template: &str) -> Result<(), InputFault> {
    for (name, path) in paths {
        if name.is_empty() || name.starts_with("aws.") || name.contains(['<', '>', '"']) {
            return Err(InputFault::Name(name.clone()));
        }
        if JsonPath::read(path).is_none() {
            return Err(InputFault::Path(Some(name.clone())));
        }
    }
    let unknown = pieces(template).find_map(|piece| match piece {
        Piece::Variable(name, _) if !paths.contains_key(name) && !RESERVED.contains(&name) => {
            Some(name)
        }
        _ => None,
    });
    unknown.map_or(Ok(()), |name| Err(InputFault::Variable(name.to_owned())))
}

/// The part of the event that a path finds, as JSON; `null`: there is none.
pub fn by_path(event: &Value, path: &str) -> String {
    let found = JsonPath::read(path).and_then(|path| path.find(event));
    found.unwrap_or(Value::Null).to_string()
}

/// What a template makes of the event.
pub fn by_template(
    event: &Value,
    paths: &BTreeMap<String, String>,
    template: &str,
    rule: RuleFacts<'_>,
) -> String {
    let mut made = String::with_capacity(template.len());
    for piece in pieces(template) {
        match piece {
            Piece::Text(text) => made.push_str(text),
            Piece::Variable(name, is_quoted) => {
                let value = variable(event, paths, name, rule);
                made.push_str(&inserted(value, is_quoted));
            }
        }
    }
    made
}

fn variable(
    event: &Value,
    paths: &BTreeMap<String, String>,
    name: &str,
    rule: RuleFacts<'_>,
) -> Option<Value> {
    match name {
        RULE_ARN => Some(rule.arn.into()),
        RULE_NAME => Some(rule.name.into()),
        INGESTION_TIME => Some(rule.ingestion_time.into()),
        EVENT | EVENT_JSON => Some(event.clone()),
        name => JsonPath::read(paths.get(name)?)?.find(event),
    }
}

fn inserted(value: Option<Value>, is_quoted: bool) -> String {
    if !is_quoted {
        return value.unwrap_or(Value::Null).to_string();
    }
    let text = match value {
        None => String::new(),
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
    };
    let quoted = Value::String(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// A part of a template.
enum Piece<'a> {
    Text(&'a str),
    /// Its name, and whether it stands within quotation marks.
    Variable(&'a str, bool),
}

fn pieces(template: &str) -> impl Iterator<Item = Piece<'_>> {
    let (mut rest, mut is_quoted) = (template, false);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some((name, left)) = variable_name(rest) {
            rest = left;
            return Some(Piece::Variable(name, is_quoted));
        }
        let mut end = rest.len();
        let (mut is_escaped, mut has_begun) = (false, false);
        for (at, character) in rest.char_indices() {
            if has_begun && character == '<' && variable_name(&rest[at..]).is_some() {
                end = at;
                break;
            }
            has_begun = true;
            if character == '"' && !is_escaped {
                is_quoted = !is_quoted;
            }
            is_escaped = character == '\\' && !is_escaped;
        }
        let (text, left) = rest.split_at(end);
        rest = left;
        Some(Piece::Text(text))
    })
}

/// `<name>` at the beginning: the name, and what follows.
fn variable_name(text: &str) -> Option<(&str, &str)> {
    let (name, left) = text.strip_prefix('<')?.split_once('>')?;
    let is_name = !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    is_name.then_some((name, left))
}

#[cfg(test)]
#[path = "input_test.rs"]
mod tests;
