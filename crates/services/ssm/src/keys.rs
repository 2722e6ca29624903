//! The keys that values of `SecureString` are kept under.
//!
//! Source: KMS developer guide, "How AWS Systems Manager Parameter Store uses AWS KMS": the encryption context `PARAMETER_ARN`; which actions a
//! caller needs by tier; KMS's text within the error. Here the values of both tiers have a data key each.

use outport_identity::{Call, Question, Subject};
use outport_kms_keys::{
    ENVELOPE_RANDOM_BYTES, EncryptionContext, Envelope, FreshEnvelope, FreshMaterial, Kept,
    MATERIAL_RANDOM_BYTES, Protection, Unprotected, Unreadable,
};
use outport_model::parameter::{ParameterTier, ParameterValue, ParameterVersion};
use outport_model::{Arn, Now, Scope};
use outport_store::{Tables, Transaction};

use crate::SsmService;
use crate::rejection::{Reason, Rejection};
use crate::service::random;
use crate::view::place;

/// As AWS names it, also in `aws/ssm`.
const SERVICE: &str = "ssm";

/// Fresh randomness for a value and, if there is none yet, the key `aws/ssm`.
pub struct Fresh {
    envelope: FreshEnvelope,
    material: FreshMaterial,
}

impl Fresh {
    /// # Errors
    /// No randomness.
    pub fn new() -> Result<Self, Rejection> {
        Ok(Self {
            envelope: FreshEnvelope::new(&random::<ENVELOPE_RANDOM_BYTES>()?),
            material: FreshMaterial::new(&random::<MATERIAL_RANDOM_BYTES>()?),
        })
    }
}

fn context(scope: &Scope, parameter: &str) -> EncryptionContext {
    let arn = Arn::parameter(scope, parameter).into_string();
    EncryptionContext::from([("PARAMETER_ARN".to_owned(), arn)])
}

/// KMS's refusal, as Parameter Store passes it on.
fn passed_on(code: &str, text: &str) -> Rejection {
    let text = format!("{text} (Service: AWSKMS; Status Code: 400; Error Code: {code})");
    Rejection::new(Reason::InvalidKeyId, text)
}

fn unreadable(error: &Unreadable) -> Rejection {
    let code = match error {
        Unreadable::Arn(_) => "InvalidArnException",
        Unreadable::KeyId(_) | Unreadable::Region(_) => "NotFoundException",
    };
    passed_on(code, &error.to_string())
}

/// What is asked about a key before a value is put under it. A key that cannot be named is refused later.
pub fn questions(
    tables: &Tables,
    now: &Now,
    call: &Call,
    (scope, parameter): (&Scope, &str),
    (key_id, tier): (&str, ParameterTier),
) -> Vec<Question> {
    let Ok(protection) = Protection::new(SERVICE, scope, Some(key_id)) else { return Vec::new() };
    let action = match tier {
        ParameterTier::Standard => "kms:Encrypt",
        ParameterTier::Advanced => "kms:GenerateDataKey",
    };
    protection.questions(tables, now, call, &[action], &context(scope, parameter))
}

/// Seals the value of a `SecureString`, which stands in clear in the row until then.
///
/// # Errors
/// `InvalidKeyId` for a key that is not there or does not encrypt now.
pub fn seal(
    service: &SsmService,
    tx: &mut Transaction<'_>,
    version: &mut ParameterVersion,
    fresh: &Fresh,
) -> Result<(), Rejection> {
    let (context, place) = (context(&version.scope, &version.parameter), place(version));
    let scope = version.scope.clone();
    let ParameterValue::SecureString { sealed, key_id, data_key } = &mut version.value else {
        return Ok(());
    };
    let protection = Protection::new(SERVICE, &scope, Some(key_id));
    let protection = protection.map_err(|error| unreadable(&error))?;
    let key = protection.key(tx, &service.keyring, &fresh.material);
    let key = key.map_err(|error| passed_on(error.code(), &error.to_string()))?;
    let clear = sealed.as_bytes();
    let made = Envelope::seal(&service.keyring, &key, &context, &place, clear, &fresh.envelope);
    let made = made.map_err(|fault| Rejection::server(fault.to_string()))?;
    *sealed = made.sealed;
    *data_key = Some(made.data_key);
    Ok(())
}

/// Refuses to show values in clear to who may not decrypt with their keys. Values that were kept before there were keys are under none.
///
/// # Errors
/// `AccessDeniedException`.
pub fn authorize<'a>(
    call: &Call,
    tables: &Tables,
    versions: impl IntoIterator<Item = &'a ParameterVersion>,
) -> Result<(), Rejection> {
    for version in versions {
        let context = context(&version.scope, &version.parameter);
        let question = kept(version, &context)
            .and_then(|(kept, _)| kept.question(tables, call, "kms:Decrypt"));
        if let Some(question) = question {
            call.open(Subject::from(question))?;
        }
    }
    Ok(())
}

fn kept<'a>(
    version: &'a ParameterVersion,
    context: &'a EncryptionContext,
) -> Option<(Kept<'a>, &'a str)> {
    let ParameterValue::SecureString { sealed, data_key, .. } = &version.value else { return None };
    let data_key = data_key.as_deref()?;
    let kept = Kept { service: SERVICE, region: &version.scope.region, data_key, context };
    Some((kept, sealed))
}

/// The value of a `SecureString`; `None`: it is under no key.
///
/// # Errors
/// `InvalidKeyId` for a key that is gone or not enabled; a fault for a value that does not open.
pub fn open(
    service: &SsmService,
    tables: &Tables,
    version: &ParameterVersion,
) -> Result<Option<Vec<u8>>, Rejection> {
    let context = context(&version.scope, &version.parameter);
    let Some((kept, sealed)) = kept(version, &context) else { return Ok(None) };
    let opened = kept.open(tables, &service.keyring, &place(version), sealed);
    opened.map(Some).map_err(|error| match error {
        Unprotected::Decrypt(why) => Rejection::server(format!("{}: {why}", place(version))),
        _ => passed_on(error.code(), &error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use outport_identity::testing::WatchedPermissions;
    use outport_keyring::Keyring;
    use outport_model::kms::KmsKey;
    use outport_model::parameter::Parameter;
    use outport_model::{AccountId, Region, Tags};
    use outport_store::Row;
    use serde_json::json;

    use super::*;
    use crate::testing::{CLEAR, World, code, text, write_now};

    #[tokio::test]
    async fn a_key_that_is_not_enabled_is_said_in_kmss_words() {
        let world = World::full().await;
        let tables = world.store.snapshot();
        let key = tables.kms_keys.iter().next().unwrap();
        assert_eq!(key.managed_for.as_deref(), Some("ssm"));
        write_now(&world.store, |tx| {
            tx.update::<KmsKey>(&key.key(), |key| key.is_enabled = false);
        });
        let get = json!({"Name": "/prod/db", "WithDecryption": true});
        let said = format!(
            "{} is disabled. (Service: AWSKMS; Status Code: 400; Error Code: DisabledException)",
            key.arn()
        );
        world.refuses("GetParameter", get, "InvalidKeyId", &said).await;
        let sealed = world.call("GetParameter", json!({"Name": "/prod/db"})).await;
        assert_ne!(sealed["Parameter"]["Value"], "second");
        let put = json!({"Name": "a", "Value": "v", "Type": "SecureString", "KeyId": "alias/none"});
        let said = "Alias arn:aws:kms:us-east-1:000000000000:alias/none is not found. (Service: AWSKMS; Status Code: 400; Error Code: \
                    NotFoundException)";
        world.refuses("PutParameter", put, "InvalidKeyId", said).await;
    }

    #[tokio::test]
    async fn who_reads_in_clear_is_asked_about_the_key_too() {
        let mut world = World::full().await;
        let watched = WatchedPermissions::new(|asked| !asked.action.starts_with("kms:"));
        world.ask(watched.clone());
        for (operation, input) in [
            ("GetParameter", json!({"Name": "/prod/db", "WithDecryption": true})),
            ("GetParameters", json!({"Names": ["/prod/db"], "WithDecryption": true})),
            ("GetParametersByPath", json!({"Path": "/prod", "WithDecryption": true})),
            ("GetParameterHistory", json!({"Name": "/prod/db", "WithDecryption": true})),
            ("PutParameter", json!({"Name": "/prod/db", "Value": "third", "Overwrite": true})),
        ] {
            let (_, answer) = world.reply(operation, &input).await;
            assert_eq!(code(&answer), "AccessDeniedException", "{operation}: {answer}");
            assert!(text(&answer).contains("(Service: AWSKMS;"), "{operation}: {answer}");
            let asked = watched.asked().pop().unwrap();
            let arn = "arn:aws:ssm:us-east-1:000000000000:parameter/prod/db";
            assert_eq!(asked.context.get("kms:EncryptionContext:PARAMETER_ARN"), Some(&arn.into()));
            assert_eq!(
                asked.context.get("kms:ViaService"),
                Some(&"ssm.us-east-1.amazonaws.com".into())
            );
        }
        world.call("GetParameter", json!({"Name": "/prod/db"})).await;
    }

    /// A promise: rows without a data key are sealed with the master key, for this place.
    #[tokio::test]
    async fn what_was_kept_before_there_were_keys_opens() {
        let world = World::new();
        let scope = Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"));
        let place = "parameter 000000000000/us-east-1/old/1";
        let sealed = Keyring::new(&[1; 32], &[]).seal(place, CLEAR.as_bytes(), [3; 24]);
        let value =
            ParameterValue::SecureString { sealed, key_id: "alias/aws/ssm".into(), data_key: None };
        let version = ParameterVersion {
            scope: scope.clone(),
            parameter: "old".into(),
            version: 1,
            value,
            description: None,
            allowed_pattern: None,
            tier: ParameterTier::Standard,
            modified_at_ms: 0,
            modified_by: "arn:aws:iam::000000000000:root".into(),
        };
        let labels = std::collections::BTreeMap::new();
        let parameter =
            Parameter { scope, name: "old".into(), tags: Tags::new(), latest: 1, labels };
        write_now(&world.store, |tx| {
            tx.put(version);
            tx.put(parameter);
        });
        let answer =
            world.call("GetParameter", json!({"Name": "old", "WithDecryption": true})).await;
        assert_eq!(answer["Parameter"]["Value"], CLEAR);
    }
}
