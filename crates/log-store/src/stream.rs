//! Log streams: what callers give and get.

use outport_model::TimestampMs;

use crate::names::LogStreamName;

/// A stream as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogStream {
    pub name: LogStreamName,
    pub created_ms: TimestampMs,
    /// The earliest and latest times of its events; `None` as long as it never had one.
    pub first_event_ms: Option<TimestampMs>,
    pub last_event_ms: Option<TimestampMs>,
    pub last_ingestion_ms: Option<TimestampMs>,
    /// AWS takes any token since 2023 and still answers one.
    pub upload_sequence_token: String,
}

/// The order of [`crate::LogStore::describe_streams`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamOrder {
    #[default]
    Name,
    /// By the time of the last event; streams without one count as the oldest.
    LastEventTime,
}

/// Which streams [`crate::LogStore::describe_streams`] answers.
#[derive(Clone, Debug, Default)]
pub struct StreamQuery {
    pub prefix: Option<String>,
    pub order: StreamOrder,
    pub descending: bool,
    /// Only streams behind this place.
    pub after: Option<StreamPlace>,
}

/// A place between two streams of an answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamPlace {
    pub last_event_ms: Option<TimestampMs>,
    pub name: String,
}

impl StreamPlace {
    /// The place right behind `stream`.
    pub fn behind(stream: &LogStream) -> Self {
        Self { last_event_ms: stream.last_event_ms, name: stream.name.as_str().to_owned() }
    }
}

/// Streams in the order that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamPage {
    pub streams: Vec<LogStream>,
    /// There are more behind the last of them.
    pub more: bool,
}
