//! Key policies.

use outport_aws_kms::{
    GetKeyPolicyRequest, GetKeyPolicyResponse, ListKeyPoliciesRequest, ListKeyPoliciesResponse,
    PutKeyPolicyRequest,
};
use outport_identity::Call;
use outport_permissions::with_arns;
use outport_store::Tables;

use crate::look::Named;
use crate::operations::keys::change_own;
use crate::page::PageRequest;
use crate::rejection::{Reason, Rejection};
use crate::{KmsService, policy};

/// Source: API reference, ListKeyPolicies: "only one policy named default".
const POLICIES_PER_PAGE: usize = 100;

pub async fn get_key_policy(
    service: &KmsService,
    call: &Call,
    input: GetKeyPolicyRequest,
) -> Result<GetKeyPolicyResponse, Rejection> {
    let named = Named::parse_id(call, service.now(), input.key_id)?;
    let look = |tables: &Tables| named.look_at_own(tables, "kms:GetKeyPolicy");
    let (tables, found) =
        service.store.read(call, look).map_err(|refused| named.denied(refused))?;
    let key = named.there(found)?;
    if input.policy_name.is_some_and(|name| name != policy::NAME) {
        return Err(Rejection::new(Reason::NotFound, "No such policy exists"));
    }
    Ok(GetKeyPolicyResponse {
        policy: Some(with_arns(&tables, &key.policy)),
        policy_name: Some(policy::NAME.to_owned()),
    })
}

pub async fn list_key_policies(
    service: &KmsService,
    call: &Call,
    input: ListKeyPoliciesRequest,
) -> Result<ListKeyPoliciesResponse, Rejection> {
    let named = Named::parse_id(call, service.now(), input.key_id)?;
    let page = PageRequest::parse(input.limit, POLICIES_PER_PAGE, input.marker.as_deref())?;
    let look = |tables: &Tables| named.look_at_own(tables, "kms:ListKeyPolicies");
    let (_, found) = service.store.read(call, look).map_err(|refused| named.denied(refused))?;
    named.there(found)?;
    let name = policy::NAME.to_owned();
    let page = page.take(std::iter::once((name.clone(), name)));
    Ok(ListKeyPoliciesResponse {
        truncated: page.truncated(),
        next_marker: page.next_marker,
        policy_names: Some(page.items),
    })
}

pub async fn put_key_policy(
    service: &KmsService,
    call: &Call,
    input: PutKeyPolicyRequest,
) -> Result<(), Rejection> {
    let named = Named::parse_id(call, service.now(), input.key_id)?;
    let document = input.policy.unwrap_or_default();
    policy::check(&document)?;
    let bypasses = input.bypass_policy_lockout_safety_check.unwrap_or(false);
    if input.policy_name.is_some_and(|name| name != policy::NAME) {
        return Err(Rejection::unsupported("Only default policy is supported"));
    }
    let look = |tables: &Tables| {
        let subject = named.look_at_own(tables, "kms:PutKeyPolicy");
        subject.with("kms:BypassPolicyLockoutSafetyCheck", bypasses)
    };
    if !bypasses {
        // Who may not put a policy is told that, and nothing of the one that it brings.
        service.store.read(call, look).map_err(|refused| named.denied(refused))?;
        policy::check_lockout(call, &named.reference.arn(), &document)?;
    }
    change_own(service, call, &named, look, |tx, key| {
        key.policy = policy::as_kept(&document, tx, &key.scope.account)?;
        Ok(())
    })
    .await
}
