//! Why a store does not open, and why a write is not done.

use std::path::{Path, PathBuf};

/// Why a store does not open: one line that says what and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "the data directory {} is in use by another outport; stop it or choose another --data-dir",
        .directory.display()
    )]
    Locked { directory: PathBuf },
    #[error(
        "the data directory {} was written by a newer outport ({what}); start that version or \
         choose another --data-dir",
        .path.display()
    )]
    NewerVersion { path: PathBuf, what: String },
    #[error(
        "the data in {} is damaged ({what}); restore it from a backup or choose another --data-dir",
        .path.display()
    )]
    Corrupt { path: PathBuf, what: String },
    #[error("cannot {action} {}: {reason}; check the path, its owner and the free space", .path.display())]
    Io { action: &'static str, path: PathBuf, reason: String },
}

impl OpenError {
    /// Of the journal in that directory, where it does not say a file.
    pub(crate) fn at(mut self, directory: &Path) -> Self {
        let (Self::NewerVersion { path, .. } | Self::Corrupt { path, .. } | Self::Io { path, .. }) =
            &mut self
        else {
            return self;
        };
        if !path.is_absolute() && !path.starts_with(directory) {
            *path = directory.to_owned();
        }
        self
    }
}

/// Why a journal did not commit.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("no space left for the journal")]
    Full,
    #[error("the journal cannot be written: {0}")]
    Io(String),
    #[error("a row cannot be encoded: {0}")]
    Encode(serde_json::Error),
    #[error("another process leads")]
    NotLeader,
    #[error("what another process wrote cannot be read: {0}")]
    Unreadable(String),
}

/// A write that the store itself could not do; nothing of it is visible. `Display` is fit for the
/// caller and gives away nothing of the host; `detail` is for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .kind.message())]
pub struct Fault {
    pub kind: FaultKind,
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The disk is full; writes work again when it has space.
    Full,
    /// The journal could not be written.
    Journal,
    /// `WRITES_WAITING_MAX` writes wait already.
    Overloaded,
    /// The store is closed.
    Closed,
    /// Another process leads; it takes writes.
    NotLeader,
}

impl FaultKind {
    fn message(self) -> &'static str {
        match self {
            Self::Full => "The service has no space left to store the request.",
            Self::Journal => "The service could not store the request.",
            Self::Overloaded => "The service is overloaded; try again later.",
            Self::Closed => "The service is shutting down.",
            Self::NotLeader => "Another instance of the service takes writes now; try again.",
        }
    }
}

impl Fault {
    pub(crate) fn new(kind: FaultKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

impl From<&JournalError> for Fault {
    fn from(error: &JournalError) -> Self {
        let kind = match error {
            JournalError::Full => FaultKind::Full,
            JournalError::NotLeader => FaultKind::NotLeader,
            JournalError::Io(_) | JournalError::Encode(_) | JournalError::Unreadable(_) => {
                FaultKind::Journal
            }
        };
        Self::new(kind, error.to_string())
    }
}

/// Why `Store::write` gave no `Ok`.
#[derive(Debug, thiserror::Error)]
pub enum WriteError<E> {
    /// The change itself said no; it left no trace.
    #[error("{0}")]
    Rejected(E),
    #[error(transparent)]
    Fault(Fault),
}

impl<E> WriteError<E> {
    /// One error type out of two.
    pub fn flatten(self, fault: impl FnOnce(Fault) -> E) -> E {
        match self {
            Self::Rejected(error) => error,
            Self::Fault(error) => fault(error),
        }
    }
}
