//! What there is in an account, counted and in full.

use std::collections::BTreeMap;

use outport_aws_iam as wire;
use outport_aws_iam::{
    EntityType, GetAccountAuthorizationDetailsRequest, GetAccountAuthorizationDetailsResponse,
    GetAccountSummaryResponse,
};
use outport_identity::{Call, Principal, Question, Subject};
use outport_model::iam::{Group, ManagedPolicy, Policies, Role, User};
use outport_store::keys::GroupKey;
use outport_store::{Row, Tables};

use crate::document::{encoded, shown_trust};
use crate::managed_policy::Managed;
use crate::page::PageRequest;
use crate::rejection::Rejection;
use crate::{IamService, quotas, tags, view};

/// Source: API reference, GetAccountSummary: its keys. What there is none of here (MFA devices, signing certificates, a
/// password of the root) is counted as none.
pub async fn get_account_summary(
    service: &IamService,
    call: &Call,
    (): (),
) -> Result<GetAccountSummaryResponse, Rejection> {
    let ask = |_: &Tables| Subject::from(Question::without_resource("iam:GetAccountSummary"));
    let (tables, ()) = service.store.read(call, ask)?;
    let counts = counts(&tables, call).into_iter().chain(fixed());
    let counts =
        counts.map(|(name, count)| (name.to_owned(), i32::try_from(count).unwrap_or(i32::MAX)));
    Ok(GetAccountSummaryResponse { summary_map: Some(counts.collect::<BTreeMap<_, _>>()) })
}

fn counts(tables: &Tables, call: &Call) -> Vec<(&'static str, usize)> {
    let account = &call.account;
    let policies = || tables.managed_policies.of_account(account);
    // The key of the installation's first account stands in no row: whoever calls with it shows that it is there.
    let calls_as_root = matches!(call.principal, Principal::Root { .. }) && call.session.is_none();
    let has_root_key = calls_as_root || !tables.access_keys.of_owner(account, None).is_empty();
    vec![
        ("Users", tables.users.of_account(account).count()),
        ("Groups", tables.groups.of_account(account).count()),
        ("Roles", tables.roles.of_account(account).count()),
        ("InstanceProfiles", tables.instance_profiles.of_account(account).count()),
        ("Policies", policies().count()),
        ("PolicyVersionsInUse", policies().map(|policy| policy.versions.len()).sum()),
        ("Providers", tables.oidc_providers.of_account(account).count()),
        ("ServerCertificates", tables.server_certificates.of_account(account).count()),
        ("AccountAccessKeysPresent", usize::from(has_root_key)),
    ]
}

fn fixed() -> [(&'static str, usize); 25] {
    [
        ("AccessKeysPerUserQuota", quotas::ACCESS_KEYS_PER_USER),
        ("AccountMFAEnabled", 0),
        ("AccountPasswordPresent", 0),
        ("AccountSigningCertificatesPresent", 0),
        ("AssumeRolePolicySizeQuota", quotas::TRUST_CHARS),
        ("AttachedPoliciesPerGroupQuota", quotas::ATTACHED_POLICIES),
        ("AttachedPoliciesPerRoleQuota", quotas::ATTACHED_POLICIES),
        ("AttachedPoliciesPerUserQuota", quotas::ATTACHED_POLICIES),
        // Tokens are good in every region, which is what the second version is.
        ("GlobalEndpointTokenVersion", 2),
        ("GroupPolicySizeQuota", quotas::INLINE_CHARS_GROUP),
        ("GroupsPerUserQuota", quotas::GROUPS_PER_USER),
        ("GroupsQuota", quotas::GROUPS_PER_ACCOUNT),
        ("InstanceProfilesQuota", quotas::INSTANCE_PROFILES_PER_ACCOUNT),
        ("MFADevices", 0),
        ("MFADevicesInUse", 0),
        ("PoliciesQuota", quotas::POLICIES_PER_ACCOUNT),
        ("PolicySizeQuota", quotas::MANAGED_CHARS),
        ("PolicyVersionsInUseQuota", quotas::POLICY_VERSIONS_PER_ACCOUNT),
        ("RolePolicySizeQuota", quotas::INLINE_CHARS_ROLE),
        ("RolesQuota", quotas::ROLES_PER_ACCOUNT),
        ("ServerCertificatesQuota", quotas::SERVER_CERTIFICATES_PER_ACCOUNT),
        ("SigningCertificatesPerUserQuota", 0),
        ("UserPolicySizeQuota", quotas::INLINE_CHARS_USER),
        ("UsersQuota", quotas::USERS_PER_ACCOUNT),
        ("VersionsPerPolicyQuota", quotas::POLICY_VERSIONS),
    ]
}

/// One of the four lists, which come in pages together.
enum Detail {
    User(wire::UserDetail),
    Group(wire::GroupDetail),
    Role(wire::RoleDetail),
    Policy(wire::ManagedPolicyDetail),
}

/// Of AWS's policies those are shown that somebody has, which is a guess: the reference does not say it.
pub async fn get_account_authorization_details(
    service: &IamService,
    call: &Call,
    input: GetAccountAuthorizationDetailsRequest,
) -> Result<GetAccountAuthorizationDetailsResponse, Rejection> {
    let page = PageRequest::parse(input.max_items, input.marker.as_deref())?;
    let action = "iam:GetAccountAuthorizationDetails";
    let (tables, ()) =
        service.store.read(call, |_| Subject::from(Question::without_resource(action)))?;
    let filter = input.filter.unwrap_or_default();
    let wants = |kind: EntityType| filter.is_empty() || filter.contains(&kind);
    let page = page.take(details(&tables, call, wants));
    let mut answer = GetAccountAuthorizationDetailsResponse {
        user_detail_list: Some(Vec::new()),
        group_detail_list: Some(Vec::new()),
        role_detail_list: Some(Vec::new()),
        policies: Some(Vec::new()),
        is_truncated: page.is_truncated(),
        marker: page.marker,
    };
    for detail in page.items {
        match detail {
            Detail::User(user) => answer.user_detail_list.get_or_insert_default().push(user),
            Detail::Group(group) => answer.group_detail_list.get_or_insert_default().push(group),
            Detail::Role(role) => answer.role_detail_list.get_or_insert_default().push(role),
            Detail::Policy(policy) => answer.policies.get_or_insert_default().push(policy),
        }
    }
    Ok(answer)
}

/// In the order of their keys: users, groups, roles, policies.
fn details<'a>(
    tables: &'a Tables,
    call: &'a Call,
    wants: impl Fn(EntityType) -> bool,
) -> impl Iterator<Item = (String, Detail)> + 'a {
    let account = &call.account;
    let users = wants(EntityType::User).then(|| tables.users.of_account(account));
    let users = users.into_iter().flatten();
    let users = users
        .map(|user| (format!("1/{}", user.key().name), Detail::User(user_detail(tables, user))));
    let groups = wants(EntityType::Group).then(|| tables.groups.of_account(account));
    let groups = groups.into_iter().flatten();
    let groups = groups.map(|group| {
        (format!("2/{}", group.key().name), Detail::Group(group_detail(tables, group)))
    });
    let roles = wants(EntityType::Role).then(|| tables.roles.of_account(account));
    let roles = roles.into_iter().flatten();
    let roles = roles
        .map(|role| (format!("3/{}", role.key().name), Detail::Role(role_detail(tables, role))));
    let own = wants(EntityType::LocalManagedPolicy);
    let own = own.then(|| tables.managed_policies.of_account(account)).into_iter().flatten();
    let own = own.map(|policy| {
        let managed = Managed::Customer(policy.clone());
        (format!("4/{}", policy.key().name), Detail::Policy(policy_detail(tables, &managed)))
    });
    let awss = wants(EntityType::AwsManagedPolicy).then(outport_aws_managed_policies::all);
    let awss = awss.into_iter().flatten();
    let awss = awss.filter(|policy| view::uses(tables, &policy.arn) != (0, 0)).map(|policy| {
        let managed = Managed::Aws(policy.clone());
        (format!("5/{}", policy.arn), Detail::Policy(policy_detail(tables, &managed)))
    });
    users.chain(groups).chain(roles).chain(own).chain(awss)
}

fn inline(policies: &Policies) -> Option<Vec<wire::PolicyDetail>> {
    let detail = |(name, document): (&String, &String)| wire::PolicyDetail {
        policy_name: Some(name.clone()),
        policy_document: Some(encoded(document)),
    };
    (!policies.inline.is_empty()).then(|| policies.inline.iter().map(detail).collect())
}

fn attached(tables: &Tables, policies: &Policies) -> Option<Vec<wire::AttachedPolicy>> {
    Some(view::attached(tables, policies).map(|(_, _, view)| view).collect())
}

fn user_detail(tables: &Tables, user: &User) -> wire::UserDetail {
    let group = |name| Some(tables.groups.get(&GroupKey::new(&user.account, name))?.name.clone());
    wire::UserDetail {
        path: Some(user.path.clone()),
        user_name: Some(user.name.clone()),
        user_id: Some(user.id.clone()),
        arn: Some(user.arn()),
        create_date: view::time(user.created_at_ms),
        user_policy_list: inline(&user.policies),
        group_list: Some(user.groups.iter().filter_map(group).collect()),
        attached_managed_policies: attached(tables, &user.policies),
        permissions_boundary: view::boundary(user.permissions_boundary.as_ref()),
        tags: Some(tags::view(&user.tags)),
    }
}

fn group_detail(tables: &Tables, group: &Group) -> wire::GroupDetail {
    wire::GroupDetail {
        path: Some(group.path.clone()),
        group_name: Some(group.name.clone()),
        group_id: Some(group.id.clone()),
        arn: Some(group.arn()),
        create_date: view::time(group.created_at_ms),
        group_policy_list: Some(inline(&group.policies).unwrap_or_default()),
        attached_managed_policies: attached(tables, &group.policies),
    }
}

fn role_detail(tables: &Tables, role: &Role) -> wire::RoleDetail {
    let profiles = tables.instance_profiles.with_role(&role.key()).iter();
    let profiles = profiles.filter_map(|key| tables.instance_profiles.get(key));
    wire::RoleDetail {
        path: Some(role.path.clone()),
        role_name: Some(role.name.clone()),
        role_id: Some(role.id.clone()),
        arn: Some(role.arn()),
        create_date: view::time(role.created_at_ms),
        assume_role_policy_document: Some(shown_trust(tables, role)),
        instance_profile_list: Some(
            profiles.map(|profile| view::instance_profile(tables, profile)).collect(),
        ),
        role_policy_list: Some(inline(&role.policies).unwrap_or_default()),
        attached_managed_policies: attached(tables, &role.policies),
        permissions_boundary: view::boundary(role.permissions_boundary.as_ref()),
        tags: Some(tags::view(&role.tags)),
        role_last_used: Some(view::role_last_used(role)),
    }
}

fn policy_detail(tables: &Tables, policy: &Managed) -> wire::ManagedPolicyDetail {
    let shown = view::policy(tables, policy);
    let versions = match policy {
        Managed::Customer(own) => versions(own),
        Managed::Aws(_) => vec![wire::PolicyVersion {
            document: Some(encoded(policy.document())),
            version_id: shown.default_version_id.clone(),
            is_default_version: Some(true),
            create_date: shown.update_date,
        }],
    };
    wire::ManagedPolicyDetail {
        policy_name: shown.policy_name,
        policy_id: shown.policy_id,
        arn: shown.arn,
        path: shown.path,
        default_version_id: shown.default_version_id,
        attachment_count: shown.attachment_count,
        permissions_boundary_usage_count: shown.permissions_boundary_usage_count,
        is_attachable: shown.is_attachable,
        description: shown.description,
        create_date: shown.create_date,
        update_date: shown.update_date,
        policy_version_list: Some(versions),
    }
}

/// The latest first.
fn versions(policy: &ManagedPolicy) -> Vec<wire::PolicyVersion> {
    let versions = policy.versions.iter().rev();
    let versions = versions.map(|(number, version)| wire::PolicyVersion {
        document: Some(encoded(&version.document)),
        version_id: Some(format!("v{number}")),
        is_default_version: Some(*number == policy.default_version),
        create_date: view::time(version.created_at_ms),
    });
    versions.collect()
}

#[cfg(test)]
mod tests {
    use crate::testing::{ALLOWS, TRUSTS_TASKS, World, texts_of};

    const ANN: (&str, &str) = ("UserName", "ann");

    async fn full_world() -> World {
        let world = World::new();
        let execution =
            ("PolicyArn", "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy");
        for (operation, input) in [
            ("CreateUser", &[ANN][..]),
            ("PutUserPolicy", &[ANN, ("PolicyName", "own"), ("PolicyDocument", ALLOWS)]),
            ("CreateGroup", &[("GroupName", "developers")]),
            ("AddUserToGroup", &[ANN, ("GroupName", "developers")]),
            ("CreateRole", &[("RoleName", "app"), ("AssumeRolePolicyDocument", TRUSTS_TASKS)]),
            ("AttachRolePolicy", &[("RoleName", "app"), execution]),
            ("CreateInstanceProfile", &[("InstanceProfileName", "nodes")]),
            ("AddRoleToInstanceProfile", &[("InstanceProfileName", "nodes"), ("RoleName", "app")]),
            ("CreatePolicy", &[("PolicyName", "p"), ("PolicyDocument", ALLOWS)]),
            ("CreateAccessKey", &[ANN]),
        ] {
            world.call(operation, input).await;
        }
        world
    }

    #[tokio::test]
    async fn a_summary_counts() {
        let world = full_world().await;
        let summary = world.call("GetAccountSummary", &[]).await;
        let (keys, values) = (texts_of(&summary, "key"), texts_of(&summary, "value"));
        let count = |name: &str| {
            let at = keys.iter().position(|key| key == name);
            values[at.unwrap_or_else(|| panic!("{name} in {summary}"))].clone()
        };
        for (name, expected) in [
            ("Users", "1"),
            ("Groups", "1"),
            ("Roles", "1"),
            ("InstanceProfiles", "1"),
            ("Policies", "1"),
            ("PolicyVersionsInUse", "1"),
            ("Providers", "0"),
            ("UsersQuota", "5000"),
            ("AccessKeysPerUserQuota", "2"),
            ("AccountAccessKeysPresent", "1"),
        ] {
            assert_eq!(count(name), expected, "{name}");
        }
        assert_eq!(keys.len(), 34, "all keys of the model");
    }

    #[tokio::test]
    async fn the_details_of_an_account_are_shown() {
        let world = full_world().await;
        let all = world.call("GetAccountAuthorizationDetails", &[]).await;
        World::has(
            &all,
            &[
                ("UserName", &["ann"]),
                ("GroupName", &["developers"]),
                ("RoleName", &["app", "app"]),
                ("InstanceProfileName", &["nodes"]),
                (
                    "PolicyName",
                    &[
                        "own",
                        "AmazonECSTaskExecutionRolePolicy",
                        "p",
                        "AmazonECSTaskExecutionRolePolicy",
                    ],
                ),
                ("IsTruncated", &["false"]),
            ],
        );
        assert!(all.contains("<GroupList><member>developers</member></GroupList>"), "{all}");
        let groups = [("Filter.member.1", "Group")];
        let groups = world.call("GetAccountAuthorizationDetails", &groups).await;
        World::has(&groups, &[("GroupName", &["developers"]), ("UserName", &[])]);
    }

    #[tokio::test]
    async fn the_details_come_in_pages() {
        let world = full_world().await;
        let (mut marker, mut pages) = (None::<String>, 0);
        loop {
            let mut input = vec![("MaxItems", "2")];
            input.extend(marker.as_deref().map(|marker| ("Marker", marker)));
            let page = world.call("GetAccountAuthorizationDetails", &input).await;
            pages += 1;
            marker = texts_of(&page, "Marker").pop();
            if marker.is_none() {
                break;
            }
        }
        assert_eq!(pages, 3, "a user, a group, a role and two policies");
    }
}
