//! For those who come from an emulator: what would be denied is allowed, and said with the statement that would allow it.
//!
//! **Invariant:** an account is its own all the same: what another account's policies do not allow is denied, and so is
//! whoever could not prove who it is, or is gone.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use outport_identity::{AuthorizationRequest, Denied, PermissionSource, ResourcePolicy};
use outport_model::SteadyMs;
use outport_model::rare_lines::RareLines;
use outport_store::Store;

use crate::StoredPermissions;

/// Decides, and lets pass what the principal's own account denies.
pub struct Permissive {
    permissions: StoredPermissions,
    store: Store,
    said: Mutex<RareLines<(String, String, String)>>,
}

impl fmt::Debug for Permissive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permissive").finish_non_exhaustive()
    }
}

impl Permissive {
    pub fn new(store: Store) -> Self {
        let permissions = StoredPermissions::new(store.clone());
        Self { permissions, store, said: Mutex::default() }
    }

    fn is_due(&self, request: &AuthorizationRequest<'_>, now_ms: SteadyMs) -> bool {
        let (who, action) = (request.principal.principal_arn(), request.action.to_owned());
        let kind = (who, action, request.resource.to_owned());
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.due(kind, now_ms).is_some()
    }
}

impl PermissionSource for Permissive {
    fn decide(&self, request: &AuthorizationRequest<'_>) -> Result<(), Denied> {
        let Err(denied) = self.permissions.decide(request) else { return Ok(()) };
        let is_own = request.owner().as_ref() == Some(request.principal.account());
        // A password of the registry may outlive the role or the user that it was got by.
        if !is_own || !self.permissions.knows(request.principal) {
            return Err(denied);
        }
        if self.is_due(request, self.store.now().steady_ms) {
            tracing::warn!(
                event = "permission_missing",
                principal = request.principal.arn(),
                action = request.action,
                resource = request.resource,
                statement = statement(request, &denied),
                reason = denied.message,
                "allowed by --permissive; elsewhere this needs the statement, in the trust policy if it names a principal"
            );
        }
        Ok(())
    }
}

/// The least that allows it; nothing where a statement says no, which would have to go.
fn statement(request: &AuthorizationRequest<'_>, denied: &Denied) -> Option<String> {
    let (action, resource) = (request.action, request.resource);
    if denied.report.as_ref().is_some_and(|report| report.is_explicit_deny()) {
        return None;
    }
    Some(match request.resource_policy {
        // A role is assumed only by whom its trust policy lets, whatever their own policies say.
        Some(ResourcePolicy::RoleTrust(_)) => {
            let principal = request.principal.principal_arn();
            format!(
                r#"{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":"{action}"}}"#
            )
        }
        _ => format!(r#"{{"Effect":"Allow","Action":"{action}","Resource":"{resource}"}}"#),
    })
}
