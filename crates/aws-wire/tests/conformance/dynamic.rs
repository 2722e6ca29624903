//! A shape whose table is known at run time only.

use std::collections::BTreeMap;

use outport_aws_wire::{
    Blob, Decoder, Document, Field, Kind, Member, Node, Place, Schema, Shape, Timestamp, Value,
    WireError, Writer, read_structure, write_structure,
};
use serde_json::Value as Json;

pub struct Structure {
    schema: &'static Schema,
    fields: Vec<Option<Dynamic>>,
}

pub enum Dynamic {
    Boolean(bool),
    Integer(i32),
    Long(i64),
    Number(f64),
    Text(String),
    Timestamp(Timestamp),
    Blob(Blob),
    Document(Document),
    List(Vec<Dynamic>),
    Map(BTreeMap<String, Dynamic>),
    Structure(Structure),
}

impl Structure {
    pub fn empty(schema: &'static Schema) -> Self {
        Self { schema, fields: schema.members.iter().map(|_| None).collect() }
    }

    pub fn set(&mut self, index: usize, value: Option<Dynamic>) {
        self.fields[index] = value;
    }

    /// From the `params`, `result` or `error` of a case: blobs are plain text there, timestamps epoch seconds.
    pub fn from_case(schema: &'static Schema, json: &Json) -> Self {
        let mut structure = Self::empty(schema);
        for (name, value) in json.as_object().unwrap() {
            let index = schema.members.iter().position(|member| member.name == name);
            let index = index.unwrap_or_else(|| panic!("{} has no member {name}", schema.name));
            structure.fields[index] = Dynamic::from_case(schema.members[index].target.kind, value);
        }
        structure
    }
}

impl Dynamic {
    /// `None` for null.
    pub fn from_case(kind: Kind, json: &Json) -> Option<Self> {
        if json.is_null() {
            return None;
        }
        Some(match kind {
            Kind::Boolean => Dynamic::Boolean(json.as_bool().unwrap()),
            Kind::Integer => Dynamic::Integer(json.as_i64().unwrap() as i32),
            Kind::Long => Dynamic::Long(json.as_i64().unwrap()),
            Kind::Float | Kind::Double => Dynamic::Number(match json.as_str() {
                Some("NaN") => f64::NAN,
                Some("Infinity") => f64::INFINITY,
                Some("-Infinity") => f64::NEG_INFINITY,
                Some(other) => panic!("{other} is no number"),
                None => json.as_f64().unwrap(),
            }),
            Kind::String | Kind::Enum(_) => Dynamic::Text(json.as_str().unwrap().to_owned()),
            Kind::Timestamp => {
                Dynamic::Timestamp(Timestamp::from_epoch_seconds(json.as_f64().unwrap()).unwrap())
            }
            Kind::Blob => Dynamic::Blob(Blob(json.as_str().unwrap().as_bytes().to_vec())),
            Kind::Document => Dynamic::Document(Document(document(json))),
            Kind::List(item) => {
                let items = json.as_array().unwrap().iter();
                Dynamic::List(
                    items.filter_map(|json| Self::from_case(item.target.kind, json)).collect(),
                )
            }
            Kind::Map { value, .. } => {
                let entries = json.as_object().unwrap().iter().filter_map(|(key, json)| {
                    Some((key.clone(), Self::from_case(value.target.kind, json)?))
                });
                Dynamic::Map(entries.collect())
            }
            Kind::Structure(schema) => Dynamic::Structure(Structure::from_case(schema, json)),
        })
    }
}

fn document(json: &Json) -> Node<'static> {
    match json {
        Json::Null => Node::Null,
        Json::Bool(value) => Node::Boolean(*value),
        Json::Number(number) => {
            number.as_i64().map_or_else(|| Node::Number(number.as_f64().unwrap()), Node::Integer)
        }
        Json::String(text) => Node::String(text.clone().into()),
        Json::Array(items) => Node::List(items.iter().map(document).collect()),
        Json::Object(entries) => Node::Map(
            entries.iter().map(|(key, value)| (key.clone().into(), document(value))).collect(),
        ),
    }
}

impl Shape for Structure {
    fn schema(&self) -> &'static Schema {
        self.schema
    }
    fn get(&self, index: usize) -> Option<&dyn Field> {
        self.fields.get(index).map(|field| field as &dyn Field)
    }
    fn get_mut(&mut self, index: usize) -> Option<&mut dyn Field> {
        self.fields.get_mut(index).map(|field| field as &mut dyn Field)
    }
}

impl Value for Dynamic {
    fn decode(
        node: &Node<'_>,
        member: &'static Member,
        decoder: &mut Decoder,
    ) -> Result<Option<Self>, WireError> {
        Ok(match member.target.kind {
            Kind::Boolean => bool::decode(node, member, decoder)?.map(Dynamic::Boolean),
            Kind::Integer => i32::decode(node, member, decoder)?.map(Dynamic::Integer),
            Kind::Long => i64::decode(node, member, decoder)?.map(Dynamic::Long),
            Kind::Float | Kind::Double => f64::decode(node, member, decoder)?.map(Dynamic::Number),
            Kind::String | Kind::Enum(_) => {
                String::decode(node, member, decoder)?.map(Dynamic::Text)
            }
            Kind::Timestamp => Timestamp::decode(node, member, decoder)?.map(Dynamic::Timestamp),
            Kind::Blob => Blob::decode(node, member, decoder)?.map(Dynamic::Blob),
            Kind::Document => Document::decode(node, member, decoder)?.map(Dynamic::Document),
            Kind::List(_) => Vec::decode(node, member, decoder)?.map(Dynamic::List),
            Kind::Map { .. } => BTreeMap::decode(node, member, decoder)?.map(Dynamic::Map),
            Kind::Structure(schema) => {
                let mut structure = Structure::empty(schema);
                read_structure(&mut structure, node, decoder)?;
                Some(Dynamic::Structure(structure))
            }
        })
    }

    fn encode(&self, place: Place<'_>, member: &'static Member, writer: &mut dyn Writer) {
        match self {
            Dynamic::Boolean(value) => value.encode(place, member, writer),
            Dynamic::Integer(value) => value.encode(place, member, writer),
            Dynamic::Long(value) => value.encode(place, member, writer),
            Dynamic::Number(value) => value.encode(place, member, writer),
            Dynamic::Text(value) => value.encode(place, member, writer),
            Dynamic::Timestamp(value) => value.encode(place, member, writer),
            Dynamic::Blob(value) => value.encode(place, member, writer),
            Dynamic::Document(value) => value.encode(place, member, writer),
            Dynamic::List(value) => value.encode(place, member, writer),
            Dynamic::Map(value) => value.encode(place, member, writer),
            Dynamic::Structure(value) => write_structure(value, place, writer),
        }
    }
}
