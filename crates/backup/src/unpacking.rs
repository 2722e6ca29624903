//! Makes files of an archive, of which nothing is believed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use serde::de::DeserializeOwned;
use sha2::Digest;
use tar::{Entry, EntryType};

use crate::ArchiveError;
use crate::archive::{END, End, FORMAT, HEAD, Head, PartSum, Sums};

/// Of the first entry and the last.
const JSON_BYTES_MAX: u64 = 64 * 1024;
const NAME_BYTES_MAX: u64 = 1024;
const CHUNK_BYTES: usize = 256 * 1024;
/// What follows the last entry: tar's own padding.
const PADDING_BYTES_MAX: u64 = 64 * 1024;

type Unpacker<'r, R> = zstd::Decoder<'static, BufReader<&'r mut R>>;

/// Reads what an archive says of itself.
///
/// # Errors
/// `NotABackup`; `Newer`.
pub fn head_of(mut from: impl Read) -> Result<Head, ArchiveError> {
    let mut archive = open(&mut from)?;
    let mut entries = archive.entries().map_err(not_one)?.raw(true);
    let first = entries.next().ok_or_else(|| ArchiveError::NotABackup("it is empty".into()))?;
    read_head(&mut first.map_err(not_one)?)
}

/// Unpacks all files of an archive into a directory, which has nothing in it. They are whole, and as they were written, but
/// not yet on disk, when this returns. `is_part` says which names there may be in the directory.
///
/// # Errors
/// What is unpacked by then counts for nothing.
pub fn unpack(
    mut from: impl Read,
    directory: &Path,
    is_part: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, PartSum>, ArchiveError> {
    let mut archive = open(&mut from)?;
    let mut sums = Sums::default();
    let (mut end, mut is_first, mut long_name) = (None, true, None);
    for entry in archive.entries().map_err(damaged)?.raw(true) {
        let mut entry = entry.map_err(damaged)?;
        if std::mem::take(&mut is_first) {
            read_head(&mut entry)?;
            continue;
        }
        if end.is_some() {
            return Err(ArchiveError::Damaged(format!("there is more behind {END}")));
        }
        if entry.header().entry_type() == EntryType::GNULongName {
            long_name = Some(read_name(&mut entry)?);
            continue;
        }
        let name = match long_name.take() {
            Some(name) => name,
            None => entry.path().map_err(damaged)?.into_owned(),
        };
        if entry.header().entry_type() != EntryType::Regular {
            return Err(ArchiveError::Damaged(format!("{} is no file", name.display())));
        }
        if name == Path::new(END) {
            end = Some(read_json::<End, _>(&mut entry)?);
            continue;
        }
        check_name(&name, &is_part)?;
        unpack_file(&mut entry, &name, directory, &mut sums)?;
    }
    let end = end.ok_or_else(|| ArchiveError::Damaged("its end is missing".into()))?;
    drain(archive.into_inner())?;
    let found = sums.end();
    for part in found.parts.keys().chain(end.parts.keys()) {
        if found.parts.get(part) != end.parts.get(part) {
            return Err(ArchiveError::Damaged(format!("{part} is not as it was written")));
        }
    }
    Ok(found.parts)
}

fn open<R: Read>(from: &mut R) -> Result<tar::Archive<Unpacker<'_, R>>, ArchiveError> {
    // A second file behind the first is none of it.
    let unpacker = zstd::Decoder::new(from).map_err(not_one)?.single_frame();
    Ok(tar::Archive::new(unpacker))
}

fn not_one(error: io::Error) -> ArchiveError {
    ArchiveError::NotABackup(error.to_string())
}

fn damaged(error: io::Error) -> ArchiveError {
    ArchiveError::Damaged(error.to_string())
}

fn read_head<R: Read>(entry: &mut Entry<'_, R>) -> Result<Head, ArchiveError> {
    if entry.path_bytes().as_ref() != HEAD.as_bytes() {
        return Err(ArchiveError::NotABackup(format!("it does not begin with {HEAD}")));
    }
    let head: Head =
        read_json(entry).map_err(|error| ArchiveError::NotABackup(error.to_string()))?;
    if head.outport_backup > FORMAT {
        return Err(ArchiveError::Newer { version: head.version });
    }
    Ok(head)
}

fn read_json<T: DeserializeOwned, R: Read>(entry: &mut Entry<'_, R>) -> Result<T, ArchiveError> {
    let text = read_small(entry, JSON_BYTES_MAX)?;
    serde_json::from_slice(&text).map_err(|error| ArchiveError::Damaged(error.to_string()))
}

fn read_name<R: Read>(entry: &mut Entry<'_, R>) -> Result<PathBuf, ArchiveError> {
    let mut name = read_small(entry, NAME_BYTES_MAX)?;
    while name.last() == Some(&0) {
        name.pop();
    }
    Ok(OsString::from_vec(name).into())
}

fn read_small<R: Read>(entry: &mut Entry<'_, R>, max: u64) -> Result<Vec<u8>, ArchiveError> {
    if entry.size() > max {
        return Err(ArchiveError::Damaged(format!(
            "an entry of {} bytes is too long",
            entry.size()
        )));
    }
    let mut text = Vec::new();
    entry.read_to_end(&mut text).map_err(damaged)?;
    Ok(text)
}

/// Below the directory and nowhere else: no `..`, no root.
fn check_name(name: &Path, is_part: impl Fn(&str) -> bool) -> Result<(), ArchiveError> {
    let mut parts = name.components().map(|component| match component {
        Component::Normal(part) => part.to_str(),
        _ => None,
    });
    let is_known = parts.next().flatten().is_some_and(is_part);
    if !is_known || parts.any(|part| part.is_none()) {
        return Err(ArchiveError::Damaged(format!("{} does not belong into it", name.display())));
    }
    Ok(())
}

fn unpack_file<R: Read>(
    entry: &mut Entry<'_, R>,
    name: &Path,
    directory: &Path,
    sums: &mut Sums,
) -> Result<(), ArchiveError> {
    let path = directory.join(name);
    let at = ArchiveError::file(&path);
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(&at)?;
    }
    let mut file = create(&path).map_err(&at)?;
    let (hasher, mut left) = (sums.begin(name, entry.size()), entry.size());
    let mut buffer = vec![0; CHUNK_BYTES];
    while left > 0 {
        let length = entry.read(&mut buffer).map_err(damaged)?;
        if length == 0 {
            return Err(ArchiveError::Damaged(format!("{} is cut off", name.display())));
        }
        left = left.saturating_sub(length as u64);
        hasher.update(&buffer[..length]);
        file.write_all(&buffer[..length]).map_err(&at)?;
    }
    Ok(())
}

/// A name that comes twice is an error.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// To the end: only there the packer's own checksum is compared.
fn drain<R: Read>(unpacker: Unpacker<'_, R>) -> Result<(), ArchiveError> {
    let mut rest = unpacker.take(PADDING_BYTES_MAX + 1);
    match io::copy(&mut rest, &mut io::sink()).map_err(damaged)? {
        padding if padding > PADDING_BYTES_MAX => {
            Err(ArchiveError::Damaged("there is more behind its end".into()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
