//! What a principal may do.

use std::fmt;
use std::sync::Arc;

use outport_identity::{
    AuthorizationRequest, Denied, DenyingStatement, FederatingUser, PermissionSource, Principal,
    ResourcePolicy,
};
use outport_model::iam::{Group, Policies, Role, User};
use outport_policy as policy;
use outport_policy::{Attached, Evaluation, FederatedBy, Policy, Source};
use outport_store::keys::{GroupKey, RoleKey, UserKey};
use outport_store::{Row, Store, Tables};

use crate::compiled::{Compiled, Inline, InlineOf, Kind};
use crate::context::Keys;
use crate::gathered::{self, Gathered};
use crate::principal::{Entity, groups};

/// Decides by the rows of IAM.
pub struct StoredPermissions {
    store: Store,
    compiled: Compiled,
    users: InlineOf<UserKey, User>,
    groups: InlineOf<GroupKey, Group>,
    roles: InlineOf<RoleKey, Role>,
    gathered: gathered::Kept,
}

impl fmt::Debug for StoredPermissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredPermissions").finish_non_exhaustive()
    }
}

/// What `AllowUsersToChangePassword` of an account's password policy allows its users: ChangePassword is about the caller only.
/// Source: IAM user guide, "Permit IAM users to change their own passwords".
const OWN_PASSWORD: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:ChangePassword","iam:GetAccountPasswordPolicy"],"Resource":"*"}]}"#;

fn may_change_password(tables: &Tables, user: &User) -> bool {
    let policy = tables.accounts.get(&user.account).and_then(|row| row.password_policy.as_ref());
    policy.is_some_and(|policy| policy.allow_users_to_change)
}

impl StoredPermissions {
    pub fn new(store: Store) -> Self {
        Self {
            store,
            compiled: Compiled::default(),
            users: InlineOf::default(),
            groups: InlineOf::default(),
            roles: InlineOf::default(),
            gathered: gathered::Kept::default(),
        }
    }

    /// Whether there is a user or a role behind it, still.
    pub(crate) fn knows(&self, principal: &Principal) -> bool {
        let entity = Entity::find(&self.store.snapshot(), principal);
        !matches!(entity, Entity::WebIdentity | Entity::Gone)
    }

    /// A policy that is gone denies everything: what it would have denied is not known.
    fn managed(&self, tables: &Tables, arn: &str) -> (String, Arc<Policy>) {
        let policy = self.compiled.managed(tables, arn);
        (arn.to_owned(), policy.unwrap_or_else(|| Arc::new(Policy::denying_everything())))
    }

    fn add(&self, tables: &Tables, gathered: &mut Gathered, inline: Inline, policies: &Policies) {
        gathered.inline.push(inline);
        gathered.managed.extend(policies.attached.iter().map(|arn| self.managed(tables, arn)));
    }

    /// What was gathered last, if nothing of IAM has changed since.
    fn of_entity(&self, tables: &Tables, entity: &Entity) -> Arc<Gathered> {
        self.gathered.of(tables, entity, || self.gather(tables, entity))
    }

    fn gather(&self, tables: &Tables, entity: &Entity) -> Gathered {
        let mut gathered = Gathered::default();
        match entity {
            Entity::User(user) => {
                let inline = self.users.of(user.key(), user, |user| &user.policies.inline);
                self.add(tables, &mut gathered, inline, &user.policies);
                for group in groups(tables, user) {
                    let inline = self.groups.of(group.key(), group, |row| &row.policies.inline);
                    self.add(tables, &mut gathered, inline, &group.policies);
                }
                if may_change_password(tables, user) {
                    gathered.unnamed.push(self.compiled.text(OWN_PASSWORD, Kind::Session));
                }
            }
            Entity::Role(role) => {
                let inline = self.roles.of(role.key(), role, |role| &role.policies.inline);
                self.add(tables, &mut gathered, inline, &role.policies);
            }
            Entity::Root | Entity::WebIdentity | Entity::Gone => {}
        }
        gathered
    }

    fn of_session(&self, tables: &Tables, request: &AuthorizationRequest<'_>) -> Gathered {
        let mut gathered = Gathered::default();
        let Some(session) = request.session else { return gathered };
        if let Some(text) = &session.policy {
            gathered.unnamed.push(self.compiled.text(text, Kind::Session));
        }
        gathered.managed.extend(session.policy_arns.iter().map(|arn| self.managed(tables, arn)));
        gathered
    }

    fn of_resource(&self, given: Option<&ResourcePolicy>) -> Option<Arc<Policy>> {
        let (text, kind) = match given? {
            ResourcePolicy::Ordinary(text) | ResourcePolicy::Key(text) => (text, Kind::Resource),
            ResourcePolicy::Repository(text) => (text, Kind::Repository),
            ResourcePolicy::RoleTrust(text) => (text, Kind::RoleTrust),
        };
        Some(self.compiled.text(text, kind))
    }
}

/// The policy of the resource, with what follows from it.
fn resource_policy<'a>(
    given: Option<&ResourcePolicy>,
    compiled: Option<&'a Arc<Policy>>,
) -> policy::ResourcePolicy<'a> {
    match (given, compiled) {
        (Some(ResourcePolicy::RoleTrust(_)), Some(policy)) => {
            policy::ResourcePolicy::RoleTrust(policy)
        }
        (Some(ResourcePolicy::Key(_)), Some(policy)) => policy::ResourcePolicy::Key(policy),
        (Some(ResourcePolicy::Ordinary(_) | ResourcePolicy::Repository(_)), Some(policy)) => {
            policy::ResourcePolicy::Ordinary(policy)
        }
        (_, None) | (None, _) => policy::ResourcePolicy::None,
    }
}

impl PermissionSource for StoredPermissions {
    fn decide(&self, request: &AuthorizationRequest<'_>) -> Result<(), Denied> {
        let tables = self.store.snapshot();
        let entity = Entity::find(&tables, request.principal);
        let Some(owner) = request.owner() else {
            return Err(Denied::by_no_identity_based_policy(request));
        };
        if matches!(entity, Entity::Gone) {
            return Err(Denied::by_no_identity_based_policy(request));
        }
        let identity = self.of_entity(&tables, &entity);
        let session = self.of_session(&tables, request);
        let boundary = entity.boundary().map(|arn| self.managed(&tables, arn));
        let of_resource = self.of_resource(request.resource_policy);
        let keys = Keys {
            request: request.context,
            session_tags: request.session.map(|session| &session.tags),
            principal_tags: entity.tags(),
            owner: &owner,
        };
        let names = Names::of(request.principal);
        let (identity, session) = (identity.attached(), session.attached());
        let evaluation = Evaluation {
            principal: names.principal(request.principal),
            owner: &owner,
            action: request.action,
            resource: request.resource,
            context: &keys,
            identity: &identity,
            boundary: boundary
                .as_ref()
                .map(|(arn, policy)| Attached { source: Source::Managed(arn), policy }),
            session: &session,
            resource_policy: resource_policy(request.resource_policy, of_resource.as_ref()),
        };
        match policy::decide(&evaluation) {
            policy::Decision::Allowed => Ok(()),
            policy::Decision::Denied(denial) => {
                let denying = match denial.reason {
                    policy::Reason::ExplicitDeny(_) => policy::denying(&evaluation),
                    policy::Reason::NothingAllows(_) => Vec::new(),
                };
                let denying = denying.into_iter().map(denying_statement).collect();
                let message = denial.message_about(&evaluation, request.shown_resource);
                Err(Denied::new(request, message, denying))
            }
        }
    }
}

fn denying_statement(found: policy::Denying<'_>) -> DenyingStatement {
    DenyingStatement {
        id: found.sid.unwrap_or_default().to_owned(),
        actions: found.actions.to_vec(),
        resources: found.resources.to_vec(),
    }
}

/// The names of a principal, alive for one decision.
struct Names {
    own: String,
    /// The ARN of the role of a session, or of the user that federated.
    parent: String,
    /// The unique id.
    id: String,
}

impl Names {
    fn of(principal: &Principal) -> Self {
        let parent = match principal {
            Principal::FederatedUser {
                account,
                by: Some(FederatingUser { path, name, .. }),
                ..
            } => {
                format!("arn:aws:iam::{account}:user{path}{name}")
            }
            _ => principal.principal_arn(),
        };
        Self { own: principal.arn(), parent, id: principal.user_id() }
    }

    fn principal<'a>(&'a self, principal: &'a Principal) -> policy::Principal<'a> {
        let (account, arn, id) = (principal.account(), self.own.as_str(), self.id.as_str());
        match principal {
            Principal::Root { .. } => policy::Principal::Root { account, arn },
            Principal::User { .. } => policy::Principal::User { account, arn, id },
            Principal::WebIdentity { .. } | Principal::Anonymous { .. } => {
                policy::Principal::Identified { provider: arn }
            }
            Principal::AssumedRole { .. } => policy::Principal::RoleSession {
                account,
                role_arn: &self.parent,
                session_arn: arn,
                id,
            },
            Principal::FederatedUser { by, .. } => policy::Principal::FederatedUser {
                account,
                arn,
                federated_by: match by {
                    Some(by) => FederatedBy::User { arn: &self.parent, id: &by.id },
                    None => FederatedBy::Root,
                },
            },
        }
    }
}
