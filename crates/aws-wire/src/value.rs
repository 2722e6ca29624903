//! The scalar values of members.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::WireError;
use crate::node::Node;
use crate::refused_value::refused;
use crate::schema::{Kind, Member, scalar};
use crate::service::Protocol;
use crate::shape::{Decoder, Value};
use crate::timestamp::Timestamp;
use crate::violation::ViolationKind;
use crate::writer::{Collection, Place, Scalar, Writer};

/// Bytes: base64 in JSON and XML, a byte string in CBOR.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blob(pub Vec<u8>);

/// Free-form JSON inside a typed request.
#[derive(Clone, Debug, PartialEq)]
pub struct Document(pub Node<'static>);

static DOCUMENT_MEMBER: Member = crate::schema::member("member", &scalar::DOCUMENT);

impl Value for String {
    fn decode(
        node: &Node<'_>,
        member: &'static Member,
        decoder: &mut Decoder,
    ) -> Result<Option<Self>, WireError> {
        let Node::String(text) = node else {
            return Err(decoder.wrong_type(node, "a string"));
        };
        check_text(text, member, decoder);
        Ok(Some(text.as_ref().to_owned()))
    }

    fn encode(&self, place: Place<'_>, member: &'static Member, writer: &mut dyn Writer) {
        write_scalar(Scalar::String(self), place, member, writer);
    }
}

impl Value for bool {
    fn decode(
        node: &Node<'_>,
        _: &'static Member,
        decoder: &mut Decoder,
    ) -> Result<Option<Self>, WireError> {
        match node {
            Node::Boolean(value) => Ok(Some(*value)),
            Node::String(text) if decoder.protocol().is_form() => match text.as_ref() {
                "true" | "True" | "TRUE" => Ok(Some(true)),
                "false" | "False" | "FALSE" => Ok(Some(false)),
                _ => Err(decoder.wrong_type(node, "a boolean")),
            },
            _ => Err(decoder.wrong_type(node, "a boolean")),
        }
    }

    fn encode(&self, place: Place<'_>, member: &'static Member, writer: &mut dyn Writer) {
        write_scalar(Scalar::Boolean(*self), place, member, writer);
    }
}

impl Value for i32 {
    fn decode(
        node: &Node<'_>,
        member: &'static Member,
        decoder: &mut Decoder,
    ) -> Result<Option<Self>, WireError> {
        let wide = read_integer(node, decoder)?;
        let value =
            i32::try_from(wide).map_err(|_| decoder.wrong_type(node, "an integer of 32 bits"))?;
        decoder.check_range(&member.target.constraint, wide as f64, wide.to_string());
        Ok(Some(value))
    }

    fn encode(&self, place: Place<'_>, member: &'static Member, writer: &mut dyn Writer) {
        write_scalar(Scalar::Integer(i64::from(*self)), place, member, writer);
    }
}

impl Value for i64 {
    fn decode(
        node: &Node<'_>,
        member: &'static Member,
        decoder: &mut Decoder,
    ) -> Result<Option<Self>, WireError> {
        let value = read_integer(node, decoder)?;
        decoder.check_range(&member.target.constraint, value as f64, value.to_string());
        Ok(Some(value))
    }

    fn encode(&self, place: Place<'_>, member: &'static Member, writer: &mut dyn Writer) {
        write_scalar(Scalar::Integer(*self), place, member, writer);
    }
}

impl Value for f64 {
    fn decode(
        node: &Node<'_>,
        member: &'static Member,
        decoder: &mut Decoder,
    ) -> Result<Option<Self>, WireError> {
        let value = match node {
            Node::Integer(value) => *value as f64,
            Node::Number(value) => *value,
            Node::String(text) => match text.as_ref() {
                "NaN" => f64::NAN,
                "Infinity" => f64::INFINITY,
                "-Infinity" => f64::NEG_INFINITY,
                text if decoder.protocol().is_form() => {
                    text.parse().map_err(|_| decoder.wrong_type(node, "a number"))?
                }
                _ => return Err(decoder.wrong_type(node, "a number")),
            },
            _ => return Err(decoder.wrong_type(node, "a number")),
        };
        decoder.check_range(&member.target.constraint, value, value.to_string());
        Ok(Some(value))
    }

    fn encode(&self, place: Place<'_>, member: &'static Member, writer: &mut dyn Writer) {
        write_scalar(Scalar::Number(*self), place, member, writer);
    }
}

impl Value for Timestamp {
    fn decode(
        node: &Node<'_>,
        _: &'static Member,
        decoder: &mut Decoder,
    ) -> Result<Option<Self>, WireError> {
        let value = match node {
            Node::Timestamp(value) => Some(*value),
            Node::Integer(seconds) => Timestamp::from_epoch_seconds(*seconds as f64),
            Node::Number(seconds) => Timestamp::from_epoch_seconds(*seconds),
            Node::String(text) => Timestamp::parse(text),
            _ => None,
        };
        value.map(Some).ok_or_else(|| decoder.wrong_type(node, "a timestamp"))
    }

    fn encode(&self, place: Place<'_>, member: &'static Member, writer: &mut dyn Writer) {
        let format = member.target.timestamp_format;
        write_scalar(Scalar::Timestamp(*self, format), place, member, writer);
    }
}

impl Value for Blob {
    fn decode(
        node: &Node<'_>,
        member: &'static Member,
        decoder: &mut Decoder,
    ) -> Result<Option<Self>, WireError> {
        let bytes = match node {
            Node::Bytes(bytes) => bytes.to_vec(),
            Node::String(text) if decoder.protocol() != Protocol::Cbor => STANDARD
                .decode(text.as_bytes())
                .map_err(|_| decoder.malformed("Invalid base64 encoding"))?,
            _ => return Err(decoder.wrong_type(node, "a blob")),
        };
        decoder.check_length(&member.target.constraint, bytes.len(), || "[bytes]".to_owned());
        Ok(Some(Blob(bytes)))
    }

    fn encode(&self, place: Place<'_>, member: &'static Member, writer: &mut dyn Writer) {
        write_scalar(Scalar::Blob(&self.0), place, member, writer);
    }
}

impl Value for Document {
    fn decode(
        node: &Node<'_>,
        _: &'static Member,
        _: &mut Decoder,
    ) -> Result<Option<Self>, WireError> {
        Ok(Some(Document(node.clone().into_owned())))
    }

    fn encode(&self, place: Place<'_>, member: &'static Member, writer: &mut dyn Writer) {
        write_document(&self.0, place, member, writer);
    }
}

/// The nesting is bounded by the reader that made the node.
fn write_document(
    node: &Node<'_>,
    place: Place<'_>,
    member: &'static Member,
    writer: &mut dyn Writer,
) {
    match node {
        Node::Null => writer.scalar(place, Scalar::Null),
        Node::Boolean(value) => write_scalar(Scalar::Boolean(*value), place, member, writer),
        Node::Integer(value) => write_scalar(Scalar::Integer(*value), place, member, writer),
        Node::Number(value) => write_scalar(Scalar::Number(*value), place, member, writer),
        Node::String(text) => write_scalar(Scalar::String(text), place, member, writer),
        Node::Bytes(bytes) => write_scalar(Scalar::Blob(bytes), place, member, writer),
        Node::Timestamp(at) => write_scalar(Scalar::Timestamp(*at, None), place, member, writer),
        Node::List(items) => {
            writer.begin(place, Collection::List);
            for item in items {
                write_document(item, Place::Item(member), &DOCUMENT_MEMBER, writer);
            }
            writer.end(place, Collection::List);
        }
        Node::Map(entries) => {
            writer.begin(place, Collection::Map);
            for (key, value) in entries {
                write_document(value, Place::Entry(member, key), &DOCUMENT_MEMBER, writer);
            }
            writer.end(place, Collection::Map);
        }
    }
}

/// Checks a string against the length, pattern and (for the keys of maps) names of its target.
pub(crate) fn check_text(text: &str, member: &'static Member, decoder: &mut Decoder) {
    let target = member.target;
    let is_sensitive = target.is_sensitive;
    let shown = || if is_sensitive { "*".repeat(4) } else { refused(text) };
    if !decoder.enforces_constraints() {
        return;
    }
    if let Some(pattern) = target.constraint.pattern
        && !pattern.matches(text)
    {
        decoder.report(Some(shown()), ViolationKind::Pattern(pattern.text));
    }
    if target.constraint.min.is_some() || target.constraint.max.is_some() {
        decoder.check_length(&target.constraint, text.chars().count(), shown);
    }
    if let Kind::Enum(names) = target.kind
        && !names.contains(&text)
    {
        decoder.report(Some(shown()), ViolationKind::Enum(names));
    }
}

fn write_scalar(
    value: Scalar<'_>,
    place: Place<'_>,
    member: &'static Member,
    writer: &mut dyn Writer,
) {
    if member.target.is_sensitive && writer.hides_sensitive() {
        writer.scalar(place, Scalar::String("[sensitive]"));
    } else {
        writer.scalar(place, value);
    }
}

/// Integers also arrive as integral floats (JSON, CBOR) and as digits (forms).
fn read_integer(node: &Node<'_>, decoder: &Decoder) -> Result<i64, WireError> {
    /// Integers beyond 2^53 are not exact as floats, so a float that large is no integer anyone meant.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    match node {
        Node::Integer(value) => Ok(*value),
        Node::Number(value) if value.fract() == 0.0 && value.abs() <= EXACT_MAX => {
            Ok(*value as i64)
        }
        Node::String(text) if decoder.protocol().is_form() => {
            text.parse().map_err(|_| decoder.wrong_type(node, "an integer"))
        }
        _ => Err(decoder.wrong_type(node, "an integer")),
    }
}
