//! A journal on a disk that somebody else filled: it goes on, and is as before when there is room again.
//! Needs root, for a small file system.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use outport_model::account_setting::AccountSetting;
use outport_model::{AccountId, Region, Scope};
use outport_store::{FaultKind, RandomIds, Store, SystemClock, WriteError};

const MIB: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(20);
/// What a busy installation changes in a quarter of an hour.
const CHANGES: usize = 3_000;

/// A file system of its own, in memory or in a file; gone when it is dropped.
struct SmallDisk {
    directory: tempfile::TempDir,
    image: Option<tempfile::NamedTempFile>,
}

impl SmallDisk {
    fn in_memory(mib: usize, inodes: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = format!("size={mib}m,nr_inodes={inodes}");
        run("mount", &["-t", "tmpfs", "-o", &options, "outport-test"], directory.path());
        Self { directory, image: None }
    }

    fn ext4(mib: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len((mib * MIB) as u64).unwrap();
        run("mkfs.ext4", &["-q", "-F"], image.path());
        run("mount", &["-o", "loop", image.path().to_str().unwrap()], directory.path());
        Self { directory, image: Some(image) }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("control")
    }

    /// Writes until there is no room for one byte more.
    fn fill(&self) -> PathBuf {
        let path = self.directory.path().join("filler");
        let mut file = File::create(&path).unwrap();
        for size in [MIB, 4096, 1] {
            let bytes = vec![7_u8; size];
            while file.write_all(&bytes).and_then(|()| file.flush()).is_ok() {}
        }
        file.sync_all().unwrap();
        path
    }

    fn use_up_inodes(&self) -> PathBuf {
        let path = self.directory.path().join("fillers");
        fs::create_dir(&path).unwrap();
        let mut number = 0;
        while File::create(path.join(number.to_string())).is_ok() {
            number += 1;
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["--lazy"], self.directory.path());
        drop(self.image.take());
    }
}

#[track_caller]
fn run(program: &str, arguments: &[&str], last: &Path) {
    let status = Command::new(program).args(arguments).arg(last).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}: this test needs root");
}

fn setting(name: usize, value: &str) -> AccountSetting {
    AccountSetting {
        scope: Scope::new(AccountId::new("000000000000"), Region::new("us-east-1")),
        principal_arn: "root".into(),
        name: format!("{name:04}"),
        value: value.into(),
    }
}

fn open(disk: &SmallDisk) -> Store {
    Store::open(&disk.path(), Arc::new(SystemClock), Arc::new(RandomIds)).unwrap()
}

fn put(store: &Store, row: AccountSetting) -> Result<(), FaultKind> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let written = runtime.block_on(store.write(|tx| {
        tx.put(row);
        Ok::<_, ()>(())
    }));
    written.map_err(|error| match error {
        WriteError::Fault(fault) => fault.kind,
        WriteError::Rejected(()) => unreachable!("nothing is rejected"),
    })
}

/// The reserve is taken when nothing else is to be done.
fn wait_for_reserve(disk: &SmallDisk) {
    let begun = Instant::now();
    let rows = disk.path().join("journal.sqlite");
    while fs::metadata(&rows).unwrap().blocks() * 512 < 4 * MIB as u64 {
        assert!(begun.elapsed() < PATIENCE, "no reserve was taken");
        std::thread::yield_now();
    }
}

fn check_goes_on(
    disk: &SmallDisk,
    fill: impl FnOnce(&SmallDisk) -> PathBuf,
    new_rows: Result<(), FaultKind>,
) {
    let store = open(disk);
    for name in 0..100 {
        put(&store, setting(name, "before")).unwrap();
    }
    wait_for_reserve(disk);
    let filler = fill(disk);
    let begun = Instant::now();
    for name in 100.. {
        if put(&store, setting(name, "new")) == new_rows {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "new rows should be {new_rows:?}");
    }
    for change in 0..CHANGES {
        let value = format!("{change} {}", "longer than it was ".repeat(change % 8));
        put(&store, setting(change % 100, &value)).unwrap();
    }
    let newest = store.snapshot().account_settings.iter().map(|row| row.value.clone()).next_back();
    drop(store);
    let store = open(disk);
    let read = store.snapshot().account_settings.iter().map(|row| row.value.clone()).next_back();
    assert_eq!(read, newest, "it opens on the full disk, with all that was acknowledged");
    put(&store, setting(0, "after a restart")).unwrap();
    match filler.is_dir() {
        true => fs::remove_dir_all(filler).unwrap(),
        false => fs::remove_file(filler).unwrap(),
    }
    let begun = Instant::now();
    while put(&store, setting(9_999, "new")).is_err() {
        assert!(begun.elapsed() < PATIENCE, "new rows are still refused");
    }
}

#[test]
fn tasks_can_be_stopped_on_a_full_disk() {
    check_goes_on(&SmallDisk::in_memory(96, 10_000), SmallDisk::fill, Err(FaultKind::Full));
}

#[test]
fn tasks_can_be_stopped_on_a_full_ext4() {
    check_goes_on(&SmallDisk::ext4(192), SmallDisk::fill, Err(FaultKind::Full));
}

#[test]
fn tasks_can_be_stopped_without_inodes() {
    check_goes_on(&SmallDisk::in_memory(96, 1_000), SmallDisk::use_up_inodes, Ok(()));
}
