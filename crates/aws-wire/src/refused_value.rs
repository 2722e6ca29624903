//! Refused values as error messages repeat them: shortened, in the words of AWS's validation.

use crate::limits;
use crate::node::Node;

/// A refused value, shortened for an error message.
pub(crate) fn echoed(text: &str) -> String {
    let max = limits::ECHOED_VALUE_CHARACTERS_MAX;
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

/// A refused list or map, worded as AWS does: `[a, b]`.
pub(crate) fn words_of(node: &Node<'_>) -> String {
    let mut text = String::new();
    append_words(node, &mut text);
    echoed(&text)
}

fn append_words(node: &Node<'_>, text: &mut String) {
    if text.len() > limits::ECHOED_VALUE_CHARACTERS_MAX * 4 {
        return;
    }
    match node {
        Node::Null => text.push_str("null"),
        Node::Boolean(value) => text.push_str(if *value { "true" } else { "false" }),
        Node::Integer(value) => text.push_str(&value.to_string()),
        Node::Number(value) => text.push_str(&value.to_string()),
        Node::String(value) => text.push_str(&echoed(value)),
        Node::Bytes(_) => text.push_str("[bytes]"),
        Node::Timestamp(at) => text.push_str(&at.to_string()),
        Node::List(items) => {
            text.push('[');
            // One more than can be shown is enough.
            for (index, item) in items.iter().take(limits::ECHOED_VALUE_CHARACTERS_MAX).enumerate()
            {
                if index > 0 {
                    text.push_str(", ");
                }
                append_words(item, text);
            }
            text.push(']');
        }
        Node::Map(entries) => {
            text.push('{');
            for (index, (key, value)) in
                entries.iter().take(limits::ECHOED_VALUE_CHARACTERS_MAX).enumerate()
            {
                if index > 0 {
                    text.push_str(", ");
                }
                text.push_str(&echoed(key));
                text.push('=');
                append_words(value, text);
            }
            text.push('}');
        }
    }
}
