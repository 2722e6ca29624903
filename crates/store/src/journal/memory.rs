//! Journals without a disk, for tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Change, InstanceId, Journal, StoredRow, Take};
use crate::error::{JournalError, OpenError};

/// Keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullJournal;

impl Journal for NullJournal {
    fn load(&mut self, _take: Take<'_>) -> Result<InstanceId, OpenError> {
        Ok("00000000".to_owned())
    }
    fn bytes(&self) -> u64 {
        0
    }
    fn commit(&mut self, writes: &[Vec<Change>]) -> Result<usize, JournalError> {
        Ok(writes.len())
    }
}

/// Keeps what a disk would keep; a clone is the same disk. Another store on it is a restart.
#[derive(Clone, Debug, Default)]
pub struct MemoryJournal {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Debug, Default)]
struct Disk {
    rows: BTreeMap<(String, String), StoredRow>,
    bytes: u64,
    commits: u64,
    broken: bool,
}

impl MemoryJournal {
    fn disk(&self) -> std::sync::MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// While it is broken, every commit fails as on a full disk.
    pub fn set_broken(&self, broken: bool) {
        self.disk().broken = broken;
    }

    /// Commits that succeeded.
    pub fn commits(&self) -> u64 {
        self.disk().commits
    }
}

impl Journal for MemoryJournal {
    fn load(&mut self, take: Take<'_>) -> Result<InstanceId, OpenError> {
        self.disk().rows.values().cloned().try_for_each(take)?;
        Ok("00000000".to_owned())
    }

    fn bytes(&self) -> u64 {
        self.disk().bytes
    }

    fn commit(&mut self, writes: &[Vec<Change>]) -> Result<usize, JournalError> {
        let mut disk = self.disk();
        if disk.broken {
            return Err(JournalError::Full);
        }
        let changes = || writes.iter().flatten();
        let encoded = changes().map(encode).collect::<Result<Vec<_>, _>>()?;
        for (change, stored) in changes().zip(encoded) {
            let place = (change.table.to_owned(), change.key.clone());
            let length = |row: &StoredRow| row.bytes.len() as u64;
            disk.bytes += stored.as_ref().map_or(0, length);
            let old = match stored {
                Some(stored) => disk.rows.insert(place, stored),
                None => disk.rows.remove(&place),
            };
            disk.bytes -= old.as_ref().map_or(0, length);
        }
        disk.commits += 1;
        Ok(writes.len())
    }
}

fn encode(change: &Change) -> Result<Option<StoredRow>, JournalError> {
    let Some(row) = &change.row else { return Ok(None) };
    Ok(Some(StoredRow {
        table: change.table.to_owned(),
        key: change.key.clone(),
        version: row.version(),
        bytes: row.encode().map_err(JournalError::Encode)?,
    }))
}
