//! Refused values as error messages repeat them, in the words of AWS's validation: whole, as long as they are no longer
//! than anybody means.

use crate::limits;
use crate::node::Node;
use crate::schema::{Kind, Member, Target};

/// What AWS's servers print of a member that must not be shown.
const REDACTED: &str = "***Sensitive Data Redacted***";

/// A name that is not known, shortened for an error message.
pub(crate) fn echoed(text: &str) -> String {
    shortened(text, limits::ECHOED_NAME_CHARACTERS_MAX)
}

/// A text that broke a constraint.
pub(crate) fn refused(text: &str) -> String {
    shortened(text, limits::REFUSED_VALUE_CHARACTERS_MAX)
}

/// A list or map that broke a constraint, worded as AWS does: `[a, b]`, `{k=v}`, `[Tag(key=k, value=null)]`.
pub(crate) fn words_of(node: &Node<'_>, target: &'static Target) -> String {
    let mut text = String::new();
    append_words(node, target, &mut text);
    refused(&text)
}

fn shortened(text: &str, characters_max: usize) -> String {
    match text.char_indices().nth(characters_max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

/// One byte a character or more: what lies behind this many is cut off.
fn is_full(text: &str) -> bool {
    text.len() > limits::REFUSED_VALUE_CHARACTERS_MAX * 4
}

fn append_words(node: &Node<'_>, target: &'static Target, text: &mut String) {
    if target.is_sensitive {
        text.push_str(REDACTED);
        return;
    }
    match (node, target.kind) {
        (Node::List(items), kind) => append_list(items.iter(), item_of(kind), text),
        // In forms the items of a list are numbered.
        (Node::Map(items), Kind::List(item)) => {
            append_list(items.iter().map(|(_, value)| value), Some(item), text);
        }
        (Node::Map(_), Kind::Structure(schema)) => {
            text.push_str(schema.name);
            text.push('(');
            append_members(node, schema.members, text);
            text.push(')');
        }
        (Node::Map(entries), kind) => append_entries(entries, value_of(kind), text),
        (scalar, _) => append_scalar(scalar, text),
    }
}

fn append_list<'n, 'a: 'n>(
    items: impl Iterator<Item = &'n Node<'a>>,
    item: Option<&'static Member>,
    text: &mut String,
) {
    text.push('[');
    for (index, node) in items.enumerate() {
        if is_full(text) {
            break;
        }
        if index > 0 {
            text.push_str(", ");
        }
        append_words(node, target_of(item), text);
    }
    text.push(']');
}

fn append_entries(
    entries: &[(std::borrow::Cow<'_, str>, Node<'_>)],
    value: Option<&'static Member>,
    text: &mut String,
) {
    text.push('{');
    for (index, (key, node)) in entries.iter().enumerate() {
        if is_full(text) {
            break;
        }
        if index > 0 {
            text.push_str(", ");
        }
        text.push_str(&refused(key));
        text.push('=');
        append_words(node, target_of(value), text);
    }
    text.push('}');
}

/// Every member of the model, with `null` for those that are not there.
fn append_members(node: &Node<'_>, members: &'static [Member], text: &mut String) {
    for (index, member) in members.iter().enumerate() {
        if is_full(text) {
            break;
        }
        if index > 0 {
            text.push_str(", ");
        }
        text.push_str(member.name);
        text.push('=');
        match node.get(member.wire_name()) {
            Some(value) => append_words(value, member.target, text),
            None => text.push_str("null"),
        }
    }
}

fn append_scalar(node: &Node<'_>, text: &mut String) {
    match node {
        Node::Boolean(value) => text.push_str(if *value { "true" } else { "false" }),
        Node::Integer(value) => text.push_str(&value.to_string()),
        Node::Number(value) => text.push_str(&value.to_string()),
        Node::String(value) => text.push_str(&refused(value)),
        Node::Bytes(_) => text.push_str("[bytes]"),
        Node::Timestamp(at) => text.push_str(&at.to_string()),
        Node::Null | Node::List(_) | Node::Map(_) => text.push_str("null"),
    }
}

fn item_of(kind: Kind) -> Option<&'static Member> {
    match kind {
        Kind::List(item) => Some(item),
        _ => None,
    }
}

fn value_of(kind: Kind) -> Option<&'static Member> {
    match kind {
        Kind::Map { value, .. } => Some(value),
        _ => None,
    }
}

/// What no table describes is shown as it came.
fn target_of(member: Option<&'static Member>) -> &'static Target {
    member.map_or(&crate::schema::scalar::DOCUMENT, |member| member.target)
}
