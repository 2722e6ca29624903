//! What is in an archive, and its writer.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{ArchiveError, Frozen};

/// The format that this version writes, and the newest that it reads.
pub const FORMAT: u32 = 1;
/// The first entry, and the last.
pub(crate) const HEAD: &str = "backup.json";
pub(crate) const END: &str = "end.json";
/// Layers and log segments are packed already; what is left, rows and free pages, packs at any level.
const LEVEL: i32 = 1;

/// What an archive says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// [`FORMAT`].
    pub outport_backup: u32,
    /// Of the Outport that wrote it.
    pub version: String,
    /// Of the data directory.
    pub instance: String,
    /// When it was begun, in seconds since the epoch: all that was acknowledged until then is in it.
    pub begun_at_s: i64,
}

/// What an archive has of one part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartSum {
    pub files: u64,
    pub bytes: u64,
    /// Of names, lengths and contents of all files, in their order; hexadecimal.
    pub sha256: String,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    pub parts: BTreeMap<String, PartSum>,
}

/// Sums up the files of an archive.
#[derive(Default)]
pub(crate) struct Sums(BTreeMap<String, (u64, u64, Sha256)>);

impl Sums {
    /// To be given every file's bytes next. A file in no directory is a part of its own.
    pub fn begin(&mut self, name: &Path, bytes: u64) -> &mut Sha256 {
        let part = name.iter().next().unwrap_or_default().to_string_lossy().into_owned();
        let name = name.to_string_lossy();
        let (files, total, hasher) = self.0.entry(part).or_default();
        *files += 1;
        *total += bytes;
        hasher.update((name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(bytes.to_le_bytes());
        hasher
    }

    pub fn end(self) -> End {
        let sum = |(files, bytes, hasher): (u64, u64, Sha256)| PartSum {
            files,
            bytes,
            sha256: hex::encode(hasher.finalize()),
        };
        End { parts: self.0.into_iter().map(|(part, sums)| (part, sum(sums))).collect() }
    }
}

/// Writes an archive from its head to its end, in one go and in little memory.
pub struct ArchiveWriter<W: Write> {
    tar: tar::Builder<zstd::Encoder<'static, W>>,
    sums: Sums,
    begun_at_s: u64,
}

impl<W: Write> ArchiveWriter<W> {
    /// # Errors
    /// Those of `to`.
    pub fn begin(to: W, head: &Head) -> Result<Self, ArchiveError> {
        let begin = || {
            let mut packer = zstd::Encoder::new(to, LEVEL)?;
            packer.include_checksum(true)?;
            Ok(packer)
        };
        let mut writer = Self {
            tar: tar::Builder::new(begin().map_err(ArchiveError::Write)?),
            sums: Sums::default(),
            begun_at_s: u64::try_from(head.begun_at_s).unwrap_or(0),
        };
        let text = json(head)?;
        writer.append(Path::new(HEAD), text.len() as u64, &mut text.as_slice())?;
        Ok(writer)
    }

    /// # Errors
    /// Those of the file, which has to be as long as it was when it was frozen, and those of the archive.
    pub fn add(&mut self, part: &str, file: &Frozen) -> Result<(), ArchiveError> {
        let at = ArchiveError::file(file.path());
        let name = Path::new(part).join(&file.name);
        self.add_from(&name, file.bytes, file.read().map_err(&at)?, at)
    }

    /// A small file, whose name is relative to the data directory.
    ///
    /// # Errors
    /// Those of the archive.
    pub fn add_bytes(&mut self, name: &Path, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.add_from(name, bytes.len() as u64, bytes, ArchiveError::file(name))
    }

    fn add_from(
        &mut self,
        name: &Path,
        bytes: u64,
        from: impl Read,
        at: impl Fn(io::Error) -> ArchiveError,
    ) -> Result<(), ArchiveError> {
        let hasher = self.sums.begin(name, bytes);
        let mut source = Hashing { from: from.take(bytes), left: bytes, hasher, failed: None };
        let mut header = header(bytes, self.begun_at_s);
        let written = self.tar.append_data(&mut header, name, &mut source);
        match source.failed {
            Some(error) => Err(at(error)),
            None => written.map_err(ArchiveError::Write),
        }
    }

    fn append(&mut self, name: &Path, bytes: u64, from: &mut dyn Read) -> Result<(), ArchiveError> {
        let mut header = header(bytes, self.begun_at_s);
        self.tar.append_data(&mut header, name, from).map_err(ArchiveError::Write)
    }

    /// Writes the end; what was written to, to be synced, and what is in it.
    ///
    /// # Errors
    /// Those of the archive.
    pub fn finish(mut self) -> Result<(W, BTreeMap<String, PartSum>), ArchiveError> {
        let end = std::mem::take(&mut self.sums).end();
        let text = json(&end)?;
        self.append(Path::new(END), text.len() as u64, &mut text.as_slice())?;
        let finish = || self.tar.into_inner()?.finish();
        Ok((finish().map_err(ArchiveError::Write)?, end.parts))
    }
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, ArchiveError> {
    let mut text =
        serde_json::to_vec_pretty(value).map_err(|error| ArchiveError::Write(error.into()))?;
    text.push(b'\n');
    Ok(text)
}

fn header(bytes: u64, begun_at_s: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_mtime(begun_at_s);
    header
}

/// Tells an error of what is read from one of what is written.
struct Hashing<'s, R> {
    from: R,
    left: u64,
    hasher: &'s mut Sha256,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Hashing<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self.from.read(buffer) {
            Ok(0) if self.left > 0 && !buffer.is_empty() => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is shorter than it was"))
            }
            read => read,
        };
        match read {
            Ok(read) => {
                self.left -= read as u64;
                self.hasher.update(&buffer[..read]);
                Ok(read)
            }
            Err(error) => {
                let kind = error.kind();
                self.failed = Some(error);
                Err(kind.into())
            }
        }
    }
}
