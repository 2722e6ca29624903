//! Questions of permission that several operations ask in the same way.
//!
//! Source of actions, resources and condition keys: "Actions, resources, and condition keys for Amazon Elastic Container
//! Service" in the Service Authorization Reference.

use outport_identity::{Call, ConditionContext};
use outport_model::{Arn, ClusterName, Scope, Tags};

use crate::rejection::Rejection;

/// The service that a role is handed to when a task definition names it.
const TASKS_SERVICE: &str = "ecs-tasks.amazonaws.com";

/// The account and region that a call is about.
pub fn scope(call: &Call) -> Scope {
    Scope::new(call.account.clone(), call.region.clone())
}

/// `ecs:cluster`: the ARN of the cluster that a request is about.
pub fn cluster_context(scope: &Scope, cluster: &ClusterName) -> ConditionContext {
    ConditionContext::new().with("ecs:cluster", Arn::cluster(scope, cluster).to_string())
}

/// Whether the caller may put tags on what it creates by `action` (`RunTask`). `resource` is the ARN that the new thing
/// will have, with `*` for what is not known yet.
///
/// # Errors
/// `AccessDeniedException`.
pub fn tag_on_create(
    call: &Call,
    action: &str,
    resource: &Arn,
    tags: &Tags,
) -> Result<(), Rejection> {
    if tags.is_empty() {
        return Ok(());
    }
    let context = ConditionContext::new()
        .with("ecs:CreateAction", action)
        .with_request_tags(crate::tags::pairs(tags));
    Ok(call.authorize("ecs:TagResource", &resource.to_string(), &context)?)
}

/// Whether the caller may hand `role` to the tasks that it describes.
///
/// # Errors
/// `AccessDeniedException`.
pub fn pass_role(call: &Call, role: &str) -> Result<(), Rejection> {
    let context = ConditionContext::new().with("iam:PassedToService", TASKS_SERVICE);
    let resource = match Arn::parse(role) {
        Some(_) => role.to_owned(),
        None => {
            let account = &call.account;
            format!("arn:aws:iam::{account}:role/{role}")
        }
    };
    Ok(call.authorize("iam:PassRole", &resource, &context)?)
}
