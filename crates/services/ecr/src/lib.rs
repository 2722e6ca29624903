//! Amazon ECR's API over the image registry: one file per operation in `operations`.
//!
//! ```text
//! typed input -> parse (names, digests) -> authorize on the repository's ARN -> one call of the registry -> typed output
//! ```
//!
//! **Invariant:** an operation keeps nothing: the registry is the only state, and the passwords that
//! `GetAuthorizationToken` gives out say for themselves what they are. Reasons of the registry become AWS's
//! exceptions in one place, `rejection`.

mod access;
#[cfg(test)]
mod answers;
mod authorizer;
mod handler;
mod image_id;
mod operations;
mod page;
mod password;
mod rejection;
mod resource_tags;
#[cfg(test)]
mod testing;
mod views;

use std::sync::Arc;

use outport_aws_ecr::EcrError;
use outport_aws_wire::WireError;
use outport_identity::Sealer;
use outport_image_registry::Registry;

pub use authorizer::EcrAuthorizer;
pub use password::{PASSWORD_LIFETIME_MS, USER, registry_password};

/// The service: the registry that it fronts, the address of that registry, and the key of its tokens.
#[derive(Clone)]
pub struct EcrService {
    registry: Arc<Registry>,
    registry_host: Arc<str>,
    sealer: Arc<Sealer>,
}

impl EcrService {
    /// `registry_host` is what clients put in front of a repository's name, such as `127.0.0.1:4566`.
    pub fn new(registry: Arc<Registry>, registry_host: &str, sealer: Arc<Sealer>) -> Self {
        Self { registry, registry_host: registry_host.into(), sealer }
    }

    /// Runs `work` on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Registry>) -> Result<T, EcrError> + Send + 'static,
    ) -> Result<T, EcrError> {
        let registry = Arc::clone(&self.registry);
        match tokio::task::spawn_blocking(move || work(&registry)).await {
            Ok(done) => done,
            Err(error) => {
                Err(WireError::internal(format!("a registry call did not finish: {error}")).into())
            }
        }
    }
}
