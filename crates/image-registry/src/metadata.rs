//! The SQLite file of a registry: one connection that writes, one that reads beside it.
//!
//! **Invariant:** a write that returned is on disk (WAL with `synchronous=FULL`), and a reader never sees
//! half of one. What was written and is not there, or is not as it was written, is noticed at the next start.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use outport_acknowledged::WatchedDatabase;
use outport_backup::Frozen;
use outport_free_space::{FreeSpace, Part, take_blocks};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::seen_repository::SeenRepository;
use crate::{RegistryError, blob_store, schema};

/// How long a statement waits for another one's locks.
const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);
/// What the write-ahead log has of the disk, so that on a full one images and repositories can be deleted: twice its
/// length at a checkpoint.
const LOG_BYTES: u64 = 4 << 20;
/// On a small disk it has this part of it instead.
const LOG_SHARE: u64 = 64;
const PAGE_BYTES: u64 = 4_096;

pub(crate) struct Metadata {
    connections: Arc<Connections>,
    /// What has to be as it was seen, in every transaction.
    seen: Vec<SeenRepository>,
}

struct Connections {
    path: PathBuf,
    writer: Mutex<Writer>,
    reader: Mutex<Connection>,
}

struct Writer {
    connection: Connection,
    watched: WatchedDatabase,
}

impl Metadata {
    pub(crate) fn open(directory: &Path) -> Result<Self, RegistryError> {
        let path = directory.join("registry.sqlite");
        let mut watched = WatchedDatabase::find(&path)?;
        // Their files would be taken for leftovers, and removed.
        let has_blobs = blob_store::has_blobs(directory)?;
        if watched.is_new() && has_blobs {
            return Err(watched.gone().into());
        }
        let mut connection = connect(&watched, &path)?;
        let found = schema::version(&connection).map_err(|error| watched.at_open(error))?;
        schema::refuse_newer(found, directory)?;
        watched.check(&connection)?;
        if found == 0 && has_blobs {
            return Err(watched.gone().into());
        }
        schema::migrate(&mut connection, found).map_err(|error| watched.at_open(error))?;
        watched.watch(&connection)?;
        let reader = connect(&watched, &path)?;
        reader.pragma_update(None, "query_only", true)?;
        take_log_blocks(&path);
        let writer = Writer { connection, watched };
        let (writer, reader) = (Mutex::new(writer), Mutex::new(reader));
        let connections = Connections { path, writer, reader };
        Ok(Self { connections: Arc::new(connections), seen: Vec::new() })
    }

    /// The same file, while one more repository is as it was seen.
    pub(crate) fn while_as_seen(&self, seen: SeenRepository) -> Self {
        let mut all = self.seen.clone();
        all.push(seen);
        Self { connections: Arc::clone(&self.connections), seen: all }
    }

    fn check(&self, transaction: &Transaction<'_>) -> Result<(), RegistryError> {
        self.seen.iter().try_for_each(|seen| seen.check(transaction))
    }

    /// Runs `work` in a transaction, and commits what it did if it succeeds.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let path = &self.connections.path;
        self.try_write(work).map_err(|error| error.in_file(path))
    }

    fn try_write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let mut writer = lock(&self.connections.writer);
        let Writer { connection, watched } = &mut *writer;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.check(&transaction)?;
        let value = work(&transaction)?;
        watched.commit(transaction)?;
        Ok(value)
    }

    /// The files as they are now, and what `read` finds in them. Takes their space on the disk, until they are dropped.
    pub(crate) fn freeze<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, RegistryError>,
    ) -> Result<(Vec<Frozen>, T), RegistryError> {
        // Nobody else writes, neither rows nor what was in the log.
        let writer = lock(&self.connections.writer);
        let found =
            read(&writer.connection).map_err(|error| error.in_file(&self.connections.path))?;
        Ok((writer.watched.freeze()?, found))
    }

    /// Runs `work` on one consistent state.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let path = &self.connections.path;
        self.try_read(work).map_err(|error| error.in_file(path))
    }

    fn try_read<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let mut connection = lock(&self.connections.reader);
        let transaction = connection.transaction()?;
        self.check(&transaction)?;
        work(&transaction)
    }
}

impl Drop for Connections {
    /// Leaves the log empty, where there is room to take its blocks again: what is in the file already is then not read, or
    /// misread, once more at the next start.
    fn drop(&mut self) {
        if FreeSpace::of(&self.path).is_ok_and(|space| space.is_low_for(Part::DataPlanes)) {
            return;
        }
        let writer = &lock(&self.writer).connection;
        match writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
            Ok(()) => take_log_blocks(&self.path),
            Err(error) => tracing::warn!(
                event = "registry_checkpoint_failed",
                %error,
                "cannot empty the write-ahead log of the registry's rows: it stays as it is"
            ),
        }
    }
}

fn connect(watched: &WatchedDatabase, path: &Path) -> Result<Connection, RegistryError> {
    let connection = watched.connect()?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "wal_autocheckpoint", log_bytes(path) / 2 / PAGE_BYTES)?;
    Ok(connection)
}

fn log_bytes(database: &Path) -> u64 {
    let space = FreeSpace::of(database);
    space.map_or(LOG_BYTES, |space| LOG_BYTES.min(space.bytes_total / LOG_SHARE))
}

fn take_log_blocks(database: &Path) {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    if let Err(error) = take_blocks(log.as_ref(), log_bytes(database)) {
        tracing::warn!(
            event = "registry_reserve_missing",
            %error,
            "cannot reserve space for the registry's rows"
        );
    }
}

/// A panic in the middle of a transaction has rolled it back, so the connection is still good.
fn lock<T>(connection: &Mutex<T>) -> MutexGuard<'_, T> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}
