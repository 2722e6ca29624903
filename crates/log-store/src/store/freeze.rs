//! All files as they are at one moment, for a backup.
//!
//! ```text
//! no segment is made or removed -> journals, as far as they reach -> catalog -> segments that it knows
//! ```
//!
//! **Invariant:** the journals first: a stream that a journal has events of is then in the catalog, or was deleted. The other
//! way round a new stream might get the number of one that only the journals know.

use std::fs::File;
use std::path::Path;
use std::sync::PoisonError;

use outport_backup::Frozen;

use super::{LogStore, disk_error};
use crate::error::LogStoreError;
use crate::journal::Journal;
use crate::segment;

impl LogStore {
    /// Gives `then` all files as they are now. Events are taken meanwhile, and no segment is removed.
    ///
    /// How far the journals reach is not among them: they end where they were frozen, with a whole frame, and the first start
    /// over the copy counts anew.
    ///
    /// # Errors
    /// Those of the disk, which has to hold catalog and journals once more.
    pub fn while_frozen<T>(&self, then: impl FnOnce(Vec<Frozen>) -> T) -> Result<T, LogStoreError> {
        let _nothing_is_removed = self.removal.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(then(self.freeze()?))
    }

    fn freeze(&self) -> Result<Vec<Frozen>, LogStoreError> {
        let _work = self.segment_work.lock().unwrap_or_else(PoisonError::into_inner);
        let mut files = Vec::new();
        for journal in self.commit.journals() {
            files.push(self.frozen_journal(&journal)?);
        }
        files.extend(self.catalog.freeze()?);
        let directory = self.segments_directory();
        for known in self.catalog.read(|read| read.segments())? {
            let path = segment::path_of(&directory, known.number);
            let bytes = path.metadata().map_err(|source| disk_error(&path, source))?.len();
            let name = Path::new("segments").join(path.file_name().unwrap_or_default());
            files.push(Frozen::unchanging(name, path, bytes));
        }
        Ok(files)
    }

    /// What was acknowledged when this is asked is within its length.
    fn frozen_journal(&self, journal: &Journal) -> Result<Frozen, LogStoreError> {
        let directory = self.journals_directory();
        let path = Journal::path_of(&directory, journal.number);
        let name = Path::new("journals").join(path.file_name().unwrap_or_default());
        File::open(&path)
            .and_then(|file| Frozen::copy(name, &file, journal.length(), &directory))
            .map_err(|source| disk_error(&path, source))
    }
}
