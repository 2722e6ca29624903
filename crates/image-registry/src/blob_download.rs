//! Reading a blob piece by piece.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::Bytes;

use crate::StoredBlob;

/// An open blob. Reads name their place, so that a slow reader holds a descriptor and no thread.
#[derive(Debug)]
pub struct BlobDownload {
    file: File,
    blob: StoredBlob,
}

impl BlobDownload {
    pub(crate) fn new(file: File, blob: StoredBlob) -> Self {
        Self { file, blob }
    }

    pub fn blob(&self) -> &StoredBlob {
        &self.blob
    }

    /// Exactly `length` bytes from `offset`; fails if the blob ends before.
    pub fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes.into())
    }
}
