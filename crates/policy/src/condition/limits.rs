//! The values that a condition compares a key with, read once.

use std::borrow::Cow;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;

use super::date;
use super::decimal::Decimal;
use super::operator::{Comparison, Order};
use crate::answer::Answer;
use crate::context::{Context, Value};
use crate::resource::ArnPattern;
use crate::template::{Glob, Words};

#[derive(Clone, Debug)]
pub(crate) enum Limits {
    Words(Box<[Words]>),
    /// Without regard to case.
    AnyCase(Box<[Words]>),
    Globs(Box<[Glob]>),
    Numbers(Order, Box<[Decimal]>),
    Dates(Order, Box<[i64]>),
    /// Texts, because variables may stand in them.
    Truths(Box<[Words]>),
    Bytes(Box<[Box<[u8]>]>),
    Networks(Box<[IpNet]>),
    /// `None` for a text that is no ARN: it is like nothing that is known.
    Arns(Box<[Option<ArnPattern>]>),
    /// Whether the key is to be absent.
    Absent(Box<[bool]>),
}

impl Limits {
    /// `None` when one of the values is none of the kind that the comparison has. `variables`: whether the version of the
    /// language has them; numbers, dates, addresses, bytes and `Null` take none in any.
    pub fn parse(comparison: Comparison, values: &[String], variables: bool) -> Option<Self> {
        let words = || values.iter().map(|text| Words::parse(text, variables)).collect();
        Some(match comparison {
            Comparison::StringEquals => Limits::Words(words()),
            Comparison::StringEqualsIgnoreCase => Limits::AnyCase(words()),
            Comparison::StringLike => {
                Limits::Globs(values.iter().map(|text| Glob::parse(text, variables)).collect())
            }
            Comparison::Numeric(order) => Limits::Numbers(order, each(values, Decimal::parse)?),
            Comparison::Date(order) => Limits::Dates(order, each(values, date::parse)?),
            Comparison::Bool => Limits::Truths(each(values, |text| {
                let is_open = variables && text.contains("${");
                (is_open || truth(text).is_some()).then(|| Words::parse(text, variables))
            })?),
            Comparison::BinaryEquals => Limits::Bytes(each(values, |text| {
                STANDARD.decode(text).ok().map(Vec::into_boxed_slice)
            })?),
            Comparison::IpAddress => Limits::Networks(each(values, network)?),
            Comparison::ArnLike => {
                Limits::Arns(values.iter().map(|text| ArnPattern::parse(text, variables)).collect())
            }
            Comparison::Null => Limits::Absent(each(values, truth)?),
        })
    }

    /// Whether one of them is about `value`, or, `negated`, none. `value` is one value, never several.
    pub fn compare(&self, value: Value<'_>, negated: bool, context: &dyn Context) -> Answer {
        match self {
            Limits::Words(words) => {
                of_text(value, words, negated, |text, words| Some(*text == words.text(context)?))
            }
            Limits::AnyCase(words) => of_text(value, words, negated, |text, words| {
                Some(text.to_lowercase() == words.text(context)?.to_lowercase())
            }),
            Limits::Globs(globs) => {
                of_text(value, globs, negated, |text, glob| glob.matches(text, context))
            }
            Limits::Arns(arns) => {
                of_text(value, arns, negated, |text, arn| arn.as_ref()?.matches(text, context))
            }
            Limits::Numbers(order, limits) => {
                of(number(value), limits, negated, |number, limit| Some(order.holds(number, limit)))
            }
            Limits::Dates(order, limits) => {
                of(date(value), limits, negated, |date, limit| Some(order.holds(date, limit)))
            }
            Limits::Truths(limits) => of(boolean(value), limits, negated, |is_true, limit| {
                Some(*is_true == truth(&limit.text(context)?)?)
            }),
            Limits::Bytes(limits) => {
                of(bytes(value), limits, negated, |bytes, limit| Some(*bytes == &**limit))
            }
            Limits::Networks(networks) => {
                of(address(value), networks, negated, |address, network| {
                    Some(network.contains(address))
                })
            }
            // Asked without a value: see `Condition::answer`.
            Limits::Absent(_) => Answer::Unknown,
        }
    }

    /// The names of the variables in them.
    pub fn variables(&self) -> Vec<&str> {
        match self {
            Limits::Words(words) | Limits::AnyCase(words) | Limits::Truths(words) => {
                words.iter().flat_map(Words::variables).collect()
            }
            Limits::Globs(globs) => globs.iter().flat_map(Glob::variables).collect(),
            Limits::Arns(arns) => arns.iter().flatten().flat_map(ArnPattern::variables).collect(),
            _ => Vec::new(),
        }
    }
}

fn of_text<L>(
    value: Value<'_>,
    limits: &[L],
    negated: bool,
    is_match: impl Fn(&Cow<'_, str>, &L) -> Option<bool>,
) -> Answer {
    of(value.text(), limits, negated, is_match)
}

/// A value that is not of the kind matches nothing, and whether it is another is not known.
fn of<V, L>(
    value: Option<V>,
    limits: &[L],
    negated: bool,
    is_match: impl Fn(&V, &L) -> Option<bool>,
) -> Answer {
    let matches = limits.iter().map(|limit| is_match(value.as_ref()?, limit));
    Answer::of_any(matches, negated)
}

fn each<T>(values: &[String], parse: impl Fn(&str) -> Option<T>) -> Option<Box<[T]>> {
    values.iter().map(|value| parse(value)).collect()
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// An address without prefix is a network of its own.
fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn number(value: Value<'_>) -> Option<Decimal> {
    match value {
        Value::Number(number) => Some(number.into()),
        Value::Text(text) => Decimal::parse(text),
        _ => None,
    }
}

/// A number is seconds since 1970, as `aws:EpochTime` is.
fn date(value: Value<'_>) -> Option<i64> {
    match value {
        Value::Date(milliseconds) => Some(milliseconds),
        Value::Number(seconds) => Some(seconds.saturating_mul(1000)),
        Value::Text(text) => date::parse(text),
        _ => None,
    }
}

fn boolean(value: Value<'_>) -> Option<bool> {
    match value {
        Value::Boolean(is_true) => Some(is_true),
        Value::Text(text) => truth(text),
        _ => None,
    }
}

fn bytes<'a>(value: Value<'a>) -> Option<&'a [u8]> {
    match value {
        Value::Bytes(bytes) => Some(bytes),
        Value::Text(text) => Some(text.as_bytes()),
        _ => None,
    }
}

/// An IPv4 address in the clothes of IPv6 is the IPv4 address.
fn address(value: Value<'_>) -> Option<IpAddr> {
    match value {
        Value::Address(address) => Some(address.to_canonical()),
        Value::Text(text) => Some(text.parse::<IpAddr>().ok()?.to_canonical()),
        _ => None,
    }
}
