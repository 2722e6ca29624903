//! A shape with a member of every kind, as the code generator would write it.

use std::collections::BTreeMap;

use outport_aws_wire::{
    Blob, Document, Field, Kind, Member, OperationModel, Pattern, Protocol, Schema, ServiceModel,
    Shape, Target, Timestamp, WireError, coral_message, enumeration, member, scalar,
    structure_values, target, wide_enumeration,
};

enumeration! { Colour {
    Red = "RED",
    DeepBlue = "deep-blue",
} }

wide_enumeration! { Size {
    "s",
    "m",
} }

#[derive(Clone, Default)]
pub struct Sample {
    pub name: Option<String>,
    pub count: Option<i32>,
    pub big: Option<i64>,
    pub ratio: Option<f64>,
    pub flag: Option<bool>,
    pub at: Option<Timestamp>,
    pub bytes: Option<Blob>,
    pub colour: Option<Colour>,
    pub size: Option<Size>,
    pub names: Option<Vec<String>>,
    pub tags: Option<BTreeMap<String, String>>,
    pub children: Option<Vec<Sample>>,
    pub child: Option<Box<Sample>>,
    pub secret: Option<String>,
    pub document: Option<Document>,
}

static PATTERN_OF_NAME: Pattern = Pattern::new("[a-z]+");
static NAME: Target = target(Kind::String).length(Some(2), Some(5)).matching(&PATTERN_OF_NAME);
static COUNT: Target = target(Kind::Integer).length(Some(1), Some(10));
static COLOUR: Target = target(Kind::Enum(Colour::NAMES));
static SIZE: Target = target(Kind::Enum(Size::NAMES));
static SECRET: Target = target(Kind::String).sensitive();
static NAMES: Target = target(Kind::List(&member("member", &NAME))).length(None, Some(3));
static TAGS: Target =
    target(Kind::Map { key: &member("key", &NAME), value: &member("value", &scalar::STRING) });
static CHILDREN: Target = target(Kind::List(&member("member", &SAMPLE)));
static SAMPLE: Target = target(Kind::Structure(&SAMPLE_SCHEMA));

static MEMBERS: [Member; 15] = [
    member("name", &NAME),
    member("count", &COUNT),
    member("big", &scalar::LONG),
    member("ratio", &scalar::DOUBLE),
    member("flag", &scalar::BOOLEAN),
    member("at", &scalar::TIMESTAMP),
    member("bytes", &scalar::BLOB),
    member("colour", &COLOUR),
    member("size", &SIZE),
    member("names", &NAMES),
    member("tags", &TAGS),
    member("children", &CHILDREN),
    member("child", &SAMPLE),
    member("secret", &SECRET),
    member("document", &scalar::DOCUMENT),
];
static SAMPLE_SCHEMA: Schema = Schema { name: "Sample", members: &MEMBERS };

impl Shape for Sample {
    fn schema(&self) -> &'static Schema {
        &SAMPLE_SCHEMA
    }
    fn get(&self, index: usize) -> Option<&dyn Field> {
        Some(match index {
            0 => &self.name,
            1 => &self.count,
            2 => &self.big,
            3 => &self.ratio,
            4 => &self.flag,
            5 => &self.at,
            6 => &self.bytes,
            7 => &self.colour,
            8 => &self.size,
            9 => &self.names,
            10 => &self.tags,
            11 => &self.children,
            12 => &self.child,
            13 => &self.secret,
            14 => &self.document,
            _ => return None,
        })
    }
    fn get_mut(&mut self, index: usize) -> Option<&mut dyn Field> {
        Some(match index {
            0 => &mut self.name,
            1 => &mut self.count,
            2 => &mut self.big,
            3 => &mut self.ratio,
            4 => &mut self.flag,
            5 => &mut self.at,
            6 => &mut self.bytes,
            7 => &mut self.colour,
            8 => &mut self.size,
            9 => &mut self.names,
            10 => &mut self.tags,
            11 => &mut self.children,
            12 => &mut self.child,
            13 => &mut self.secret,
            14 => &mut self.document,
            _ => return None,
        })
    }
}

/// An input with one required member.
#[derive(Clone, Default)]
pub struct Demand {
    pub name: Option<String>,
    pub sample: Option<Sample>,
    pub few: Option<Vec<Sample>>,
}

static FEW: Target = target(Kind::List(&member("member", &SAMPLE))).length(None, Some(2));

static DEMAND_SCHEMA: Schema = Schema {
    name: "Demand",
    members: &[member("Name", &NAME).required(), member("sample", &SAMPLE), member("few", &FEW)],
};

impl Shape for Demand {
    fn schema(&self) -> &'static Schema {
        &DEMAND_SCHEMA
    }
    fn get(&self, index: usize) -> Option<&dyn Field> {
        Some(match index {
            0 => &self.name,
            1 => &self.sample,
            2 => &self.few,
            _ => return None,
        })
    }
    fn get_mut(&mut self, index: usize) -> Option<&mut dyn Field> {
        Some(match index {
            0 => &mut self.name,
            1 => &mut self.sample,
            2 => &mut self.few,
            _ => return None,
        })
    }
}

structure_values! { Sample Demand }

/// A sample with every member set.
pub fn full() -> Sample {
    let mut tags = BTreeMap::new();
    tags.insert("a&b".to_owned(), "<c>".to_owned());
    tags.insert("empty".to_owned(), String::new());
    Sample {
        name: Some("näme \"\\\u{1}\r\n\t\u{2028}".to_owned()),
        count: Some(-5),
        big: Some(i64::MIN),
        ratio: Some(0.1),
        flag: Some(false),
        at: Some(Timestamp::from_millis(1_767_323_045_678)),
        bytes: Some(Blob(vec![0, 255, 7])),
        colour: Some(Colour::DeepBlue),
        size: Size::from_name("m"),
        names: Some(vec!["b".to_owned(), String::new(), "a".to_owned()]),
        tags: Some(tags),
        children: Some(vec![Sample::default(), Sample { count: Some(1), ..Sample::default() }]),
        child: Some(Box::new(Sample { names: Some(Vec::new()), ..Sample::default() })),
        secret: Some("hunter2".to_owned()),
        document: None,
    }
}

pub static SERVICE: ServiceModel = ServiceModel {
    name: "test",
    service_id: "Test",
    full_name: "Test Service",
    signing_name: "test",
    target_prefix: "Test_2026",
    api_version: "2026-01-01",
    xml_namespace: "https://example.com/",
    namespace: "com.example.test",
    protocols: &[Protocol::Json11, Protocol::Query],
    is_query_compatible: true,
    operations: &[
        OperationModel {
            name: "Build",
            is_implemented: false,
            result_wrapper: "",
            is_anonymous: false,
        },
        OperationModel {
            name: "Call",
            is_implemented: true,
            result_wrapper: "CallResult",
            is_anonymous: false,
        },
    ],
    refuse_input: |_, violations| WireError::named("Refused", 400, coral_message(violations)),
};
