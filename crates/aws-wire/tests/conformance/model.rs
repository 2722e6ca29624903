//! Tables made from the model in a case.

use std::cell::RefCell;
use std::collections::HashMap;

use outport_aws_wire::{Kind, Member, Schema, Target, TimestampFormat, member, target};
use serde_json::Value;

/// Recursive shapes are unrolled this often.
const RECURSION_MAX: usize = 10;

pub struct Model {
    shapes: Value,
    /// By name and depth: shapes that hold each other would otherwise be made again and again.
    schemas: RefCell<HashMap<(String, usize), &'static Schema>>,
}

impl Model {
    pub fn new(shapes: Value) -> Self {
        Self { shapes, schemas: RefCell::default() }
    }

    /// The table of a structure; an empty one without a name.
    pub fn schema(&self, name: Option<&str>) -> &'static Schema {
        match name {
            Some(name) => self.schema_at(name, 0),
            None => Box::leak(Box::new(Schema { name: "Unit", members: &[] })),
        }
    }

    fn schema_at(&self, name: &str, depth: usize) -> &'static Schema {
        let place = (name.to_owned(), depth);
        let known = self.schemas.borrow().get(&place).copied();
        known.unwrap_or_else(|| {
            let schema = self.new_schema(name, depth);
            self.schemas.borrow_mut().insert(place, schema);
            schema
        })
    }

    fn new_schema(&self, name: &str, depth: usize) -> &'static Schema {
        let shape = &self.shapes[name];
        let members = shape["members"].as_object().unwrap();
        let required = shape["required"].as_array();
        let members: Vec<Member> = members
            .iter()
            .filter(|_| depth < RECURSION_MAX)
            .map(|(member, value)| {
                let mut member = self.member(member, value, depth);
                member.is_required =
                    required.is_some_and(|names| names.contains(&member.name.into()));
                member
            })
            .collect();
        Box::leak(Box::new(Schema { name: leaked(name), members: members.leak() }))
    }

    fn member(&self, name: &str, value: &Value, depth: usize) -> Member {
        let shape = &self.shapes[value["shape"].as_str().unwrap()];
        let mut table = member(leaked(name), self.target(value, depth));
        table.location_name = leaked(value["locationName"].as_str().unwrap_or_default());
        table.query_name = leaked(value["queryName"].as_str().unwrap_or_default());
        table.is_flattened = value["flattened"] == true || shape["flattened"] == true;
        table
    }

    fn target(&self, reference: &Value, depth: usize) -> &'static Target {
        let name = reference["shape"].as_str().unwrap();
        let shape = &self.shapes[name];
        let format = reference["timestampFormat"].as_str().or(shape["timestampFormat"].as_str());
        let part = |part: &'static str| -> &'static Member {
            Box::leak(Box::new(self.member(part, &shape[part], depth)))
        };
        let kind = match shape["type"].as_str().unwrap() {
            "structure" if shape["document"] == true => Kind::Document,
            "structure" => Kind::Structure(self.schema_at(name, depth + 1)),
            "list" => Kind::List(part("member")),
            "map" => Kind::Map { key: part("key"), value: part("value") },
            "string" | "character" => Kind::String,
            "boolean" => Kind::Boolean,
            "integer" => Kind::Integer,
            "long" => Kind::Long,
            "float" => Kind::Float,
            "double" => Kind::Double,
            "blob" => Kind::Blob,
            "timestamp" => Kind::Timestamp,
            other => panic!("unknown kind {other}"),
        };
        let mut table = target(kind);
        table.timestamp_format = format.map(|format| match format {
            "iso8601" => TimestampFormat::Iso8601,
            "unixTimestamp" => TimestampFormat::EpochSeconds,
            "rfc822" => TimestampFormat::HttpDate,
            other => panic!("unknown timestamp format {other}"),
        });
        Box::leak(Box::new(table))
    }
}

fn leaked(text: &str) -> &'static str {
    text.to_owned().leak()
}
