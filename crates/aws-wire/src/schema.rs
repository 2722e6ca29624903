//! Tables that describe a shape: what a generated crate holds as `static` values.
//!
//! **Invariant:** a table says what botocore's model says about a shape and nothing else; how a protocol uses it is
//! the business of the readers and writers.

use std::borrow::Cow;

use crate::pattern::Pattern;
use crate::service::Protocol;

/// A structure: its name in the model and its members in model order.
pub struct Schema {
    pub name: &'static str,
    pub members: &'static [Member],
}

/// A named place for a value: a member of a structure, the item of a list, the key or value of a map.
#[derive(Clone, Copy)]
pub struct Member {
    /// Name in the model, also the JSON and CBOR name when [`Member::location_name`] is empty.
    pub name: &'static str,
    /// botocore's `locationName`; empty when the model has none.
    pub location_name: &'static str,
    /// botocore's `queryName` (ec2 only); empty when the model has none.
    pub query_name: &'static str,
    pub is_required: bool,
    /// Lists and maps that appear in XML and forms without a wrapping element.
    pub is_flattened: bool,
    /// The server may treat two requests with the same value as one.
    pub is_idempotency_token: bool,
    /// XML attribute of the enclosing element.
    pub is_xml_attribute: bool,
    pub target: &'static Target,
}

/// What a member points at: the kind of value and the constraints on it.
#[derive(Clone, Copy)]
pub struct Target {
    pub kind: Kind,
    pub constraint: Constraint,
    /// The value must not appear in logs.
    pub is_sensitive: bool,
    pub timestamp_format: Option<TimestampFormat>,
}

/// The kinds of values.
#[derive(Clone, Copy)]
pub enum Kind {
    Boolean,
    Integer,
    Long,
    Float,
    Double,
    String,
    /// The accepted names.
    Enum(&'static [&'static str]),
    Timestamp,
    Blob,
    Document,
    List(&'static Member),
    Map {
        key: &'static Member,
        value: &'static Member,
    },
    Structure(&'static Schema),
}

/// Limits from the model: length of strings, blobs, lists and maps, value of numbers.
#[derive(Clone, Copy)]
pub struct Constraint {
    pub min: Option<i64>,
    pub max: Option<i64>,
    /// The whole string must match.
    pub pattern: Option<&'static Pattern>,
}

/// The three ways in which AWS writes a timestamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimestampFormat {
    /// Seconds since 1970, with up to three decimals.
    EpochSeconds,
    /// `2026-01-02T03:04:05.678Z`
    Iso8601,
    /// `Fri, 02 Jan 2026 03:04:05 GMT`
    HttpDate,
}

impl Constraint {
    pub const NONE: Constraint = Constraint { min: None, max: None, pattern: None };
}

/// A member with neither wire names nor flags.
pub const fn member(name: &'static str, target: &'static Target) -> Member {
    Member {
        name,
        location_name: "",
        query_name: "",
        is_required: false,
        is_flattened: false,
        is_idempotency_token: false,
        is_xml_attribute: false,
        target,
    }
}

/// A target without constraints.
pub const fn target(kind: Kind) -> Target {
    Target { kind, constraint: Constraint::NONE, is_sensitive: false, timestamp_format: None }
}

impl Member {
    pub const fn located(mut self, location_name: &'static str) -> Self {
        self.location_name = location_name;
        self
    }
    pub const fn queried(mut self, query_name: &'static str) -> Self {
        self.query_name = query_name;
        self
    }
    pub const fn required(mut self) -> Self {
        self.is_required = true;
        self
    }
    pub const fn flattened(mut self) -> Self {
        self.is_flattened = true;
        self
    }
    pub const fn idempotency_token(mut self) -> Self {
        self.is_idempotency_token = true;
        self
    }
    pub const fn xml_attribute(mut self) -> Self {
        self.is_xml_attribute = true;
        self
    }

    /// Name of this member of a structure in `protocol`.
    ///
    /// ec2 requests use the query name, or else the location name with its first letter in upper case.
    pub fn request_name(&self, protocol: Protocol) -> Cow<'static, str> {
        match protocol {
            Protocol::Ec2 if !self.query_name.is_empty() => Cow::Borrowed(self.query_name),
            Protocol::Ec2 => capitalised(self.wire_name()),
            Protocol::Json10 | Protocol::Json11 | Protocol::Cbor | Protocol::Query => {
                Cow::Borrowed(self.wire_name())
            }
        }
    }

    /// Name in JSON, CBOR and XML answers: the location name, or else the model's. A flattened list repeats it for
    /// every item, whatever the items' own name.
    pub const fn wire_name(&self) -> &'static str {
        if self.location_name.is_empty() { self.name } else { self.location_name }
    }
}

impl Target {
    pub const fn length(mut self, min: Option<i64>, max: Option<i64>) -> Self {
        self.constraint.min = min;
        self.constraint.max = max;
        self
    }
    pub const fn matching(mut self, pattern: &'static Pattern) -> Self {
        self.constraint.pattern = Some(pattern);
        self
    }
    pub const fn sensitive(mut self) -> Self {
        self.is_sensitive = true;
        self
    }
    pub const fn formatted(mut self, format: TimestampFormat) -> Self {
        self.timestamp_format = Some(format);
        self
    }
}

fn capitalised(name: &'static str) -> Cow<'static, str> {
    match name.as_bytes().first() {
        Some(first) if first.is_ascii_lowercase() => {
            let mut owned = name.to_owned();
            owned[..1].make_ascii_uppercase();
            Cow::Owned(owned)
        }
        _ => Cow::Borrowed(name),
    }
}

/// Targets of scalars without constraints, shared by all generated tables.
pub mod scalar {
    use super::{Kind, Target, target};

    pub static BOOLEAN: Target = target(Kind::Boolean);
    pub static INTEGER: Target = target(Kind::Integer);
    pub static LONG: Target = target(Kind::Long);
    pub static FLOAT: Target = target(Kind::Float);
    pub static DOUBLE: Target = target(Kind::Double);
    pub static STRING: Target = target(Kind::String);
    pub static TIMESTAMP: Target = target(Kind::Timestamp);
    pub static BLOB: Target = target(Kind::Blob);
    pub static DOCUMENT: Target = target(Kind::Document);
}
