//! Lists, maps and boxed structures as values of members.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::error::WireError;
use crate::node::Node;
use crate::refused_value::{echoed, words_of};
use crate::schema::{Kind, Member, scalar};
use crate::service::Protocol;
use crate::shape::{Decoder, Value};
use crate::value::check_text;
use crate::violation::ViolationKind;
use crate::writer::{Collection, Place, Writer};

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
        let before = decoder.violation_count();
        for (index, item) in nodes.iter().enumerate() {
            // AWS drops null items of the (always dense) lists of these services.
            if matches!(item, Node::Null) {
                continue;
            }
            let decoded =
                decoder.within_item(index, |decoder| T::decode(item, item_member, decoder))?;
            items.extend(decoded);
        }
        if is_scalar(item_member) && decoder.violation_count() > before {
            let kind = ViolationKind::Items(ViolationKind::all_of(item_member.target));
            decoder.report_instead(before, words_of(node, member.target), kind);
        }
        let words = || words_of(node, member.target);
        decoder.check_length(&member.target.constraint, nodes.len(), words);
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
        let mut entries = map_entries(node, member, decoder)?;
        let mut map = BTreeMap::new();
        let count = entries.len();
        entries.retain(|(_, value)| !matches!(value, Node::Null));
        let before = decoder.violation_count();
        for (key, _) in &entries {
            decoder.within_entry(key, |decoder| check_text(key, key_member, decoder));
        }
        if decoder.violation_count() > before {
            let kind = ViolationKind::Keys(ViolationKind::all_of(key_member.target));
            decoder.report_instead(before, words_of(node, member.target), kind);
        }
        let before = decoder.violation_count();
        for (key, value) in entries {
            let decoded =
                decoder.within_entry(&key, |decoder| V::decode(value, value_member, decoder))?;
            if let Some(decoded) = decoded {
                map.insert(key.into_owned(), decoded);
            }
        }
        if is_scalar(value_member) && decoder.violation_count() > before {
            let kind = ViolationKind::Values(ViolationKind::all_of(value_member.target));
            decoder.report_instead(before, words_of(node, member.target), kind);
        }
        let words = || words_of(node, member.target);
        decoder.check_length(&member.target.constraint, count, words);
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

/// AWS names a list or map, and not its item or entry, when a scalar in it breaks a constraint.
fn is_scalar(member: &'static Member) -> bool {
    !matches!(member.target.kind, Kind::List(_) | Kind::Map { .. } | Kind::Structure(_))
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
        return Ok(entries
            .iter()
            .map(|(key, value)| (Cow::Borrowed(key.as_ref()), value))
            .collect());
    }
    let (key_member, value_member) = entry_of(member);
    let key_name =
        if key_member.location_name.is_empty() { "key" } else { key_member.location_name };
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
