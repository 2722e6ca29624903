//! A decision with all that led to it: what SimulatePrincipalPolicy answers, and advice. Dearer than [`crate::decide`].

use crate::decision::{Decision, Layer, Matched, Reason, Source};
use crate::evaluation::{Attached, Evaluation, Findings, decide, matched};
use crate::policy::Policy;
use crate::statement::{Effect, Request, Statement};

/// What led to a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation<'a> {
    pub decision: Decision<'a>,
    /// The statements that decide: those that allow, or, for an explicit deny, those that deny. None decide an implicit one.
    pub matched: Vec<Matched<'a>>,
    /// What each side says by itself, as `EvalDecisionDetails` tells it of requests to another account.
    pub identity: Verdict,
    pub resource: Verdict,
    /// `None` without a permissions boundary.
    pub is_allowed_by_boundary: Option<bool>,
    /// The condition keys that the policies depend on and the request has not, as they were written; sorted.
    pub missing_context_keys: Vec<&'a str>,
}

/// Source: `PolicyEvaluationDecisionType` of the IAM API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    ExplicitDeny,
    ImplicitDeny,
}

/// Answers a request, and says how.
pub fn explain<'a>(evaluation: &Evaluation<'a>) -> Explanation<'a> {
    let decision = decide(evaluation);
    let request = evaluation.request();
    let findings = Findings::of(evaluation, &request);
    let denying = all_matched(evaluation, &request, Effect::Deny);
    let is_denied_in = |layer| denying.iter().any(|matched| matched.layer == layer);
    let verdict = |layer, is_allowed| match (is_denied_in(layer), is_allowed) {
        (true, _) => Verdict::ExplicitDeny,
        (false, true) => Verdict::Allowed,
        (false, false) => Verdict::ImplicitDeny,
    };
    let identity = verdict(Layer::IdentityBased, findings.identity.is_allowed);
    let resource = verdict(evaluation.resource_policy.layer(), findings.granted.is_some());
    let matched = match Verdict::from(decision) {
        Verdict::Allowed => all_matched(evaluation, &request, Effect::Allow),
        Verdict::ExplicitDeny => denying,
        Verdict::ImplicitDeny => Vec::new(),
    };
    Explanation {
        decision,
        matched,
        identity,
        resource,
        is_allowed_by_boundary: findings
            .boundary
            .map(|boundary| boundary.is_allowed && boundary.deny.is_none()),
        missing_context_keys: missing_context_keys(evaluation),
    }
}

/// A statement that denies a request, as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denying<'a> {
    pub sid: Option<&'a str>,
    /// Of `Action` or `NotAction`.
    pub actions: &'a [String],
    /// Of `Resource` or `NotResource`.
    pub resources: &'a [String],
}

/// The statements that deny a request, of all its policies.
pub fn denying<'a>(evaluation: &Evaluation<'a>) -> Vec<Denying<'a>> {
    let request = evaluation.request();
    let policies = policies(evaluation).into_iter();
    let statements = policies.flat_map(|(_, _, policy)| policy.statements.iter());
    let denies = |statement: &&Statement| {
        statement.effect == Effect::Deny && statement.applies(&request).is_some()
    };
    let read = |statement: &'a Statement| {
        let written = statement.written.as_deref();
        Denying {
            sid: statement.sid.as_deref(),
            actions: written.map_or(&[], |written| &written.actions),
            resources: written.map_or(&[], |written| &written.resources),
        }
    };
    statements.filter(denies).map(read).collect()
}

impl From<Decision<'_>> for Verdict {
    fn from(decision: Decision<'_>) -> Self {
        match decision {
            Decision::Allowed => Verdict::Allowed,
            Decision::Denied(denial) => match denial.reason {
                Reason::ExplicitDeny(_) => Verdict::ExplicitDeny,
                Reason::NothingAllows(_) => Verdict::ImplicitDeny,
            },
        }
    }
}

/// All policies of a request, with their layers.
fn policies<'a>(evaluation: &Evaluation<'a>) -> Vec<(Layer, Source<'a>, &'a Policy)> {
    let of = |layer| move |Attached { source, policy }: Attached<'a>| (layer, source, policy);
    let resource = evaluation.resource_policy;
    let identity = evaluation.identity.iter().copied().map(of(Layer::IdentityBased));
    let boundary = evaluation.boundary.into_iter().map(of(Layer::PermissionsBoundary));
    let session = evaluation.session.iter().copied().map(of(Layer::Session));
    let granting =
        resource.policy().into_iter().map(|policy| (resource.layer(), Source::Resource, policy));
    identity.chain(boundary).chain(session).chain(granting).collect()
}

fn all_matched<'a>(
    evaluation: &Evaluation<'a>,
    request: &Request<'a>,
    effect: Effect,
) -> Vec<Matched<'a>> {
    let mut found = Vec::new();
    for (layer, source, policy) in policies(evaluation) {
        for (index, statement) in policy.statements.iter().enumerate() {
            if statement.effect == effect && statement.applies(request).is_some() {
                found.push(matched(layer, source, index, statement));
            }
        }
    }
    found
}

fn missing_context_keys<'a>(evaluation: &Evaluation<'a>) -> Vec<&'a str> {
    let all = policies(evaluation).into_iter().flat_map(|(_, _, policy)| policy.context_keys());
    let has = |key: &str| evaluation.context.get(&key.to_ascii_lowercase()).is_some();
    let mut missing: Vec<_> = all.filter(|key| !has(key)).collect();
    missing.sort_unstable_by_key(|key| key.to_ascii_lowercase());
    missing.dedup_by_key(|key| key.to_ascii_lowercase());
    missing
}
