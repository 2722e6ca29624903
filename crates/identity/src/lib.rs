//! Who is calling, and may they.
//!
//! - [`sigv4`]: verifies and makes AWS signatures.
//! - [`Principal`], [`Call`], [`authorize`]: an authenticated request, and the one question that
//!   every operation asks before it does anything.
//! - [`Sealer`]: tokens that prove themselves, such as the password of the registry.
//!
//! **Invariant**: pure. Time, randomness and secrets are handed in; nothing here waits, reads a
//! file or opens a connection. `clippy.toml` bans the rest.

mod access_key;
mod authorization;
mod call;
mod condition_context;
mod principal;
mod sealed_token;
pub mod sigv4;

pub use access_key::{AccessKeyId, Credential, CredentialSource, SecretAccessKey};
pub use authorization::{Decision, Denied, RefusalReason, authorize};
pub use call::{Call, RequestId};
pub use condition_context::{ConditionContext, ConditionValue};
pub use principal::Principal;
pub use sealed_token::{
    Claims, Purpose, SEAL_NONCE_BYTES, SEALED_TOKEN_CHARS_MAX, Sealer, TokenError,
};
pub use sigv4::SignatureError;
