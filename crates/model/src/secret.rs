//! A secret of Secrets Manager: its versions and their labels, and beside it, one by one, the sealed values.
//!
//! ```text
//! Secret ── version id ──► SecretVersion (labels, serial) ── serial ──► SecretValue (sealed)
//! ```
//!
//! **Invariant:** a label is on one version at most. A value stands in a row of its own, so that a change of labels, tags or
//! dates does not write every value anew; it goes with its version, and all go with the secret.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Arn, Now, Scope, Tags, TimestampMs};

/// The label of the version that is read when none is asked for.
pub const CURRENT: &str = "AWSCURRENT";
/// The label of the one that was current before it.
pub const PREVIOUS: &str = "AWSPREVIOUS";
/// The label of one that a rotation prepares.
pub const PENDING: &str = "AWSPENDING";

/// The row of a secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Secret {
    pub scope: Scope,
    /// 1 to 512 letters, digits and `/_+=.@!-`; unique in its scope.
    pub name: String,
    /// Six random letters and digits, the end of its ARN: a later secret of the same name is another.
    pub suffix: String,
    pub description: Option<String>,
    /// As it was given.
    pub kms_key_id: Option<String>,
    pub tags: Tags,
    /// By version id.
    pub versions: BTreeMap<String, SecretVersion>,
    /// The serial of the next version.
    pub next_serial: u64,
    pub created_at_ms: TimestampMs,
    pub changed_at_ms: TimestampMs,
    /// The start of the day when a value was last read.
    pub accessed_at_ms: Option<TimestampMs>,
    /// `None`: it is not marked for deletion.
    pub deletion: Option<Deletion>,
    pub resource_policy: Option<String>,
    pub rotation: Option<Rotation>,
}

/// A secret that was deleted can be restored until its recovery window is over. Nothing is shown of it from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    pub requested_at_ms: TimestampMs,
    pub window_ms: i64,
}

/// A version of a secret, without its value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecretVersion {
    /// In the order in which the versions were made.
    pub serial: u64,
    /// Its labels; one without any is deprecated.
    pub stages: BTreeSet<String>,
    pub created_at_ms: TimestampMs,
    /// The start of the day when it was last read.
    pub accessed_at_ms: Option<TimestampMs>,
}

/// How a secret is to be rotated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    pub is_enabled: bool,
    pub lambda_arn: Option<String>,
    pub automatically_after_days: Option<i64>,
    pub duration: Option<String>,
    pub schedule_expression: Option<String>,
}

/// The row of one version's value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecretValue {
    pub scope: Scope,
    /// The name of the secret.
    pub secret: String,
    pub serial: u64,
    pub kind: SecretKind,
    /// The value, sealed for this version of this secret: with its data key, or with the master key.
    pub sealed: String,
    /// Its data key, as a key of KMS has encrypted it; `None`: it was kept before there were keys.
    #[serde(default)]
    pub data_key: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecretKind {
    /// `SecretString`.
    Text,
    /// `SecretBinary`.
    Binary,
}

impl Deletion {
    /// When the secret will be gone, by a clock that does not step.
    pub fn at_ms(self) -> TimestampMs {
        self.requested_at_ms.saturating_add(self.window_ms)
    }
}

impl Secret {
    pub fn arn(&self) -> Arn {
        Arn::secret(&self.scope, &self.name, &self.suffix)
    }

    /// Whether the time of its deletion has come.
    pub fn is_gone(&self, now: &Now) -> bool {
        self.deletion.is_some_and(|it| now.is_over(it.requested_at_ms, it.window_ms))
    }

    /// The version that has a label, with its id.
    pub fn labelled(&self, stage: &str) -> Option<(&String, &SecretVersion)> {
        self.versions.iter().find(|(_, version)| version.stages.contains(stage))
    }
}
