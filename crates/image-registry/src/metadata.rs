//! The SQLite file of a registry: one connection that writes, one that reads beside it.
//!
//! **Invariant:** a write that returned is on disk (WAL with `synchronous=FULL`), and a reader never sees
//! half of one.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use outport_free_space::{FreeSpace, take_blocks};
use rusqlite::{Connection, FileControl, OpenFlags, Transaction, TransactionBehavior};

use crate::seen_repository::SeenRepository;
use crate::{RegistryError, schema};

/// How long a statement waits for another one's locks.
const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);
/// What the write-ahead log has of the disk, so that on a full one images and repositories can be deleted: twice its
/// length at a checkpoint.
const LOG_BYTES: u64 = 4 << 20;
/// On a small disk it has this part of it instead.
const LOG_SHARE: u64 = 64;
const PAGE_BYTES: u64 = 4_096;
const STATEMENTS_CACHED: usize = 64;

pub(crate) struct Metadata {
    connections: Arc<Connections>,
    /// What has to be as it was seen, in every transaction.
    seen: Vec<SeenRepository>,
}

struct Connections {
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}

impl Metadata {
    pub(crate) fn open(directory: &Path) -> Result<Self, RegistryError> {
        let path = directory.join("registry.sqlite");
        let mut writer = connect(&path)?;
        schema::migrate(&mut writer, directory)?;
        let reader = connect(&path)?;
        reader.pragma_update(None, "query_only", true)?;
        take_log_blocks(&path);
        let connections = Connections { writer: Mutex::new(writer), reader: Mutex::new(reader) };
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
        let mut connection = lock(&self.connections.writer);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.check(&transaction)?;
        let value = work(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }

    /// Runs `work` on one consistent state.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let mut connection = lock(&self.connections.reader);
        let transaction = connection.transaction()?;
        self.check(&transaction)?;
        work(&transaction)
    }
}

fn connect(path: &Path) -> Result<Connection, RegistryError> {
    // What the connections share is in this process's memory: a file for it is written anew at a start, which a full
    // disk may have no room for.
    let connection = Connection::open_with_flags_and_vfs(path, OpenFlags::default(), c"unix-excl")?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A log that has to be made anew at a start needs space that may not be there.
    connection.file_control(Some("main"), FileControl::PersistWal(&mut 1))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", log_bytes(path) / 2 / PAGE_BYTES)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
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
        tracing::warn!(%error, "the registry's rows have no space of their own");
    }
}

/// A panic in the middle of a transaction has rolled it back, so the connection is still good.
fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}
