//! What policies would answer: the requests that a simulation asks, one after the other, of given policies.
//!
//! **Invariant:** nothing is done and nothing is asked of the world: the answers follow from the documents, the principal and
//! the context that are handed in, by the same [`outport_policy`] that decides for real.
//!
//! Source: API reference, SimulateCustomPolicy and SimulatePrincipalPolicy, and what EvaluationResult says of its members.
//! The names in EvalDecisionDetails are those of the reference's examples.

mod context;
mod documents;

use std::collections::BTreeMap;

use outport_aws_iam as wire;
use outport_model::{AccountId, Arn};
use outport_policy::{
    Attached, Evaluation, Explanation, Matched, Principal, ResourcePolicy, Source, Verdict,
    explain, statement_positions,
};

pub use context::Entries;
pub use documents::{Document, Exclusions, Policies, input, resource_policy};

/// What stands for all resources.
pub const ANY_RESOURCE: &str = "*";

/// Who simulates names principals by their ARNs, in its own resource policy, too.
const NO_ID: &str = "";

/// Who asks in a simulation.
pub enum Caller {
    User { account: AccountId, arn: String },
    Role { account: AccountId, role_arn: String, session_arn: String },
}

impl Caller {
    pub fn account(&self) -> &AccountId {
        match self {
            Self::User { account, .. } | Self::Role { account, .. } => account,
        }
    }

    fn principal(&self) -> Principal<'_> {
        match self {
            Self::User { account, arn } => Principal::User { account, arn, id: NO_ID },
            Self::Role { account, role_arn, session_arn } => {
                Principal::RoleSession { account, role_arn, session_arn, id: NO_ID }
            }
        }
    }
}

/// All that the answers of a simulation depend on, but for action and resource.
pub struct Simulation {
    pub policies: Policies,
    pub resource_policy: Option<Document>,
    pub caller: Caller,
    /// The owner of resources whose ARN names none.
    pub owner: AccountId,
    pub context: Entries,
}

impl Simulation {
    /// One request. Which context keys are missing stands with the resource, where one is named.
    pub fn evaluate(&self, action: &str, resource: &str) -> wire::EvaluationResult {
        let owner = self.owner_of(resource);
        let keys: Vec<String> =
            (0..self.policies.identity.len()).map(|at| at.to_string()).collect();
        let identity: Vec<_> = self
            .policies
            .identity
            .iter()
            .zip(&keys)
            .map(|(document, key)| attached(document, key))
            .collect();
        let evaluation = Evaluation {
            principal: self.caller.principal(),
            owner: &owner,
            action,
            resource,
            context: &self.context,
            identity: &identity,
            boundary: self.policies.boundary.as_ref().map(|document| attached(document, BOUNDARY)),
            session: &[],
            resource_policy: match &self.resource_policy {
                Some(document) => ResourcePolicy::Ordinary(&document.policy),
                None => ResourcePolicy::None,
            },
        };
        let explanation = explain(&evaluation);
        self.view(action, resource, &owner, &explanation)
    }

    fn owner_of(&self, resource: &str) -> AccountId {
        let arn = Arn::parse(resource);
        let named = arn.as_ref().map(Arn::account).filter(|account| is_account(account));
        named.map_or_else(|| self.owner.clone(), AccountId::new)
    }

    fn view(
        &self,
        action: &str,
        resource: &str,
        owner: &AccountId,
        explanation: &Explanation<'_>,
    ) -> wire::EvaluationResult {
        let decision = Some(verdict(Verdict::from(explanation.decision)));
        let statements: Vec<_> =
            explanation.matched.iter().filter_map(|matched| self.statement(matched)).collect();
        let missing: Vec<_> =
            explanation.missing_context_keys.iter().map(|key| (*key).to_owned()).collect();
        let boundary = explanation.is_allowed_by_boundary.map(|is_allowed| {
            wire::PermissionsBoundaryDecisionDetail {
                allowed_by_permissions_boundary: Some(is_allowed),
            }
        });
        let names_resource = resource != ANY_RESOURCE;
        let is_cross_account = owner != self.caller.account();
        let details = match (is_cross_account, names_resource) {
            (true, _) => Some(self.details(explanation)),
            (false, true) => Some(BTreeMap::new()),
            (false, false) => None,
        };
        let specific = names_resource.then(|| wire::ResourceSpecificResult {
            eval_resource_name: Some(resource.to_owned()),
            eval_resource_decision: decision,
            matched_statements: Some(statements.clone()),
            missing_context_values: Some(missing.clone()),
            eval_decision_details: details.clone(),
            permissions_boundary_decision_detail: boundary.clone(),
        });
        wire::EvaluationResult {
            eval_action_name: Some(action.to_owned()),
            eval_resource_name: Some(resource.to_owned()),
            eval_decision: decision,
            matched_statements: Some(statements),
            missing_context_values: Some(if names_resource { Vec::new() } else { missing }),
            organizations_decision_detail: None,
            permissions_boundary_decision_detail: boundary,
            eval_decision_details: details,
            resource_specific_results: specific.map(|specific| vec![specific]),
        }
    }

    fn details(
        &self,
        explanation: &Explanation<'_>,
    ) -> BTreeMap<String, wire::PolicyEvaluationDecisionType> {
        let identity = ("IAM Policy", explanation.identity);
        let resource = ("Resource Policy", explanation.resource);
        let sides = [identity, resource].into_iter();
        sides.map(|(name, side)| (name.to_owned(), verdict(side))).collect()
    }

    fn statement(&self, matched: &Matched<'_>) -> Option<wire::Statement> {
        let document = match matched.source {
            Source::Resource => self.resource_policy.as_ref()?,
            Source::Inline(BOUNDARY) => self.policies.boundary.as_ref()?,
            Source::Inline(key) | Source::Managed(key) => {
                self.policies.identity.get(key.parse::<usize>().ok()?)?
            }
        };
        let positions = statement_positions(&document.text);
        let (start, end) = positions.get(matched.index).copied().unzip();
        let position = |position: outport_policy::Position| wire::Position {
            line: i32::try_from(position.line).ok(),
            column: i32::try_from(position.column).ok(),
        };
        Some(wire::Statement {
            source_policy_id: Some(document.id.clone()),
            source_policy_type: Some(document.source),
            start_position: start.map(position),
            end_position: end.map(position),
        })
    }
}

/// The key of the boundary, beside the numbers of the identity-based policies.
const BOUNDARY: &str = "boundary";

fn attached<'a>(document: &'a Document, key: &'a str) -> Attached<'a> {
    Attached { source: Source::Inline(key), policy: &document.policy }
}

fn verdict(verdict: Verdict) -> wire::PolicyEvaluationDecisionType {
    match verdict {
        Verdict::Allowed => wire::PolicyEvaluationDecisionType::Allowed,
        Verdict::ExplicitDeny => wire::PolicyEvaluationDecisionType::ExplicitDeny,
        Verdict::ImplicitDeny => wire::PolicyEvaluationDecisionType::ImplicitDeny,
    }
}

/// Whether it is the number of an account: the managed policies of AWS belong to `aws`.
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}
