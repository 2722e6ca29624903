//! Directories that a layer does not list itself, but has something in.
//!
//! In a container they have owner, mode and attributes of the same directory in the layers below, as containerd gives
//! them; only where none of those lists it either, it is root's with mode 0755. A layer is unpacked for itself and
//! shared by images, so that is known only of a whole image. What overlayfs shows of a merged directory is its topmost
//! layer's; so an image of which that is the wrong one gets one more layer on top, of nothing but directories.
//!
//! Source: containerd, `mkparent` in `pkg/archive/tar.go` with `WithParents`, which its overlay snapshotter uses.
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

struct Opened<'image> {
    root: OwnedFd,
    implied: BTreeSet<&'image LayerPath>,
    opaque: BTreeSet<&'image [u8]>,
}

/// Makes the directories of an image's extra layer in `destination`, an empty directory; `layers` are top first. Says
/// whether there are any. Blocks.
pub fn restore(layers: &[Layer<'_>], destination: &Path) -> io::Result<bool> {
    let implied: BTreeSet<&LayerPath> = layers.iter().flat_map(|layer| layer.implied).collect();
    if implied.is_empty() {
        return Ok(false);
    }
    let opened: Vec<Opened<'_>> = layers.iter().map(open).collect::<io::Result<_>>()?;
    let mut wanted: BTreeMap<LayerPath, Option<Attributes>> = BTreeMap::new();
    for path in implied {
        let Some(attributes) = effective(&opened, path)? else { continue };
        if attributes.is_default() || !attributes.is_covered {
            continue;
        }
        // What is above it comes along, and must be what it is, too.
        for above in ancestors(path) {
            if let Entry::Vacant(vacant) = wanted.entry(above) {
                let attributes = effective(&opened, vacant.key())?;
                vacant.insert(attributes);
            }
        }
        wanted.insert(path.clone(), Some(attributes));
    }
    let root = open_root(destination)?;
    // A directory comes before what is in it, and its time is set after that.
    for path in wanted.keys() {
        fs::mkdirat(&root, path.as_os_str(), Mode::from_raw_mode(DEFAULT_MODE))?;
    }
    for (path, attributes) in wanted.iter().rev() {
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
        let hides = |above: LayerPath| layer.opaque.contains(above.as_bytes());
        let of_root = layer.opaque.contains(b"".as_slice());
        if of_root || hides(path.clone()) || ancestors(path).any(hides) {
            return Ok(None);
        }
    }
    Ok(None)
}

/// The directories above a path, the root excepted.
fn ancestors(path: &LayerPath) -> impl Iterator<Item = LayerPath> {
    let bytes = path.as_bytes();
    let slashes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    slashes.map(|(end, _)| LayerPath::real(bytes[..end].to_vec()))
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
        let mut xattrs = Vec::new();
        for name in names[..length].split(|byte| *byte == 0) {
            let Ok(name) = std::str::from_utf8(name) else { continue };
            if !name.starts_with("user.") || name.starts_with("user.overlay.") {
                continue;
            }
            let mut value = vec![0; XATTR_BYTES_MAX];
            let length = fs::fgetxattr(directory, name, &mut value[..])?;
            value.truncate(length);
            xattrs.push((name.to_owned(), value));
        }
        Ok(Attributes { stat, xattrs, is_covered })
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
