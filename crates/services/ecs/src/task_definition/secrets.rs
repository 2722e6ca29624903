//! `secrets` and `secretOptions`: where the values come from.
//!
//! A secret of Secrets Manager can be another account's, a parameter of Systems Manager cannot.
//!
//! Source: the texts as callers report them (of the second only the beginning); "Pass sensitive data to an Amazon ECS
//! container" in the Amazon ECS Developer Guide.

use outport_aws_ecs::{ContainerDefinition, Secret};
use outport_model::{Arn, Scope};

use crate::rejection::Rejection;

/// Checks the sources of every secret.
///
/// # Errors
/// `ClientException` with AWS's text.
pub fn check(containers: &[ContainerDefinition], scope: &Scope) -> Result<(), Rejection> {
    for container in containers {
        let options = container.log_configuration.iter().flat_map(|log| log.secret_options.iter());
        for secret in container.secrets.iter().chain(options).flatten() {
            check_secret(secret, scope)?;
        }
    }
    Ok(())
}

/// What is no ARN is the name of a parameter of this account.
fn check_secret(secret: &Secret, scope: &Scope) -> Result<(), Rejection> {
    let from = secret.value_from.as_deref().unwrap_or_default();
    if !is_parameter_arn(from) {
        return Ok(());
    }
    let arn = Arn::parse(from).filter(|arn| {
        arn.service() == "ssm"
            && !arn.region().is_empty()
            && !arn.account().is_empty()
            && arn.resource().starts_with("parameter/")
    });
    let Some(arn) = arn else {
        let name = secret.name.as_deref().unwrap_or_default();
        return Err(Rejection::client(format!(
            "The Systems Manager parameter ARN specified for secret {name} is invalid. Specify a valid ARN and try again."
        )));
    };
    if arn.account() == scope.account.as_str() {
        return Ok(());
    }
    Err(Rejection::client(format!(
        "The Systems Manager parameter ARN has a different account ID than the current account. The current account ID \
         is {} and the ARN account ID is {}. Cross-account access for ARNs is not currently supported.",
        scope.account,
        arn.account()
    )))
}

/// `arn:<partition>:ssm:…`, whole or not.
fn is_parameter_arn(text: &str) -> bool {
    let mut parts = text.split(':');
    parts.next() == Some("arn") && parts.nth(1) == Some("ssm")
}
