//! Keys themselves: made, described, listed, switched on and off.

use std::sync::Arc;

use outport_aws_kms as wire;
use outport_aws_kms::{
    CreateKeyRequest, CreateKeyResponse, DescribeKeyRequest, DescribeKeyResponse,
    DisableKeyRequest, EnableKeyRequest, ListKeysRequest, ListKeysResponse,
    UpdateKeyDescriptionRequest,
};
use outport_identity::{Call, Question, Subject};
use outport_kms_keys::{Protection, Unusable, Use, default_policy, service_of};
use outport_model::kms::{KmsKey, KmsKeySpec};
use outport_model::{Arn, NewIds, Scope, Tags};
use outport_store::{Tables, Transaction};

use crate::look::{Named, scope};
use crate::page::PageRequest;
use crate::rejection::{Reason, Rejection};
use crate::{KmsService, policy, quotas, random, tags, view};

/// Source: API reference, ListKeys, Limit.
const KEYS_PER_PAGE: usize = 100;

/// Makes a key, with its material.
pub async fn create_key(
    service: &KmsService,
    call: &Call,
    input: CreateKeyRequest,
) -> Result<CreateKeyResponse, Rejection> {
    refuse_what_is_not_built(&input)?;
    let spec = parse_spec(&input)?;
    let tags = tags::parse(input.tags)?;
    let scope = scope(call);
    let bypasses = input.bypass_policy_lockout_safety_check.unwrap_or(false);
    let is_given = input.policy.is_some();
    let policy = match input.policy {
        Some(document) => {
            policy::check(&document)?;
            document
        }
        None => default_policy(&scope.account, Arn::kms_key(&scope, "*").partition()),
    };
    let material = random::material_for(spec)?;
    let ask = |_: &Tables| question_of_creation(call, &scope, spec, bypasses, &tags);
    if is_given && !bypasses {
        service.store.read(call, ask)?;
        policy::check_lockout(call, &Arn::kms_key(&scope, "*"), &policy)?;
    }
    service
        .store
        .write(call, ask, |tx, ()| {
            check_count(tx, &scope)?;
            let id = tx.uuid();
            let policy = policy::as_kept(&policy, tx, &scope.account)?;
            let material = material.seal(&service.keyring, (&scope, &id), spec, tx.now_ms(), None);
            let key = KmsKey {
                scope: scope.clone(),
                id,
                description: input.description.unwrap_or_default(),
                spec,
                managed_for: None,
                is_enabled: true,
                deletion: None,
                policy,
                tags: tags.clone(),
                created_at_ms: tx.now_ms(),
                materials: vec![material],
                rotation: None,
            };
            let answer = CreateKeyResponse { key_metadata: Some(view::metadata(&key)) };
            tx.put(key);
            Ok(answer)
        })
        .await
}

fn refuse_what_is_not_built(input: &CreateKeyRequest) -> Result<(), Rejection> {
    let is_of_aws = input.origin.is_none_or(|origin| origin == wire::OriginType::AwsKms);
    let refused = [
        (!is_of_aws, "A key whose material comes from elsewhere (Origin)"),
        (input.custom_key_store_id.is_some(), "A custom key store (CustomKeyStoreId)"),
        (input.xks_key_id.is_some(), "An external key store (XksKeyId)"),
        (input.multi_region == Some(true), "A key of several regions (MultiRegion)"),
    ];
    match refused.into_iter().find(|(is_given, _)| *is_given) {
        Some((_, what)) => Err(Rejection::not_built(what)),
        None => Ok(()),
    }
}

/// Source of the texts: answers of CreateKey, as public test suites have recorded them.
fn parse_spec(input: &CreateKeyRequest) -> Result<KmsKeySpec, Rejection> {
    let old = input.customer_master_key_spec.map(wire::CustomerMasterKeySpec::as_str);
    let given = input.key_spec.map(wire::KeySpec::as_str);
    if given.is_some() && old.is_some() {
        return Err(Rejection::validation(
            "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated.",
        ));
    }
    let name = given.or(old).unwrap_or("SYMMETRIC_DEFAULT");
    let spec = match name {
        "SYMMETRIC_DEFAULT" => KmsKeySpec::SymmetricDefault,
        "HMAC_224" => KmsKeySpec::Hmac224,
        "HMAC_256" => KmsKeySpec::Hmac256,
        "HMAC_384" => KmsKeySpec::Hmac384,
        "HMAC_512" => KmsKeySpec::Hmac512,
        "ECC_NIST_P256" => KmsKeySpec::EccNistP256,
        "ECC_NIST_P384" => KmsKeySpec::EccNistP384,
        "ECC_NIST_P521" => KmsKeySpec::EccNistP521,
        "ECC_SECG_P256K1" => KmsKeySpec::EccSecgP256k1,
        asymmetric => {
            return Err(Rejection::not_built(&format!("An asymmetric key (KeySpec {asymmetric})")));
        }
    };
    match input.key_usage {
        None if spec.encrypts() => Ok(spec),
        None => Err(Rejection::validation(
            "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.",
        )),
        Some(usage) if usage == view::usage(spec) => Ok(spec),
        Some(usage) if usage == wire::KeyUsageType::KeyAgreement && may_agree(spec) => {
            Err(Rejection::not_built("A key for key agreement (KeyUsage KEY_AGREEMENT)"))
        }
        Some(usage) => Err(Rejection::validation(format!(
            "KeyUsage {} is not compatible with KeySpec {name}",
            usage.as_str()
        ))),
    }
}

/// Whether AWS has keys of this spec for DeriveSharedSecret. Source: API reference, CreateKey, KeySpec: those on NIST's curves.
fn may_agree(spec: KmsKeySpec) -> bool {
    matches!(spec, KmsKeySpec::EccNistP256 | KmsKeySpec::EccNistP384 | KmsKeySpec::EccNistP521)
}

/// Source of the second question: API reference, CreateKey: "To use the Tags parameter, kms:TagResource (IAM policy)".
fn question_of_creation(
    call: &Call,
    scope: &Scope,
    spec: KmsKeySpec,
    bypasses: bool,
    tags: &Tags,
) -> Subject<()> {
    let with_keys = |question: Question| {
        question
            .with("kms:CallerAccount", call.principal.account().as_str())
            .with("kms:KeySpec", view::spec(spec).as_str())
            .with("kms:KeyUsage", view::usage(spec).as_str())
            .with("kms:KeyOrigin", "AWS_KMS")
            .with("kms:MultiRegion", false)
            .with_request_tags(tags)
    };
    let creates = with_keys(Question::without_resource("kms:CreateKey"))
        .with("kms:BypassPolicyLockoutSafetyCheck", bypasses);
    let any = Arn::kms_key(scope, "*").into_string();
    let tagging = (!tags.is_empty()).then(|| with_keys(Question::new("kms:TagResource", any)));
    Subject::from(creates).and_all(tagging)
}

fn check_count(tables: &Tables, scope: &Scope) -> Result<(), Rejection> {
    let max = quotas::KEYS_PER_REGION;
    if tables.kms_keys.len() >= max && tables.kms_keys.of_scope(scope).count() >= max {
        let text = format!("A region has {max} keys at most.");
        return Err(Rejection::new(Reason::LimitExceeded, text));
    }
    Ok(())
}

/// One that is pending deletion is described, too.
pub async fn describe_key(
    service: &KmsService,
    call: &Call,
    input: DescribeKeyRequest,
) -> Result<DescribeKeyResponse, Rejection> {
    let named = Named::parse(call, service.now(), input.key_id)?;
    let look = |tables: &Tables| named.look(tables, Use::new("kms:DescribeKey"));
    let (_, found) = service.store.read(call, look).map_err(|refused| named.denied(refused))?;
    let key = match (found, named.reference.alias().and_then(service_of)) {
        (None, Some(owner)) => make_managed(service, call, &named, owner).await?,
        (found, _) => named.there(found)?,
    };
    Ok(DescribeKeyResponse { key_metadata: Some(view::metadata(&key)) })
}

/// Makes the key of a service for who describes it before the service has needed it.
///
/// Source: API reference, DescribeKey, on a "predefined AWS alias": "AWS KMS associates the alias with an AWS managed key".
async fn make_managed(
    service: &KmsService,
    call: &Call,
    named: &Named<'_>,
    owner: &'static str,
) -> Result<Arc<KmsKey>, Rejection> {
    let (own, fresh) = (scope(call), random::material()?);
    if *named.reference.scope() != own {
        return named.there(None);
    }
    let protection = Protection::new(owner, &own, None)?;
    let look = |tables: &Tables| named.look(tables, Use::new("kms:DescribeKey"));
    let made = service
        .store
        .write(call, look, |tx, found| match found {
            Some(key) => Ok(key),
            None => protection
                .key(tx, &service.keyring, &fresh)
                .map_err(|error| Rejection::server(error.to_string())),
        })
        .await;
    made.map_err(|refused| named.denied(refused))
}

pub async fn list_keys(
    service: &KmsService,
    call: &Call,
    input: ListKeysRequest,
) -> Result<ListKeysResponse, Rejection> {
    let is_shared = |owner: &wire::ResourceOwnerType| *owner != wire::ResourceOwnerType::SelfValue;
    if input.resource_owners.iter().flatten().any(is_shared) {
        return Err(Rejection::not_built("A list of shared keys (ResourceOwners)"));
    }
    let page = PageRequest::parse(input.limit, KEYS_PER_PAGE, input.marker.as_deref())?;
    let ask = |_: &Tables| Subject::from(Question::without_resource("kms:ListKeys"));
    let (tables, ()) = service.store.read(call, ask)?;
    let (scope, now) = (scope(call), service.now());
    let shown = tables.kms_keys.of_scope(&scope).filter(|key| !key.is_gone(&now));
    let entry = |key: &Arc<KmsKey>| wire::KeyListEntry {
        key_id: Some(key.id.clone()),
        key_arn: view::arn(key),
    };
    let page = page.take(shown.map(|key| (key.id.clone(), entry(key))));
    Ok(ListKeysResponse {
        truncated: page.truncated(),
        next_marker: page.next_marker,
        keys: Some(page.items),
    })
}

/// Changes a key of the caller's account that is not pending deletion.
///
/// # Errors
/// `NotFoundException`, `KMSInvalidStateException`, and what `change` refuses.
pub async fn change_own<T>(
    service: &KmsService,
    call: &Call,
    named: &Named<'_>,
    look: impl Fn(&Tables) -> Subject<Option<Arc<KmsKey>>>,
    change: impl FnOnce(&mut Transaction<'_>, &mut KmsKey) -> Result<T, Rejection>,
) -> Result<T, Rejection> {
    let changed = service
        .store
        .write(call, look, |tx, found| {
            let before = named.there(found)?;
            if let Err(pending @ Unusable::PendingDeletion { .. }) = Unusable::check(&before) {
                return Err(pending.into());
            }
            let mut key = KmsKey::clone(&before);
            let answer = change(tx, &mut key)?;
            if key != *before {
                tx.put(key);
            }
            Ok(answer)
        })
        .await;
    changed.map_err(|refused| named.denied(refused))
}

pub async fn update_key_description(
    service: &KmsService,
    call: &Call,
    input: UpdateKeyDescriptionRequest,
) -> Result<(), Rejection> {
    let named = Named::parse_id(call, service.now(), input.key_id)?;
    let description = input.description.unwrap_or_default();
    let look = |tables: &Tables| named.look_at_own(tables, "kms:UpdateKeyDescription");
    change_own(service, call, &named, look, |_, key| {
        key.description = description;
        Ok(())
    })
    .await
}

pub async fn enable_key(
    service: &KmsService,
    call: &Call,
    input: EnableKeyRequest,
) -> Result<(), Rejection> {
    switch(service, call, input.key_id, "kms:EnableKey", true).await
}

pub async fn disable_key(
    service: &KmsService,
    call: &Call,
    input: DisableKeyRequest,
) -> Result<(), Rejection> {
    switch(service, call, input.key_id, "kms:DisableKey", false).await
}

async fn switch(
    service: &KmsService,
    call: &Call,
    key_id: Option<String>,
    action: &'static str,
    is_enabled: bool,
) -> Result<(), Rejection> {
    let named = Named::parse_id(call, service.now(), key_id)?;
    let look = |tables: &Tables| named.look_at_own(tables, action);
    change_own(service, call, &named, look, |_, key| {
        key.is_enabled = is_enabled;
        Ok(())
    })
    .await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn the_key_of_a_service_is_made_for_who_describes_it() {
        let world = World::new();
        let input = json!({"KeyId": "alias/aws/ssm"});
        let made = world.call("DescribeKey", input.clone()).await;
        assert_eq!(made["KeyMetadata"]["KeyManager"], "AWS");
        world.check("DescribeKey", input, made.clone()).await;
        let aliases = world.call("ListAliases", json!({})).await;
        assert_eq!(aliases["Aliases"][0]["TargetKeyId"], made["KeyMetadata"]["KeyId"]);
        let text = "Alias arn:aws:kms:us-east-1:000000000000:alias/aws/s3 is not found.";
        let other = json!({"KeyId": "alias/aws/s3"});
        world.refuses("DescribeKey", other, "NotFoundException", text).await;
    }

    #[tokio::test]
    async fn lists_come_in_pages() {
        let world = World::full().await;
        let (mut ids, mut marker) = (Vec::new(), json!(null));
        loop {
            let page = world.call("ListKeys", json!({"Limit": 3, "Marker": marker})).await;
            ids.extend(page["Keys"].as_array().unwrap().iter().map(|key| key["KeyId"].clone()));
            marker = page["NextMarker"].clone();
            assert_eq!(page["Truncated"], json!(!marker.is_null()));
            if marker.is_null() {
                break;
            }
        }
        let mut expected: Vec<_> = ["shop", "other", "codes", "signer", "gone"]
            .map(|name| json!(world.names[name]))
            .to_vec();
        expected.sort_by(|one, other| one.as_str().cmp(&other.as_str()));
        assert_eq!(ids, expected);
    }
}
