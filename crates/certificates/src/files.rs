//! Files of keys and certificates.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::CertificateError;

/// Keys: their owner only. Certificates are for everybody who may enter the directory.
pub(crate) const PRIVATE: u32 = 0o600;
pub(crate) const PUBLIC: u32 = 0o644;
/// The longest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

pub(crate) fn make_directory(path: &Path) -> Result<(), CertificateError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| failed("cannot make the directory", path, source))
}

/// The text of a file; `None` when there is none. A pipe or a device, which could keep its reader for ever, is none
/// that is read.
pub(crate) fn read(path: &Path) -> Result<Option<String>, CertificateError> {
    let read = || -> std::io::Result<String> {
        let mut text = String::new();
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(std::io::Error::other("it is no regular file"));
        }
        file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
        Ok(text)
    };
    match read() {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed("cannot read", path, source)),
    }
}

/// Whole or not at all, and on disk when it returns.
pub(crate) fn write(path: &Path, text: &str, mode: u32) -> Result<(), CertificateError> {
    let beside = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        match path.parent() {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(|source| failed("cannot write", path, source))
}

fn failed(what: &'static str, path: &Path, source: std::io::Error) -> CertificateError {
    CertificateError::File { what, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_keeps_nobody_waiting() {
        let scratch = tempfile::tempdir().unwrap();
        let pipe = scratch.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [pipe.as_path(), Path::new("/dev/zero"), scratch.path()] {
            let refused = read(path).unwrap_err().to_string();
            assert!(refused.contains("it is no regular file"), "{refused}");
        }
        assert!(read(&scratch.path().join("none")).unwrap().is_none());
    }
}
