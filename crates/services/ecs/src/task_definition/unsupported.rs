//! What a definition asks for that this version does not run, in words for the caller.
//!
//! **Invariant:** judged from the document, by the table in `limits` and by what of the document is not known at all. So
//! the version that learns to run something runs the revisions that were registered before.

use outport_aws_ecs as wire;
use serde_json::Value;

use super::limits::{LIMITS, Limit, When};

/// The same of a definition as RegisterTaskDefinition takes it, for whoever carries one here.
pub fn not_run(input: &Value) -> Vec<String> {
    let mut document = input.clone();
    // They are the revision's, and no part of its document.
    if let Some(members) = document.as_object_mut() {
        members.remove("tags");
    }
    let document = document.to_string();
    of(&document, crate::views::stored(&document).as_ref())
}

/// Names each of them once, such as `containerDefinitions[web].healthCheck`. `read` is what this version reads in the
/// document, if it can; what of the document is not in it is not known here.
pub fn of(document: &str, read: Option<&wire::TaskDefinition>) -> Vec<String> {
    let (Some(read), Ok(document)) = (read, serde_json::from_str::<Value>(document)) else {
        return vec!["a document that this version cannot read".to_owned()];
    };
    let mut found = Vec::new();
    for limit in &LIMITS {
        for place in places(&document, limit.member) {
            if limit.only.is_none_or(|(member, value)| is_there(&document, &place, member, value)) {
                judge(limit, &place, &mut found);
            }
        }
    }
    // The container that a place is in counts before the order of the table.
    found.sort_by_key(|(container, _)| *container);
    let mut found: Vec<String> = found.into_iter().map(|(_, text)| text).collect();
    let read = serde_json::from_str(&outport_aws_wire::to_json(read)).unwrap_or_default();
    unknown(&document, &read, "", &mut found);
    found.dedup();
    found
}

/// A value of a member, and where it stands.
struct Place<'a> {
    /// 0: of the task; else one more than the container's place.
    container: usize,
    /// The path in words: a container by its name.
    path: String,
    value: &'a Value,
}

/// Every value of a member in the document.
fn places<'a>(document: &'a Value, member: &str) -> Vec<Place<'a>> {
    let mut places = vec![Place { container: 0, path: String::new(), value: document }];
    for step in member.split('.') {
        let (name, is_list) = match step.strip_suffix("[]") {
            Some(name) => (name, true),
            None => (step, false),
        };
        places = places.into_iter().flat_map(|place| inner(&place, name, is_list)).collect();
    }
    places
}

fn inner<'a>(place: &Place<'a>, name: &str, is_list: bool) -> Vec<Place<'a>> {
    let Some(value) = place.value.get(name) else { return Vec::new() };
    let dot = if place.path.is_empty() { "" } else { "." };
    let path = format!("{}{dot}{name}", place.path);
    if !is_list {
        return vec![Place { container: place.container, path, value }];
    }
    let members = value.as_array().into_iter().flatten().enumerate();
    members
        .map(|(index, value)| match name {
            "containerDefinitions" => {
                let named = value.get("name").and_then(Value::as_str).unwrap_or_default();
                Place { container: index + 1, path: format!("{path}[{named}]"), value }
            }
            _ => Place { container: place.container, path: path.clone(), value },
        })
        .collect()
}

fn is_there(document: &Value, place: &Place<'_>, member: &str, value: &str) -> bool {
    let others = places(document, member);
    let mut near = others.iter().filter(|other| [0, place.container].contains(&other.container));
    near.any(|other| other.value.as_str() == Some(value))
}

fn judge(limit: &Limit, place: &Place<'_>, found: &mut Vec<(usize, String)>) {
    let mut say = |text: String| found.push((place.container, text));
    let path = &place.path;
    match limit.when {
        When::Used if is_used(place.value) => match limit.note {
            "" => say(path.clone()),
            note => say(format!("{path} ({note})")),
        },
        When::Is(pattern) => {
            if let Some(text) = place.value.as_str().filter(|text| matches(pattern, text)) {
                say(format!("{path} {text}"));
            }
        }
        When::IsNot(patterns) => {
            let value = place.value.as_str();
            let is_other = |text: &&str| !patterns.iter().any(|pattern| matches(pattern, text));
            if let Some(text) = value.filter(is_other) {
                match patterns.iter().any(|pattern| pattern.ends_with('*')) {
                    true => say(format!("{path} {text}")),
                    false => say(format!("{path} other than {}", patterns.join(" and "))),
                }
            }
        }
        When::HasOther(names) => {
            let given = place.value.as_object().into_iter().flat_map(serde_json::Map::keys);
            for name in given.filter(|name| !names.contains(&name.as_str())) {
                say(format!("{path}.{name}"));
            }
        }
        When::Used => {}
    }
}

fn is_used(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        // AWS fills in empty objects; one with members was given.
        Value::Object(members) => !members.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => text.starts_with(start),
        None => text == pattern,
    }
}

/// What of the document is not in what was read of it: a later version wrote it.
fn unknown(document: &Value, read: &Value, path: &str, found: &mut Vec<String>) {
    let not_known = || format!("{path} (not known to this version)");
    match (document, read) {
        (Value::Object(document), Value::Object(read)) => {
            for (name, value) in document {
                let dot = if path.is_empty() { "" } else { "." };
                let inner = format!("{path}{dot}{name}");
                unknown(value, read.get(name).unwrap_or(&Value::Null), &inner, found);
            }
        }
        (Value::Array(document), Value::Array(read)) if document.len() == read.len() => {
            for (index, (value, read)) in document.iter().zip(read).enumerate() {
                unknown(value, read, &format!("{path}[{index}]"), found);
            }
        }
        _ if document == read || document.is_null() => {}
        _ => found.push(not_known()),
    }
}
