//! Access keys: the public id, the secret, and who they stand for.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use outport_model::Region;

use crate::{Caller, Principal, Session, SignatureError};

/// `AKIA…`: the public half of a key pair. Tools for local endpoints send any non-empty text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccessKeyId(String);

/// Random bytes of an access key id.
pub const ACCESS_KEY_ID_RANDOM_BYTES: usize = 16;
/// Random bytes of a secret.
pub const SECRET_RANDOM_BYTES: usize = 30;
/// What the ids of IAM are made of behind their prefix.
const ID_ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// `prefix` and a character for each random byte: an id as IAM makes them.
pub fn unique_id(prefix: &str, random: &[u8]) -> String {
    let digit = |byte: &u8| char::from(ID_ALPHABET[usize::from(*byte) % ID_ALPHABET.len()]);
    prefix.chars().chain(random.iter().map(digit)).collect()
}

impl AccessKeyId {
    /// A new long-term key: `AKIA…`, 20 characters.
    pub fn long_term(random: [u8; ACCESS_KEY_ID_RANDOM_BYTES]) -> Self {
        Self(unique_id("AKIA", &random))
    }

    /// A new temporary key: `ASIA…`, 20 characters.
    pub fn temporary(random: [u8; ACCESS_KEY_ID_RANDOM_BYTES]) -> Self {
        Self(unique_id("ASIA", &random))
    }

    /// Takes the text as it is.
    pub fn new(text: impl Into<String>) -> Self {
        AccessKeyId(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Why nobody is let in by it, when nobody has it.
    pub fn unknown(&self) -> SignatureError {
        if PLACEHOLDERS.contains(&self.as_str()) {
            SignatureError::PlaceholderAccessKey
        } else {
            SignatureError::UnknownAccessKey
        }
    }
}

/// What people write who come from an emulator that looks at no key.
const PLACEHOLDERS: [&str; 4] = ["test", "dummy", "fake", "mock"];

impl fmt::Display for AccessKeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The secret half. Never printed: `Debug` redacts, and there is no `Display`.
#[derive(Clone)]
pub struct SecretAccessKey(String);

impl SecretAccessKey {
    /// A new secret, 40 characters.
    pub fn from_random(random: [u8; SECRET_RANDOM_BYTES]) -> Self {
        Self(STANDARD.encode(random))
    }

    /// Takes the text as it is.
    pub fn new(text: impl Into<String>) -> Self {
        SecretAccessKey(text.into())
    }

    /// The secret itself, for signing and for the one place that stores it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretAccessKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretAccessKey(redacted)")
    }
}

/// A key pair and the principal that it stands for.
#[derive(Clone, Debug)]
pub struct Credential {
    pub access_key_id: AccessKeyId,
    pub secret_access_key: SecretAccessKey,
    pub principal: Principal,
    /// `None`: a long-term key.
    pub session: Option<Box<Session>>,
}

impl Credential {
    /// A long-term key.
    pub fn long_term(
        access_key_id: AccessKeyId,
        secret_access_key: SecretAccessKey,
        principal: Principal,
    ) -> Self {
        Self { access_key_id, secret_access_key, principal, session: None }
    }

    /// Whom a request that it signed is from.
    pub fn into_caller(self) -> Caller {
        let Self { access_key_id, principal, session, .. } = self;
        Caller { principal, access_key_id, session }
    }
}

/// Where credentials are found. Implemented by whoever keeps them.
pub trait CredentialSource: Send + Sync {
    /// The credential of an access key id.
    ///
    /// `session_token` is what came with the request; a long-term key has none, and one that
    /// comes with it anyway is [`SignatureError::UnknownAccessKey`], as at AWS.
    ///
    /// # Errors
    /// [`SignatureError::UnknownAccessKey`], [`SignatureError::PlaceholderAccessKey`] and
    /// [`SignatureError::SessionExpired`].
    fn find(
        &self,
        access_key_id: &AccessKeyId,
        session_token: Option<&str>,
        now_ms: i64,
    ) -> Result<Credential, SignatureError>;

    /// Somebody has proven to hold a credential, by a request for `service`. Does not wait.
    fn note_use(&self, _credential: &Credential, _service: &str, _region: &Region, _now_ms: i64) {}
}

/// One long-term credential: what a control plane with a root key pair and no IAM has.
impl CredentialSource for Credential {
    fn find(
        &self,
        access_key_id: &AccessKeyId,
        session_token: Option<&str>,
        _now_ms: i64,
    ) -> Result<Credential, SignatureError> {
        if *access_key_id == self.access_key_id && session_token.is_none() {
            Ok(self.clone())
        } else {
            Err(access_key_id.unknown())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_keys_have_the_form_of_awss() {
        let (one, other) = ([0; 16], [255; 16]);
        assert_eq!(AccessKeyId::long_term(one).as_str(), "AKIAAAAAAAAAAAAAAAAA");
        assert_eq!(AccessKeyId::temporary(other).as_str(), "ASIA7777777777777777");
        assert_eq!(SecretAccessKey::from_random([7; 30]).expose().len(), 40);
        assert_eq!(unique_id("AIDA", &[1; 17]).len(), 21);
    }
}
