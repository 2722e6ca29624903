//! The wire of AWS's RPC protocols: what a shape looks like as awsJson 1.0/1.1, query, ec2 and rpc-v2-cbor.
//!
//! A generated struct describes itself with a `static` table ([`Schema`]) and gives access to its fields through
//! the object-safe [`Shape`]. Everything else is written once, here: readers turn bytes into a [`Node`], a walk over
//! the table turns the node into the struct and collects violations of its constraints, and writers walk the struct
//! back into bytes. One typed handler therefore answers every protocol in the same way.
//!
//! **Invariant:** pure. No clock, file, network or random number is used, and no input makes this crate panic or
//! allocate more than a small multiple of the bytes it was given (see [`limits`]).

mod collection;
mod common_error;
mod enumeration;
mod error;
mod exchange;
pub mod limits;
mod node;
mod path;
mod pattern;
mod reader;
mod refused_value;
mod schema;
mod service;
mod shape;
mod storage;
mod timestamp;
mod value;
mod violation;
mod writer;

pub use common_error::CommonError;
pub use error::{ErrorCode, Fault, WireError};
pub use exchange::{Exchange, Record, Reply, Request};
pub use node::Node;
pub use path::Path;
pub use pattern::Pattern;
pub use reader::form_parameter;
pub use schema::{
    Constraint, Kind, Member, Schema, Target, TimestampFormat, member, scalar, target,
};
pub use service::{OperationModel, Protocol, ServiceModel};
pub use shape::{Decoder, Field, Shape, Value, debug_shape, read_structure, write_structure};
pub use storage::{equal, from_json, to_json};
pub use timestamp::Timestamp;
pub use value::{Blob, Document};
pub use violation::{Violation, ViolationKind, coral_message};
pub use writer::{AuditWriter, Collection, Place, Scalar, Writer};

/// What the macros of this crate expand to. Not for use by hand.
#[doc(hidden)]
pub mod generated {
    pub use crate::enumeration::decode_name;
}
