//! Keys of KMS, their aliases, and grants of their use.
//!
//! ```text
//! enabled ◄──► disabled ── ScheduleKeyDeletion ──► pending deletion ── the window is over ──► gone, with aliases and grants
//!                 ▲                                      │
//!                 └──────── CancelKeyDeletion ───────────┘
//! ```
//!
//! **Invariant:** key material stands here sealed for its key only, and none of it is ever taken away from a key that is there: what was
//! encrypted before a rotation opens after it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Arn, Now, Scope, Tags, TimestampMs};

/// The row of a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KmsKey {
    pub scope: Scope,
    /// A UUID, in lower case with hyphens.
    pub id: String,
    pub description: String,
    pub spec: KmsKeySpec,
    /// The service that it was made for, such as `ssm`, if it is AWS's to manage; `None`: it is a customer's.
    pub managed_for: Option<String>,
    /// A key that is pending deletion is not enabled.
    pub is_enabled: bool,
    /// `None`: it is not pending deletion.
    pub deletion: Option<KmsKeyDeletion>,
    /// The key policy, a JSON document.
    pub policy: String,
    pub tags: Tags,
    pub created_at_ms: TimestampMs,
    /// In the order in which it was made; the last encrypts. At least one.
    pub materials: Vec<KmsKeyMaterial>,
    /// `None`: it is not rotated by itself.
    pub rotation: Option<KmsRotation>,
}

/// What a key is made of and for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum KmsKeySpec {
    /// Encrypts and decrypts.
    SymmetricDefault,
    // These make message authentication codes.
    Hmac224,
    Hmac256,
    Hmac384,
    Hmac512,
    // These are pairs of keys on elliptic curves: the private one signs, the public one verifies.
    EccNistP256,
    EccNistP384,
    EccNistP521,
    EccSecgP256k1,
}

/// What a key may be used for, which follows from its spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KmsKeyUsage {
    EncryptDecrypt,
    GenerateVerifyMac,
    SignVerify,
}

/// Random bytes, sealed; of a pair of keys the private one, a number with its highest byte first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KmsKeyMaterial {
    /// 64 hexadecimal digits, random.
    pub id: String,
    /// The bytes, sealed for this material of this key.
    pub sealed: String,
    pub made_at_ms: TimestampMs,
    /// By what rotation it came; `None`: with the key.
    pub by: Option<KmsRotationKind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KmsRotationKind {
    Automatic,
    OnDemand,
}

/// When a key gets new material by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KmsRotation {
    /// 90 to 2,560.
    pub period_days: u32,
    /// What the period began with: that it was switched on, or the last rotation by itself.
    pub since_ms: TimestampMs,
}

/// A key whose deletion was scheduled can be kept until its window is over. Nothing is shown of it from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KmsKeyDeletion {
    pub requested_at_ms: TimestampMs,
    /// 7 to 30.
    pub window_days: u32,
}

/// The row of another name of a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KmsAlias {
    pub scope: Scope,
    /// Begins with `alias/`; unique in its scope.
    pub name: String,
    /// The id of a key of the same scope.
    pub key_id: String,
    pub created_at_ms: TimestampMs,
    pub updated_at_ms: TimestampMs,
}

/// The row of a grant: what one principal may do with one key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KmsGrant {
    /// Of the key.
    pub scope: Scope,
    pub key_id: String,
    /// 64 hexadecimal digits, random.
    pub id: String,
    pub name: Option<String>,
    /// The unique id of a user, a role or a session; an ARN or an account's id where that is not known.
    pub grantee: String,
    /// Who may retire it beside its grantee.
    pub retiring: Option<String>,
    /// By their names in the API, such as `Decrypt`.
    pub operations: BTreeSet<String>,
    /// The encryption context has to have these pairs.
    pub context_subset: Option<BTreeMap<String, String>>,
    /// The encryption context has to be this.
    pub context_equals: Option<BTreeMap<String, String>>,
    /// The account whose principal made it.
    pub issuing_account: String,
    pub created_at_ms: TimestampMs,
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

impl KmsKeySpec {
    /// Bytes of its material. Source: KMS developer guide, "HMAC keys": as long as the digest is. A private key is as long as the numbers
    /// of its curve are.
    pub fn material_bytes(self) -> usize {
        match self {
            Self::SymmetricDefault | Self::Hmac256 | Self::EccNistP256 | Self::EccSecgP256k1 => 32,
            Self::Hmac224 => 28,
            Self::Hmac384 | Self::EccNistP384 => 48,
            Self::Hmac512 => 64,
            Self::EccNistP521 => 66,
        }
    }

    /// By its name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SymmetricDefault => "SYMMETRIC_DEFAULT",
            Self::Hmac224 => "HMAC_224",
            Self::Hmac256 => "HMAC_256",
            Self::Hmac384 => "HMAC_384",
            Self::Hmac512 => "HMAC_512",
            Self::EccNistP256 => "ECC_NIST_P256",
            Self::EccNistP384 => "ECC_NIST_P384",
            Self::EccNistP521 => "ECC_NIST_P521",
            Self::EccSecgP256k1 => "ECC_SECG_P256K1",
        }
    }

    pub fn usage(self) -> KmsKeyUsage {
        match self {
            Self::SymmetricDefault => KmsKeyUsage::EncryptDecrypt,
            Self::Hmac224 | Self::Hmac256 | Self::Hmac384 | Self::Hmac512 => {
                KmsKeyUsage::GenerateVerifyMac
            }
            Self::EccNistP256 | Self::EccNistP384 | Self::EccNistP521 | Self::EccSecgP256k1 => {
                KmsKeyUsage::SignVerify
            }
        }
    }

    pub fn encrypts(self) -> bool {
        self.usage() == KmsKeyUsage::EncryptDecrypt
    }
}

impl KmsKeyUsage {
    /// By its name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EncryptDecrypt => "ENCRYPT_DECRYPT",
            Self::GenerateVerifyMac => "GENERATE_VERIFY_MAC",
            Self::SignVerify => "SIGN_VERIFY",
        }
    }
}

impl KmsKeyDeletion {
    fn window_ms(self) -> i64 {
        i64::from(self.window_days) * DAY_MS
    }

    /// When the key will be gone, by a clock that does not step.
    pub fn at_ms(self) -> TimestampMs {
        self.requested_at_ms.saturating_add(self.window_ms())
    }
}

impl KmsRotation {
    fn period_ms(self) -> i64 {
        i64::from(self.period_days) * DAY_MS
    }

    /// When the next material is due, by a clock that does not step.
    pub fn next_at_ms(self) -> TimestampMs {
        self.since_ms.saturating_add(self.period_ms())
    }
}

impl KmsKey {
    pub fn arn(&self) -> Arn {
        Arn::kms_key(&self.scope, &self.id)
    }

    /// Whether the time of its deletion has come.
    pub fn is_gone(&self, now: &Now) -> bool {
        self.deletion.is_some_and(|it| now.is_over(it.requested_at_ms, it.window_ms()))
    }

    /// Whether it is to get new material now. Source: KMS developer guide, "Rotate AWS KMS keys": a disabled key is not rotated, and catches
    /// up once it is enabled.
    pub fn is_rotation_due(&self, now: &Now) -> bool {
        let is_over = |it: KmsRotation| now.is_over(it.since_ms, it.period_ms());
        self.is_enabled && self.rotation.is_some_and(is_over)
    }

    /// The material that encrypts.
    pub fn current_material(&self) -> Option<&KmsKeyMaterial> {
        self.materials.last()
    }

    pub fn material(&self, id: &str) -> Option<&KmsKeyMaterial> {
        self.materials.iter().find(|material| material.id == id)
    }
}

impl KmsAlias {
    pub fn arn(&self) -> Arn {
        Arn::kms_alias(&self.scope, &self.name)
    }
}

impl KmsGrant {
    /// Whether it lets its grantee use the key with this encryption context. Source: API reference, GrantConstraints.
    pub fn permits_context(&self, context: &BTreeMap<String, String>) -> bool {
        let has_all = |wanted: &BTreeMap<String, String>| {
            wanted.iter().all(|(key, value)| context.get(key) == Some(value))
        };
        self.context_subset.as_ref().is_none_or(has_all)
            && self.context_equals.as_ref().is_none_or(|wanted| wanted == context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccountId, Region};

    fn grant(subset: Option<&[(&str, &str)]>, equals: Option<&[(&str, &str)]>) -> KmsGrant {
        KmsGrant {
            scope: Scope::new(AccountId::new("000000000000"), Region::new("us-east-1")),
            key_id: "k".into(),
            id: "g".into(),
            name: None,
            grantee: "arn".into(),
            retiring: None,
            operations: BTreeSet::new(),
            context_subset: subset.map(context),
            context_equals: equals.map(context),
            issuing_account: "000000000000".into(),
            created_at_ms: 0,
        }
    }

    fn context(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_grant_looks_at_the_encryption_context() {
        let (one, two) = (context(&[("a", "1")]), context(&[("a", "1"), ("b", "2")]));
        let free = grant(None, None);
        assert!(free.permits_context(&two) && free.permits_context(&BTreeMap::new()));
        let subset = grant(Some(&[("a", "1")]), None);
        assert!(subset.permits_context(&one) && subset.permits_context(&two));
        assert!(!subset.permits_context(&context(&[("a", "2")])));
        let equals = grant(None, Some(&[("a", "1")]));
        assert!(equals.permits_context(&one) && !equals.permits_context(&two));
        assert!(!equals.permits_context(&BTreeMap::new()));
    }
}
