//! The value types of members: scalars, lists, maps.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::WireError;
use crate::limits;
use crate::node::Node;
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
fn write_document(node: &Node<'_>, place: Place<'_>, member: &'static Member, writer: &mut dyn Writer) {
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

impl<T: Value> Value for Box<T> {
    fn decode(
        node: &Node<'_>,
        member: &'static Member,
        decoder: &mut Decoder,
    ) -> Result<Option<Self>, WireError> {
        Ok(T::decode(node, member, decoder)?.map(Box::new))
    }

    fn encode(&self, place: Place<'_>, member: &'static Member, writer: &mut dyn Writer) {
        (**self).encode(place, member, writer);
    }
}

impl<T: Value> Value for Vec<T> {
    fn decode(
        node: &Node<'_>,
        member: &'static Member,
        decoder: &mut Decoder,
    ) -> Result<Option<Self>, WireError> {
        let item_member = item_of(member);
        let nodes = list_items(node, member, decoder)?;
        let mut items = Vec::with_capacity(nodes.len());
        for (index, item) in nodes.iter().enumerate() {
            // AWS drops null items of the (always dense) lists of these services.
            if matches!(item, Node::Null) {
                continue;
            }
            let decoded =
                decoder.within_item(index, |decoder| T::decode(item, item_member, decoder))?;
            items.extend(decoded);
        }
        decoder.check_length(&member.target.constraint, nodes.len(), || words_of(node));
        Ok(Some(items))
    }

    fn encode(&self, place: Place<'_>, member: &'static Member, writer: &mut dyn Writer) {
        let item_member = item_of(member);
        writer.begin(place, Collection::List);
        for item in self {
            item.encode(Place::Item(member), item_member, writer);
        }
        writer.end(place, Collection::List);
    }
}

impl<V: Value> Value for BTreeMap<String, V> {
    fn decode(
        node: &Node<'_>,
        member: &'static Member,
        decoder: &mut Decoder,
    ) -> Result<Option<Self>, WireError> {
        let (key_member, value_member) = entry_of(member);
        let entries = map_entries(node, member, decoder)?;
        let mut map = BTreeMap::new();
        let count = entries.len();
        for (key, value) in entries {
            if matches!(value, Node::Null) {
                continue;
            }
            let decoded = decoder.within_entry(&key, |decoder| {
                check_text(&key, key_member, decoder);
                V::decode(value, value_member, decoder)
            })?;
            if let Some(decoded) = decoded {
                map.insert(key.into_owned(), decoded);
            }
        }
        decoder.check_length(&member.target.constraint, count, || words_of(node));
        Ok(Some(map))
    }

    fn encode(&self, place: Place<'_>, member: &'static Member, writer: &mut dyn Writer) {
        let (_, value_member) = entry_of(member);
        writer.begin(place, Collection::Map);
        for (key, value) in self {
            value.encode(Place::Entry(member, key), value_member, writer);
        }
        writer.end(place, Collection::Map);
    }
}

/// Checks a string against the length, pattern and (for the keys of maps) names of its target.
pub(crate) fn check_text(text: &str, member: &'static Member, decoder: &mut Decoder) {
    let target = member.target;
    let is_sensitive = target.is_sensitive;
    let shown = || if is_sensitive { "*".repeat(4) } else { echoed(text) };
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

/// The items of a list in order. In forms they are numbered, not always from one, with gaps, in any order; the bare
/// name of the list means that it is there and empty.
fn list_items<'n, 'a>(
    node: &'n Node<'a>,
    member: &'static Member,
    decoder: &Decoder,
) -> Result<Vec<&'n Node<'a>>, WireError> {
    match node {
        Node::List(items) => Ok(items.iter().collect()),
        Node::String(text) if text.is_empty() && decoder.protocol().is_form() => Ok(Vec::new()),
        Node::Map(_) if decoder.protocol().is_form() => {
            let is_bare = decoder.protocol() == Protocol::Ec2 || member.is_flattened;
            let numbered = if is_bare {
                node
            } else {
                let item_name = match item_of(member).location_name {
                    "" => "member",
                    name => name,
                };
                // botocore and the documentation use the item's name; older clients always `member`.
                node.get(item_name).or_else(|| node.get("member")).unwrap_or(node)
            };
            numbered_items(numbered, decoder)
        }
        _ => Err(decoder.wrong_type(node, "a list")),
    }
}

fn numbered_items<'n, 'a>(
    node: &'n Node<'a>,
    decoder: &Decoder,
) -> Result<Vec<&'n Node<'a>>, WireError> {
    let entries = match node {
        Node::Map(entries) => entries,
        Node::String(text) if text.is_empty() => return Ok(Vec::new()),
        _ => return Err(decoder.wrong_type(node, "a list")),
    };
    let mut numbered = Vec::with_capacity(entries.len());
    for (index, item) in entries {
        let index: u32 = index
            .parse()
            .map_err(|_| decoder.malformed(&format!("'{}' is not a list index", echoed(index))))?;
        numbered.push((index, item));
    }
    numbered.sort_by_key(|(index, _)| *index);
    Ok(numbered.into_iter().map(|(_, item)| item).collect())
}

/// The entries of a map. Query forms number them: `Name.entry.1.key=a&Name.entry.1.value=b`.
fn map_entries<'n, 'a>(
    node: &'n Node<'a>,
    member: &'static Member,
    decoder: &Decoder,
) -> Result<Vec<(Cow<'n, str>, &'n Node<'a>)>, WireError> {
    let Node::Map(entries) = node else {
        return match node {
            Node::String(text) if text.is_empty() && decoder.protocol().is_form() => Ok(Vec::new()),
            _ => Err(decoder.wrong_type(node, "a map")),
        };
    };
    if !decoder.protocol().is_form() {
        return Ok(entries.iter().map(|(key, value)| (Cow::Borrowed(key.as_ref()), value)).collect());
    }
    let (key_member, value_member) = entry_of(member);
    let key_name = if key_member.location_name.is_empty() { "key" } else { key_member.location_name };
    let value_name =
        if value_member.location_name.is_empty() { "value" } else { value_member.location_name };
    let numbered = if member.is_flattened { node } else { node.get("entry").unwrap_or(node) };
    let mut pairs = Vec::new();
    for entry in numbered_items(numbered, decoder)? {
        let Some(Node::String(key)) = entry.get(key_name) else {
            return Err(decoder.malformed("Map entry without a key"));
        };
        if let Some(value) = entry.get(value_name) {
            pairs.push((Cow::Borrowed(key.as_ref()), value));
        }
    }
    Ok(pairs)
}

/// The table of a list always has an item; a hand-made one that has not is read as a list of strings.
fn item_of(member: &'static Member) -> &'static Member {
    static STRING_ITEM: Member = crate::schema::member("member", &scalar::STRING);
    match member.target.kind {
        Kind::List(item) => item,
        Kind::Map { value, .. } => value,
        _ => &STRING_ITEM,
    }
}

fn entry_of(member: &'static Member) -> (&'static Member, &'static Member) {
    static STRING_KEY: Member = crate::schema::member("key", &scalar::STRING);
    match member.target.kind {
        Kind::Map { key, value } => (key, value),
        _ => (&STRING_KEY, item_of(member)),
    }
}

/// A refused value, shortened for an error message.
pub(crate) fn echoed(text: &str) -> String {
    let max = limits::ECHOED_VALUE_CHARACTERS_MAX;
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

/// A refused list or map, worded as AWS does: `[a, b]`.
fn words_of(node: &Node<'_>) -> String {
    let mut text = String::new();
    append_words(node, &mut text);
    echoed(&text)
}

fn append_words(node: &Node<'_>, text: &mut String) {
    if text.len() > limits::ECHOED_VALUE_CHARACTERS_MAX * 4 {
        return;
    }
    match node {
        Node::Null => text.push_str("null"),
        Node::Boolean(value) => text.push_str(if *value { "true" } else { "false" }),
        Node::Integer(value) => text.push_str(&value.to_string()),
        Node::Number(value) => text.push_str(&value.to_string()),
        Node::String(value) => text.push_str(&echoed(value)),
        Node::Bytes(_) => text.push_str("[bytes]"),
        Node::Timestamp(at) => text.push_str(&at.to_string()),
        Node::List(items) => {
            text.push('[');
            // One more than can be shown is enough.
            for (index, item) in items.iter().take(limits::ECHOED_VALUE_CHARACTERS_MAX).enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                append_words(item, text);
            }
            text.push(']');
        }
        Node::Map(entries) => {
            text.push('{');
            for (index, (key, value)) in
                entries.iter().take(limits::ECHOED_VALUE_CHARACTERS_MAX).enumerate()
            {
                if index > 0 {
                    text.push_str(", ");
                }
                text.push_str(&echoed(key));
                text.push('=');
                append_words(value, text);
            }
            text.push('}');
        }
    }
}
