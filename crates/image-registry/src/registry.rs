//! The registry as a whole: where it lives, and its parts.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::gauge;
use outport_backup::Frozen;
use outport_model::Scope;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::blob_store::{self, BlobStore};
use crate::garbage::digest_of;
use crate::metadata::Metadata;
use crate::room::Room;
use crate::upload_session::Uploads;
use crate::{Digest, Limits, RegistryError, RepositoryName};

/// All repositories of all accounts and regions, in one directory.
///
/// Methods block while the disk works; call them from a thread that may block. Every write that returns
/// is on disk. One process at a time may have a directory open.
pub struct Registry {
    pub(crate) metadata: Metadata,
    pub(crate) blobs: Arc<BlobStore>,
    pub(crate) uploads: Arc<Uploads>,
    pub(crate) room: Arc<Room>,
    pub(crate) limits: Limits,
    /// Held by who removes blobs, and by who needs all that are there.
    pub(crate) removal: Arc<Mutex<()>>,
}

/// The row id of a repository. Never used twice, so an upload of a deleted repository finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RepositoryId(pub(crate) i64);

impl Registry {
    /// Opens the registry in `directory`, which is made if it is missing. Uploads that were under way
    /// can go on. Fails if a newer version wrote the directory.
    pub fn open(directory: &Path, limits: Limits) -> Result<Arc<Self>, RegistryError> {
        blob_store::create_directory(directory)?;
        let metadata = Metadata::open(directory)?;
        let blobs = Arc::new(BlobStore::open(directory)?);
        let uploads = Arc::new(Uploads::open(directory)?);
        let room = Arc::new(Room::open(directory, &metadata)?);
        Ok(Arc::new(Self { metadata, blobs, uploads, room, limits, removal: Arc::default() }))
    }

    /// Gives `then` all files as they are now: the rows, and every blob that they know. Pushes and pulls go on meanwhile,
    /// and nothing is collected. An upload that is under way is not among them: it begins anew.
    ///
    /// # Errors
    /// Those of the disk, which has to hold the rows once more.
    pub fn while_frozen<T>(&self, then: impl FnOnce(Vec<Frozen>) -> T) -> Result<T, RegistryError> {
        let _nothing_is_removed = self.removal.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut files, blobs) = self.metadata.freeze(blob_sizes)?;
        files.extend(blobs.into_iter().map(|(digest, bytes)| self.blobs.frozen(&digest, bytes)));
        Ok(then(files))
    }

    /// Sets the gauges of what there is. Reads the metadata.
    pub fn measure(&self) -> Result<(), RegistryError> {
        gauge!("outport_registry_uploads").set(self.uploads.count() as f64);
        let (blobs, bytes): (i64, i64) = self.metadata.read(|transaction| {
            let sums = "SELECT count(*), coalesce(sum(size_bytes), 0) FROM blob";
            Ok(transaction.query_row(sums, [], |row| Ok((row.get(0)?, row.get(1)?)))?)
        })?;
        gauge!("outport_registry_blobs").set(blobs as f64);
        gauge!("outport_registry_bytes").set(bytes as f64);
        Ok(())
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}

fn blob_sizes(connection: &Connection) -> Result<Vec<(Digest, u64)>, RegistryError> {
    let mut statement = connection.prepare_cached("SELECT digest, size_bytes FROM blob")?;
    let found = statement.query_map([], |row| Ok((digest_of(row, 0)?, row.get(1)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Finds a repository, or says in ECR's words that there is none.
pub(crate) fn find_repository(
    transaction: &Transaction<'_>,
    scope: &Scope,
    name: &RepositoryName,
) -> Result<RepositoryId, RegistryError> {
    transaction
        .prepare_cached(
            "SELECT id FROM repository WHERE account = ?1 AND region = ?2 AND name = ?3",
        )?
        .query_row(params![scope.account.as_str(), scope.region.as_str(), name.as_str()], |row| {
            row.get(0).map(RepositoryId)
        })
        .optional()?
        .ok_or_else(|| RegistryError::RepositoryNotFound {
            name: name.clone(),
            account: scope.account.clone(),
        })
}
