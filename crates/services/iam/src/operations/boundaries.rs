//! Permissions boundaries.

use outport_aws_iam::{
    DeleteRolePermissionsBoundaryRequest, DeleteUserPermissionsBoundaryRequest,
    PutRolePermissionsBoundaryRequest, PutUserPermissionsBoundaryRequest,
};
use outport_identity::Call;
use outport_model::iam::{Role, User};
use outport_store::Tables;

use crate::IamService;
use crate::entity::{Entity, look, own};
use crate::managed_policy::{self, Managed};
use crate::rejection::Rejection;

/// # Errors
/// `InvalidInput` for what is no ARN of a policy, `NoSuchEntity` for a policy that there is not.
pub(super) fn check(tables: &Tables, arn: Option<&str>) -> Result<(), Rejection> {
    arn.map_or(Ok(()), managed_policy::check_arn)?;
    match arn.filter(|arn| Managed::find(tables, arn).is_none()) {
        Some(arn) => Err(Rejection::NoSuchEntity(format!(
            "Scope ARN: {arn} does not exist or is not attachable."
        ))),
        None => Ok(()),
    }
}

pub async fn put_role_permissions_boundary(
    service: &IamService,
    call: &Call,
    input: PutRolePermissionsBoundaryRequest,
) -> Result<(), Rejection> {
    let action = "iam:PutRolePermissionsBoundary";
    set::<Role>(service, call, action, input.role_name, input.permissions_boundary, |role, arn| {
        role.permissions_boundary = arn;
    })
    .await
}

pub async fn put_user_permissions_boundary(
    service: &IamService,
    call: &Call,
    input: PutUserPermissionsBoundaryRequest,
) -> Result<(), Rejection> {
    let action = "iam:PutUserPermissionsBoundary";
    set::<User>(service, call, action, input.user_name, input.permissions_boundary, |user, arn| {
        user.permissions_boundary = arn;
    })
    .await
}

pub async fn delete_role_permissions_boundary(
    service: &IamService,
    call: &Call,
    input: DeleteRolePermissionsBoundaryRequest,
) -> Result<(), Rejection> {
    let action = "iam:DeleteRolePermissionsBoundary";
    set::<Role>(service, call, action, input.role_name, None, |role, arn| {
        role.permissions_boundary = arn;
    })
    .await
}

pub async fn delete_user_permissions_boundary(
    service: &IamService,
    call: &Call,
    input: DeleteUserPermissionsBoundaryRequest,
) -> Result<(), Rejection> {
    let action = "iam:DeleteUserPermissionsBoundary";
    set::<User>(service, call, action, input.user_name, None, |user, arn| {
        user.permissions_boundary = arn;
    })
    .await
}

/// Putting asks with the boundary that is to be, deleting with the one that is. Source: "Actions, resources, and condition
/// keys for AWS Identity and Access Management", `iam:PermissionsBoundary`.
async fn set<E: Entity>(
    service: &IamService,
    call: &Call,
    action: &'static str,
    name: Option<String>,
    boundary: Option<String>,
    change: impl FnOnce(&mut E, Option<String>),
) -> Result<(), Rejection> {
    let name = name.unwrap_or_default();
    let ask = |tables: &Tables| {
        let subject = look::<E>(tables, &call.account, &name, action);
        match &boundary {
            Some(arn) => subject.with("iam:PermissionsBoundary", arn.as_str()),
            None => subject,
        }
    };
    service
        .store
        .write(call, ask, |tx, found| {
            let mut entity = E::clone(&*own(found, &name)?);
            check(tx, boundary.as_deref())?;
            change(&mut entity, boundary.clone());
            tx.put(entity);
            Ok(())
        })
        .await
}
