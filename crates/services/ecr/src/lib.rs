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
mod address;
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
use outport_identity::{Call, Credential, CredentialSource, Sealer};
use outport_image_registry::Registry;

pub use address::RegistryAddress;
pub use authorizer::EcrAuthorizer;
pub use password::{PULL_PASSWORD_LIFETIME_MS, USER, pull_password};

/// The service: the registry that it fronts, the address of that registry, the key of its tokens, and the
/// access keys that these are bound to.
#[derive(Clone)]
pub struct EcrService {
    registry: Arc<Registry>,
    address: RegistryAddress,
    sealer: Arc<Sealer>,
    credentials: Arc<dyn CredentialSource>,
}

impl EcrService {
    pub fn new(
        registry: Arc<Registry>,
        address: RegistryAddress,
        sealer: Arc<Sealer>,
        credentials: Arc<dyn CredentialSource>,
    ) -> Self {
        Self { registry, address, sealer, credentials }
    }

    /// The access key that signed the call.
    fn key(&self, call: &Call) -> Result<Credential, WireError> {
        self.credentials.find(&call.access_key_id, None, call.now_ms).map_err(|error| {
            WireError::internal(format!("the key of a call that was proven is gone: {error}"))
        })
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
