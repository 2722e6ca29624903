//! Removing what nothing refers to any more, while pushes and pulls go on.
//!
//! 1. An upload session that received nothing for long is forgotten, file and row.
//! 2. A repository lets go of a blob that no image of it uses and that nobody asked about for long.
//! 3. A blob that no repository has loses its row and its file.
//! 4. At the first pass, files without a row go: leftovers of a crash.
//!
//! How long is counted as [`outport_model::clock::Now`] does: a step of the wall clock takes no blob from a push
//! that is under way, and keeps none for good.
//!
//! **Invariant:** a file is removed only under its stripe's lock and after its row is gone, and a push
//! publishes file, row and link under the same lock. So a blob that a push was told exists stays.

use std::sync::TryLockError;

use outport_model::Now;
use rusqlite::{OptionalExtension, Transaction, params};

use crate::{Digest, Registry, RegistryError};

/// Blobs that are removed under one look at the table.
const BLOBS_PER_LOOK: usize = 500;

/// What a pass removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    pub uploads: u64,
    pub blobs: u64,
    pub bytes: u64,
}

impl Registry {
    /// One pass. Call it every few minutes; it waits for nothing but the disk.
    pub fn collect_garbage(&self, now: &Now) -> Result<Collected, RegistryError> {
        let _removal = match self.removal.try_lock() {
            Ok(removal) => removal,
            Err(TryLockError::Poisoned(removal)) => removal.into_inner(),
            // Somebody needs all that is there: the next pass comes soon.
            Err(TryLockError::WouldBlock) => return Ok(Collected::default()),
        };
        let mut collected =
            Collected { uploads: self.expire_uploads(now)?, ..Collected::default() };
        self.unlink_unreferenced_blobs(now)?;
        loop {
            let orphans = self.blobs_without_repository()?;
            for digest in &orphans {
                if let Some(size_bytes) = self.remove_orphan(digest)? {
                    collected.blobs += 1;
                    collected.bytes += size_bytes;
                }
            }
            if orphans.len() < BLOBS_PER_LOOK {
                break;
            }
        }
        if self.uploads.take_first_pass() {
            collected.blobs += self.remove_files_without_row()?;
        }
        Ok(collected)
    }

    fn unlink_unreferenced_blobs(&self, now: &Now) -> Result<(), RegistryError> {
        let over = now.over(self.limits.unreferenced_blob_age_min.as_millis() as i64);
        self.metadata.write(|transaction| {
            transaction.execute(
                "DELETE FROM repository_blob WHERE (seen_at_ms <= ?1 OR seen_at_ms > ?2) AND NOT EXISTS (
                     SELECT 1 FROM manifest_reference AS used
                     WHERE used.repository = repository_blob.repository AND used.kind = 'blob'
                       AND used.digest = repository_blob.digest)",
                [over.until_ms, over.beyond_ms],
            )?;
            Ok(())
        })
    }

    fn blobs_without_repository(&self) -> Result<Vec<Digest>, RegistryError> {
        self.metadata.read(|transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT digest FROM blob WHERE NOT EXISTS (
                     SELECT 1 FROM repository_blob WHERE repository_blob.digest = blob.digest) LIMIT ?1",
            )?;
            let digests = statement.query_map([BLOBS_PER_LOOK], |row| digest_of(row, 0))?;
            Ok(digests.collect::<Result<_, _>>()?)
        })
    }

    /// Removes the blob unless a repository got it since. Returns its size.
    fn remove_orphan(&self, digest: &Digest) -> Result<Option<u64>, RegistryError> {
        let stripe = self.blobs.lock(digest);
        let size_bytes = self.metadata.write(|transaction| {
            Ok(transaction
                .query_row(
                    "DELETE FROM blob WHERE digest = ?1 AND NOT EXISTS (
                         SELECT 1 FROM repository_blob WHERE digest = ?1) RETURNING size_bytes",
                    [digest.to_string()],
                    |row| row.get(0),
                )
                .optional()?)
        })?;
        if size_bytes.is_some() {
            self.blobs.remove(&stripe, digest)?;
        }
        Ok(size_bytes)
    }

    fn remove_files_without_row(&self) -> Result<u64, RegistryError> {
        let mut removed = 0;
        self.blobs.each(|digest| {
            let stripe = self.blobs.lock(&digest);
            let known = self.metadata.read(|transaction| blob_exists(transaction, &digest))?;
            if !known {
                self.blobs.remove(&stripe, &digest)?;
                removed += 1;
            }
            Ok(())
        })?;
        Ok(removed)
    }
}

pub(crate) fn blob_exists(
    transaction: &Transaction<'_>,
    digest: &Digest,
) -> Result<bool, RegistryError> {
    let found: Option<i64> = transaction
        .prepare_cached("SELECT 1 FROM blob WHERE digest = ?1")?
        .query_row(params![digest.to_string()], |row| row.get(0))
        .optional()?;
    Ok(found.is_some())
}

pub(crate) fn digest_of(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Digest> {
    row.get::<_, String>(column)?
        .parse()
        .map_err(|error| crate::repository::unreadable(column, error))
}
