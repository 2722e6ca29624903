//! Why the log store refuses or fails.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use outport_acknowledged::DatabaseError;
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

    /// The bytes on disk are not what was written, or not all that was acknowledged. What they held is not answered.
    #[error("{path} is damaged{}: {what}; {}", at(.offset), what_to_do(.path))]
    Damaged { path: PathBuf, offset: Option<u64>, what: Cow<'static, str> },
    /// The last changes of the catalog that were acknowledged are missing; `count` is the file that knows of them.
    #[error(
        "{path} is damaged: {what}; restore its directory from a backup, or remove {count}: the log groups and streams \
         that were made or changed with them are lost then, and the events that were packed"
    )]
    Behind { path: PathBuf, what: String, count: PathBuf },
    #[error("{path}: {source}")]
    Disk { path: PathBuf, source: std::io::Error },
    #[error("no space left on the disk of the log catalog")]
    CatalogFull,
    /// No more events are taken; those that are there can be read and deleted.
    #[error("no room for log events: {0}")]
    Full(String),
    #[error("log catalog: {0}")]
    Catalog(#[source] rusqlite::Error),
    #[error(
        "the log store in {path} is of version {found}, this program knows {known}: start the version that wrote it"
    )]
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
                | Self::Behind { .. }
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

impl LogStoreError {
    /// Says of which file SQLite speaks when it meets damage.
    pub(crate) fn in_file(self, path: &Path) -> Self {
        match self {
            Self::Catalog(error) => DatabaseError::in_use(path, error).into(),
            other => other,
        }
    }
}

impl From<DatabaseError> for LogStoreError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Damaged { path, what } => {
                Self::Damaged { path, offset: None, what: what.into() }
            }
            DatabaseError::Behind { path, what, count } => Self::Behind { path, what, count },
            DatabaseError::Disk { path, source } => Self::Disk { path, source },
            DatabaseError::Sqlite(error) => error.into(),
        }
    }
}

fn at(offset: &Option<u64>) -> String {
    offset.map_or_else(String::new, |offset| format!(" at byte {offset}"))
}

/// What an operator can do about a damaged file, and what it costs.
fn what_to_do(path: &Path) -> String {
    let logs = |levels: usize| path.ancestors().nth(levels).unwrap_or(path).display();
    match path.extension().and_then(OsStr::to_str) {
        Some("journal") => format!(
            "restore {logs} from a backup, or move what is left of this file away, and {logs}/journals.acknowledged: the \
             events that were in it are lost then",
            logs = logs(2)
        ),
        Some("segment") => format!(
            "restore {} from a backup; until then reads of the events in this part of the file are refused, all others are \
             answered",
            logs(2)
        ),
        _ => format!(
            "restore {logs} from a backup, or move it away: all log groups, streams and events are lost then",
            logs = logs(1)
        ),
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
