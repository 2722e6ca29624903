//! Keys that AWS's services make for an account when they first need one.

use std::sync::Arc;

use outport_keyring::Keyring;
use outport_model::kms::{KmsAlias, KmsKey, KmsKeySpec, KmsRotation};
use outport_model::{Arn, Scope, Tags, TimestampMs};
use outport_store::Tables;
use outport_store::keys::{KmsAliasKey, KmsKeyKey};
use serde_json::json;

use crate::cipher::FreshMaterial;

/// What the names of their aliases begin with: nobody else may have one.
pub const ALIAS_OF_AWS: &str = "alias/aws/";
/// The services that have a key of their own.
const SERVICES: [&str; 2] = ["secretsmanager", "ssm"];
/// Source: KMS developer guide, "AWS managed keys": they are rotated every year, and nobody can change that.
const PERIOD_DAYS: u32 = 365;

/// The alias of the key of a service, such as `alias/aws/ssm`.
pub fn alias_for(service: &str) -> String {
    format!("{ALIAS_OF_AWS}{service}")
}

/// The service whose key has this alias.
pub fn service_of(alias: &str) -> Option<&'static str> {
    let name = alias.strip_prefix(ALIAS_OF_AWS)?;
    SERVICES.into_iter().find(|service| *service == name)
}

/// The key of a service in a scope, once it was made.
pub fn managed_key<'a>(
    tables: &'a Tables,
    scope: &Scope,
    service: &str,
) -> Option<&'a Arc<KmsKey>> {
    let alias = tables.kms_aliases.get(&KmsAliasKey::new(scope, alias_for(service)))?;
    tables.kms_keys.get(&KmsKeyKey::new(scope, alias.key_id.as_str()))
}

/// The rows of a new one. `id`: a fresh UUID.
pub fn new_managed_key(
    keyring: &Keyring,
    scope: &Scope,
    service: &'static str,
    id: String,
    fresh: &FreshMaterial,
    now_ms: TimestampMs,
) -> (KmsKey, KmsAlias) {
    let spec = KmsKeySpec::SymmetricDefault;
    let material = fresh.seal(keyring, (scope, &id), spec, now_ms, None);
    let alias = KmsAlias {
        scope: scope.clone(),
        name: alias_for(service),
        key_id: id.clone(),
        created_at_ms: now_ms,
        updated_at_ms: now_ms,
    };
    let key = KmsKey {
        scope: scope.clone(),
        policy: policy(scope, service, &id),
        id,
        description: format!(
            "Default key that protects my {} when no other key is defined",
            what_it_protects(service)
        ),
        spec,
        managed_for: Some(service.to_owned()),
        is_enabled: true,
        deletion: None,
        tags: Tags::new(),
        created_at_ms: now_ms,
        materials: vec![material],
        rotation: Some(KmsRotation { period_days: PERIOD_DAYS, since_ms: now_ms }),
    };
    (key, alias)
}

fn what_it_protects(service: &str) -> &'static str {
    match service {
        "secretsmanager" => "Secrets Manager data",
        _ => "SSM parameters",
    }
}

/// Whoever may use the service may use its key through it, and nothing else.
///
/// Source: Secrets Manager user guide, "Key policy of the AWS managed key (aws/secretsmanager)"; KMS developer guide, "AWS KMS key policies
/// for Parameter Store".
fn policy(scope: &Scope, service: &str, id: &str) -> String {
    let (account, region) = (scope.account.as_str(), scope.region.as_str());
    let arn = Arn::kms_key(scope, id);
    let root = format!("arn:{}:iam::{account}:root", arn.partition());
    let via = json!({
        "kms:CallerAccount": account,
        "kms:ViaService": format!("{service}.{region}.amazonaws.com")
    });
    let through = json!({
        "Sid": format!("Allow access through {service} for all principals in the account that are authorized to use it"),
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:CreateGrant", "kms:DescribeKey"],
        "Resource": "*",
        "Condition": {"StringEquals": via}
    });
    let metadata = json!({
        "Sid": "Allow direct access to key metadata to the account",
        "Effect": "Allow",
        "Principal": {"AWS": root},
        "Action": ["kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant"],
        "Resource": "*"
    });
    let document = json!({
        "Version": "2012-10-17", "Id": format!("auto-{service}-1"), "Statement": [through, metadata]
    });
    document.to_string()
}
