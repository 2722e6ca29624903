//! Sparse copies of files.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

/// Bytes that are copied at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// Makes `to`, which must not be there, a copy of `from` that has its holes.
pub(crate) fn copy_sparse(from: &File, to: &Path) -> io::Result<File> {
    let copy = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(to)?;
    copy.set_len(from.metadata()?.len())?;
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut offset = 0;
    while let Some(start) = next(from, SeekFrom::Data(offset))? {
        let end = next(from, SeekFrom::Hole(start))?.unwrap_or(start);
        offset = start;
        while offset < end {
            let length = CHUNK_BYTES.min(usize::try_from(end - offset).unwrap_or(CHUNK_BYTES));
            from.read_exact_at(&mut buffer[..length], offset)?;
            copy.write_all_at(&buffer[..length], offset)?;
            offset += length as u64;
        }
    }
    Ok(copy)
}

/// `None` when nothing of the kind comes any more.
fn next(file: &File, what: SeekFrom) -> io::Result<Option<u64>> {
    match seek(file, what) {
        Ok(offset) => Ok(Some(offset)),
        Err(Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
