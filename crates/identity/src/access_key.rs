//! Access keys: the public id, the secret, and who they stand for.

use std::fmt;

use crate::{Principal, SignatureError};

/// `AKIA…`: the public half of a key pair. Tools for local endpoints send any non-empty text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccessKeyId(String);

impl AccessKeyId {
    /// Takes the text as it is.
    pub fn new(text: impl Into<String>) -> Self {
        AccessKeyId(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccessKeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The secret half. Never printed: `Debug` redacts, and there is no `Display`.
#[derive(Clone)]
pub struct SecretAccessKey(String);

impl SecretAccessKey {
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
        } else if PLACEHOLDERS.contains(&access_key_id.as_str()) {
            Err(SignatureError::PlaceholderAccessKey)
        } else {
            Err(SignatureError::UnknownAccessKey)
        }
    }
}

/// What people write who come from an emulator that looks at no key.
const PLACEHOLDERS: [&str; 4] = ["test", "dummy", "fake", "mock"];
