//! The keys that values are kept under.
//!
//! Source: Secrets Manager user guide, "Secret encryption and decryption in AWS Secrets Manager": a data key for each value, and the encryption
//! context `SecretARN` and `SecretVersionId`.

use std::sync::Arc;

use outport_identity::{Call, Question};
use outport_kms_keys::{
    ENVELOPE_RANDOM_BYTES, EncryptionContext, FreshEnvelope, FreshMaterial, Kept,
    MATERIAL_RANDOM_BYTES, Protection, Unprotected,
};
use outport_model::kms::KmsKey;
use outport_model::secret::{CURRENT, PENDING, PREVIOUS, Secret, SecretValue};
use outport_model::{Region, Scope};
use outport_store::keys::SecretValueKey;
use outport_store::{Tables, Transaction};

use crate::SecretsManagerService;
use crate::random;
use crate::rejection::Rejection;

/// As AWS names it, also in `aws/secretsmanager`.
pub const SERVICE: &str = "secretsmanager";
/// Source: user guide, "Permissions for the KMS key".
const TO_SEAL: [&str; 2] = ["kms:GenerateDataKey", "kms:Decrypt"];
/// The labels of versions that a change of the key is for, too. Source: API reference, UpdateSecret, KmsKeyId.
const SEALED_ANEW: [&str; 3] = [CURRENT, PENDING, PREVIOUS];

/// Fresh randomness for a value and, if there is none yet, the key `aws/secretsmanager`.
pub struct Fresh {
    pub envelope: FreshEnvelope,
    material: FreshMaterial,
}

impl Fresh {
    /// # Errors
    /// No randomness.
    pub fn new() -> Result<Self, Rejection> {
        Ok(Self {
            envelope: FreshEnvelope::new(&random::bytes::<ENVELOPE_RANDOM_BYTES>()?),
            material: FreshMaterial::new(&random::bytes::<MATERIAL_RANDOM_BYTES>()?),
        })
    }
}

pub fn context(secret_arn: &str, version_id: &str) -> EncryptionContext {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    EncryptionContext::from([pair("SecretARN", secret_arn), pair("SecretVersionId", version_id)])
}

/// The key of a secret.
///
/// # Errors
/// `InvalidParameterException` for what names no key.
pub fn protection(scope: &Scope, kms_key_id: Option<&str>) -> Result<Protection, Rejection> {
    Protection::new(SERVICE, scope, kms_key_id)
        .map_err(|unreadable| Rejection::InvalidParameter(unreadable.to_string()))
}

/// What is asked about a key before a version is made under it. A key that cannot be named is refused later.
pub fn questions(
    service: &SecretsManagerService,
    tables: &Tables,
    call: &Call,
    (scope, kms_key_id): (&Scope, Option<&str>),
    (secret_arn, version_id): (&str, &str),
) -> Vec<Question> {
    let Ok(protection) = protection(scope, kms_key_id) else { return Vec::new() };
    let context = context(secret_arn, version_id);
    protection.questions(tables, &service.now(), call, &TO_SEAL, &context)
}

/// The key of a secret, if it encrypts now.
///
/// # Errors
/// `EncryptionFailure`, `InvalidParameterException`.
pub fn key(
    service: &SecretsManagerService,
    tx: &mut Transaction<'_>,
    secret: &Secret,
    fresh: &Fresh,
) -> Result<Arc<KmsKey>, Rejection> {
    let protection = protection(&secret.scope, secret.kms_key_id.as_deref())?;
    let key = protection.key(tx, &service.keyring, &fresh.material);
    key.map_err(|_: Unprotected| Rejection::EncryptionFailure)
}

/// What is asked before the value of a version is read, beside the question about the secret. Values that were kept before there were
/// keys are under none.
pub fn question_of_reading(
    tables: &Tables,
    call: &Call,
    secret: &Secret,
    version_id: &str,
) -> Option<Question> {
    let version = secret.versions.get(version_id)?;
    let row = SecretValueKey::new(&secret.scope, secret.name.as_str(), version.serial);
    let row = tables.secret_values.get(&row)?;
    let context = context(secret.arn().as_str(), version_id);
    kept(row, &secret.scope.region, &context)?.question(tables, call, "kms:Decrypt")
}

/// The envelope of a row, if it is in one.
pub fn kept<'a>(
    row: &'a SecretValue,
    region: &'a Region,
    context: &'a EncryptionContext,
) -> Option<Kept<'a>> {
    let data_key = row.data_key.as_deref()?;
    Some(Kept { service: SERVICE, region, data_key, context })
}

/// The versions that get another key with their secret.
pub fn sealed_anew(secret: &Secret) -> Vec<String> {
    let is_labelled = |stage: &&str| secret.labelled(stage).map(|(id, _)| id.clone());
    let mut ids: Vec<String> = SEALED_ANEW.iter().filter_map(is_labelled).collect();
    ids.sort();
    ids.dedup();
    ids
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use outport_identity::testing::WatchedPermissions;
    use outport_keyring::Keyring;
    use outport_model::kms::KmsKey;
    use outport_model::secret::{SecretKind, SecretVersion};
    use outport_model::{AccountId, Tags};
    use outport_store::Row;
    use serde_json::json;

    use super::*;
    use crate::testing::{CLEAR, FIRST, World, write_now};

    const NO_ENCRYPTION: &str = "Secrets Manager can't encrypt the protected secret text using the provided KMS key. Check that the KMS \
                                 key is available, enabled, and not in an invalid state.";
    const NO_DECRYPTION: &str =
        "Secrets Manager can't decrypt the protected secret text using the provided KMS key.";

    fn switch(world: &World, is_enabled: bool) {
        write_now(&world.store, |tx| {
            let keys: Vec<_> = tx.kms_keys.iter().map(|key| key.key()).collect();
            for key in keys {
                tx.update::<KmsKey>(&key, |key| key.is_enabled = is_enabled);
            }
        });
    }

    #[tokio::test]
    async fn the_key_of_the_service_is_made_once() {
        let world = World::full().await;
        let tables = world.store.snapshot();
        assert_eq!((tables.kms_keys.len(), tables.kms_aliases.len()), (1, 1));
        let alias = tables.kms_aliases.iter().next().unwrap();
        assert_eq!(alias.name, "alias/aws/secretsmanager");
        let value = tables.secret_values.iter().next().unwrap();
        assert!(value.data_key.is_some());
    }

    #[tokio::test]
    async fn a_key_that_is_not_enabled_seals_and_opens_nothing() {
        let world = World::new();
        world.put_key("alias/shop", true);
        let made = json!({"Name": "db", "SecretString": CLEAR, "KmsKeyId": "alias/shop"});
        world.call("CreateSecret", made).await;
        let get = json!({"SecretId": "db"});
        world.check("GetSecretValue", get.clone(), json!({"SecretString": CLEAR})).await;
        switch(&world, false);
        let put = json!({"SecretId": "db", "SecretString": "second"});
        world.refuses("PutSecretValue", put, "EncryptionFailure", NO_ENCRYPTION).await;
        world.refuses("GetSecretValue", get.clone(), "DecryptionFailure", NO_DECRYPTION).await;
        switch(&world, true);
        world.check("GetSecretValue", get, json!({"SecretString": CLEAR})).await;
        let absent = json!({"Name": "x", "SecretString": "s", "KmsKeyId": "alias/none"});
        world.refuses("CreateSecret", absent, "EncryptionFailure", NO_ENCRYPTION).await;
        let wrong = json!({"Name": "x", "SecretString": "s", "KmsKeyId": "none"});
        world
            .refuses("CreateSecret", wrong, "InvalidParameterException", "Invalid keyId 'none'")
            .await;
    }

    #[tokio::test]
    async fn labelled_versions_get_the_new_key_of_their_secret() {
        let world = World::full().await;
        world.put_key("alias/shop", true);
        world.call("PutSecretValue", json!({"SecretId": "db", "SecretString": "second"})).await;
        world.call("UpdateSecret", json!({"SecretId": "db", "KmsKeyId": "alias/shop"})).await;
        // Both are under the new key: without the other one they open.
        write_now(&world.store, |tx| {
            let own: Vec<_> =
                tx.kms_keys.iter().filter(|key| key.managed_for.is_some()).cloned().collect();
            tx.remove_kms_key(&own[0].key());
        });
        for (stage, text) in [("AWSCURRENT", "second"), ("AWSPREVIOUS", CLEAR)] {
            let get = json!({"SecretId": "db", "VersionStage": stage});
            world.check("GetSecretValue", get, json!({"SecretString": text})).await;
        }
    }

    #[tokio::test]
    async fn who_reads_is_asked_about_the_key_too() {
        let mut world = World::full().await;
        let arn = world.arn("db").await;
        let watched = WatchedPermissions::new(|asked| !asked.action.starts_with("kms:"));
        world.ask(watched.clone());
        let denied = "Access to KMS is not allowed";
        let get = json!({"SecretId": "db"});
        world.refuses("GetSecretValue", get, "AccessDeniedException", denied).await;
        let asked = watched.asked().pop().unwrap();
        assert_eq!(asked.action, "kms:Decrypt");
        for (key, value) in [
            ("kms:EncryptionContext:SecretARN", arn.as_str()),
            ("kms:EncryptionContext:SecretVersionId", FIRST),
            ("kms:ViaService", "secretsmanager.us-east-1.amazonaws.com"),
        ] {
            assert_eq!(asked.context.get(key), Some(&value.into()), "{key}");
        }
        let put = json!({"SecretId": "db", "SecretString": "second"});
        world.refuses("PutSecretValue", put, "AccessDeniedException", denied).await;
    }

    /// A promise: rows without a data key are sealed with the master key, for this place.
    #[tokio::test]
    async fn what_was_kept_before_there_were_keys_opens() {
        let world = World::new();
        let scope = Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"));
        let place = format!(
            "secret arn:aws:secretsmanager:us-east-1:000000000000:secret:old-AbC123 {FIRST}"
        );
        let version = SecretVersion {
            serial: 0,
            stages: BTreeSet::from([CURRENT.to_owned()]),
            created_at_ms: 0,
            accessed_at_ms: None,
        };
        let secret = Secret {
            scope: scope.clone(),
            name: "old".into(),
            suffix: "AbC123".into(),
            description: None,
            kms_key_id: None,
            tags: Tags::new(),
            versions: BTreeMap::from([(FIRST.to_owned(), version)]),
            next_serial: 1,
            created_at_ms: 0,
            changed_at_ms: 0,
            accessed_at_ms: None,
            deletion: None,
            resource_policy: None,
            rotation: None,
        };
        let row = SecretValue {
            scope,
            secret: "old".into(),
            serial: 0,
            kind: SecretKind::Text,
            sealed: Keyring::new(&[1; 32], &[]).seal(&place, CLEAR.as_bytes(), [3; 24]),
            data_key: None,
        };
        write_now(&world.store, |tx| {
            tx.put(secret);
            tx.put(row);
        });
        world
            .check("GetSecretValue", json!({"SecretId": "old"}), json!({"SecretString": CLEAR}))
            .await;
    }
}
