//! Users.

use std::collections::BTreeSet;
use std::sync::Arc;

use outport_aws_iam::{
    CreateUserRequest, CreateUserResponse, DeleteUserRequest, GetUserRequest, GetUserResponse,
    ListUsersRequest, ListUsersResponse, UpdateUserRequest,
};
use outport_identity::{Call, Principal, Question, Subject};
use outport_model::AccountId;
use outport_model::iam::{AccessKey, NameKey, Policies, User};
use outport_store::keys::UserKey;
use outport_store::{Row, Tables, Transaction};

use crate::entity::{arn_without_path, look, there};
use crate::operations::boundaries;
use crate::page::PageRequest;
use crate::rejection::Rejection;
use crate::{IamService, ids, quotas, tags, view};

pub async fn create_user(
    service: &IamService,
    call: &Call,
    input: CreateUserRequest,
) -> Result<CreateUserResponse, Rejection> {
    let tags = tags::parse(input.tags)?;
    let user = User {
        account: call.account.clone(),
        name: input.user_name.unwrap_or_default(),
        path: input.path.unwrap_or_else(|| "/".to_owned()),
        id: ids::unique("AIDA")?,
        created_at_ms: call.now_ms,
        policies: Policies::default(),
        permissions_boundary: input.permissions_boundary,
        groups: BTreeSet::new(),
        login_profile: None,
        tags,
    };
    let question = Question::new("iam:CreateUser", user.arn())
        .with_optional("iam:PermissionsBoundary", user.permissions_boundary.clone())
        .with_request_tags(&user.tags);
    service
        .store
        .write(
            call,
            |_| Subject::from(question.clone()),
            |tx, ()| {
                boundaries::check(tx, user.permissions_boundary.as_deref())?;
                if tx.users.contains(&user.key()) {
                    return Err(exists(&user.name));
                }
                if tx.users.of_account(&user.account).count() >= quotas::USERS_PER_ACCOUNT {
                    return Err(Rejection::quota("UsersPerAccount", quotas::USERS_PER_ACCOUNT));
                }
                tx.put(user.clone());
                Ok(CreateUserResponse { user: Some(view::user(&user)) })
            },
        )
        .await
}

fn exists(name: &str) -> Rejection {
    Rejection::EntityAlreadyExists(format!("User with name {name} already exists."))
}

/// The user that an operation is about: without a name, the caller.
///
/// # Errors
/// `ValidationError` when the caller is no user. Source: answers as callers report them.
pub(super) fn named<'a>(call: &'a Call, name: Option<&'a str>) -> Result<&'a str, Rejection> {
    name.or(call.principal.user_name()).ok_or_else(|| {
        Rejection::Validation(
            "Must specify userName when calling with non-User credentials".to_owned(),
        )
    })
}

/// Without a name it tells of the caller, also of the account's root.
/// Source: API reference, GetUser: "If you do not specify a user name, IAM determines the user name implicitly".
pub async fn get_user(
    service: &IamService,
    call: &Call,
    input: GetUserRequest,
) -> Result<GetUserResponse, Rejection> {
    if let (None, Principal::Root { account }) = (&input.user_name, &call.principal) {
        let ask = |_: &Tables| Subject::from(Question::new("iam:GetUser", call.principal.arn()));
        service.store.read(call, ask)?;
        let root = outport_aws_iam::User {
            user_id: Some(account.to_string()),
            arn: Some(call.principal.arn()),
            create_date: view::time(0),
            ..Default::default()
        };
        return Ok(GetUserResponse { user: Some(root) });
    }
    let name = named(call, input.user_name.as_deref())?;
    let (_, found) = service
        .store
        .read(call, |tables| look::<User>(tables, &call.account, name, "iam:GetUser"))?;
    Ok(GetUserResponse { user: Some(view::user(&*there(found, name)?)) })
}

pub async fn list_users(
    service: &IamService,
    call: &Call,
    input: ListUsersRequest,
) -> Result<ListUsersResponse, Rejection> {
    let page = PageRequest::parse(input.max_items, input.marker.as_deref())?;
    let prefix = input.path_prefix.as_deref().unwrap_or("/");
    let ask = |_: &Tables| {
        let resource = arn_without_path(&call.account, "user", "");
        Subject::from(Question::new("iam:ListUsers", resource))
    };
    let (tables, ()) = service.store.read(call, ask)?;
    let users = tables.users.of_account(&call.account);
    let users = users.filter(|user| user.path.starts_with(prefix));
    let page = page.take(users.map(|user| (user.key().name.to_string(), view::user_in_list(user))));
    Ok(ListUsersResponse {
        is_truncated: page.is_truncated(),
        users: Some(page.items),
        marker: page.marker,
    })
}

/// A user that is named anew keeps its id, groups and keys.
pub async fn update_user(
    service: &IamService,
    call: &Call,
    input: UpdateUserRequest,
) -> Result<(), Rejection> {
    let name = input.user_name.as_deref().unwrap_or_default();
    let ask = |tables: &Tables| {
        let subject = look::<User>(tables, &call.account, name, "iam:UpdateUser");
        // Source: API reference, UpdateUser: the permission is needed on both, the old name and the new one.
        let target = input.new_user_name.as_deref().unwrap_or(name);
        let path = input.new_path.as_deref().unwrap_or("/");
        let target = format!("arn:aws:iam::{}:user{path}{target}", call.account);
        subject.and(Question::new("iam:UpdateUser", target))
    };
    service
        .store
        .write(call, ask, |tx, found| {
            let user = there(found, name)?;
            let mut new = User::clone(&user);
            if let Some(path) = &input.new_path {
                new.path.clone_from(path);
            }
            if let Some(name) = &input.new_user_name {
                new.name.clone_from(name);
            }
            if new.key() != user.key() {
                if tx.users.contains(&new.key()) {
                    return Err(exists(&new.name));
                }
                rename_keys(tx, &user, &new);
                tx.remove::<User>(&user.key());
            }
            tx.put(new);
            Ok(())
        })
        .await
}

fn rename_keys(tx: &mut Transaction<'_>, old: &User, new: &User) {
    let owner = NameKey::of(&old.name);
    let keys: Vec<String> =
        tx.access_keys.of_owner(&old.account, Some(&owner)).iter().cloned().collect();
    for key in keys {
        tx.update::<AccessKey>(&key, |key| key.user = Some(NameKey::of(&new.name)));
    }
}

pub async fn delete_user(
    service: &IamService,
    call: &Call,
    input: DeleteUserRequest,
) -> Result<(), Rejection> {
    let name = input.user_name.as_deref().unwrap_or_default();
    let ask = |tables: &Tables| look::<User>(tables, &call.account, name, "iam:DeleteUser");
    service
        .store
        .write_always(call, ask, |tx, found| {
            let user = there(found, name)?;
            check_bare(tx, &call.account, &user)?;
            tx.remove::<User>(&user.key());
            Ok(())
        })
        .await
}

/// # Errors
/// `DeleteConflict`, with the first thing that hangs on the user.
fn check_bare(tables: &Tables, account: &AccountId, user: &Arc<User>) -> Result<(), Rejection> {
    let UserKey { name, .. } = user.key();
    let keys = tables.access_keys.of_owner(account, Some(&name));
    let hangs = [
        (!user.policies.attached.is_empty(), "must detach all policies first"),
        (!user.policies.inline.is_empty(), "must delete policies first"),
        (!keys.is_empty(), "must delete access keys first"),
        (!user.groups.is_empty(), "must remove users from group first"),
        (user.login_profile.is_some(), "must delete login profile first"),
    ];
    match hangs.iter().find(|(hangs, _)| *hangs) {
        Some((_, first)) => {
            Err(Rejection::DeleteConflict(format!("Cannot delete entity, {first}.")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use outport_identity::Principal;
    use outport_model::AccountId;

    use crate::testing::{ALLOWS, World};

    fn ann() -> [(&'static str, &'static str); 1] {
        [("UserName", "ann")]
    }

    #[tokio::test]
    async fn a_user_is_made_shown_named_anew_and_deleted() {
        let world = World::new();
        let tag = [("Tags.member.1.Key", "team"), ("Tags.member.1.Value", "blue")];
        let input = [&[("UserName", "Ann"), ("Path", "/team/")][..], &tag].concat();
        let made = world.call("CreateUser", &input).await;
        World::has(
            &made,
            &[
                ("Arn", &["arn:aws:iam::000000000000:user/team/Ann"]),
                ("Path", &["/team/"]),
                ("CreateDate", &["2026-01-01T00:00:00Z"]),
                ("Value", &["blue"]),
            ],
        );
        world
            .refuses(
                "CreateUser",
                &ann(),
                "EntityAlreadyExists",
                "User with name ann already exists.",
            )
            .await;
        let shown = world.call("GetUser", &ann()).await;
        World::has(&shown, &[("UserName", &["Ann"]), ("Value", &["blue"])]);
        let list = world.call("ListUsers", &[("PathPrefix", "/team/")]).await;
        World::has(&list, &[("UserName", &["Ann"]), ("Value", &[]), ("IsTruncated", &["false"])]);
        let none = world.call("ListUsers", &[("PathPrefix", "/other/")]).await;
        World::has(&none, &[("UserName", &[])]);
        world.call("CreateAccessKey", &ann()).await;
        world.call("UpdateUser", &[("UserName", "ann"), ("NewUserName", "bob")]).await;
        world
            .refuses("GetUser", &ann(), "NoSuchEntity", "The user with name ann cannot be found.")
            .await;
        let keys = world.call("ListAccessKeys", &[("UserName", "bob")]).await;
        World::has(&keys, &[("Status", &["Active"]), ("UserName", &["bob"])]);
        let text = "Cannot delete entity, must delete access keys first.";
        world.refuses("DeleteUser", &[("UserName", "bob")], "DeleteConflict", text).await;
    }

    /// A user that only changes the case of its letters stays.
    #[tokio::test]
    async fn a_name_may_change_its_case() {
        let world = World::new();
        world.call("CreateUser", &ann()).await;
        world.call("UpdateUser", &[("UserName", "ann"), ("NewUserName", "ANN")]).await;
        World::has(&world.call("GetUser", &ann()).await, &[("UserName", &["ANN"])]);
    }

    #[tokio::test]
    async fn what_hangs_on_a_user_goes_first() {
        let world = World::new();
        world.call("CreateUser", &ann()).await;
        let policy = [("UserName", "ann"), ("PolicyName", "p")];
        world.call("PutUserPolicy", &[&policy[..], &[("PolicyDocument", ALLOWS)]].concat()).await;
        let text = "Cannot delete entity, must delete policies first.";
        world.refuses("DeleteUser", &ann(), "DeleteConflict", text).await;
        world.call("DeleteUserPolicy", &policy).await;
        let arn = ("PolicyArn", "arn:aws:iam::aws:policy/AdministratorAccess");
        world.call("AttachUserPolicy", &[("UserName", "ann"), arn]).await;
        let text = "Cannot delete entity, must detach all policies first.";
        world.refuses("DeleteUser", &ann(), "DeleteConflict", text).await;
        world.call("DetachUserPolicy", &[("UserName", "ann"), arn]).await;
        world.call("CreateGroup", &[("GroupName", "g")]).await;
        world.call("AddUserToGroup", &[("UserName", "ann"), ("GroupName", "g")]).await;
        let text = "Cannot delete entity, must remove users from group first.";
        world.refuses("DeleteUser", &ann(), "DeleteConflict", text).await;
        world.call("RemoveUserFromGroup", &[("UserName", "ann"), ("GroupName", "g")]).await;
        world.call("DeleteUser", &ann()).await;
    }

    #[tokio::test]
    async fn who_asks_without_a_name_is_told_of_itself() {
        let mut world = World::new();
        let root = world.call("GetUser", &[]).await;
        World::has(&root, &[("Arn", &["arn:aws:iam::000000000000:root"]), ("UserName", &[])]);
        world.become_caller(Principal::AssumedRole {
            account: AccountId::new("000000000000"),
            path: "/".into(),
            role: "app".into(),
            role_id: "AROA1".into(),
            session_name: "s".into(),
        });
        let text = "Must specify userName when calling with non-User credentials";
        world.refuses("GetUser", &[], "ValidationError", text).await;
    }
}
