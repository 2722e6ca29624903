//! A file system of its own, of limited size, for what the containers of one task write.
//!
//! ```text
//! template   made once per size by mkfs.ext4; some 100 KiB of data in a sparse file of the full size
//! image      a sparse copy of it, <tasks>/<task>/disk.img: takes of the host what the task wrote
//! device     a loop device on the image, which the kernel lets go of with its last user
//! mount      of the agent, in no namespace: while it is open the disk is mounted; each shim mounts the
//!            device once more in its own namespace, which is then the same file system
//! ```
//!
//! Disks are made ahead and used again, see [`TaskDisks`], so that a launch waits for none of this.
//!
//! **Invariant:** nothing of a disk but its image outlives who uses it: after `kill -9` of the agent the
//! kernel unmounts and detaches what no shim holds, after a boot there is nothing. An image is never on
//! two devices, and a shim mounts a device only after it has seen, with the device open, that it is the
//! one of its task.
//!
//! A disk has no journal and no barriers: it is of no use after a crash of the host, which ends its task.

mod disk;
mod error;
mod image;
mod loop_device;
mod pool;
mod template;

pub use disk::{TaskDisk, Usage, mount_on};
pub use error::DiskError;
pub use pool::TaskDisks;

/// Bytes of a file system for each inode that it has: ext4's own choice. 20 GiB have 1.3 million.
pub const BYTES_PER_INODE: u64 = 16 << 10;
