//! Values in clear, on their way in and out.

use outport_aws_wire::Blob;
use outport_keyring::Keyring;
use outport_kms_keys::{DecryptError, Envelope, FreshEnvelope, Unprotected};
use outport_model::kms::KmsKey;
use outport_model::secret::{Secret, SecretKind, SecretValue};
use outport_store::Tables;
use outport_store::keys::SecretValueKey;

use crate::rejection::Rejection;
use crate::{keys, quotas};

/// A value in clear. It has no `Debug`, so that nobody prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct Value {
    kind: SecretKind,
    bytes: Vec<u8>,
}

impl Value {
    /// What a request brings: a text, bytes, or neither.
    ///
    /// # Errors
    /// `InvalidParameterException` for both, `ValidationException` for one that is too long.
    pub fn parse(text: Option<String>, binary: Option<Blob>) -> Result<Option<Self>, Rejection> {
        let value = match (text, binary) {
            (Some(_), Some(_)) => {
                // Source: API reference, PutSecretValue: "You must include SecretBinary or SecretString, but not both."
                return Err(Rejection::invalid(
                    "You can't specify both a binary secret value and a string secret value in the same secret.",
                ));
            }
            (Some(text), None) => Self { kind: SecretKind::Text, bytes: text.into_bytes() },
            (None, Some(Blob(bytes))) => Self { kind: SecretKind::Binary, bytes },
            (None, None) => return Ok(None),
        };
        if value.bytes.len() > quotas::VALUE_BYTES {
            // The model counts characters, the quota bytes.
            return Err(Rejection::Validation(format!(
                "1 validation error detected: Value at 'secretString' failed to satisfy constraint: Member must have length \
                 less than or equal to {} bytes",
                quotas::VALUE_BYTES
            )));
        }
        Ok(Some(value))
    }

    /// `SecretString` and `SecretBinary`.
    pub fn into_members(self) -> (Option<String>, Option<Blob>) {
        match self.kind {
            // It was one when it came.
            SecretKind::Text => (String::from_utf8(self.bytes).ok(), None),
            SecretKind::Binary => (None, Some(Blob(self.bytes))),
        }
    }

    /// The row of it, under a key that encrypts.
    ///
    /// # Errors
    /// A fault of the key's material.
    pub fn seal(
        &self,
        (keyring, key): (&Keyring, &KmsKey),
        secret: &Secret,
        (version_id, serial): (&str, u64),
        fresh: &FreshEnvelope,
    ) -> Result<SecretValue, Rejection> {
        let context = keys::context(secret.arn().as_str(), version_id);
        let place = place(secret, version_id);
        let sealed = Envelope::seal(keyring, key, &context, &place, &self.bytes, fresh);
        let Envelope { data_key, sealed } =
            sealed.map_err(|fault| Rejection::server(fault.to_string()))?;
        Ok(SecretValue {
            scope: secret.scope.clone(),
            secret: secret.name.clone(),
            serial,
            kind: self.kind,
            sealed,
            data_key: Some(data_key),
        })
    }

    /// The value of a version.
    ///
    /// # Errors
    /// `DecryptionFailure` for one whose key is gone or not enabled; also for one that does not open: the log says why.
    pub fn open(
        keyring: &Keyring,
        tables: &Tables,
        secret: &Secret,
        version_id: &str,
        serial: u64,
    ) -> Result<Self, Rejection> {
        let unreadable = |why: String| Rejection::Unreadable {
            detail: format!("the value of version {version_id} of {}: {why}", secret.arn()),
        };
        let key = SecretValueKey::new(&secret.scope, secret.name.as_str(), serial);
        let row = tables.secret_values.get(&key);
        let row = row.ok_or_else(|| unreadable("it is not there".to_owned()))?;
        let place = place(secret, version_id);
        let context = keys::context(secret.arn().as_str(), version_id);
        let bytes = match keys::kept(row, &secret.scope.region, &context) {
            Some(kept) => {
                kept.open(tables, keyring, &place, &row.sealed).map_err(|why| match why {
                    Unprotected::Decrypt(DecryptError::Invalid | DecryptError::Fault(_)) => {
                        unreadable(why.to_string())
                    }
                    _ => Rejection::KeyUnusable,
                })?
            }
            // It was kept before there were keys.
            None => {
                let opened = keyring.open(&place, &row.sealed);
                opened.map_err(|error| unreadable(error.to_string()))?
            }
        };
        Ok(Self { kind: row.kind, bytes })
    }
}

/// What a value is sealed for: an ARN holds no space.
pub fn place(secret: &Secret, version_id: &str) -> String {
    format!("secret {} {version_id}", secret.arn())
}
