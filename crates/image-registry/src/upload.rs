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

use std::collections::HashMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, UNIX_EPOCH};

use outport_model::{Scope, TimestampMs};
use rusqlite::{OptionalExtension, Transaction, params};
use uuid::Uuid;

use crate::digest::Hasher;
use crate::garbage::blob_exists;
use crate::registry::{RepositoryId, find_repository};
use crate::repository_blob::link_blob;
use crate::{Algorithm, Digest, Registry, RegistryError, RepositoryName, StoredBlob, blob_store};

/// Bytes that are read at once when a file is hashed again.
const REHASH_BYTES: usize = 256 * 1024;

/// The name of an upload session: a random UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UploadId(Uuid);

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

/// What a session has received.
struct Received {
    offset: u64,
    /// `None` after a restart, when only the file knows.
    hasher: Option<Hasher>,
}

enum Slot {
    Idle(Received),
    Busy,
}

/// The sessions that this process has seen.
pub(crate) struct Uploads {
    directory: PathBuf,
    slots: Mutex<HashMap<UploadId, Slot>>,
    returned: Condvar,
    first_pass: AtomicBool,
}

impl Uploads {
    pub(crate) fn open(registry: &Path) -> Result<Self, RegistryError> {
        let directory = registry.join("uploads");
        blob_store::create_directory(&directory)?;
        let (slots, returned) = (Mutex::default(), Condvar::new());
        Ok(Self { directory, slots, returned, first_pass: AtomicBool::new(true) })
    }

    /// True once: the collection that looks for leftovers of a crash.
    pub(crate) fn take_first_pass(&self) -> bool {
        self.first_pass.swap(false, Ordering::Relaxed)
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<UploadId, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, id: UploadId) -> PathBuf {
        self.directory.join(id.to_string())
    }

    /// Makes the caller the only writer. `None`: the session is not known to this process.
    fn check_out(
        &self,
        id: UploadId,
        deadline: Instant,
    ) -> Result<Option<Received>, RegistryError> {
        let mut slots = self.slots();
        loop {
            match slots.insert(id, Slot::Busy) {
                None => return Ok(None),
                Some(Slot::Idle(received)) => return Ok(Some(received)),
                Some(Slot::Busy) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(RegistryError::UploadBusy);
                    }
                    let waited = self.returned.wait_timeout(slots, left);
                    slots = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    fn check_in(&self, id: UploadId, received: Option<Received>) {
        let mut slots = self.slots();
        match received {
            Some(received) => slots.insert(id, Slot::Idle(received)),
            None => slots.remove(&id),
        };
        self.returned.notify_all();
    }
}

impl Registry {
    /// Opens a session. Errors: `RepositoryNotFound`, `LimitExceeded`.
    pub fn start_upload(
        &self,
        scope: &Scope,
        name: &RepositoryName,
        now_ms: TimestampMs,
    ) -> Result<UploadId, RegistryError> {
        let id = UploadId(Uuid::new_v4());
        self.metadata.write(|transaction| {
            let repository = find_repository(transaction, scope, name)?;
            let open: usize =
                transaction.query_row("SELECT count(*) FROM upload", [], |row| row.get(0))?;
            if open >= self.limits.upload_sessions_max {
                let max = self.limits.upload_sessions_max as u64;
                return Err(RegistryError::LimitExceeded { what: "uploads under way", max });
            }
            transaction
                .prepare_cached(
                    "INSERT INTO upload (id, repository, created_at_ms) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![id.to_string(), repository.0, now_ms])?;
            Ok(())
        })?;
        let received = Received { offset: 0, hasher: Some(Hasher::new(Algorithm::Sha256)) };
        self.uploads.slots().insert(id, Slot::Idle(received));
        Ok(id)
    }

    /// Takes in a blob that comes whole, in one request: a session of which nobody else knows, and which is
    /// gone with the returned value. Errors: `RepositoryNotFound`, `Storage`.
    pub fn take_upload(
        self: &Arc<Self>,
        scope: &Scope,
        name: &RepositoryName,
    ) -> Result<Upload, RegistryError> {
        let repository =
            self.metadata.read(|transaction| find_repository(transaction, scope, name))?;
        let id = UploadId(Uuid::new_v4());
        // Busy for as long as it lives, so that no collection takes its file for a leftover.
        self.uploads.slots().insert(id, Slot::Busy);
        self.open_upload(repository, id, None, Lifetime::Request)
    }

    /// Takes a session for writing, waiting a little for another request that has it.
    /// Errors: `RepositoryNotFound`, `UploadNotFound`, `UploadBusy`.
    pub fn resume_upload(
        self: &Arc<Self>,
        scope: &Scope,
        name: &RepositoryName,
        id: UploadId,
    ) -> Result<Upload, RegistryError> {
        let repository = self.metadata.read(|transaction| {
            let repository = find_repository(transaction, scope, name)?;
            find_upload(transaction, repository, id)?;
            Ok(repository)
        })?;
        let deadline = Instant::now() + self.limits.upload_busy_wait_max;
        let received = self.uploads.check_out(id, deadline)?;
        self.open_upload(repository, id, received, Lifetime::Session)
    }

    fn open_upload(
        self: &Arc<Self>,
        repository: RepositoryId,
        id: UploadId,
        received: Option<Received>,
        lifetime: Lifetime,
    ) -> Result<Upload, RegistryError> {
        match open_received(&self.uploads.path(id), received) {
            Ok((file, received)) => {
                let (registry, received) = (Arc::clone(self), Some(received));
                Ok(Upload { registry, repository, id, file, received, lifetime })
            }
            Err(error) => {
                self.uploads.check_in(id, None);
                Err(error)
            }
        }
    }

    /// Forgets a session and its bytes.
    /// Errors: `RepositoryNotFound`, `UploadNotFound`, `UploadBusy`.
    pub fn cancel_upload(
        self: &Arc<Self>,
        scope: &Scope,
        name: &RepositoryName,
        id: UploadId,
    ) -> Result<(), RegistryError> {
        self.resume_upload(scope, name, id)?.discard()
    }

    /// Forgets sessions that received nothing for long, and files of sessions that are gone.
    pub(crate) fn expire_uploads(&self, now_ms: TimestampMs) -> Result<u64, RegistryError> {
        let before_ms = now_ms - self.limits.upload_idle_max.as_millis() as i64;
        let mut created = self.metadata.read(|transaction| {
            let mut statement =
                transaction.prepare_cached("SELECT id, created_at_ms FROM upload")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<HashMap<String, TimestampMs>, _>>()?)
        })?;
        // Sessions of deleted repositories that never had a file.
        self.uploads
            .slots()
            .retain(|id, slot| matches!(slot, Slot::Busy) || created.contains_key(&id.to_string()));
        for file in blob_store::list(&self.uploads.directory)? {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let modified_ms = modified_ms(&file);
            created
                .entry(name)
                .and_modify(|ms| *ms = modified_ms.max(*ms))
                .or_insert(TimestampMs::MIN);
        }
        let mut expired = 0;
        for (name, used_at_ms) in created {
            let Ok(id) = name.parse::<UploadId>() else { continue };
            if used_at_ms > before_ms || matches!(self.uploads.slots().get(&id), Some(Slot::Busy)) {
                continue;
            }
            self.forget_upload(id)?;
            self.uploads.check_in(id, None);
            expired += 1;
        }
        Ok(expired)
    }

    /// The file goes first: on a full disk, deleting the row may need its space.
    fn forget_upload(&self, id: UploadId) -> Result<(), RegistryError> {
        blob_store::remove_file(&self.uploads.path(id))?;
        self.metadata.write(|transaction| {
            transaction.execute("DELETE FROM upload WHERE id = ?1", [id.to_string()])?;
            Ok(())
        })
    }
}

/// How long a session lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lifetime {
    /// Until it is finished, cancelled or too old: it has a row.
    Session,
    /// No longer than its one request: it has none.
    Request,
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
}

/// A place in an upload to which it can go back.
pub struct Checkpoint {
    offset: u64,
    hasher: Option<Hasher>,
}

impl Upload {
    pub fn id(&self) -> UploadId {
        self.id
    }

    /// How many bytes the session has, which is where the next one goes.
    pub fn offset(&self) -> u64 {
        self.received.as_ref().map_or(0, |received| received.offset)
    }

    /// Adds bytes at the end. If they cannot all be written, none are; on a full disk the whole session
    /// goes, so that the disk is as it was. Errors: `BlobTooLarge`, `DiskFull`, `Storage`.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), RegistryError> {
        let bytes_max = self.registry.limits.blob_bytes_max;
        let Some(received) = &mut self.received else {
            return Err(RegistryError::UploadNotFound(self.id));
        };
        let end = received.offset + bytes.len() as u64;
        if end > bytes_max {
            return Err(RegistryError::BlobTooLarge { bytes_max });
        }
        if let Err(source) = self.file.write_all(bytes) {
            return Err(self.take_back_write(source));
        }
        received.offset = end;
        if let Some(hasher) = &mut received.hasher {
            hasher.update(bytes);
        }
        Ok(())
    }

    fn take_back_write(&mut self, source: io::Error) -> RegistryError {
        let error = RegistryError::storage("write", &self.registry.uploads.path(self.id), source);
        let undone = match error {
            RegistryError::DiskFull => self.forget(),
            _ => self.truncate(self.offset()),
        };
        if let Err(second) = undone {
            tracing::warn!(upload = %self.id, error = %second, "could not take back a failed write");
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
            tracing::warn!(upload = %self.id, %error, "the file of an upload stays until the next collection");
        }
        self.registry.uploads.check_in(self.id, self.received.take());
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("id", &self.id).field("offset", &self.offset()).finish()
    }
}

/// Opens the file at its end. After a restart its length is what was received.
fn open_received(
    path: &Path,
    received: Option<Received>,
) -> Result<(File, Received), RegistryError> {
    let error = |source| RegistryError::storage("open", path, source);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(error)?;
    let length = file.metadata().map_err(error)?.len();
    let received = match received {
        Some(received) if received.offset <= length => received,
        _ => {
            let hasher = (length == 0).then(|| Hasher::new(Algorithm::Sha256));
            Received { offset: length, hasher }
        }
    };
    file.set_len(received.offset).map_err(error)?;
    file.seek(SeekFrom::Start(received.offset)).map_err(error)?;
    Ok((file, received))
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

fn find_upload(
    transaction: &Transaction<'_>,
    repository: RepositoryId,
    id: UploadId,
) -> Result<(), RegistryError> {
    transaction
        .prepare_cached("SELECT 1 FROM upload WHERE id = ?1 AND repository = ?2")?
        .query_row(params![id.to_string(), repository.0], |row| row.get::<_, i64>(0))
        .optional()?
        .map(|_| ())
        .ok_or(RegistryError::UploadNotFound(id))
}

/// When the file was last written to; long ago if it cannot be told.
fn modified_ms(path: &Path) -> TimestampMs {
    let modified = path.metadata().and_then(|metadata| metadata.modified());
    let since_epoch = modified.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since_epoch.map_or(0, |duration| duration.as_millis() as TimestampMs)
}
