//! Users, groups and roles, as far as they are alike.

use std::sync::Arc;

use outport_identity::{Question, Subject};
use outport_model::iam::{Group, NameKey, Policies, Role, User};
use outport_model::{AccountId, Tags};
use outport_store::keys::{GroupKey, RoleKey, UserKey};
use outport_store::{InTables, Keeps, Tables};

use crate::quotas;
use crate::rejection::Rejection;

/// What policies can be put on.
pub trait Entity: InTables {
    /// In IAM's texts and ARNs.
    const KIND: &'static str;
    const INLINE_CHARS_MAX: usize;
    fn key_of(account: &AccountId, name: &str) -> Self::Key;
    fn arn(&self) -> String;
    fn policies(&self) -> &Policies;
    fn policies_mut(&mut self) -> &mut Policies;
    /// Groups have none.
    fn tags(&self) -> Option<&Tags>;
    fn boundary(&self) -> Option<&String>;
    /// The service that alone may change it.
    fn linked_service(&self) -> Option<&str>;
}

macro_rules! entity {
    ($row:ty, $key:ident, $kind:literal, $chars:ident, $tags:expr, $boundary:expr, $linked:expr) => {
        impl Entity for $row {
            const KIND: &'static str = $kind;
            const INLINE_CHARS_MAX: usize = quotas::$chars;
            fn key_of(account: &AccountId, name: &str) -> $key {
                $key::new(account, NameKey::of(name))
            }
            fn arn(&self) -> String {
                <$row>::arn(self)
            }
            fn policies(&self) -> &Policies {
                &self.policies
            }
            fn policies_mut(&mut self) -> &mut Policies {
                &mut self.policies
            }
            fn tags(&self) -> Option<&Tags> {
                let tags: fn(&$row) -> Option<&Tags> = $tags;
                tags(self)
            }
            fn boundary(&self) -> Option<&String> {
                let boundary: fn(&$row) -> Option<&String> = $boundary;
                boundary(self)
            }
            fn linked_service(&self) -> Option<&str> {
                let linked: fn(&$row) -> Option<&str> = $linked;
                linked(self)
            }
        }
    };
}

entity!(
    User,
    UserKey,
    "user",
    INLINE_CHARS_USER,
    |user| Some(&user.tags),
    |user| user.permissions_boundary.as_ref(),
    |_| None
);
entity!(Group, GroupKey, "group", INLINE_CHARS_GROUP, |_| None, |_| None, |_| None);
entity!(
    Role,
    RoleKey,
    "role",
    INLINE_CHARS_ROLE,
    |role| Some(&role.tags),
    |role| role.permissions_boundary.as_ref(),
    Role::linked_service
);

/// What there may be under a name, and the question about it.
///
/// Source of resources and condition keys: "Actions, resources, and condition keys for AWS Identity and Access Management".
/// What is not there is asked about by the ARN that it would have without a path; a refusal names both alike, "role app", as callers of
/// AWS report it, so that nobody learns by it what there is.
pub fn look<E: Entity>(
    tables: &Tables,
    account: &AccountId,
    name: &str,
    action: &'static str,
) -> Subject<Option<Arc<E>>> {
    let found = find::<E>(tables, account, name);
    let question = match &found {
        Some(row) => {
            let question = Question::new(action, row.arn())
                .with_optional("iam:PermissionsBoundary", row.boundary().cloned());
            match row.tags() {
                Some(tags) => question.with_resource_tags_of("iam", tags),
                None => question,
            }
        }
        None => Question::new(action, arn_without_path(account, E::KIND, name)),
    };
    Subject::new(found, question.shown_as(format!("{} {name}", E::KIND)))
}

pub fn find<E: Entity>(tables: &Tables, account: &AccountId, name: &str) -> Option<Arc<E>> {
    E::table(tables).row(&E::key_of(account, name))
}

/// # Errors
/// `NoSuchEntity`.
pub fn there<E: Entity>(found: Option<Arc<E>>, name: &str) -> Result<Arc<E>, Rejection> {
    found.ok_or_else(|| not_found(E::KIND, name))
}

/// One that its owner may change: not the role that a service made for itself.
///
/// # Errors
/// `NoSuchEntity`, `UnmodifiableEntity`. Source of the text: answers as callers report them.
pub fn own<E: Entity>(found: Option<Arc<E>>, name: &str) -> Result<Arc<E>, Rejection> {
    let entity = there(found, name)?;
    match entity.linked_service() {
        None => Ok(entity),
        Some(_) => Err(Rejection::UnmodifiableEntity(format!(
            "Cannot perform the operation on the protected role '{name}' - this role is only modifiable by AWS"
        ))),
    }
}

pub fn not_found(kind: &str, name: &str) -> Rejection {
    Rejection::NoSuchEntity(format!("The {kind} with name {name} cannot be found."))
}

pub fn arn_without_path(account: &AccountId, kind: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:{kind}/{name}")
}
