//! Where accepted writes become durable.
//!
//! ```text
//! leader    commit(writes) --> the first n are durable, each whole; the rest is given again
//!           commit(writes) --> not the leader any more: none of them
//! follower  follow()       --> what the leader committed since
//! ```
//!
//! A journal of one process is always its leader, and nobody else writes to it. One that several processes share, such as
//! a key-value store with leases, takes small transactions, and tells those that do not lead what came.
//!
//! **Invariant:** after `commit` returns `Ok(n)` every change of the first `n` writes survives the death of the process
//! and of the machine, and nothing of the others was done; after `Err` none of them is seen again by this process.

pub mod memory;
mod reserve;
pub mod sqlite;

use std::path::PathBuf;
use std::sync::Arc;

use outport_backup::Frozen;

use crate::error::{JournalError, OpenError};
use crate::row::Row;

pub use memory::{MemoryJournal, NullJournal};
pub use sqlite::SqliteJournal;

/// A durable table of rows.
pub trait Journal: Send + 'static {
    /// Gives every row to `take`, and returns the id of the installation that they belong to. Called once, first.
    ///
    /// # Errors
    /// Those of reading, after some rows were given; and what `take` says.
    fn load(&mut self, take: Take<'_>) -> Result<InstanceId, OpenError>;
    /// Bytes of all rows as they are written: of those that were loaded, and what was committed since.
    fn bytes(&self) -> u64;
    /// Makes writes durable, in their order, each whole or not at all, and returns how many of them, from the first on: at
    /// least one. The changes of a write belong together; those of several may, too.
    ///
    /// # Errors
    /// None of the writes was done. [`JournalError::NotLeader`]: another process leads now.
    fn commit(&mut self, writes: &[Vec<Change>]) -> Result<usize, JournalError>;
    /// Whether other processes write to it, too: then [`Journal::leads`] is asked now and then.
    fn is_shared(&self) -> bool {
        false
    }
    /// Whether this process may write. Asked when nothing waits.
    fn leads(&mut self) -> bool {
        true
    }
    /// What another process committed since `load` or the last call, in order. Does not wait.
    ///
    /// # Errors
    /// What there is could not be read; the next call gives it again.
    fn follow(&mut self) -> Result<Vec<StoredChange>, JournalError> {
        Ok(Vec::new())
    }
    /// Its files as they are, below one directory, for who keeps a copy of them.
    ///
    /// # Errors
    /// Those of the disk, which has to hold them once more; that there are none.
    fn freeze(&mut self) -> Result<Vec<Frozen>, JournalError> {
        Err(JournalError::Io("this journal is not kept in files".to_owned()))
    }
    /// The directory whose file system decides whether there is room for new rows; `None` where space
    /// is no matter.
    fn directory(&self) -> Option<PathBuf> {
        None
    }
    /// Takes a little of the space that later commits may need, while there is some. Called when nothing
    /// waits, and once nothing was written for a while, `is_calm`; true when there is more to take.
    fn take_reserve(&mut self, _is_calm: bool) -> bool {
        false
    }
}

/// Takes the rows of a journal, one after the other.
pub type Take<'a> = &'a mut dyn FnMut(StoredRow) -> Result<(), OpenError>;

/// 8 lower-case hexadecimal digits, made with the journal.
pub type InstanceId = String;

/// A row as it lies in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRow {
    pub table: String,
    pub key: String,
    pub version: u32,
    /// JSON.
    pub bytes: String,
}

/// A row that another process put or removed, as it lies in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredChange {
    /// `None`: it was removed.
    pub row: Option<StoredRow>,
    /// What was there under the key.
    pub old: Option<StoredRow>,
}

/// A row that was put (`Some`) or removed.
#[derive(Clone)]
pub struct Change {
    pub table: &'static str,
    pub key: String,
    pub row: Option<Arc<dyn Encode>>,
    /// What was there under the key.
    pub old: Option<Arc<dyn Encode>>,
}

/// Rows that `changes` leave more than they found; negative for fewer.
pub(crate) fn rows_added(changes: &[Change]) -> i64 {
    let count = |row: &Option<Arc<dyn Encode>>| i64::from(row.is_some());
    changes.iter().map(|change| count(&change.row) - count(&change.old)).sum()
}

/// Bytes that `changes` leave more than they found. As dear as writing them: every row is encoded, and what
/// it was before, too.
///
/// # Errors
/// When a row cannot be encoded.
pub(crate) fn bytes_added(changes: &[Change]) -> Result<i64, serde_json::Error> {
    let length = |row: &Option<Arc<dyn Encode>>| -> Result<i64, serde_json::Error> {
        let Some(row) = row else { return Ok(0) };
        Ok(i64::try_from(row.encode()?.len()).unwrap_or(i64::MAX))
    };
    changes.iter().try_fold(0_i64, |sum, change| {
        Ok(sum.saturating_add(length(&change.row)?).saturating_sub(length(&change.old)?))
    })
}

/// A row of any kind, to be written. It is encoded off the writers' path.
pub trait Encode: Send + Sync {
    fn version(&self) -> u32;
    fn encode(&self) -> Result<String, serde_json::Error>;
}

impl<R: Row> Encode for R {
    fn version(&self) -> u32 {
        R::VERSION
    }
    fn encode(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}
