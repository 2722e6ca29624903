//! What an image is loaded from.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use flate2::read::MultiGzDecoder;

use super::archive::{Members, Place};
use super::digest::Digest;

/// What an archive may take, unpacked, on the disk of the directory for temporary files.
const ARCHIVE_BYTES_MAX: u64 = 64 << 30;
/// The largest manifest that the registry takes, and far more than a configuration has.
pub const DOCUMENT_BYTES_MAX: u64 = 4 << 20;
/// Read and sent at once.
const PIECE_BYTES: usize = 256 << 10;
const STANDARD_INPUT: &str = "-";
/// What makes an archive of an image of its own: `docker:NAME`.
const ENGINES: [&str; 2] = ["docker", "podman"];
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

pub enum Source {
    /// An archive of `docker save`, or of an OCI layout.
    Archive { file: Arc<File>, members: Members },
    /// A directory with an OCI layout.
    Directory(PathBuf),
}

/// A part of a file.
#[derive(Clone, Debug)]
pub struct Part {
    pub file: Arc<File>,
    pub place: Place,
}

/// Opens what the command line names. What comes from a pipe or is compressed is kept in an unlinked file meanwhile.
///
/// # Errors
/// When it is not there, or no archive and no layout.
pub fn open(name: &str, say: &mut impl FnMut(&str)) -> Result<Source> {
    if let Some((engine, image)) = name.split_once(':')
        && ENGINES.contains(&engine)
    {
        return saved(engine, image, say);
    }
    if name == STANDARD_INPUT {
        return archive(kept(io::stdin().lock())?, "standard input", say);
    }
    let path = Path::new(name);
    let metadata = path.metadata().with_context(|| format!("cannot read {name}"))?;
    if metadata.is_dir() {
        let is_layout = path.join("oci-layout").is_file() && path.join("index.json").is_file();
        ensure!(is_layout, "{name} is no OCI layout: it has no files oci-layout and index.json");
        return Ok(Source::Directory(path.to_owned()));
    }
    ensure!(metadata.is_file(), "{name} is neither a file nor a directory");
    let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
    archive(file, name, say)
}

/// `docker save NAME`.
fn saved(engine: &str, image: &str, say: &mut impl FnMut(&str)) -> Result<Source> {
    ensure!(!image.is_empty(), "no image is named: write {engine}:NAME");
    say(&format!("{engine} save {image}"));
    let child = Command::new(engine)
        .args(["save", "--", image])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
            "there is no {engine} here: where it is, run `{engine} save {image} > image.tar`, and load that file"
        ),
        child => child.with_context(|| format!("cannot start {engine}"))?,
    };
    let complaint = child.stderr.take().context("its standard error")?;
    // A thread of its own, so that neither pipe fills up.
    let complaint = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = complaint.take(DOCUMENT_BYTES_MAX).read_to_end(&mut text);
        String::from_utf8_lossy(&text).trim().to_owned()
    });
    let file = kept(child.stdout.take().context("its standard output")?);
    if file.is_err() {
        // It writes on otherwise, to nobody.
        let _ = child.kill();
    }
    let status = child.wait()?;
    let complaint = complaint.join().unwrap_or_default();
    let file = file?;
    ensure!(status.success(), "`{engine} save {image}` failed: {complaint}");
    archive(file, &format!("`{engine} save {image}`"), say)
}

fn archive(file: File, name: &str, say: &mut impl FnMut(&str)) -> Result<Source> {
    let mut begin = [0; 4];
    let read = file.read_at(&mut begin, 0)?;
    ensure!(read > 0, "{name} is empty");
    ensure!(begin != ZSTD, "{name} is compressed with zstd: decompress it before, or use gzip");
    let file = if begin.starts_with(&GZIP) {
        say(&format!("decompressing {name}"));
        kept(MultiGzDecoder::new(&file)).with_context(|| format!("cannot decompress {name}"))?
    } else {
        file
    };
    let members = Members::of(&file).with_context(|| format!("cannot read {name}"))?;
    Ok(Source::Archive { file: Arc::new(file), members })
}

/// In a file that is nowhere to be found and goes with this process.
fn kept(mut from: impl Read) -> Result<File> {
    const NO_ROOM: &str = "cannot keep it in the directory for temporary files (TMPDIR)";
    let mut file = tempfile::tempfile().context(NO_ROOM)?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut bytes: u64 = 0;
    loop {
        let read = from.read(&mut piece).context("it cannot be read, or is damaged")?;
        if read == 0 {
            break;
        }
        bytes += read as u64;
        ensure!(bytes <= ARCHIVE_BYTES_MAX, "it has more than {} GiB", ARCHIVE_BYTES_MAX >> 30);
        file.write_all(&piece[..read]).context(NO_ROOM)?;
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

impl Source {
    /// Where a file of it is.
    pub fn part(&self, name: &str) -> Result<Option<Part>> {
        match self {
            Self::Archive { file, members } => {
                let part = |place| Part { file: Arc::clone(file), place };
                Ok(members.place(name).map(part))
            }
            Self::Directory(directory) => {
                let path = directory.join(name);
                // Not a pipe, which nobody may ever write to.
                if !path.is_file() {
                    return Ok(None);
                }
                let unreadable = || format!("cannot read {}", path.display());
                let file = File::open(&path).with_context(unreadable)?;
                let size = file.metadata().with_context(unreadable)?.len();
                Ok(Some(Part { file: Arc::new(file), place: Place { offset: 0, size } }))
            }
        }
    }

    /// A small file of it.
    pub fn document(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.part(name)?.map(|part| part.document(name)).transpose()
    }

    /// The blob of a layout.
    pub fn blob(&self, digest: &Digest) -> Result<Part> {
        let name = format!("blobs/sha256/{}", digest.hex());
        self.part(&name)?.with_context(|| format!("the blob {digest} is missing"))
    }
}

impl Part {
    /// All of it, when it is as small as a document.
    pub fn document(&self, name: &str) -> Result<Vec<u8>> {
        let size = self.place.size;
        ensure!(size <= DOCUMENT_BYTES_MAX, "{name} has {size} bytes, and no document so many");
        let mut bytes = vec![0; usize::try_from(size)?];
        self.file
            .read_exact_at(&mut bytes, self.place.offset)
            .with_context(|| format!("cannot read {name}"))?;
        Ok(bytes)
    }

    /// In pieces, each with what went wrong when it did.
    pub fn pieces(&self) -> impl Iterator<Item = io::Result<Vec<u8>>> + Send + use<> {
        let (file, place) = (Arc::clone(&self.file), self.place);
        let mut done = 0;
        std::iter::from_fn(move || {
            if done >= place.size {
                return None;
            }
            let length = (PIECE_BYTES as u64).min(place.size - done);
            let mut piece = vec![0; usize::try_from(length).ok()?];
            let read = file.read_exact_at(&mut piece, place.offset + done);
            done = if read.is_ok() { done + length } else { place.size };
            Some(read.map(|()| piece))
        })
    }

    /// Whether it begins as gzip does.
    pub fn is_gzip(&self) -> Result<bool> {
        let mut begin = [0; 2];
        let read = self.place.size >= 2 && {
            self.file.read_exact_at(&mut begin, self.place.offset)?;
            true
        };
        Ok(read && begin == GZIP)
    }
}
