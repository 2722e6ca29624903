//! Why a registry could not do what it was asked. The reasons are domain words: the HTTP endpoint maps
//! them to OCI error codes, and the ECR operations map the same reasons to AWS's exceptions.

use std::io;
use std::path::{Path, PathBuf};

use outport_acknowledged::DatabaseError;
use outport_model::AccountId;

use crate::{Digest, ImageTag, RepositoryName, UploadId};

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Source of the text: ECR, for the API and for `docker push` alike.
    #[error("The repository with name '{name}' does not exist in the registry with id '{account}'")]
    RepositoryNotFound { name: RepositoryName, account: AccountId },
    #[error("The repository with name '{name}' already exists in the registry with id '{account}'")]
    RepositoryAlreadyExists { name: RepositoryName, account: AccountId },
    #[error(
        "The repository with name '{name}' in registry with id '{account}' cannot be deleted because it still contains images"
    )]
    RepositoryNotEmpty { name: RepositoryName, account: AccountId },
    /// The repository is another one now, or has other tags: what was decided about it is not about what is there.
    #[error("the repository with name '{name}' changed during the request; try again")]
    RepositoryChanged { name: RepositoryName },
    #[error("the repository has no image {0}")]
    ImageNotFound(String),
    #[error("the tag and the digest belong to different images")]
    TagDoesNotMatchDigest,
    #[error("the image is referenced by manifest list: [{0}]")]
    ReferencedByManifestList(Digest),
    /// Source of the text: ECR.
    #[error(
        "The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten because the tag is immutable."
    )]
    TagImmutable { tag: ImageTag, name: RepositoryName },
    #[error("manifest invalid: {0}")]
    ManifestInvalid(String),
    #[error("the digest of the manifest is {actual}, not {given}")]
    ManifestDigestMismatch { given: Digest, actual: Digest },
    #[error("the manifest refers to layers that the repository does not have: {}", list(.0))]
    LayersNotFound(Vec<Digest>),
    #[error("the manifest refers to images that the repository does not have: {}", list(.0))]
    ReferencedImagesNotFound(Vec<Digest>),
    #[error("the repository has no blob {0}")]
    BlobNotFound(Digest),
    #[error("the blob {0} is part of an image")]
    BlobInUse(Digest),
    #[error("the repository has no upload {0}")]
    UploadNotFound(UploadId),
    #[error("another request is writing to this upload")]
    UploadBusy,
    #[error("the digest of the uploaded bytes is {actual}, not {given}")]
    BlobDigestMismatch { given: Digest, actual: Digest },
    #[error("a blob has at most {bytes_max} bytes")]
    BlobTooLarge { bytes_max: u64 },
    #[error("{what}: at most {max}")]
    LimitExceeded { what: &'static str, max: u64 },
    #[error("no space left on the disk of the registry")]
    DiskFull,
    #[error(
        "quota exceeded: the images of the registry may take {} together; delete some, or give it more \
         with --registry-gib",
        outport_free_space::readable_bytes(*.bytes_max)
    )]
    QuotaExceeded { bytes_max: u64 },
    #[error("{action}: {source}")]
    Storage { action: String, source: io::Error },
    #[error("metadata of the registry: {0}")]
    Metadata(#[source] rusqlite::Error),
    /// What is on disk is not what was acknowledged. Nothing of it was changed.
    #[error(
        "{} is damaged: {what}; restore {} from a backup, or {otherwise}",
        .path.display(),
        directory_of(.path).display()
    )]
    Damaged { path: PathBuf, what: String, otherwise: String },
    #[error(
        "the registry in {directory} has format {found}; this version knows formats up to {known}: start the version that \
         wrote it"
    )]
    FormatTooNew { directory: String, found: i64, known: i64 },
}

impl RegistryError {
    /// Wraps an I/O error; a full disk becomes [`RegistryError::DiskFull`].
    pub(crate) fn storage(action: &str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Storage { action: format!("{action} {}", path.display()), source },
        }
    }

    /// Of the file of the metadata.
    fn damaged(path: PathBuf, what: String) -> Self {
        let directory = directory_of(&path).display();
        let otherwise = format!("move {directory} away: all repositories and images are lost then");
        Self::Damaged { path, what, otherwise }
    }

    /// Says of which file SQLite speaks when it meets damage.
    pub(crate) fn in_file(self, path: &Path) -> Self {
        match self {
            Self::Metadata(error) => DatabaseError::in_use(path, error).into(),
            other => other,
        }
    }
}

impl From<rusqlite::Error> for RegistryError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::DiskFull,
            _ => Self::Metadata(error),
        }
    }
}

impl From<DatabaseError> for RegistryError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Damaged { path, what } => Self::damaged(path, what),
            DatabaseError::Behind { path, what, count } => {
                let otherwise = format!(
                    "remove {}: what was pushed, deleted or set with those changes is lost then",
                    count.display()
                );
                Self::Damaged { path, what, otherwise }
            }
            DatabaseError::Disk { path, source } => Self::storage("read", &path, source),
            DatabaseError::Sqlite(error) => error.into(),
        }
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn list(digests: &[Digest]) -> String {
    digests.iter().map(Digest::to_string).collect::<Vec<_>>().join(", ")
}
