//! Instance profiles.

use std::sync::Arc;

use outport_aws_iam::{
    AddRoleToInstanceProfileRequest, CreateInstanceProfileRequest, CreateInstanceProfileResponse,
    DeleteInstanceProfileRequest, GetInstanceProfileRequest, GetInstanceProfileResponse,
    ListInstanceProfilesForRoleRequest, ListInstanceProfilesForRoleResponse,
    ListInstanceProfilesRequest, ListInstanceProfilesResponse,
    RemoveRoleFromInstanceProfileRequest,
};
use outport_identity::{Call, Question, Subject};
use outport_model::AccountId;
use outport_model::iam::{InstanceProfile, NameKey, Role};
use outport_store::keys::InstanceProfileKey;
use outport_store::{Row, Tables};

use crate::entity::{arn_without_path, find, look, there};
use crate::page::PageRequest;
use crate::rejection::Rejection;
use crate::{IamService, ids, quotas, tags, view};

pub(super) const KIND: &str = "instance-profile";

pub(super) fn look_at(
    tables: &Tables,
    account: &AccountId,
    name: &str,
    action: &'static str,
) -> Subject<Option<Arc<InstanceProfile>>> {
    let key = InstanceProfileKey::new(account, name);
    let found = tables.instance_profiles.get(&key).cloned();
    let question = match &found {
        Some(profile) => {
            Question::new(action, profile.arn()).with_resource_tags_of("iam", &profile.tags)
        }
        None => Question::new(action, arn_without_path(account, KIND, name)),
    };
    Subject::new(found, question.shown_as(format!("instance profile {name}")))
}

/// # Errors
/// `NoSuchEntity`.
pub(super) fn existing(
    found: Option<Arc<InstanceProfile>>,
    name: &str,
) -> Result<Arc<InstanceProfile>, Rejection> {
    found
        .ok_or_else(|| Rejection::NoSuchEntity(format!("Instance Profile {name} cannot be found.")))
}

pub async fn create_instance_profile(
    service: &IamService,
    call: &Call,
    input: CreateInstanceProfileRequest,
) -> Result<CreateInstanceProfileResponse, Rejection> {
    let tags = tags::parse(input.tags)?;
    let profile = InstanceProfile {
        account: call.account.clone(),
        name: input.instance_profile_name.unwrap_or_default(),
        path: input.path.unwrap_or_else(|| "/".to_owned()),
        id: ids::unique("AIPA")?,
        created_at_ms: call.now_ms,
        role: None,
        tags,
    };
    let question =
        Question::new("iam:CreateInstanceProfile", profile.arn()).with_request_tags(&profile.tags);
    service
        .store
        .write(
            call,
            |_| Subject::from(question.clone()),
            |tx, ()| {
                if tx.instance_profiles.contains(&profile.key()) {
                    return Err(Rejection::EntityAlreadyExists(format!(
                        "Instance Profile {} already exists.",
                        profile.name
                    )));
                }
                let count = tx.instance_profiles.of_account(&profile.account).count();
                if count >= quotas::INSTANCE_PROFILES_PER_ACCOUNT {
                    let max = quotas::INSTANCE_PROFILES_PER_ACCOUNT;
                    return Err(Rejection::quota("InstanceProfilesPerAccount", max));
                }
                tx.put(profile.clone());
                let view = view::instance_profile(tx, &profile);
                Ok(CreateInstanceProfileResponse { instance_profile: Some(view) })
            },
        )
        .await
}

pub async fn get_instance_profile(
    service: &IamService,
    call: &Call,
    input: GetInstanceProfileRequest,
) -> Result<GetInstanceProfileResponse, Rejection> {
    let name = input.instance_profile_name.as_deref().unwrap_or_default();
    let (tables, found) = service
        .store
        .read(call, |tables| look_at(tables, &call.account, name, "iam:GetInstanceProfile"))?;
    let view = view::instance_profile(&tables, &*existing(found, name)?);
    Ok(GetInstanceProfileResponse { instance_profile: Some(view) })
}

pub async fn list_instance_profiles(
    service: &IamService,
    call: &Call,
    input: ListInstanceProfilesRequest,
) -> Result<ListInstanceProfilesResponse, Rejection> {
    let page = PageRequest::parse(input.max_items, input.marker.as_deref())?;
    let prefix = input.path_prefix.as_deref().unwrap_or("/");
    let ask = |_: &Tables| {
        let resource = arn_without_path(&call.account, KIND, "");
        Subject::from(Question::new("iam:ListInstanceProfiles", resource))
    };
    let (tables, ()) = service.store.read(call, ask)?;
    let profiles = tables.instance_profiles.of_account(&call.account);
    let profiles = profiles
        .filter(|profile| profile.path.starts_with(prefix))
        .map(|profile| (profile.key().name.to_string(), view::instance_profile(&tables, profile)));
    let page = page.take(profiles);
    Ok(ListInstanceProfilesResponse {
        is_truncated: page.is_truncated(),
        instance_profiles: Some(page.items),
        marker: page.marker,
    })
}

pub async fn list_instance_profiles_for_role(
    service: &IamService,
    call: &Call,
    input: ListInstanceProfilesForRoleRequest,
) -> Result<ListInstanceProfilesForRoleResponse, Rejection> {
    let page = PageRequest::parse(input.max_items, input.marker.as_deref())?;
    let name = input.role_name.as_deref().unwrap_or_default();
    let action = "iam:ListInstanceProfilesForRole";
    let (tables, found) =
        service.store.read(call, |tables| look::<Role>(tables, &call.account, name, action))?;
    let role = there(found, name)?;
    let profiles = tables.instance_profiles.with_role(&role.key()).iter().filter_map(|key| {
        let profile = tables.instance_profiles.get(key)?;
        Some((key.name.to_string(), view::instance_profile(&tables, profile)))
    });
    let page = page.take(profiles);
    Ok(ListInstanceProfilesForRoleResponse {
        is_truncated: page.is_truncated(),
        instance_profiles: Some(page.items),
        marker: page.marker,
    })
}

pub async fn delete_instance_profile(
    service: &IamService,
    call: &Call,
    input: DeleteInstanceProfileRequest,
) -> Result<(), Rejection> {
    let name = input.instance_profile_name.as_deref().unwrap_or_default();
    let ask = |tables: &Tables| look_at(tables, &call.account, name, "iam:DeleteInstanceProfile");
    service
        .store
        .write_always(call, ask, |tx, found| {
            let profile = existing(found, name)?;
            if profile.role.is_some() {
                return Err(Rejection::DeleteConflict(
                    "Cannot delete entity, must remove roles from instance profile first."
                        .to_owned(),
                ));
            }
            tx.remove::<InstanceProfile>(&profile.key());
            Ok(())
        })
        .await
}

/// Whoever may do it hands the role to instances: `iam:PassRole` is asked, too.
/// Source: API reference, AddRoleToInstanceProfile: "The caller of this operation must be granted the PassRole permission".
pub async fn add_role_to_instance_profile(
    service: &IamService,
    call: &Call,
    input: AddRoleToInstanceProfileRequest,
) -> Result<(), Rejection> {
    let name = input.instance_profile_name.as_deref().unwrap_or_default();
    let role = input.role_name.as_deref().unwrap_or_default();
    let ask = |tables: &Tables| {
        let passed = look::<Role>(tables, &call.account, role, "iam:PassRole")
            .with("iam:PassedToService", "ec2.amazonaws.com");
        look_at(tables, &call.account, name, "iam:AddRoleToInstanceProfile").join(passed)
    };
    service
        .store
        .write(call, ask, |tx, (found, passed)| {
            let mut profile = InstanceProfile::clone(&*existing(found, name)?);
            let passed = there(passed, role)?;
            if profile.role.is_some() {
                // Source: "IAM and AWS STS quotas": one role in an instance profile.
                return Err(Rejection::quota("InstanceSessionsPerInstanceProfile", 1));
            }
            profile.role = Some(NameKey::of(&passed.name));
            tx.put(profile);
            Ok(())
        })
        .await
}

pub async fn remove_role_from_instance_profile(
    service: &IamService,
    call: &Call,
    input: RemoveRoleFromInstanceProfileRequest,
) -> Result<(), Rejection> {
    let name = input.instance_profile_name.as_deref().unwrap_or_default();
    let role = input.role_name.as_deref().unwrap_or_default();
    let ask =
        |tables: &Tables| look_at(tables, &call.account, name, "iam:RemoveRoleFromInstanceProfile");
    service
        .store
        .write_always(call, ask, |tx, found| {
            let mut profile = InstanceProfile::clone(&*existing(found, name)?);
            let key = NameKey::of(role);
            if find::<Role>(tx, &call.account, role).is_none()
                || profile.role.as_ref() != Some(&key)
            {
                return Err(crate::entity::not_found("role", role));
            }
            profile.role = None;
            tx.put(profile);
            Ok(())
        })
        .await
}
