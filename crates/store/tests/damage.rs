//! A journal of which bytes are changed or missing, in any of its files: it is refused, or reads as it was.
//!
//! The files are those of a store that was killed: the write-ahead log holds commits that are nowhere else.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use outport_model::account_setting::AccountSetting;
use outport_model::{AccountId, Region, Scope};
use outport_store::{OpenError, RandomIds, Store, SystemClock};

const JOURNAL: &str = "journal.sqlite";
const LOG: &str = "journal.sqlite-wal";
const ACKNOWLEDGED: &str = "journal.acknowledged";
const FILES: [&str; 3] = [JOURNAL, LOG, ACKNOWLEDGED];
/// Of each file; the first bytes, where formats keep what they are, are all tried.
const FLIPS: usize = 150;
const CUTS: usize = 40;
const HEAD_BYTES: usize = 32;
const IN_USE_BYTES: usize = 64 << 10;

fn open(directory: &Path) -> Result<Store, OpenError> {
    Store::open(directory, Arc::new(SystemClock), Arc::new(RandomIds))
}

fn write(store: &Store, name: &str, value: &str) {
    let row = AccountSetting {
        scope: Scope::new(AccountId::new("000000000000"), Region::new("us-east-1")),
        principal_arn: "root".into(),
        name: name.into(),
        value: value.into(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let written = store.write(|tx| {
        tx.put(row);
        Ok::<_, ()>(())
    });
    runtime.block_on(written).unwrap();
}

/// All that is read of a store.
fn rows(store: &Store) -> Vec<(String, String)> {
    let snapshot = store.snapshot();
    let rows = snapshot.account_settings.iter();
    rows.map(|row| (row.name.clone(), row.value.clone())).collect()
}

/// The files of a killed store, and what is in them.
fn killed() -> (tempfile::TempDir, Vec<(String, String)>) {
    let (directory, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // Half of it is in the journal itself, as after an orderly end.
    let store = open(directory.path()).unwrap();
    (0..12).for_each(|number| write(&store, &format!("name-{number:02}"), "first"));
    drop(store);
    let store = open(directory.path()).unwrap();
    (6..18).for_each(|number| write(&store, &format!("name-{number:02}"), "second"));
    for name in FILES {
        fs::copy(directory.path().join(name), files.path().join(name)).unwrap();
    }
    let expected = rows(&store);
    assert_eq!(expected.len(), 18);
    (files, expected)
}

/// Bits all over so many bytes; every bit of a byte has its turn.
fn sampled(bytes: usize, count: usize) -> impl Iterator<Item = usize> {
    let step = (bytes * 8 / count).max(1);
    (0..bytes * 8).step_by(step).map(move |bit| bit - bit % 8 + bit / step % 8)
}

/// Opens a copy with one file changed; whether that was noticed.
#[track_caller]
fn check(
    files: &Path,
    expected: &[(String, String)],
    name: &str,
    bytes: &[u8],
    what: &str,
) -> bool {
    let copy = tempfile::tempdir().unwrap();
    for file in FILES {
        let path: PathBuf = copy.path().join(file);
        match file == name {
            true => fs::write(path, bytes).unwrap(),
            false => drop(fs::copy(files.join(file), path).unwrap()),
        }
    }
    let kept = || [JOURNAL, LOG].map(|name| fs::read(copy.path().join(name)).unwrap_or_default());
    let before = kept();
    match open(copy.path()) {
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "one line: {error}");
            assert!(kept() == before, "{name} {what}: the files were changed: {error}");
            true
        }
        Ok(store) => {
            assert_eq!(rows(&store), expected, "{name} {what}");
            false
        }
    }
}

#[test]
fn a_flipped_bit_in_any_file_is_noticed_or_changes_nothing() {
    let (files, expected) = killed();
    assert!(!check(files.path(), &expected, "", b"", "as it is"));
    for name in FILES {
        let good = fs::read(files.path().join(name)).unwrap();
        // Most of a journal is space that it keeps for later: what is in use lies at its begin.
        let in_use = sampled(good.len().min(IN_USE_BYTES), FLIPS);
        let bits = (0..HEAD_BYTES.min(good.len()) * 8).chain(in_use);
        let bits = bits.chain(sampled(good.len(), FLIPS / 5));
        let mut noticed = 0;
        for bit in bits {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let is_seen = check(files.path(), &expected, name, &bytes, &format!("bit {bit}"));
            noticed += usize::from(is_seen);
        }
        // The count of what was acknowledged is a second opinion: without it the first one stands.
        assert_eq!(noticed > 0, name != ACKNOWLEDGED, "{name}: {noticed}");
    }
}

#[test]
fn a_file_that_lost_its_end_is_noticed_or_lost_nothing() {
    let (files, expected) = killed();
    for name in FILES {
        let good = fs::read(files.path().join(name)).unwrap();
        let step = (good.len() / CUTS).max(1);
        let mut noticed = 0;
        for length in (0..good.len()).step_by(step) {
            let what = format!("cut at {length} of {}", good.len());
            let is_seen = check(files.path(), &expected, name, &good[..length], &what);
            noticed += usize::from(is_seen);
        }
        assert_eq!(noticed > 0, name != ACKNOWLEDGED, "{name}: {noticed}");
    }
}
