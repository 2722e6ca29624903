//! May a principal do this? The one function that every operation's question ends in.
//!
//! **Invariant**: there is no other way to a yes. A policy evaluator takes the place of the body of
//! [`authorize`]; nothing that asks changes.

use outport_model::Arn;

use crate::{ConditionContext, Principal};

/// The answer, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
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

impl std::fmt::Display for Denied {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Denied {}

/// The account segment of AWS's own resources, such as managed policies: everyone's to use.
const ACCOUNT_OF_AWS: &str = "aws";

/// Decides whether `principal` may perform `action` (`ecs:RunTask`) on `resource` (an ARN, or `*`
/// for an action without a resource) in the circumstances of `context`.
///
/// The root of an account is allowed everything on resources of its own account, and on those that
/// belong to none. Nobody else is allowed anything.
pub fn authorize(
    principal: &Principal,
    action: &str,
    resource: &str,
    _context: &ConditionContext,
) -> Decision {
    // AWS: no permission is needed to ask who one is, and none can be taken away.
    if action.eq_ignore_ascii_case("sts:GetCallerIdentity") || resource == "*" {
        return Decision::Allowed;
    }
    match (principal, Arn::parse(resource)) {
        (Principal::Root { account }, Some(arn)) => {
            if arn.account.is_empty()
                || arn.account == ACCOUNT_OF_AWS
                || arn.account == account.as_str()
            {
                Decision::Allowed
            } else {
                Decision::Refused(RefusalReason::NoResourceBasedPolicy)
            }
        }
        // A resource that is no ARN belongs to nobody that could be asked.
        (Principal::Root { .. }, None) => Decision::Refused(RefusalReason::NoIdentityBasedPolicy),
    }
}

impl Decision {
    /// Turns a refusal into AWS's text. Source: IAM user guide, "Troubleshoot access denied error
    /// messages".
    ///
    /// # Errors
    /// [`Denied`] unless allowed.
    pub fn into_result(
        self,
        principal: &Principal,
        action: &str,
        resource: &str,
    ) -> Result<(), Denied> {
        let kind = match self {
            Decision::Allowed => return Ok(()),
            Decision::Refused(RefusalReason::NoIdentityBasedPolicy) => "identity-based",
            Decision::Refused(RefusalReason::NoResourceBasedPolicy) => "resource-based",
        };
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
    use outport_model::AccountId;

    use super::*;

    fn check(action: &str, resource: &str, expected: Result<(), &str>) {
        let root = Principal::root(AccountId::new("111111111111"));
        let result = authorize(&root, action, resource, &ConditionContext::new())
            .into_result(&root, action, resource);
        assert_eq!(result.map_err(|denied| denied.message), expected.map_err(str::to_owned));
    }

    #[test]
    fn root_may_do_everything_with_its_own() {
        check("ecs:RunTask", "arn:aws:ecs:us-east-1:111111111111:task-definition/a:1", Ok(()));
        check("ecs:ListClusters", "*", Ok(()));
        check("s3:GetObject", "arn:aws:s3:::bucket/key", Ok(()));
        check("iam:GetPolicy", "arn:aws:iam::aws:policy/ReadOnlyAccess", Ok(()));
        check("sts:GetCallerIdentity", "arn:aws:iam::222222222222:root", Ok(()));
    }

    #[test]
    fn root_may_do_nothing_with_what_is_anothers() {
        check(
            "ecs:RunTask",
            "arn:aws:ecs:us-east-1:222222222222:task-definition/a:1",
            Err("User: arn:aws:iam::111111111111:root is not authorized to perform: ecs:RunTask \
                 on resource: arn:aws:ecs:us-east-1:222222222222:task-definition/a:1 because no \
                 resource-based policy allows the ecs:RunTask action"),
        );
        check(
            "ecs:RunTask",
            "task-definition/a:1",
            Err("User: arn:aws:iam::111111111111:root is not authorized to perform: ecs:RunTask \
                 on resource: task-definition/a:1 because no identity-based policy allows the \
                 ecs:RunTask action"),
        );
    }
}
