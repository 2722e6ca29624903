//! May a principal do this? What every operation's questions end in.
//!
//! **Invariant**: there is no other way to a yes than a [`PermissionSource`], and it is told all of the request. One that
//! reads policies takes the place of [`AccountRoots`]; nothing that asks changes. A policy that stands at the resource is
//! a fact of the resource as its tags are: it will come with the [`crate::Question`].

use std::fmt;

use outport_model::{AccountId, Arn};

use crate::question::{ANY_RESOURCE, ResourcePolicy};
use crate::{DenyingStatement, Principal, RefusalReport, RequestContext, Session};

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
    /// As a refusal names the resource: its ARN, as a rule.
    pub shown_resource: &'a str,
    /// Every condition key of the request.
    pub context: RequestContext<'a>,
    /// The policy of the resource, if it has one.
    pub resource_policy: Option<&'a ResourcePolicy>,
}

/// Knows what principals may do. It may be slow, and its answer holds for the request that was asked about only.
pub trait PermissionSource: fmt::Debug + Send + Sync {
    /// # Errors
    /// [`Denied`], with AWS's text.
    fn decide(&self, request: &AuthorizationRequest<'_>) -> Result<(), Denied>;
}

/// The root of an account may do everything with what is its account's, and with what belongs to no account. Nobody else
/// may do anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccountRoots;

/// A refusal as the caller reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    pub message: String,
    /// For who may know more than the caller.
    pub report: Option<Box<RefusalReport>>,
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
    fn decide(&self, request: &AuthorizationRequest<'_>) -> Result<(), Denied> {
        let Principal::Root { account } = request.principal else {
            return Err(Denied::by_no_identity_based_policy(request));
        };
        match request.owner() {
            Some(owner) if owner == *account => Ok(()),
            // Nobody acts in an account that is not their own.
            Some(_) if request.resource != ANY_RESOURCE => {
                Err(Denied::without_a_yes(request, "resource-based"))
            }
            _ => Err(Denied::by_no_identity_based_policy(request)),
        }
    }
}

impl AuthorizationRequest<'_> {
    /// The account whose the resource is: for an action without one, the account that is called; for what belongs to
    /// everyone, the principal's own. `None`: a resource that is no ARN belongs to nobody that could be asked.
    pub fn owner(&self) -> Option<AccountId> {
        if self.resource == ANY_RESOURCE {
            return Some(self.account.clone());
        }
        let arn = Arn::parse(self.resource)?;
        let is_everyones = arn.account().is_empty() || arn.account() == ACCOUNT_OF_AWS;
        let own = || self.principal.account().clone();
        Some(if is_everyones { own() } else { AccountId::new(arn.account()) })
    }
}

impl Denied {
    /// AWS's text for a refusal because nothing says yes that has to. `kind`: `identity-based` or `resource-based`.
    /// Source: IAM user guide, "Troubleshoot access denied error messages".
    fn without_a_yes(request: &AuthorizationRequest<'_>, kind: &str) -> Self {
        let AuthorizationRequest { principal, action, shown_resource: resource, .. } = request;
        let message = format!(
            "User: {} is not authorized to perform: {action} on resource: {resource} because no \
             {kind} policy allows the {action} action",
            principal.arn()
        );
        Self::new(request, message, Vec::new())
    }

    /// With a text, and the statements that deny it: none, if nothing allows it.
    pub fn new(
        request: &AuthorizationRequest<'_>,
        message: String,
        denying: Vec<DenyingStatement>,
    ) -> Self {
        Self { message, report: Some(Box::new(RefusalReport::of(request, denying))) }
    }

    /// Nothing that is attached to the principal says yes.
    pub fn by_no_identity_based_policy(request: &AuthorizationRequest<'_>) -> Self {
        Self::without_a_yes(request, "identity-based")
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
            shown_resource: resource,
            context: RequestContext { of_request: &nothing, of_question: &nothing },
            resource_policy: None,
        };
        let result = AccountRoots.decide(&request);
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
