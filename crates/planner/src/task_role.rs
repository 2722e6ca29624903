//! The role that a task acts as: which one it is, and what is said when ECS may not give it.

use outport_model::task::TaskOverrides;
use outport_model::task_definition::Workload;
use outport_model::{AccountId, Arn, ClusterName, Scope};

/// Knows whether a role lets ECS have it for a task.
pub trait TaskRoleTrust: Send + Sync {
    /// For a task of this cluster that is not there yet.
    fn is_given(&self, scope: &Scope, cluster: &ClusterName, role_arn: &str) -> bool;
}

/// The ARN of a task's role: that of its overrides comes before that of its definition. A role that is given by its name is
/// one of the task's account, with no path. Source: API reference, RegisterTaskDefinition, taskRoleArn: "The short name or full ARN".
pub fn task_role_arn(
    account: &AccountId,
    overrides: &TaskOverrides,
    workload: &Workload,
) -> Option<String> {
    let role = overrides.task_role_arn.as_ref().or(workload.task_role_arn.as_ref())?;
    Some(role_arn(account, role))
}

/// The ARN of a role that is given by its ARN or by its name.
pub fn role_arn(account: &AccountId, role: &str) -> String {
    match Arn::parse(role) {
        Some(_) => role.to_owned(),
        None => format!("arn:aws:iam::{account}:role/{role}"),
    }
}

/// Source: answers of RunTask, and events of services, as callers report them.
pub fn not_given(role_arn: &str) -> String {
    format!(
        "ECS was unable to assume the role '{role_arn}' that was provided for this task. Please verify that the role being passed \
         has the proper trust relationship and permissions and that your IAM user has permissions to pass this role."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_given_by_its_arn_or_its_name() {
        let account = AccountId::new("000000000000");
        assert_eq!(role_arn(&account, "app"), "arn:aws:iam::000000000000:role/app");
        let arn = "arn:aws:iam::111111111111:role/team/app";
        assert_eq!(role_arn(&account, arn), arn);
        assert!(not_given(arn).starts_with("ECS was unable to assume the role 'arn:aws:iam::1"));
    }
}
