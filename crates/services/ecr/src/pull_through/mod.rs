//! Pull-through caches: repositories whose images come from another registry when somebody pulls them.
//!
//! ```text
//! GET /v2/<prefix>/<rest>/manifests/… ─► rule of <prefix> ─► is it here, and looked at within a day? ─► as it is
//!                                              │ no
//!                                              └─► permission ─► upstream: manifest, then its blobs ─► the registry
//! ```
//!
//! Source: Amazon ECR user guide, "Sync an upstream registry with an Amazon ECR private registry": "Amazon ECR checks the upstream registry
//! for a new version of an image at most once every 24 hours"; and "IAM permissions required": `ecr:BatchImportUpstreamImage` and
//! `ecr:CreateRepository` of who pulls.

use outport_aws_ecr::EcrError;
use outport_model::Scope;

mod cache;
mod kept;
mod rule;
mod template;
mod upstream;

pub use cache::PullThroughCache;
pub(crate) use cache::registry_of;
pub(crate) use rule::{Kind, ROOT, Rule, Rules, address};
pub(crate) use template::{Template, Templates};
pub use upstream::{
    NoUpstreams, Upstream, UpstreamError, UpstreamManifest, UpstreamRepository, UpstreamUser,
};

/// A prefix as it is kept: AWS takes it with a slash at its end, too.
pub(crate) fn trimmed(prefix: Option<&str>) -> String {
    prefix.unwrap_or_default().trim_end_matches('/').to_owned()
}

/// That a secret has what a registry is asked with.
///
/// # Errors
/// `SecretNotFoundException`, `UnableToAccessSecretException`.
pub(crate) async fn check_secret(
    upstream: &dyn Upstream,
    scope: &Scope,
    arn: &str,
) -> Result<(), EcrError> {
    match upstream.user(scope, arn).await {
        Ok(_) => Ok(()),
        Err(UpstreamError::SecretNotFound(text)) => Err(EcrError::secret_not_found_exception(text)),
        Err(error) => Err(EcrError::unable_to_access_secret_exception(error.to_string())),
    }
}
