//! Master keys in the data directory.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use outport_keyring::KEY_BYTES;

use super::Key;
use super::source::parse;
use crate::data_dir::{random_bytes, write_secret};

/// The one that Outport makes.
pub const OWN: &str = "master-key";
/// The one that will be it.
const NEXT: &str = "master-key-next";

pub fn own_path(directory: &Path) -> PathBuf {
    directory.join(OWN)
}

/// `None`: there is none.
pub fn own(directory: &Path) -> Result<Option<Key>> {
    read(&own_path(directory))
}

pub fn next(directory: &Path) -> Result<Option<Key>> {
    read(&directory.join(NEXT))
}

pub fn make_own(directory: &Path) -> Result<Key> {
    make(&own_path(directory))
}

pub fn make_next(directory: &Path) -> Result<Key> {
    make(&directory.join(NEXT))
}

/// The next one is the one.
pub fn put_next_in_place(directory: &Path) -> Result<()> {
    let path = own_path(directory);
    let rename = || {
        std::fs::rename(directory.join(NEXT), &path)?;
        File::open(directory)?.sync_all()
    };
    rename().with_context(|| format!("cannot write {}", path.display()))
}

/// The operator has the key from now on.
pub fn remove_all(directory: &Path) -> Result<()> {
    for name in [NEXT, OWN] {
        let path = directory.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(File::open(directory)?.sync_all()?)
}

fn read(path: &Path) -> Result<Option<Key>> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text)
            .map(Some)
            .with_context(|| format!("{} is damaged: restore it from a backup", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn make(path: &Path) -> Result<Key> {
    let bytes = random_bytes(KEY_BYTES)?;
    // Earlier versions read this form only.
    write_secret(path, &hex::encode(&bytes))?;
    parse(&hex::encode(bytes))
}
