//! A repository as it was when somebody decided about it, and a registry that acts only while it is still that.
//!
//! **Invariant:** what a registry from [`Registry::while_as_seen`] reads or writes, it reads or writes in a transaction in
//! which every repository that was seen is the same one and carries the same tags and the same policy.

use std::sync::Arc;

use outport_model::{Scope, Tags};
use rusqlite::Transaction;

use crate::registry::{RepositoryId, find_repository};
use crate::repository::read_repository;
use crate::{Registry, RegistryError, Repository, RepositoryName};

/// One repository, or that there is none of the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRepository {
    scope: Scope,
    name: RepositoryName,
    id: Option<RepositoryId>,
    tags: Tags,
    policy: Option<String>,
}

impl SeenRepository {
    fn look(
        transaction: &Transaction<'_>,
        scope: &Scope,
        name: &RepositoryName,
    ) -> Result<Self, RegistryError> {
        let (scope, name) = (scope.clone(), name.clone());
        match find_repository(transaction, &scope, &name) {
            Ok(id) => {
                let Repository { tags, policy, .. } = read_repository(transaction, id)?;
                Ok(Self { scope, name, id: Some(id), tags, policy })
            }
            Err(RegistryError::RepositoryNotFound { .. }) => {
                Ok(Self { scope, name, id: None, tags: Tags::new(), policy: None })
            }
            Err(error) => Err(error),
        }
    }

    /// # Errors
    /// `RepositoryChanged`.
    pub(crate) fn check(&self, transaction: &Transaction<'_>) -> Result<(), RegistryError> {
        if Self::look(transaction, &self.scope, &self.name)? == *self {
            return Ok(());
        }
        Err(RegistryError::RepositoryChanged { name: self.name.clone() })
    }

    /// The tags that it carries; none when it does not exist.
    pub fn tags(&self) -> &Tags {
        &self.tags
    }

    /// The policy that it has, if it exists and has one.
    pub fn policy(&self) -> Option<&str> {
        self.policy.as_deref()
    }
}

impl Registry {
    /// The repository as it is now, whether it exists or not.
    pub fn look(
        &self,
        scope: &Scope,
        name: &RepositoryName,
    ) -> Result<SeenRepository, RegistryError> {
        self.metadata.read(|transaction| SeenRepository::look(transaction, scope, name))
    }

    /// The same registry, which does nothing any more and fails with `RepositoryChanged` once `seen` is not as it was seen.
    #[must_use]
    pub fn while_as_seen(&self, seen: SeenRepository) -> Arc<Self> {
        Arc::new(Self {
            metadata: self.metadata.while_as_seen(seen),
            blobs: Arc::clone(&self.blobs),
            uploads: Arc::clone(&self.uploads),
            room: Arc::clone(&self.room),
            limits: self.limits.clone(),
            removal: Arc::clone(&self.removal),
        })
    }
}
