//! Policies as they are kept, with the unique ids of the users and roles that they name, and as they are shown, with their ARNs.

use outport_model::AccountId;
use outport_policy::{is_misspelt_service, replace_principals, service_principals};
use outport_store::{NamedPrincipal, Tables};

/// A user, a role or a service that a policy names and that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSuchPrincipal {
    /// As AWS's texts have it: `AWS` or `SERVICE`.
    pub kind: &'static str,
    pub name: String,
}

/// A policy of a resource of `own`, or a role's trust policy, as it is kept: unique ids for ARNs, so that it is about these very users
/// and roles. Those of accounts that are not known here stay as they are.
///
/// # Errors
/// The first principal that is not there.
pub fn with_ids(
    tables: &Tables,
    own: &AccountId,
    document: &str,
) -> Result<String, NoSuchPrincipal> {
    let services = service_principals(document).into_iter();
    if let Some(name) = services.into_iter().find(|name| is_misspelt_service(name)) {
        return Err(NoSuchPrincipal { kind: "SERVICE", name });
    }
    let mut absent = None;
    let kept = replace_principals(document, |name| match tables.principal(name, own) {
        NamedPrincipal::Id(id) => Some(id),
        NamedPrincipal::Unknown => None,
        NamedPrincipal::Absent => {
            absent.get_or_insert_with(|| NoSuchPrincipal { kind: "AWS", name: name.to_owned() });
            None
        }
    });
    absent.map_or(Ok(kept), Err)
}

/// The same policy as it is shown: who is gone stays a unique id, as with AWS.
pub fn with_arns(tables: &Tables, document: &str) -> String {
    replace_principals(document, |id| tables.principal_arn(id))
}
