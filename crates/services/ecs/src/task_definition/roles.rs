//! `taskRoleArn` and `executionRoleArn`.
//!
//! Source: the text as callers report it, for placeholders (`REPLACE ME`), ARNs of something else and ARNs without an
//! account number; "IAM and AWS STS quotas" and the IAM API Reference for what a role's name can be.

use outport_aws_ecs::{ContainerDefinition, TaskDefinition};
use outport_model::Arn;

use crate::rejection::Rejection;

/// Source: "IAM and AWS STS quotas", role name.
const ROLE_NAME_LENGTH_MAX: usize = 64;
/// Source: IAM API Reference, `Role.Path`, both slashes counted.
const ROLE_PATH_LENGTH_MAX: usize = 512;
const ACCOUNT_ID_LENGTH: usize = 12;

/// Checks that each role is one, and that the roles that containers need are there.
///
/// # Errors
/// `ClientException` with AWS's text.
pub fn check(
    definition: &TaskDefinition,
    containers: &[ContainerDefinition],
) -> Result<(), Rejection> {
    let mut roles =
        [&definition.task_role_arn, &definition.execution_role_arn].into_iter().flatten();
    if !roles.all(|role| is_role(role)) {
        return Err(Rejection::client("Role is not valid"));
    }
    let has_secrets =
        containers.iter().any(|definition| definition.secrets.iter().flatten().next().is_some());
    if has_secrets && definition.execution_role_arn.is_none() {
        return Err(Rejection::client(
            "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.",
        ));
    }
    Ok(())
}

/// A role's ARN, or its name: AWS fills in the account of a name.
pub fn is_role(text: &str) -> bool {
    if !text.starts_with("arn:") {
        return is_role_name(text);
    }
    let Some(arn) = Arn::parse(text) else { return false };
    let is_account = arn.account().len() == ACCOUNT_ID_LENGTH
        && arn.account().bytes().all(|byte| byte.is_ascii_digit());
    let is_iam =
        arn.service() == "iam" && arn.region().is_empty() && arn.partition().starts_with("aws");
    is_iam && is_account && arn.resource().strip_prefix("role/").is_some_and(is_role_path)
}

/// `[path/]name`
fn is_role_path(text: &str) -> bool {
    match text.rsplit_once('/') {
        None => is_role_name(text),
        Some((path, name)) => {
            path.len() + 2 <= ROLE_PATH_LENGTH_MAX
                && path.bytes().all(|byte| byte.is_ascii_graphic())
                && is_role_name(name)
        }
    }
}

fn is_role_name(text: &str) -> bool {
    (1..=ROLE_NAME_LENGTH_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::is_role;

    #[test]
    fn names_and_arns_of_roles() {
        for (text, expected) in [
            ("role", true),
            ("ecsTask+Role=,.@-_", true),
            ("arn:aws:iam::000000000000:role/app", true),
            ("arn:aws-cn:iam::000000000000:role/a/b/app", true),
            ("", false),
            ("REPLACE ME", false),
            ("<role>", false),
            ("role/app", false),
            ("arn:aws:iam::XXXXXXXXXXXX:role/app", false),
            ("arn:aws:iam::12345:role/app", false),
            ("arn:aws:iam:::role/app", false),
            ("arn:aws:iam:us-east-1:000000000000:role/app", false),
            ("arn:aws:iam::000000000000:user/app", false),
            ("arn:aws:iam::000000000000:role/", false),
            ("arn:aws:iam::000000000000:role/a b", false),
            ("arn:aws:ecs:us-east-1:000000000000:cluster/default", false),
            ("arn:aws:sts::000000000000:assumed-role/app/session", false),
            ("arn:aws:iam", false),
        ] {
            assert_eq!(is_role(text), expected, "{text}");
        }
        assert!(is_role(&"r".repeat(64)));
        assert!(!is_role(&"r".repeat(65)));
        assert!(!is_role(&format!("arn:aws:iam::000000000000:role/{}/app", "p".repeat(511))));
    }
}
