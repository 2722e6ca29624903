//! Who is in which group.

use outport_aws_iam::{
    AddUserToGroupRequest, ListGroupsForUserRequest, ListGroupsForUserResponse,
    RemoveUserFromGroupRequest,
};
use outport_identity::Call;
use outport_model::iam::{Group, NameKey, User};
use outport_store::keys::GroupKey;
use outport_store::{Row, Tables};

use crate::entity::{find, look, there};
use crate::page::PageRequest;
use crate::rejection::Rejection;
use crate::{IamService, quotas, view};

/// Adding a member again is no error.
pub async fn add_user_to_group(
    service: &IamService,
    call: &Call,
    input: AddUserToGroupRequest,
) -> Result<(), Rejection> {
    let group = input.group_name.as_deref().unwrap_or_default();
    let user = input.user_name.as_deref().unwrap_or_default();
    change(service, call, "iam:AddUserToGroup", (group, user), |member, key| {
        if member.groups.len() >= quotas::GROUPS_PER_USER && !member.groups.contains(&key) {
            return Err(Rejection::quota("GroupsPerUser", quotas::GROUPS_PER_USER));
        }
        member.groups.insert(key);
        Ok(())
    })
    .await
}

/// Who is not in the group is none of its users: `NoSuchEntity`.
pub async fn remove_user_from_group(
    service: &IamService,
    call: &Call,
    input: RemoveUserFromGroupRequest,
) -> Result<(), Rejection> {
    let group = input.group_name.as_deref().unwrap_or_default();
    let user = input.user_name.as_deref().unwrap_or_default();
    change(service, call, "iam:RemoveUserFromGroup", (group, user), |member, key| {
        if member.groups.remove(&key) {
            return Ok(());
        }
        Err(Rejection::NoSuchEntity(format!("User {user} not in group {group}")))
    })
    .await
}

/// The action is on the group. Source: "Actions, resources, and condition keys for AWS Identity and Access Management".
async fn change(
    service: &IamService,
    call: &Call,
    action: &'static str,
    (group, user): (&str, &str),
    change: impl FnOnce(&mut User, NameKey) -> Result<(), Rejection>,
) -> Result<(), Rejection> {
    let ask = |tables: &Tables| look::<Group>(tables, &call.account, group, action);
    service
        .store
        .write(call, ask, |tx, found| {
            let group = there(found, group)?;
            let mut member = User::clone(&*there(find::<User>(tx, &call.account, user), user)?);
            change(&mut member, NameKey::of(&group.name))?;
            tx.put(member);
            Ok(())
        })
        .await
}

pub async fn list_groups_for_user(
    service: &IamService,
    call: &Call,
    input: ListGroupsForUserRequest,
) -> Result<ListGroupsForUserResponse, Rejection> {
    let page = PageRequest::parse(input.max_items, input.marker.as_deref())?;
    let name = input.user_name.as_deref().unwrap_or_default();
    let ask = |tables: &Tables| look::<User>(tables, &call.account, name, "iam:ListGroupsForUser");
    let (tables, found) = service.store.read(call, ask)?;
    let user = there(found, name)?;
    let groups = user.groups.iter().filter_map(|name| {
        let group = tables.groups.get(&GroupKey::new(&call.account, name))?;
        Some((group.key().name.to_string(), view::group(group)))
    });
    let page = page.take(groups);
    Ok(ListGroupsForUserResponse {
        is_truncated: page.is_truncated(),
        groups: Some(page.items),
        marker: page.marker,
    })
}
