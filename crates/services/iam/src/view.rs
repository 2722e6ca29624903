//! Rows as IAM shows them.

use outport_aws_iam as wire;
use outport_aws_wire::Timestamp;
use outport_model::TimestampMs;
use outport_model::iam::{
    AccessKeyStatus, Group, InstanceProfile, ManagedPolicy, Policies, Role, RoleUse, User,
};
use outport_store::Tables;
use outport_store::keys::RoleKey;

use crate::document::shown_trust;
use crate::managed_policy::Managed;
use crate::tags;

/// IAM shows whole seconds.
pub fn time(ms: TimestampMs) -> Option<Timestamp> {
    Some(Timestamp::from_millis(ms - ms.rem_euclid(1000)))
}

pub fn boundary(arn: Option<&String>) -> Option<wire::AttachedPermissionsBoundary> {
    arn.map(|arn| wire::AttachedPermissionsBoundary {
        permissions_boundary_type: Some(
            wire::PermissionsBoundaryAttachmentType::PermissionsBoundaryPolicy,
        ),
        permissions_boundary_arn: Some(arn.clone()),
    })
}

/// Whole, as GetUser shows it; lists leave tags and boundary out.
pub fn user(user: &User) -> wire::User {
    wire::User {
        permissions_boundary: boundary(user.permissions_boundary.as_ref()),
        tags: tags::view_if_any(&user.tags),
        ..user_in_list(user)
    }
}

/// Source: API reference, ListUsers: "this operation does not return the following attributes: PermissionsBoundary, Tags".
pub fn user_in_list(user: &User) -> wire::User {
    wire::User {
        path: Some(user.path.clone()),
        user_name: Some(user.name.clone()),
        user_id: Some(user.id.clone()),
        arn: Some(user.arn()),
        create_date: time(user.created_at_ms),
        password_last_used: None,
        permissions_boundary: None,
        tags: None,
    }
}

pub fn group(group: &Group) -> wire::Group {
    wire::Group {
        path: Some(group.path.clone()),
        group_name: Some(group.name.clone()),
        group_id: Some(group.id.clone()),
        arn: Some(group.arn()),
        create_date: time(group.created_at_ms),
    }
}

/// Whole, as GetRole shows it.
pub fn role(tables: &Tables, role: &Role) -> wire::Role {
    wire::Role {
        permissions_boundary: boundary(role.permissions_boundary.as_ref()),
        tags: tags::view_if_any(&role.tags),
        role_last_used: Some(role_last_used(role)),
        ..role_in_list(tables, role)
    }
}

/// As an operation shows it that has made or changed it. Source: LocalStack's recordings of CreateRole and
/// UpdateRoleDescription.
pub fn role_when_written(tables: &Tables, role: &Role) -> wire::Role {
    wire::Role { max_session_duration: None, role_last_used: None, ..self::role(tables, role) }
}

pub fn role_last_used(role: &Role) -> wire::RoleLastUsed {
    let last_use = role.last_use.as_ref();
    wire::RoleLastUsed {
        last_used_date: last_use.and_then(|RoleUse { at_ms, .. }| time(*at_ms)),
        region: last_use.map(|RoleUse { region, .. }| region.to_string()),
    }
}

/// Source: API reference, ListRoles: "this operation does not return the following attributes: PermissionsBoundary,
/// RoleLastUsed, Tags".
pub fn role_in_list(tables: &Tables, role: &Role) -> wire::Role {
    wire::Role {
        path: Some(role.path.clone()),
        role_name: Some(role.name.clone()),
        role_id: Some(role.id.clone()),
        arn: Some(role.arn()),
        create_date: time(role.created_at_ms),
        assume_role_policy_document: Some(shown_trust(tables, role)),
        description: role.description.clone(),
        max_session_duration: i32::try_from(role.max_session_duration).ok(),
        permissions_boundary: None,
        tags: None,
        role_last_used: None,
        source_role_template: None,
    }
}

pub fn instance_profile(tables: &Tables, profile: &InstanceProfile) -> wire::InstanceProfile {
    let role = profile.role.as_ref().and_then(|name| {
        let role = tables.roles.get(&RoleKey::new(&profile.account, name))?;
        // Source: LocalStack's recordings of GetAccountAuthorizationDetails.
        Some(wire::Role { max_session_duration: None, ..role_in_list(tables, role) })
    });
    wire::InstanceProfile {
        path: Some(profile.path.clone()),
        instance_profile_name: Some(profile.name.clone()),
        instance_profile_id: Some(profile.id.clone()),
        arn: Some(profile.arn()),
        create_date: time(profile.created_at_ms),
        roles: Some(role.into_iter().collect()),
        tags: tags::view_if_any(&profile.tags),
    }
}

/// How many users, groups and roles have it, and whose boundary it is.
pub fn uses(tables: &Tables, arn: &str) -> (usize, usize) {
    let (users, groups, roles) =
        (tables.users.with_policy(), tables.groups.with_policy(), tables.roles.with_policy());
    let attached =
        users.attached(arn).len() + groups.attached(arn).len() + roles.attached(arn).len();
    (attached, users.boundary(arn).len() + roles.boundary(arn).len())
}

/// The managed policies of a user, a group or a role, by their ARNs; one that is gone is not shown.
pub fn attached<'a>(
    tables: &'a Tables,
    policies: &'a Policies,
) -> impl Iterator<Item = (String, Managed, wire::AttachedPolicy)> + 'a {
    policies.attached.iter().filter_map(|arn| {
        let policy = Managed::find(tables, arn)?;
        let view = wire::AttachedPolicy {
            policy_name: Some(policy.name().to_owned()),
            policy_arn: Some(arn.clone()),
        };
        Some((arn.clone(), policy, view))
    })
}

/// Whole, as GetPolicy shows it.
pub fn policy(tables: &Tables, policy: &Managed) -> wire::Policy {
    let view = policy_in_list(tables, policy);
    match policy {
        Managed::Customer(own) => wire::Policy {
            description: own.description.clone(),
            tags: Some(tags::view(&own.tags)),
            ..view
        },
        Managed::Aws(_) => wire::Policy { tags: Some(Vec::new()), ..view },
    }
}

/// Source: API reference, ListPolicies: description and tags are left out.
pub fn policy_in_list(tables: &Tables, policy: &Managed) -> wire::Policy {
    let (arn, id, version, created_at_ms, updated_at_ms) = match policy {
        Managed::Customer(own) => {
            let ManagedPolicy { id, default_version, created_at_ms, updated_at_ms, .. } = &**own;
            (own.arn(), id.clone(), *default_version, *created_at_ms, *updated_at_ms)
        }
        Managed::Aws(aws) => {
            (aws.arn.clone(), aws.id(), aws.version, aws.created_at_ms, aws.updated_at_ms)
        }
    };
    let (attached, boundaries) = uses(tables, &arn);
    wire::Policy {
        policy_name: Some(policy.name().to_owned()),
        policy_id: Some(id),
        arn: Some(arn),
        path: Some(policy.path().to_owned()),
        default_version_id: Some(format!("v{version}")),
        attachment_count: i32::try_from(attached).ok(),
        permissions_boundary_usage_count: i32::try_from(boundaries).ok(),
        is_attachable: Some(true),
        description: None,
        create_date: time(created_at_ms),
        update_date: time(updated_at_ms),
        tags: None,
    }
}

pub fn key_status(status: AccessKeyStatus) -> wire::StatusType {
    match status {
        AccessKeyStatus::Active => wire::StatusType::Active,
        AccessKeyStatus::Inactive => wire::StatusType::Inactive,
    }
}
