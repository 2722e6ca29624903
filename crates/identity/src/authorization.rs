//! May a principal do this? What every operation's questions end in.
//!
//! **Invariant**: there is no other way to a yes than a [`PermissionSource`], and it is told all of the request. One that
//! reads policies takes the place of [`AccountRoots`]; nothing that asks changes. A policy that stands at the resource is
//! a fact of the resource as its tags are: it will come with the [`crate::Question`].

use std::fmt;

use outport_model::{AccountId, Arn};

use crate::question::ANY_RESOURCE;
use crate::{Principal, RequestContext, Session};

/// All that a decision may depend on.
#[derive(Clone, Copy, Debug)]
pub struct AuthorizationRequest<'a> {
    pub principal: &'a Principal,
    /// Of a caller with temporary credentials.
    pub session: Option<&'a Session>,
    /// The account that is called: whose an action without a resource is.
    pub account: &'a AccountId,
    /// `ecs:RunTask`.
    pub action: &'a str,
    /// An ARN, or `*` for an action without a resource.
    pub resource: &'a str,
    /// Every condition key of the request.
    pub context: RequestContext<'a>,
}

/// Knows what principals may do. It may be slow, and its answer holds for the request that was asked about only.
pub trait PermissionSource: fmt::Debug + Send + Sync {
    fn decide(&self, request: &AuthorizationRequest<'_>) -> Decision;
}

/// The root of an account may do everything with what is its account's, and with what belongs to no account. Nobody else
/// may do anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccountRoots;

/// The answer, with its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Allowed,
    Refused(RefusalReason),
}

/// Why not. Each reason has its words in AWS's access denied messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// Nothing that is attached to the principal says yes.
    NoIdentityBasedPolicy,
    /// The resource belongs to another account and does not say yes either.
    NoResourceBasedPolicy,
}

/// A refusal as the caller reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    pub message: String,
}

impl fmt::Display for Denied {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Denied {}

/// The account segment of AWS's own resources, such as managed policies: everyone's to use.
const ACCOUNT_OF_AWS: &str = "aws";

/// Whether AWS lets everybody do it whom it knows, and no policy can take it away. Source: the API reference of
/// GetCallerIdentity: "No permissions are required to perform this operation".
pub(crate) fn needs_no_permission(action: &str) -> bool {
    action == "sts:GetCallerIdentity"
}

impl PermissionSource for AccountRoots {
    fn decide(&self, request: &AuthorizationRequest<'_>) -> Decision {
        match request.principal {
            Principal::Root { account } => decide_for_root(account, request),
            _ => Decision::Refused(RefusalReason::NoIdentityBasedPolicy),
        }
    }
}

fn decide_for_root(account: &AccountId, request: &AuthorizationRequest<'_>) -> Decision {
    if request.resource == ANY_RESOURCE {
        return if request.account == account {
            Decision::Allowed
        } else {
            // Nobody acts in an account that is not their own.
            Decision::Refused(RefusalReason::NoIdentityBasedPolicy)
        };
    }
    let Some(arn) = Arn::parse(request.resource) else {
        // A resource that is no ARN belongs to nobody that could be asked.
        return Decision::Refused(RefusalReason::NoIdentityBasedPolicy);
    };
    let is_everyones = arn.account().is_empty() || arn.account() == ACCOUNT_OF_AWS;
    if is_everyones || arn.account() == account.as_str() {
        Decision::Allowed
    } else {
        Decision::Refused(RefusalReason::NoResourceBasedPolicy)
    }
}

impl Decision {
    /// Turns a refusal into AWS's text. Source: IAM user guide, "Troubleshoot access denied error
    /// messages".
    ///
    /// # Errors
    /// [`Denied`] unless allowed.
    pub fn into_result(self, request: &AuthorizationRequest<'_>) -> Result<(), Denied> {
        let kind = match self {
            Decision::Allowed => return Ok(()),
            Decision::Refused(RefusalReason::NoIdentityBasedPolicy) => "identity-based",
            Decision::Refused(RefusalReason::NoResourceBasedPolicy) => "resource-based",
        };
        let AuthorizationRequest { principal, action, resource, .. } = request;
        let message = format!(
            "User: {} is not authorized to perform: {action} on resource: {resource} because no \
             {kind} policy allows the {action} action",
            principal.arn()
        );
        Err(Denied { message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConditionContext;

    fn check(called: &str, action: &str, resource: &str, expected: Result<(), &str>) {
        let nothing = ConditionContext::new();
        let request = AuthorizationRequest {
            principal: &Principal::root(AccountId::new("111111111111")),
            session: None,
            account: &AccountId::new(called),
            action,
            resource,
            context: RequestContext { of_request: &nothing, of_question: &nothing },
        };
        let result = AccountRoots.decide(&request).into_result(&request);
        assert_eq!(result.map_err(|denied| denied.message), expected.map_err(str::to_owned));
    }

    const OWN: &str = "111111111111";

    #[test]
    fn root_may_do_everything_with_its_own() {
        check(OWN, "ecs:RunTask", "arn:aws:ecs:us-east-1:111111111111:task-definition/a:1", Ok(()));
        check(OWN, "ecs:ListClusters", "*", Ok(()));
        check(OWN, "s3:GetObject", "arn:aws:s3:::bucket/key", Ok(()));
        check(OWN, "iam:GetPolicy", "arn:aws:iam::aws:policy/ReadOnlyAccess", Ok(()));
    }

    #[test]
    fn root_may_do_nothing_with_what_is_anothers() {
        check(
            OWN,
            "ecs:RunTask",
            "arn:aws:ecs:us-east-1:222222222222:task-definition/a:1",
            Err("User: arn:aws:iam::111111111111:root is not authorized to perform: ecs:RunTask \
                 on resource: arn:aws:ecs:us-east-1:222222222222:task-definition/a:1 because no \
                 resource-based policy allows the ecs:RunTask action"),
        );
        check(
            OWN,
            "ecs:RunTask",
            "task-definition/a:1",
            Err("User: arn:aws:iam::111111111111:root is not authorized to perform: ecs:RunTask \
                 on resource: task-definition/a:1 because no identity-based policy allows the \
                 ecs:RunTask action"),
        );
    }

    /// What is about no resource is still somebody's.
    #[test]
    fn root_may_do_nothing_in_another_account() {
        check(
            "222222222222",
            "ecs:ListClusters",
            "*",
            Err("User: arn:aws:iam::111111111111:root is not authorized to perform: \
                 ecs:ListClusters on resource: * because no identity-based policy allows the \
                 ecs:ListClusters action"),
        );
    }
}
