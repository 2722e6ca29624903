//! The rows behind a principal.

use std::sync::Arc;

use outport_identity::Principal;
use outport_model::iam::{Group, Role, User};
use outport_model::{AccountId, Tags};
use outport_store::Tables;
use outport_store::keys::{GroupKey, RoleKey, UserKey};

/// What there is of a principal.
pub enum Entity {
    /// The account itself.
    Root,
    User(Arc<User>),
    Role(Arc<Role>),
    /// Who has shown a token: nothing but the policies of resources is about them.
    WebIdentity,
    /// The user or role is gone, or another one has its name now.
    Gone,
}

impl Entity {
    /// Of whom the permissions are: for a federated user, of who gave them.
    pub fn find(tables: &Tables, principal: &Principal) -> Self {
        match principal {
            Principal::Root { .. } | Principal::FederatedUser { by: None, .. } => Self::Root,
            Principal::WebIdentity { .. } => Self::WebIdentity,
            Principal::Anonymous { .. } => Self::Gone,
            Principal::User { account, name, id, .. } => Self::user(tables, account, name, id),
            Principal::FederatedUser { account, by: Some(by), .. } => {
                Self::user(tables, account, &by.name, &by.id)
            }
            Principal::AssumedRole { account, role, role_id, .. } => {
                let role = tables.roles.get(&RoleKey::new(account, role.as_str()));
                let role = role.filter(|role| role.id == *role_id);
                role.map_or(Self::Gone, |role| Self::Role(Arc::clone(role)))
            }
        }
    }

    fn user(tables: &Tables, account: &AccountId, name: &str, id: &str) -> Self {
        let user = tables.users.get(&UserKey::new(account, name));
        let user = user.filter(|user| user.id == *id);
        user.map_or(Self::Gone, |user| Self::User(Arc::clone(user)))
    }

    pub fn tags(&self) -> Option<&Tags> {
        match self {
            Self::User(user) => Some(&user.tags),
            Self::Role(role) => Some(&role.tags),
            Self::Root | Self::WebIdentity | Self::Gone => None,
        }
    }

    pub fn boundary(&self) -> Option<&str> {
        match self {
            Self::User(user) => user.permissions_boundary.as_deref(),
            Self::Role(role) => role.permissions_boundary.as_deref(),
            Self::Root | Self::WebIdentity | Self::Gone => None,
        }
    }
}

/// The groups of a user that are there.
pub fn groups<'a>(tables: &'a Tables, user: &'a User) -> impl Iterator<Item = &'a Arc<Group>> {
    let key = |name| GroupKey::new(&user.account, name);
    user.groups.iter().filter_map(move |name| tables.groups.get(&key(name)))
}
