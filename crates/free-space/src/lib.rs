//! What a file system has left, and below what each part of Outport stops taking.
//!
//! Whatever shares a disk stops in a fixed order as the disk fills, so that what is needed to get out of
//! it again, to stop tasks and to remove things, is the last that lacks space:
//!
//! ```text
//! free    5 %  a node throws unused images away, and takes no new task while that does not help
//!         4 %  a node pulls and unpacks no image
//!         3 %  the running task that took most is stopped
//!       2.5 %  pushes and log events are refused
//!         2 %  requests that add rows are refused; what changes or removes rows goes on
//!         0 %  the journal writes into space that it took before, see `outport-store`
//! ```
//!
//! **Invariant:** a pure comparison of two numbers, asked again each time: nothing remembers that a disk
//! was full, so nothing has to be told that it no longer is.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};

/// The unit of `st_blocks`.
const BLOCK_BYTES: u64 = 512;

/// What the file system of a path has left for whoever is not privileged there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeSpace {
    pub bytes_free: u64,
    pub bytes_total: u64,
    pub inodes_free: u64,
    /// 0 where the file system has no fixed number of them (btrfs).
    pub inodes_total: u64,
}

/// Who asks; in the order in which they stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A node, of a new task.
    NewTasks,
    /// A node, of the layers of an image.
    Images,
    /// A node, of what its tasks have written.
    RunningTasks,
    /// The registry and the log store.
    DataPlanes,
    /// The journal of the control plane, of new rows.
    Journal,
}

/// The least that is to stay free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor {
    pub bytes: u64,
    pub inodes: u64,
}

impl FreeSpace {
    /// # Errors
    /// The kernel's, such as that there is no such path.
    pub fn of(path: &Path) -> io::Result<Self> {
        let found = rustix::fs::statvfs(path)?;
        let unit = if found.f_frsize > 0 { found.f_frsize } else { found.f_bsize };
        Ok(Self {
            bytes_free: found.f_bavail.saturating_mul(unit),
            bytes_total: found.f_blocks.saturating_mul(unit),
            inodes_free: found.f_favail,
            inodes_total: found.f_files,
        })
    }

    /// Whether `part` is to stop taking space.
    pub fn is_low_for(&self, part: Part) -> bool {
        self.is_below(&part.floor(self))
    }

    pub fn is_below(&self, floor: &Floor) -> bool {
        self.bytes_free < floor.bytes || self.inodes_total > 0 && self.inodes_free < floor.inodes
    }
}

impl Part {
    /// Thousandths of the file system, and the number of MiB at which that stops to grow.
    const fn share(self) -> (u64, u64) {
        match self {
            Self::NewTasks => (50, 2_048),
            Self::Images => (40, 1_536),
            Self::RunningTasks => (30, 1_024),
            Self::DataPlanes => (25, 768),
            Self::Journal => (20, 512),
        }
    }

    /// What is to stay free on a file system as large as that of `space`. An inode is counted as the 16 KiB
    /// that ext4 makes one for; the journal needs no new one.
    pub fn floor(self, space: &FreeSpace) -> Floor {
        let (thousandths, mib_max) = self.share();
        let bytes_max = mib_max << 20;
        let inodes = (space.inodes_total * thousandths / 1_000).min(bytes_max >> 14);
        Floor {
            bytes: (space.bytes_total / 1_000 * thousandths).min(bytes_max),
            inodes: if self == Self::Journal { 0 } else { inodes },
        }
    }
}

/// Gives a file blocks for its first `bytes`, which need not be written yet, and makes it (0600) if need be. Not on
/// a disk where they would be half of what is free, or more. For write-ahead logs: what is committed while the disk
/// is full goes there.
///
/// # Errors
/// The kernel's; a file system that cannot do it says `Unsupported`.
pub fn take_blocks(path: &Path, bytes: u64) -> io::Result<()> {
    let space = FreeSpace::of(path.parent().unwrap_or(Path::new("/")))?;
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    if file.metadata()?.blocks() * BLOCK_BYTES >= bytes || space.bytes_free < 2 * bytes {
        return Ok(());
    }
    Ok(fallocate(&file, FallocateFlags::KEEP_SIZE, 0, bytes)?)
}

/// `1.5 GiB`: for the sentences that say what is missing.
pub fn readable_bytes(bytes: u64) -> String {
    let mib = bytes >> 20;
    if mib < 1_024 {
        format!("{mib} MiB")
    } else {
        format!("{}.{} GiB", mib >> 10, ((mib & 1023) * 10) >> 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: [Part; 5] =
        [Part::NewTasks, Part::Images, Part::RunningTasks, Part::DataPlanes, Part::Journal];

    #[track_caller]
    fn check(free: [u64; 4], low: &[Part]) {
        let [bytes_free, bytes_total, inodes_free, inodes_total] = free;
        let space = FreeSpace { bytes_free, bytes_total, inodes_free, inodes_total };
        let found: Vec<Part> = PARTS.into_iter().filter(|part| space.is_low_for(*part)).collect();
        assert_eq!(found, low, "{space:?}");
    }

    #[test]
    fn parts_stop_in_their_order_for_bytes_and_for_inodes() {
        const MIB: u64 = 1 << 20;
        check([1000 * MIB, 1000 * MIB, 1000, 1000], &[]);
        check([45 * MIB, 1000 * MIB, 1000, 1000], &PARTS[..1]);
        check([35 * MIB, 1000 * MIB, 1000, 1000], &PARTS[..2]);
        check([26 * MIB, 1000 * MIB, 1000, 1000], &PARTS[..3]);
        check([22 * MIB, 1000 * MIB, 1000, 1000], &PARTS[..4]);
        check([19 * MIB, 1000 * MIB, 1000, 1000], &PARTS);
        check([1000 * MIB, 1000 * MIB, 29, 1000], &PARTS[..3]);
        check([1000 * MIB, 1000 * MIB, 0, 1000], &PARTS[..4]);
        // No fixed number of inodes.
        check([1000 * MIB, 1000 * MIB, 0, 0], &[]);
    }

    #[test]
    fn a_large_disk_keeps_no_more_than_a_fixed_reserve() {
        const TIB: u64 = 1 << 40;
        check([3 << 30, 10 * TIB, 1 << 30, 1 << 30], &[]);
        check([700 << 20, 10 * TIB, 1 << 30, 1 << 30], &PARTS[..4]);
    }

    #[test]
    fn a_real_file_system_is_read() {
        let scratch = tempfile::tempdir().unwrap();
        let space = FreeSpace::of(scratch.path()).unwrap();
        assert!(space.bytes_free > 0 && space.bytes_free <= space.bytes_total, "{space:?}");
        assert!(FreeSpace::of(&scratch.path().join("nothing")).is_err());
    }

    #[test]
    fn blocks_are_taken_once_and_never_the_last() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("log");
        std::fs::write(&path, "begun").unwrap();
        take_blocks(&path, 1 << 20).unwrap();
        let file = path.metadata().unwrap();
        assert!(file.blocks() * BLOCK_BYTES >= 1 << 20 && file.len() == 5);
        take_blocks(&path, FreeSpace::of(scratch.path()).unwrap().bytes_free).unwrap();
        assert_eq!(path.metadata().unwrap().blocks(), file.blocks());
    }

    #[test]
    fn sizes_are_readable() {
        assert_eq!(readable_bytes(5 << 20), "5 MiB");
        assert_eq!(readable_bytes(3 << 29), "1.5 GiB");
    }
}
