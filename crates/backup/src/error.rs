use std::io;
use std::path::{Path, PathBuf};

/// Why no archive is written, or nothing is made of one. What the disk says is the source.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("it is not a backup of outport: {0}")]
    NotABackup(String),
    #[error(
        "it was written by a newer outport ({version}): restore it with that one, or a later one"
    )]
    Newer { version: String },
    /// It does not read as it was written.
    #[error("the backup is damaged: {0}")]
    Damaged(String),
    /// Reading what goes into an archive, or writing what comes out of it.
    #[error("{}", .path.display())]
    File { path: PathBuf, source: io::Error },
    /// Writing the archive.
    #[error("cannot write the backup")]
    Write(#[source] io::Error),
}

impl ArchiveError {
    pub(crate) fn file(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::File { path: path.to_owned(), source }
    }
}
