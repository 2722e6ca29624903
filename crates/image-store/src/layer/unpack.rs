//! Unpacks one layer: tar entries in, files for overlayfs out.
//!
//! | entry | becomes |
//! |---|---|
//! | file, directory, symlink, hard link, fifo | the same, with owner, mode (setuid too), times and allowed xattrs |
//! | `.wh.NAME` | whiteout: character device 0:0 named NAME |
//! | `.wh..wh..opq` | `trusted.overlay.opaque` on its directory |
//! | other `.wh..wh.*` | nothing (bookkeeping of aufs) |
//! | a device below `dev/` | nothing: a container gets its own `/dev` |
//! | a device elsewhere, an unknown type | the layer is refused |
//! | a name with `..`, an absolute name, a way through a symlink that leads out | the layer is refused |
//!
//! Kept xattrs: `security.capability` and `user.*`. Others are left out, and `trusted.overlay.*` and
//! `user.overlay.*`, with which a layer could redirect lookups of the ones below, are refused.

use super::decompress::decompress;
use super::limits::UnpackLimits;
use super::metered::{Compressed, Decompressed, Meter};
use super::path::{InvalidPath, LayerPath};
use super::root::{LayerRoot, RootError};
use crate::digest::Digest;
use rustix::fs::{self, AtFlags, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use tar::{Entry, EntryType};

const WHITEOUT_PREFIX: &[u8] = b".wh.";
const WHITEOUT_META_PREFIX: &[u8] = b".wh..wh.";
const OPAQUE_MARKER: &[u8] = b".wh..wh..opq";
const COPY_BUFFER_BYTES: usize = 128 * 1024;
/// Most bytes of an entry's name that an error repeats.
const NAME_SHOWN_MAX: usize = 200;

/// What came out of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Unpacked {
    /// The digest of the decompressed stream, to be compared with the image configuration's diff id.
    pub diff_id: Digest,
    /// Decompressed bytes.
    pub bytes: u64,
    /// Entries.
    pub entries: u64,
}

/// Why a layer was not unpacked. What is in the directory then is to be thrown away.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The layer tries something that an honest one does not.
    #[error("{entry:?}: {reason}")]
    Hostile {
        /// The entry's name, shortened.
        entry: String,
        /// What it tries.
        reason: String,
    },
    /// One of [`UnpackLimits`], by name.
    #[error("limit on {0} exceeded")]
    LimitExceeded(&'static str),
    /// The stream is cut off, or neither tar nor a known compression.
    #[error("malformed layer: {0}")]
    Malformed(String),
    /// A valid layer with something that is not supported.
    #[error("{entry:?}: {what} is not supported")]
    Unsupported {
        /// The entry's name, shortened.
        entry: String,
        /// What is not supported.
        what: &'static str,
    },
    /// No space or no inodes left.
    #[error("write {entry}: no space left on device")]
    DiskFull {
        /// The entry's name, shortened.
        entry: String,
    },
    /// The file system refused.
    #[error("{entry:?}: {source}")]
    Io {
        /// The entry's name, shortened.
        entry: String,
        /// The kernel's error.
        source: io::Error,
    },
}

/// Unpacks the layer in `blob` into the empty directory `destination`. Blocks; needs root (owners, whiteouts).
///
/// The caller compares [`Unpacked::diff_id`] before it uses the directory, and removes it after an error.
pub fn unpack_layer(
    blob: impl Read,
    destination: BorrowedFd<'_>,
    limits: &UnpackLimits,
) -> Result<Unpacked, UnpackError> {
    let meter = Meter::new(*limits);
    let compressed = Compressed { inner: blob, meter: Rc::clone(&meter) };
    let decompressed = decompress(compressed).map_err(|error| stream_error(&meter, &error))?;
    let reader = Decompressed { inner: decompressed, meter: Rc::clone(&meter) };
    let mut archive = tar::Archive::new(reader);
    let mut unpacker = Unpacker {
        root: LayerRoot::new(destination),
        limits,
        meter: &meter,
        directory_times: Vec::new(),
        directory_path_bytes: 0,
        buffer: vec![0; COPY_BUFFER_BYTES],
    };
    let mut entries = archive.entries().map_err(|error| stream_error(&meter, &error))?;
    let mut count = 0;
    loop {
        meter.headers();
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(|error| stream_error(&meter, &error))?;
        meter.content();
        count += 1;
        if count > limits.entries_max {
            return Err(UnpackError::LimitExceeded("entries"));
        }
        unpacker.entry(&mut entry)?;
        // Types without content may still claim a size: it is read here, as content.
        io::copy(&mut entry, &mut io::sink()).map_err(|error| stream_error(&meter, &error))?;
    }
    meter.content();
    unpacker.set_directory_times()?;
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(|error| stream_error(&meter, &error))?;
    Ok(Unpacked { diff_id: meter.digest(), bytes: meter.decompressed(), entries: count })
}

fn stream_error(meter: &Meter, error: &io::Error) -> UnpackError {
    match meter.exceeded() {
        Some(limit) => UnpackError::LimitExceeded(limit),
        None => UnpackError::Malformed(error.to_string()),
    }
}

struct Unpacker<'layer> {
    root: LayerRoot<'layer>,
    limits: &'layer UnpackLimits,
    meter: &'layer Meter,
    /// Set at the end: making entries in a directory changes its time.
    directory_times: Vec<(LayerPath, i64)>,
    directory_path_bytes: usize,
    buffer: Vec<u8>,
}

/// What a header says about owner, mode, time and xattrs, checked.
struct Metadata {
    uid: Uid,
    gid: Gid,
    mode: Mode,
    mtime: i64,
    xattrs: Vec<(String, Vec<u8>)>,
}

impl Unpacker<'_> {
    fn entry<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<(), UnpackError> {
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        let raw_name = entry.path_bytes().into_owned();
        let shown = shorten(&raw_name);
        let path =
            LayerPath::parse(&raw_name, self.limits).map_err(|error| invalid(&shown, error))?;
        let (_, name) = path.split();
        if let Some(hidden) = name.as_encoded_bytes().strip_prefix(WHITEOUT_PREFIX) {
            return self.whiteout(&path, hidden).map_err(|error| at(&shown, error));
        }
        let metadata = metadata(entry, &shown)?;
        match kind {
            EntryType::Directory => self.directory(path, &metadata, &shown),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                not_root(&path, &shown)?;
                self.file(entry, &path, &metadata, &shown)
            }
            EntryType::Symlink => {
                not_root(&path, &shown)?;
                let target = self.link_target(entry, &shown)?;
                self.symlink(&path, &target, &metadata).map_err(|error| at(&shown, error))
            }
            EntryType::Link => {
                not_root(&path, &shown)?;
                let target = self.link_target(entry, &shown)?;
                let target = hard_link_target(&target, self.limits)
                    .map_err(|error| invalid(&shown, error))?;
                self.root.hard_link(&path, &target).map_err(|error| at(&shown, error))
            }
            EntryType::Fifo => {
                not_root(&path, &shown)?;
                self.fifo(&path, &metadata).map_err(|error| at(&shown, error))
            }
            EntryType::Char | EntryType::Block if path.is_below_dev() => Ok(()),
            EntryType::Char | EntryType::Block => Err(hostile(&shown, "a device file")),
            other => Err(hostile(
                &shown,
                &format!("an entry of unknown type {:?}", other.as_byte() as char),
            )),
        }
    }

    fn whiteout(&mut self, path: &LayerPath, hidden: &[u8]) -> Result<(), RootError> {
        let (parent, name) = path.split();
        let name = name.as_encoded_bytes();
        let sibling = |name: &[u8]| {
            let mut joined = parent.to_vec();
            if !joined.is_empty() {
                joined.push(b'/');
            }
            joined.extend_from_slice(name);
            joined
        };
        if name == OPAQUE_MARKER {
            let directory = if parent.is_empty() { b"./".as_slice() } else { parent };
            return self.root.opaque(&reparse(directory, self.limits)?);
        }
        if name.starts_with(WHITEOUT_META_PREFIX) {
            return Ok(());
        }
        if hidden.is_empty() || hidden == b"." || hidden == b".." {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a whiteout of nothing").into());
        }
        self.root.whiteout(&reparse(&sibling(hidden), self.limits)?)
    }

    fn directory(
        &mut self,
        path: LayerPath,
        metadata: &Metadata,
        shown: &str,
    ) -> Result<(), UnpackError> {
        let directory = if path.is_root() {
            self.root.existing_directory(&path)
        } else {
            self.root.directory(&path)
        };
        let directory = directory.map_err(|error| at(shown, error))?;
        apply(directory.as_fd(), metadata).map_err(|error| at(shown, error))?;
        self.directory_path_bytes += path.len_bytes() + size_of::<(LayerPath, i64)>();
        if self.directory_path_bytes > self.limits.directory_path_bytes_max {
            return Err(UnpackError::LimitExceeded("directories"));
        }
        self.directory_times.push((path, metadata.mtime));
        Ok(())
    }

    fn file<R: Read>(
        &mut self,
        entry: &mut Entry<'_, R>,
        path: &LayerPath,
        metadata: &Metadata,
        shown: &str,
    ) -> Result<(), UnpackError> {
        let claimed = entry.size();
        if claimed > self.limits.bytes_max {
            return Err(UnpackError::LimitExceeded("bytes"));
        }
        let mut file = File::from(self.root.file(path).map_err(|error| at(shown, error))?);
        let mut written: u64 = 0;
        loop {
            let read =
                entry.read(&mut self.buffer).map_err(|error| stream_error(self.meter, &error))?;
            if read == 0 {
                break;
            }
            written += read as u64;
            file.write_all(&self.buffer[..read]).map_err(|error| at(shown, error.into()))?;
        }
        if written != claimed {
            return Err(UnpackError::Malformed(format!("{shown:?} is cut off")));
        }
        apply(file.as_fd(), metadata).map_err(|error| at(shown, error))?;
        fs::futimens(&file, &times(metadata.mtime)).map_err(|error| at(shown, error.into()))
    }

    fn symlink(
        &mut self,
        path: &LayerPath,
        target: &[u8],
        metadata: &Metadata,
    ) -> Result<(), RootError> {
        let (parent, name) =
            self.root.replace(path, |parent, name| fs::symlinkat(target, parent, name))?;
        let nofollow = AtFlags::SYMLINK_NOFOLLOW;
        fs::chownat(&parent, &name, Some(metadata.uid), Some(metadata.gid), nofollow)?;
        Ok(fs::utimensat(&parent, &name, &times(metadata.mtime), nofollow)?)
    }

    fn fifo(&mut self, path: &LayerPath, metadata: &Metadata) -> Result<(), RootError> {
        let (parent, name) = self.root.replace(path, |parent, name| {
            fs::mknodat(parent, name, FileType::Fifo, Mode::from_raw_mode(0o600), 0)
        })?;
        let nofollow = AtFlags::SYMLINK_NOFOLLOW;
        fs::chownat(&parent, &name, Some(metadata.uid), Some(metadata.gid), nofollow)?;
        // The fifo was made a moment ago by this process: there is no link to follow.
        fs::chmodat(&parent, &name, metadata.mode, AtFlags::empty())?;
        Ok(fs::utimensat(&parent, &name, &times(metadata.mtime), nofollow)?)
    }

    fn link_target<R: Read>(
        &self,
        entry: &Entry<'_, R>,
        shown: &str,
    ) -> Result<Vec<u8>, UnpackError> {
        let target = entry.link_name_bytes().map(|target| target.into_owned()).unwrap_or_default();
        if target.is_empty() || target.contains(&0) {
            return Err(hostile(shown, "a link without a valid target"));
        }
        if target.len() > self.limits.path_bytes_max {
            return Err(hostile(shown, "link target too long"));
        }
        Ok(target)
    }

    fn set_directory_times(&mut self) -> Result<(), UnpackError> {
        for (path, mtime) in std::mem::take(&mut self.directory_times) {
            match self.root.existing_directory(&path) {
                Ok(directory) => fs::futimens(&directory, &times(mtime))
                    .map_err(|error| at(&shorten(path.as_bytes()), error.into()))?,
                // A later entry put something else in its place.
                Err(_) => continue,
            }
        }
        Ok(())
    }
}

/// A hard link's target is a name in the archive; a leading slash is written by some tools and means the root.
fn hard_link_target(target: &[u8], limits: &UnpackLimits) -> Result<LayerPath, InvalidPath> {
    let start = target.iter().position(|byte| *byte != b'/').ok_or(InvalidPath::Empty)?;
    let path = LayerPath::parse(&target[start..], limits)?;
    if path.is_root() { Err(InvalidPath::Empty) } else { Ok(path) }
}

fn reparse(path: &[u8], limits: &UnpackLimits) -> Result<LayerPath, RootError> {
    LayerPath::parse(path, limits)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string()).into())
}

fn metadata<R: Read>(entry: &mut Entry<'_, R>, shown: &str) -> Result<Metadata, UnpackError> {
    let header = entry.header();
    let malformed = |error: io::Error| UnpackError::Malformed(format!("{shown:?}: {error}"));
    let owner = |id: u64| match u32::try_from(id) {
        // All ones means "do not change" to chown.
        Ok(id) if id != u32::MAX => Ok(id),
        _ => Err(hostile(shown, "an owner out of range")),
    };
    let mut uid = owner(header.uid().map_err(malformed)?)?;
    let mut gid = owner(header.gid().map_err(malformed)?)?;
    let mode = Mode::from_raw_mode(header.mode().map_err(malformed)? & 0o7777);
    let mut mtime = i64::try_from(header.mtime().map_err(malformed)?).unwrap_or(0);
    let mut xattrs = Vec::new();
    if let Some(extensions) = entry.pax_extensions().map_err(malformed)? {
        for extension in extensions {
            let extension = extension.map_err(malformed)?;
            let Ok(key) = extension.key() else { continue };
            let number = || extension.value().ok().and_then(|text| text.parse::<u64>().ok());
            match key {
                "uid" => uid = owner(number().unwrap_or(u64::MAX))?,
                "gid" => gid = owner(number().unwrap_or(u64::MAX))?,
                "mtime" => mtime = seconds(extension.value().unwrap_or_default()).unwrap_or(mtime),
                key if key.starts_with("GNU.sparse.") => {
                    let entry = shown.to_owned();
                    return Err(UnpackError::Unsupported { entry, what: "a PAX sparse file" });
                }
                key => {
                    if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                        keep_xattr(name, extension.value_bytes(), &mut xattrs, shown)?;
                    }
                }
            }
        }
    }
    Ok(Metadata { uid: Uid::from_raw(uid), gid: Gid::from_raw(gid), mode, mtime, xattrs })
}

fn keep_xattr(
    name: &str,
    value: &[u8],
    xattrs: &mut Vec<(String, Vec<u8>)>,
    shown: &str,
) -> Result<(), UnpackError> {
    if name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.") {
        return Err(hostile(shown, "an overlay attribute"));
    }
    if name.contains('\0') {
        return Err(hostile(shown, "an attribute name with a NUL byte"));
    }
    if name == "security.capability" || name.starts_with("user.") {
        xattrs.push((name.to_owned(), value.to_vec()));
    }
    Ok(())
}

/// Whole seconds of a PAX time (`1700000000.123456789`, may be negative).
fn seconds(text: &str) -> Option<i64> {
    text.split('.').next()?.parse().ok()
}

/// The order matters: a change of owner clears setuid bits and file capabilities.
fn apply(file: BorrowedFd<'_>, metadata: &Metadata) -> Result<(), RootError> {
    fs::fchown(file, Some(metadata.uid), Some(metadata.gid))?;
    fs::fchmod(file, metadata.mode)?;
    for (name, value) in &metadata.xattrs {
        match fs::fsetxattr(file, name.as_str(), value, XattrFlags::empty()) {
            // Not every file system has user attributes; a container does not depend on them.
            Err(Errno::NOTSUP) if name.starts_with("user.") => {}
            result => result?,
        }
    }
    Ok(())
}

fn times(mtime: i64) -> Timestamps {
    let time = Timespec { tv_sec: mtime, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

fn not_root(path: &LayerPath, shown: &str) -> Result<(), UnpackError> {
    if path.is_root() { Err(hostile(shown, "the root is not a directory")) } else { Ok(()) }
}

fn invalid(shown: &str, error: InvalidPath) -> UnpackError {
    hostile(shown, &error.to_string())
}

fn hostile(shown: &str, reason: &str) -> UnpackError {
    UnpackError::Hostile { entry: shown.to_owned(), reason: reason.to_owned() }
}

fn at(shown: &str, error: RootError) -> UnpackError {
    let entry = shown.to_owned();
    match error {
        RootError::Io(source) => match source.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOSPC | Errno::DQUOT) => UnpackError::DiskFull { entry },
            Some(Errno::NAMETOOLONG) => hostile(shown, "path too long"),
            _ if source.kind() == io::ErrorKind::InvalidInput => {
                hostile(shown, &source.to_string())
            }
            _ => UnpackError::Io { entry, source },
        },
        refused => hostile(shown, &refused.to_string()),
    }
}

fn shorten(name: &[u8]) -> String {
    String::from_utf8_lossy(&name[..name.len().min(NAME_SHOWN_MAX)]).into_owned()
}
