//! A disk that somebody else filled: what is there can be deleted, and a start needs no space. Needs root, for a small
//! file system.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::rig::{GROUPS_MAX, NOW, Rig, group, scope, stream};
use crate::error::LogStoreError;
use crate::group::NewLogGroup;

/// In memory; gone when it is dropped. Mounted without a program: until a child begins one it holds the files that are
/// open here, and with them the locks of the stores that other tests open again.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (tmpfs, options) = (Some("tmpfs"), Some("size=32m"));
        mount(tmpfs, directory.path(), tmpfs, MsFlags::empty(), options).expect("this needs root");
        Self(directory)
    }

    /// Writes until there is no room for one byte more.
    fn fill(&self) {
        let mut file = File::create(self.0.path().join("filler")).unwrap();
        for size in [1 << 20, 4096, 1] {
            while file.write_all(&vec![7_u8; size]).is_ok() {}
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        umount2(self.0.path(), MntFlags::MNT_DETACH).unwrap();
    }
}

fn open(directory: &Path) -> Rig {
    Rig::open(directory, 1 << 20)
}

fn delete(rig: &Rig, groups: std::ops::Range<u64>) {
    for number in groups {
        rig.store.delete_group(&scope(), &group(&format!("g{number}"))).unwrap();
    }
}

#[test]
fn groups_can_be_deleted_on_a_full_disk_and_it_opens_there() {
    let disk = SmallDisk::mount();
    let directory = disk.0.path().join("logs");
    let rig = open(&directory).with_streams();
    rig.put("a", &[(NOW, "kept")]);
    for number in 1..GROUPS_MAX {
        let name = group(&format!("g{number}"));
        rig.store.create_group(&scope(), NewLogGroup::named(name.clone())).unwrap();
        for number in 0..50 {
            rig.store.create_stream(&scope(), &name, &stream(&format!("s{number}"))).unwrap();
        }
    }
    // What a clean stop leaves must do for the next start.
    drop(rig);
    disk.fill();
    let rig = open(&directory);
    delete(&rig, 1..GROUPS_MAX / 2);
    drop(rig);
    disk.fill();
    let rig = open(&directory);
    delete(&rig, GROUPS_MAX / 2..GROUPS_MAX);
    assert_eq!(rig.messages("a"), ["kept"]);
    let refused = rig.store.delete_group(&scope(), &group("g1")).unwrap_err();
    assert!(matches!(refused, LogStoreError::GroupNotFound), "{refused}");
}
