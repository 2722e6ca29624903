//! Policies that are part of a user, a group or a role.

use outport_aws_iam::*;
use outport_identity::Call;
use outport_model::iam::{Group, Role, User};
use outport_policy::{PolicyKind, counted_characters};
use outport_store::Tables;

use crate::IamService;
use crate::document::{self, encoded};
use crate::entity::{Entity, look, own, there};
use crate::page::{Page, PageRequest};
use crate::rejection::Rejection;

macro_rules! operations {
    ($(
        $row:ty, $member:ident, $kind:literal:
        $put:ident($put_in:ident) $put_action:literal,
        $get:ident($get_in:ident => $get_out:ident) $get_action:literal,
        $list:ident($list_in:ident => $list_out:ident) $list_action:literal,
        $delete:ident($delete_in:ident) $delete_action:literal;
    )+) => {$(
        pub async fn $put(service: &IamService, call: &Call, input: $put_in) -> Result<(), Rejection> {
            let name = input.$member.unwrap_or_default();
            put::<$row>(service, call, $put_action, &name, input.policy_name, input.policy_document).await
        }

        pub async fn $get(service: &IamService, call: &Call, input: $get_in) -> Result<$get_out, Rejection> {
            let name = input.$member.unwrap_or_default();
            let policy = input.policy_name.unwrap_or_default();
            let document = get::<$row>(service, call, $get_action, &name, &policy)?;
            Ok($get_out {
                $member: Some(name),
                policy_name: Some(policy),
                policy_document: Some(encoded(&document)),
            })
        }

        pub async fn $list(service: &IamService, call: &Call, input: $list_in) -> Result<$list_out, Rejection> {
            let name = input.$member.unwrap_or_default();
            let page = PageRequest::parse(input.max_items, input.marker.as_deref())?;
            let page = list::<$row>(service, call, $list_action, &name, &page)?;
            Ok($list_out {
                is_truncated: page.is_truncated(),
                policy_names: Some(page.items),
                marker: page.marker,
            })
        }

        pub async fn $delete(service: &IamService, call: &Call, input: $delete_in) -> Result<(), Rejection> {
            let name = input.$member.unwrap_or_default();
            let policy = input.policy_name.unwrap_or_default();
            delete::<$row>(service, call, $delete_action, &name, &policy).await
        }
    )+};
}

operations! {
    User, user_name, "user":
        put_user_policy(PutUserPolicyRequest) "iam:PutUserPolicy",
        get_user_policy(GetUserPolicyRequest => GetUserPolicyResponse) "iam:GetUserPolicy",
        list_user_policies(ListUserPoliciesRequest => ListUserPoliciesResponse) "iam:ListUserPolicies",
        delete_user_policy(DeleteUserPolicyRequest) "iam:DeleteUserPolicy";
    Group, group_name, "group":
        put_group_policy(PutGroupPolicyRequest) "iam:PutGroupPolicy",
        get_group_policy(GetGroupPolicyRequest => GetGroupPolicyResponse) "iam:GetGroupPolicy",
        list_group_policies(ListGroupPoliciesRequest => ListGroupPoliciesResponse) "iam:ListGroupPolicies",
        delete_group_policy(DeleteGroupPolicyRequest) "iam:DeleteGroupPolicy";
    Role, role_name, "role":
        put_role_policy(PutRolePolicyRequest) "iam:PutRolePolicy",
        get_role_policy(GetRolePolicyRequest => GetRolePolicyResponse) "iam:GetRolePolicy",
        list_role_policies(ListRolePoliciesRequest => ListRolePoliciesResponse) "iam:ListRolePolicies",
        delete_role_policy(DeleteRolePolicyRequest) "iam:DeleteRolePolicy";
}

/// One that has the name already is replaced. All of them together have a length.
async fn put<E: Entity>(
    service: &IamService,
    call: &Call,
    action: &'static str,
    name: &str,
    policy: Option<String>,
    given: Option<String>,
) -> Result<(), Rejection> {
    let whose = format!("{} {name}", E::KIND);
    let given = document::check(given, PolicyKind::Inline, E::INLINE_CHARS_MAX, &whose)?;
    let policy = policy.unwrap_or_default();
    let ask = |tables: &Tables| look::<E>(tables, &call.account, name, action);
    service
        .store
        .write(call, ask, |tx, found| {
            let mut entity = E::clone(&*own(found, name)?);
            let inline = &mut entity.policies_mut().inline;
            inline.insert(policy.clone(), given.clone());
            let chars = inline.values().map(|text| counted_characters(text)).sum();
            document::check_length(chars, E::INLINE_CHARS_MAX, &whose)?;
            tx.put(entity);
            Ok(())
        })
        .await
}

fn get<E: Entity>(
    service: &IamService,
    call: &Call,
    action: &'static str,
    name: &str,
    policy: &str,
) -> Result<String, Rejection> {
    let (_, found) =
        service.store.read(call, |tables| look::<E>(tables, &call.account, name, action))?;
    let entity = there(found, name)?;
    entity.policies().inline.get(policy).cloned().ok_or_else(|| not_found::<E>(policy))
}

fn list<E: Entity>(
    service: &IamService,
    call: &Call,
    action: &'static str,
    name: &str,
    page: &PageRequest,
) -> Result<Page<String>, Rejection> {
    let (_, found) =
        service.store.read(call, |tables| look::<E>(tables, &call.account, name, action))?;
    let entity = there(found, name)?;
    Ok(page.take(entity.policies().inline.keys().map(|name| (name.clone(), name.clone()))))
}

async fn delete<E: Entity>(
    service: &IamService,
    call: &Call,
    action: &'static str,
    name: &str,
    policy: &str,
) -> Result<(), Rejection> {
    let ask = |tables: &Tables| look::<E>(tables, &call.account, name, action);
    service
        .store
        .write_always(call, ask, |tx, found| {
            let mut entity = E::clone(&*own(found, name)?);
            if entity.policies_mut().inline.remove(policy).is_none() {
                return Err(not_found::<E>(policy));
            }
            tx.put(entity);
            Ok(())
        })
        .await
}

fn not_found<E: Entity>(policy: &str) -> Rejection {
    Rejection::NoSuchEntity(format!("The {} policy with name {policy} cannot be found.", E::KIND))
}
