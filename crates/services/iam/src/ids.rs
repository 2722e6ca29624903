//! New ids and secrets, made before a transaction, which may be tried more than once.

use outport_identity::{AccessKeyId, SecretAccessKey, unique_id};

use crate::rejection::Rejection;

/// Characters behind the prefix of a unique id, such as `AIDA`.
/// Source: IAM user guide, "IAM identifiers", Unique identifiers: 21 characters in all, as its examples show.
const UNIQUE_CHARS: usize = 17;

/// `prefix` and 17 random characters.
///
/// # Errors
/// No randomness.
pub fn unique(prefix: &str) -> Result<String, Rejection> {
    Ok(unique_id(prefix, &bytes::<UNIQUE_CHARS>()?))
}

/// A new long-term key and its secret.
///
/// # Errors
/// No randomness.
pub fn access_key() -> Result<(AccessKeyId, SecretAccessKey), Rejection> {
    Ok((AccessKeyId::long_term(bytes()?), SecretAccessKey::from_random(bytes()?)))
}

/// Fresh random bytes.
///
/// # Errors
/// No randomness.
pub fn bytes<const N: usize>() -> Result<[u8; N], Rejection> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Rejection::Server {
        message: "The request processing has failed because of an unknown error.".to_owned(),
        detail: format!("no randomness: {error}"),
    })?;
    Ok(bytes)
}
