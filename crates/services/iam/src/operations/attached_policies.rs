//! Managed policies on users, groups and roles.

use outport_aws_iam::*;
use outport_identity::Call;
use outport_model::iam::{Group, Role, User};
use outport_store::Tables;

use crate::entity::{Entity, look, own, there};
use crate::managed_policy::{self, Managed};
use crate::page::{Page, PageRequest};
use crate::rejection::Rejection;
use crate::{IamService, quotas, view};

macro_rules! operations {
    ($(
        $row:ty, $member:ident:
        $attach:ident($attach_in:ident) $attach_action:literal,
        $detach:ident($detach_in:ident) $detach_action:literal,
        $list:ident($list_in:ident => $list_out:ident) $list_action:literal;
    )+) => {$(
        pub async fn $attach(service: &IamService, call: &Call, input: $attach_in) -> Result<(), Rejection> {
            let name = input.$member.unwrap_or_default();
            attach::<$row>(service, call, $attach_action, &name, input.policy_arn).await
        }

        pub async fn $detach(service: &IamService, call: &Call, input: $detach_in) -> Result<(), Rejection> {
            let name = input.$member.unwrap_or_default();
            detach::<$row>(service, call, $detach_action, &name, input.policy_arn).await
        }

        pub async fn $list(service: &IamService, call: &Call, input: $list_in) -> Result<$list_out, Rejection> {
            let name = input.$member.unwrap_or_default();
            let page = PageRequest::parse(input.max_items, input.marker.as_deref())?;
            let prefix = input.path_prefix.as_deref().unwrap_or("/");
            let page = list::<$row>(service, call, $list_action, &name, prefix, &page)?;
            Ok($list_out {
                is_truncated: page.is_truncated(),
                attached_policies: Some(page.items),
                marker: page.marker,
            })
        }
    )+};
}

operations! {
    User, user_name:
        attach_user_policy(AttachUserPolicyRequest) "iam:AttachUserPolicy",
        detach_user_policy(DetachUserPolicyRequest) "iam:DetachUserPolicy",
        list_attached_user_policies(ListAttachedUserPoliciesRequest => ListAttachedUserPoliciesResponse)
            "iam:ListAttachedUserPolicies";
    Group, group_name:
        attach_group_policy(AttachGroupPolicyRequest) "iam:AttachGroupPolicy",
        detach_group_policy(DetachGroupPolicyRequest) "iam:DetachGroupPolicy",
        list_attached_group_policies(ListAttachedGroupPoliciesRequest => ListAttachedGroupPoliciesResponse)
            "iam:ListAttachedGroupPolicies";
    Role, role_name:
        attach_role_policy(AttachRolePolicyRequest) "iam:AttachRolePolicy",
        detach_role_policy(DetachRolePolicyRequest) "iam:DetachRolePolicy",
        list_attached_role_policies(ListAttachedRolePoliciesRequest => ListAttachedRolePoliciesResponse)
            "iam:ListAttachedRolePolicies";
}

/// Attaching again is no error.
async fn attach<E: Entity>(
    service: &IamService,
    call: &Call,
    action: &'static str,
    name: &str,
    arn: Option<String>,
) -> Result<(), Rejection> {
    let arn = arn.unwrap_or_default();
    managed_policy::check_arn(&arn)?;
    let ask = |tables: &Tables| {
        look::<E>(tables, &call.account, name, action).with("iam:PolicyARN", arn.as_str())
    };
    service
        .store
        .write(call, ask, |tx, found| {
            let mut entity = E::clone(&*own(found, name)?);
            // A policy of another account is none that could be attached.
            let is_there = match Managed::find(tx, &arn) {
                Some(Managed::Customer(policy)) => policy.account == call.account,
                Some(Managed::Aws(_)) => true,
                None => false,
            };
            if !is_there {
                let text = format!("Policy {arn} does not exist or is not attachable.");
                return Err(Rejection::NoSuchEntity(text));
            }
            let attached = &mut entity.policies_mut().attached;
            attached.insert(arn.clone());
            if attached.len() > quotas::ATTACHED_POLICIES {
                let mut kind = E::KIND.to_owned();
                kind[..1].make_ascii_uppercase();
                return Err(Rejection::quota(
                    &format!("PoliciesPer{kind}"),
                    quotas::ATTACHED_POLICIES,
                ));
            }
            tx.put(entity);
            Ok(())
        })
        .await
}

async fn detach<E: Entity>(
    service: &IamService,
    call: &Call,
    action: &'static str,
    name: &str,
    arn: Option<String>,
) -> Result<(), Rejection> {
    let arn = arn.unwrap_or_default();
    let ask = |tables: &Tables| {
        look::<E>(tables, &call.account, name, action).with("iam:PolicyARN", arn.as_str())
    };
    service
        .store
        .write_always(call, ask, |tx, found| {
            let mut entity = E::clone(&*own(found, name)?);
            if !entity.policies_mut().attached.remove(&arn) {
                return Err(managed_policy::not_found(&arn));
            }
            tx.put(entity);
            Ok(())
        })
        .await
}

fn list<E: Entity>(
    service: &IamService,
    call: &Call,
    action: &'static str,
    name: &str,
    path_prefix: &str,
    page: &PageRequest,
) -> Result<Page<AttachedPolicy>, Rejection> {
    let (tables, found) =
        service.store.read(call, |tables| look::<E>(tables, &call.account, name, action))?;
    let entity = there(found, name)?;
    let attached = view::attached(&tables, entity.policies());
    let attached = attached.filter(|(_, policy, _)| policy.path().starts_with(path_prefix));
    Ok(page.take(attached.map(|(arn, _, view)| (arn, view))))
}
