//! awsJson, also the form in which shapes are stored.

use std::fmt::Write as _;

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

    /// Punctuation, as it is.
    pub(super) fn punctuation(&mut self, sign: char) {
        self.text.push(sign);
    }

    pub(super) fn separate(&mut self) {
        if !matches!(self.text.as_bytes().last(), None | Some(b'{' | b'[')) {
            self.text.push(',');
        }
    }

    fn key(&mut self, place: Place<'_>) {
        self.separate();
        match place {
            Place::Root | Place::Item(_) => {}
            // The names of members are plain words.
            Place::Member(member) => {
                self.text.push('"');
                self.text.push_str(member.wire_name());
                self.text.push_str("\":");
            }
            Place::Entry(_, key) => {
                self.string(key);
                self.text.push(':');
            }
        }
    }

    pub(super) fn string(&mut self, text: &str) {
        self.text.push('"');
        let mut rest = text;
        // What needs no escape goes in one piece.
        while let Some(at) = first_escaped(rest.as_bytes()) {
            self.text.push_str(&rest[..at]);
            match rest.as_bytes()[at] {
                b'"' => self.text.push_str("\\\""),
                b'\\' => self.text.push_str("\\\\"),
                b'\n' => self.text.push_str("\\n"),
                b'\r' => self.text.push_str("\\r"),
                b'\t' => self.text.push_str("\\t"),
                control => self.text.push_str(&format!("\\u{control:04x}")),
            }
            rest = &rest[at + 1..];
        }
        self.text.push_str(rest);
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
        self.value(scalar);
    }
}

impl JsonWriter {
    /// A value, behind its key.
    pub(super) fn value(&mut self, scalar: Scalar<'_>) {
        match scalar {
            Scalar::Null => self.text.push_str("null"),
            Scalar::Boolean(value) => self.text.push_str(if value { "true" } else { "false" }),
            Scalar::Integer(value) => {
                // Writing into a text does not fail.
                let _ = write!(self.text, "{value}");
            }
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
                        // Writing into a text does not fail.
                        let _ = at.write_epoch(&mut self.text);
                    }
                    words => self.string(&at.format(words)),
                }
            }
        }
    }
}

const fn is_escaped(byte: u8) -> bool {
    matches!(byte, 0..0x20 | b'"' | b'\\')
}

/// Looks at pieces without a way out in between: the compiler makes one comparison of many bytes of that.
fn first_escaped(text: &[u8]) -> Option<usize> {
    const PIECE: usize = 32;
    let piece_has = |piece: &[u8]| piece.iter().fold(false, |has, byte| has | is_escaped(*byte));
    let number = text.chunks(PIECE).position(piece_has)?;
    let start = number * PIECE;
    text[start..].iter().position(|byte| is_escaped(*byte)).map(|at| start + at)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_cannot_have_in_a_text_is_escaped_and_nothing_else() {
        let check = |text: &str, expected: &str| {
            let mut writer = JsonWriter::default();
            writer.string(text);
            assert_eq!(writer.into_text(), expected);
            assert_eq!(serde_json::from_str::<String>(expected).unwrap(), text);
        };
        check("", r#""""#);
        check("plain é 🦀 \u{7f}", "\"plain é 🦀 \u{7f}\"");
        check("\"a\\b\"", r#""\"a\\b\"""#);
        check("a\nb\r\tc", r#""a\nb\r\tc""#);
        check("\0\u{1f}é\u{8}", r#""\u0000\u001fé\u0008""#);
        // At the ends of the pieces that are looked at.
        for plain in [31, 32, 33, 63, 64, 65] {
            let plain = "a".repeat(plain);
            check(&format!("{plain}\"{plain}"), &format!("\"{plain}\\\"{plain}\""));
        }
    }
}
