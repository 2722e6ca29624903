//! `Debug` of shapes.

use super::{Collection, Place, Scalar, Writer};

/// Writes a shape as Rust would, with sensitive values hidden.
pub struct DebugWriter {
    text: String,
}

impl DebugWriter {
    pub fn new(shape_name: &str) -> Self {
        Self { text: format!("{shape_name} ") }
    }

    pub fn into_text(self) -> String {
        self.text
    }

    fn key(&mut self, place: Place<'_>) {
        if !matches!(self.text.as_bytes().last(), Some(b' ' | b'[')) {
            self.text.push_str(", ");
        }
        match place {
            Place::Root | Place::Item(_) => {}
            Place::Member(member) => {
                self.text.push_str(member.name);
                self.text.push_str(": ");
            }
            Place::Entry(_, key) => self.text.push_str(&format!("{key:?}: ")),
        }
    }
}

impl Writer for DebugWriter {
    fn begin(&mut self, place: Place<'_>, collection: Collection) {
        self.key(place);
        self.text.push_str(if collection == Collection::List { "[" } else { "{ " });
    }

    fn end(&mut self, _: Place<'_>, collection: Collection) {
        let is_empty = self.text.ends_with("{ ");
        self.text.push_str(match collection {
            Collection::List => "]",
            _ if is_empty => "}",
            _ => " }",
        });
    }

    fn scalar(&mut self, place: Place<'_>, scalar: Scalar<'_>) {
        self.key(place);
        let words = match scalar {
            Scalar::Null => "null".to_owned(),
            Scalar::Boolean(value) => value.to_string(),
            Scalar::Integer(value) => value.to_string(),
            Scalar::Number(value) => format!("{value:?}"),
            Scalar::String(text) => format!("{text:?}"),
            Scalar::Blob(bytes) => format!("[{} bytes]", bytes.len()),
            Scalar::Timestamp(at, _) => at.to_string(),
        };
        self.text.push_str(&words);
    }

    fn hides_sensitive(&self) -> bool {
        true
    }
}
