//! From the journal to the tables, at the start.
//!
//! ```text
//! journal: read, checked -> batches -> parsed, by table -> sorted, built
//! ```
//!
//! Rows are parsed by as many threads as there are cores while one more reads them, and then each table is built by a
//! thread of its own: a start is what users wait for after an upgrade.
//!
//! **Invariant:** either every row is in its table when this returns, or there is an error.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use crate::error::OpenError;
use crate::journal::{InstanceId, Journal, StoredRow};
use crate::tables::{LoadedRows, Tables, Unreadable};

/// Until it is known which journal it is about.
const NOWHERE: &str = "the journal";
const ROWS_PER_BATCH: usize = 256;
/// Batches between two threads: what is read ahead stays small.
const BATCHES_WAITING_MAX: usize = 16;
/// More would wait for the one that reads.
const PARSERS_MAX: usize = 8;

pub(crate) fn load(journal: &mut impl Journal) -> Result<(Tables, InstanceId), OpenError> {
    let directory = journal.directory();
    read(journal).map_err(|error| match directory {
        Some(directory) => error.at(&directory),
        None => error,
    })
}

fn read(journal: &mut impl Journal) -> Result<(Tables, InstanceId), OpenError> {
    let (read, to_parse) = sync_channel(BATCHES_WAITING_MAX);
    let parsers =
        std::thread::available_parallelism().map_or(1, |cores| cores.get().min(PARSERS_MAX));
    std::thread::scope(|scope| {
        // Dropped by the last that takes rows: then who reads is told that nobody does.
        let to_parse = Arc::new(Mutex::new(to_parse));
        let mut parsing = Vec::new();
        for _ in 0..parsers {
            let to_parse = Arc::clone(&to_parse);
            parsing.push(spawn(scope, "parse rows", move || parse_all(&to_parse))?);
        }
        drop(to_parse);
        let reading = spawn(scope, "read rows", move || read_all(journal, &read))?;
        let mut rows = LoadedRows::default();
        for parsed in parsing {
            // Why a row cannot be parsed says more than that nobody takes rows any more.
            rows.append(join(parsed)?);
        }
        let instance_id = join(reading)?;
        let mut tables = rows.into_tables(scope)?;
        tables.make_rooms();
        Ok((tables, instance_id))
    })
}

/// # Errors
/// When the system has no thread left.
pub(crate) fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, OpenError> {
    Builder::new().name(name.to_owned()).spawn_scoped(scope, work).map_err(|error| {
        let (action, reason) = ("start to read", error.to_string());
        OpenError::Io { action, path: NOWHERE.into(), reason }
    })
}

/// Does both at a time, where the system has a thread left.
pub(crate) fn both<A: Send, B>(one: impl Fn() -> A + Sync, other: impl FnOnce() -> B) -> (A, B) {
    std::thread::scope(|scope| {
        let beside = Builder::new().name("build an index".to_owned()).spawn_scoped(scope, &one);
        let other = other();
        (beside.map_or_else(|_| one(), join), other)
    })
}

pub(crate) fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn read_all(
    journal: &mut impl Journal,
    read: &SyncSender<Vec<StoredRow>>,
) -> Result<InstanceId, OpenError> {
    let mut batch = Vec::with_capacity(ROWS_PER_BATCH);
    let instance_id = journal.load(&mut |row| {
        batch.push(row);
        if batch.len() == ROWS_PER_BATCH {
            let full = std::mem::replace(&mut batch, Vec::with_capacity(ROWS_PER_BATCH));
            read.send(full).map_err(|_| nobody_takes())?;
        }
        Ok(())
    })?;
    read.send(batch).map_err(|_| nobody_takes())?;
    Ok(instance_id)
}

fn parse_all(to_parse: &Mutex<Receiver<Vec<StoredRow>>>) -> Result<LoadedRows, OpenError> {
    let mut rows = LoadedRows::default();
    loop {
        // Held while it waits: the next batch is the next thread's.
        let batch = to_parse.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = batch else { return Ok(rows) };
        for row in batch {
            rows.add(row).map_err(unreadable)?;
        }
    }
}

fn nobody_takes() -> OpenError {
    OpenError::Corrupt { path: NOWHERE.into(), what: "a row was not taken".to_owned() }
}

fn unreadable((row, reason): (StoredRow, Unreadable)) -> OpenError {
    let path = NOWHERE.into();
    let what = format!("{} {}: {reason}", row.table, row.key);
    match reason {
        // It is as it was written, as its checksum says.
        Unreadable::Newer { .. } | Unreadable::UnknownTable | Unreadable::Malformed(_) => {
            OpenError::NewerVersion { path, what }
        }
        Unreadable::OtherKey(_) => OpenError::Corrupt { path, what },
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::error::JournalError;
    use crate::journal::{Change, Take};

    /// A journal whose one row is as it was written.
    struct Of(StoredRow);

    impl Journal for Of {
        fn load(&mut self, take: Take<'_>) -> Result<InstanceId, OpenError> {
            take(self.0.clone())?;
            Ok("01234567".to_owned())
        }
        fn bytes(&self) -> u64 {
            0
        }
        fn commit(&mut self, _: &[Vec<Change>]) -> Result<usize, JournalError> {
            Err(JournalError::Full)
        }
        fn directory(&self) -> Option<PathBuf> {
            Some("/data/control".into())
        }
    }

    #[test]
    fn what_is_whole_and_not_understood_is_of_another_version_and_says_where_it_is() {
        let check = |table: &str, version, bytes: &str| {
            let (table, key, bytes) = (table.to_owned(), "a/b/c".to_owned(), bytes.to_owned());
            match load(&mut Of(StoredRow { table, key, version, bytes })).map(drop).unwrap_err() {
                OpenError::NewerVersion { path, what } => {
                    assert_eq!(path, Path::new("/data/control"), "{what}");
                    what
                }
                error => panic!("{error}"),
            }
        };
        assert!(check("of_the_future", 1, "{}").contains("no table"));
        assert!(check("cluster", 99, "{}").contains("99"));
        let status = r#"{"status": "HIBERNATED"}"#;
        assert!(check("cluster", 1, status).starts_with("cluster a/b/c: "));
    }
}
