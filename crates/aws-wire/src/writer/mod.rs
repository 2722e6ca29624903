//! From shapes to bytes: one trait, one writer per format.

mod audit;
mod cbor;
mod debug;
mod json;
mod xml;

pub use audit::AuditWriter;
pub use cbor::CborWriter;
pub use debug::DebugWriter;
pub use json::JsonWriter;
pub use xml::XmlWriter;

use crate::schema::{Member, TimestampFormat};
use crate::timestamp::Timestamp;

/// A value without parts.
#[derive(Clone, Copy)]
pub enum Scalar<'a> {
    /// Only inside documents.
    Null,
    Boolean(bool),
    Integer(i64),
    Number(f64),
    String(&'a str),
    Blob(&'a [u8]),
    /// With the format that the model asks for, or the protocol's own.
    Timestamp(Timestamp, Option<TimestampFormat>),
}

/// Where a value stands in the one around it.
#[derive(Clone, Copy)]
pub enum Place<'a> {
    /// The whole input or output.
    Root,
    /// A member of a structure.
    Member(&'static Member),
    /// An item of the list that this member is.
    Item(&'static Member),
    /// An entry of the map that this member is, with its key.
    Entry(&'static Member, &'a str),
}

/// The kinds of values with parts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Collection {
    Structure,
    List,
    Map,
}

/// Receives a walk over a shape: `begin` and `end` in pairs, scalars between them.
pub trait Writer {
    fn begin(&mut self, place: Place<'_>, collection: Collection);
    fn end(&mut self, place: Place<'_>, collection: Collection);
    fn scalar(&mut self, place: Place<'_>, scalar: Scalar<'_>);
    /// Whether sensitive scalars are replaced before they get here.
    fn hides_sensitive(&self) -> bool {
        false
    }
}
