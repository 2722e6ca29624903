//! Why an image could not be pulled, and the words that ECS has for it.

use crate::digest::Digest;
use crate::layer::UnpackError;
use crate::registry::RegistryError;
use std::io;

/// Longest text of [`PullError::reason`]: ECS's limit on a container's `reason`, in characters.
const REASON_CHARS_MAX: usize = 1024;

/// Why an image could not be pulled. Nothing of the attempt is left on the disk.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The manifest or configuration was not to be had.
    #[error(
        "pull image manifest has been retried {retries} time(s): {}",
        resolving(reference, source)
    )]
    Resolve {
        /// The reference, in full.
        reference: String,
        /// Attempts after the first.
        retries: u32,
        /// What went wrong.
        source: RegistryError,
    },
    /// A layer was not to be had.
    #[error(
        "ref pull has been retried {retries} time(s): failed to copy: httpReadSeeker: failed open: {source}"
    )]
    Download {
        /// The layer's blob.
        digest: Digest,
        /// Attempts after the first.
        retries: u32,
        /// What went wrong.
        source: RegistryError,
    },
    /// A layer cannot be unpacked.
    #[error(
        "ref pull has been retried 1 time(s): failed to extract layer {diff_id}: {source}: unknown"
    )]
    Extract {
        /// The layer, by the digest of its content.
        diff_id: Digest,
        /// What went wrong.
        source: UnpackError,
    },
    /// A layer's content is not what the image configuration says.
    #[error(
        "ref pull has been retried 1 time(s): failed to extract layer {expected}: wrong diff id calculated on extraction {found}: unknown"
    )]
    DiffIdMismatch {
        /// In the image configuration.
        expected: Digest,
        /// Of the content.
        found: Digest,
    },
    /// The disk of the node is full.
    #[error("ref pull has been retried 1 time(s): write {place}: no space left on device")]
    DiskFull {
        /// What was being written.
        place: String,
    },
    /// The disk of the node, otherwise.
    #[error("{place}: {source}")]
    Io {
        /// What was being done.
        place: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
}

fn resolving(reference: &str, source: &RegistryError) -> String {
    match source {
        // AWS's text for this one does not name the reference.
        RegistryError::Manifest(error @ crate::ManifestError::NoMatchingPlatform(_)) => {
            error.to_string()
        }
        RegistryError::NotFound => {
            format!("failed to resolve ref {reference}: {reference}: not found")
        }
        other => format!("failed to resolve ref {reference}: {other}"),
    }
}

impl PullError {
    /// The text of a container's `reason` and, behind it, the task's `stoppedReason`:
    /// `CannotPullContainerError: …`, at most 1024 characters.
    pub fn reason(&self) -> String {
        let text = format!("CannotPullContainerError: {self}");
        text.chars()
            .map(|char| if char.is_control() { ' ' } else { char })
            .take(REASON_CHARS_MAX)
            .collect()
    }

    /// Whether the same pull may succeed later without a change of the image: connection and node troubles.
    pub fn is_transient(&self) -> bool {
        match self {
            PullError::Resolve { source, .. } | PullError::Download { source, .. } => matches!(
                source,
                RegistryError::Unreachable { .. }
                    | RegistryError::TooManyRequests { .. }
                    | RegistryError::Status { .. }
                    | RegistryError::Disk(_)
            ),
            PullError::DiskFull { .. } | PullError::Io { .. } => true,
            PullError::Extract { .. } | PullError::DiffIdMismatch { .. } => false,
        }
    }

    pub(crate) fn io(place: &'static str, source: io::Error) -> PullError {
        if is_disk_full(&source) {
            return PullError::DiskFull { place: place.to_owned() };
        }
        PullError::Io { place, source }
    }

    pub(crate) fn download(digest: Digest, source: RegistryError) -> PullError {
        match source {
            RegistryError::Disk(source) => PullError::io("image blob", source),
            source => PullError::Download { digest, retries: 1, source },
        }
    }

    pub(crate) fn extract(diff_id: Digest, source: UnpackError) -> PullError {
        match source {
            UnpackError::DiskFull { entry } => PullError::DiskFull { place: entry },
            source => PullError::Extract { diff_id, source },
        }
    }
}

pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
