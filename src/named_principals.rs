//! The users and roles that ECR's policies name, from the rows of IAM.

use outport_model::AccountId;
use outport_permissions::{with_arns, with_ids};
use outport_service_ecr::NamedPrincipals;
use outport_store::Store;

/// Those of an installation.
pub struct StoredPrincipals(pub Store);

impl NamedPrincipals for StoredPrincipals {
    fn with_ids(&self, owner: &AccountId, document: &str) -> Option<String> {
        with_ids(&self.0.snapshot(), owner, document).ok()
    }

    fn with_arns(&self, document: &str) -> String {
        with_arns(&self.0.snapshot(), document)
    }
}
