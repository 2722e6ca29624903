//! A disk that fails: full, or unable to sync. Nothing acknowledged is lost, nothing refused stays,
//! and the store goes on when the disk does.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::rig::{NOW, Rig, group, lines, scope, stream};
use crate::disk::{AppendFile, Disk, RealDisk};
use crate::{InputLogEvent, LogStoreError};

/// Calls that write, sync or truncate until one fails; negative: none fails.
#[derive(Default)]
struct Trouble {
    calls_left: AtomicI64,
    /// A failing write leaves half of its bytes.
    lasts: AtomicI64,
}

impl Trouble {
    fn strikes(&self) -> bool {
        if self.lasts.load(Ordering::SeqCst) == 0 {
            return false;
        }
        if self.calls_left.fetch_sub(1, Ordering::SeqCst) > 0 {
            return false;
        }
        self.lasts.fetch_sub(1, Ordering::SeqCst);
        true
    }

    fn start(&self, after_calls: i64, lasts: i64) {
        self.calls_left.store(after_calls, Ordering::SeqCst);
        self.lasts.store(lasts, Ordering::SeqCst);
    }
}

struct FailingDisk(Arc<Trouble>);

struct FailingFile(Box<dyn AppendFile>, Arc<Trouble>);

fn full() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}

impl Disk for FailingDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        if self.0.strikes() {
            return Err(full());
        }
        Ok(Box::new(FailingFile(RealDisk.create(path)?, self.0.clone())))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        Ok(Box::new(FailingFile(RealDisk.open(path)?, self.0.clone())))
    }
}

impl AppendFile for FailingFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.1.strikes() {
            self.0.write_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(full());
        }
        self.0.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        if self.1.strikes() { Err(full()) } else { self.0.sync() }
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        if self.1.strikes() { Err(full()) } else { self.0.truncate(length) }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(buffer, offset)
    }

    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
}

/// Ships and puts on a disk that fails at its call number `after_calls` and so many times.
fn check(after_calls: i64, lasts: i64, seal_bytes: u64) {
    let what = format!("{lasts} failures after {after_calls} calls, sealing at {seal_bytes}");
    let directory = tempfile::tempdir().unwrap();
    let trouble = Arc::new(Trouble::default());
    let disk = Arc::new(FailingDisk(trouble.clone()));
    let rig = Rig::open_on(directory.path(), seal_bytes, disk).with_streams();
    trouble.start(after_calls, lasts);
    let mut put = Vec::new();
    let mut shipped = 0;
    for n in 0..8 {
        match rig.ship(shipped, shipped + 20) {
            Ok(committed) => shipped = committed,
            Err(error) => assert!(error.is_fault(), "{what}: {error}"),
        }
        let event = InputLogEvent { timestamp_ms: NOW, message: format!("put {n}") };
        match rig.store.put_events(&scope(), &group("g"), &stream("b"), &[event]) {
            Ok(_) => put.push(format!("put {n}")),
            Err(error) => {
                assert!(matches!(error, LogStoreError::WriteFailed(_)), "{what}: {error}")
            }
        }
        assert_eq!(rig.messages("a"), lines(shipped), "{what}");
        assert_eq!(rig.messages("b"), put, "{what}");
    }
    assert!(shipped > 0 && !put.is_empty(), "{what}: the store did not recover");
    drop(rig);
    let rig = Rig::open(directory.path(), seal_bytes);
    assert_eq!(rig.messages("a"), lines(shipped), "reopened after {what}");
    assert_eq!(rig.messages("b"), put, "reopened after {what}");
}

#[test]
fn failures_at_every_call_lose_nothing_and_leave_nothing() {
    for seal_bytes in [1 << 20, 1] {
        for after_calls in 0..12 {
            for lasts in 1..4 {
                check(after_calls, lasts, seal_bytes);
            }
        }
    }
}

/// Sealing needs room too. While it fails, appends go on up to a limit and then are refused; when it
/// works again so do they, and nothing is lost.
#[test]
fn sealing_that_fails_is_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::open(directory.path(), 1).with_streams();
    let segments = directory.path().join("segments");
    std::fs::remove_dir(&segments).unwrap();
    let mut committed = 0;
    for _ in 0..8 {
        match rig.ship(committed, committed + 10) {
            Ok(cursor) => committed = cursor,
            Err(error) => assert!(matches!(error, LogStoreError::WriteFailed(_)), "{error}"),
        }
    }
    assert!((10..80).contains(&committed), "{committed}");
    assert_eq!(rig.messages("a"), lines(committed));
    std::fs::create_dir(&segments).unwrap();
    assert_eq!(rig.ship(committed, 100).unwrap(), 100);
    assert_eq!(rig.messages("a"), lines(100));
    assert!(std::fs::read_dir(&segments).unwrap().count() > 0);
}
