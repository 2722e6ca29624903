//! Yes or no, and why not.

use std::fmt;

use crate::evaluation::Evaluation;

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision<'a> {
    Allowed,
    Denied(Denial<'a>),
}

/// A no, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial<'a> {
    pub reason: Reason<'a>,
    /// Only then AWS names the policy.
    pub(crate) is_same_account: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason<'a> {
    /// No policy of the layer says yes, where one has to.
    NothingAllows(Layer),
    /// A statement says no.
    ExplicitDeny(Matched<'a>),
}

/// Where policies take part in a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    IdentityBased,
    PermissionsBoundary,
    Session,
    ResourceBased,
    RoleTrust,
}

/// A statement that is about the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matched<'a> {
    pub layer: Layer,
    pub source: Source<'a>,
    /// Of the statement in its policy, from 0.
    pub index: usize,
    pub sid: Option<&'a str>,
}

/// The name of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// By its ARN.
    Managed(&'a str),
    /// By its name, which means nothing without whose it is.
    Inline(&'a str),
    /// The policy of the resource.
    Resource,
}

impl Decision<'_> {
    pub fn is_allowed(self) -> bool {
        self == Decision::Allowed
    }
}

impl Denial<'_> {
    /// AWS's access denied message. Sources: IAM user guide, "Troubleshoot access denied error messages"; AWS Security Blog,
    /// "Enhanced access denied error messages with policy ARNs", for the ARN behind an explicit deny in the same account. The
    /// guide has "in a sessions policy"; messages that users report have "session policy".
    pub fn message(&self, evaluation: &Evaluation<'_>) -> String {
        self.message_about(evaluation, evaluation.resource)
    }

    /// The same with another name of the resource than its ARN: "role app", as IAM has it.
    pub fn message_about(&self, evaluation: &Evaluation<'_>, resource: &str) -> String {
        let Evaluation { principal, action, .. } = evaluation;
        let why = Because { denial: self, action };
        format!("{} {why}", bare(principal.name(), action, resource))
    }

    /// The same without the reason, as AssumeRole and older services have it. Source: messages that users report.
    pub fn bare_message(&self, evaluation: &Evaluation<'_>) -> String {
        bare(evaluation.principal.name(), evaluation.action, evaluation.resource)
    }
}

fn bare(principal: &str, action: &str, resource: &str) -> String {
    format!("User: {principal} is not authorized to perform: {action} on resource: {resource}")
}

/// The end of the message.
struct Because<'a> {
    denial: &'a Denial<'a>,
    action: &'a str,
}

impl fmt::Display for Because<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let matched = match self.denial.reason {
            Reason::NothingAllows(layer) => {
                let (action, layer) = (self.action, layer.name());
                return write!(formatter, "because no {layer} allows the {action} action");
            }
            Reason::ExplicitDeny(matched) => matched,
        };
        let article = match matched.layer {
            Layer::IdentityBased => "an",
            Layer::RoleTrust => "the",
            Layer::PermissionsBoundary | Layer::Session | Layer::ResourceBased => "a",
        };
        write!(formatter, "with an explicit deny in {article} {}", matched.layer.name())?;
        match matched.source {
            Source::Managed(arn) if self.denial.is_same_account => write!(formatter, ": {arn}"),
            _ => Ok(()),
        }
    }
}

impl Layer {
    /// As messages name it.
    pub fn name(self) -> &'static str {
        match self {
            Layer::IdentityBased => "identity-based policy",
            Layer::PermissionsBoundary => "permissions boundary",
            Layer::Session => "session policy",
            Layer::ResourceBased => "resource-based policy",
            Layer::RoleTrust => "role trust policy",
        }
    }
}
