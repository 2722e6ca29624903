//! Which repository has which blob.

use std::io::ErrorKind;

use outport_model::clock::STEP_MS_MIN;
use outport_model::{Scope, TimestampMs};
use rusqlite::{OptionalExtension, Transaction, params};

use crate::registry::{RepositoryId, find_repository};
use crate::{BlobDownload, Digest, Registry, RegistryError, RepositoryName};

/// A blob that a repository has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlob {
    pub digest: Digest,
    pub size_bytes: u64,
}

impl Registry {
    /// Is the blob in the repository? Whoever asks may be about to push an image that uses it, so the
    /// answer also keeps the blob from being collected for a while.
    /// Errors: `RepositoryNotFound`, `BlobNotFound`.
    pub fn blob(
        &self,
        scope: &Scope,
        name: &RepositoryName,
        digest: &Digest,
        now_ms: TimestampMs,
    ) -> Result<StoredBlob, RegistryError> {
        let (repository, blob, seen_at_ms) = self.metadata.read(|transaction| {
            let repository = find_repository(transaction, scope, name)?;
            let (blob, seen_at_ms) = find_blob(transaction, repository, digest)?;
            Ok((repository, blob, seen_at_ms))
        })?;
        let age_min_ms = self.limits.unreferenced_blob_age_min.as_millis() as i64;
        // Either way: a clock that went back left a stamp that has to be mended, too.
        if (now_ms - seen_at_ms).abs() >= age_min_ms / 4 {
            self.metadata.write(|transaction| {
                find_blob(transaction, repository, digest)?;
                link_blob(transaction, repository, digest, now_ms)
            })?;
        }
        Ok(blob)
    }

    /// Opens a blob of the repository for reading. It stays readable when it is removed meanwhile.
    /// Errors: `RepositoryNotFound`, `BlobNotFound`.
    pub fn open_blob(
        &self,
        scope: &Scope,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<BlobDownload, RegistryError> {
        let (blob, _) = self.metadata.read(|transaction| {
            let repository = find_repository(transaction, scope, name)?;
            find_blob(transaction, repository, digest)
        })?;
        let file = self.blobs.open_blob(digest).map_err(|error| match error {
            RegistryError::Storage { source, .. } if source.kind() == ErrorKind::NotFound => {
                RegistryError::BlobNotFound(digest.clone())
            }
            other => other,
        })?;
        Ok(BlobDownload::new(file, blob))
    }

    /// Gives a repository a blob that another one of the same account and region has. Whether the caller
    /// may read the other one is asked before. Errors: `RepositoryNotFound`, `BlobNotFound`.
    pub fn mount_blob(
        &self,
        scope: &Scope,
        name: &RepositoryName,
        source: &RepositoryName,
        digest: &Digest,
        now_ms: TimestampMs,
    ) -> Result<StoredBlob, RegistryError> {
        self.metadata.write(|transaction| {
            let target = find_repository(transaction, scope, name)?;
            let source = find_repository(transaction, scope, source)?;
            let (blob, _) = find_blob(transaction, source, digest)?;
            link_blob(transaction, target, digest, now_ms)?;
            Ok(blob)
        })
    }

    /// Takes a blob out of a repository. Errors: `RepositoryNotFound`, `BlobNotFound`, `BlobInUse`.
    pub fn delete_blob(
        &self,
        scope: &Scope,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<(), RegistryError> {
        self.metadata.write(|transaction| {
            let repository = find_repository(transaction, scope, name)?;
            find_blob(transaction, repository, digest)?;
            let user: Option<i64> = transaction
                .prepare_cached(
                    "SELECT 1 FROM manifest_reference
                     WHERE repository = ?1 AND kind = 'blob' AND digest = ?2 LIMIT 1",
                )?
                .query_row(params![repository.0, digest.to_string()], |row| row.get(0))
                .optional()?;
            if user.is_some() {
                return Err(RegistryError::BlobInUse(digest.clone()));
            }
            transaction.execute(
                "DELETE FROM repository_blob WHERE repository = ?1 AND digest = ?2",
                params![repository.0, digest.to_string()],
            )?;
            Ok(())
        })
    }
}

/// The blob, and when it was last uploaded, mounted or asked for.
pub(crate) fn find_blob(
    transaction: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<(StoredBlob, TimestampMs), RegistryError> {
    transaction
        .prepare_cached(
            "SELECT size_bytes, seen_at_ms FROM repository_blob JOIN blob USING (digest)
             WHERE repository = ?1 AND digest = ?2",
        )?
        .query_row(params![repository.0, digest.to_string()], |row| {
            Ok((StoredBlob { digest: digest.clone(), size_bytes: row.get(0)? }, row.get(1)?))
        })
        .optional()?
        .ok_or_else(|| RegistryError::BlobNotFound(digest.clone()))
}

pub(crate) fn link_blob(
    transaction: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
    now_ms: TimestampMs,
) -> Result<(), RegistryError> {
    transaction
        .prepare_cached(
            "INSERT INTO repository_blob (repository, digest, seen_at_ms) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET seen_at_ms = CASE
                 WHEN seen_at_ms > excluded.seen_at_ms + ?4 THEN excluded.seen_at_ms
                 ELSE max(seen_at_ms, excluded.seen_at_ms) END",
        )?
        .execute(params![repository.0, digest.to_string(), now_ms, STEP_MS_MIN])?;
    Ok(())
}
