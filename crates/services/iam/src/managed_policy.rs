//! Managed policies, of customers and of AWS, by their ARNs.

use std::sync::Arc;

use outport_aws_managed_policies::AwsPolicy;
use outport_identity::{Question, Subject};
use outport_model::Arn;
use outport_model::iam::ManagedPolicy;
use outport_store::Tables;

use crate::rejection::Rejection;

/// A managed policy.
#[derive(Clone, Debug)]
pub enum Managed {
    Customer(Arc<ManagedPolicy>),
    Aws(Arc<AwsPolicy>),
}

impl Managed {
    pub fn find(tables: &Tables, arn: &str) -> Option<Self> {
        match tables.managed_policies.by_arn(arn) {
            Some(policy) => Some(Self::Customer(Arc::clone(policy))),
            None => outport_aws_managed_policies::find(arn).map(Self::Aws),
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::Customer(policy) => &policy.name,
            Self::Aws(policy) => &policy.name,
        }
    }

    pub fn path(&self) -> &str {
        match self {
            Self::Customer(policy) => &policy.path,
            Self::Aws(policy) => &policy.path,
        }
    }
}

impl Managed {
    /// The document that counts.
    pub fn document(&self) -> &str {
        match self {
            Self::Customer(policy) => policy.document().unwrap_or_default(),
            Self::Aws(policy) => &policy.document,
        }
    }
}

/// Whether it could be the ARN of a policy.
///
/// # Errors
/// `InvalidInput`. Source: LocalStack's recordings of AttachRolePolicy and PutRolePermissionsBoundary.
pub fn check_arn(arn: &str) -> Result<(), Rejection> {
    let parsed = Arn::parse(arn).filter(|parsed| parsed.service() == "iam");
    match parsed.is_some_and(|parsed| parsed.resource().starts_with("policy/")) {
        true => Ok(()),
        false => Err(Rejection::InvalidInput(format!("ARN {arn} is not valid."))),
    }
}

/// What there may be under an ARN, and the question about it.
pub fn look(tables: &Tables, arn: &str, action: &'static str) -> Subject<Option<Managed>> {
    let found = Managed::find(tables, arn);
    let question = Question::new(action, arn);
    let question = match &found {
        Some(Managed::Customer(policy)) => question.with_resource_tags_of("iam", &policy.tags),
        _ => question,
    };
    Subject::new(found, question.shown_as(format!("policy {arn}")))
}

/// # Errors
/// `NoSuchEntity`.
pub fn there(found: Option<Managed>, arn: &str) -> Result<Managed, Rejection> {
    found.ok_or_else(|| not_found(arn))
}

/// A policy that may be changed: AWS's own may not.
///
/// # Errors
/// `NoSuchEntity`, `AccessDenied`.
pub fn own(found: Option<Managed>, arn: &str) -> Result<Arc<ManagedPolicy>, Rejection> {
    match there(found, arn)? {
        Managed::Customer(policy) => Ok(policy),
        Managed::Aws(_) => {
            Err(Rejection::InvalidInput("AWS managed policies cannot be changed.".to_owned()))
        }
    }
}

pub fn not_found(arn: &str) -> Rejection {
    Rejection::NoSuchEntity(format!("Policy {arn} was not found."))
}

/// `v3` as 3.
///
/// # Errors
/// `NoSuchEntity`.
pub fn version(policy: &ManagedPolicy, id: Option<&str>) -> Result<u32, Rejection> {
    let id = id.unwrap_or_default();
    let number = id.strip_prefix('v').and_then(|number| number.parse().ok());
    number.filter(|number| policy.versions.contains_key(number)).ok_or_else(|| {
        let arn = policy.arn();
        Rejection::NoSuchEntity(format!(
            "Policy {arn} version {id} does not exist or is not attachable."
        ))
    })
}
