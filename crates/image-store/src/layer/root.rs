//! The directory that a layer is unpacked into, and the only file operations on it.
//!
//! A name of the layer counts from its root, as in a container made of it: a symlink on the way that is absolute
//! counts from there, and `..` ends there. Mostly there is none, and one call of the kernel finds the directory; else
//! the way is gone component by component, and directories that are missing on it are made.
//!
//! **Invariant:** the kernel is asked with `openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV)`, from the
//! root's descriptor or from that of a directory found so; a symlink is read, never followed. No directory is
//! deeper, and no real path longer, than the limits say. Nobody else writes in the directory meanwhile.

use super::limits::UnpackLimits;
use super::metered::Meter;
use super::path::LayerPath;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

/// The mode of a parent directory that neither this layer nor one below it mentions. containerd's.
const IMPLIED_DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);
const OPAQUE_XATTR: &str = "trusted.overlay.opaque";
/// As the kernel's own limit.
const SYMLINKS_MAX: u32 = 40;
/// Most components on one way, those of the symlinks included.
const STEPS_MAX: u32 = 2000;

/// Why a path of the layer could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// A mount on the way, or something that the kernel takes for a way out.
    #[error("the path leads out of the layer")]
    Escapes,
    /// Something on the way is no directory.
    #[error("a parent is not a directory")]
    NotADirectory,
    /// Symlinks on the way form a loop.
    #[error("too many symlinks in the path")]
    SymlinkLoop,
    /// The directory is deeper than its name says, and than the limit.
    #[error("path too deep")]
    TooDeep,
    /// The same of its length.
    #[error("path too long")]
    TooLong,
    /// What the entry refers to is not in the layer.
    #[error("the link target is not in this layer")]
    TargetMissing,
    /// A hard link to something that is no regular file or symlink.
    #[error("a hard link to something that is no file")]
    TargetNotAFile,
    /// More than the file system takes for one file.
    #[error("attributes too large")]
    AttributesTooLarge,
    /// The kernel or a limit refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<Errno> for RootError {
    fn from(errno: Errno) -> RootError {
        match errno {
            Errno::XDEV => RootError::Escapes,
            Errno::NOTDIR => RootError::NotADirectory,
            Errno::LOOP => RootError::SymlinkLoop,
            other => RootError::Io(other.into()),
        }
    }
}

/// An open layer directory.
pub struct LayerRoot<'root> {
    root: BorrowedFd<'root>,
    limits: &'root UnpackLimits,
    meter: Rc<Meter>,
    /// The last parent that was opened, by its name: entries of one directory follow each other.
    parent: Option<(Vec<u8>, Place)>,
    implied: BTreeSet<LayerPath>,
    opaque: BTreeSet<LayerPath>,
    marked_path_bytes: usize,
}

/// A directory of the layer, and where it really is.
struct Place {
    directory: OwnedFd,
    real: Vec<u8>,
}

impl Place {
    fn try_clone(&self) -> io::Result<Place> {
        Ok(Place { directory: self.directory.try_clone()?, real: self.real.clone() })
    }
}

/// An entry in the making: its open parent directory, its name there, its real path.
pub struct Entry<'name> {
    pub parent: OwnedFd,
    pub name: &'name OsStr,
    pub real: LayerPath,
}

fn beneath() -> ResolveFlags {
    ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV
}

fn directory_flags() -> OFlags {
    OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC
}

impl<'root> LayerRoot<'root> {
    pub fn new(
        root: BorrowedFd<'root>,
        limits: &'root UnpackLimits,
        meter: Rc<Meter>,
    ) -> LayerRoot<'root> {
        let (implied, opaque) = Default::default();
        LayerRoot { root, limits, meter, parent: None, implied, opaque, marked_path_bytes: 0 }
    }

    /// Directories that no entry describes, and directories that hide what is below; by real path.
    pub fn into_marks(self) -> (Vec<LayerPath>, Vec<LayerPath>) {
        (self.implied.into_iter().collect(), self.opaque.into_iter().collect())
    }

    /// The open parent directory of `path`, made when it is missing.
    pub fn entry<'path>(&mut self, path: &'path LayerPath) -> Result<Entry<'path>, RootError> {
        let (directory, name) = path.split();
        let place = match &self.parent {
            Some((cached, place)) if cached == directory => place.try_clone()?,
            _ => {
                let place = self.find(directory, true)?;
                self.parent = Some((directory.to_vec(), place.try_clone()?));
                place
            }
        };
        let real = LayerPath::joined(&place.real, name.as_encoded_bytes());
        self.check_real(real.as_bytes())?;
        Ok(Entry { parent: place.directory, name, real })
    }

    fn check_real(&self, real: &[u8]) -> Result<(), RootError> {
        if real.len() > self.limits.path_bytes_max {
            return Err(RootError::TooLong);
        }
        let depth = real.iter().filter(|byte| **byte == b'/').count() + 1;
        if depth > self.limits.depth_max { Err(RootError::TooDeep) } else { Ok(()) }
    }

    /// Opens a directory of the layer, through symlinks inside it; makes what is missing if it is told to.
    fn find(&mut self, directory: &[u8], make: bool) -> Result<Place, RootError> {
        if directory.is_empty() {
            let directory = fs::openat(self.root, ".", directory_flags(), Mode::empty())?;
            return Ok(Place { directory, real: Vec::new() });
        }
        let name = OsStr::from_bytes(directory);
        match fs::openat2(self.root, name, directory_flags(), Mode::empty(), beneath()) {
            Ok(opened) => Ok(Place { directory: opened, real: directory.to_vec() }),
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => self.walk(directory, make),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The same, component by component.
    fn walk(&mut self, directory: &[u8], make: bool) -> Result<Place, RootError> {
        let mut way = vec![fs::openat(self.root, ".", directory_flags(), Mode::empty())?];
        let mut names: Vec<Vec<u8>> = Vec::new();
        let mut ahead: Vec<Vec<u8>> = Vec::new();
        put_ahead(directory, &mut ahead);
        let (mut steps, mut symlinks) = (0, 0);
        while let Some(component) = ahead.pop() {
            steps += 1;
            if steps > STEPS_MAX {
                return Err(RootError::SymlinkLoop);
            }
            match component.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    if names.pop().is_some() {
                        way.pop();
                    }
                    continue;
                }
                _ => {}
            }
            let (here, name) = (&way[way.len() - 1], OsStr::from_bytes(&component));
            let flags = directory_flags() | OFlags::NOFOLLOW;
            let opened = match fs::openat2(here, name, flags, Mode::empty(), beneath()) {
                Err(Errno::LOOP | Errno::NOTDIR) => {
                    symlinks += 1;
                    if symlinks > SYMLINKS_MAX {
                        return Err(RootError::SymlinkLoop);
                    }
                    let target = fs::readlinkat(here, name, Vec::new());
                    let target = target.map_err(|errno| match errno {
                        Errno::INVAL => RootError::NotADirectory,
                        other => other.into(),
                    })?;
                    if target.as_bytes().starts_with(b"/") {
                        way.truncate(1);
                        names.clear();
                    }
                    put_ahead(target.as_bytes(), &mut ahead);
                    continue;
                }
                Err(Errno::NOENT) if make => None,
                opened => Some(opened?),
            };
            let real = LayerPath::joined(&names.join(b"/".as_slice()), &component);
            self.check_real(real.as_bytes())?;
            let opened = match opened {
                Some(opened) => opened,
                None => self.make_implied(&way[way.len() - 1], name, real)?,
            };
            way.push(opened);
            names.push(component);
        }
        let directory = way.pop().ok_or(Errno::NOENT)?;
        Ok(Place { directory, real: names.join(b"/".as_slice()) })
    }

    fn make_implied(
        &mut self,
        parent: &OwnedFd,
        name: &OsStr,
        real: LayerPath,
    ) -> Result<OwnedFd, RootError> {
        self.meter.make()?;
        self.mark(real.as_bytes().len())?;
        fs::mkdirat(parent, name, IMPLIED_DIRECTORY_MODE)?;
        fs::chmodat(parent, name, IMPLIED_DIRECTORY_MODE, AtFlags::empty())?;
        self.implied.insert(real);
        let flags = directory_flags() | OFlags::NOFOLLOW;
        Ok(fs::openat2(parent, name, flags, Mode::empty(), beneath())?)
    }

    /// Counts the bytes of a path that is kept to the end.
    fn mark(&mut self, bytes: usize) -> Result<(), RootError> {
        self.marked_path_bytes += bytes + size_of::<LayerPath>();
        if self.marked_path_bytes > self.limits.marked_path_bytes_max {
            self.meter.refuse_directories()?;
        }
        Ok(())
    }

    /// Opens a directory of the layer by its real path, for its metadata.
    pub fn existing_directory(&self, real: &LayerPath) -> Result<OwnedFd, Errno> {
        open_directory(self.root, real)
    }

    /// Removes whatever stands at `name`, a whole tree too; nothing there is fine.
    fn remove(&mut self, parent: BorrowedFd<'_>, name: &OsStr) -> Result<(), RootError> {
        self.parent = None;
        outport_tree_removal::remove_tree_at(parent, name, |_| true)?;
        Ok(())
    }

    /// Makes or keeps the directory at `path`, which an entry describes, and opens it.
    pub fn directory(&mut self, path: &LayerPath) -> Result<(OwnedFd, LayerPath), RootError> {
        if path.is_root() {
            return Ok((self.existing_directory(path)?, path.clone()));
        }
        let entry = self.entry(path)?;
        match fs::mkdirat(&entry.parent, entry.name, IMPLIED_DIRECTORY_MODE) {
            Ok(()) => {}
            Err(Errno::EXIST) => match kind(entry.parent.as_fd(), entry.name)? {
                Kind::Directory => {}
                found => {
                    self.remove(entry.parent.as_fd(), entry.name)?;
                    fs::mkdirat(&entry.parent, entry.name, IMPLIED_DIRECTORY_MODE)?;
                    if found == Kind::Whiteout {
                        self.mark_opaque(entry.real.clone())?;
                    }
                }
            },
            Err(errno) => return Err(errno.into()),
        }
        self.implied.remove(&entry.real);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok((fs::openat(&entry.parent, entry.name, flags, Mode::empty())?, entry.real))
    }

    /// Makes a new, empty regular file, in place of anything that was there.
    pub fn file(&mut self, path: &LayerPath) -> Result<OwnedFd, RootError> {
        let Entry { parent, name, .. } = self.entry(path)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let create = || fs::openat(&parent, name, flags, Mode::from_raw_mode(0o600));
        match create() {
            Err(Errno::EXIST) => {
                self.remove(parent.as_fd(), name)?;
                Ok(create()?)
            }
            result => Ok(result?),
        }
    }

    /// Makes whatever `make` makes at `path`, in place of anything that was there.
    pub fn replace(
        &mut self,
        path: &LayerPath,
        make: impl Fn(BorrowedFd<'_>, &OsStr) -> Result<(), Errno>,
    ) -> Result<(OwnedFd, OsString), RootError> {
        let Entry { parent, name, .. } = self.entry(path)?;
        if let Err(errno) = make(parent.as_fd(), name) {
            if errno != Errno::EXIST {
                return Err(errno.into());
            }
            self.remove(parent.as_fd(), name)?;
            make(parent.as_fd(), name)?;
        }
        Ok((parent, name.to_owned()))
    }

    /// Makes `path` another name of `target`, a file of the same layer.
    pub fn hard_link(&mut self, path: &LayerPath, target: &LayerPath) -> Result<(), RootError> {
        let (target_directory, target_name) = target.split();
        let target_parent = self.find(target_directory, false).map_err(missing_target)?;
        let target_kind = kind(target_parent.directory.as_fd(), target_name);
        match target_kind.map_err(|errno| missing_target(errno.into()))? {
            Kind::File | Kind::Symlink => {}
            _ => return Err(RootError::TargetNotAFile),
        }
        let entry = self.entry(path)?;
        if entry.real == LayerPath::joined(&target_parent.real, target_name.as_encoded_bytes()) {
            return Ok(());
        }
        self.replace(path, |parent, name| {
            fs::linkat(&target_parent.directory, target_name, parent, name, AtFlags::empty())
        })
        .map_err(missing_target)?;
        Ok(())
    }

    /// Hides `path` of the layers below: char device 0:0, or an opaque directory when this layer has one there.
    pub fn whiteout(&mut self, path: &LayerPath) -> Result<(), RootError> {
        let Entry { parent, name, real } = self.entry(path)?;
        match fs::mknodat(&parent, name, FileType::CharacterDevice, Mode::empty(), 0) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => match kind(parent.as_fd(), name)? {
                Kind::Directory => self.mark_opaque(real),
                // The layer's own file already hides what is below.
                _ => Ok(()),
            },
            Err(errno) => Err(errno.into()),
        }
    }

    /// Hides everything that the layers below have in `directory`, which is made when it is missing: the parent of the
    /// marker, so that a symlink is the directory that it leads to.
    pub fn opaque(&mut self, marker: &LayerPath) -> Result<(), RootError> {
        let (directory, _) = marker.split();
        let real = self.find(directory, true)?.real;
        self.mark_opaque(LayerPath::real(real))
    }

    fn mark_opaque(&mut self, real: LayerPath) -> Result<(), RootError> {
        if !self.opaque.contains(&real) {
            self.mark(real.as_bytes().len())?;
            self.opaque.insert(real);
        }
        Ok(())
    }
}

/// Components, the first one on top.
fn put_ahead(path: &[u8], ahead: &mut Vec<Vec<u8>>) {
    ahead.extend(path.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec));
}

fn open_directory(root: BorrowedFd<'_>, real: &LayerPath) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if real.is_root() {
        return fs::openat(root, ".", flags, Mode::empty());
    }
    fs::openat2(root, real.as_os_str(), flags, Mode::empty(), beneath())
}

/// Makes directories of an unpacked layer opaque. Needs a right over the whole host (`trusted.*` attributes), which
/// the unpacking process has not: its parent calls this with the paths that it was told.
pub fn make_opaque(root: BorrowedFd<'_>, directories: &[LayerPath]) -> io::Result<()> {
    for real in directories {
        match open_directory(root, real) {
            Ok(directory) => {
                fs::fsetxattr(&directory, OPAQUE_XATTR, b"y", fs::XattrFlags::empty())?;
            }
            // A later entry put something else in its place.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

fn missing_target(error: RootError) -> RootError {
    match error {
        RootError::Io(error) if error.kind() == io::ErrorKind::NotFound => RootError::TargetMissing,
        other => other,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Directory,
    File,
    Symlink,
    Whiteout,
    Other,
}

fn kind(parent: BorrowedFd<'_>, name: &OsStr) -> Result<Kind, Errno> {
    let stat = fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Kind::Directory,
        FileType::RegularFile => Kind::File,
        FileType::Symlink => Kind::Symlink,
        FileType::CharacterDevice if stat.st_rdev == 0 => Kind::Whiteout,
        _ => Kind::Other,
    })
}
