//! `outport backup FILE`: all that a control plane keeps, in one file, while it runs or when it does not.
//!
//! ```text
//! it runs:         this process --(FILE, open; admin socket)--> the Outport, which writes it and says how that went
//! it does not:     this process opens store, logs and registry as a start would, and writes it itself
//! ```
//!
//! **Invariant:** under the name FILE there is a whole backup, synced and readable by its owner only, or what was there before;
//! and beside it nothing, however this process ends, where the file system has files without a name.

mod archive;
mod new_file;
mod restore;

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

pub use archive::{SyncFile, Written, is_part, write};
pub use restore::{is_unfinished, restore};

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
    let file = NewFile::create(&options.file)
        .with_context(|| format!("cannot write {}", options.file.display()))?;
    let written = match admin_door::connect(directory)? {
        Some(door) => door.ask(Request::Backup, Some(file.file()))?,
        None => write_stopped(directory, &file)?,
    };
    file.finish().with_context(|| format!("cannot write {}", options.file.display()))?;
    output::answer(&said(&options.file, &written)).context("cannot print")
}

/// Of a data directory that nobody has open.
fn write_stopped(directory: &Path, file: &NewFile) -> Result<Written> {
    let data_dir = DataDir::own(directory)?;
    // As a start does, so that what a start would refuse is refused.
    let parts = Parts::open_as_they_are(data_dir.path())?;
    write(&parts, data_dir.path(), file.file())
}

fn said(file: &Path, written: &Written) -> String {
    let mut text = format!("{} is a backup of instance {}\n", file.display(), written.instance);
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
