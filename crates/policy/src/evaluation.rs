//! From the policies that are about a request to yes or no.
//!
//! ```text
//! any explicit deny, in any policy ─────────────────────────────► no
//! the account of the principal: identity ∧ boundary ∧ session ──┐
//! the account of the resource:  its policy ─────────────────────┤
//!   same account:  either; the resource's policy alone, if it names the principal itself,
//!                  together with boundary and session policies, if it names the role or user behind it
//!   role, KMS key: the policy has to allow; where it names the account, that account's policies have to allow too
//!   other account: both
//! ```
//!
//! Source: IAM user guide, "Policy evaluation for requests within a single account", "Cross-account policy evaluation logic",
//! "How AWS enforcement code logic evaluates requests"; KMS developer guide, "Key policies".

use outport_model::AccountId;

use crate::action::RequestAction;
use crate::context::Context;
use crate::decision::{Decision, Denial, Layer, Matched, Reason, Source};
use crate::policy::Policy;
use crate::principal::{FederatedBy, Named, Principal};
use crate::resource::RequestResource;
use crate::statement::{Effect, Request, Statement};

/// A request, with all that its answer depends on.
#[derive(Clone, Copy)]
pub struct Evaluation<'a> {
    pub principal: Principal<'a>,
    /// The account that the resource belongs to, or that is called, for an action without a resource. For what belongs to
    /// everyone, such as the managed policies of AWS, the principal's own.
    pub owner: &'a AccountId,
    /// `ecs:RunTask`.
    pub action: &'a str,
    /// An ARN, or `*` for an action without a resource.
    pub resource: &'a str,
    pub context: &'a dyn Context,
    /// Of the user and its groups, or of the role. For a federated user, of the user that it is federated by.
    pub identity: &'a [Attached<'a>],
    pub boundary: Option<Attached<'a>>,
    /// Of the session. A session with any may do what one of them allows; a federated user without any may do nothing.
    pub session: &'a [Attached<'a>],
    pub resource_policy: ResourcePolicy<'a>,
}

/// A policy with the name that it is known by.
#[derive(Clone, Copy, Debug)]
pub struct Attached<'a> {
    pub source: Source<'a>,
    pub policy: &'a Policy,
}

/// The policy of the resource, by what follows from it.
#[derive(Clone, Copy, Debug)]
pub enum ResourcePolicy<'a> {
    /// It has none.
    None,
    /// It is one of two ways to a yes.
    Ordinary(&'a Policy),
    /// Of a role that is to be assumed. Without its yes, it is no.
    RoleTrust(&'a Policy),
    /// Of a KMS key. The same.
    Key(&'a Policy),
}

/// Answers a request.
pub fn decide<'a>(evaluation: &Evaluation<'a>) -> Decision<'a> {
    let request = evaluation.request();
    let findings = Findings::of(evaluation, &request);
    match findings.denial() {
        Some(matched) => Decision::Denied(evaluation.denial(Reason::ExplicitDeny(matched))),
        None => match findings.way_to_a_yes(evaluation) {
            Ok(()) => Decision::Allowed,
            Err(layer) => Decision::Denied(evaluation.denial(Reason::NothingAllows(layer))),
        },
    }
}

/// What the policies of one layer say.
#[derive(Clone, Copy, Default)]
pub(crate) struct Finding<'a> {
    pub deny: Option<Matched<'a>>,
    pub is_allowed: bool,
}

pub(crate) struct Findings<'a> {
    pub identity: Finding<'a>,
    pub boundary: Option<Finding<'a>>,
    pub session: Option<Finding<'a>>,
    resource_deny: Option<Matched<'a>>,
    /// How the resource's policy names the principal that it allows.
    pub granted: Option<Named>,
}

impl<'a> Evaluation<'a> {
    pub(crate) fn request(&self) -> Request<'a> {
        Request {
            principal: self.principal,
            action: RequestAction::new(self.action),
            resource: RequestResource::new(self.resource),
            context: self.context,
        }
    }

    pub(crate) fn is_same_account(&self) -> bool {
        self.principal.account() == Some(self.owner)
    }

    fn denial(&self, reason: Reason<'a>) -> Denial<'a> {
        Denial { reason, is_same_account: self.is_same_account() }
    }
}

impl<'a> ResourcePolicy<'a> {
    pub(crate) fn policy(self) -> Option<&'a Policy> {
        match self {
            ResourcePolicy::None => None,
            ResourcePolicy::Ordinary(policy)
            | ResourcePolicy::RoleTrust(policy)
            | ResourcePolicy::Key(policy) => Some(policy),
        }
    }

    pub(crate) fn layer(self) -> Layer {
        match self {
            ResourcePolicy::RoleTrust(_) => Layer::RoleTrust,
            _ => Layer::ResourceBased,
        }
    }

    /// Whether there is no yes without its yes.
    fn has_to_allow(self) -> bool {
        matches!(self, ResourcePolicy::RoleTrust(_) | ResourcePolicy::Key(_))
    }
}

impl<'a> Findings<'a> {
    pub fn of(evaluation: &Evaluation<'a>, request: &Request<'a>) -> Self {
        let session = evaluation.session;
        let (resource_deny, granted) = look_at_resource(evaluation.resource_policy, request);
        Self {
            identity: look(evaluation.identity, Layer::IdentityBased, request),
            boundary: evaluation
                .boundary
                .map(|boundary| look(&[boundary], Layer::PermissionsBoundary, request)),
            session: (!session.is_empty()).then(|| look(session, Layer::Session, request)),
            resource_deny,
            granted,
        }
    }

    /// The explicit deny that is named. AWS names one only; which is a guess.
    fn denial(&self) -> Option<Matched<'a>> {
        let limits = self.boundary.into_iter().chain(self.session);
        let mut of_principal = std::iter::once(self.identity).chain(limits);
        of_principal.find_map(|finding| finding.deny).or(self.resource_deny)
    }

    /// # Errors
    /// What lacks a yes.
    fn way_to_a_yes(&self, evaluation: &Evaluation<'a>) -> Result<(), Layer> {
        let Evaluation { principal, resource_policy, .. } = evaluation;
        let no_grant = Err(resource_policy.layer());
        if principal.account().is_none() {
            return if self.granted.is_some() { Ok(()) } else { no_grant };
        }
        if !evaluation.is_same_account() {
            self.by_principal(principal)?;
            return if self.granted.is_some() { Ok(()) } else { no_grant };
        }
        match self.granted {
            Some(Named::Directly) => Ok(()),
            Some(Named::Parent) => self.within_limits(principal),
            None if resource_policy.has_to_allow() => no_grant,
            Some(Named::Account) | None => self.by_principal(principal),
        }
    }

    /// What the principal's own account says.
    fn by_principal(&self, principal: &Principal<'_>) -> Result<(), Layer> {
        let is_root = matches!(
            principal,
            Principal::Root { .. }
                | Principal::FederatedUser { federated_by: FederatedBy::Root, .. }
        );
        if !is_root && !self.identity.is_allowed {
            return Err(Layer::IdentityBased);
        }
        self.within_limits(principal)
    }

    fn within_limits(&self, principal: &Principal<'_>) -> Result<(), Layer> {
        if self.boundary.is_some_and(|boundary| !boundary.is_allowed) {
            return Err(Layer::PermissionsBoundary);
        }
        let needs_session_policy = matches!(principal, Principal::FederatedUser { .. });
        match self.session {
            Some(session) if session.is_allowed => Ok(()),
            None if !needs_session_policy => Ok(()),
            _ => Err(Layer::Session),
        }
    }
}

fn look<'a>(policies: &[Attached<'a>], layer: Layer, request: &Request<'a>) -> Finding<'a> {
    let mut finding = Finding::default();
    for Attached { source, policy } in policies {
        for (index, statement) in policy.statements.iter().enumerate() {
            let is_settled = statement.effect == Effect::Allow && finding.is_allowed;
            if is_settled || statement.applies(request).is_none() {
                continue;
            }
            match statement.effect {
                Effect::Allow => finding.is_allowed = true,
                Effect::Deny => {
                    finding.deny = Some(matched(layer, *source, index, statement));
                    return finding;
                }
            }
        }
    }
    finding
}

fn look_at_resource<'a>(
    resource_policy: ResourcePolicy<'a>,
    request: &Request<'a>,
) -> (Option<Matched<'a>>, Option<Named>) {
    let mut granted = None;
    let statements = resource_policy.policy().into_iter().flat_map(|policy| &policy.statements);
    for (index, statement) in statements.enumerate() {
        let Some(named) = statement.applies(request) else { continue };
        match statement.effect {
            Effect::Allow => granted = granted.max(Some(named)),
            Effect::Deny => {
                let layer = resource_policy.layer();
                return (Some(matched(layer, Source::Resource, index, statement)), None);
            }
        }
    }
    (None, granted)
}

pub(crate) fn matched<'a>(
    layer: Layer,
    source: Source<'a>,
    index: usize,
    statement: &'a Statement,
) -> Matched<'a> {
    Matched { layer, source, index, sid: statement.sid.as_deref() }
}
