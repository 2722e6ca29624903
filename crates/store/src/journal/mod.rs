//! Where accepted writes become durable.
//!
//! **Invariant:** after `commit` returns `Ok` every change of it survives the death of the process and
//! of the machine; after `Err` none of them is seen again by this process.

pub mod memory;
mod reserve;
pub mod sqlite;

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{JournalError, OpenError};
use crate::row::Row;

pub use memory::{MemoryJournal, NullJournal};
pub use sqlite::SqliteJournal;

/// A durable table of rows.
pub trait Journal: Send + 'static {
    /// Every row, and the id of the installation that they belong to. Called once, first.
    fn load(&mut self) -> Result<Loaded, OpenError>;
    /// Makes the changes durable, in their order, all or none.
    fn commit(&mut self, changes: &[Change]) -> Result<(), JournalError>;
    /// The directory whose file system decides whether there is room for new rows; `None` where space
    /// is no matter.
    fn directory(&self) -> Option<PathBuf> {
        None
    }
    /// Takes a little of the space that later commits may need, while there is some. Called when nothing
    /// waits; true when there is more to take.
    fn take_reserve(&mut self) -> bool {
        false
    }
}

#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// 8 lower-case hexadecimal digits, made with the journal.
    pub instance_id: String,
    pub rows: Vec<StoredRow>,
}

/// A row as it lies in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRow {
    pub table: String,
    pub key: String,
    pub version: u32,
    /// JSON.
    pub bytes: String,
}

/// A row that was put (`Some`) or removed.
#[derive(Clone)]
pub struct Change {
    pub table: &'static str,
    pub key: String,
    pub row: Option<Arc<dyn Encode>>,
    /// Whether there was no row under the key.
    pub is_new: bool,
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
