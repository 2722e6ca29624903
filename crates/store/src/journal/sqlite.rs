//! The embedded journal: one SQLite file in WAL mode, synchronous=FULL.
//!
//! ```text
//! <directory>/lock                  flock while a store is open
//! <directory>/journal.sqlite        meta(name, value) · rows(id, table_name, key, version, checksum, row)
//! <directory>/journal.acknowledged  how many commits were acknowledged, see [`Acknowledged`]
//! ```
//!
//! Both files have space that nobody else can take, see [`super::reserve`].
//!
//! SQLite notices a torn commit; what it does not notice is noticed here, when the journal is opened:
//! a changed byte in a row (a checksum a row), rows that are gone or come twice (a sum over all
//! checksums), and a write-ahead log that lost its end (the count of acknowledged commits).

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use outport_acknowledged::Acknowledged;
use outport_backup::Frozen;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, FileControl, OptionalExtension, params};

use super::reserve::Reserve;
use super::{Change, InstanceId, Journal, StoredRow, Take};
use crate::error::{JournalError, OpenError};
use crate::host::Ids;
use crate::identifiers;

/// The version of the schema and of what the checksums cover.
const FORMAT: i64 = 1;
/// `OutP`: what SQLite keeps in the header of the file to say whose it is.
const APPLICATION_ID: i64 = 0x4F75_7450;
const INSTANCE_ID_LENGTH: usize = 8;

const SCHEMA: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
    CREATE TABLE rows (
        id INTEGER PRIMARY KEY,
        table_name TEXT NOT NULL,
        key TEXT NOT NULL,
        version INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        row TEXT NOT NULL,
        UNIQUE (table_name, key)
    );
    INSERT INTO meta VALUES ('commits', 0), ('rows', 0), ('content', 0);
";

/// The length costs nothing: SQLite reads it from the row's head.
const OLD: &str = "SELECT checksum, octet_length(row) FROM rows WHERE table_name = ?1 AND key = ?2";
/// A row that is there already is a fault, which fails the commit.
const ADD: &str =
    "INSERT INTO rows (table_name, key, version, checksum, row) VALUES (?1, ?2, ?3, ?4, ?5)";
/// New rows lie one behind the other, whatever their keys: keys are random, and pages that are written
/// one after the other are what makes a commit of many rows cheap.
const PUT: &str = "
    INSERT INTO rows (table_name, key, version, checksum, row) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (table_name, key)
    DO UPDATE SET version = excluded.version, checksum = excluded.checksum, row = excluded.row
";
/// KiB of pages that SQLite may keep in memory.
const CACHE_KIB: i64 = 16_384;

pub struct SqliteJournal {
    connection: Connection,
    path: PathBuf,
    /// How many commits were acknowledged.
    acknowledged: Acknowledged<1>,
    totals: Totals,
    /// Of all rows; not kept in the file, but counted when it is read.
    bytes: u64,
    /// Whether all rows were found as they were written.
    is_whole: bool,
    /// Behind the connection: it is closed first.
    reserve: Reserve,
    /// Held, not used: the lock goes with it.
    _lock: File,
}

/// What the meta table keeps of all rows together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    commits: i64,
    rows: i64,
    /// The wrapping sum of the checksums of all rows.
    content: i64,
}

impl SqliteJournal {
    pub fn open(directory: &Path, ids: &dyn Ids) -> Result<Self, OpenError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| io("make", directory, &error))?;
        let lock = lock(directory)?;
        let path = directory.join("journal.sqlite");
        let count = directory.join("journal.acknowledged");
        let acknowledged =
            Acknowledged::open(&count).map_err(|error| io("open", &count, &error))?;
        refuse_gone(&path, &acknowledged)?;
        let connection = connect(&path, ids).map_err(|error| open_error(&path, &error))??;
        let reserve = Reserve::open(&path).map_err(|error| io("open", &path, &error))?;
        connection
            .pragma_update(None, "wal_autocheckpoint", reserve.checkpoint_pages())
            .map_err(|error| open_error(&path, &error))?;
        let (totals, bytes) = Default::default();
        let is_whole = false;
        Ok(Self { connection, path, acknowledged, totals, bytes, is_whole, reserve, _lock: lock })
    }

    fn totals(&self) -> rusqlite::Result<Totals> {
        Ok(Totals {
            commits: meta(&self.connection, "commits")?,
            rows: meta(&self.connection, "rows")?,
            content: meta(&self.connection, "content")?,
        })
    }

    /// Gives every row, checked, to `take`; what was found, and the bytes of all.
    fn read_rows(&self, take: Take<'_>) -> Result<(Totals, u64), OpenError> {
        let failed = |error: rusqlite::Error| open_error(&self.path, &error);
        let mut statement = self
            .connection
            .prepare("SELECT table_name, key, version, row, checksum FROM rows")
            .map_err(failed)?;
        let mut found = statement.query([]).map_err(failed)?;
        let (mut totals, mut bytes) = (Totals::default(), 0);
        while let Some(row) = found.next().map_err(failed)? {
            let (stored, checksum) = stored_row(row).map_err(failed)?;
            if checksum_of(&stored.table, &stored.key, stored.version, &stored.bytes) != checksum {
                let what = format!("wrong checksum of {} {}", stored.table, stored.key);
                return Err(self.corrupt(what));
            }
            totals.rows += 1;
            totals.content = totals.content.wrapping_add(checksum);
            bytes += stored.bytes.len() as u64;
            take(stored)?;
        }
        Ok((totals, bytes))
    }

    fn corrupt(&self, what: impl Into<String>) -> OpenError {
        OpenError::Corrupt { path: self.path.clone(), what: what.into() }
    }
}

impl Journal for SqliteJournal {
    fn load(&mut self, take: Take<'_>) -> Result<InstanceId, OpenError> {
        let failed = |error: rusqlite::Error| open_error(&self.path, &error);
        let instance_id = meta(&self.connection, "instance_id").map_err(failed)?;
        let totals = self.totals().map_err(failed)?;
        let (found, bytes) = self.read_rows(take)?;
        if found != (Totals { commits: 0, ..totals }) {
            let (found, expected) = (found.rows, totals.rows);
            return Err(
                self.corrupt(format!("{found} rows are not the {expected} that were written"))
            );
        }
        let missing = acknowledged(&self.acknowledged) - totals.commits;
        if missing > 0 {
            return Err(self.corrupt(format!("the last {missing} commits are missing")));
        }
        (self.totals, self.bytes) = (totals, bytes);
        self.connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
            .map_err(failed)?;
        self.is_whole = true;
        Ok(instance_id)
    }

    fn commit(&mut self, writes: &[Vec<Change>]) -> Result<usize, JournalError> {
        let transaction = self.connection.transaction().map_err(|error| journal_error(&error))?;
        let (mut totals, mut bytes) = (self.totals, self.bytes);
        totals.commits += 1;
        for change in writes.iter().flatten() {
            apply(&transaction, change, &mut totals, &mut bytes)?;
        }
        write_totals(&transaction, &totals).map_err(|error| journal_error(&error))?;
        transaction.commit().map_err(|error| journal_error(&error))?;
        (self.totals, self.bytes) = (totals, bytes);
        self.acknowledged.set([totals.commits.unsigned_abs()]);
        Ok(writes.len())
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    /// No transaction is open, and nobody else has a connection.
    fn freeze(&mut self) -> Result<Vec<Frozen>, JournalError> {
        let mut files = vec![frozen(&self.path, self.reserve.rows())?];
        for path in [self.reserve.log(), self.acknowledged.path()] {
            match File::open(path) {
                Ok(file) => files.push(frozen(path, &file)?),
                // A full disk may have had no room for it.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(freeze_error(path, &error)),
            }
        }
        Ok(files)
    }

    fn directory(&self) -> Option<PathBuf> {
        self.path.parent().map(Path::to_owned)
    }

    fn take_reserve(&mut self, is_calm: bool) -> bool {
        let taken = self.reserve.take(&self.connection, self.totals.commits, is_calm);
        taken.unwrap_or_else(|error| {
            tracing::warn!(
                event = "journal_reserve_small",
                %error,
                "the journal has less space in reserve than it should"
            );
            false
        })
    }
}

impl Drop for SqliteJournal {
    fn drop(&mut self) {
        // What was refused is left as it is: it can be looked at, and what is missing put back.
        if self.is_whole {
            self.reserve.empty_log(&self.connection);
        }
    }
}

/// A row with the checksum that was written with it.
fn stored_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<(StoredRow, i64)> {
    let stored = StoredRow {
        table: row.get(0)?,
        key: row.get(1)?,
        version: row.get(2)?,
        bytes: row.get(3)?,
    };
    Ok((stored, row.get(4)?))
}

fn apply(
    connection: &Connection,
    change: &Change,
    totals: &mut Totals,
    bytes_of_all: &mut u64,
) -> Result<(), JournalError> {
    let failed = |error: rusqlite::Error| journal_error(&error);
    let place = params![change.table, change.key];
    // Of a new row nothing is looked for: most rows of a busy commit are new.
    if change.old.is_some() {
        let old: Option<(i64, u64)> = connection
            .prepare_cached(OLD)
            .and_then(|mut statement| {
                statement.query_row(place, |row| Ok((row.get(0)?, row.get(1)?))).optional()
            })
            .map_err(failed)?;
        if let Some((old, length)) = old {
            totals.rows -= 1;
            totals.content = totals.content.wrapping_sub(old);
            *bytes_of_all = bytes_of_all.saturating_sub(length);
        }
    }
    let Some(row) = &change.row else {
        connection
            .prepare_cached("DELETE FROM rows WHERE table_name = ?1 AND key = ?2")
            .and_then(|mut statement| statement.execute(place))
            .map_err(failed)?;
        return Ok(());
    };
    let bytes = row.encode().map_err(JournalError::Encode)?;
    let checksum = checksum_of(change.table, &change.key, row.version(), &bytes);
    connection
        .prepare_cached(if change.old.is_some() { PUT } else { ADD })
        .and_then(|mut statement| {
            statement.execute(params![change.table, change.key, row.version(), checksum, bytes])
        })
        .map_err(failed)?;
    totals.rows += 1;
    totals.content = totals.content.wrapping_add(checksum);
    *bytes_of_all += bytes.len() as u64;
    Ok(())
}

fn write_totals(connection: &Connection, totals: &Totals) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("UPDATE meta SET value = ?2 WHERE name = ?1")?;
    for (name, value) in
        [("commits", totals.commits), ("rows", totals.rows), ("content", totals.content)]
    {
        statement.execute(params![name, value])?;
    }
    Ok(())
}

fn frozen(path: &Path, file: &File) -> Result<Frozen, JournalError> {
    let copy = || {
        let directory = path.parent().unwrap_or(Path::new("/"));
        let name = path.file_name().unwrap_or_default();
        Frozen::copy(name, file, file.metadata()?.len(), directory)
    };
    copy().map_err(|error| freeze_error(path, &error))
}

fn freeze_error(path: &Path, error: &std::io::Error) -> JournalError {
    JournalError::Io(format!("cannot copy {}: {error}", path.display()))
}

/// Covers where a row belongs as well as what it says.
fn checksum_of(table: &str, key: &str, version: u32, bytes: &str) -> i64 {
    let mut hasher = crc32fast::Hasher::new();
    for part in [table.as_bytes(), &[0], key.as_bytes(), &[0]] {
        hasher.update(part);
    }
    hasher.update(&version.to_le_bytes());
    hasher.update(bytes.as_bytes());
    i64::from(hasher.finalize())
}

/// Opens the file and makes the schema in a new one.
fn connect(path: &Path, ids: &dyn Ids) -> rusqlite::Result<Result<Connection, OpenError>> {
    let connection = Connection::open(path)?;
    // Until all was looked at.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Exclusive: no other process can write behind our back, and no shared memory file is needed.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A log that has to be made anew at a start needs space that may not be there.
    connection.file_control(Some("main"), FileControl::PersistWal(&mut 1))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    let format: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let owner: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if format == 0 && owner == 0 && tables == 0 {
        create(&connection, ids)?;
        return Ok(Ok(connection));
    }
    if owner != APPLICATION_ID {
        let what = "it is not a journal of outport".to_owned();
        return Ok(Err(OpenError::Corrupt { path: path.to_owned(), what }));
    }
    if format > FORMAT {
        let what = format!("format {format}, this version knows up to {FORMAT}");
        return Ok(Err(OpenError::NewerVersion { path: path.to_owned(), what }));
    }
    Ok(Ok(connection))
}

fn create(connection: &Connection, ids: &dyn Ids) -> rusqlite::Result<()> {
    let instance_id = identifiers::hex(ids, INSTANCE_ID_LENGTH);
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(SCHEMA)?;
    transaction.execute("INSERT INTO meta VALUES ('instance_id', ?1)", [instance_id])?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()
}

fn meta<T: rusqlite::types::FromSql>(connection: &Connection, name: &str) -> rusqlite::Result<T> {
    connection.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0))
}

/// SQLite would make a new file, and remove the write-ahead log of the old one.
fn refuse_gone(path: &Path, count: &Acknowledged<1>) -> Result<(), OpenError> {
    let is_empty = match fs::metadata(path) {
        Ok(file) => file.len() == 0,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => return Err(io("open", path, &error)),
    };
    if is_empty && acknowledged(count) > 0 {
        let what = "the file is gone, or nothing is in it".to_owned();
        return Err(OpenError::Corrupt { path: path.to_owned(), what });
    }
    Ok(())
}

/// Commits that somebody was told of; 0 when that is not known.
fn acknowledged(count: &Acknowledged<1>) -> i64 {
    count.numbers().and_then(|[commits]| i64::try_from(commits).ok()).unwrap_or(0)
}

/// A process that was killed, or a journal that was closed, may have a child that was just begun: it has the lock's file
/// until it executes a program or ends.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
const LOCK_POLL: Duration = Duration::from_millis(5);

fn lock(directory: &Path) -> Result<File, OpenError> {
    let path = directory.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| io("open", &path, &error))?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(LOCK_POLL),
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::Locked { directory: directory.to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(io("lock", &path, &error)),
        }
    }
}

fn io(action: &'static str, path: &Path, error: &std::io::Error) -> OpenError {
    OpenError::Io { action, path: path.to_owned(), reason: error.to_string() }
}

fn open_error(path: &Path, error: &rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            OpenError::Locked { directory: path }
        }
        Some(
            ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::ReadOnly
            | ErrorCode::SystemIoFailure
            | ErrorCode::DiskFull,
        ) => OpenError::Io { action: "open", path, reason: error.to_string() },
        _ => OpenError::Corrupt { path, what: error.to_string() },
    }
}

fn journal_error(error: &rusqlite::Error) -> JournalError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => JournalError::Full,
        _ => JournalError::Io(error.to_string()),
    }
}
