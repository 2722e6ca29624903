//! The circumstances of a request, as conditions and variables ask for them.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;

use crate::condition::date;

/// Condition keys and their values. Who knows the request implements it.
pub trait Context {
    /// The value of a key, which is in lower case: names of keys are compared without regard to case, all of the name.
    fn get(&self, key: &str) -> Option<Value<'_>>;
}

/// The value of a condition key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    Text(&'a str),
    /// Of a key that may have several values, such as `aws:TagKeys`. None at all is as if the key were not there.
    Texts(&'a [String]),
    Number(i64),
    Boolean(bool),
    /// Unix milliseconds.
    Date(i64),
    Address(IpAddr),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// Each of the values.
    pub(crate) fn elements(self) -> impl Iterator<Item = Value<'a>> {
        let (several, one) = match self {
            Value::Texts(texts) => (texts, None),
            value => (&[][..], Some(value)),
        };
        several.iter().map(|text| Value::Text(text)).chain(one)
    }

    /// Whether it is "a null data set, such as an empty string". Source: IAM user guide, "Set operators for multivalued
    /// context keys".
    pub(crate) fn is_null(self) -> bool {
        match self {
            Value::Text(text) => text.is_empty(),
            Value::Texts(texts) => texts.iter().all(String::is_empty),
            _ => false,
        }
    }

    /// As a text, for one value. Bytes are no text; several values are none either.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Value::Text(text) => Some(Cow::Borrowed(text)),
            Value::Number(number) => Some(number.to_string().into()),
            Value::Boolean(truth) => Some(Cow::Borrowed(if truth { "true" } else { "false" })),
            Value::Date(milliseconds) => Some(date::iso(milliseconds).into()),
            Value::Address(address) => {
                let mut text = String::new();
                write!(text, "{address}").ok()?;
                Some(text.into())
            }
            Value::Texts(_) | Value::Bytes(_) => None,
        }
    }
}
