//! Roles that services make for themselves.
//!
//! Nothing here assumes such a role yet, so that nothing keeps one from being deleted: the deletion is done when its task is
//! handed out. The task's id is sealed, so that only one that was handed out has a status.

use outport_aws_iam::{
    CreateServiceLinkedRoleRequest, CreateServiceLinkedRoleResponse,
    DeleteServiceLinkedRoleRequest, DeleteServiceLinkedRoleResponse, DeletionTaskStatusType,
    GetServiceLinkedRoleDeletionStatusRequest, GetServiceLinkedRoleDeletionStatusResponse,
};
use outport_identity::{Call, Question, Subject};
use outport_model::iam::{Role, SERVICE_LINKED_PATH, ServiceLinkedRole};
use outport_store::{Row, Tables};

use crate::entity::{arn_without_path, look, not_found, there};
use crate::rejection::Rejection;
use crate::{IamService, ids, view};

/// Source of the refusal for a name that is taken: answers as callers report them. That for an unknown service is a guess.
pub async fn create_service_linked_role(
    service: &IamService,
    call: &Call,
    input: CreateServiceLinkedRoleRequest,
) -> Result<CreateServiceLinkedRoleResponse, Rejection> {
    let linked_service = input.aws_service_name.unwrap_or_default();
    let Some(linked) = ServiceLinkedRole::of(&linked_service) else {
        return Err(Rejection::InvalidInput(format!(
            "This version of Outport knows no service-linked role of {linked_service}."
        )));
    };
    if input.custom_suffix.is_some() && !linked.takes_suffix {
        // Source: answers as callers report them.
        let text = format!("Custom suffix is not allowed for {linked_service}");
        return Err(Rejection::InvalidInput(text));
    }
    let suffix = input.custom_suffix.as_deref();
    let mut role = linked.row(&call.account, suffix, ids::unique("AROA")?, call.now_ms);
    if input.description.is_some() {
        role.description = input.description;
    }
    let question = Question::new("iam:CreateServiceLinkedRole", role.arn())
        .with("iam:AWSServiceName", linked_service.as_str());
    service
        .store
        .write(call,
            |_| Subject::from(question.clone()),
            |tx, ()| {
                if !tx.ensure_service_linked_role(role.clone()) {
                    return Err(Rejection::InvalidInput(format!(
                        "Service role name {} has been taken in this account, please try a different suffix.",
                        role.name
                    )));
                }
                Ok(CreateServiceLinkedRoleResponse { role: Some(view::role_when_written(tx, &role)) })
            },
        )
        .await
}

/// A role that is no service's is not found, which is a guess.
pub async fn delete_service_linked_role(
    service: &IamService,
    call: &Call,
    input: DeleteServiceLinkedRoleRequest,
) -> Result<DeleteServiceLinkedRoleResponse, Rejection> {
    let name = input.role_name.as_deref().unwrap_or_default();
    let ask =
        |tables: &Tables| look::<Role>(tables, &call.account, name, "iam:DeleteServiceLinkedRole");
    let nonce = ids::bytes()?;
    service
        .store
        .write_always(call, ask, |tx, found| {
            let role = there(found, name)?;
            let linked = role.linked_service().ok_or_else(|| not_found("role", name))?;
            let of = format!("task{SERVICE_LINKED_PATH}{linked}/{}", role.name);
            let sealed = service.keyring.seal(&task_place(call, &of), role.id.as_bytes(), nonce);
            tx.remove::<Role>(&role.key());
            Ok(DeleteServiceLinkedRoleResponse { deletion_task_id: Some(format!("{of}/{sealed}")) })
        })
        .await
}

/// For what place the end of a task's id is sealed.
fn task_place(call: &Call, of: &str) -> String {
    format!("iam deletion {} {of}", call.account)
}

pub async fn get_service_linked_role_deletion_status(
    service: &IamService,
    call: &Call,
    input: GetServiceLinkedRoleDeletionStatusRequest,
) -> Result<GetServiceLinkedRoleDeletionStatusResponse, Rejection> {
    let id = input.deletion_task_id.unwrap_or_default();
    let (of, sealed) = id.rsplit_once('/').unwrap_or((&id, ""));
    let role = of.strip_prefix("task/").unwrap_or(of);
    let ask = |_: &Tables| {
        let resource = arn_without_path(&call.account, "role", role);
        Subject::from(Question::new("iam:GetServiceLinkedRoleDeletionStatus", resource))
    };
    service.store.read(call, ask)?;
    if service.keyring.open(&task_place(call, of), sealed).is_err() {
        let text = format!("The deletion task with id {id} cannot be found.");
        return Err(Rejection::NoSuchEntity(text));
    }
    Ok(GetServiceLinkedRoleDeletionStatusResponse {
        status: Some(DeletionTaskStatusType::Succeeded),
        reason: None,
    })
}

#[cfg(test)]
mod tests {
    use outport_model::iam::SERVICE_LINKED_ROLES;
    use outport_policy::{Policy, PolicyKind};

    use crate::testing::{ALLOWS, World, texts_of};

    const ECS: (&str, &str) = ("AWSServiceName", "ecs.amazonaws.com");
    const ROLE: (&str, &str) = ("RoleName", "AWSServiceRoleForECS");

    #[test]
    fn what_they_come_with_is_there_and_their_trust_is_sound() {
        let account = outport_model::AccountId::new("000000000000");
        for linked in SERVICE_LINKED_ROLES {
            if let Some(arn) = linked.policy {
                assert!(outport_aws_managed_policies::find(arn).is_some(), "{arn}");
            }
            let row = linked.row(&account, None, "AROA1".into(), 0);
            Policy::compile(&row.trust_policy, PolicyKind::RoleTrust).unwrap();
        }
    }

    #[tokio::test]
    async fn a_service_has_one_role() {
        let world = World::new();
        let made = world.call("CreateServiceLinkedRole", &[ECS]).await;
        World::has(
            &made,
            &[
                ("RoleName", &["AWSServiceRoleForECS"]),
                ("Path", &["/aws-service-role/ecs.amazonaws.com/"]),
                ("Description", &["Role to enable Amazon ECS to manage your cluster."]),
            ],
        );
        let attached = world.call("ListAttachedRolePolicies", &[ROLE]).await;
        World::has(&attached, &[("PolicyName", &["AmazonECSServiceRolePolicy"])]);
        let text = "Service role name AWSServiceRoleForECS has been taken in this account, please try a different suffix.";
        world.refuses("CreateServiceLinkedRole", &[ECS], "InvalidInput", text).await;
        let with_suffix = [ECS, ("CustomSuffix", "blue")];
        let text = "Custom suffix is not allowed for ecs.amazonaws.com";
        world.refuses("CreateServiceLinkedRole", &with_suffix, "InvalidInput", text).await;
        let groups = [("AWSServiceName", "autoscaling.amazonaws.com"), ("CustomSuffix", "blue")];
        let made = world.call("CreateServiceLinkedRole", &groups).await;
        World::has(&made, &[("RoleName", &["AWSServiceRoleForAutoScaling_blue"])]);
        let unknown = [("AWSServiceName", "lex.amazonaws.com")];
        let text = "This version of Outport knows no service-linked role of lex.amazonaws.com.";
        world.refuses("CreateServiceLinkedRole", &unknown, "InvalidInput", text).await;
    }

    #[tokio::test]
    async fn only_its_description_may_be_changed() {
        let world = World::new();
        world.call("CreateServiceLinkedRole", &[ECS]).await;
        let arn = ("PolicyArn", "arn:aws:iam::aws:policy/AdministratorAccess");
        let text = "Cannot perform the operation on the protected role 'AWSServiceRoleForECS' - this role is only modifiable by AWS";
        for (operation, more) in [
            ("DeleteRole", &[][..]),
            ("AttachRolePolicy", &[arn]),
            ("DetachRolePolicy", &[arn]),
            ("PutRolePolicy", &[("PolicyName", "p"), ("PolicyDocument", ALLOWS)]),
            ("UpdateRole", &[("MaxSessionDuration", "7200")]),
            ("PutRolePermissionsBoundary", &[("PermissionsBoundary", arn.1)]),
        ] {
            let input = [&[ROLE], more].concat();
            world.refuses(operation, &input, "UnmodifiableEntity", text).await;
        }
        world.call("UpdateRoleDescription", &[ROLE, ("Description", "mine")]).await;
        World::has(&world.call("GetRole", &[ROLE]).await, &[("Description", &["mine"])]);
    }

    #[tokio::test]
    async fn a_deletion_that_was_asked_for_has_a_status() {
        let world = World::new();
        world.call("CreateServiceLinkedRole", &[ECS]).await;
        let task = world.call("DeleteServiceLinkedRole", &[ROLE]).await;
        let task = texts_of(&task, "DeletionTaskId").remove(0);
        assert!(
            task.starts_with("task/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS/"),
            "{task}"
        );
        let status =
            world.call("GetServiceLinkedRoleDeletionStatus", &[("DeletionTaskId", &task)]).await;
        World::has(&status, &[("Status", &["SUCCEEDED"])]);
        let text = "The role with name AWSServiceRoleForECS cannot be found.";
        world.refuses("DeleteServiceLinkedRole", &[ROLE], "NoSuchEntity", text).await;
        let other = task.replace("ForECS/", "ForECX/");
        let text = format!("The deletion task with id {other} cannot be found.");
        let other = [("DeletionTaskId", other.as_str())];
        world.refuses("GetServiceLinkedRoleDeletionStatus", &other, "NoSuchEntity", &text).await;
        world.call("CreateServiceLinkedRole", &[ECS]).await;
    }
}
