//! awsJson, also the form in which shapes are stored.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Collection, Place, Scalar, Writer};
use crate::schema::TimestampFormat;

/// Writes compact JSON.
#[derive(Default)]
pub struct JsonWriter {
    text: String,
}

impl JsonWriter {
    pub fn into_text(self) -> String {
        self.text
    }

    /// Opens the object of an error, with its `__type` before the members.
    pub fn begin_error(&mut self, code: &str) {
        self.text.push_str("{\"__type\":");
        self.string(code);
    }

    /// Writes one string member.
    pub fn member(&mut self, name: &str, value: &str) {
        self.separate();
        self.string(name);
        self.text.push(':');
        self.string(value);
    }

    pub fn end_error(&mut self) {
        self.text.push('}');
    }

    fn separate(&mut self) {
        if !matches!(self.text.as_bytes().last(), None | Some(b'{' | b'[')) {
            self.text.push(',');
        }
    }

    fn key(&mut self, place: Place<'_>) {
        self.separate();
        match place {
            Place::Root | Place::Item(_) => {}
            Place::Member(member) => {
                self.string(member.wire_name());
                self.text.push(':');
            }
            Place::Entry(_, key) => {
                self.string(key);
                self.text.push(':');
            }
        }
    }

    fn string(&mut self, text: &str) {
        self.text.push('"');
        for character in text.chars() {
            match character {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                '\0'..='\u{1f}' => {
                    self.text.push_str(&format!("\\u{:04x}", u32::from(character)));
                }
                _ => self.text.push(character),
            }
        }
        self.text.push('"');
    }
}

impl Writer for JsonWriter {
    fn begin(&mut self, place: Place<'_>, collection: Collection) {
        self.key(place);
        self.text.push(if collection == Collection::List { '[' } else { '{' });
    }

    fn end(&mut self, _: Place<'_>, collection: Collection) {
        self.text.push(if collection == Collection::List { ']' } else { '}' });
    }

    fn scalar(&mut self, place: Place<'_>, scalar: Scalar<'_>) {
        self.key(place);
        match scalar {
            Scalar::Null => self.text.push_str("null"),
            Scalar::Boolean(value) => self.text.push_str(if value { "true" } else { "false" }),
            Scalar::Integer(value) => self.text.push_str(&value.to_string()),
            Scalar::Number(value) => match number_words(value) {
                Some(words) => self.string(words),
                // `Debug` keeps the `.0`: typed clients want a float where the model has one.
                None => self.text.push_str(&format!("{value:?}")),
            },
            Scalar::String(text) => self.string(text),
            Scalar::Blob(bytes) => self.string(&STANDARD.encode(bytes)),
            Scalar::Timestamp(at, format) => {
                match format.unwrap_or(TimestampFormat::EpochSeconds) {
                    TimestampFormat::EpochSeconds => {
                        self.text.push_str(&at.format(TimestampFormat::EpochSeconds));
                    }
                    words => self.string(&at.format(words)),
                }
            }
        }
    }
}

/// The numbers that JSON has no digits for.
pub(super) fn number_words(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value == f64::INFINITY {
        Some("Infinity")
    } else if value == f64::NEG_INFINITY {
        Some("-Infinity")
    } else {
        None
    }
}
