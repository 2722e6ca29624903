//! Rows as KMS shows them.

use outport_aws_kms as wire;
use outport_aws_wire::Timestamp;
use outport_model::TimestampMs;
use outport_model::kms::{KmsAlias, KmsGrant, KmsKey, KmsKeySpec, KmsKeyUsage};

pub fn time(ms: TimestampMs) -> Option<Timestamp> {
    Some(Timestamp::from_millis(ms))
}

pub fn arn(key: &KmsKey) -> Option<String> {
    Some(key.arn().into_string())
}

pub fn state(key: &KmsKey) -> wire::KeyState {
    match key.deletion {
        Some(_) => wire::KeyState::PendingDeletion,
        None if key.is_enabled => wire::KeyState::Enabled,
        None => wire::KeyState::Disabled,
    }
}

pub fn spec(spec: KmsKeySpec) -> wire::KeySpec {
    match spec {
        KmsKeySpec::SymmetricDefault => wire::KeySpec::SymmetricDefault,
        KmsKeySpec::Hmac224 => wire::KeySpec::Hmac224,
        KmsKeySpec::Hmac256 => wire::KeySpec::Hmac256,
        KmsKeySpec::Hmac384 => wire::KeySpec::Hmac384,
        KmsKeySpec::Hmac512 => wire::KeySpec::Hmac512,
        KmsKeySpec::EccNistP256 => wire::KeySpec::EccNistP256,
        KmsKeySpec::EccNistP384 => wire::KeySpec::EccNistP384,
        KmsKeySpec::EccNistP521 => wire::KeySpec::EccNistP521,
        KmsKeySpec::EccSecgP256k1 => wire::KeySpec::EccSecgP256K1,
    }
}

pub fn usage(spec: KmsKeySpec) -> wire::KeyUsageType {
    match spec.usage() {
        KmsKeyUsage::EncryptDecrypt => wire::KeyUsageType::EncryptDecrypt,
        KmsKeyUsage::GenerateVerifyMac => wire::KeyUsageType::GenerateVerifyMac,
        KmsKeyUsage::SignVerify => wire::KeyUsageType::SignVerify,
    }
}

pub fn mac_algorithm(spec: KmsKeySpec) -> Option<wire::MacAlgorithmSpec> {
    match spec {
        KmsKeySpec::SymmetricDefault
        | KmsKeySpec::EccNistP256
        | KmsKeySpec::EccNistP384
        | KmsKeySpec::EccNistP521
        | KmsKeySpec::EccSecgP256k1 => None,
        KmsKeySpec::Hmac224 => Some(wire::MacAlgorithmSpec::HmacSha224),
        KmsKeySpec::Hmac256 => Some(wire::MacAlgorithmSpec::HmacSha256),
        KmsKeySpec::Hmac384 => Some(wire::MacAlgorithmSpec::HmacSha384),
        KmsKeySpec::Hmac512 => Some(wire::MacAlgorithmSpec::HmacSha512),
    }
}

/// The only one that a key of this spec has. Source: KMS developer guide, "Key spec reference".
pub fn signing_algorithm(spec: KmsKeySpec) -> Option<wire::SigningAlgorithmSpec> {
    match spec {
        KmsKeySpec::SymmetricDefault
        | KmsKeySpec::Hmac224
        | KmsKeySpec::Hmac256
        | KmsKeySpec::Hmac384
        | KmsKeySpec::Hmac512 => None,
        KmsKeySpec::EccNistP256 | KmsKeySpec::EccSecgP256k1 => {
            Some(wire::SigningAlgorithmSpec::EcdsaSha256)
        }
        KmsKeySpec::EccNistP384 => Some(wire::SigningAlgorithmSpec::EcdsaSha384),
        KmsKeySpec::EccNistP521 => Some(wire::SigningAlgorithmSpec::EcdsaSha512),
    }
}

pub fn signing_algorithms(spec: KmsKeySpec) -> Option<Vec<wire::SigningAlgorithmSpec>> {
    signing_algorithm(spec).map(|algorithm| vec![algorithm])
}

/// The id of the material that a key that encrypts has now.
pub fn material_id(key: &KmsKey) -> Option<String> {
    let current = key.current_material().filter(|_| key.spec.encrypts());
    current.map(|material| material.id.clone())
}

/// Whole, as DescribeKey shows it.
pub fn metadata(key: &KmsKey) -> wire::KeyMetadata {
    let shown_spec = spec(key.spec);
    let manager = match key.managed_for {
        Some(_) => wire::KeyManagerType::Aws,
        None => wire::KeyManagerType::Customer,
    };
    let encrypts = key.spec.encrypts();
    wire::KeyMetadata {
        aws_account_id: Some(key.scope.account.as_str().to_owned()),
        key_id: Some(key.id.clone()),
        arn: arn(key),
        creation_date: time(key.created_at_ms),
        enabled: Some(key.is_enabled),
        description: Some(key.description.clone()),
        key_usage: Some(usage(key.spec)),
        key_state: Some(state(key)),
        deletion_date: key.deletion.and_then(|deletion| time(deletion.at_ms())),
        origin: Some(wire::OriginType::AwsKms),
        key_manager: Some(manager),
        customer_master_key_spec: wire::CustomerMasterKeySpec::from_name(shown_spec.as_str()),
        key_spec: Some(shown_spec),
        encryption_algorithms: encrypts
            .then(|| vec![wire::EncryptionAlgorithmSpec::SymmetricDefault]),
        signing_algorithms: signing_algorithms(key.spec),
        multi_region: Some(false),
        mac_algorithms: mac_algorithm(key.spec).map(|algorithm| vec![algorithm]),
        current_key_material_id: material_id(key),
        ..wire::KeyMetadata::default()
    }
}

pub fn alias(alias: &KmsAlias) -> wire::AliasListEntry {
    wire::AliasListEntry {
        alias_name: Some(alias.name.clone()),
        alias_arn: Some(alias.arn().into_string()),
        target_key_id: Some(alias.key_id.clone()),
        creation_date: time(alias.created_at_ms),
        last_updated_date: time(alias.updated_at_ms),
    }
}

/// A grant, as lists show it.
pub fn grant(
    grant: &KmsGrant,
    key_arn: String,
    shown: impl Fn(&str) -> String,
) -> wire::GrantListEntry {
    let operations =
        grant.operations.iter().filter_map(|name| wire::GrantOperation::from_name(name));
    let (subset, equals) = (grant.context_subset.clone(), grant.context_equals.clone());
    let is_constrained = subset.is_some() || equals.is_some();
    wire::GrantListEntry {
        key_id: Some(key_arn),
        grant_id: Some(grant.id.clone()),
        // Source: the answer of ListGrants for a grant without a name.
        name: Some(grant.name.clone().unwrap_or_default()),
        creation_date: time(grant.created_at_ms),
        grantee_principal: Some(shown(&grant.grantee)),
        retiring_principal: grant.retiring.as_deref().map(shown),
        issuing_account: Some(format!("arn:aws:iam::{}:root", grant.issuing_account)),
        operations: Some(operations.collect()),
        constraints: is_constrained.then_some(wire::GrantConstraints {
            encryption_context_subset: subset,
            encryption_context_equals: equals,
            source_arn: None,
        }),
        ..wire::GrantListEntry::default()
    }
}
