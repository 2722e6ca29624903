//! Groups.

use outport_aws_iam::{
    CreateGroupRequest, CreateGroupResponse, DeleteGroupRequest, GetGroupRequest, GetGroupResponse,
    ListGroupsRequest, ListGroupsResponse, UpdateGroupRequest,
};
use outport_identity::{Call, Question, Subject};
use outport_model::iam::{Group, NameKey, Policies, User};
use outport_store::{Row, Tables, Transaction};

use crate::entity::{arn_without_path, look, there};
use crate::page::PageRequest;
use crate::rejection::Rejection;
use crate::{IamService, ids, quotas, view};

pub async fn create_group(
    service: &IamService,
    call: &Call,
    input: CreateGroupRequest,
) -> Result<CreateGroupResponse, Rejection> {
    let group = Group {
        account: call.account.clone(),
        name: input.group_name.unwrap_or_default(),
        path: input.path.unwrap_or_else(|| "/".to_owned()),
        id: ids::unique("AGPA")?,
        created_at_ms: call.now_ms,
        policies: Policies::default(),
    };
    let question = Question::new("iam:CreateGroup", group.arn());
    service
        .store
        .write(
            call,
            |_| Subject::from(question.clone()),
            |tx, ()| {
                if tx.groups.contains(&group.key()) {
                    return Err(exists(&group.name));
                }
                if tx.groups.of_account(&group.account).count() >= quotas::GROUPS_PER_ACCOUNT {
                    return Err(Rejection::quota("GroupsPerAccount", quotas::GROUPS_PER_ACCOUNT));
                }
                tx.put(group.clone());
                Ok(CreateGroupResponse { group: Some(view::group(&group)) })
            },
        )
        .await
}

fn exists(name: &str) -> Rejection {
    Rejection::EntityAlreadyExists(format!("Group with name {name} already exists."))
}

/// The group, and a page of its users.
pub async fn get_group(
    service: &IamService,
    call: &Call,
    input: GetGroupRequest,
) -> Result<GetGroupResponse, Rejection> {
    let page = PageRequest::parse(input.max_items, input.marker.as_deref())?;
    let name = input.group_name.as_deref().unwrap_or_default();
    let (tables, found) = service
        .store
        .read(call, |tables| look::<Group>(tables, &call.account, name, "iam:GetGroup"))?;
    let group = there(found, name)?;
    let members = tables.users.in_group(&group.key()).iter().filter_map(|key| {
        let user = tables.users.get(key)?;
        Some((key.name.to_string(), view::user_in_list(user)))
    });
    let page = page.take(members);
    Ok(GetGroupResponse {
        group: Some(view::group(&group)),
        is_truncated: page.is_truncated(),
        users: Some(page.items),
        marker: page.marker,
    })
}

pub async fn list_groups(
    service: &IamService,
    call: &Call,
    input: ListGroupsRequest,
) -> Result<ListGroupsResponse, Rejection> {
    let page = PageRequest::parse(input.max_items, input.marker.as_deref())?;
    let prefix = input.path_prefix.as_deref().unwrap_or("/");
    let ask = |_: &Tables| {
        let resource = arn_without_path(&call.account, "group", "");
        Subject::from(Question::new("iam:ListGroups", resource))
    };
    let (tables, ()) = service.store.read(call, ask)?;
    let groups = tables.groups.of_account(&call.account);
    let groups = groups.filter(|group| group.path.starts_with(prefix));
    let page = page.take(groups.map(|group| (group.key().name.to_string(), view::group(group))));
    Ok(ListGroupsResponse {
        is_truncated: page.is_truncated(),
        groups: Some(page.items),
        marker: page.marker,
    })
}

/// A group that is named anew keeps its id and its users.
pub async fn update_group(
    service: &IamService,
    call: &Call,
    input: UpdateGroupRequest,
) -> Result<(), Rejection> {
    let name = input.group_name.as_deref().unwrap_or_default();
    let ask = |tables: &Tables| {
        let subject = look::<Group>(tables, &call.account, name, "iam:UpdateGroup");
        let target = input.new_group_name.as_deref().unwrap_or(name);
        let path = input.new_path.as_deref().unwrap_or("/");
        let target = format!("arn:aws:iam::{}:group{path}{target}", call.account);
        subject.and(Question::new("iam:UpdateGroup", target))
    };
    service
        .store
        .write(call, ask, |tx, found| {
            let group = there(found, name)?;
            let mut new = Group::clone(&group);
            if let Some(path) = &input.new_path {
                new.path.clone_from(path);
            }
            if let Some(name) = &input.new_group_name {
                new.name.clone_from(name);
            }
            if new.key() != group.key() {
                if tx.groups.contains(&new.key()) {
                    return Err(exists(&new.name));
                }
                move_members(tx, &group, &new);
                tx.remove::<Group>(&group.key());
            }
            tx.put(new);
            Ok(())
        })
        .await
}

fn move_members(tx: &mut Transaction<'_>, old: &Group, new: &Group) {
    let members: Vec<_> = tx.users.in_group(&old.key()).iter().cloned().collect();
    for member in members {
        tx.update::<User>(&member, |user| {
            user.groups.remove(&NameKey::of(&old.name));
            user.groups.insert(NameKey::of(&new.name));
        });
    }
}

pub async fn delete_group(
    service: &IamService,
    call: &Call,
    input: DeleteGroupRequest,
) -> Result<(), Rejection> {
    let name = input.group_name.as_deref().unwrap_or_default();
    let ask = |tables: &Tables| look::<Group>(tables, &call.account, name, "iam:DeleteGroup");
    service
        .store
        .write_always(call, ask, |tx, found| {
            let group = there(found, name)?;
            let hangs = [
                (!group.policies.attached.is_empty(), "must detach all policies first"),
                (!group.policies.inline.is_empty(), "must delete policies first"),
                (!tx.users.in_group(&group.key()).is_empty(), "must remove users from group first"),
            ];
            if let Some((_, first)) = hangs.iter().find(|(hangs, _)| *hangs) {
                return Err(Rejection::DeleteConflict(format!("Cannot delete entity, {first}.")));
            }
            tx.remove::<Group>(&group.key());
            Ok(())
        })
        .await
}
