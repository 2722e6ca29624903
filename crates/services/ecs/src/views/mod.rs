//! Rows as describes show them.
//!
//! **Invariant:** a view is a function of rows; it decides nothing. Lists that AWS always shows are there, empty.

pub mod cluster;
pub mod container_instance;

pub mod service;
pub mod service_deployment;
pub mod task;
pub mod task_definition;
pub mod task_protection;

use outport_aws_ecs::Failure;
use outport_aws_wire::Timestamp;
use outport_model::TimestampMs;

/// What every describe says of a thing that is not there.
pub const MISSING: &str = "MISSING";

/// An entry of `failures[]`.
pub fn failure(arn: impl Into<String>, reason: impl Into<String>) -> Failure {
    Failure { arn: Some(arn.into()), reason: Some(reason.into()), detail: None }
}

/// The failure of a thing that is not there: the ARN that was asked for, or `arn` when a name was.
///
/// Source: DescribeServices answers of AWS, as a public test suite expects them.
pub fn missing(asked: String, arn: String) -> Failure {
    let is_arn = asked.starts_with("arn:");
    failure(if is_arn { asked } else { arn }, MISSING)
}

/// A time, when there is one.
pub fn timestamp(at_ms: Option<TimestampMs>) -> Option<Timestamp> {
    at_ms.map(Timestamp::from_millis)
}

/// A count as the wire has it.
pub fn count(number: usize) -> Option<i32> {
    Some(i32::try_from(number).unwrap_or(i32::MAX))
}

/// A shape that a row keeps as text. Text of a later version that cannot be read is left out of the view.
pub fn stored<T: outport_aws_wire::Shape + Default>(text: &str) -> Option<T> {
    outport_aws_wire::from_json(text).ok()
}
