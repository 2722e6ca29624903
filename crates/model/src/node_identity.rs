//! Which keys a node proves itself with. Kept apart from what it says of itself: it outlives that.

use serde::{Deserialize, Serialize};

use crate::{NodeId, TimestampMs};

/// A node changes its key with each certificate: the one that asked for the last and the one that got it.
pub const KEYS_MAX: usize = 2;

/// SHA-256 of a public key (its SubjectPublicKeyInfo in DER), in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyFingerprint(String);

impl KeyFingerprint {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Made when a node joins. It is never removed: a node that was deregistered stays known as that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeIdentity {
    pub node: NodeId,
    /// The newest first, at most [`KEYS_MAX`].
    pub keys: Vec<KeyFingerprint>,
    pub joined_at_ms: TimestampMs,
    /// Set when the node is deregistered: nothing is believed that its keys prove.
    #[serde(default)]
    pub revoked_at_ms: Option<TimestampMs>,
}
