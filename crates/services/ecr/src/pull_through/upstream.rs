//! What a cache needs of the world: other registries, and the secrets with which they are asked.

use std::fs::File;

use async_trait::async_trait;
use outport_model::Scope;

/// A repository of another registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamRepository {
    /// `https://HOST[:PORT]`, or with `http` where the operator says so.
    pub registry: String,
    pub name: String,
    pub user: Option<UpstreamUser>,
}

/// As whom it is asked. It has no `Debug` of its token.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamUser {
    pub name: String,
    pub token: String,
}

impl std::fmt::Debug for UpstreamUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamUser").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A manifest or an index as it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamManifest {
    pub body: Vec<u8>,
    pub media_type: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// It has no such image.
    #[error("not found")]
    NotFound,
    /// It does not answer, answers nonsense, or does not take who asks.
    #[error("{0}")]
    Failed(String),
    /// There is no such secret.
    #[error("{0}")]
    SecretNotFound(String),
    /// It is not what it has to be.
    #[error("{0}")]
    SecretUnusable(String),
}

/// Other registries.
#[async_trait]
pub trait Upstream: Send + Sync + 'static {
    /// Where the operator has a registry that has this address (`HOST[:PORT]`): its scheme and address. `None`: it is not one that the
    /// operator has named.
    fn named_by_operator(&self, address: &str) -> Option<String>;

    /// The user that a secret of Secrets Manager has.
    async fn user(&self, scope: &Scope, secret_arn: &str) -> Result<UpstreamUser, UpstreamError>;

    /// Whether the registry answers and takes the user.
    async fn ping(&self, of: &UpstreamRepository) -> Result<(), UpstreamError>;

    /// By a tag or a digest.
    async fn manifest(
        &self,
        of: &UpstreamRepository,
        selector: &str,
    ) -> Result<UpstreamManifest, UpstreamError>;

    /// A blob of so many bytes, at its beginning, in a file that nobody else has.
    async fn blob(
        &self,
        of: &UpstreamRepository,
        digest: &str,
        size_bytes: u64,
    ) -> Result<File, UpstreamError>;
}

/// There are none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoUpstreams;

#[async_trait]
impl Upstream for NoUpstreams {
    fn named_by_operator(&self, _: &str) -> Option<String> {
        None
    }
    async fn user(&self, _: &Scope, arn: &str) -> Result<UpstreamUser, UpstreamError> {
        Err(UpstreamError::SecretNotFound(arn.to_owned()))
    }
    async fn ping(&self, _: &UpstreamRepository) -> Result<(), UpstreamError> {
        Err(UpstreamError::NotFound)
    }
    async fn manifest(
        &self,
        _: &UpstreamRepository,
        _: &str,
    ) -> Result<UpstreamManifest, UpstreamError> {
        Err(UpstreamError::NotFound)
    }
    async fn blob(&self, _: &UpstreamRepository, _: &str, _: u64) -> Result<File, UpstreamError> {
        Err(UpstreamError::NotFound)
    }
}
