//! The SQLite journal on a real disk: what it keeps, and what it notices.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use outport_backup::{ArchiveWriter, FORMAT, Head, unpack};
use outport_model::account_setting::AccountSetting;
use outport_model::{AccountId, Region, Scope};
use outport_store::{FaultKind, OpenError, RandomIds, Row, Store, SystemClock, WriteError};

fn open(directory: &Path) -> Result<Store, OpenError> {
    Store::open(directory, Arc::new(SystemClock), Arc::new(RandomIds))
}

fn setting(name: &str, value: &str) -> AccountSetting {
    AccountSetting {
        scope: Scope::new(AccountId::new("000000000000"), Region::new("us-east-1")),
        principal_arn: "root".into(),
        name: name.into(),
        value: value.into(),
    }
}

fn write(store: &Store, rows: Vec<AccountSetting>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let written = store.write(|tx| {
        for row in rows {
            tx.put(row);
        }
        Ok::<_, ()>(())
    });
    runtime.block_on(written).unwrap();
}

fn values(store: &Store) -> Vec<String> {
    store.snapshot().account_settings.iter().map(|row| row.value.clone()).collect()
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let instance_id = store.instance_id().to_owned();
    write(&store, vec![setting("a", "1"), setting("b", "2")]);
    write(&store, vec![setting("a", "3")]);
    drop(store);
    let store = open(directory.path()).unwrap();
    assert_eq!(values(&store), ["3", "2"]);
    assert_eq!(store.instance_id(), instance_id);
    assert_eq!(instance_id.len(), 8);
}

/// The files as they are frozen, in another directory.
fn thawed(store: &Store) -> tempfile::TempDir {
    let head = Head {
        outport_backup: FORMAT,
        version: String::new(),
        instance: String::new(),
        begun_at_s: 0,
    };
    let mut archive = ArchiveWriter::begin(Vec::new(), &head).unwrap();
    for file in store.freeze().unwrap() {
        archive.add("control", &file).unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let archive = archive.finish().unwrap().0;
    unpack(&*archive, directory.path(), |part| part == "control").unwrap();
    directory
}

#[test]
fn what_is_frozen_while_writes_go_on_has_all_that_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let acknowledged = AtomicU32::new(0);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 1..=2_000 {
                write(&store, vec![setting(&format!("{number:05}"), &number.to_string())]);
                acknowledged.store(number, Ordering::SeqCst);
            }
        });
        while !writer.is_finished() {
            let least = acknowledged.load(Ordering::SeqCst);
            let copy = thawed(&store);
            let found = values(&open(&copy.path().join("control")).unwrap());
            let expected: Vec<String> = (1..=found.len()).map(|n| n.to_string()).collect();
            assert!(found == expected, "a prefix of what was written");
            assert!(found.len() as u32 >= least, "{} of {least}", found.len());
        }
    });
    let names = |path: &Path| {
        let entries = fs::read_dir(path).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect::<std::collections::BTreeSet<_>>()
    };
    let before = names(directory.path());
    let copies: Vec<_> = (0..2)
        .map(|number| {
            // A commit that is in the log only: unless this very one had the log written to the file, which two in a row
            // do not.
            write(&store, vec![setting("last", &number.to_string())]);
            thawed(&store)
        })
        .collect();
    assert_eq!(names(directory.path()), before, "nothing lies beside");
    drop(store);
    // Its count is of the same moment: less than that is noticed in the copy, too.
    let refusals = copies.iter().filter_map(|copy| {
        let log = copy.path().join("control/journal.sqlite-wal");
        assert!(fs::metadata(&log).unwrap().len() > 0);
        fs::write(&log, "").unwrap();
        open(&copy.path().join("control")).err()
    });
    let refusals: Vec<String> = refusals.map(|refusal| refusal.to_string()).collect();
    assert!(!refusals.is_empty());
    assert!(refusals.iter().all(|text| text.contains("commits are missing")), "{refusals:?}");
}

#[test]
fn the_bytes_of_all_rows_are_counted_and_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let check = |store: &Store| {
        let encoded = |row: &AccountSetting| serde_json::to_string(row).unwrap().len() as u64;
        let rows = store.snapshot();
        let expected: u64 = rows.account_settings.iter().map(|row| encoded(row)).sum();
        assert_eq!(store.bytes(), expected);
    };
    write(&store, vec![setting("a", "1"), setting("b", "é"), setting("a", &"long".repeat(5_000))]);
    check(&store);
    write(&store, vec![setting("b", "2")]);
    check(&store);
    drop(store);
    let store = open(directory.path()).unwrap();
    check(&store);
    store.limit_bytes(store.bytes());
    assert!(store.is_full());
    // What is no caller's, until it is a quarter more; then nothing new, but what removes goes on.
    let mut added = 0;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let fault = loop {
        let row = setting(&format!("c{added}"), &"long".repeat(100));
        let written = runtime.block_on(store.write(|tx| {
            tx.put(row);
            Ok::<_, ()>(())
        }));
        match written {
            Ok(()) => added += 1,
            Err(fault) => break fault,
        }
        assert!(added < 1_000, "it has no bound");
    };
    let is_full = matches!(&fault, WriteError::Fault(fault) if fault.kind == FaultKind::Full);
    assert!(added > 5 && is_full, "{added}: {fault:?}");
    let all: Vec<_> = store.snapshot().account_settings.iter().map(|row| row.key()).collect();
    let removed = runtime.block_on(store.write(|tx| {
        for key in &all {
            tx.remove::<AccountSetting>(key);
        }
        Ok::<_, ()>(())
    }));
    removed.unwrap();
    assert_eq!((store.bytes(), store.is_full()), (0, false));
}

#[test]
fn one_store_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let _store = open(directory.path()).unwrap();
    let second = open(directory.path()).map(|_| ()).unwrap_err();
    assert!(matches!(second, OpenError::Locked { .. }), "{second}");
    assert!(!second.to_string().contains('\n'));
}

#[track_caller]
fn refuses(directory: &Path, expected: fn(&OpenError) -> bool) {
    let error = open(directory).map(|_| ()).unwrap_err();
    assert!(expected(&error), "{error:?}");
    assert!(!error.to_string().contains('\n'), "one line: {error}");
}

fn sql(directory: &Path, statement: &str) {
    let connection = rusqlite::Connection::open(directory.join("journal.sqlite")).unwrap();
    connection.execute_batch(statement).unwrap();
}

/// A store with rows in it, closed.
fn filled() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    for index in 0..20 {
        write(&store, vec![setting(&format!("name-{index:02}"), &format!("value-{index}"))]);
    }
    directory
}

#[test]
fn a_changed_removed_or_repeated_row_is_noticed() {
    for statement in [
        "UPDATE rows SET row = replace(row, 'value-7', 'value-8') WHERE row LIKE '%value-7%'",
        "DELETE FROM rows WHERE row LIKE '%value-7%'",
        "INSERT INTO rows SELECT id + 99, table_name, key || 'x', version, checksum, row FROM rows \
         LIMIT 1",
        "UPDATE meta SET value = value + 1 WHERE name = 'content'",
    ] {
        let directory = filled();
        sql(directory.path(), statement);
        refuses(directory.path(), |error| matches!(error, OpenError::Corrupt { .. }));
    }
}

#[test]
fn commits_that_were_acknowledged_and_are_gone_are_noticed() {
    let directory = filled();
    let (journal, old) = (directory.path().join("journal.sqlite"), directory.path().join("old"));
    fs::copy(&journal, &old).unwrap();
    write(&open(directory.path()).unwrap(), vec![setting("late", "acknowledged")]);
    fs::copy(&old, &journal).unwrap();
    refuses(directory.path(), |error| matches!(error, OpenError::Corrupt { .. }));
}

#[test]
fn a_newer_format_is_refused() {
    for statement in [
        "PRAGMA user_version = 99",
        "UPDATE rows SET table_name = 'of_the_future'",
        "UPDATE rows SET version = 99",
    ] {
        let directory = filled();
        sql(directory.path(), statement);
        // A row's checksum covers its table and version, so only the first is known to be newer.
        refuses(directory.path(), |error| {
            matches!(error, OpenError::NewerVersion { .. } | OpenError::Corrupt { .. })
        });
    }
    let directory = filled();
    sql(directory.path(), "PRAGMA user_version = 99");
    refuses(directory.path(), |error| matches!(error, OpenError::NewerVersion { .. }));
}

#[test]
fn a_file_of_something_else_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("journal.sqlite"), b"this is no database at all").unwrap();
    refuses(directory.path(), |error| matches!(error, OpenError::Corrupt { .. }));
    let directory = tempfile::tempdir().unwrap();
    sql(directory.path(), "CREATE TABLE other (x)");
    refuses(directory.path(), |error| matches!(error, OpenError::Corrupt { .. }));
}

/// Flips one bit at many places of the file: each time the store either refuses or reads the same.
#[test]
fn a_flipped_bit_never_gives_another_answer() {
    const FLIPS: usize = 300;
    let directory = filled();
    let journal = directory.path().join("journal.sqlite");
    let good = fs::read(&journal).unwrap();
    let expected = values(&open(directory.path()).unwrap());
    let step = good.len() * 8 / FLIPS;
    let mut noticed = 0;
    for flip in 0..FLIPS {
        let bit = flip * step + flip % 8;
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let copy = tempfile::tempdir().unwrap();
        fs::write(copy.path().join("journal.sqlite"), &bytes).unwrap();
        match open(copy.path()) {
            Err(_) => noticed += 1,
            Ok(store) => assert_eq!(values(&store), expected, "bit {bit}"),
        }
    }
    assert!(noticed > 0, "some bits lie in rows");
}
