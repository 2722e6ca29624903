//! A decoded request before it has a type.

use std::borrow::Cow;

use crate::timestamp::Timestamp;

/// A value as it came over the wire. Forms know only strings and maps; JSON has no bytes and timestamps.
#[derive(Clone, Debug, PartialEq)]
pub enum Node<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Number(f64),
    String(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    Timestamp(Timestamp),
    List(Vec<Node<'a>>),
    /// In order of arrival; of two entries with one name the last counts.
    Map(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl<'a> Node<'a> {
    /// An input without members.
    pub const fn empty() -> Self {
        Node::Map(Vec::new())
    }

    /// The entry `name` of a map.
    pub fn get(&self, name: &str) -> Option<&Node<'a>> {
        match self {
            Node::Map(entries) => {
                entries.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// What kind of value this is, in the words of AWS's serialization errors.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Node::Null => "NULL_VALUE",
            Node::Boolean(true) => "TRUE_VALUE",
            Node::Boolean(false) => "FALSE_VALUE",
            Node::Integer(_) => "NUMBER_VALUE",
            Node::Number(_) => "DECIMAL_VALUE",
            Node::String(_) => "STRING_VALUE",
            Node::Bytes(_) => "BLOB_VALUE",
            Node::Timestamp(_) => "TIMESTAMP_VALUE",
            Node::List(_) => "Start of list",
            Node::Map(_) => "Start of structure or map",
        }
    }

    /// The same value without borrowed parts.
    pub fn into_owned(self) -> Node<'static> {
        match self {
            Node::Null => Node::Null,
            Node::Boolean(value) => Node::Boolean(value),
            Node::Integer(value) => Node::Integer(value),
            Node::Number(value) => Node::Number(value),
            Node::String(value) => Node::String(Cow::Owned(value.into_owned())),
            Node::Bytes(value) => Node::Bytes(Cow::Owned(value.into_owned())),
            Node::Timestamp(value) => Node::Timestamp(value),
            Node::List(items) => Node::List(items.into_iter().map(Node::into_owned).collect()),
            Node::Map(entries) => Node::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| (Cow::Owned(key.into_owned()), value.into_owned()))
                    .collect(),
            ),
        }
    }
}
