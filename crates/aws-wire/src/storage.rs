//! Shapes as JSON text for storage, comparison and fingerprints.
//!
//! **Invariant:** lossless, `from_json(&to_json(x)) == x`, and deterministic: equal shapes give equal text, so a hash
//! of the text is a fingerprint for idempotency tokens. Sensitive members are written as they are.

use crate::error::WireError;
use crate::reader;
use crate::shape::{Decoder, Shape, read_structure, write_structure};
use crate::writer::{JsonWriter, Place};

/// A shape as compact JSON with members in model order and map keys sorted.
pub fn to_json(shape: &dyn Shape) -> String {
    let mut writer = JsonWriter::default();
    write_structure(shape, Place::Root, &mut writer);
    writer.into_text()
}

/// Reads what [`to_json`] wrote, also by an earlier version: unknown members are ignored, constraints are not
/// checked again. Fails on text that is no JSON object, on a wrong type and on an unknown enum name.
pub fn from_json<T: Shape + Default>(text: &str) -> Result<T, WireError> {
    let node = reader::read_json(text.as_bytes())?;
    let mut shape = T::default();
    read_structure(&mut shape, &node, &mut Decoder::for_storage())?;
    Ok(shape)
}

/// Whether two shapes of one type have the same members with the same values.
pub fn equal(left: &dyn Shape, right: &dyn Shape) -> bool {
    std::ptr::eq(left.schema(), right.schema()) && to_json(left) == to_json(right)
}
