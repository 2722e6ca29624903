//! How much of what there may be. Source: KMS developer guide, "Resource quotas".

pub const KEYS_PER_REGION: usize = 100_000;
pub const ALIASES_PER_KEY: usize = 50;
pub const GRANTS_PER_KEY: usize = 50_000;
/// Bytes of a key policy.
pub const POLICY_BYTES: usize = 32_768;
/// Rotations on demand in the life of a key.
pub const ROTATIONS_ON_DEMAND: usize = 25;
/// Source: API reference, Encrypt, EncryptionContext, and the developer guide's "Encryption context": "8192 characters".
pub const CONTEXT_BYTES: usize = 8_192;
