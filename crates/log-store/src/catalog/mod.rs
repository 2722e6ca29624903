//! The catalog: which groups, streams, sources and blocks there are, in SQLite.
//!
//! **Invariant:** every row carries a checksum over its own fields, compared on every read, so a
//! changed bit on disk is an error and never an answer. What is not there, or is not as it was written, is noticed at the
//! next start ([`WatchedDatabase`]).

pub(crate) mod blocks;
pub(crate) mod groups;
mod row_check;
pub(crate) mod sources;
pub(crate) mod streams;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use outport_acknowledged::{DatabaseError, WatchedDatabase};
use outport_backup::Frozen;
use outport_free_space::{FreeSpace, Part, take_blocks};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

use crate::error::LogStoreError;

/// Since version 2 there are totals of all rows.
const VERSION: i64 = 2;
/// What the write-ahead log has of the disk, so that on a full one groups and streams can be deleted: twice its length
/// at a checkpoint.
const LOG_BYTES: u64 = 4 * 1024 * 1024;
/// On a small disk it has this part of it instead.
const LOG_SHARE: u64 = 64;
const PAGE_BYTES: u64 = 4_096;
/// Kibibytes of pages that each of the two connections keeps in memory.
const CACHE_KIB: i64 = 512;

const SCHEMA: &str = "
CREATE TABLE log_group (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL,
    created_ms INTEGER NOT NULL, retention_days INTEGER, class TEXT NOT NULL, kms_key_id TEXT,
    tags TEXT NOT NULL, row_check INTEGER NOT NULL,
    UNIQUE (account, region, name)) STRICT;
CREATE TABLE log_stream (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    log_group INTEGER NOT NULL REFERENCES log_group (id) ON DELETE CASCADE,
    name TEXT NOT NULL, created_ms INTEGER NOT NULL,
    earliest_ms INTEGER, latest_ms INTEGER, last_ingestion_ms INTEGER, row_check INTEGER NOT NULL,
    UNIQUE (log_group, name)) STRICT;
CREATE TABLE source (
    log_stream INTEGER NOT NULL REFERENCES log_stream (id) ON DELETE CASCADE,
    source TEXT NOT NULL, cursor INTEGER NOT NULL, row_check INTEGER NOT NULL,
    PRIMARY KEY (log_stream, source)) STRICT, WITHOUT ROWID;
CREATE TABLE segment (number INTEGER PRIMARY KEY AUTOINCREMENT, bytes INTEGER NOT NULL) STRICT;
CREATE TABLE block (
    segment INTEGER NOT NULL, offset INTEGER NOT NULL,
    log_stream INTEGER NOT NULL REFERENCES log_stream (id) ON DELETE CASCADE,
    first_ms INTEGER NOT NULL, first_sequence INTEGER NOT NULL,
    last_ms INTEGER NOT NULL, last_sequence INTEGER NOT NULL,
    events INTEGER NOT NULL, message_bytes INTEGER NOT NULL,
    filter_bytes INTEGER NOT NULL, packed_bytes INTEGER NOT NULL, row_check INTEGER NOT NULL,
    PRIMARY KEY (segment, offset)) STRICT, WITHOUT ROWID;
CREATE INDEX block_by_stream ON block (log_stream, last_ms);
CREATE TABLE mark (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
";

pub(crate) struct Catalog {
    path: PathBuf,
    writer: Mutex<Writer>,
    reader: Mutex<Connection>,
}

struct Writer {
    connection: Connection,
    watched: WatchedDatabase,
}

impl Catalog {
    /// `has_events`: there are files that only a catalog can have left.
    pub fn open(directory: &Path, has_events: bool) -> Result<Self, LogStoreError> {
        let path = directory.join("catalog.sqlite");
        let mut watched = WatchedDatabase::find(&path)?;
        if watched.is_new() && has_events {
            return Err(watched.gone().into());
        }
        let mut connection = connect(&watched, &path)?;
        let found: i64 = connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(|error| watched.at_open(error))?;
        if found > VERSION {
            return Err(LogStoreError::NewerVersion {
                path: directory.into(),
                found,
                known: VERSION,
            });
        }
        watched.check(&connection)?;
        if found == 0 && has_events {
            return Err(watched.gone().into());
        }
        migrate(&mut connection, found).map_err(|error| watched.at_open(error))?;
        watched.watch(&connection)?;
        let reader = connect(&watched, &path)?;
        take_log_blocks(&path);
        let writer = Writer { connection, watched };
        Ok(Self { path, writer: Mutex::new(writer), reader: Mutex::new(reader) })
    }

    /// Runs `work` in one transaction that is on disk when this returns `Ok`.
    pub fn write<T>(
        &self,
        work: impl FnOnce(&CatalogWrite<'_>) -> Result<T, LogStoreError>,
    ) -> Result<T, LogStoreError> {
        let write = || {
            let mut writer = lock(&self.writer);
            let Writer { connection, watched } = &mut *writer;
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let read = CatalogRead { db: &transaction, path: &self.path };
            let answer = work(&CatalogWrite { read })?;
            watched.commit(transaction)?;
            Ok(answer)
        };
        write().map_err(|error: LogStoreError| error.in_file(&self.path))
    }

    /// Runs `work` on one state of the catalog.
    pub fn read<T>(
        &self,
        work: impl FnOnce(&CatalogRead<'_>) -> Result<T, LogStoreError>,
    ) -> Result<T, LogStoreError> {
        let read = || {
            let mut connection = lock(&self.reader);
            let transaction: Transaction<'_> = connection.transaction()?;
            work(&CatalogRead { db: &transaction, path: &self.path })
        };
        read().map_err(|error: LogStoreError| error.in_file(&self.path))
    }

    /// The files as they are now. Takes their space on the disk, until they are dropped.
    pub fn freeze(&self) -> Result<Vec<Frozen>, LogStoreError> {
        // Nobody else writes, neither rows nor what was in the log.
        Ok(lock(&self.writer).watched.freeze()?)
    }

    /// Compares the tables with their indexes, page by page, on a connection of its own, so that
    /// nobody waits for it.
    pub fn check(&self) -> Result<(), LogStoreError> {
        let connection = lock(&self.writer).watched.connect()?;
        check_whole(&connection, &self.path)
    }
}

impl Drop for Catalog {
    fn drop(&mut self) {
        // SQLite would cut the log to nothing when it is closed, and with it go its blocks. Where there is room, they
        // are taken again: a log that is empty is not read at the next start.
        let is_low =
            FreeSpace::of(&self.path).is_ok_and(|space| space.is_low_for(Part::DataPlanes));
        let writer = &lock(&self.writer).connection;
        let closed = writer
            .pragma_update(None, "journal_size_limit", -1)
            .and(lock(&self.reader).pragma_update(None, "journal_size_limit", -1))
            .and_then(|()| match is_low {
                true => Ok(()),
                false => writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())),
            });
        if let Err(error) = closed {
            tracing::warn!(
                event = "log_catalog_reserve_unsure",
                %error,
                "the log catalog may have no space of its own at the next start"
            );
        } else if !is_low {
            take_log_blocks(&self.path);
        }
    }
}

/// What can be asked of one state of the catalog. The questions are in the files of their nouns.
pub(crate) struct CatalogRead<'a> {
    db: &'a Connection,
    path: &'a Path,
}

/// A catalog that may be changed; everything or nothing of it is kept.
pub(crate) struct CatalogWrite<'a> {
    read: CatalogRead<'a>,
}

impl<'a> std::ops::Deref for CatalogWrite<'a> {
    type Target = CatalogRead<'a>;
    fn deref(&self) -> &Self::Target {
        &self.read
    }
}

/// Numbers that the store goes on from after a restart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mark {
    /// Journals up to this number are sealed.
    SealedJournal,
    /// No event in a segment has this sequence or a later one.
    NextSequence,
}

impl Mark {
    fn name(self) -> &'static str {
        match self {
            Self::SealedJournal => "sealed_journal",
            Self::NextSequence => "next_sequence",
        }
    }
}

impl CatalogRead<'_> {
    pub fn mark(&self, mark: Mark) -> Result<u64, LogStoreError> {
        let mut statement = self.db.prepare_cached("SELECT value FROM mark WHERE name = ?1")?;
        let value: Option<i64> = statement.query_row([mark.name()], |row| row.get(0)).optional()?;
        Ok(value.unwrap_or(0) as u64)
    }

    fn damaged(&self, what: &'static str) -> LogStoreError {
        LogStoreError::Damaged { path: self.path.to_owned(), offset: None, what: what.into() }
    }
}

impl CatalogWrite<'_> {
    pub fn set_mark(&self, mark: Mark, value: u64) -> Result<(), LogStoreError> {
        let mut statement =
            self.db.prepare_cached("INSERT OR REPLACE INTO mark (name, value) VALUES (?1, ?2)")?;
        statement.execute((mark.name(), value as i64))?;
        Ok(())
    }
}

fn migrate(connection: &mut Connection, found: i64) -> rusqlite::Result<()> {
    if found == VERSION {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    if found == 0 {
        transaction.execute_batch(SCHEMA)?;
    }
    WatchedDatabase::count(&transaction)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

fn connect(watched: &WatchedDatabase, path: &Path) -> Result<Connection, LogStoreError> {
    let connection = watched.connect()?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    connection.pragma_update(None, "wal_autocheckpoint", log_bytes(path) / 2 / PAGE_BYTES)?;
    Ok(connection)
}

fn log_bytes(catalog: &Path) -> u64 {
    let space = FreeSpace::of(catalog);
    space.map_or(LOG_BYTES, |space| LOG_BYTES.min(space.bytes_total / LOG_SHARE))
}

fn take_log_blocks(catalog: &Path) {
    let mut log = catalog.as_os_str().to_owned();
    log.push("-wal");
    if let Err(error) = take_blocks(log.as_ref(), log_bytes(catalog)) {
        tracing::warn!(
            event = "log_catalog_reserve_missing",
            %error,
            "cannot reserve space for the log catalog"
        );
    }
}

fn check_whole(connection: &Connection, path: &Path) -> Result<(), LogStoreError> {
    let verdict: String = connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(|error| DatabaseError::in_use(path, error))?;
    if verdict == "ok" {
        return Ok(());
    }
    tracing::error!(
        event = "log_catalog_damaged",
        path = %path.display(),
        verdict,
        "the log catalog is damaged"
    );
    let what = format!("SQLite says: {verdict}").into();
    Err(LogStoreError::Damaged { path: path.to_owned(), offset: None, what })
}

fn lock<T>(connection: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic drops its transaction, which rolls it back: the connection is as good as before.
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use outport_model::{AccountId, Region, Scope};

    use super::*;
    use crate::group::NewLogGroup;
    use crate::names::LogGroupName;

    const GROUPS: usize = 100;

    fn make_groups(catalog: &Catalog) -> Result<(), LogStoreError> {
        let scope = Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"));
        catalog.write(|write| {
            for number in 0..GROUPS {
                let name = LogGroupName::parse(&format!("group-{number}")).unwrap();
                write.insert_group(&scope, NewLogGroup::named(name), 0, u64::MAX)?;
            }
            Ok(())
        })
    }

    #[test]
    fn a_full_disk_is_said_and_keeps_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(directory.path(), false).unwrap();
        let set = |pages: &str| {
            let set = format!("PRAGMA max_page_count = {pages}");
            lock(&catalog.writer).connection.query_row(&set, [], |_| Ok(())).unwrap();
        };
        // The limit cannot go below what there is: not one page more.
        set("1");
        let refused = make_groups(&catalog).unwrap_err();
        assert!(matches!(refused, LogStoreError::CatalogFull), "{refused}");
        set("1000");
        make_groups(&catalog).unwrap();
    }
}
