//! Reads XML answers as botocore does, independently of the writers.

use std::collections::BTreeMap;

use base64::Engine as _;
use outport_aws_wire::{Blob, Kind, Member, Schema, Timestamp};
use roxmltree::Node as Element;

use crate::dynamic::{Dynamic, Structure};

/// The members of a structure from the children of `element`.
pub fn structure(schema: &'static Schema, element: Element<'_, '_>) -> Structure {
    let mut read = Structure::empty(schema);
    for (index, member) in schema.members.iter().enumerate() {
        read.set(index, value(member, element));
    }
    read
}

/// The child of `element` with this name.
pub fn child<'a, 'i>(element: Element<'a, 'i>, name: &str) -> Option<Element<'a, 'i>> {
    element.children().find(|child| child.tag_name().name() == name)
}

pub fn text(element: Element<'_, '_>) -> String {
    element.children().filter(Element::is_text).filter_map(|text| text.text()).collect()
}

fn value(member: &Member, parent: Element<'_, '_>) -> Option<Dynamic> {
    let name = member.wire_name();
    let is_named = |child: &Element<'_, '_>| child.tag_name().name() == name;
    match member.target.kind {
        Kind::List(item) if member.is_flattened => {
            let items: Vec<Dynamic> = parent
                .children()
                .filter(is_named)
                .map(|child| scalar_or_part(item, child))
                .collect();
            (!items.is_empty()).then_some(Dynamic::List(items))
        }
        Kind::Map { key, value } if member.is_flattened => {
            let entries: BTreeMap<String, Dynamic> =
                parent.children().filter(is_named).map(|entry| pair(key, value, entry)).collect();
            (!entries.is_empty()).then_some(Dynamic::Map(entries))
        }
        _ => child(parent, name).map(|element| scalar_or_part(member, element)),
    }
}

fn scalar_or_part(member: &Member, element: Element<'_, '_>) -> Dynamic {
    let text = text(element);
    match member.target.kind {
        Kind::Structure(schema) => Dynamic::Structure(structure(schema, element)),
        Kind::List(item) => {
            let name = located(item, "member");
            let items = element.children().filter(|child| child.tag_name().name() == name);
            Dynamic::List(items.map(|child| scalar_or_part(item, child)).collect())
        }
        Kind::Map { key, value } => {
            let entries = element.children().filter(|child| child.tag_name().name() == "entry");
            Dynamic::Map(entries.map(|entry| pair(key, value, entry)).collect())
        }
        Kind::Boolean => Dynamic::Boolean(text == "true"),
        Kind::Integer => Dynamic::Integer(text.parse().unwrap()),
        Kind::Long => Dynamic::Long(text.parse().unwrap()),
        Kind::Float | Kind::Double => Dynamic::Number(text.parse().unwrap()),
        Kind::String | Kind::Enum(_) | Kind::Document => Dynamic::Text(text),
        Kind::Timestamp => Dynamic::Timestamp(Timestamp::parse(&text).unwrap()),
        Kind::Blob => {
            Dynamic::Blob(Blob(base64::engine::general_purpose::STANDARD.decode(text).unwrap()))
        }
    }
}

fn pair(key: &Member, value: &Member, entry: Element<'_, '_>) -> (String, Dynamic) {
    let name = text(child(entry, located(key, "key")).unwrap());
    (name, scalar_or_part(value, child(entry, located(value, "value")).unwrap()))
}

fn located(member: &Member, default: &'static str) -> &'static str {
    if member.location_name.is_empty() { default } else { member.location_name }
}
