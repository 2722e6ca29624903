//! What of the store's rows is sealed with master keys.
//!
//! | row | what | |
//! |---|---|---|
//! | `AccessKey` | the secret of an access key | |
//! | `ServerCertificate` | its private key | |
//! | `KmsKey` | each material | the values of Secrets Manager and Parameter Store are under these |
//! | `SecretValue`, `ParameterVersion` | the value | only from before there were keys |
//!
//! **Invariant:** what a service seals with the keyring it was given, and keeps, is in this table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, Result};
use outport_keyring::{KeyId, Keyring, NONCE_BYTES, key_of};
use outport_kms_keys::material_place;
use outport_model::iam::ServerCertificate;
use outport_model::parameter::{ParameterValue, ParameterVersion};
use outport_model::secret::{Secret, SecretValue};
use outport_permissions::secret_place;
use outport_store::keys::SecretValueKey;
use outport_store::{InTables, Tables, Transaction};

use crate::data_dir::random_bytes;

/// Rows by the key that seals them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sealed(BTreeMap<KeyId, BTreeMap<Kind, usize>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    AccessKey,
    ServerCertificate,
    KmsKey,
    Secret,
    Parameter,
}

impl Kind {
    fn named(self, count: usize) -> String {
        let (one, several) = match self {
            Self::AccessKey => ("access key", "access keys"),
            Self::ServerCertificate => ("server certificate", "server certificates"),
            Self::KmsKey => {
                ("KMS key with what is kept under it", "KMS keys with what is kept under them")
            }
            Self::Secret => ("value of a secret", "values of secrets"),
            Self::Parameter => ("parameter", "parameters"),
        };
        format!("{count} {}", if count == 1 { one } else { several })
    }
}

impl Sealed {
    pub fn of(tables: &Tables) -> Self {
        let mut sealed = Self::default();
        for key in tables.access_keys.iter() {
            sealed.count(Kind::AccessKey, [&key.sealed_secret]);
        }
        for certificate in tables.server_certificates.iter() {
            sealed.count(Kind::ServerCertificate, [&certificate.sealed_key]);
        }
        for key in tables.kms_keys.iter() {
            sealed.count(Kind::KmsKey, key.materials.iter().map(|material| &material.sealed));
        }
        for value in tables.secret_values.iter().filter(|value| value.data_key.is_none()) {
            sealed.count(Kind::Secret, [&value.sealed]);
        }
        for version in tables.parameter_versions.iter() {
            sealed.count(Kind::Parameter, without_key(version));
        }
        sealed
    }

    /// One row. What is no sealed value is damaged whatever the key, and others say so.
    fn count<'a>(&mut self, kind: Kind, texts: impl IntoIterator<Item = &'a String>) {
        let keys: BTreeSet<KeyId> = texts.into_iter().filter_map(|text| key_of(text)).collect();
        for key in keys {
            *self.0.entry(key).or_default().entry(kind).or_default() += 1;
        }
    }

    pub fn keys(&self) -> impl Iterator<Item = KeyId> {
        self.0.keys().copied()
    }

    pub fn rows(&self) -> usize {
        self.0.values().flat_map(BTreeMap::values).sum()
    }

    pub fn without(mut self, keys: &BTreeSet<KeyId>) -> Self {
        self.0.retain(|key, _| !keys.contains(key));
        self
    }

    pub fn only(mut self, wanted: KeyId) -> Self {
        self.0.retain(|key, _| *key == wanted);
        self
    }

    /// Such as `2 access keys, 1 parameter`; `nothing` where there is none.
    pub fn lost(&self, nothing: &str) -> String {
        let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
        for (kind, count) in self.0.values().flatten() {
            *counts.entry(*kind).or_default() += count;
        }
        match counts.is_empty() {
            true => nothing.to_owned(),
            false => {
                let named = counts.into_iter().map(|(kind, count)| kind.named(count));
                named.collect::<Vec<_>>().join(", ")
            }
        }
    }
}

fn without_key(version: &ParameterVersion) -> Option<&String> {
    match &version.value {
        ParameterValue::SecureString { sealed, data_key: None, .. } => Some(sealed),
        _ => None,
    }
}

/// Seals all of it with the current key of the keyring, but for what no key of it opens and `left` has.
///
/// # Errors
/// When a value does not open.
pub fn seal_anew(
    tx: &mut Transaction<'_>,
    keyring: &Keyring,
    left: &BTreeSet<KeyId>,
) -> Result<()> {
    let anew = |place: String, sealed: &mut String| -> Result<()> {
        let key = key_of(sealed);
        if key == Some(keyring.current())
            || key.is_some_and(|key| !keyring.has(key) && left.contains(&key))
        {
            return Ok(());
        }
        let nonce: [u8; NONCE_BYTES] =
            random_bytes(NONCE_BYTES)?.try_into().ok().context("too few random bytes")?;
        *sealed = keyring
            .seal_anew(&place, sealed, nonce)
            .with_context(|| format!("the value for {place} does not open"))?;
        Ok(())
    };
    each(
        tx,
        |tables| &tables.access_keys,
        |key| anew(secret_place(&key.id), &mut key.sealed_secret),
    )?;
    each(
        tx,
        |tables| &tables.server_certificates,
        |certificate| {
            anew(ServerCertificate::key_place(&certificate.id), &mut certificate.sealed_key)
        },
    )?;
    each(
        tx,
        |tables| &tables.kms_keys,
        |key| {
            let arn = key.arn();
            key.materials
                .iter_mut()
                .try_for_each(|it| anew(material_place(&arn, &it.id), &mut it.sealed))
        },
    )?;
    for (value, place) in values(tx) {
        let mut value = SecretValue::clone(&value);
        anew(place, &mut value.sealed)?;
        tx.put(value);
    }
    each(
        tx,
        |tables| &tables.parameter_versions,
        |version| {
            let place = outport_service_ssm::value_place(version);
            match &mut version.value {
                ParameterValue::SecureString { sealed, data_key: None, .. } => anew(place, sealed),
                _ => Ok(()),
            }
        },
    )
}

fn each<R: InTables + Clone>(
    tx: &mut Transaction<'_>,
    table: impl Fn(&Tables) -> &outport_store::ColdTable<R>,
    change: impl Fn(&mut R) -> Result<()>,
) -> Result<()> {
    let rows: Vec<Arc<R>> = table(tx).iter().cloned().collect();
    for row in rows {
        let mut row = R::clone(&row);
        change(&mut row)?;
        tx.put(row);
    }
    Ok(())
}

/// Values of secrets that are under no key of KMS, and what for each is sealed.
fn values(tables: &Tables) -> Vec<(Arc<SecretValue>, String)> {
    let of = |secret: &Arc<Secret>| {
        let secret = Arc::clone(secret);
        let versions: Vec<_> =
            secret.versions.iter().map(|(id, it)| (id.clone(), it.serial)).collect();
        versions.into_iter().filter_map(move |(id, serial)| {
            let key = SecretValueKey::new(&secret.scope, secret.name.as_str(), serial);
            let value = tables.secret_values.get(&key).filter(|value| value.data_key.is_none())?;
            Some((Arc::clone(value), outport_service_secretsmanager::value_place(&secret, &id)))
        })
    };
    tables.secrets.iter().flat_map(of).collect()
}
