//! Upload sessions: bytes on their way to becoming a blob.
//!
//! ```text
//! start_upload --> idle <--resume_upload / drop--> Upload (one holder) --finish--> blob
//!                   |                                  '--discard, full disk--> gone
//!                   '--cancel, idle for too long--> gone
//! ```
//!
//! A session is a row and, from its first byte on, a file; both survive a restart. The hash of what
//! passed is kept in memory, and made again from the file when it is not there.
//!
//! **Invariant:** a session belongs to one repository, has one writer at a time, and its file is never
//! longer than the offset that the client was told, except while its writer holds it.

use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::thread::JoinHandle;

use metrics::counter;
use outport_model::TimestampMs;
use rusqlite::{OptionalExtension, Transaction, params};
use uuid::Uuid;

use crate::digest::Hasher;
use crate::garbage::blob_exists;
use crate::registry::RepositoryId;
use crate::repository_blob::link_blob;
use crate::upload_session::{Lifetime, Received, find_upload};
use crate::{Algorithm, Digest, Registry, RegistryError, StoredBlob, blob_store};

/// Bytes that come in before the disk is told to take them.
const WRITEBACK_BYTES: u64 = 8 << 20;
/// Bytes that are read at once when a file is hashed again.
const REHASH_BYTES: usize = 256 * 1024;

/// The name of an upload session: a random UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UploadId(Uuid);

impl UploadId {
    pub(crate) fn new(random: Uuid) -> Self {
        Self(random)
    }
}

impl FromStr for UploadId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::try_parse(text).map(Self)
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// The one writer of a session. Dropping it gives the session back as it is; one that was taken for a single
/// request goes.
pub struct Upload {
    registry: Arc<Registry>,
    repository: RepositoryId,
    id: UploadId,
    file: File,
    /// `None` once the session is gone.
    received: Option<Received>,
    lifetime: Lifetime,
    /// Up to where the disk was told to take what came, and who waits for it.
    written_back: u64,
    writeback: Option<JoinHandle<()>>,
}

/// A place in an upload to which it can go back.
pub struct Checkpoint {
    offset: u64,
    hasher: Option<Hasher>,
}

impl Upload {
    pub(crate) fn new(
        registry: Arc<Registry>,
        repository: RepositoryId,
        id: UploadId,
        file: File,
        received: Received,
        lifetime: Lifetime,
    ) -> Self {
        let written_back = received.offset;
        let received = Some(received);
        let writeback = None;
        Self { registry, repository, id, file, received, lifetime, written_back, writeback }
    }

    pub fn id(&self) -> UploadId {
        self.id
    }

    /// How many bytes the session has, which is where the next one goes.
    pub fn offset(&self) -> u64 {
        self.received.as_ref().map_or(0, |received| received.offset)
    }

    /// Adds bytes at the end. If they cannot all be written, none are; on a full disk the whole session
    /// goes, so that the disk is as it was. Errors: `BlobTooLarge`, `QuotaExceeded`, `DiskFull`, `Storage`.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), RegistryError> {
        self.append_all(&[bytes])
    }

    /// The same of bytes that lie in several places: one look at the room, one write.
    pub fn append_all(&mut self, parts: &[impl AsRef<[u8]>]) -> Result<(), RegistryError> {
        let bytes: u64 = parts.iter().map(|part| part.as_ref().len() as u64).sum();
        let bytes_max = self.registry.limits.blob_bytes_max;
        let Some(received) = &self.received else {
            return Err(RegistryError::UploadNotFound(self.id));
        };
        let end = received.offset + bytes;
        if end > bytes_max {
            return Err(RegistryError::BlobTooLarge { bytes_max });
        }
        if let Err(error) = self.registry.check_room(bytes) {
            self.forget()?;
            return Err(error);
        }
        let Some(received) = &mut self.received else {
            return Err(RegistryError::UploadNotFound(self.id));
        };
        if let Err(source) = write_all(&mut self.file, parts) {
            return Err(self.take_back_write(source));
        }
        received.offset = end;
        counter!("outport_registry_received_bytes_total").increment(bytes);
        if let Some(hasher) = &mut received.hasher {
            parts.iter().for_each(|part| hasher.update(part.as_ref()));
        }
        self.start_writeback();
        Ok(())
    }

    /// Has the kernel bring to the disk what came, while more comes: at the end there is less to wait for. What matters
    /// is the sync at the end; this one is only ever tried.
    fn start_writeback(&mut self) {
        let offset = self.offset();
        let is_under_way = self.writeback.as_ref().is_some_and(|thread| !thread.is_finished());
        if offset.saturating_sub(self.written_back) < WRITEBACK_BYTES || is_under_way {
            return;
        }
        self.written_back = offset;
        if let Ok(file) = self.file.try_clone() {
            let sync = move || drop(file.sync_data());
            self.writeback = std::thread::Builder::new().name("writeback".into()).spawn(sync).ok();
        }
    }

    fn take_back_write(&mut self, source: io::Error) -> RegistryError {
        let error = RegistryError::storage("write", &self.registry.uploads.path(self.id), source);
        let undone = match error {
            RegistryError::DiskFull => self.forget(),
            _ => self.truncate(self.offset()),
        };
        if let Err(second) = undone {
            tracing::warn!(
                event = "upload_rollback_failed",
                upload = %self.id,
                error = %second,
                "cannot take back the failed write of an upload"
            );
        }
        error
    }

    pub fn checkpoint(&self) -> Checkpoint {
        let hasher = self.received.as_ref().and_then(|received| received.hasher.clone());
        Checkpoint { offset: self.offset(), hasher }
    }

    /// Forgets everything behind the checkpoint.
    pub fn roll_back(&mut self, checkpoint: Checkpoint) -> Result<(), RegistryError> {
        self.truncate(checkpoint.offset)?;
        if let Some(received) = &mut self.received {
            *received = Received { offset: checkpoint.offset, hasher: checkpoint.hasher };
        }
        Ok(())
    }

    /// Makes the bytes a blob of the repository, if they have the digest. On a wrong digest the session
    /// is gone. When this returns, the blob is on disk.
    /// Errors: `BlobDigestMismatch`, `UploadNotFound` (the repository was deleted), `DiskFull`, `Storage`.
    pub fn finish(
        mut self,
        digest: &Digest,
        now_ms: TimestampMs,
    ) -> Result<StoredBlob, RegistryError> {
        let actual = self.digest(digest.algorithm())?;
        if actual != *digest {
            self.forget()?;
            return Err(RegistryError::BlobDigestMismatch { given: digest.clone(), actual });
        }
        match self.publish(digest, now_ms) {
            Ok(blob) => {
                self.received = None;
                Ok(blob)
            }
            Err(error @ (RegistryError::DiskFull | RegistryError::UploadNotFound(_))) => {
                self.forget()?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// The digest of what was received; made from the file if the running hash is of another kind.
    pub fn digest(&mut self, algorithm: Algorithm) -> Result<Digest, RegistryError> {
        let hasher = self.received.as_ref().and_then(|received| received.hasher.clone());
        match hasher {
            Some(hasher) if hasher.algorithm() == algorithm => Ok(hasher.finish()),
            _ => {
                let path = self.registry.uploads.path(self.id);
                rehash(&mut self.file, algorithm)
                    .map_err(|source| RegistryError::storage("read", &path, source))
            }
        }
    }

    fn publish(&self, digest: &Digest, now_ms: TimestampMs) -> Result<StoredBlob, RegistryError> {
        let registry = &self.registry;
        let path = registry.uploads.path(self.id);
        let known = || registry.metadata.read(|transaction| blob_exists(transaction, digest));
        let mut synced = false;
        if !known()? {
            self.sync(&path)?;
            synced = true;
        }
        let stripe = registry.blobs.lock(digest);
        let duplicate = known()?;
        if duplicate {
            blob_store::remove_file(&path)?;
        } else {
            if !synced {
                self.sync(&path)?;
            }
            registry.blobs.publish(&stripe, &path, digest)?;
        }
        let recorded = self.record(digest, now_ms);
        if recorded.is_err() && !duplicate {
            registry.blobs.remove(&stripe, digest)?;
        }
        recorded
    }

    fn record(&self, digest: &Digest, now_ms: TimestampMs) -> Result<StoredBlob, RegistryError> {
        let size_bytes = self.offset();
        self.registry.metadata.write(|transaction| {
            match self.lifetime {
                Lifetime::Session => find_upload(transaction, self.repository, self.id)?,
                Lifetime::Request => self.check_repository(transaction)?,
            }
            transaction
                .prepare_cached("INSERT OR IGNORE INTO blob (digest, size_bytes) VALUES (?1, ?2)")?
                .execute(params![digest.to_string(), size_bytes])?;
            link_blob(transaction, self.repository, digest, now_ms)?;
            transaction
                .prepare_cached("DELETE FROM upload WHERE id = ?1")?
                .execute([self.id.to_string()])?;
            Ok(StoredBlob { digest: digest.clone(), size_bytes })
        })
    }

    /// The repository may have been deleted since the request began.
    fn check_repository(&self, transaction: &Transaction<'_>) -> Result<(), RegistryError> {
        transaction
            .prepare_cached("SELECT 1 FROM repository WHERE id = ?1")?
            .query_row([self.repository.0], |row| row.get::<_, i64>(0))
            .optional()?
            .map(|_| ())
            .ok_or(RegistryError::UploadNotFound(self.id))
    }

    fn sync(&self, path: &Path) -> Result<(), RegistryError> {
        self.file.sync_all().map_err(|source| RegistryError::storage("sync", path, source))
    }

    /// Forgets the session and its bytes.
    pub fn discard(mut self) -> Result<(), RegistryError> {
        self.forget()
    }

    /// The bytes go before the name: while the file is open its space is taken, and a full disk has
    /// none left to note anything.
    fn forget(&mut self) -> Result<(), RegistryError> {
        self.truncate(0)?;
        self.received = None;
        self.registry.forget_upload(self.id)
    }

    fn truncate(&mut self, offset: u64) -> Result<(), RegistryError> {
        let path = self.registry.uploads.path(self.id);
        let cut = self.file.set_len(offset).and_then(|()| self.file.seek(SeekFrom::End(0)));
        cut.map(|_| ()).map_err(|source| RegistryError::storage("truncate", &path, source))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.lifetime == Lifetime::Request
            && self.received.take().is_some()
            && let Err(error) = blob_store::remove_file(&self.registry.uploads.path(self.id))
        {
            tracing::warn!(
                event = "upload_file_not_removed",
                upload = %self.id,
                %error,
                "cannot remove the file of an upload: the next collection does"
            );
        }
        self.registry.uploads.check_in(self.id, self.received.take());
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("id", &self.id).field("offset", &self.offset()).finish()
    }
}

/// In as few writes as the kernel takes.
fn write_all(file: &mut File, parts: &[impl AsRef<[u8]>]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> =
        parts.iter().map(|part| IoSlice::new(part.as_ref())).collect();
    let mut slices = &mut slices[..];
    while slices.iter().any(|slice| !slice.is_empty()) {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => IoSlice::advance_slices(&mut slices, count),
            Err(interrupted) if interrupted.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn rehash(file: &mut File, algorithm: Algorithm) -> io::Result<Digest> {
    let mut hasher = Hasher::new(algorithm);
    let mut buffer = vec![0; REHASH_BYTES];
    file.seek(SeekFrom::Start(0))?;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&buffer[..count]);
    }
}
