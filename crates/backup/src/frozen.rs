//! A file as it was at one moment.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes that are copied at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// A file of a part as it was when it was frozen, whatever its owner does meanwhile.
#[derive(Debug)]
pub struct Frozen {
    /// Below the part's directory.
    pub(crate) name: PathBuf,
    pub(crate) bytes: u64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// Without a name: it is gone with its process, however that ends.
    Copy(File),
    Path(PathBuf),
}

impl Frozen {
    /// Copies the first `bytes` of a file, which its owner does not change meanwhile, to a file without a name in `directory`.
    /// Holes, and what is zero, take no space there.
    ///
    /// # Errors
    /// Those of the disk, such as that it is full; that the file is shorter.
    pub fn copy(
        name: impl Into<PathBuf>,
        from: &File,
        bytes: u64,
        directory: &Path,
    ) -> io::Result<Self> {
        let copy = tempfile::tempfile_in(directory)?;
        copy.set_len(bytes)?;
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut offset = 0;
        while offset < bytes {
            let length =
                usize::try_from(bytes - offset).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
            let chunk = &mut buffer[..length];
            from.read_exact_at(chunk, offset)?;
            if chunk.iter().any(|byte| *byte != 0) {
                copy.write_all_at(chunk, offset)?;
            }
            offset += length as u64;
        }
        Ok(Self { name: name.into(), bytes, content: Content::Copy(copy) })
    }

    /// A file that is never changed, and that its owner does not remove until the archive is written.
    pub fn unchanging(name: impl Into<PathBuf>, path: PathBuf, bytes: u64) -> Self {
        Self { name: name.into(), bytes, content: Content::Path(path) }
    }

    /// Where it is, for errors.
    pub(crate) fn path(&self) -> &Path {
        match &self.content {
            Content::Copy(_) => &self.name,
            Content::Path(path) => path,
        }
    }

    pub(crate) fn read(&self) -> io::Result<FrozenReader> {
        let file = match &self.content {
            Content::Copy(file) => file.try_clone()?,
            Content::Path(path) => File::open(path)?,
        };
        Ok(FrozenReader { file, offset: 0 })
    }
}

/// Reads from the start, wherever others who have the file are in it.
pub(crate) struct FrozenReader {
    file: File,
    offset: u64,
}

impl io::Read for FrozenReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::io::Read;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_copy_is_of_its_moment_and_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let mut content = vec![7; 3 * CHUNK_BYTES / 2];
        content.resize(5 * CHUNK_BYTES, 0);
        content.push(9);
        std::fs::write(&path, &content).unwrap();
        let bytes = content.len() as u64;
        let file = File::open(&path).unwrap();
        let frozen = Frozen::copy("file", &file, bytes, directory.path()).unwrap();
        std::fs::write(&path, "later").unwrap();
        for _ in 0..2 {
            let mut found = Vec::new();
            frozen.read().unwrap().read_to_end(&mut found).unwrap();
            assert!(found == content);
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        let Content::Copy(copy) = &frozen.content else { panic!("no copy") };
        assert!(copy.metadata().unwrap().blocks() * 512 < bytes, "zeros take no space");
        Frozen::copy("file", &file, 6, directory.path()).unwrap_err();
    }
}
