//! What there may be under a `SecretId`, and the question about it.

use std::sync::Arc;

use outport_identity::{Call, Question, ResourcePolicy, Subject};
use outport_model::secret::Secret;
use outport_model::{Arn, Now};
use outport_store::Tables;
use outport_store::keys::SecretKey;

use crate::names::{arn_of_absent, scope};
use crate::rejection::Rejection;

/// What a request names, at one time.
#[derive(Clone, Copy)]
pub struct Named<'a> {
    pub call: &'a Call,
    now: Now,
    /// A name, an ARN, or an ARN without its end.
    pub id: &'a str,
}

impl<'a> Named<'a> {
    pub fn new(call: &'a Call, now: Now, id: &'a str) -> Self {
        Self { call, now, id }
    }

    /// The secret, unless its recovery window is over. One of another region does not exist here; one of another account is
    /// named by its whole ARN only.
    ///
    /// Source: user guide, "Access AWS Secrets Manager secrets from a different account": "you must specify the full ARN".
    pub fn find(&self, tables: &Tables) -> Option<Arc<Secret>> {
        let scope = scope(self.call);
        let found = match Arn::parse(self.id) {
            Some(arn) => tables.secrets.by_arn(&arn).filter(|secret| {
                secret.scope == scope || secret.scope.region == scope.region && secret.arn() == arn
            }),
            None => tables.secrets.get(&SecretKey::new(&scope, self.id)),
        };
        found.filter(|secret| !secret.is_gone(&self.now)).cloned()
    }

    /// The secret, and the question whether `action` may be done with it.
    ///
    /// Source of the condition keys: "Actions, resources, and condition keys for AWS Secrets Manager".
    pub fn look(&self, tables: &Tables, action: &'static str) -> Subject<Option<Arc<Secret>>> {
        let found = self.find(tables);
        let question = match &found {
            Some(secret) => question_about(secret, action),
            None => {
                let arn = arn_of_absent(&scope(self.call), self.id);
                Question::new(action, arn.as_str()).with("secretsmanager:SecretId", arn)
            }
        };
        Subject::new(found, question)
    }
}

fn question_about(secret: &Secret, action: &'static str) -> Question {
    let arn = secret.arn().into_string();
    let lambda = secret.rotation.as_ref().and_then(|rotation| rotation.lambda_arn.clone());
    let policy = secret.resource_policy.clone().map(ResourcePolicy::Ordinary);
    Question::new(action, arn.as_str())
        .with("secretsmanager:SecretId", arn)
        .with("secretsmanager:SecretPrimaryRegion", secret.scope.region.as_str())
        .with_optional("secretsmanager:resource/AllowRotationLambdaArn", lambda)
        .with_resource_tags_of("secretsmanager", &secret.tags)
        .with_resource_policy(policy)
}

/// The secret, marked for deletion or not.
///
/// # Errors
/// `ResourceNotFoundException`.
pub fn there(found: Option<Arc<Secret>>) -> Result<Arc<Secret>, Rejection> {
    found.ok_or_else(Rejection::no_such_secret)
}

/// The secret, if it is not marked for deletion.
///
/// # Errors
/// `ResourceNotFoundException`, `InvalidRequestException`.
pub fn usable(found: Option<Arc<Secret>>) -> Result<Arc<Secret>, Rejection> {
    let secret = there(found)?;
    if secret.deletion.is_some() {
        return Err(Rejection::marked_for_deletion());
    }
    Ok(secret)
}
