//! Unpacks one layer: tar entries in, files for overlayfs out.
//!
//! | entry | becomes |
//! |---|---|
//! | file, directory, symlink, hard link, fifo | the same, with owner, mode (setuid too), times and allowed xattrs |
//! | a sparse file of any form | a file with holes |
//! | `.wh.NAME` | whiteout: character device 0:0 named NAME |
//! | `.wh..wh..opq` | `trusted.overlay.opaque` on its directory |
//! | other `.wh..wh.*` | nothing (bookkeeping of aufs) |
//! | a device below `dev/` | nothing: a container gets its own `/dev` |
//! | a device elsewhere that every container may use: null, zero, full, random, urandom, tty | the same, as in chroots of bind and postfix |
//! | any other device | nothing: no container may open it, and none lies on the host's disk |
//! | an unknown type, a name with `..` above the root | the layer is refused |
//!
//! Kept xattrs: `security.capability` and `user.*`. Others are left out, also `trusted.overlay.*` and `user.overlay.*`,
//! which builders leave in layers and with which a layer could redirect lookups of the ones below.

use super::archive::{
    Archive, ArchiveError, BLOCK_DEVICE, CHARACTER_DEVICE, DIRECTORY, FIFO, FILE, HARD_LINK,
    Member, SYMLINK,
};
use super::decompress::decompress;
use super::limits::{LIMIT_ON_BYTES, UnpackLimits};
use super::metered::{Compressed, Decompressed, Meter};
use super::path::{InvalidPath, LayerPath};
use super::root::{LayerRoot, RootError, make_opaque};
use crate::digest::Digest;
use rustix::fs::{self, AtFlags, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

const WHITEOUT_PREFIX: &[u8] = b".wh.";
const WHITEOUT_META_PREFIX: &[u8] = b".wh..wh.";
const OPAQUE_MARKER: &[u8] = b".wh..wh..opq";
const COPY_BUFFER_BYTES: usize = 128 * 1024;
/// With so many blocks left, a file system is not full for one file's attributes.
const BLOCKS_LEFT_MIN: u64 = 64;
/// Most bytes of an entry's name that an error repeats.
const NAME_SHOWN_MAX: usize = 200;
/// The character devices that the device rules of every container allow, by major and minor number.
pub const HARMLESS_DEVICES: [(u32, u32); 6] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0)];

/// What came out of a layer.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Unpacked {
    /// The digest of the decompressed stream, to be compared with the image configuration's diff id.
    pub diff_id: Digest,
    /// Decompressed bytes.
    pub bytes: u64,
    /// Entries.
    pub entries: u64,
    /// Directories that no entry describes: they are what they are in the layers below.
    pub(crate) implied: Vec<LayerPath>,
    /// Directories that hide what the layers below have in them.
    pub(crate) opaque: Vec<LayerPath>,
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
    let unpacked = unpack_entries(blob, destination, limits)?;
    finish(destination, &unpacked)?;
    Ok(unpacked)
}

/// The last step, which needs a right that the unpacking process has not.
pub(crate) fn finish(destination: BorrowedFd<'_>, unpacked: &Unpacked) -> Result<(), UnpackError> {
    make_opaque(destination, &unpacked.opaque)
        .map_err(|source| UnpackError::Io { entry: "an opaque directory".to_owned(), source })
}

/// All but [`finish`].
pub(crate) fn unpack_entries(
    blob: impl Read,
    destination: BorrowedFd<'_>,
    limits: &UnpackLimits,
) -> Result<Unpacked, UnpackError> {
    let meter = Meter::new(*limits);
    let compressed = Compressed { inner: blob, meter: Rc::clone(&meter) };
    let decompressed =
        decompress(compressed).map_err(|error| stream_error(&meter, error.into()))?;
    let reader = Decompressed { inner: decompressed, meter: Rc::clone(&meter) };
    let mut unpacker = Unpacker {
        archive: Archive::new(reader, Rc::clone(&meter)),
        root: LayerRoot::new(destination, limits, Rc::clone(&meter)),
        limits,
        meter: &meter,
        directory_times: Vec::new(),
        directory_path_bytes: 0,
        buffer: vec![0; COPY_BUFFER_BYTES],
    };
    let mut entries = 0;
    let of_stream = |error| stream_error(&meter, error);
    while let Some(member) = unpacker.archive.next().map_err(of_stream)? {
        entries += 1;
        meter.make().map_err(|error| stream_error(&meter, error.into()))?;
        unpacker.entry(&member)?;
    }
    unpacker.set_directory_times()?;
    unpacker.archive.finish().map_err(of_stream)?;
    let (implied, opaque) = unpacker.root.into_marks();
    let (diff_id, bytes) = (meter.digest(), meter.decompressed());
    Ok(Unpacked { diff_id, bytes, entries, implied, opaque })
}

fn stream_error(meter: &Meter, error: ArchiveError) -> UnpackError {
    match meter.exceeded() {
        Some(limit) => UnpackError::LimitExceeded(limit),
        None => UnpackError::Malformed(error.to_string()),
    }
}

struct Unpacker<'layer, R> {
    archive: Archive<R>,
    root: LayerRoot<'layer>,
    limits: &'layer UnpackLimits,
    meter: &'layer Meter,
    /// Set at the end: making entries in a directory changes its time. By real path.
    directory_times: Vec<(LayerPath, i64)>,
    directory_path_bytes: usize,
    buffer: Vec<u8>,
}

/// What a header says about owner, mode, time and xattrs, checked.
struct Metadata<'member> {
    uid: Uid,
    gid: Gid,
    mode: Mode,
    mtime: i64,
    xattrs: Vec<(&'member str, &'member [u8])>,
}

impl<R: Read> Unpacker<'_, R> {
    fn entry(&mut self, member: &Member) -> Result<(), UnpackError> {
        let shown = shorten(&member.name);
        let path =
            LayerPath::parse(&member.name, self.limits).map_err(|error| invalid(&shown, error))?;
        let (_, name) = path.split();
        if let Some(hidden) = name.as_encoded_bytes().strip_prefix(WHITEOUT_PREFIX) {
            let done = self.whiteout(&path, hidden);
            return done.map_err(|error| self.at(&shown, error));
        }
        let metadata = metadata(member, &shown)?;
        if member.kind == DIRECTORY {
            return self.directory(&path, &metadata, &shown);
        }
        if path.is_root() {
            return Err(hostile(&shown, "the root is not a directory"));
        }
        let done = match member.kind {
            FILE => return self.file(member, &path, &metadata, &shown),
            SYMLINK => {
                let target = self.link_target(member, &shown)?;
                self.symlink(&path, target, &metadata)
            }
            HARD_LINK => {
                let target = self.link_target(member, &shown)?;
                let target = LayerPath::parse(target, self.limits)
                    .map_err(|error| invalid(&shown, error))?;
                if target.is_root() {
                    return Err(invalid(&shown, InvalidPath::Empty));
                }
                self.root.hard_link(&path, &target)
            }
            FIFO => self.node(&path, FileType::Fifo, 0, &metadata),
            CHARACTER_DEVICE | BLOCK_DEVICE => self.device(member, &path, &metadata),
            other => {
                let reason = format!("an entry of unknown type {:?}", other as char);
                return Err(hostile(&shown, &reason));
            }
        };
        done.map_err(|error| self.at(&shown, error))
    }

    fn whiteout(&mut self, path: &LayerPath, hidden: &[u8]) -> Result<(), RootError> {
        let (parent, name) = path.split();
        let name = name.as_encoded_bytes();
        if name == OPAQUE_MARKER {
            return self.root.opaque(path);
        }
        if name.starts_with(WHITEOUT_META_PREFIX) {
            return Ok(());
        }
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a whiteout of nothing").into());
        }
        self.root.whiteout(&LayerPath::joined(parent, hidden))
    }

    fn directory(
        &mut self,
        path: &LayerPath,
        metadata: &Metadata<'_>,
        shown: &str,
    ) -> Result<(), UnpackError> {
        let (directory, real) = self.root.directory(path).map_err(|error| self.at(shown, error))?;
        apply(directory.as_fd(), metadata).map_err(|error| self.at(shown, error))?;
        self.directory_path_bytes += real.as_bytes().len() + size_of::<(LayerPath, i64)>();
        if self.directory_path_bytes > self.limits.directory_path_bytes_max {
            return Err(UnpackError::LimitExceeded("directories"));
        }
        self.directory_times.push((real, metadata.mtime));
        Ok(())
    }

    fn file(
        &mut self,
        member: &Member,
        path: &LayerPath,
        metadata: &Metadata<'_>,
        shown: &str,
    ) -> Result<(), UnpackError> {
        self.meter.claim(member.size).map_err(|error| self.at(shown, error.into()))?;
        let made = self.root.file(path).map_err(|error| self.at(shown, error))?;
        let mut file = File::from(made);
        match &member.extents {
            None => self.copy(&mut file, shown, member.size)?,
            Some(extents) => {
                for (offset, length) in extents {
                    file.seek(SeekFrom::Start(*offset))
                        .map_err(|error| self.at(shown, error.into()))?;
                    self.copy(&mut file, shown, *length)?;
                }
                file.set_len(member.size).map_err(|error| self.at(shown, error.into()))?;
            }
        }
        apply(file.as_fd(), metadata).map_err(|error| self.at(shown, error))?;
        fs::futimens(&file, &times(metadata.mtime)).map_err(|errno| self.at(shown, errno.into()))
    }

    /// Copies the next `length` bytes of the content to where `file` stands.
    fn copy(&mut self, file: &mut File, shown: &str, length: u64) -> Result<(), UnpackError> {
        let mut left = length;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let read = match self.archive.read(&mut self.buffer[..wanted]) {
                Ok(0) => return Err(UnpackError::Malformed(format!("{shown:?} is cut off"))),
                Ok(read) => read,
                Err(error) => return Err(stream_error(self.meter, error)),
            };
            file.write_all(&self.buffer[..read]).map_err(|error| self.at(shown, error.into()))?;
            left -= read as u64;
        }
        Ok(())
    }

    fn symlink(
        &mut self,
        path: &LayerPath,
        target: &[u8],
        metadata: &Metadata<'_>,
    ) -> Result<(), RootError> {
        let (parent, name) =
            self.root.replace(path, |parent, name| fs::symlinkat(target, parent, name))?;
        let nofollow = AtFlags::SYMLINK_NOFOLLOW;
        fs::chownat(&parent, &name, Some(metadata.uid), Some(metadata.gid), nofollow)?;
        Ok(fs::utimensat(&parent, &name, &times(metadata.mtime), nofollow)?)
    }

    /// A fifo or a device.
    fn node(
        &mut self,
        path: &LayerPath,
        kind: FileType,
        device: fs::Dev,
        metadata: &Metadata<'_>,
    ) -> Result<(), RootError> {
        let (parent, name) = self.root.replace(path, |parent, name| {
            fs::mknodat(parent, name, kind, Mode::from_raw_mode(0o600), device)
        })?;
        let nofollow = AtFlags::SYMLINK_NOFOLLOW;
        fs::chownat(&parent, &name, Some(metadata.uid), Some(metadata.gid), nofollow)?;
        // It was made a moment ago by this process: there is no link to follow.
        fs::chmodat(&parent, &name, metadata.mode, AtFlags::empty())?;
        Ok(fs::utimensat(&parent, &name, &times(metadata.mtime), nofollow)?)
    }

    fn device(
        &mut self,
        member: &Member,
        path: &LayerPath,
        metadata: &Metadata<'_>,
    ) -> Result<(), RootError> {
        let real = self.root.entry(path)?.real;
        let (major, minor) = member.device;
        let is_harmless =
            member.kind == CHARACTER_DEVICE && HARMLESS_DEVICES.contains(&member.device);
        if !is_harmless || real.as_bytes().starts_with(b"dev/") {
            return Ok(());
        }
        self.node(path, FileType::CharacterDevice, fs::makedev(major, minor), metadata)
    }

    fn link_target<'member>(
        &self,
        member: &'member Member,
        shown: &str,
    ) -> Result<&'member [u8], UnpackError> {
        let target = member.link.as_slice();
        if target.is_empty() || target.contains(&0) {
            return Err(hostile(shown, "a link without a valid target"));
        }
        if target.len() > self.limits.path_bytes_max {
            return Err(hostile(shown, "link target too long"));
        }
        Ok(target)
    }

    fn set_directory_times(&mut self) -> Result<(), UnpackError> {
        for (real, mtime) in std::mem::take(&mut self.directory_times) {
            match self.root.existing_directory(&real) {
                Ok(directory) => fs::futimens(&directory, &times(mtime))
                    .map_err(|errno| self.at(&shorten(real.as_bytes()), errno.into()))?,
                // A later entry put something else in its place.
                Err(_) => continue,
            }
        }
        Ok(())
    }

    fn at(&self, shown: &str, error: RootError) -> UnpackError {
        if let Some(limit) = self.meter.exceeded() {
            return UnpackError::LimitExceeded(limit);
        }
        let entry = shown.to_owned();
        match error {
            RootError::Io(source) => match source.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::NOSPC | Errno::DQUOT) => UnpackError::DiskFull { entry },
                Some(Errno::NAMETOOLONG) => hostile(shown, "path too long"),
                // The file system's own limit on the size of a file, or this process's.
                Some(Errno::FBIG) => UnpackError::LimitExceeded(LIMIT_ON_BYTES),
                _ if source.kind() == io::ErrorKind::InvalidInput => {
                    hostile(shown, &source.to_string())
                }
                _ => UnpackError::Io { entry, source },
            },
            refused => hostile(shown, &refused.to_string()),
        }
    }
}

fn metadata<'member>(
    member: &'member Member,
    shown: &str,
) -> Result<Metadata<'member>, UnpackError> {
    let owner = |id: u64| match u32::try_from(id) {
        // All ones means "do not change" to chown.
        Ok(id) if id != u32::MAX => Ok(id),
        _ => Err(hostile(shown, "an owner out of range")),
    };
    let mut xattrs = Vec::new();
    for (name, value) in &member.xattrs {
        if name.contains('\0') {
            return Err(hostile(shown, "an attribute name with a NUL byte"));
        }
        let is_overlay = name.starts_with("user.overlay.");
        if name == "security.capability" || name.starts_with("user.") && !is_overlay {
            xattrs.push((name.as_str(), value.as_slice()));
        }
    }
    Ok(Metadata {
        uid: Uid::from_raw(owner(member.uid)?),
        gid: Gid::from_raw(owner(member.gid)?),
        mode: Mode::from_raw_mode(member.mode & 0o7777),
        mtime: member.mtime,
        xattrs,
    })
}

/// The order matters: a change of owner clears setuid bits and file capabilities.
fn apply(file: BorrowedFd<'_>, metadata: &Metadata<'_>) -> Result<(), RootError> {
    fs::fchown(file, Some(metadata.uid), Some(metadata.gid))?;
    fs::fchmod(file, metadata.mode)?;
    for (name, value) in &metadata.xattrs {
        match fs::fsetxattr(file, *name, value, XattrFlags::empty()) {
            // Not every file system has user attributes; a container does not depend on them.
            Err(Errno::NOTSUP) if name.starts_with("user.") => {}
            // ext4 has a block for all of a file's attributes, and says this when they do not fit.
            Err(Errno::NOSPC) if has_blocks(file) => return Err(RootError::AttributesTooLarge),
            result => result?,
        }
    }
    Ok(())
}

/// Whether the file system has some left, for whoever is not privileged there.
fn has_blocks(file: BorrowedFd<'_>) -> bool {
    fs::fstatvfs(file).is_ok_and(|found| found.f_bavail >= BLOCKS_LEFT_MIN)
}

fn times(mtime: i64) -> Timestamps {
    let time = Timespec { tv_sec: mtime, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

fn invalid(shown: &str, error: InvalidPath) -> UnpackError {
    hostile(shown, &error.to_string())
}

fn hostile(shown: &str, reason: &str) -> UnpackError {
    UnpackError::Hostile { entry: shown.to_owned(), reason: reason.to_owned() }
}

fn shorten(name: &[u8]) -> String {
    String::from_utf8_lossy(&name[..name.len().min(NAME_SHOWN_MAX)]).into_owned()
}
