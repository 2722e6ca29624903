//! `outport backup FILE`: all that a control plane keeps, in one file, while it runs or when it does not.
//!
//! ```text
//! it runs:         this process --(FILE, open; admin socket)--> the Outport, which writes it and says how that went
//! it does not:     this process opens store, logs and registry as a start would, and writes it itself
//! ```
//!
//! **Invariant:** but for standard output, under the name FILE there is a whole backup, synced and readable by its owner only, or what was there before;
//! and beside it nothing, however this process ends, where the file system has files without a name.

mod archive;
mod new_file;
mod restore;

use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{Context, Result, bail};
use outport_backup::PartSum;
use outport_free_space::readable_bytes;

use crate::admin_door::{self, Request};
use crate::command_line::Backup;
use crate::data_dir::{self, DataDir};
use crate::output;
use crate::parts::Parts;
use new_file::NewFile;

use archive::given_master_key;
pub use archive::{SyncFile, Written, is_part, sync, write};
pub use restore::{is_unfinished, restore};

/// In place of a file.
const STDOUT: &str = "-";
/// Those that a person wants to see apart.
const LARGE_PARTS: [&str; 3] = ["control", "logs", "registry"];

/// Writes the backup and says what is in it.
///
/// # Errors
/// In one line, and no file is made or changed then.
pub fn run(options: &Backup) -> Result<()> {
    let directory = &options.data_dir.data_dir;
    if !data_dir::holds(directory, "control")? {
        bail!(
            "{} holds no control plane, and nothing that cannot be had again: name the right directory with --data-dir",
            directory.display()
        );
    }
    if options.file == Path::new(STDOUT) {
        return to_stdout(directory);
    }
    check_outside(&options.file, directory)?;
    let file = NewFile::create(&options.file)
        .with_context(|| format!("cannot write {}", options.file.display()))?;
    let written = write_to(directory, file.file())?;
    file.finish().with_context(|| format!("cannot write {}", options.file.display()))?;
    let name = options.file.display().to_string();
    output::answer(&said(&name, &written)).context("cannot print")
}

/// What is read from a pipe is whole when `outport restore` says so: it knows the digests of all that is in it.
fn to_stdout(directory: &Path) -> Result<()> {
    if std::io::stdout().is_terminal() {
        bail!(
            "a backup is no text for a terminal: give a file, or a pipe, such as outport backup - | ssh HOST 'cat > FILE'"
        );
    }
    let stdout = std::io::stdout().as_fd().try_clone_to_owned().context("no standard output")?;
    let written = write_to(directory, &File::from(stdout))?;
    output::complain(said("what was written to standard output", &written).trim_end());
    Ok(())
}

fn write_to(directory: &Path, file: &File) -> Result<Written> {
    match admin_door::connect(directory)? {
        Some(door) => door.ask(Request::Backup, Some(file)),
        None => write_stopped(directory, file),
    }
}

/// # Errors
/// When the file would be in the data directory, with which it would be lost.
fn check_outside(file: &Path, directory: &Path) -> Result<()> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    // One that is not there is said by whoever writes to it.
    let Ok(parent) = parent.unwrap_or(Path::new(".")).canonicalize() else { return Ok(()) };
    let directory = directory
        .canonicalize()
        .with_context(|| format!("cannot look at {}", directory.display()))?;
    if parent.starts_with(&directory) {
        bail!(
            "{} would be in the data directory, with which it would be lost: name a file elsewhere, on another disk or host",
            file.display()
        );
    }
    Ok(())
}

/// Of a data directory that nobody has open.
fn write_stopped(directory: &Path, file: &File) -> Result<Written> {
    let data_dir = DataDir::own(directory)?;
    // As a start does, so that what a start would refuse is refused.
    let parts = Parts::open_as_they_are(data_dir.path())?;
    write(&parts, data_dir.path(), file)
}

fn said(file: &str, written: &Written) -> String {
    let mut text = format!("{file} is a backup of instance {}\n", written.instance);
    let (mut others, mut total) = (PartSum::default(), 0);
    for (name, part) in &written.parts {
        total += part.bytes;
        match LARGE_PARTS.contains(&name.as_str()) {
            true => text += &line(name, part),
            false => {
                others.files += part.files;
                others.bytes += part.bytes;
            }
        }
    }
    text += &line("keys, settings", &others);
    if let Some(key) = &written.master_key {
        text += &format!(
            "The master key {key} is the operator's and not in it: keep it with care, nothing that is sealed opens without it.\n"
        );
    }
    text + &format!(
        "It takes {} unpacked, and has keys in it: who can read it is root here.\n",
        readable(total)
    )
}

fn line(name: &str, part: &PartSum) -> String {
    format!("  {name:<14} {:>9}  {} files\n", readable(part.bytes), part.files)
}

fn readable(bytes: u64) -> String {
    match bytes < 1 << 20 {
        true => format!("{} KiB", bytes.div_ceil(1 << 10)),
        false => readable_bytes(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_is_not_kept_with_what_it_is_of() {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("data");
        std::fs::create_dir_all(data.join("node")).unwrap();
        let check = |file: &str, expected: bool| {
            let checked = check_outside(&root.path().join(file), &data);
            assert_eq!(checked.is_ok(), expected, "{file}");
        };
        check("backup", true);
        check("none/backup", true);
        check("data.backup", true);
        check("data/backup", false);
        check("data/node/../backup", false);
        std::os::unix::fs::symlink(&data, root.path().join("link")).unwrap();
        check("link/backup", false);
    }
}
