//! How much one registry takes in. Each number bounds memory, disk or time that a client can claim.

use std::time::Duration;

/// Limits of a registry; [`Limits::default`] is right for one host.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest blob, in bytes. Default 10 GiB; ECR's own is 52,000 MiB per layer.
    pub blob_bytes_max: u64,
    /// Bytes of all blobs together; an upload that would go beyond is refused.
    pub bytes_max: u64,
    /// Upload sessions that exist at once, of all repositories together.
    pub upload_sessions_max: usize,
    /// Request bodies of uploads that are read at once; each may hold two batches of bytes in memory.
    pub upload_streams_max: usize,
    /// An upload session that received nothing for this long is forgotten.
    pub upload_idle_max: Duration,
    /// A body from which no byte arrives for this long is given up; its session stays.
    pub body_idle_max: Duration,
    /// How long a request waits for another one that writes to the same upload session.
    pub upload_busy_wait_max: Duration,
    /// A blob that was uploaded or checked less than this ago is kept though no image refers to it: its
    /// push may still be under way.
    pub unreferenced_blob_age_min: Duration,
    /// Repositories of one account and region. Source: ECR service quotas.
    pub repositories_max: u64,
    /// Images of one repository. Source: ECR service quotas.
    pub images_per_repository_max: u64,
    /// Tags of one image. Source: ECR service quotas.
    pub tags_per_image_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            blob_bytes_max: 10 << 30,
            bytes_max: u64::MAX,
            upload_sessions_max: 1_000,
            upload_streams_max: 64,
            upload_idle_max: Duration::from_secs(24 * 3600),
            body_idle_max: Duration::from_secs(60),
            upload_busy_wait_max: Duration::from_secs(10),
            unreferenced_blob_age_min: Duration::from_secs(24 * 3600),
            repositories_max: 100_000,
            images_per_repository_max: 100_000,
            tags_per_image_max: 1_000,
        }
    }
}
