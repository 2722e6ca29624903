//! Managed policies.

use std::collections::BTreeMap;

use outport_aws_iam as wire;
use outport_aws_iam::{
    CreatePolicyRequest, CreatePolicyResponse, DeletePolicyRequest, EntityType, GetPolicyRequest,
    GetPolicyResponse, ListEntitiesForPolicyRequest, ListEntitiesForPolicyResponse,
    ListPoliciesRequest, ListPoliciesResponse, PolicyScopeType, PolicyUsageType,
};
use outport_identity::{Call, Question, Subject};
use outport_model::iam::{ManagedPolicy, PolicyVersion};
use outport_policy::PolicyKind;
use outport_store::{Row, Tables};

use crate::managed_policy::{Managed, look, own, there};
use crate::page::PageRequest;
use crate::rejection::Rejection;
use crate::{IamService, document, ids, quotas, tags, view};

pub async fn create_policy(
    service: &IamService,
    call: &Call,
    input: CreatePolicyRequest,
) -> Result<CreatePolicyResponse, Rejection> {
    let tags = tags::parse(input.tags)?;
    let name = input.policy_name.unwrap_or_default();
    let whose = format!("policy {name}");
    let document =
        document::check(input.policy_document, PolicyKind::Managed, quotas::MANAGED_CHARS, &whose)?;
    let version = PolicyVersion { document, created_at_ms: call.now_ms };
    let policy = ManagedPolicy {
        account: call.account.clone(),
        name,
        path: input.path.unwrap_or_else(|| "/".to_owned()),
        id: ids::unique("ANPA")?,
        created_at_ms: call.now_ms,
        updated_at_ms: call.now_ms,
        description: input.description,
        versions: BTreeMap::from([(1, version)]),
        default_version: 1,
        next_version: 2,
        tags,
    };
    let question = Question::new("iam:CreatePolicy", policy.arn()).with_request_tags(&policy.tags);
    service
        .store
        .write(
            call,
            |_| Subject::from(question.clone()),
            |tx, ()| {
                if tx.managed_policies.contains(&policy.key()) {
                    return Err(Rejection::EntityAlreadyExists(format!(
                        "A policy called {} already exists. Duplicate names are not allowed.",
                        policy.name
                    )));
                }
                let count = tx.managed_policies.of_account(&policy.account).count();
                if count >= quotas::POLICIES_PER_ACCOUNT {
                    let max = quotas::POLICIES_PER_ACCOUNT;
                    return Err(Rejection::quota("PoliciesPerAccount", max));
                }
                tx.put(policy.clone());
                let view = view::policy_in_list(tx, &Managed::Customer(policy.clone().into()));
                let tags = tags::view_if_any(&policy.tags);
                Ok(CreatePolicyResponse { policy: Some(wire::Policy { tags, ..view }) })
            },
        )
        .await
}

pub async fn get_policy(
    service: &IamService,
    call: &Call,
    input: GetPolicyRequest,
) -> Result<GetPolicyResponse, Rejection> {
    let arn = input.policy_arn.unwrap_or_default();
    let (tables, found) = service.store.read(call, |tables| look(tables, &arn, "iam:GetPolicy"))?;
    Ok(GetPolicyResponse { policy: Some(view::policy(&tables, &there(found, &arn)?)) })
}

/// Of the account, of AWS, or both.
pub async fn list_policies(
    service: &IamService,
    call: &Call,
    input: ListPoliciesRequest,
) -> Result<ListPoliciesResponse, Rejection> {
    let page = PageRequest::parse(input.max_items, input.marker.as_deref())?;
    let prefix = input.path_prefix.as_deref().unwrap_or("/");
    let ask = |_: &Tables| Subject::from(Question::without_resource("iam:ListPolicies"));
    let (tables, ()) = service.store.read(call, ask)?;
    let (own, awss) = match input.scope.unwrap_or(PolicyScopeType::All) {
        PolicyScopeType::All => (true, true),
        PolicyScopeType::Aws => (false, true),
        PolicyScopeType::Local => (true, false),
    };
    let own = own.then(|| tables.managed_policies.of_account(&call.account));
    let own = own.into_iter().flatten().map(|policy| Managed::Customer(policy.clone()));
    let awss = awss.then(outport_aws_managed_policies::all);
    let awss = awss.into_iter().flatten().map(|policy| Managed::Aws(policy.clone()));
    let only_attached = input.only_attached == Some(true);
    let usage = input.policy_usage_filter;
    let mut views: Vec<(String, wire::Policy)> = own
        .chain(awss)
        .filter(|policy| policy.path().starts_with(prefix))
        .map(|policy| view::policy_in_list(&tables, &policy))
        .filter(|policy| !only_attached || policy.attachment_count > Some(0))
        .filter(|policy| match usage {
            Some(PolicyUsageType::PermissionsPolicy) => policy.attachment_count > Some(0),
            Some(PolicyUsageType::PermissionsBoundary) => {
                policy.permissions_boundary_usage_count > Some(0)
            }
            None => true,
        })
        .map(|policy| (policy.arn.clone().unwrap_or_default(), policy))
        .collect();
    views.sort_by(|one, other| one.0.cmp(&other.0));
    let page = page.take(views);
    Ok(ListPoliciesResponse {
        is_truncated: page.is_truncated(),
        policies: Some(page.items),
        marker: page.marker,
    })
}

pub async fn delete_policy(
    service: &IamService,
    call: &Call,
    input: DeletePolicyRequest,
) -> Result<(), Rejection> {
    let arn = input.policy_arn.unwrap_or_default();
    service
        .store
        .write_always(call, |tables| look(tables, &arn, "iam:DeletePolicy"), |tx, found| {
            let policy = own(found, &arn)?;
            if view::uses(tx, &arn) != (0, 0) {
                let text = "Cannot delete a policy attached to entities.";
                return Err(Rejection::DeleteConflict(text.to_owned()));
            }
            if policy.versions.len() > 1 {
                let text = "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.";
                return Err(Rejection::DeleteConflict(text.to_owned()));
            }
            tx.remove::<ManagedPolicy>(&policy.key());
            Ok(())
        })
        .await
}

/// Users, groups and roles in one list, which comes in pages.
pub async fn list_entities_for_policy(
    service: &IamService,
    call: &Call,
    input: ListEntitiesForPolicyRequest,
) -> Result<ListEntitiesForPolicyResponse, Rejection> {
    let page = PageRequest::parse(input.max_items, input.marker.as_deref())?;
    let arn = input.policy_arn.clone().unwrap_or_default();
    let ask = |tables: &Tables| look(tables, &arn, "iam:ListEntitiesForPolicy");
    let (tables, found) = service.store.read(call, ask)?;
    there(found, &arn)?;
    let page = page.take(entities(&tables, call, &arn, &input));
    let mut answer = ListEntitiesForPolicyResponse {
        policy_groups: Some(Vec::new()),
        policy_users: Some(Vec::new()),
        policy_roles: Some(Vec::new()),
        is_truncated: page.is_truncated(),
        marker: page.marker,
    };
    for entity in page.items {
        match entity {
            Holder::Group(group) => answer.policy_groups.get_or_insert_default().push(group),
            Holder::User(user) => answer.policy_users.get_or_insert_default().push(user),
            Holder::Role(role) => answer.policy_roles.get_or_insert_default().push(role),
        }
    }
    Ok(answer)
}

enum Holder {
    Group(wire::PolicyGroup),
    User(wire::PolicyUser),
    Role(wire::PolicyRole),
}

fn entities(
    tables: &Tables,
    call: &Call,
    arn: &str,
    input: &ListEntitiesForPolicyRequest,
) -> BTreeMap<String, Holder> {
    let prefix = input.path_prefix.as_deref().unwrap_or("/");
    let wants = |kind: EntityType| input.entity_filter.is_none_or(|filter| filter == kind);
    let by_policy = input.policy_usage_filter != Some(PolicyUsageType::PermissionsBoundary);
    let by_boundary = input.policy_usage_filter != Some(PolicyUsageType::PermissionsPolicy);
    let arn_key = arn;
    let mut found = BTreeMap::new();
    if wants(EntityType::Group) && by_policy {
        for key in tables.groups.with_policy().attached(arn_key) {
            let Some(group) = tables.groups.get(key) else { continue };
            if group.account == call.account && group.path.starts_with(prefix) {
                let (group_name, group_id) = (Some(group.name.clone()), Some(group.id.clone()));
                let view = wire::PolicyGroup { group_name, group_id };
                found.insert(format!("group/{}", key.name), Holder::Group(view));
            }
        }
    }
    if wants(EntityType::User) {
        let users = tables.users.with_policy();
        let attached = users.attached(arn_key).iter().filter(|_| by_policy);
        for key in attached.chain(users.boundary(arn_key).iter().filter(|_| by_boundary)) {
            let Some(user) = tables.users.get(key) else { continue };
            if user.account == call.account && user.path.starts_with(prefix) {
                let (user_name, user_id) = (Some(user.name.clone()), Some(user.id.clone()));
                let view = wire::PolicyUser { user_name, user_id };
                found.insert(format!("user/{}", key.name), Holder::User(view));
            }
        }
    }
    if wants(EntityType::Role) {
        let roles = tables.roles.with_policy();
        let attached = roles.attached(arn_key).iter().filter(|_| by_policy);
        for key in attached.chain(roles.boundary(arn_key).iter().filter(|_| by_boundary)) {
            let Some(role) = tables.roles.get(key) else { continue };
            if role.account == call.account && role.path.starts_with(prefix) {
                let (role_name, role_id) = (Some(role.name.clone()), Some(role.id.clone()));
                let view = wire::PolicyRole { role_name, role_id };
                found.insert(format!("role/{}", key.name), Holder::Role(view));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::testing::{ALLOWS, World, texts_of};

    const ARN: (&str, &str) = ("PolicyArn", "arn:aws:iam::000000000000:policy/team/p");
    const NEW: [(&str, &str); 3] =
        [("PolicyName", "p"), ("Path", "/team/"), ("PolicyDocument", ALLOWS)];

    #[tokio::test]
    async fn a_policy_has_versions_of_which_one_counts() {
        let world = World::new();
        let made = world.call("CreatePolicy", &NEW).await;
        World::has(&made, &[("Arn", &[ARN.1]), ("DefaultVersionId", &["v1"])]);
        let text = "A policy called p already exists. Duplicate names are not allowed.";
        world.refuses("CreatePolicy", &NEW, "EntityAlreadyExists", text).await;
        let version = [ARN, ("PolicyDocument", ALLOWS), ("SetAsDefault", "true")];
        for _ in 0..4 {
            world.call("CreatePolicyVersion", &version).await;
        }
        let text = "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.";
        world.refuses("CreatePolicyVersion", &version, "LimitExceeded", text).await;
        let list = world.call("ListPolicyVersions", &[ARN, ("MaxItems", "3")]).await;
        World::has(&list, &[("VersionId", &["v5", "v4", "v3"]), ("IsTruncated", &["true"])]);
        let marker = texts_of(&list, "Marker").remove(0);
        let rest = world.call("ListPolicyVersions", &[ARN, ("Marker", &marker)]).await;
        World::has(&rest, &[("VersionId", &["v2", "v1"])]);
        let fifth = [ARN, ("VersionId", "v5")];
        let text = "Cannot delete the default version of a policy.";
        world.refuses("DeletePolicyVersion", &fifth, "DeleteConflict", text).await;
        world.call("SetDefaultPolicyVersion", &[ARN, ("VersionId", "v2")]).await;
        world.call("DeletePolicyVersion", &fifth).await;
        let next = world.call("CreatePolicyVersion", &version).await;
        World::has(&next, &[("VersionId", &["v6"])]);
    }

    #[tokio::test]
    async fn a_policy_that_is_used_stays() {
        let world = World::new();
        world.call("CreatePolicy", &NEW).await;
        world.call("CreateUser", &[("UserName", "ann")]).await;
        world.call("CreateGroup", &[("GroupName", "g")]).await;
        world.call("AttachGroupPolicy", &[("GroupName", "g"), ARN]).await;
        let boundary = [("UserName", "ann"), ("PermissionsBoundary", ARN.1)];
        world.call("PutUserPermissionsBoundary", &boundary).await;
        let shown = world.call("GetPolicy", &[ARN]).await;
        World::has(
            &shown,
            &[("AttachmentCount", &["1"]), ("PermissionsBoundaryUsageCount", &["1"])],
        );
        let holders = world.call("ListEntitiesForPolicy", &[ARN]).await;
        World::has(&holders, &[("UserName", &["ann"]), ("GroupName", &["g"])]);
        let filter = ("PolicyUsageFilter", "PermissionsPolicy");
        let holders = world.call("ListEntitiesForPolicy", &[ARN, filter]).await;
        World::has(&holders, &[("UserName", &[]), ("GroupName", &["g"])]);
        let text = "Cannot delete a policy attached to entities.";
        world.refuses("DeletePolicy", &[ARN], "DeleteConflict", text).await;
    }

    #[tokio::test]
    async fn the_policies_of_aws_are_there_and_stay_as_they_are() {
        let world = World::new();
        let admin = ("PolicyArn", "arn:aws:iam::aws:policy/AdministratorAccess");
        let shown = world.call("GetPolicy", &[admin]).await;
        World::has(&shown, &[("PolicyName", &["AdministratorAccess"])]);
        let version = texts_of(&shown, "DefaultVersionId").remove(0);
        world.call("GetPolicyVersion", &[admin, ("VersionId", &version)]).await;
        for operation in ["DeletePolicy", "CreatePolicyVersion"] {
            let (status, _) = world.reply(operation, &[admin, ("PolicyDocument", ALLOWS)]).await;
            assert_eq!(status, 400, "{operation}");
        }
        let unknown = ("PolicyArn", "arn:aws:iam::aws:policy/NoSuchPolicy");
        let text = "Policy arn:aws:iam::aws:policy/NoSuchPolicy was not found.";
        world.refuses("GetPolicy", &[unknown], "NoSuchEntity", text).await;
        world.call("CreatePolicy", &NEW).await;
        let own = world.call("ListPolicies", &[("Scope", "Local")]).await;
        World::has(&own, &[("PolicyName", &["p"])]);
        let awss = world.call("ListPolicies", &[("Scope", "AWS"), ("MaxItems", "1000")]).await;
        assert!(texts_of(&awss, "PolicyName").len() > 100);
    }
}
