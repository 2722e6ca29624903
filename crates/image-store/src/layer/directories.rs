//! Directories that a layer does not list itself, but has something in.
//!
//! In a container they have owner, mode and attributes of the same directory in the layers below, as containerd gives
//! them; only where none of those lists it either, it is root's with mode 0755. A layer is unpacked for itself and
//! shared by images, so that is known only of a whole image. What overlayfs shows of a merged directory is its topmost
//! layer's; so an image of which that is the wrong one gets one more layer on top, of nothing but directories.
//!
//! Source: containerd, `mkparent` in `pkg/archive/tar.go` with `WithParents`, which its overlay snapshotter uses.
//!
//! What it costs is bounded, however the layers are made up: by [`LOOKS_MAX`] and [`ATTRIBUTES_BYTES_MAX`], and it ends
//! when nobody waits for it any more.
//!
//! **Invariant:** what layers have is opened with `openat2`, without following a symlink, and only read.

use super::path::LayerPath;
use rustix::fs::{
    self, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// What a directory is that nothing describes.
const DEFAULT_MODE: u32 = 0o755;
/// Most bytes of an attribute's value, and of all names: the kernel's own limit.
const XATTR_BYTES_MAX: usize = 64 << 10;
/// Most looks for a directory in a layer, for one image: a microsecond each, some more where it is deep.
const LOOKS_MAX: usize = 1 << 20;
/// Most bytes of attributes, names and values, that the directories of one image have together: they are held in memory.
const ATTRIBUTES_BYTES_MAX: usize = 4 << 20;

/// One layer of an image, as far as directories go.
pub struct Layer<'image> {
    pub directory: &'image Path,
    /// See [`Unpacked`](super::Unpacked).
    pub implied: &'image [LayerPath],
    pub opaque: &'image [LayerPath],
}

/// What the topmost layer that lists a directory says of it.
struct Attributes {
    stat: Stat,
    xattrs: Vec<(String, Vec<u8>)>,
    /// A layer above implies the directory, so that overlayfs shows the wrong ones.
    is_covered: bool,
}

/// Why the directories of an image were not made.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A limit, by name.
    #[error("limit on {0} exceeded")]
    LimitExceeded(&'static str),
    /// Nobody waits any more.
    #[error("not wanted any more")]
    Unwanted,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<Errno> for RestoreError {
    fn from(errno: Errno) -> RestoreError {
        RestoreError::Io(errno.into())
    }
}

struct Opened<'image> {
    root: OwnedFd,
    implied: BTreeSet<&'image LayerPath>,
    opaque: BTreeSet<&'image [u8]>,
}

/// Makes the directories of an image's extra layer in `destination`, an empty directory; `layers` are top first, each
/// once. Says whether there are any. Blocks, as long as `is_wanted` says so.
pub fn restore(
    layers: &[Layer<'_>],
    destination: &Path,
    is_wanted: impl Fn() -> bool,
) -> Result<bool, RestoreError> {
    let implied: BTreeSet<&LayerPath> = layers.iter().flat_map(|layer| layer.implied).collect();
    if implied.is_empty() {
        return Ok(false);
    }
    if implied.len().saturating_mul(layers.len()) > LOOKS_MAX {
        return Err(RestoreError::LimitExceeded("directories"));
    }
    let opened: Vec<Opened<'_>> = layers.iter().map(open).collect::<io::Result<_>>()?;
    let mut wanted: BTreeMap<LayerPath, Option<Attributes>> = BTreeMap::new();
    let mut attributes_bytes = 0;
    let mut kept = |attributes: &Attributes| {
        attributes_bytes += attributes.bytes();
        match attributes_bytes {
            0..=ATTRIBUTES_BYTES_MAX => Ok(()),
            _ => Err(RestoreError::LimitExceeded("attributes")),
        }
    };
    for path in implied {
        if !is_wanted() {
            return Err(RestoreError::Unwanted);
        }
        let Some(attributes) = effective(&opened, path)? else { continue };
        if attributes.is_default() || !attributes.is_covered {
            continue;
        }
        // What is above it comes along, and must be what it is, too.
        for above in ancestors(path) {
            let above = LayerPath::real(above.to_vec());
            if let Entry::Vacant(vacant) = wanted.entry(above) {
                let attributes = effective(&opened, vacant.key())?;
                attributes.iter().try_for_each(&mut kept)?;
                vacant.insert(attributes);
            }
        }
        kept(&attributes)?;
        wanted.insert(path.clone(), Some(attributes));
    }
    let root = open_root(destination)?;
    // A directory comes before what is in it, and its time is set after that.
    for path in wanted.keys() {
        fs::mkdirat(&root, path.as_os_str(), Mode::from_raw_mode(DEFAULT_MODE))?;
    }
    for (path, attributes) in wanted.iter().rev() {
        if !is_wanted() {
            return Err(RestoreError::Unwanted);
        }
        let directory = open_below(root.as_fd(), path)?;
        match attributes {
            Some(attributes) => attributes.apply(directory.as_fd())?,
            None => fs::fchmod(&directory, Mode::from_raw_mode(DEFAULT_MODE))?,
        }
    }
    Ok(!wanted.is_empty())
}

fn open<'image>(layer: &Layer<'image>) -> io::Result<Opened<'image>> {
    Ok(Opened {
        root: open_root(layer.directory)?,
        implied: layer.implied.iter().collect(),
        opaque: layer.opaque.iter().map(LayerPath::as_bytes).collect(),
    })
}

/// Of the topmost layer that lists it; `None` if it is not seen in the image, or listed nowhere.
fn effective(layers: &[Opened<'_>], path: &LayerPath) -> io::Result<Option<Attributes>> {
    let mut is_covered = false;
    for layer in layers {
        match open_below(layer.root.as_fd(), path) {
            Ok(directory) if !layer.implied.contains(path) => {
                return Attributes::of(directory.as_fd(), is_covered).map(Some);
            }
            Ok(_) => is_covered = true,
            Err(Errno::NOENT) => {}
            // Hidden: a whiteout, a file or a symlink here or above.
            Err(Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        }
        if layer.opaque.is_empty() {
            continue;
        }
        let hides = |above: &[u8]| layer.opaque.contains(above);
        if hides(b"") || hides(path.as_bytes()) || ancestors(path).any(hides) {
            return Ok(None);
        }
    }
    Ok(None)
}

/// The directories above a path, the root excepted.
fn ancestors(path: &LayerPath) -> impl Iterator<Item = &[u8]> {
    let bytes = path.as_bytes();
    let slashes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    slashes.map(|(end, _)| &bytes[..end])
}

fn open_root(directory: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(fs::open(directory, flags, Mode::empty())?)
}

fn open_below(root: BorrowedFd<'_>, path: &LayerPath) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    fs::openat2(root, path.as_os_str(), flags, Mode::empty(), resolve)
}

impl Attributes {
    fn of(directory: BorrowedFd<'_>, is_covered: bool) -> io::Result<Attributes> {
        let stat = fs::fstat(directory)?;
        let mut names = vec![0; XATTR_BYTES_MAX];
        let length = match fs::flistxattr(directory, &mut names[..]) {
            Err(Errno::NOTSUP) => 0,
            length => length?,
        };
        let (mut xattrs, mut value) = (Vec::new(), Vec::new());
        for name in names[..length].split(|byte| *byte == 0) {
            let Ok(name) = std::str::from_utf8(name) else { continue };
            if !name.starts_with("user.") || name.starts_with("user.overlay.") {
                continue;
            }
            value.resize(XATTR_BYTES_MAX, 0);
            let length = fs::fgetxattr(directory, name, &mut value[..])?;
            xattrs.push((name.to_owned(), value[..length].to_vec()));
        }
        Ok(Attributes { stat, xattrs, is_covered })
    }

    fn bytes(&self) -> usize {
        self.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    fn is_default(&self) -> bool {
        let Stat { st_mode, st_uid, st_gid, .. } = self.stat;
        (st_mode & 0o7777, st_uid, st_gid) == (DEFAULT_MODE, 0, 0) && self.xattrs.is_empty()
    }

    fn apply(&self, directory: BorrowedFd<'_>) -> io::Result<()> {
        let (uid, gid) = (Uid::from_raw(self.stat.st_uid), Gid::from_raw(self.stat.st_gid));
        fs::fchown(directory, Some(uid), Some(gid))?;
        fs::fchmod(directory, Mode::from_raw_mode(self.stat.st_mode & 0o7777))?;
        for (name, value) in &self.xattrs {
            fs::fsetxattr(directory, name.as_str(), value, XattrFlags::empty())?;
        }
        let time =
            Timespec { tv_sec: self.stat.st_mtime as _, tv_nsec: self.stat.st_mtime_nsec as _ };
        Ok(fs::futimens(directory, &Timestamps { last_access: time, last_modification: time })?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Neither what nobody waits for nor what has no end is begun.
    #[test]
    fn what_is_looked_for_is_bounded() {
        let scratch = tempfile::tempdir().unwrap();
        let implied: Vec<LayerPath> =
            (0..2_000).map(|at| LayerPath::real(format!("d{at:04}").into_bytes())).collect();
        let layer = || Layer { directory: scratch.path(), implied: &implied, opaque: &[] };
        let check = |layers: usize, is_wanted: bool, expected: &str| {
            let layers: Vec<Layer<'_>> = (0..layers).map(|_| layer()).collect();
            let made = restore(&layers, scratch.path(), || is_wanted);
            assert_eq!(made.map_err(|error| error.to_string()), Err(expected.to_owned()));
        };
        check(LOOKS_MAX / 2_000 + 1, true, "limit on directories exceeded");
        check(2, false, "not wanted any more");
        assert!(matches!(restore(&[layer()], scratch.path(), || true), Ok(false)));
    }
}
