//! New ids and secrets.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::rejection::Rejection;

/// What unique ids are made of behind their prefix.
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Characters behind the prefix of a unique id, such as `AIDA`.
/// Source: IAM user guide, "IAM identifiers", Unique identifiers: 21 characters in all, as its examples show.
const UNIQUE_CHARS: usize = 17;
/// Characters behind `AKIA`: 20 in all.
const KEY_CHARS: usize = 16;
/// Random bytes of a secret, which is their 40 characters of base64.
const SECRET_BYTES: usize = 30;

/// `prefix` and 17 random characters. Made before a transaction, which may be tried more than once.
///
/// # Errors
/// No randomness.
pub fn unique(prefix: &str) -> Result<String, Rejection> {
    random(prefix, UNIQUE_CHARS)
}

/// `AKIA` and 16 random characters, and a secret.
///
/// # Errors
/// No randomness.
pub fn access_key() -> Result<(String, String), Rejection> {
    let mut secret = [0; SECRET_BYTES];
    fill(&mut secret)?;
    Ok((random("AKIA", KEY_CHARS)?, STANDARD.encode(secret)))
}

/// Fresh random bytes.
///
/// # Errors
/// No randomness.
pub fn bytes<const N: usize>() -> Result<[u8; N], Rejection> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

fn random(prefix: &str, chars: usize) -> Result<String, Rejection> {
    let mut bytes = vec![0; chars];
    fill(&mut bytes)?;
    let chars = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
    Ok(prefix.chars().chain(chars).collect())
}

fn fill(bytes: &mut [u8]) -> Result<(), Rejection> {
    getrandom::fill(bytes).map_err(|error| Rejection::Server {
        message: "The request processing has failed because of an unknown error.".to_owned(),
        detail: format!("no randomness: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_form_of_awss() {
        let id = unique("AIDA").unwrap();
        assert_eq!(id.len(), 21, "{id}");
        let (key, secret) = access_key().unwrap();
        assert_eq!((key.len(), secret.len()), (20, 40), "{key}");
        assert!(key.starts_with("AKIA") && key != access_key().unwrap().0);
    }
}
