//! A file that gets its name when it is whole.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::linkat;

/// Readable by its owner only. Dropped before it is finished it leaves nothing.
pub struct NewFile {
    file: File,
    path: PathBuf,
    /// The name that it has until then; `None` where it needs none.
    beside: Option<PathBuf>,
}

impl NewFile {
    /// # Errors
    /// Those of the directory; that `path` is none that a file can have.
    pub fn create(path: &Path) -> io::Result<Self> {
        // A device, such as /dev/null, or a link would be replaced by a file.
        let is_in_the_way = path.symlink_metadata().is_ok_and(|found| !found.is_file());
        if is_in_the_way || path.file_name().is_none() {
            return Err(io::Error::other("something is there that is no file"));
        }
        let directory = directory_of(path);
        let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_TMPFILE;
        let (file, beside) = match open(directory, flags, Mode::S_IRUSR | Mode::S_IWUSR) {
            Ok(file) => (File::from(file), None),
            // What a kernel or a file system says that does not have them.
            Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::EINVAL) => {
                let beside = beside(path);
                let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_CREAT | OFlag::O_EXCL;
                (open(&beside, flags, Mode::S_IRUSR | Mode::S_IWUSR)?.into(), Some(beside))
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Self { file, path: path.to_owned(), beside })
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    /// Syncs it and gives it its name; what had that before is gone.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        if self.beside.is_none() {
            use std::os::fd::AsRawFd;
            let unnamed = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            let beside = beside(&self.path);
            linkat(AT_FDCWD, &*unnamed, AT_FDCWD, &beside, AtFlags::AT_SYMLINK_FOLLOW)?;
            self.beside = Some(beside);
        }
        if let Some(beside) = &self.beside {
            std::fs::rename(beside, &self.path)?;
        }
        self.beside = None;
        File::open(directory_of(&self.path))?.sync_all()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            // Whoever could not write it says so.
            let _ = std::fs::remove_file(beside);
        }
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.unfinished", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("backup");
        for text in ["first", "second"] {
            let file = NewFile::create(&path).unwrap();
            file.file().write_all(b"nothing").unwrap();
            drop(file);
            let file = NewFile::create(&path).unwrap();
            file.file().write_all(text.as_bytes()).unwrap();
            file.finish().unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(names(directory.path()), ["backup"]);
        }
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let none = directory.path().join("none/there");
        for no_file in [directory.path(), Path::new("/"), Path::new("/dev/null"), &link, &none] {
            assert!(NewFile::create(no_file).is_err(), "{}", no_file.display());
        }
    }
}
