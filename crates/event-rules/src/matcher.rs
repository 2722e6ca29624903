//! What one value of an event may be.

use std::net::IpAddr;

use serde_json::{Number, Value};

use crate::wildcard::Wildcard;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Matcher {
    /// A text, by its characters.
    Text(String),
    /// A text that is an address of the internet protocol: however it is written.
    Address(String, IpAddr),
    Number(Number),
    Bool(bool),
    Null,
    Some(Affix),
    /// One value at least is none of these.
    AnythingBut(Vec<Matcher>),
    Numeric {
        from: Option<Bound>,
        to: Option<Bound>,
    },
    Cidr {
        network: IpAddr,
        bits: u8,
    },
    Exists,
    Absent,
}

/// A text by a part of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Affix {
    Prefix(String),
    PrefixIgnoreCase(String),
    Suffix(String),
    SuffixIgnoreCase(String),
    EqualsIgnoreCase(String),
    Wildcard(Wildcard),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bound {
    pub(crate) value: f64,
    pub(crate) is_within: bool,
}

impl Matcher {
    /// `leaf`: neither object nor list.
    pub(crate) fn matches(&self, leaf: &Value) -> bool {
        match self {
            Self::Text(text) => leaf.as_str() == Some(text),
            Self::Address(text, address) => {
                leaf.as_str().is_some_and(|leaf| leaf == text || leaf.parse() == Ok(*address))
            }
            Self::Number(number) => {
                matches!(leaf, Value::Number(leaf) if is_same_number(leaf, number))
            }
            Self::Bool(value) => leaf.as_bool() == Some(*value),
            Self::Null => leaf.is_null(),
            Self::Some(affix) => leaf.as_str().is_some_and(|text| affix.matches(text)),
            Self::AnythingBut(others) => !others.iter().any(|other| other.matches(leaf)),
            Self::Numeric { from, to } => leaf.as_f64().is_some_and(|value| {
                from.is_none_or(|from| value > from.value || from.is_within && value == from.value)
                    && to.is_none_or(|to| value < to.value || to.is_within && value == to.value)
            }),
            Self::Cidr { network, bits } => leaf
                .as_str()
                .and_then(|text| text.parse().ok())
                .is_some_and(|address| is_within(address, *network, *bits)),
            Self::Exists => true,
            Self::Absent => false,
        }
    }
}

impl Affix {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Self::Suffix(suffix) => text.ends_with(suffix.as_str()),
            Self::PrefixIgnoreCase(prefix) => {
                text.to_lowercase().starts_with(&prefix.to_lowercase())
            }
            Self::SuffixIgnoreCase(suffix) => text.to_lowercase().ends_with(&suffix.to_lowercase()),
            Self::EqualsIgnoreCase(other) => text.to_lowercase() == other.to_lowercase(),
            Self::Wildcard(wildcard) => wildcard.matches(text),
        }
    }
}

/// Numbers are one when they have one value: 300, 300.0 and 3.0e2.
fn is_same_number(one: &Number, other: &Number) -> bool {
    one == other || one.as_f64() == other.as_f64() && !(one.is_u64() && other.is_u64())
}

fn is_within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let (address, network, length) = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (u128::from(address.to_bits()), u128::from(network.to_bits()), 32)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits(), network.to_bits(), 128),
        _ => return false,
    };
    let host_bits = u32::from(length - bits);
    // All bits are the host's: every address is within.
    (address ^ network).checked_shr(host_bits).is_none_or(|differing| differing == 0)
}
