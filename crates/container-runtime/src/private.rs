//! Files and directories of our own: what stands in them is nobody else's to read.
//!
//! An intent holds the environment of a task with its passwords, a log what a program said, a writable
//! layer what it keeps. Three things keep others out, each of them enough:
//!
//! 1. every file and directory is made here, with its mode: other ways are refused by this crate's and
//!    the agent's `clippy.toml`;
//! 2. [`set_umask`] at the start of every process of ours, for what libraries make;
//! 3. the directories at the top, `/run/outport/<instance>` and the parts of the data directory, are 0700,
//!    also those that an older version made.
//!
//! A container's processes reach their own root all the same, whatever their user: it is mounted, and
//! entered, by descriptor. What they are to see gets its mode by name, see `shim::text_files`.
//!
//! **Invariant:** nothing that is made here has a bit for group or others.

#![allow(clippy::disallowed_methods, reason = "here they get their modes")]

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::sys::stat::{Mode, umask};

const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// What a process of ours leaves to others of the files that it makes: nothing.
pub fn set_umask() {
    umask(Mode::from_bits_truncate(0o077));
}

/// What a container's files and its processes begin with, as Docker has it.
pub(crate) fn set_container_umask() -> Mode {
    umask(Mode::from_bits_truncate(0o022))
}

/// Makes one directory.
///
/// # Errors
/// As [`fs::create_dir`].
pub fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(DIRECTORY_MODE).create(path)
}

/// Makes a directory and those above it. One that is there is fine.
///
/// # Errors
/// As [`fs::create_dir_all`].
pub fn make_directories(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path)
}

/// Makes a directory if need be, and keeps others out of it even if it was there: an older version made
/// it, or somebody who prepared this host.
///
/// # Errors
/// When it cannot be made, or is not ours to change.
pub fn own_directory(path: &Path) -> io::Result<()> {
    make_directories(path)?;
    fs::set_permissions(path, Permissions::from_mode(DIRECTORY_MODE))
}

/// Opens a file for what the caller adds to it; one that is made is private.
pub fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(FILE_MODE);
    options
}

/// An empty file, made or emptied.
///
/// # Errors
/// As [`File::create`].
pub fn create(path: &Path) -> io::Result<File> {
    options().write(true).create(true).truncate(true).open(path)
}

/// A file that was not there.
///
/// # Errors
/// As [`File::create_new`].
pub fn create_new(path: &Path) -> io::Result<File> {
    options().write(true).create_new(true).open(path)
}

/// Writes a whole file.
///
/// # Errors
/// As [`fs::write`].
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    create(path)?.write_all(bytes.as_ref())
}

/// Writes to a file that is there, such as one of the kernel's; makes none.
///
/// # Errors
/// When it is not there or takes no such value.
pub fn set(path: &Path, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    options().write(true).open(path)?.write_all(bytes.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the umask is: that of the process that runs the tests is not ours to change.
    #[test]
    fn nobody_else_may_look() {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        make_directory(&at("one")).unwrap();
        make_directories(&at("two/three")).unwrap();
        write(&at("file"), "secret").unwrap();
        create_new(&at("new")).unwrap();
        options().append(true).create(true).open(at("log")).unwrap();
        fs::set_permissions(at("one"), Permissions::from_mode(0o755)).unwrap();
        own_directory(&at("one")).unwrap();
        for name in ["one", "two", "two/three", "file", "new", "log"] {
            let mode = at(name).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{name} {mode:o}");
        }
    }
}
