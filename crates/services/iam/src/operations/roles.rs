//! Roles.

use std::sync::Arc;

use outport_aws_iam as wire;
use outport_aws_iam::{
    CreateRoleRequest, CreateRoleResponse, DeleteRoleRequest, GetRoleRequest, GetRoleResponse,
    ListRolesRequest, ListRolesResponse, UpdateAssumeRolePolicyRequest,
    UpdateRoleDescriptionRequest, UpdateRoleDescriptionResponse, UpdateRoleRequest,
    UpdateRoleResponse,
};
use outport_identity::{Call, Question, Subject};
use outport_model::iam::{Policies, Role, SERVICE_LINKED_PATH};
use outport_store::{Row, Tables};

use crate::entity::{arn_without_path, look, own, there};
use crate::operations::boundaries;
use crate::page::PageRequest;
use crate::rejection::Rejection;
use crate::{IamService, document, ids, quotas, tags, view};

/// Source: API reference, CreateRole, MaxSessionDuration: "If you do not specify a value for this setting, the default
/// value of one hour is applied."
const SESSION_DURATION_DEFAULT: u32 = 3_600;

pub async fn create_role(
    service: &IamService,
    call: &Call,
    input: CreateRoleRequest,
) -> Result<CreateRoleResponse, Rejection> {
    let tags = tags::parse(input.tags)?;
    let name = input.role_name.unwrap_or_default();
    let path = input.path.unwrap_or_else(|| "/".to_owned());
    if path.starts_with(SERVICE_LINKED_PATH) {
        // Source: answers as callers report them.
        return Err(Rejection::InvalidInput(format!(
            "Cannot create role with path {path}: it is reserved for service-linked roles. Use CreateServiceLinkedRole."
        )));
    }
    let trust_policy = document::check_trust(input.assume_role_policy_document)?;
    let mut role = Role {
        account: call.account.clone(),
        name,
        path,
        id: ids::unique("AROA")?,
        created_at_ms: call.now_ms,
        trust_policy,
        description: input.description,
        max_session_duration: duration(input.max_session_duration),
        policies: Policies::default(),
        permissions_boundary: input.permissions_boundary,
        tags,
        last_use: None,
    };
    let question = Question::new("iam:CreateRole", role.arn())
        .with_optional("iam:PermissionsBoundary", role.permissions_boundary.clone())
        .with_request_tags(&role.tags);
    service
        .store
        .write(
            call,
            |_| Subject::from(question.clone()),
            |tx, ()| {
                boundaries::check(tx, role.permissions_boundary.as_deref())?;
                role.trust_policy = document::trust_as_kept(tx, &role.account, &role.trust_policy)?;
                if tx.roles.contains(&role.key()) {
                    let text = format!("Role with name {} already exists.", role.name);
                    return Err(Rejection::EntityAlreadyExists(text));
                }
                if tx.roles.of_account(&role.account).count() >= quotas::ROLES_PER_ACCOUNT {
                    return Err(Rejection::quota("RolesPerAccount", quotas::ROLES_PER_ACCOUNT));
                }
                tx.put(role.clone());
                Ok(CreateRoleResponse { role: Some(view::role_when_written(tx, &role)) })
            },
        )
        .await
}

/// The model holds it between an hour and twelve.
fn duration(given: Option<i32>) -> u32 {
    given.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(SESSION_DURATION_DEFAULT)
}

pub async fn get_role(
    service: &IamService,
    call: &Call,
    input: GetRoleRequest,
) -> Result<GetRoleResponse, Rejection> {
    let name = input.role_name.as_deref().unwrap_or_default();
    let (tables, found) = service
        .store
        .read(call, |tables| look::<Role>(tables, &call.account, name, "iam:GetRole"))?;
    Ok(GetRoleResponse { role: Some(view::role(&tables, &*there(found, name)?)) })
}

pub async fn list_roles(
    service: &IamService,
    call: &Call,
    input: ListRolesRequest,
) -> Result<ListRolesResponse, Rejection> {
    let page = PageRequest::parse(input.max_items, input.marker.as_deref())?;
    let prefix = input.path_prefix.as_deref().unwrap_or("/");
    let ask = |_: &Tables| {
        let resource = arn_without_path(&call.account, "role", "");
        Subject::from(Question::new("iam:ListRoles", resource))
    };
    let (tables, ()) = service.store.read(call, ask)?;
    let roles = tables.roles.of_account(&call.account);
    let roles = roles.filter(|role| role.path.starts_with(prefix));
    let page = page
        .take(roles.map(|role| (role.key().name.to_string(), view::role_in_list(&tables, role))));
    Ok(ListRolesResponse {
        is_truncated: page.is_truncated(),
        roles: Some(page.items),
        marker: page.marker,
    })
}

pub async fn update_assume_role_policy(
    service: &IamService,
    call: &Call,
    input: UpdateAssumeRolePolicyRequest,
) -> Result<(), Rejection> {
    let name = input.role_name.as_deref().unwrap_or_default();
    let trust_policy = document::check_trust(input.policy_document)?;
    let ask =
        |tables: &Tables| look::<Role>(tables, &call.account, name, "iam:UpdateAssumeRolePolicy");
    service
        .store
        .write(call, ask, |tx, found| {
            let mut role = Role::clone(&*own(found, name)?);
            role.trust_policy = document::trust_as_kept(tx, &role.account, &trust_policy)?;
            tx.put(role);
            Ok(())
        })
        .await
}

pub async fn update_role(
    service: &IamService,
    call: &Call,
    input: UpdateRoleRequest,
) -> Result<UpdateRoleResponse, Rejection> {
    let name = input.role_name.as_deref().unwrap_or_default();
    let allowed = if input.max_session_duration.is_some() { own } else { there };
    update(service, call, "iam:UpdateRole", name, allowed, |role| {
        if input.description.is_some() {
            role.description = input.description;
        }
        if input.max_session_duration.is_some() {
            role.max_session_duration = duration(input.max_session_duration);
        }
    })
    .await?;
    Ok(UpdateRoleResponse {})
}

pub async fn update_role_description(
    service: &IamService,
    call: &Call,
    input: UpdateRoleDescriptionRequest,
) -> Result<UpdateRoleDescriptionResponse, Rejection> {
    let name = input.role_name.as_deref().unwrap_or_default();
    let role = update(service, call, "iam:UpdateRoleDescription", name, there, |role| {
        role.description = input.description;
    })
    .await?;
    Ok(UpdateRoleDescriptionResponse { role: Some(role) })
}

/// Which of the roles that are found may be changed.
type Allowed = fn(Option<Arc<Role>>, &str) -> Result<Arc<Role>, Rejection>;

/// Of the role of a service only the description may be changed. Source: IAM user guide, "Edit a service-linked role".
async fn update(
    service: &IamService,
    call: &Call,
    action: &'static str,
    name: &str,
    allowed: Allowed,
    change: impl FnOnce(&mut Role),
) -> Result<wire::Role, Rejection> {
    let ask = |tables: &Tables| look::<Role>(tables, &call.account, name, action);
    service
        .store
        .write(call, ask, |tx, found| {
            let mut role = Role::clone(&*allowed(found, name)?);
            change(&mut role);
            let shown = view::role_when_written(tx, &role);
            tx.put(role);
            Ok(shown)
        })
        .await
}

pub async fn delete_role(
    service: &IamService,
    call: &Call,
    input: DeleteRoleRequest,
) -> Result<(), Rejection> {
    let name = input.role_name.as_deref().unwrap_or_default();
    let ask = |tables: &Tables| look::<Role>(tables, &call.account, name, "iam:DeleteRole");
    service
        .store
        .write_always(call, ask, |tx, found| {
            let role = own(found, name)?;
            let profiles = tx.instance_profiles.with_role(&role.key());
            let hangs = [
                (!profiles.is_empty(), "must remove roles from instance profile first"),
                (!role.policies.attached.is_empty(), "must detach all policies first"),
                (!role.policies.inline.is_empty(), "must delete policies first"),
            ];
            if let Some((_, first)) = hangs.iter().find(|(hangs, _)| *hangs) {
                return Err(Rejection::DeleteConflict(format!("Cannot delete entity, {first}.")));
            }
            tx.remove::<Role>(&role.key());
            Ok(())
        })
        .await
}

#[cfg(test)]
mod tests {
    use crate::testing::{ALLOWS, TRUSTS_TASKS, World, texts_of};

    const APP: (&str, &str) = ("RoleName", "app");
    const TRUST: (&str, &str) = ("AssumeRolePolicyDocument", TRUSTS_TASKS);

    #[tokio::test]
    async fn a_role_is_made_shown_and_changed() {
        let world = World::new();
        let made = world.call("CreateRole", &[APP, TRUST, ("Path", "/team/")]).await;
        let arn = "arn:aws:iam::000000000000:role/team/app";
        World::has(&made, &[("Arn", &[arn]), ("MaxSessionDuration", &[]), ("RoleLastUsed", &[])]);
        let shown = world.call("GetRole", &[APP]).await;
        World::has(&shown, &[("MaxSessionDuration", &["3600"]), ("RoleName", &["app"])]);
        let document = &texts_of(&shown, "AssumeRolePolicyDocument")[0];
        assert!(document.starts_with("%7B%22Version%22%3A%222012-10-17%22%2C"), "{document}");
        let change = [APP, ("Description", "of the app"), ("MaxSessionDuration", "7200")];
        world.call("UpdateRole", &change).await;
        let shown = world.call("GetRole", &[APP]).await;
        World::has(&shown, &[("MaxSessionDuration", &["7200"]), ("Description", &["of the app"])]);
        let text = "Role with name app already exists.";
        world.refuses("CreateRole", &[APP, TRUST], "EntityAlreadyExists", text).await;
    }

    #[tokio::test]
    async fn a_document_that_is_no_trust_policy_is_refused() {
        let world = World::new();
        let wrong = [APP, ("AssumeRolePolicyDocument", ALLOWS)];
        let (status, answer) = world.reply("CreateRole", &wrong).await;
        assert_eq!(
            (status, texts_of(&answer, "Code")),
            (400, vec!["MalformedPolicyDocument".into()])
        );
        let unknown = ("PermissionsBoundary", "arn:aws:iam::000000000000:policy/none");
        let text =
            "Scope ARN: arn:aws:iam::000000000000:policy/none does not exist or is not attachable.";
        world.refuses("CreateRole", &[APP, TRUST, unknown], "NoSuchEntity", text).await;
        let no_policy = "arn:aws:iam::000000000000:not_a_policy/invalid";
        let text = format!("ARN {no_policy} is not valid.");
        let boundary = ("PermissionsBoundary", no_policy);
        world.refuses("CreateRole", &[APP, TRUST, boundary], "InvalidInput", &text).await;
        world.call("CreateRole", &[APP, TRUST]).await;
        let attached = [APP, ("PolicyArn", no_policy)];
        world.refuses("AttachRolePolicy", &attached, "InvalidInput", &text).await;
    }

    #[tokio::test]
    async fn what_hangs_on_a_role_goes_first() {
        let world = World::new();
        world.call("CreateRole", &[APP, TRUST]).await;
        let profile = ("InstanceProfileName", "nodes");
        world.call("CreateInstanceProfile", &[profile]).await;
        world.call("AddRoleToInstanceProfile", &[profile, APP]).await;
        let shown = world.call("ListInstanceProfilesForRole", &[APP]).await;
        World::has(&shown, &[("InstanceProfileName", &["nodes"]), ("RoleName", &["app"])]);
        let text = "Cannot delete entity, must remove roles from instance profile first.";
        world.refuses("DeleteRole", &[APP], "DeleteConflict", text).await;
        world.call("RemoveRoleFromInstanceProfile", &[profile, APP]).await;
        let policy =
            ("PolicyArn", "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy");
        world.call("AttachRolePolicy", &[APP, policy]).await;
        let attached = world.call("ListAttachedRolePolicies", &[APP]).await;
        World::has(&attached, &[("PolicyName", &["AmazonECSTaskExecutionRolePolicy"])]);
        let text = "Cannot delete entity, must detach all policies first.";
        world.refuses("DeleteRole", &[APP], "DeleteConflict", text).await;
        world.call("DetachRolePolicy", &[APP, policy]).await;
        let text = format!("Policy {} was not found.", policy.1);
        world.refuses("DetachRolePolicy", &[APP, policy], "NoSuchEntity", &text).await;
        world.call("DeleteRole", &[APP]).await;
    }
}
