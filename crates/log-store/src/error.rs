//! Why the log store refuses or fails.

use std::path::PathBuf;

use outport_model::TimestampMs;

/// A refusal (the caller's doing) or a fault (the disk's doing). [`LogStoreError::is_fault`] tells.
#[derive(Debug, thiserror::Error)]
pub enum LogStoreError {
    #[error("the log group does not exist")]
    GroupNotFound,
    /// The group is another one now, or has other tags: what was decided about it is not about what is there.
    #[error("the log group changed during the request; try again")]
    GroupChanged,
    #[error("the log group already exists")]
    GroupExists,
    #[error("there are {max} log groups, and no more are taken")]
    TooManyGroups { max: u64 },
    #[error("the log stream does not exist")]
    StreamNotFound,
    #[error("the log stream already exists")]
    StreamExists,
    #[error("{name:?} is not a valid {kind}")]
    InvalidName { kind: &'static str, name: String },
    #[error("a log group has at most {max} tags")]
    TooManyTags { max: usize },
    #[error("the token was not made by this operation for this log group or stream")]
    InvalidToken,
    #[error(transparent)]
    Batch(#[from] BatchRefusal),
    #[error(transparent)]
    Shipment(#[from] ShipmentRefusal),

    /// The bytes on disk are not what was written. What they held is not answered.
    #[error("{path} is damaged at byte {offset}: {what}")]
    Damaged { path: PathBuf, offset: u64, what: &'static str },
    #[error("{path}: {source}")]
    Disk { path: PathBuf, source: std::io::Error },
    #[error("no space left on the disk of the log catalog")]
    CatalogFull,
    /// No more events are taken; those that are there can be read and deleted.
    #[error("no room for log events: {0}")]
    Full(String),
    #[error("log catalog: {0}")]
    Catalog(#[source] rusqlite::Error),
    #[error("the log store in {path} is of version {found}, this program knows {known}")]
    NewerVersion { path: PathBuf, found: i64, known: i64 },
    /// Another appender's write failed in the same group; nothing of this batch was kept.
    #[error("log events could not be written: {0}")]
    WriteFailed(String),
    #[error("the log store is closed")]
    Closed,
}

impl LogStoreError {
    /// True when the store or its disk failed, false when the caller asked for the impossible.
    pub fn is_fault(&self) -> bool {
        matches!(
            self,
            Self::Damaged { .. }
                | Self::Disk { .. }
                | Self::CatalogFull
                | Self::Full(_)
                | Self::Catalog(_)
                | Self::NewerVersion { .. }
                | Self::WriteFailed(_)
                | Self::Closed
        )
    }
}

impl From<rusqlite::Error> for LogStoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::CatalogFull,
            _ => Self::Catalog(error),
        }
    }
}

/// Why a whole `PutLogEvents` batch is refused. Nothing of it is kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchRefusal {
    #[error("the batch has no events")]
    Empty,
    #[error("the batch has {events} events, at most {max} are taken")]
    TooManyEvents { events: usize, max: usize },
    #[error("the batch has {bytes} bytes, at most {max} are taken")]
    TooManyBytes { bytes: usize, max: usize },
    #[error("an event has {bytes} bytes, at most {max} are taken")]
    EventTooLarge { bytes: usize, max: usize },
    #[error("the events are not in chronological order")]
    NotChronological,
    #[error("the events span more than 24 hours")]
    SpanTooLong,
    #[error("{timestamp_ms} is not a time")]
    InvalidTimestamp { timestamp_ms: TimestampMs },
}

/// Why a shipment from a node is refused. Nothing of it is kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShipmentRefusal {
    /// Bytes are missing between what is committed and what came. Ship from `committed` on.
    #[error("the shipment starts after the committed cursor {committed}")]
    Gap { committed: u64 },
    #[error("the cursors of a shipment must rise from `from_cursor` to `to_cursor`")]
    CursorsNotRising,
    #[error("the shipment has {events} events, at most {max} are taken")]
    TooManyEvents { events: usize, max: usize },
    #[error("the shipment has {bytes} bytes, at most {max} are taken")]
    TooManyBytes { bytes: usize, max: usize },
    #[error("an event has {bytes} bytes, at most {max} are taken")]
    EventTooLarge { bytes: usize, max: usize },
    #[error("{timestamp_ms} is not a time")]
    InvalidTimestamp { timestamp_ms: TimestampMs },
}
