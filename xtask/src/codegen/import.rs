//! Makes fact files from the service models of botocore.
//!
//! `cargo xtask import-facts --botocore <folder of an unpacked botocore wheel>`: only needed to take a newer botocore.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use sha2::Digest as _;

use super::facts::Choice;

/// What is kept of the service, operations, shapes and members; documentation is not.
const METADATA: &[&str] = &[
    "apiVersion",
    "awsQueryCompatible",
    "endpointPrefix",
    "jsonVersion",
    "protocol",
    "protocols",
    "serviceFullName",
    "serviceId",
    "signingName",
    "targetPrefix",
    "xmlNamespace",
];
const OPERATION: &[&str] = &["input", "output", "errors", "authtype"];
const SHAPE: &[&str] = &[
    "type",
    "required",
    "members",
    "member",
    "key",
    "value",
    "min",
    "max",
    "pattern",
    "enum",
    "sensitive",
    "flattened",
    "document",
    "union",
    "exception",
    "fault",
    "error",
    "timestampFormat",
];
const MEMBER: &[&str] = &[
    "shape",
    "locationName",
    "queryName",
    "flattened",
    "idempotencyToken",
    "xmlAttribute",
    "timestampFormat",
    "resultWrapper",
];

/// Writes `facts/<service>.json` of the crate in `folder`.
pub fn import(folder: &Path, botocore: &Path) -> Result<()> {
    let choice = Choice::read(folder)?;
    let path = botocore.join("data").join(&choice.model).join("service-2.json.gz");
    let compressed = std::fs::read(&path).with_context(|| path.display().to_string())?;
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(compressed.as_slice())
        .read_to_end(&mut bytes)
        .with_context(|| path.display().to_string())?;
    let model: Value =
        serde_json::from_slice(&bytes).with_context(|| path.display().to_string())?;
    let source = json!({
        "project": "botocore",
        "version": version(botocore)?,
        "model": format!("{}/service-2.json", choice.model),
        "sha256": format!("{:x}", sha2::Sha256::digest(&bytes)),
    });
    let text = render(&choice, &model, &source);
    let target = folder.join("facts").join(format!("{}.json", choice.service));
    std::fs::create_dir_all(folder.join("facts"))?;
    std::fs::write(&target, text).with_context(|| target.display().to_string())
}

fn version(botocore: &Path) -> Result<String> {
    let path = botocore.join("__init__.py");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let line = text.lines().find_map(|line| line.strip_prefix("__version__ = '"));
    Ok(line.context("botocore has no version")?.trim_end_matches('\'').to_owned())
}

/// One line per operation and shape, so that a diff shows what a newer model changes.
fn render(choice: &Choice, model: &Value, source: &Value) -> String {
    let kept = choice.facts_of_implemented_only.then(|| closure(choice, model));
    let mut text = String::from("{\n");
    let _ = writeln!(text, "\"source\": {source},");
    let _ = writeln!(text, "\"metadata\": {},", keep(&model["metadata"], METADATA));
    let operations = members(&model["operations"]).map(|(name, value)| {
        let is_kept = kept.is_none() || choice.implemented.contains(name);
        (name, if is_kept { operation(value) } else { json!({}) })
    });
    section(&mut text, "operations", operations, ",");
    let shapes = members(&model["shapes"])
        .filter(|(name, _)| kept.as_ref().is_none_or(|kept| kept.contains(name.as_str())))
        .map(|(name, value)| (name, shape(value)));
    section(&mut text, "shapes", shapes, "");
    text.push_str("}\n");
    text
}

fn section<'m>(
    text: &mut String,
    title: &str,
    entries: impl Iterator<Item = (&'m String, Value)>,
    end: &str,
) {
    let lines: Vec<String> =
        entries.map(|(name, value)| format!("  {}: {value}", Value::from(name.as_str()))).collect();
    let _ = writeln!(text, "\"{title}\": {{\n{}\n}}{end}", lines.join(",\n"));
}

fn operation(value: &Value) -> Value {
    let mut kept = keep(value, OPERATION);
    for key in ["input", "output"] {
        if kept.get(key).is_some() {
            kept[key] = keep(&kept[key], MEMBER);
        }
    }
    if let Some(errors) = kept.get_mut("errors").and_then(Value::as_array_mut) {
        errors.iter_mut().for_each(|error| *error = error["shape"].clone());
    }
    kept
}

fn shape(value: &Value) -> Value {
    let mut kept = keep(value, SHAPE);
    for key in ["member", "key", "value"] {
        if kept.get(key).is_some() {
            kept[key] = keep(&kept[key], MEMBER);
        }
    }
    if let Some(members) = kept.get_mut("members").and_then(Value::as_object_mut) {
        members.values_mut().for_each(|member| *member = keep(member, MEMBER));
    }
    kept
}

fn closure<'m>(choice: &Choice, model: &'m Value) -> BTreeSet<&'m str> {
    let mut kept = BTreeSet::new();
    let mut open: Vec<&str> = choice
        .implemented
        .iter()
        .flat_map(|name| ["input", "output"].map(|part| &model["operations"][name][part]["shape"]))
        .filter_map(Value::as_str)
        .collect();
    while let Some(name) = open.pop() {
        if kept.insert(name) {
            let shape = &model["shapes"][name];
            let parts = ["member", "key", "value"].map(|part| &shape[part]["shape"]);
            let members = members(&shape["members"]).map(|(_, member)| &member["shape"]);
            open.extend(members.chain(parts).filter_map(Value::as_str));
        }
    }
    kept
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// The entries of `value` with these keys, in the order of `value`.
fn keep(value: &Value, keys: &[&str]) -> Value {
    let entries = members(value).filter(|(key, _)| keys.contains(&key.as_str()));
    Value::Object(entries.map(|(key, value)| (key.clone(), value.clone())).collect::<Map<_, _>>())
}
