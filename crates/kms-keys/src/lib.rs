//! Keys of KMS for whoever uses them: the service itself, and services that keep values under somebody's key.
//!
//! ```text
//! text of a request ──► Reference ──► KmsKey ──► Use::question (key policy, grants, condition keys) ──► permission
//!                                        │
//!                                        └──► cipher: key material, opened for one use ──► Blob, code, envelope
//!                                        └──► signature: a private key, opened for one use ──► signature, public key
//! ```
//!
//! **Invariant:** key material is opened for one use and leaves this crate never. What a blob says of its key is bound into
//! it, as the encryption context is: it opens under that material with that context, or not at all. The form of a blob is a promise.
//!
//! Design note: 0029.

mod blob;
mod cipher;
mod envelope;
mod managed;
mod protection;
mod question;
mod reference;
mod signature;
mod state;

pub use blob::{Blob, EncryptionContext};
pub use cipher::{
    DecryptError, FreshMaterial, MATERIAL_RANDOM_BYTES, MaterialFault, decrypt, encrypt, is_mac,
    mac, place as material_place,
};
pub use envelope::{ENVELOPE_RANDOM_BYTES, Envelope, FreshEnvelope};
pub use managed::{ALIAS_OF_AWS, alias_for, managed_key, new_managed_key, service_of};
pub use protection::{Kept, Protection, Unprotected};
pub use question::{Use, default_policy, is_grantee};
pub use reference::{Reference, Unreadable};
pub use signature::{is_signature, public_key, sign, signed_digest};
pub use state::Unusable;
