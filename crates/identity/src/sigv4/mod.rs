//! AWS Signature Version 4: verify it as AWS does, and make it.
//!
//! Verification has three steps, and the types allow no other order:
//!
//! | step | needs | finds |
//! |---|---|---|
//! | [`PresentedSignature::parse`] | request line and headers | not signed, malformed |
//! | [`PresentedSignature::check`] | time, service, regions | expired, wrong scope, unsigned headers |
//! | [`CheckedSignature::verify`] | the secret's key, the body's hash | everything else |
//!
//! The body is needed last; and not at all where the request announces its hash
//! ([`CheckedSignature::announced_body_sha256`]): then the caller is proven before a byte of the body is read, and only
//! the hash is left to compare.
//!
//! Source: AWS, "Signature Version 4 for API requests"; the vectors are AWS's test suite
//! (`tests/vectors`). Order and texts of the errors follow what AWS's services answer.
//!
//! **Invariant**: nothing that the signature does not cover decides anything. A request whose
//! `x-amz-*` headers or host are not signed is refused before its signature is computed.

mod canonical;
mod error;
mod key;
mod presented;
mod request_head;
mod scope;
mod signer;
mod timestamp;

pub use canonical::{PayloadHash, SignatureStyle, sha256_hex};
pub use error::{ErrorDialect, SignatureError};
pub use key::{SigningKey, SigningKeyCache};
pub use presented::{CheckedSignature, PresentedSignature, SignatureExpectation, SignatureForm};
pub use request_head::RequestHead;
pub use scope::CredentialScope;
pub use signer::Signer;
pub use timestamp::AmzTimestamp;

/// The only algorithm that is spoken: `AWS4-HMAC-SHA256`.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The last part of a credential scope.
pub const TERMINATOR: &str = "aws4_request";

/// How far the time of a header-signed request may be from ours: AWS's 15 minutes.
pub const SKEW_MAX_MS: i64 = 15 * 60 * 1000;

/// The longest life of a presigned request: 7 days, as AWS sets it.
pub const PRESIGN_EXPIRES_MAX_SECONDS: u32 = 604_800;

/// Headers (or header values) of one name are joined; more than this many signed names is refused.
pub const SIGNED_HEADERS_MAX: usize = 100;
