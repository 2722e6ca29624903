//! The sessions of uploads: opening, resuming, cancelling and forgetting them.
//!
//! **Invariant:** a session that is taken for writing is marked busy until it is given back, and nobody
//! removes the file of a busy one.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use outport_model::{Now, Scope, TimestampMs};
use rusqlite::{OptionalExtension, Transaction, params};
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use crate::digest::Hasher;
use crate::registry::{RepositoryId, find_repository};
use crate::{Algorithm, Registry, RegistryError, RepositoryName, Upload, UploadId, blob_store};

/// How long a session lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// Until it is finished, cancelled or too old: it has a row.
    Session,
    /// No longer than its one request: it has none.
    Request,
}

/// What a session has received.
pub(crate) struct Received {
    pub(crate) offset: u64,
    /// `None` after a restart, when only the file knows.
    pub(crate) hasher: Option<Hasher>,
}

enum Slot {
    Idle(Received),
    Busy,
}

/// The sessions that this process has seen.
pub(crate) struct Uploads {
    directory: PathBuf,
    slots: Mutex<HashMap<UploadId, Slot>>,
    returned: Notify,
    first_pass: AtomicBool,
}

impl Uploads {
    pub(crate) fn open(registry: &Path) -> Result<Self, RegistryError> {
        let directory = registry.join("uploads");
        blob_store::create_directory(&directory)?;
        let (slots, returned) = (Mutex::default(), Notify::new());
        Ok(Self { directory, slots, returned, first_pass: AtomicBool::new(true) })
    }

    /// What the files of all uploads take.
    pub(crate) fn bytes(&self) -> Result<u64, RegistryError> {
        let files = blob_store::list(&self.directory)?;
        // One that is finished meanwhile is a blob now.
        Ok(files.iter().filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum())
    }

    /// True once: the collection that looks for leftovers of a crash.
    pub(crate) fn take_first_pass(&self) -> bool {
        self.first_pass.swap(false, Ordering::Relaxed)
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<UploadId, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn path(&self, id: UploadId) -> PathBuf {
        self.directory.join(id.to_string())
    }

    /// Makes the caller the only writer. `None`: the session is not known to this process.
    fn check_out(&self, id: UploadId) -> Result<Option<Received>, RegistryError> {
        match self.slots().insert(id, Slot::Busy) {
            None => Ok(None),
            Some(Slot::Idle(received)) => Ok(Some(received)),
            Some(Slot::Busy) => Err(RegistryError::UploadBusy),
        }
    }

    /// Sessions that this process has seen and that are not over.
    pub(crate) fn count(&self) -> usize {
        self.slots().len()
    }

    fn is_busy(&self, id: UploadId) -> bool {
        matches!(self.slots().get(&id), Some(Slot::Busy))
    }

    /// Waits until nobody writes to the session.
    async fn free(&self, id: UploadId) {
        loop {
            let returned = self.returned.notified();
            tokio::pin!(returned);
            // Before the look, so that no return between the two is missed.
            returned.as_mut().enable();
            if !self.is_busy(id) {
                return;
            }
            returned.await;
        }
    }

    pub(crate) fn check_in(&self, id: UploadId, received: Option<Received>) {
        let mut slots = self.slots();
        match received {
            Some(received) => slots.insert(id, Slot::Idle(received)),
            None => slots.remove(&id),
        };
        self.returned.notify_waiters();
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
        let id = UploadId::new(Uuid::new_v4());
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
        let id = UploadId::new(Uuid::new_v4());
        // Busy for as long as it lives, so that no collection takes its file for a leftover.
        self.uploads.slots().insert(id, Slot::Busy);
        self.open_upload(repository, id, None, Lifetime::Request)
    }

    /// [`resume_upload`](Self::resume_upload), once nobody else writes to the session; but it does not wait for long
    /// ([`Limits::upload_busy_wait_max`](crate::Limits)). Holds no thread while it waits: many may.
    /// Errors: `RepositoryNotFound`, `UploadNotFound`, `UploadBusy`, `Storage`.
    pub async fn resume_upload_in_turn(
        self: &Arc<Self>,
        scope: &Scope,
        name: &RepositoryName,
        id: UploadId,
    ) -> Result<Upload, RegistryError> {
        let until = Instant::now() + self.limits.upload_busy_wait_max;
        loop {
            // When the wait ends without its turn, the look below says that the session is busy.
            let _ = tokio::time::timeout_at(until, self.uploads.free(id)).await;
            let (registry, scope, name) = (Arc::clone(self), scope.clone(), name.clone());
            let look = move || registry.resume_upload(&scope, &name, id);
            let resumed = tokio::task::spawn_blocking(look).await.map_err(|error| {
                RegistryError::storage("open", &self.uploads.path(id), io::Error::other(error))
            })?;
            match resumed {
                // Another writer was quicker, between the wait and the look.
                Err(RegistryError::UploadBusy) if Instant::now() < until => {}
                resumed => return resumed,
            }
        }
    }

    /// How many bytes a session has; of one that is being written to, how many are in its file.
    /// Errors: `RepositoryNotFound`, `UploadNotFound`, `Storage`.
    pub fn upload_offset(
        &self,
        scope: &Scope,
        name: &RepositoryName,
        id: UploadId,
    ) -> Result<u64, RegistryError> {
        self.metadata.read(|transaction| {
            let repository = find_repository(transaction, scope, name)?;
            find_upload(transaction, repository, id)
        })?;
        if let Some(Slot::Idle(received)) = self.uploads.slots().get(&id) {
            return Ok(received.offset);
        }
        let path = self.uploads.path(id);
        match path.metadata() {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(source) => Err(RegistryError::storage("read", &path, source)),
        }
    }

    /// Takes a session for writing. Does not wait: [`Registry::resume_upload_in_turn`] does.
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
        let received = self.uploads.check_out(id)?;
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
                Ok(Upload::new(Arc::clone(self), repository, id, file, received, lifetime))
            }
            Err(error) => {
                self.uploads.check_in(id, None);
                Err(error)
            }
        }
    }

    /// Forgets sessions that received nothing for long, and files of sessions that are gone.
    pub(crate) fn expire_uploads(&self, now: &Now) -> Result<u64, RegistryError> {
        let over = now.over(self.limits.upload_idle_max.as_millis() as i64);
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
            if !over.contains(used_at_ms)
                || matches!(self.uploads.slots().get(&id), Some(Slot::Busy))
            {
                continue;
            }
            self.forget_upload(id)?;
            self.uploads.check_in(id, None);
            expired += 1;
        }
        Ok(expired)
    }

    /// The file goes first: on a full disk, deleting the row may need its space.
    pub(crate) fn forget_upload(&self, id: UploadId) -> Result<(), RegistryError> {
        blob_store::remove_file(&self.uploads.path(id))?;
        self.metadata.write(|transaction| {
            transaction.execute("DELETE FROM upload WHERE id = ?1", [id.to_string()])?;
            Ok(())
        })
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

pub(crate) fn find_upload(
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
