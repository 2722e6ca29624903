//! Who is calling, and may they.
//!
//! - [`sigv4`]: verifies and makes AWS signatures.
//! - [`Principal`], [`Call`]: an authenticated request.
//! - [`Question`], [`Subject`], [`Authorized`]: what an operation asks before it does anything, and
//!   the proof that what it uses is what was authorized. [`PermissionSource`] answers.
//! - [`Sealer`]: tokens that prove themselves, such as the password of the registry.
//!
//! **Invariant**: pure. Time, randomness and secrets are handed in; nothing here waits, reads a
//! file or opens a connection. `clippy.toml` bans the rest.

mod access_key;
mod arrival;
mod authorization;
mod call;
mod condition_context;
mod principal;
mod question;
mod refusal_report;
mod sealed_token;
mod session_token;
pub mod sigv4;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use access_key::{
    ACCESS_KEY_ID_RANDOM_BYTES, AccessKeyId, Credential, CredentialSource, SECRET_RANDOM_BYTES,
    SecretAccessKey, unique_id,
};
pub use arrival::Arrival;
pub use authorization::{AccountRoots, AuthorizationRequest, Denied, PermissionSource};
pub use call::{Answered, Call, RequestId};
pub use condition_context::{ConditionContext, ConditionValue, RequestContext};
pub use principal::{Caller, FederatingUser, Principal, Session};
pub use question::{ANY_RESOURCE, Authorized, Changed, Question, ResourcePolicy, Subject};
pub use refusal_report::{DenyingStatement, RefusalReport};
pub use sealed_token::{
    Claims, Purpose, SEAL_NONCE_BYTES, SEALED_TOKEN_CHARS_MAX, Sealer, TokenError,
};
pub use session_token::SessionToken;
pub use sigv4::SignatureError;
