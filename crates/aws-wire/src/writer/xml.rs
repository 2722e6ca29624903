//! XML answers of the query and ec2 protocols.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::json::number_words;
use super::{Collection, Place, Scalar, Writer};
use crate::schema::{Kind, Member, TimestampFormat};

/// Writes the members of a shape as elements into an element that the caller opened.
#[derive(Default)]
pub struct XmlWriter {
    text: String,
}

impl XmlWriter {
    /// Starts a document.
    pub fn document() -> Self {
        Self { text: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned() }
    }

    pub fn into_text(self) -> String {
        self.text
    }

    /// Opens an element, with a namespace unless that is empty.
    pub fn open(&mut self, name: &str, namespace: &str) {
        self.text.push('<');
        self.text.push_str(name);
        if !namespace.is_empty() {
            self.text.push_str(" xmlns=\"");
            self.escaped(namespace);
            self.text.push('"');
        }
        self.text.push('>');
    }

    pub fn close(&mut self, name: &str) {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }

    /// Writes an element that holds text.
    pub fn element(&mut self, name: &str, value: &str) {
        self.open(name, "");
        self.escaped(value);
        self.close(name);
    }

    fn open_place(&mut self, place: Place<'_>) {
        match place {
            Place::Root => {}
            Place::Member(member) => self.open(member.wire_name(), ""),
            Place::Item(list) => self.open(item_name(list), ""),
            Place::Entry(map, key) => {
                let (entry, key_name, value_name) = entry_names(map);
                self.open(entry, "");
                self.element(key_name, key);
                self.open(value_name, "");
            }
        }
    }

    fn close_place(&mut self, place: Place<'_>) {
        match place {
            Place::Root => {}
            Place::Member(member) => self.close(member.wire_name()),
            Place::Item(list) => self.close(item_name(list)),
            Place::Entry(map, _) => {
                let (entry, _, value_name) = entry_names(map);
                self.close(value_name);
                self.close(entry);
            }
        }
    }

    /// Characters that XML 1.0 cannot hold at all become the replacement character: a log line or a reason with a
    /// control character in it must not make the whole answer unreadable.
    fn escaped(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '&' => self.text.push_str("&amp;"),
                '"' => self.text.push_str("&quot;"),
                '\r' => self.text.push_str("&#xD;"),
                '\u{85}' => self.text.push_str("&#x85;"),
                '\u{2028}' => self.text.push_str("&#x2028;"),
                '\t' | '\n' => self.text.push(character),
                '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => self.text.push('\u{fffd}'),
                _ => self.text.push(character),
            }
        }
    }
}

impl Writer for XmlWriter {
    fn begin(&mut self, place: Place<'_>, collection: Collection) {
        if !is_without_element(place, collection) {
            self.open_place(place);
        }
    }

    fn end(&mut self, place: Place<'_>, collection: Collection) {
        if !is_without_element(place, collection) {
            self.close_place(place);
        }
    }

    fn scalar(&mut self, place: Place<'_>, scalar: Scalar<'_>) {
        self.open_place(place);
        match scalar {
            Scalar::Null => {}
            Scalar::Boolean(value) => self.text.push_str(if value { "true" } else { "false" }),
            Scalar::Integer(value) => self.text.push_str(&value.to_string()),
            Scalar::Number(value) => match number_words(value) {
                Some(words) => self.text.push_str(words),
                None => self.text.push_str(&format!("{value:?}")),
            },
            Scalar::String(text) => self.escaped(text),
            Scalar::Blob(bytes) => self.text.push_str(&STANDARD.encode(bytes)),
            Scalar::Timestamp(at, format) => {
                let text = at.format(format.unwrap_or(TimestampFormat::Iso8601));
                self.text.push_str(&text);
            }
        }
        self.close_place(place);
    }
}

/// Flattened lists and maps have elements only for their items.
fn is_without_element(place: Place<'_>, collection: Collection) -> bool {
    matches!(place, Place::Member(member) if member.is_flattened)
        && collection != Collection::Structure
}

fn item_name(list: &'static Member) -> &'static str {
    match list.target.kind {
        _ if list.is_flattened => list.wire_name(),
        Kind::List(item) if !item.location_name.is_empty() => item.location_name,
        _ => "member",
    }
}

/// Names of the elements of an entry, its key and its value.
fn entry_names(map: &'static Member) -> (&'static str, &'static str, &'static str) {
    let entry = if map.is_flattened { map.wire_name() } else { "entry" };
    let Kind::Map { key, value } = map.target.kind else {
        return (entry, "key", "value");
    };
    let or = |name: &'static str, default| if name.is_empty() { default } else { name };
    (entry, or(key.location_name, "key"), or(value.location_name, "value"))
}
