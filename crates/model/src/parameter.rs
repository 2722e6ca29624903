//! A parameter of Parameter Store, and its versions, one by one.
//!
//! **Invariant:** a label is on one version at most. Versions stand in rows of their own, so that a new one does not write all
//! the others anew; they go with the parameter.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Arn, Scope, Tags, TimestampMs};

/// The row of a parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    pub scope: Scope,
    /// With its slashes, such as `/prod/db/password`; unique in its scope.
    pub name: String,
    pub tags: Tags,
    /// The version that is read when none is asked for; 1 and up.
    pub latest: u64,
    /// Label to version.
    pub labels: BTreeMap<String, u64>,
}

/// The row of one version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParameterVersion {
    pub scope: Scope,
    /// The name of the parameter.
    pub parameter: String,
    pub version: u64,
    pub value: ParameterValue,
    pub description: Option<String>,
    pub allowed_pattern: Option<String>,
    pub tier: ParameterTier,
    pub modified_at_ms: TimestampMs,
    /// The ARN of who made it.
    pub modified_by: String,
}

/// A value by its type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ParameterValue {
    String(String),
    StringList(String),
    /// Sealed for this version of this parameter. The key is as it was given, or the default one.
    SecureString {
        sealed: String,
        key_id: String,
        /// What it is sealed with, as a key of KMS has encrypted it; `None`: it was kept before there were keys, and is sealed with
        /// the master key.
        #[serde(default)]
        data_key: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParameterTier {
    Standard,
    Advanced,
}

impl Parameter {
    pub fn arn(&self) -> Arn {
        Arn::parameter(&self.scope, &self.name)
    }

    /// The labels of a version.
    pub fn labels_of(&self, version: u64) -> impl Iterator<Item = &String> {
        self.labels.iter().filter(move |(_, of)| **of == version).map(|(label, _)| label)
    }
}
