//! How much of what there may be. Source: Secrets Manager user guide, "AWS Secrets Manager quotas".

/// Bytes of one value.
pub const VALUE_BYTES: usize = 65_536;
/// Versions of one secret. The oldest without a label makes room for a new one, if it is older than [`VERSION_KEPT_MS`].
pub const VERSIONS: usize = 100;
/// Source: API reference, PutSecretValue: versions are not removed in the 24 hours after they were made.
pub const VERSION_KEPT_MS: i64 = 24 * 60 * 60 * 1000;
/// Labels of all versions of one secret.
pub const STAGES: usize = 20;
pub const SECRETS_PER_REGION: usize = 500_000;
