//! What can go wrong between this node and a registry.

use crate::digest::Digest;
use crate::manifest::ManifestError;

/// Why a registry did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// 404: no such repository, tag, digest or blob.
    #[error("not found")]
    NotFound,
    /// 401 or 403, with the registry's words.
    #[error(
        "pull access denied, repository does not exist or may require authorization: {message}"
    )]
    Denied {
        /// For example `authorization failed: no basic auth credentials`.
        message: String,
    },
    /// 429 after the retries.
    #[error("unexpected status code {url}: 429 Too Many Requests - Server message: {message}")]
    TooManyRequests {
        /// The request.
        url: String,
        /// The registry's words.
        message: String,
    },
    /// Another status after the retries.
    #[error("unexpected status code {url}: {status}")]
    Status {
        /// The request.
        url: String,
        /// The status line.
        status: http::StatusCode,
    },
    /// No connection, or it broke, or it took too long.
    #[error("failed to do request: Get \"{url}\": {reason}")]
    Unreachable {
        /// The request.
        url: String,
        /// For example `dial tcp: i/o timeout`.
        reason: String,
    },
    /// The registry answered something that is not the distribution API, or asks for something refused.
    #[error("unexpected answer of {url}: {reason}")]
    Protocol {
        /// The request.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The content is not what its digest says.
    #[error("unexpected commit digest {found}, expected {expected}: failed precondition")]
    DigestMismatch {
        /// Asked for.
        expected: Digest,
        /// Received.
        found: Digest,
    },
    /// More or fewer bytes than the descriptor or a limit says.
    #[error("unexpected size: at least {found} bytes, expected {expected}")]
    SizeMismatch {
        /// Announced, or the limit.
        expected: u64,
        /// Received.
        found: u64,
    },
    /// The manifest cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The disk of the node.
    #[error(transparent)]
    Disk(std::io::Error),
}
