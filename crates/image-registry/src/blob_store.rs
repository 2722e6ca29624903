//! Blobs as files: `blobs/<algorithm>/<two digits>/<digits>`.
//!
//! **Invariant:** a file under `blobs` is complete and has the digest of its name. It gets there by a
//! rename of a file whose bytes were hashed and synced, and the directory is synced before anyone is told.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use outport_backup::Frozen;

use crate::{Algorithm, Digest, RegistryError};

const DIRECTORY: &str = "blobs";

/// Locks over blobs, by the first byte of the digest: publishing a blob and collecting it exclude each
/// other, blobs of other stripes do not wait.
const STRIPES: usize = 64;

pub(crate) struct BlobStore {
    directory: PathBuf,
    stripes: [Mutex<()>; STRIPES],
}

/// While it lives, nobody else publishes or removes the file of a blob in the same stripe.
pub(crate) struct Stripe<'a> {
    _lock: MutexGuard<'a, ()>,
}

impl BlobStore {
    pub(crate) fn open(registry: &Path) -> Result<Self, RegistryError> {
        let directory = registry.join(DIRECTORY);
        create_directory(&directory)?;
        Ok(Self { directory, stripes: [const { Mutex::new(()) }; STRIPES] })
    }

    pub(crate) fn lock(&self, digest: &Digest) -> Stripe<'_> {
        let first = u8::from_str_radix(&digest.hex()[..2], 16).unwrap_or_default();
        let lock = &self.stripes[usize::from(first) % STRIPES];
        Stripe { _lock: lock.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    pub(crate) fn open_blob(&self, digest: &Digest) -> Result<File, RegistryError> {
        let path = self.path(digest);
        File::open(&path).map_err(|source| RegistryError::storage("open", &path, source))
    }

    /// Moves a synced file to its place. The caller has checked its digest.
    pub(crate) fn publish(
        &self,
        _stripe: &Stripe<'_>,
        file: &Path,
        digest: &Digest,
    ) -> Result<(), RegistryError> {
        let path = self.path(digest);
        let shard = path.parent().unwrap_or(&self.directory);
        if let Some(algorithm) = shard.parent() {
            create_directory(algorithm)?;
        }
        create_directory(shard)?;
        fs::rename(file, &path)
            .map_err(|source| RegistryError::storage("create", &path, source))?;
        sync_directory(shard)
    }

    /// Removes the file of a blob. A file that is gone already is as good.
    pub(crate) fn remove(
        &self,
        _stripe: &Stripe<'_>,
        digest: &Digest,
    ) -> Result<(), RegistryError> {
        remove_file(&self.path(digest))
    }

    /// Every blob that has a file, one directory at a time.
    pub(crate) fn each(
        &self,
        mut visit: impl FnMut(Digest) -> Result<(), RegistryError>,
    ) -> Result<(), RegistryError> {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            for shard in list(&self.directory.join(algorithm.as_str()))? {
                for file in list(&shard)? {
                    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                    if let Ok(digest) = format!("{}:{name}", algorithm.as_str()).parse() {
                        visit(digest)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The file of a blob, for as long as nothing is removed.
    pub(crate) fn frozen(&self, digest: &Digest, bytes: u64) -> Frozen {
        let name = Path::new(DIRECTORY).join(place_of(digest));
        Frozen::unchanging(name, self.path(digest), bytes)
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.directory.join(place_of(digest))
    }
}

/// Below the directory of all blobs.
fn place_of(digest: &Digest) -> PathBuf {
    Path::new(digest.algorithm().as_str()).join(&digest.hex()[..2]).join(digest.hex())
}

/// Whether there are files of blobs in a registry.
pub(crate) fn has_blobs(registry: &Path) -> Result<bool, RegistryError> {
    let store = BlobStore {
        directory: registry.join(DIRECTORY),
        stripes: [const { Mutex::new(()) }; STRIPES],
    };
    let mut found = false;
    store.each(|_| {
        found = true;
        Ok(())
    })?;
    Ok(found)
}

/// Makes a directory that only root reads, and makes it last.
pub(crate) fn create_directory(path: &Path) -> Result<(), RegistryError> {
    use std::os::unix::fs::DirBuilderExt;
    let error = |source| RegistryError::storage("create", path, source);
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_directory),
        Err(exists) if exists.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(error(source)),
    }
}

fn sync_directory(path: &Path) -> Result<(), RegistryError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|source| RegistryError::storage("sync", path, source))
}

pub(crate) fn remove_file(path: &Path) -> Result<(), RegistryError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(RegistryError::storage("remove", path, source))
        }
        _ => Ok(()),
    }
}

/// The entries of a directory; none if it does not exist.
pub(crate) fn list(path: &Path) -> Result<Vec<PathBuf>, RegistryError> {
    let error = |source| RegistryError::storage("list", path, source);
    match fs::read_dir(path) {
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(error(source)),
        Ok(entries) => {
            entries.map(|entry| entry.map(|entry| entry.path()).map_err(error)).collect()
        }
    }
}
