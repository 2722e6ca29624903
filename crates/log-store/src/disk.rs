//! The file operations that durability hangs on, behind a small trait so that tests can make each
//! of them fail.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A file that grows at its end.
pub(crate) trait AppendFile: Send + Sync {
    /// Writes `bytes` at `offset`, which is the end of what is kept so far.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Returns when everything that was written is on disk.
    fn sync(&self) -> io::Result<()>;
    /// Cuts the file to `length` and brings that to disk.
    fn truncate(&self, length: u64) -> io::Result<()>;
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    fn length(&self) -> io::Result<u64>;
}

/// Where journals are made.
pub(crate) trait Disk: Send + Sync {
    /// Makes a new, empty file; fails when there is one. Its name is on disk on return.
    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>>;
    fn open(&self, path: &Path) -> io::Result<Box<dyn AppendFile>>;
}

/// The disk of the machine.
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        sync_directory_of(path)?;
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).open(path)?))
    }
}

impl AppendFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)?;
        self.sync_all()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

/// Brings the names in the directory of `path` to disk.
pub(crate) fn sync_directory_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}
