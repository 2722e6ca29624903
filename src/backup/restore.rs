//! `outport restore FILE`: a data directory out of a backup.
//!
//! ```text
//! <data dir>/restoring/…      unpacked, compared with the digests, opened as a start would
//! <data dir>/…                each part, moved out of restoring/; then restoring/ is removed
//! ```
//!
//! **Invariant:** as long as `restoring` is there no Outport starts, and another restore begins anew. So a directory is
//! restored as a whole or not at all, also where it is a file system of its own, which cannot be renamed.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufReader, ErrorKind, Seek};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use outport_tree_removal::remove_tree;

use super::{given_master_key, is_part};
use crate::command_line::Restore;
use crate::data_dir;
use crate::output;
use crate::parts::Parts;

const RESTORING: &str = "restoring";
/// What an empty directory may have in it.
const NOTHING: [&str; 2] = ["lost+found", "lock"];

/// Whether a restore into this directory began and did not end.
pub fn is_unfinished(directory: &Path) -> bool {
    directory.join(RESTORING).exists()
}

/// Restores, and says what to do next.
///
/// # Errors
/// In one line; the directory is as it was then.
pub fn restore(options: &Restore) -> Result<()> {
    let (file, directory) = (&options.file, &options.data_dir.data_dir);
    let at = || format!("cannot restore {}", file.display());
    let mut archive = File::open(file).with_context(at)?;
    let head = outport_backup::head_of(BufReader::new(&archive)).with_context(at)?;
    archive.rewind().with_context(at)?;

    let is_new = !directory.exists();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    check_empty(directory)?;
    let lock = data_dir::take_lock(directory)?;
    // Another one may have come first.
    check_empty(directory)?;
    clear(directory)?;
    let restored = unpack(&archive, directory).and_then(|()| put_in_place(directory));
    if let Err(error) = restored {
        // The first error is the one to tell.
        let _ = clear(directory).and_then(|()| Ok(fs::remove_file(directory.join("lock"))?));
        if is_new {
            let _ = fs::remove_dir(directory);
        }
        return Err(error).with_context(at);
    }
    drop(lock);
    let mut text = format!(
        "{} is instance {} as it was at {}, written by outport {}\n\
         Start it as before. Tasks of it that still run are taken over, those that do not are STOPPED, tasks that began \
         after it are ended, and services start what is missing. Do not start it while the one that it was made of runs.\n",
        directory.display(),
        head.instance,
        outport_certificates::spoken(head.begun_at_s.saturating_mul(1_000)),
        head.version,
    );
    if let Some(key) = given_master_key(directory)? {
        text += &format!(
            "Give it the master key {key} (--master-key-file, --master-key-command or OUTPORT_MASTER_KEY), which no backup has.\n"
        );
    }
    output::answer(&text).context("cannot print")
}

/// # Errors
/// When something is in the directory that is not of an unfinished restore.
fn check_empty(directory: &Path) -> Result<()> {
    let is_unfinished = is_unfinished(directory);
    for entry in list(directory)? {
        let name = entry.to_string_lossy();
        let is_own = is_unfinished && (is_part(&name) || name == RESTORING);
        if !is_own && !NOTHING.contains(&&*name) {
            bail!(
                "{} is not empty ({name} is in it): name another directory with --data-dir, or move that one away",
                directory.display()
            );
        }
    }
    Ok(())
}

/// Removes what a restore has made; `restoring` last, which says that it may be removed.
fn clear(directory: &Path) -> Result<()> {
    if !is_unfinished(directory) {
        return Ok(());
    }
    let remove = |name: &Path| {
        let path = directory.join(name);
        remove_tree(&path).with_context(|| format!("cannot remove {}", path.display()))
    };
    for name in list(directory)? {
        if is_part(&name.to_string_lossy()) {
            remove(&name)?;
        }
    }
    remove(Path::new(RESTORING))
}

fn list(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| Ok(entry?.file_name().into())).collect());
    entries.with_context(|| format!("cannot read {}", directory.display()))
}

/// Everything below `restoring`, whole, opened once, and on disk.
fn unpack(archive: &File, directory: &Path) -> Result<()> {
    let restoring = directory.join(RESTORING);
    DirBuilder::new().mode(0o700).create(&restoring)?;
    outport_backup::unpack(BufReader::new(archive), &restoring, is_part)?;
    data_dir::check_format(&restoring)?;
    for needed in ["instance", "control", "logs", "registry"] {
        if !restoring.join(needed).exists() {
            bail!("the backup is damaged: {needed} is not in it");
        }
    }
    drop(Parts::open_as_they_are(&restoring).context("the backup does not open")?);
    // Its file system, whatever is mounted above.
    nix::unistd::syncfs(File::open(&restoring)?).context("cannot write it to disk")
}

fn put_in_place(directory: &Path) -> Result<()> {
    let restoring = directory.join(RESTORING);
    for name in list(&restoring)? {
        fs::rename(restoring.join(&name), directory.join(&name))
            .with_context(|| format!("cannot put {} in place", name.display()))?;
    }
    sync_directory(Some(directory))?;
    fs::remove_dir(&restoring)?;
    Ok(sync_directory(Some(directory))?)
}

fn sync_directory(directory: Option<&Path>) -> io::Result<()> {
    let directory = directory.ok_or_else(|| io::Error::from(ErrorKind::NotFound))?;
    File::open(directory)?.sync_all()
}
