//! Images that are taken from another registry when somebody asks for them.

use futures_util::future::BoxFuture;
use outport_model::{Scope, TimestampMs};

use crate::{AccessDenied, ImageSelector, RegistryCaller, RepositoryName};

/// What somebody pulls.
#[derive(Clone, Debug)]
pub struct WantedImage {
    pub scope: Scope,
    pub repository: RepositoryName,
    pub reference: ImageSelector,
    pub now_ms: TimestampMs,
}

/// Knows where images come from that a repository does not have.
pub trait ImageSource: Send + Sync + 'static {
    /// Called before an image is read, for a caller who may pull it: afterwards the repository has what it is to have of it, if
    /// the repository takes its images from elsewhere. Whether anything of the repository may have changed.
    fn prepare<'a>(
        &'a self,
        caller: &'a dyn RegistryCaller,
        wanted: WantedImage,
    ) -> BoxFuture<'a, Result<bool, NotTaken>>;
}

/// Why an image that is not here was not taken from elsewhere. The texts are for who pulls.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// The caller may not have it taken.
    #[error("{0}")]
    Denied(AccessDenied),
    /// The other registry has no such image.
    #[error("{0}")]
    NotThere(String),
    /// The other registry, or what is known of it, is not as it is to be.
    #[error("{0}")]
    Failed(String),
}
