//! What policies would answer, and which context keys they ask for.

use std::collections::BTreeMap;
use std::sync::Arc;

use outport_aws_iam::{
    GetContextKeysForCustomPolicyRequest, GetContextKeysForPolicyResponse,
    GetContextKeysForPrincipalPolicyRequest, SimulateCustomPolicyRequest, SimulatePolicyResponse,
    SimulatePrincipalPolicyRequest,
};
use outport_identity::{Call, Question, Subject};
use outport_model::iam::{Group, Role, User};
use outport_model::{AccountId, Arn};
use outport_store::Tables;

use crate::IamService;
use crate::entity::{find, not_found};
use crate::page::PageRequest;
use crate::rejection::Rejection;
use crate::simulation::{
    self, ANY_RESOURCE, Caller, Document, Entries, Exclusions, Policies, Simulation, is_account,
};

/// Requests of one simulation: actions times resources.
const REQUESTS_MAX: usize = 10_000;
/// The session that a simulated role has where a resource's policy looks at sessions.
const SESSION_NAME: &str = "simulation";

/// The members that both simulations have.
struct Request {
    actions: Vec<String>,
    resources: Vec<String>,
    boundary: Option<Document>,
    resource_policy: Option<Document>,
    resource_owner: Option<AccountId>,
    caller: Option<Caller>,
    context: Entries,
    page: PageRequest,
}

macro_rules! request {
    ($input:ident) => {{
        if $input.resource_handling_option.is_some() {
            return Err(Rejection::not_built("ResourceHandlingOption"));
        }
        Request {
            actions: $input.action_names.unwrap_or_default(),
            resources: resources($input.resource_arns),
            boundary: boundary($input.permissions_boundary_policy_input_list)?,
            resource_policy: simulation::resource_policy($input.resource_policy)?,
            resource_owner: $input.resource_owner.as_deref().map(owner).transpose()?,
            caller: $input.caller_arn.map(caller).transpose()?,
            context: Entries::parse($input.context_entries)?,
            page: PageRequest::parse($input.max_items, $input.marker.as_deref())?,
        }
    }};
}

fn resources(given: Option<Vec<String>>) -> Vec<String> {
    given.filter(|arns| !arns.is_empty()).unwrap_or_else(|| vec![ANY_RESOURCE.to_owned()])
}

fn boundary(given: Option<Vec<String>>) -> Result<Option<Document>, Rejection> {
    let mut documents = simulation::input("PermissionsBoundaryPolicyInputList", given)?;
    let first = documents.pop();
    if documents.is_empty() {
        return Ok(first);
    }
    let text = "A simulation has one permissions boundary at most.";
    Err(Rejection::InvalidInput(text.to_owned()))
}

/// Source: API reference, SimulateCustomPolicy, ResourceOwner: the ARN of an account.
fn owner(arn: &str) -> Result<AccountId, Rejection> {
    let parsed = Arn::parse(arn).filter(|parsed| is_account(parsed.account()));
    let parsed = parsed.filter(|parsed| parsed.resource() == "root" && parsed.service() == "iam");
    parsed.map(|parsed| AccountId::new(parsed.account())).ok_or_else(|| {
        Rejection::InvalidInput(format!("Invalid resource owner: {arn} is no ARN of an account."))
    })
}

/// Source: API reference, SimulateCustomPolicy, CallerArn: "You can specify only the ARN of an IAM user."
fn caller(arn: String) -> Result<Caller, Rejection> {
    match Source::parse(&arn) {
        Ok(Source { account, kind: Kind::User, .. }) => Ok(Caller::User { account, arn }),
        _ => Err(Rejection::InvalidInput(format!("Invalid caller: {arn} is no ARN of a user."))),
    }
}

impl Request {
    /// # Errors
    /// `InvalidInput` for a resource's policy without a caller, and for too many requests.
    fn answer(
        self,
        policies: Policies,
        own: Option<Caller>,
        account: &AccountId,
    ) -> Result<SimulatePolicyResponse, Rejection> {
        let has_user = matches!(self.caller.as_ref().or(own.as_ref()), Some(Caller::User { .. }));
        if self.resource_policy.is_some() && !has_user {
            let text =
                "CallerArn is required with ResourcePolicy, unless the policy source is a user.";
            return Err(Rejection::InvalidInput(text.to_owned()));
        }
        if self.actions.len().saturating_mul(self.resources.len()) > REQUESTS_MAX {
            let text = format!("A simulation has at most {REQUESTS_MAX} requests.");
            return Err(Rejection::InvalidInput(text));
        }
        let caller = self.caller.or(own).unwrap_or_else(|| Caller::User {
            account: account.clone(),
            arn: format!("arn:aws:iam::{account}:user/{SESSION_NAME}"),
        });
        let boundary = self.boundary.or(policies.boundary);
        let simulation = Simulation {
            policies: Policies { boundary, ..policies },
            resource_policy: self.resource_policy,
            owner: self.resource_owner.unwrap_or_else(|| caller.account().clone()),
            caller,
            context: self.context,
        };
        let pairs = self.actions.iter().flat_map(|action| {
            self.resources.iter().map(move |resource| (action.as_str(), resource.as_str()))
        });
        // Keys of the same length, so that their order is that of the numbers.
        let pairs = pairs.enumerate().map(|(at, pair)| (format!("{at:05}"), pair));
        let page = self.page.take(pairs);
        let results =
            page.items.iter().map(|(action, resource)| simulation.evaluate(action, resource));
        Ok(SimulatePolicyResponse {
            evaluation_results: Some(results.collect()),
            is_truncated: page.is_truncated(),
            marker: page.marker,
        })
    }
}

pub async fn simulate_custom_policy(
    service: &IamService,
    call: &Call,
    input: SimulateCustomPolicyRequest,
) -> Result<SimulatePolicyResponse, Rejection> {
    let organizations = input.ordered_organization_policy_input_list;
    if organizations.is_some_and(|policies| !policies.is_empty()) {
        return Err(Rejection::not_built("OrderedOrganizationPolicyInputList"));
    }
    let identity = simulation::input("PolicyInputList", input.policy_input_list)?;
    let request = request!(input);
    let ask = |_: &Tables| Subject::from(Question::without_resource("iam:SimulateCustomPolicy"));
    service.store.read(call, ask)?;
    request.answer(Policies { identity, boundary: None }, None, &call.account)
}

/// Condition keys that follow from the principal are there without being given, which is a guess: the simulator of AWS knows the
/// principal, too.
pub async fn simulate_principal_policy(
    service: &IamService,
    call: &Call,
    input: SimulatePrincipalPolicyRequest,
) -> Result<SimulatePolicyResponse, Rejection> {
    let arn = input.policy_source_arn.unwrap_or_default();
    let source = Source::parse(&arn)?;
    let more = simulation::input("PolicyInputList", input.policy_input_list)?;
    let exclusions = Exclusions::parse(input.policy_exclusion_list)?;
    let mut request = request!(input);
    let ask = |tables: &Tables| source.look(tables, "iam:SimulatePrincipalPolicy");
    let (tables, found) = service.store.read(call, ask)?;
    let found = source.there(found)?;
    let mut policies = found.policies(&tables, &exclusions);
    policies.identity.extend(more);
    let own = found.caller();
    if request.caller.is_none() {
        found.add_keys(&mut request.context);
    }
    request.answer(policies, own, &call.account)
}

pub async fn get_context_keys_for_custom_policy(
    service: &IamService,
    call: &Call,
    input: GetContextKeysForCustomPolicyRequest,
) -> Result<GetContextKeysForPolicyResponse, Rejection> {
    let documents = simulation::input("PolicyInputList", input.policy_input_list)?;
    let action = "iam:GetContextKeysForCustomPolicy";
    service.store.read(call, |_| Subject::from(Question::without_resource(action)))?;
    Ok(context_keys(documents.iter()))
}

pub async fn get_context_keys_for_principal_policy(
    service: &IamService,
    call: &Call,
    input: GetContextKeysForPrincipalPolicyRequest,
) -> Result<GetContextKeysForPolicyResponse, Rejection> {
    let arn = input.policy_source_arn.unwrap_or_default();
    let source = Source::parse(&arn)?;
    let more = simulation::input("PolicyInputList", input.policy_input_list)?;
    let ask = |tables: &Tables| source.look(tables, "iam:GetContextKeysForPrincipalPolicy");
    let (tables, found) = service.store.read(call, ask)?;
    let policies = source.there(found)?.policies(&tables, &Exclusions::parse(None)?);
    Ok(context_keys(policies.identity.iter().chain(&policies.boundary).chain(&more)))
}

/// Each key once, whatever the case of its letters.
fn context_keys<'a>(
    documents: impl Iterator<Item = &'a Document>,
) -> GetContextKeysForPolicyResponse {
    let mut keys = BTreeMap::new();
    for key in documents.flat_map(|document| document.policy.context_keys()) {
        keys.entry(key.to_ascii_lowercase()).or_insert_with(|| key.to_owned());
    }
    GetContextKeysForPolicyResponse { context_key_names: Some(keys.into_values().collect()) }
}

/// The user, group or role whose policies are simulated, by its ARN.
struct Source<'a> {
    arn: &'a str,
    account: AccountId,
    kind: Kind,
    name: String,
}

#[derive(Clone, Copy)]
enum Kind {
    User,
    Group,
    Role,
}

enum Found {
    User(Arc<User>),
    Group(Arc<Group>),
    Role(Arc<Role>),
}

impl<'a> Source<'a> {
    /// # Errors
    /// `InvalidInput`. Source of the text: answers as callers report them.
    fn parse(arn: &'a str) -> Result<Self, Rejection> {
        let unclear = || {
            Rejection::InvalidInput(format!(
                "Invalid Entity Arn: {arn} does not clearly define entity type and name."
            ))
        };
        let parsed = Arn::parse(arn).filter(|parsed| parsed.service() == "iam");
        let parsed = parsed.filter(|parsed| is_account(parsed.account())).ok_or_else(unclear)?;
        let (kind, path) = parsed.resource().split_once('/').ok_or_else(unclear)?;
        let kind = match kind {
            "user" => Kind::User,
            "group" => Kind::Group,
            "role" => Kind::Role,
            _ => return Err(unclear()),
        };
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        Ok(Self { arn, account: AccountId::new(parsed.account()), kind, name })
    }

    fn look(&self, tables: &Tables, action: &'static str) -> Subject<Option<Found>> {
        let (account, name) = (&self.account, self.name.as_str());
        let found = match self.kind {
            Kind::User => find::<User>(tables, account, name).map(Found::User),
            Kind::Group => find::<Group>(tables, account, name).map(Found::Group),
            Kind::Role => find::<Role>(tables, account, name).map(Found::Role),
        };
        let found = found.filter(|found| found.arn() == self.arn);
        let question = Question::new(action, self.arn);
        let question = match &found {
            Some(Found::User(user)) => question.with_resource_tags_of("iam", &user.tags),
            Some(Found::Role(role)) => question.with_resource_tags_of("iam", &role.tags),
            Some(Found::Group(_)) | None => question,
        };
        Subject::new(found, question)
    }

    fn there(&self, found: Option<Found>) -> Result<Found, Rejection> {
        let kind = match self.kind {
            Kind::User => "user",
            Kind::Group => "group",
            Kind::Role => "role",
        };
        found.ok_or_else(|| not_found(kind, &self.name))
    }
}

impl Found {
    fn arn(&self) -> String {
        match self {
            Self::User(user) => user.arn(),
            Self::Group(group) => group.arn(),
            Self::Role(role) => role.arn(),
        }
    }

    fn policies(&self, tables: &Tables, exclusions: &Exclusions) -> Policies {
        match self {
            Self::User(user) => Policies::of_user(tables, user, exclusions),
            Self::Group(group) => Policies::of_group(tables, group, exclusions),
            Self::Role(role) => Policies::of_role(tables, role, exclusions),
        }
    }

    /// A group asks nothing.
    fn caller(&self) -> Option<Caller> {
        match self {
            Self::User(user) => {
                Some(Caller::User { account: user.account.clone(), arn: user.arn() })
            }
            Self::Group(_) => None,
            Self::Role(role) => Some(Caller::Role {
                account: role.account.clone(),
                role_arn: role.arn(),
                session_arn: format!(
                    "arn:aws:sts::{}:assumed-role/{}/{SESSION_NAME}",
                    role.account, role.name
                ),
            }),
        }
    }

    fn add_keys(&self, context: &mut Entries) {
        let tags = match self {
            Self::User(user) => {
                context.default("aws:username", &user.name);
                context.default("aws:userid", &user.id);
                context.default("aws:PrincipalType", "User");
                &user.tags
            }
            Self::Role(role) => {
                context.default("aws:userid", format!("{}:{SESSION_NAME}", role.id));
                context.default("aws:PrincipalType", "AssumedRole");
                &role.tags
            }
            Self::Group(_) => return,
        };
        context.default("aws:PrincipalArn", self.arn());
        for (key, value) in tags {
            context.default(&format!("aws:PrincipalTag/{key}"), value);
        }
    }
}

#[cfg(test)]
#[path = "simulations_tests.rs"]
mod tests;
