//! The fact file of a service: what botocore's model says, without documentation.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

/// A fact file and the choice of operations beside it.
pub struct Facts {
    pub choice: Choice,
    root: Value,
}

/// `ops.toml`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// Short name, also the folder and the IAM prefix.
    pub service: String,
    /// Folder of the model in botocore's `data`, such as `ecs/2014-11-13`.
    pub model: String,
    /// Start of the names of the handler trait and the error type.
    pub prefix: String,
    /// Smithy namespace.
    pub namespace: String,
    /// Keep only the facts that the implemented operations need.
    #[serde(default)]
    pub facts_of_implemented_only: bool,
    pub implemented: Vec<String>,
}

/// A shape of the model.
#[derive(Clone, Copy)]
pub struct ShapeFacts<'f> {
    pub name: &'f str,
    value: &'f Value,
}

/// A reference from one shape to another.
#[derive(Clone, Copy)]
pub struct MemberFacts<'f> {
    pub name: &'f str,
    value: &'f Value,
    pub is_required: bool,
}

/// An operation of the model.
#[derive(Clone, Copy)]
pub struct OperationFacts<'f> {
    pub name: &'f str,
    value: &'f Value,
}

impl Choice {
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("ops.toml");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }
}

impl Facts {
    /// Reads `facts/<service>.json` and `ops.toml` of the crate in `folder`.
    pub fn read(folder: &Path) -> Result<Self> {
        let choice = Choice::read(folder)?;
        let path = folder.join("facts").join(format!("{}.json", choice.service));
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let mut root = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        give_exceptions_messages(&mut root);
        let facts = Self { choice, root };
        for operation in &facts.choice.implemented {
            if facts.operation(operation).is_none() {
                bail!("{}: the model has no operation {operation}", path.display());
            }
        }
        Ok(facts)
    }

    pub fn source(&self, key: &str) -> &str {
        text(&self.root["source"], key)
    }

    pub fn metadata(&self, key: &str) -> &str {
        text(&self.root["metadata"], key)
    }

    pub fn has_metadata(&self, key: &str) -> bool {
        !self.root["metadata"][key].is_null()
    }

    pub fn protocols(&self) -> Vec<&str> {
        self.root["metadata"]["protocols"]
            .as_array()
            .map_or_else(Vec::new, |protocols| protocols.iter().filter_map(Value::as_str).collect())
    }

    /// All operations by name.
    pub fn operations(&self) -> Vec<OperationFacts<'_>> {
        let mut operations: Vec<_> = entries(&self.root["operations"])
            .map(|(name, value)| OperationFacts { name, value })
            .collect();
        operations.sort_by_key(|operation| operation.name);
        operations
    }

    pub fn operation(&self, name: &str) -> Option<OperationFacts<'_>> {
        let (name, value) = self.root["operations"].as_object()?.get_key_value(name)?;
        Some(OperationFacts { name, value })
    }

    /// Implemented operations by name.
    pub fn implemented(&self) -> Vec<OperationFacts<'_>> {
        let mut operations = self.operations();
        operations.retain(|operation| self.is_implemented(operation.name));
        operations
    }

    pub fn is_implemented(&self, operation: &str) -> bool {
        self.choice.implemented.iter().any(|name| name == operation)
    }

    pub fn shape(&self, name: &str) -> Result<ShapeFacts<'_>> {
        let shapes = self.root["shapes"].as_object().context("no shapes")?;
        let (name, value) =
            shapes.get_key_value(name).with_context(|| format!("no shape {name}"))?;
        Ok(ShapeFacts { name, value })
    }

    /// All exceptions in model order.
    pub fn exceptions(&self) -> Vec<ShapeFacts<'_>> {
        let shapes = entries(&self.root["shapes"]).map(|(name, value)| ShapeFacts { name, value });
        shapes.filter(ShapeFacts::is_exception).collect()
    }

    /// The shapes that the implemented operations and the exceptions reach, in model order.
    pub fn closure(&self) -> Result<Vec<ShapeFacts<'_>>> {
        let mut wanted = BTreeSet::new();
        let mut open: Vec<&str> = self.exceptions().iter().map(|shape| shape.name).collect();
        for operation in self.implemented() {
            open.extend(operation.input());
            open.extend(operation.output());
        }
        while let Some(name) = open.pop() {
            let shape = self.shape(name)?;
            if wanted.insert(shape.name) {
                open.extend(shape.references().iter().map(|member| member.target()));
            }
        }
        let shapes = entries(&self.root["shapes"]).map(|(name, value)| ShapeFacts { name, value });
        Ok(shapes.filter(|shape| wanted.contains(shape.name)).collect())
    }
}

impl<'f> OperationFacts<'f> {
    pub fn input(self) -> Option<&'f str> {
        self.value["input"]["shape"].as_str()
    }
    pub fn output(self) -> Option<&'f str> {
        self.value["output"]["shape"].as_str()
    }
    pub fn result_wrapper(self) -> &'f str {
        text(&self.value["output"], "resultWrapper")
    }
    pub fn is_anonymous(self) -> bool {
        text(self.value, "authtype") == "none"
    }
}

impl<'f> ShapeFacts<'f> {
    pub fn kind(self) -> &'f str {
        text(self.value, "type")
    }
    pub fn is_exception(&self) -> bool {
        self.value["exception"] == Value::Bool(true)
    }
    pub fn is_document(self) -> bool {
        self.value["document"] == Value::Bool(true)
    }
    pub fn is_sensitive(self) -> bool {
        self.value["sensitive"] == Value::Bool(true)
    }
    pub fn is_flattened(self) -> bool {
        self.value["flattened"] == Value::Bool(true)
    }
    pub fn is_fault(self) -> bool {
        self.value["fault"] == Value::Bool(true)
    }
    pub fn min(self) -> Option<i64> {
        limit(&self.value["min"])
    }
    pub fn max(self) -> Option<i64> {
        limit(&self.value["max"])
    }
    pub fn pattern(self) -> Option<&'f str> {
        self.value["pattern"].as_str()
    }
    pub fn timestamp_format(self) -> Option<&'f str> {
        self.value["timestampFormat"].as_str()
    }
    /// Names of an enum.
    pub fn names(self) -> Option<Vec<&'f str>> {
        let names = self.value["enum"].as_array()?;
        Some(names.iter().filter_map(Value::as_str).collect())
    }
    /// Code on the wire of an exception.
    pub fn error_code(self) -> &'f str {
        self.value["error"]["code"].as_str().unwrap_or(self.name)
    }
    /// HTTP status of an exception: the model's, or else 500 for faults and 400 for the rest.
    pub fn error_status(self) -> u64 {
        let default = if self.is_fault() { 500 } else { 400 };
        self.value["error"]["httpStatusCode"].as_u64().unwrap_or(default)
    }

    /// Members of a structure in model order.
    pub fn members(self) -> Vec<MemberFacts<'f>> {
        let required = self.value["required"].as_array();
        let is_required = |name: &str| {
            required.is_some_and(|required| required.iter().any(|member| member == name))
        };
        entries(&self.value["members"])
            .map(|(name, value)| MemberFacts { name, value, is_required: is_required(name) })
            .collect()
    }

    /// `member` of a list, `key` and `value` of a map.
    pub fn part(self, name: &'static str) -> Result<MemberFacts<'f>> {
        match &self.value[name] {
            Value::Null => bail!("{} has no {name}", self.name),
            value => Ok(MemberFacts { name, value, is_required: false }),
        }
    }

    /// Everything that this shape points at.
    pub fn references(self) -> Vec<MemberFacts<'f>> {
        let parts = ["member", "key", "value"].into_iter().filter_map(|part| self.part(part).ok());
        self.members().into_iter().chain(parts).collect()
    }
}

impl<'f> MemberFacts<'f> {
    pub fn target(self) -> &'f str {
        text(self.value, "shape")
    }
    pub fn location_name(self) -> &'f str {
        text(self.value, "locationName")
    }
    pub fn query_name(self) -> &'f str {
        text(self.value, "queryName")
    }
    pub fn is_flattened(self) -> bool {
        self.value["flattened"] == Value::Bool(true)
    }
    pub fn is_idempotency_token(self) -> bool {
        self.value["idempotencyToken"] == Value::Bool(true)
    }
    pub fn is_xml_attribute(self) -> bool {
        self.value["xmlAttribute"] == Value::Bool(true)
    }
    pub fn timestamp_format(self) -> Option<&'f str> {
        self.value["timestampFormat"].as_str()
    }
}

/// Some exceptions have no message in the model, but AWS sends one with every error.
fn give_exceptions_messages(root: &mut Value) {
    const MESSAGE_SHAPE: &str = "ErrorMessageText";
    let Some(shapes) = root["shapes"].as_object_mut() else { return };
    for shape in shapes.values_mut().filter(|shape| shape["exception"] == Value::Bool(true)) {
        if let Some(members) = shape["members"].as_object_mut()
            && !members.keys().any(|name| name.eq_ignore_ascii_case("message"))
        {
            members.insert("message".to_owned(), json!({ "shape": MESSAGE_SHAPE }));
        }
    }
    shapes.insert(MESSAGE_SHAPE.to_owned(), json!({ "type": "string" }));
}

fn text<'f>(value: &'f Value, key: &str) -> &'f str {
    value[key].as_str().unwrap_or_default()
}

fn limit(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_f64().map(|limit| limit as i64))
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}
