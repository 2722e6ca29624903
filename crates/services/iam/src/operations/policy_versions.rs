//! Versions of managed policies.

use outport_aws_iam as wire;
use outport_aws_iam::{
    CreatePolicyVersionRequest, CreatePolicyVersionResponse, DeletePolicyVersionRequest,
    GetPolicyVersionRequest, GetPolicyVersionResponse, ListPolicyVersionsRequest,
    ListPolicyVersionsResponse, SetDefaultPolicyVersionRequest,
};
use outport_identity::Call;
use outport_model::iam::{ManagedPolicy, PolicyVersion};
use outport_policy::PolicyKind;

use crate::document::{self, encoded};
use crate::managed_policy::{self, Managed, look, own, there};
use crate::page::PageRequest;
use crate::rejection::Rejection;
use crate::{IamService, quotas, view};

/// The number of a version is never used again.
pub async fn create_policy_version(
    service: &IamService,
    call: &Call,
    input: CreatePolicyVersionRequest,
) -> Result<CreatePolicyVersionResponse, Rejection> {
    let arn = input.policy_arn.unwrap_or_default();
    let whose = format!("policy {arn}");
    let document =
        document::check(input.policy_document, PolicyKind::Managed, quotas::MANAGED_CHARS, &whose)?;
    let is_default = input.set_as_default == Some(true);
    service
        .store
        .write(call, |tables| look(tables, &arn, "iam:CreatePolicyVersion"), |tx, found| {
            let mut policy = ManagedPolicy::clone(&*own(found, &arn)?);
            if policy.versions.len() >= quotas::POLICY_VERSIONS {
                let text = format!(
                    "A managed policy can have up to {} versions. Before you create a new version, you must delete an existing version.",
                    quotas::POLICY_VERSIONS
                );
                return Err(Rejection::LimitExceeded(text));
            }
            let number = policy.next_version;
            let version = PolicyVersion { document: document.clone(), created_at_ms: call.now_ms };
            policy.versions.insert(number, version);
            policy.next_version += 1;
            policy.updated_at_ms = call.now_ms;
            if is_default {
                policy.default_version = number;
            }
            tx.put(policy);
            Ok(CreatePolicyVersionResponse {
                policy_version: Some(wire::PolicyVersion {
                    document: None,
                    version_id: Some(format!("v{number}")),
                    is_default_version: Some(is_default),
                    create_date: view::time(call.now_ms),
                }),
            })
        })
        .await
}

pub async fn get_policy_version(
    service: &IamService,
    call: &Call,
    input: GetPolicyVersionRequest,
) -> Result<GetPolicyVersionResponse, Rejection> {
    let arn = input.policy_arn.unwrap_or_default();
    let (_, found) =
        service.store.read(call, |tables| look(tables, &arn, "iam:GetPolicyVersion"))?;
    let policy = there(found, &arn)?;
    let asked = input.version_id.as_deref();
    let number = match &policy {
        Managed::Customer(own) => managed_policy::version(own, asked)?,
        Managed::Aws(aws) if asked == Some(&format!("v{}", aws.version)) => aws.version,
        // AWS keeps the versions before, and here there is the last one only.
        Managed::Aws(_) => {
            let text = format!(
                "Policy {arn} version {} does not exist or is not attachable.",
                asked.unwrap_or_default()
            );
            return Err(Rejection::NoSuchEntity(text));
        }
    };
    let versions = versions(&policy);
    let view = versions.into_iter().find(|(found, _)| *found == number).map(|(_, view)| view);
    Ok(GetPolicyVersionResponse { policy_version: view })
}

fn versions(policy: &Managed) -> Vec<(u32, wire::PolicyVersion)> {
    let view = |number: u32, is_default, document: &str, created_at_ms| wire::PolicyVersion {
        document: Some(encoded(document)),
        version_id: Some(format!("v{number}")),
        is_default_version: Some(is_default),
        create_date: view::time(created_at_ms),
    };
    match policy {
        Managed::Customer(own) => own
            .versions
            .iter()
            .map(|(number, version)| {
                let is_default = *number == own.default_version;
                (*number, view(*number, is_default, &version.document, version.created_at_ms))
            })
            .collect(),
        Managed::Aws(aws) => {
            vec![(aws.version, view(aws.version, true, &aws.document, aws.updated_at_ms))]
        }
    }
}

/// The newest first, without their documents.
pub async fn list_policy_versions(
    service: &IamService,
    call: &Call,
    input: ListPolicyVersionsRequest,
) -> Result<ListPolicyVersionsResponse, Rejection> {
    let page = PageRequest::parse(input.max_items, input.marker.as_deref())?;
    let arn = input.policy_arn.unwrap_or_default();
    let (_, found) =
        service.store.read(call, |tables| look(tables, &arn, "iam:ListPolicyVersions"))?;
    let versions = versions(&there(found, &arn)?).into_iter().rev();
    // Keys grow, and the numbers of these fall.
    let page = page.take(versions.map(|(number, version)| {
        (format!("{:010}", u32::MAX - number), wire::PolicyVersion { document: None, ..version })
    }));
    Ok(ListPolicyVersionsResponse {
        is_truncated: page.is_truncated(),
        versions: Some(page.items),
        marker: page.marker,
    })
}

pub async fn set_default_policy_version(
    service: &IamService,
    call: &Call,
    input: SetDefaultPolicyVersionRequest,
) -> Result<(), Rejection> {
    let arn = input.policy_arn.unwrap_or_default();
    service
        .store
        .write(
            call,
            |tables| look(tables, &arn, "iam:SetDefaultPolicyVersion"),
            |tx, found| {
                let mut policy = ManagedPolicy::clone(&*own(found, &arn)?);
                policy.default_version =
                    managed_policy::version(&policy, input.version_id.as_deref())?;
                policy.updated_at_ms = call.now_ms;
                tx.put(policy);
                Ok(())
            },
        )
        .await
}

pub async fn delete_policy_version(
    service: &IamService,
    call: &Call,
    input: DeletePolicyVersionRequest,
) -> Result<(), Rejection> {
    let arn = input.policy_arn.unwrap_or_default();
    service
        .store
        .write_always(
            call,
            |tables| look(tables, &arn, "iam:DeletePolicyVersion"),
            |tx, found| {
                let mut policy = ManagedPolicy::clone(&*own(found, &arn)?);
                let number = managed_policy::version(&policy, input.version_id.as_deref())?;
                if number == policy.default_version {
                    let text = "Cannot delete the default version of a policy.";
                    return Err(Rejection::DeleteConflict(text.to_owned()));
                }
                policy.versions.remove(&number);
                tx.put(policy);
                Ok(())
            },
        )
        .await
}
