//! The context of a simulation: the entries that were given, and what follows from who asks.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outport_aws_iam::{ContextEntry, ContextKeyTypeEnum};
use outport_policy::{Context, Value};

use crate::rejection::Rejection;

/// Condition keys in lower case, and their values.
#[derive(Debug, Default)]
pub struct Entries(BTreeMap<String, Entry>);

#[derive(Debug)]
enum Entry {
    One(String),
    Several(Vec<String>),
    Bytes(Vec<u8>),
}

impl Entries {
    /// # Errors
    /// `InvalidInput` for an entry without name or type, and for one value of several.
    pub fn parse(given: Option<Vec<ContextEntry>>) -> Result<Self, Rejection> {
        let mut entries = BTreeMap::new();
        for entry in given.unwrap_or_default() {
            let name = entry.context_key_name.unwrap_or_default();
            let values = entry.context_key_values.unwrap_or_default();
            let value = value(&name, entry.context_key_type, values)?;
            entries.insert(name.to_ascii_lowercase(), value);
        }
        Ok(Self(entries))
    }

    /// A key that follows from who asks, unless it was given.
    pub fn default(&mut self, key: &str, value: impl Into<String>) {
        self.0.entry(key.to_ascii_lowercase()).or_insert_with(|| Entry::One(value.into()));
    }
}

fn value(
    name: &str,
    kind: Option<ContextKeyTypeEnum>,
    mut values: Vec<String>,
) -> Result<Entry, Rejection> {
    use ContextKeyTypeEnum::*;
    let wrong = |what: &str| {
        Rejection::InvalidInput(format!("Invalid value for context key {name}: {what}"))
    };
    match kind {
        Some(StringList | NumericList | BooleanList | IpList | BinaryList | DateList) => {
            Ok(Entry::Several(values))
        }
        Some(Binary) => {
            let text =
                values.pop().filter(|_| values.is_empty()).ok_or_else(|| wrong("not one"))?;
            let bytes = STANDARD.decode(text).map_err(|_| wrong("not in base64"))?;
            Ok(Entry::Bytes(bytes))
        }
        Some(String | Numeric | Boolean | Ip | Date) => match values.pop() {
            Some(one) if values.is_empty() => Ok(Entry::One(one)),
            _ => Err(wrong("a type that is no list has one value")),
        },
        None => Err(wrong("its type is missing")),
    }
}

impl Context for Entries {
    fn get(&self, key: &str) -> Option<Value<'_>> {
        self.0.get(key).map(|entry| match entry {
            Entry::One(text) => Value::Text(text),
            Entry::Several(texts) => Value::Texts(texts),
            Entry::Bytes(bytes) => Value::Bytes(bytes),
        })
    }
}
