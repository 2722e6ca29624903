//! Rust types of shapes: enums and structures.

use std::fmt::Write as _;

use anyhow::{Result, bail};

use super::facts::{Facts, ShapeFacts};
use super::names;

/// Enums with more names are numbers into a list instead of variants.
const VARIANTS_MAX: usize = 64;

/// `enums.rs`.
pub fn enums(shapes: &[ShapeFacts<'_>]) -> Result<String> {
    let mut text = String::new();
    for shape in shapes {
        let Some(values) = shape.names() else { continue };
        let name = names::type_name(shape.name)?;
        let _ = if values.len() > VARIANTS_MAX {
            writeln!(text, "outport_aws_wire::wide_enumeration! {{ {name} {{")
        } else {
            writeln!(text, "outport_aws_wire::enumeration! {{ {name} {{")
        };
        for (variant, value) in names::variants(&values).iter().zip(&values) {
            let _ = if values.len() > VARIANTS_MAX {
                writeln!(text, "    {value:?},")
            } else {
                writeln!(text, "    {variant} = {value:?},")
            };
        }
        text.push_str("} }\n\n");
    }
    Ok(text)
}

/// The structures among `shapes`.
pub fn structures(facts: &Facts, shapes: &[ShapeFacts<'_>]) -> Result<String> {
    let mut text = String::new();
    for shape in shapes {
        let name = names::type_name(shape.name)?;
        let _ = writeln!(text, "#[derive(Clone, Default)]\npub struct {name} {{");
        for member in shape.members() {
            let target = facts.shape(member.target())?;
            let mut rust = rust_type(facts, target)?;
            if target.kind() == "structure" && holds(facts, target, shape.name)? {
                rust = format!("Box<{rust}>");
            }
            let _ = writeln!(text, "    pub {}: Option<{rust}>,", names::field(member.name));
        }
        text.push_str("}\n\n");
    }
    Ok(text)
}

/// The type of a value, without the `Option` of a member.
pub fn rust_type(facts: &Facts, shape: ShapeFacts<'_>) -> Result<String> {
    Ok(match shape.kind() {
        "string" if shape.names().is_some() => names::type_name(shape.name)?,
        "string" | "character" => "String".to_owned(),
        "boolean" => "bool".to_owned(),
        "integer" => "i32".to_owned(),
        "long" => "i64".to_owned(),
        "float" | "double" => "f64".to_owned(),
        "timestamp" => "Timestamp".to_owned(),
        "blob" => "Blob".to_owned(),
        "structure" if shape.is_document() => "Document".to_owned(),
        "structure" => names::type_name(shape.name)?,
        "list" => {
            let item = facts.shape(shape.part("member")?.target())?;
            format!("Vec<{}>", rust_type(facts, item)?)
        }
        "map" => {
            let value = facts.shape(shape.part("value")?.target())?;
            format!("BTreeMap<String, {}>", rust_type(facts, value)?)
        }
        kind => bail!("{}: shapes of type {kind} are not supported", shape.name),
    })
}

/// Whether a structure holds `wanted` without a list or map between, so that its size would be infinite.
fn holds(facts: &Facts, shape: ShapeFacts<'_>, wanted: &str) -> Result<bool> {
    let mut seen = vec![shape.name];
    let mut open = vec![shape];
    while let Some(shape) = open.pop() {
        if shape.name == wanted {
            return Ok(true);
        }
        for member in shape.members() {
            let target = facts.shape(member.target())?;
            if target.kind() == "structure" && !seen.contains(&target.name) {
                seen.push(target.name);
                open.push(target);
            }
        }
    }
    Ok(false)
}
