//! Whether an upload may take more of the disk.
//!
//! **Invariant:** what is counted is what lies on the disk: blobs by their rows, uploads by what their
//! writers received since they were taken up.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use outport_free_space::{FreeSpace, Part};

use crate::metadata::Metadata;
use crate::{Registry, RegistryError};

/// Bytes that uploads receive between two counts of the blobs.
const COUNT_INTERVAL_BYTES: u64 = 64 << 20;

pub(crate) struct Room {
    directory: PathBuf,
    /// Of all blobs, when they were counted.
    blobs: AtomicU64,
    /// Received since then, whatever became of it.
    received: AtomicU64,
}

impl Room {
    pub fn open(directory: &Path, metadata: &Metadata) -> Result<Self, RegistryError> {
        let blobs = AtomicU64::new(count(metadata)?);
        Ok(Self { directory: directory.to_owned(), blobs, received: AtomicU64::new(0) })
    }
}

impl Registry {
    /// Asked before `bytes` more are written. Errors: `QuotaExceeded`, `DiskFull`.
    pub(crate) fn check_room(&self, bytes: u64) -> Result<(), RegistryError> {
        let Room { directory, blobs, received } = &*self.room;
        if FreeSpace::of(directory).is_ok_and(|space| space.is_low_for(Part::DataPlanes)) {
            return Err(RegistryError::DiskFull);
        }
        let bytes_max = self.limits.bytes_max;
        let taken = |received: u64| blobs.load(Ordering::Acquire).saturating_add(received);
        let since = received.fetch_add(bytes, Ordering::AcqRel) + bytes;
        if since < COUNT_INTERVAL_BYTES && taken(since) <= bytes_max {
            return Ok(());
        }
        // What was given up or deleted meanwhile no longer counts.
        received.store(bytes, Ordering::Release);
        blobs.store(count(&self.metadata)? + self.uploads.bytes()?, Ordering::Release);
        if taken(bytes) > bytes_max {
            Err(RegistryError::QuotaExceeded { bytes_max })
        } else {
            Ok(())
        }
    }
}

fn count(metadata: &Metadata) -> Result<u64, RegistryError> {
    metadata.read(|transaction| {
        let sum = "SELECT COALESCE(SUM(size_bytes), 0) FROM blob";
        Ok(transaction.query_row(sum, [], |row| row.get(0))?)
    })
}
