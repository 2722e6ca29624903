//! The `static` tables of shapes and the jump tables of structures.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Context as _, Result, anyhow, bail};

use super::facts::{Facts, MemberFacts, ShapeFacts};
use super::names;

/// Patterns with look-around, which the `regex` crate does not have, and the same languages without it.
const TRANSLATED: &[(&str, &str)] = &[
    // No two hyphens in a row.
    ("^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$", "[a-z0-9](?:-?[a-z0-9])+"),
    // Something that is no space, on one line.
    (r"^(?!\s*$).+", r".*\S.*"),
];

/// `tables.rs`: a target per shape that another points at, a schema and a [`Shape`](outport_aws_wire::Shape) per structure.
pub fn tables(facts: &Facts, shapes: &[ShapeFacts<'_>]) -> Result<String> {
    let mut text = String::new();
    let references = shapes.iter().flat_map(|shape| shape.references());
    let referenced: BTreeSet<&str> = references.map(MemberFacts::target).collect();
    for shape in shapes {
        if referenced.contains(shape.name) {
            target(facts, *shape, &mut text).with_context(|| shape.name.to_owned())?;
        }
        if is_structure(*shape) {
            structure(facts, *shape, &mut text).with_context(|| shape.name.to_owned())?;
        }
    }
    let names: Result<Vec<String>> = shapes
        .iter()
        .filter(|shape| is_structure(**shape))
        .map(|shape| names::type_name(shape.name))
        .collect();
    let _ = writeln!(text, "structure_values! {{ {} }}", names?.join(" "));
    Ok(text)
}

pub fn is_structure(shape: ShapeFacts<'_>) -> bool {
    shape.kind() == "structure" && !shape.is_document()
}

/// The table of a value, unless it is one of the shared ones.
fn target(facts: &Facts, shape: ShapeFacts<'_>, text: &mut String) -> Result<()> {
    if shared_target(shape).is_some() {
        return Ok(());
    }
    let name = names::constant(shape.name);
    let mut expression = format!("target({})", kind(facts, shape)?);
    if shape.min().is_some() || shape.max().is_some() {
        let _ = write!(expression, ".length({:?}, {:?})", shape.min(), shape.max());
    }
    if let Some(pattern) = shape.pattern() {
        let new = pattern_constructor(pattern)?;
        let _ = writeln!(text, "static PATTERN_OF_{name}: Pattern = {new};");
        let _ = write!(expression, ".matching(&PATTERN_OF_{name})");
    }
    if shape.is_sensitive() {
        expression.push_str(".sensitive()");
    }
    if let Some(format) = shape.timestamp_format() {
        let _ = write!(expression, ".formatted({})", timestamp_format(format)?);
    }
    let _ = writeln!(text, "static {name}: Target = {expression};");
    Ok(())
}

fn kind(facts: &Facts, shape: ShapeFacts<'_>) -> Result<String> {
    Ok(match shape.kind() {
        "string" if shape.names().is_some() => {
            format!("Kind::Enum({}::NAMES)", names::type_name(shape.name)?)
        }
        "string" | "character" => "Kind::String".to_owned(),
        "boolean" => "Kind::Boolean".to_owned(),
        "integer" => "Kind::Integer".to_owned(),
        "long" => "Kind::Long".to_owned(),
        "float" => "Kind::Float".to_owned(),
        "double" => "Kind::Double".to_owned(),
        "timestamp" => "Kind::Timestamp".to_owned(),
        "blob" => "Kind::Blob".to_owned(),
        "structure" if shape.is_document() => "Kind::Document".to_owned(),
        "structure" => format!("Kind::Structure(&{}_SCHEMA)", names::constant(shape.name)),
        "list" => format!("Kind::List(&{})", member(facts, shape.part("member")?)?),
        "map" => format!(
            "Kind::Map {{ key: &{}, value: &{} }}",
            member(facts, shape.part("key")?)?,
            member(facts, shape.part("value")?)?
        ),
        kind => bail!("shapes of type {kind} are not supported"),
    })
}

/// The expression for a member, item, key or value.
fn member(facts: &Facts, member: MemberFacts<'_>) -> Result<String> {
    let shape = facts.shape(member.target())?;
    let target = match shared_target(shape) {
        Some(shared) => format!("scalar::{shared}"),
        None => names::constant(shape.name),
    };
    if member.timestamp_format().is_some() {
        bail!("timestamp formats of members are not supported, only those of shapes");
    }
    let mut expression = format!("member({:?}, &{target})", member.name);
    if !member.location_name().is_empty() {
        let _ = write!(expression, ".located({:?})", member.location_name());
    }
    if !member.query_name().is_empty() {
        let _ = write!(expression, ".queried({:?})", member.query_name());
    }
    if member.is_required {
        expression.push_str(".required()");
    }
    if member.is_flattened() || shape.is_flattened() {
        expression.push_str(".flattened()");
    }
    if member.is_idempotency_token() {
        expression.push_str(".idempotency_token()");
    }
    if member.is_xml_attribute() {
        expression.push_str(".xml_attribute()");
    }
    Ok(expression)
}

/// Scalars without constraints share a table.
fn shared_target(shape: ShapeFacts<'_>) -> Option<&'static str> {
    let is_plain = shape.names().is_none()
        && shape.min().is_none()
        && shape.max().is_none()
        && shape.pattern().is_none()
        && shape.timestamp_format().is_none()
        && !shape.is_sensitive();
    match shape.kind() {
        _ if !is_plain => None,
        "string" | "character" => Some("STRING"),
        "boolean" => Some("BOOLEAN"),
        "integer" => Some("INTEGER"),
        "long" => Some("LONG"),
        "float" => Some("FLOAT"),
        "double" => Some("DOUBLE"),
        "timestamp" => Some("TIMESTAMP"),
        "blob" => Some("BLOB"),
        "structure" if shape.is_document() => Some("DOCUMENT"),
        _ => None,
    }
}

/// Fails on a pattern that does not compile and has no translation.
fn pattern_constructor(pattern: &str) -> Result<String> {
    if let Some((_, translation)) = TRANSLATED.iter().find(|(original, _)| *original == pattern) {
        return Ok(format!("Pattern::translated({pattern:?}, {translation:?})"));
    }
    outport_aws_wire::Pattern::check(pattern).map_err(|problem| {
        anyhow!(
            "the pattern {pattern} needs a translation in xtask/src/codegen/tables.rs: {problem}"
        )
    })?;
    Ok(format!("Pattern::new({pattern:?})"))
}

fn timestamp_format(format: &str) -> Result<&'static str> {
    Ok(match format {
        "unixTimestamp" => "TimestampFormat::EpochSeconds",
        "iso8601" => "TimestampFormat::Iso8601",
        "rfc822" => "TimestampFormat::HttpDate",
        _ => bail!("unknown timestamp format {format}"),
    })
}

fn structure(facts: &Facts, shape: ShapeFacts<'_>, text: &mut String) -> Result<()> {
    let constant = names::constant(shape.name);
    let name = names::type_name(shape.name)?;
    let members = shape.members();
    let _ = write!(
        text,
        "static {constant}_SCHEMA: Schema = Schema {{ name: {:?}, members: &[",
        shape.name
    );
    for entry in &members {
        let _ = write!(text, "\n    {},", member(facts, *entry)?);
    }
    text.push_str(if members.is_empty() { "] };\n" } else { "\n] };\n" });
    let _ = writeln!(text, "impl Shape for {name} {{");
    let _ = writeln!(text, "    fn schema(&self) -> &'static Schema {{ &{constant}_SCHEMA }}");
    for (signature, reference) in [
        ("get(&self, index: usize) -> Option<&dyn Field>", "&self"),
        ("get_mut(&mut self, index: usize) -> Option<&mut dyn Field>", "&mut self"),
    ] {
        if members.is_empty() {
            let _ = writeln!(text, "    fn {} {{ None }}", signature.replace("index", "_"));
            continue;
        }
        let _ = writeln!(text, "    fn {signature} {{ Some(match index {{");
        for (index, member) in members.iter().enumerate() {
            let _ = writeln!(text, "        {index} => {reference}.{},", names::field(member.name));
        }
        text.push_str("        _ => return None,\n    }) }\n");
    }
    text.push_str("}\n\n");
    Ok(())
}
