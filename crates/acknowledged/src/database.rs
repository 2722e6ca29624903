//! An SQLite file (WAL, one process) of which every loss and every changed bit is noticed when it is opened.
//!
//! ```text
//! <name>.sqlite        the tables of its owner, and row_total: how often rows changed, how many there are, the sum of
//!                      their checksums
//! <name>.sqlite-wal    what is not in the file yet
//! <name>.acknowledged  how often rows had changed at the last commit that somebody was told of
//! ```
//!
//! | what happened while nobody had it open | how it is noticed |
//! |---|---|
//! | the file is gone or empty | there is a count, or a write-ahead log; looked at before SQLite makes a new file |
//! | the write-ahead log is gone, empty, cut or changed | SQLite goes back to its last whole commit: fewer changes than counted |
//! | the file is cut, a page or an index is changed | SQLite's own `integrity_check` |
//! | a value is changed, rows are gone or come twice | the totals |
//! | the count is gone or changed | not at all: it is a second opinion, and the next commit writes it |
//!
//! `row_total` is kept by triggers of the connection that writes, made anew at each start from the tables that there are:
//! no statement of the owner knows of them, and what a transaction takes back they take back with it.
//!
//! **Invariant:** what is refused is left as it is, byte for byte, so that it can be looked at, and mended by putting back
//! what is missing.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crc32fast::Hasher;
use outport_backup::Frozen;
use rusqlite::config::DbConfig;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, FileControl, OpenFlags, OptionalExtension, Transaction};

use crate::Acknowledged;

/// `sequences`: of the numbers that AUTOINCREMENT goes on from. `definitions`: of the tables and indexes themselves.
const TOTALS: &str = "
CREATE TABLE row_total (
    only        INTEGER PRIMARY KEY CHECK (only = 1),
    changes     INTEGER NOT NULL,
    rows        INTEGER NOT NULL,
    content     INTEGER NOT NULL,
    sequences   INTEGER NOT NULL,
    definitions INTEGER NOT NULL
) STRICT;
INSERT INTO row_total VALUES (1, 0, 0, 0, 0, 0);
";
const SEQUENCES: &str =
    "SELECT coalesce(sum(row_sum('sqlite_sequence', name, seq)), 0) FROM sqlite_sequence";
/// Not where they begin in the file: that is SQLite's affair.
const DEFINITIONS: &str =
    "SELECT coalesce(sum(row_sum(type, name, tbl_name, sql)), 0) FROM sqlite_schema";
/// A file with a table has at least one page of the smallest size.
const FILE_BYTES_MIN: u64 = 512;
const STATEMENTS_CACHED: usize = 64;

/// Why a database is not opened, or a commit not done.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// What is there is not what was acknowledged. `what` is one line.
    #[error("{} is damaged: {what}", .path.display())]
    Damaged { path: PathBuf, what: String },
    /// The last changes of what was acknowledged are missing; what is there is whole. `count` is the file that knows of
    /// them: without it, the file is what it is.
    #[error("{} is damaged: {what}", .path.display())]
    Behind { path: PathBuf, what: String, count: PathBuf },
    #[error("{}: {source}", .path.display())]
    Disk { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

impl DatabaseError {
    /// Tells damage that SQLite meets in a database in use from other errors.
    pub fn in_use(path: &Path, error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged { path: path.to_owned(), what: said_by_sqlite(&error) }
            }
            _ => error.into(),
        }
    }
}

/// What is known of a database beside what is in it.
///
/// To open one: [`find`](Self::find), [`connect`](Self::connect), look whether a newer version wrote it,
/// [`check`](Self::check), bring its tables up to date and [`count`](Self::count) if that changed any,
/// [`watch`](Self::watch).
pub struct WatchedDatabase {
    path: PathBuf,
    acknowledged: Acknowledged<1>,
    is_new: bool,
    is_checked: bool,
    /// Held for as long as there are connections: SQLite's locks on a file end when this process closes it anywhere.
    rows: Option<fs::File>,
}

impl WatchedDatabase {
    /// To be called before SQLite comes to the file at `path`: where there is none, it would make one, and remove the
    /// write-ahead log of the old one.
    ///
    /// # Errors
    /// `Damaged` when the file is gone; `Disk`.
    pub fn find(path: &Path) -> Result<Self, DatabaseError> {
        let count = path.with_extension("acknowledged");
        let acknowledged = Acknowledged::open(&count)
            .map_err(|source| DatabaseError::Disk { path: count, source })?;
        let is_new = length(path)? < FILE_BYTES_MIN;
        let found =
            Self { path: path.to_owned(), acknowledged, is_new, is_checked: false, rows: None };
        if is_new && (length(&log_of(path))? > 0 || found.acknowledged.numbers().is_some()) {
            return Err(found.gone());
        }
        Ok(found)
    }

    /// Whether there was no file, or nothing in it.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// For an owner who sees by what lies beside the file that there was one.
    pub fn gone(&self) -> DatabaseError {
        self.damaged("the file is gone, or nothing is in it")
    }

    /// Another connection to the file: in WAL mode, of this process alone, with every commit on disk before it returns.
    /// Until [`check`](Self::check) nothing of the file is changed, also when the connection is closed.
    ///
    /// # Errors
    /// `Damaged`; `Sqlite` for trouble of another kind.
    pub fn connect(&self) -> Result<Connection, DatabaseError> {
        self.try_connect().map_err(|error| self.at_open(error))
    }

    fn try_connect(&self) -> rusqlite::Result<Connection> {
        // What the connections share is in this process's memory: a file for it is written anew at a start, which a full
        // disk may have no room for.
        let flags = OpenFlags::default();
        let connection = Connection::open_with_flags_and_vfs(&self.path, flags, c"unix-excl")?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !self.is_checked)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // A log that has to be made anew at a start needs space, and an inode, that may not be there.
        connection.file_control(Some("main"), FileControl::PersistWal(&mut 1))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
        Ok(connection)
    }

    /// Compares all that there is with what was acknowledged, and reads the whole file for it: a second or two for each
    /// hundred megabytes. A file without totals, of an owner that did not keep any, is compared with nothing.
    ///
    /// # Errors
    /// `Damaged`; `Sqlite` for trouble of another kind.
    pub fn check(&mut self, connection: &Connection) -> Result<(), DatabaseError> {
        match self.compare(connection) {
            Err(DatabaseError::Sqlite(error)) => return Err(self.at_open(error)),
            compared => compared?,
        }
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        self.is_checked = true;
        Ok(())
    }

    fn compare(&self, connection: &Connection) -> Result<(), DatabaseError> {
        add_function(connection)?;
        let acknowledged = self.acknowledged.numbers().map_or(0, |[changes]| changes);
        let Some(totals) = Totals::written(connection)? else {
            return match acknowledged {
                0 => Ok(()),
                _ => Err(self.damaged(self.without_its_log("all that was in it is missing"))),
            };
        };
        let verdict: String =
            connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        if verdict != "ok" {
            return Err(self.damaged(said_by_sqlite(&verdict)));
        }
        let found = Totals { changes: totals.changes, ..Totals::count(connection)? };
        if found != totals {
            let (found, expected) = (found.rows, totals.rows);
            let what = format!("its {found} rows are not the {expected} that were written");
            return Err(self.damaged(what));
        }
        // Last, so that whoever goes on without the last changes does so on a whole file.
        let missing = acknowledged.saturating_sub(totals.changes);
        if missing > 0 {
            return Err(self.lost(missing));
        }
        Ok(())
    }

    fn lost(&self, changes: u64) -> DatabaseError {
        let what = self.without_its_log(&format!("the last {changes} changes are missing"));
        let count = self.acknowledged.path().to_owned();
        DatabaseError::Behind { path: self.path.clone(), what, count }
    }

    fn without_its_log(&self, what: &str) -> String {
        let log = log_of(&self.path);
        let log = log.file_name().unwrap_or_default().to_string_lossy();
        format!("{what}, as if {log} had been removed, cut or changed")
    }

    fn damaged(&self, what: impl Into<String>) -> DatabaseError {
        DatabaseError::Damaged { path: self.path.clone(), what: what.into() }
    }

    /// What SQLite says of a file that is being opened is about the file, unless it is about the disk or the locks.
    pub fn at_open(&self, error: rusqlite::Error) -> DatabaseError {
        match error.sqlite_error_code() {
            Some(
                ErrorCode::DiskFull
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::SystemIoFailure
                | ErrorCode::OutOfMemory,
            ) => error.into(),
            _ => self.damaged(said_by_sqlite(&error)),
        }
    }

    /// Says whether the file keeps totals.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn has_totals(connection: &Connection) -> rusqlite::Result<bool> {
        connection
            .query_row("SELECT 1 FROM sqlite_schema WHERE name = 'row_total'", [], |_| Ok(()))
            .optional()
            .map(|found| found.is_some())
    }

    /// Adds totals of all that there is, or counts anew; to be called in the transaction that made or changed tables.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn count(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        add_function(transaction)?;
        if !Self::has_totals(transaction)? {
            transaction.execute_batch(TOTALS)?;
        }
        let totals = Totals::count(transaction)?;
        transaction.execute(
            "UPDATE row_total SET changes = changes + 1, rows = ?1, content = ?2, sequences = ?3, \
             definitions = ?4",
            (totals.rows, totals.content, totals.sequences, totals.definitions),
        )?;
        Ok(())
    }

    /// From here on the totals follow what is written on this connection, the only one that writes.
    ///
    /// # Errors
    /// `Sqlite`; `Disk`.
    pub fn watch(&mut self, connection: &Connection) -> Result<(), DatabaseError> {
        add_function(connection)?;
        // Triggers of a connection lie in a database of their own, which is to need no disk.
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        // So that a row that is replaced counts as gone.
        connection.pragma_update(None, "recursive_triggers", true)?;
        for table in tables(connection)? {
            connection.execute_batch(&triggers(connection, &table)?)?;
        }
        let changes = changes(connection)?;
        if self.acknowledged.numbers() != Some([changes]) {
            // A process that was killed may have written them without having synced them.
            let log = log_of(&self.path);
            fs::File::open(&log)
                .and_then(|file| file.sync_data())
                .map_err(|source| DatabaseError::Disk { path: log, source })?;
            self.acknowledged.set([changes]);
        }
        self.rows = Some(open(&self.path)?);
        Ok(())
    }

    /// Its files as they are now, to be asked for once it is watched, by who keeps everybody from writing meanwhile. Takes
    /// their space on their disk, until they are dropped.
    ///
    /// # Errors
    /// `Disk`.
    pub fn freeze(&self) -> Result<Vec<Frozen>, DatabaseError> {
        let log = log_of(&self.path);
        let mut files = match &self.rows {
            Some(rows) => vec![frozen(&self.path, rows)?],
            None => Vec::new(),
        };
        for path in [&log, self.acknowledged.path()] {
            match open(path) {
                Ok(file) => files.push(frozen(path, &file)?),
                // A full disk may have had no room for it.
                Err(DatabaseError::Disk { source, .. })
                    if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(files)
    }

    /// Commits, and notes that it did. A transaction that changed nothing writes nothing.
    ///
    /// # Errors
    /// Those of SQLite; nothing was kept then.
    pub fn commit(&mut self, transaction: Transaction<'_>) -> rusqlite::Result<()> {
        let changes = changes(&transaction)?;
        if self.acknowledged.numbers() == Some([changes]) {
            return transaction.commit();
        }
        let sequences: i64 =
            transaction.prepare_cached(SEQUENCES)?.query_row([], |row| row.get(0))?;
        transaction
            .prepare_cached("UPDATE row_total SET sequences = ?1 WHERE sequences <> ?1")?
            .execute([sequences])?;
        transaction.commit()?;
        self.acknowledged.set([changes]);
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    changes: u64,
    rows: u64,
    content: i64,
    sequences: i64,
    definitions: i64,
}

impl Totals {
    /// As they stand in the file; `None` where the file keeps none.
    fn written(connection: &Connection) -> rusqlite::Result<Option<Self>> {
        if !WatchedDatabase::has_totals(connection)? {
            return Ok(None);
        }
        let select = "SELECT changes, rows, content, sequences, definitions FROM row_total";
        let totals = connection.query_row(select, [], |row| {
            Ok(Self {
                changes: row.get(0)?,
                rows: row.get(1)?,
                content: row.get(2)?,
                sequences: row.get(3)?,
                definitions: row.get(4)?,
            })
        })?;
        Ok(Some(totals))
    }

    /// Of the rows that there are. `changes` is not known from them.
    fn count(connection: &Connection) -> rusqlite::Result<Self> {
        let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        let mut totals = Self {
            sequences: number(SEQUENCES)?,
            definitions: number(DEFINITIONS)?,
            ..Self::default()
        };
        for table in tables(connection)? {
            let sum = row_sum(&table, "", &columns(connection, &table)?);
            // Not from an index: it is the table that is read later.
            let sql = format!(
                "SELECT count(*), coalesce(sum({sum}), 0) FROM {} NOT INDEXED",
                quoted(&table)
            );
            let (rows, content): (u64, i64) =
                connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
            totals.rows += rows;
            totals.content = totals.content.wrapping_add(content);
        }
        Ok(totals)
    }
}

fn open(path: &Path) -> Result<fs::File, DatabaseError> {
    fs::File::open(path).map_err(|source| DatabaseError::Disk { path: path.to_owned(), source })
}

fn frozen(path: &Path, file: &fs::File) -> Result<Frozen, DatabaseError> {
    let copy = || {
        let directory = path.parent().unwrap_or(Path::new("."));
        let name = path.file_name().unwrap_or_default();
        Frozen::copy(name, file, file.metadata()?.len(), directory)
    };
    copy().map_err(|source| DatabaseError::Disk { path: path.to_owned(), source })
}

fn changes(connection: &Connection) -> rusqlite::Result<u64> {
    connection.prepare_cached("SELECT changes FROM row_total")?.query_row([], |row| row.get(0))
}

/// The tables of the owner.
fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
         AND name <> 'row_total' ORDER BY name",
    )?;
    statement.query_map([], |row| row.get(0))?.collect()
}

fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement =
        connection.prepare("SELECT name FROM pragma_table_info(?1) ORDER BY cid")?;
    statement.query_map([table], |row| row.get(0))?.collect()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The expression of a row's checksum; `prefix` is empty, `OLD.` or `NEW.`.
fn row_sum(table: &str, prefix: &str, columns: &[String]) -> String {
    let mut sum = format!("row_sum('{}'", table.replace('\'', "''"));
    for column in columns {
        let _ = write!(sum, ", {prefix}{}", quoted(column));
    }
    sum + ")"
}

fn triggers(connection: &Connection, table: &str) -> rusqlite::Result<String> {
    let columns = columns(connection, table)?;
    let (old, new) = (row_sum(table, "OLD.", &columns), row_sum(table, "NEW.", &columns));
    let mut triggers = String::new();
    for (event, rows, content) in [
        ("INSERT", "+ 1", format!("+ {new}")),
        ("UPDATE", "+ 0", format!("- {old} + {new}")),
        ("DELETE", "- 1", format!("- {old}")),
    ] {
        let _ = write!(
            triggers,
            "CREATE TEMP TRIGGER {} AFTER {event} ON main.{} BEGIN UPDATE row_total SET \
             changes = changes + 1, rows = rows {rows}, content = content {content}; END;",
            quoted(&format!("{table} {event}")),
            quoted(table),
        );
    }
    Ok(triggers)
}

/// `row_sum(value, …)`: the CRC-32 of the values, each with its type and length, so that no two rows run together.
fn add_function(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("row_sum", -1, flags, |context: &Context<'_>| {
        let mut hasher = Hasher::new();
        for value in (0..context.len()).map(|place| context.get_raw(place)) {
            let (kind, bytes): (u8, &[u8]) = match &value {
                ValueRef::Null => (0, &[]),
                ValueRef::Integer(number) => (1, &number.to_le_bytes()),
                ValueRef::Real(number) => (2, &number.to_le_bytes()),
                ValueRef::Text(bytes) => (3, bytes),
                ValueRef::Blob(bytes) => (4, bytes),
            };
            hasher.update(&[kind]);
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        }
        Ok(i64::from(hasher.finalize()))
    })
}

/// 0 where there is no file.
fn length(path: &Path) -> Result<u64, DatabaseError> {
    match fs::metadata(path) {
        Ok(file) => Ok(file.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(source) => Err(DatabaseError::Disk { path: path.to_owned(), source }),
    }
}

/// In one line.
fn said_by_sqlite(what: &impl ToString) -> String {
    format!("SQLite says: {}", what.to_string().replace('\n', " "))
}

fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}
