//! Tokens that only we can make and read: what they say needs no storage to be believed.
//!
//! | part | bytes | |
//! |---|---|---|
//! | version | 1 | [`VERSION`] |
//! | nonce | 24 | random, handed in |
//! | ciphertext | rest | XChaCha20-Poly1305 over the claims as JSON; version and purpose are bound in |
//!
//! The whole is base64url without padding. Used for the password of the registry (12 hours) and for
//! pagination tokens.
//!
//! **Invariant**: a token opens only for the purpose that it was sealed for, only with the same key,
//! and only before it expires. The text is a promise: tokens of an older version stay readable for
//! as long as they may live.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};

use crate::{AccessKeyId, Principal};

const VERSION: u8 = 1;

/// Random bytes that each seal needs.
pub const SEAL_NONCE_BYTES: usize = 24;

/// Longer texts are no tokens of ours.
pub const SEALED_TOKEN_CHARS_MAX: usize = 8 * 1024;

/// What a token is for. A token of one purpose is worthless for any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purpose(&'static str);

impl Purpose {
    /// The password that `ecr:GetAuthorizationToken` gives out.
    pub const REGISTRY_PASSWORD: Purpose = Purpose("registry-password");
    /// `SessionToken` of temporary credentials.
    pub const SESSION: Purpose = Purpose("session");
    /// `nextToken` of a paginated operation.
    pub const NEXT_TOKEN: Purpose = Purpose("next-token");

    /// What DecodeAuthorizationMessage decodes.
    pub const AUTHORIZATION_MESSAGE: Purpose = Purpose("authorization-message");

    /// A further purpose. Its name is bound into every token: never change one.
    pub const fn new(name: &'static str) -> Self {
        Purpose(name)
    }
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who got the token.
    pub principal: Principal,
    /// The key that asked for it: when the key goes, the token must go too.
    pub access_key_id: String,
    /// Unix milliseconds; the token is worthless from then on.
    pub expires_ms: i64,
    /// What else the purpose needs, in its own form: for a pagination token the operation, its
    /// filters and the position.
    pub content: String,
}

impl Claims {
    /// The key that asked for the token.
    pub fn access_key_id(&self) -> AccessKeyId {
        AccessKeyId::new(&self.access_key_id)
    }
}

/// Why a token is not believed. The caller should learn no more than that it is invalid, or that
/// it has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token of this key and purpose, or changed on the way.
    #[error("the token is not valid")]
    Invalid,
    /// Was valid.
    #[error("the token has expired")]
    Expired,
}

/// Seals and opens tokens with one key of 32 random bytes, kept with the control plane's secrets.
#[derive(Clone)]
pub struct Sealer {
    cipher: XChaCha20Poly1305,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sealer(redacted)")
    }
}

impl Sealer {
    /// A sealer of a key.
    pub fn new(key: &[u8; 32]) -> Self {
        Sealer { cipher: XChaCha20Poly1305::new(key.into()) }
    }

    /// Seals claims. `nonce` must be fresh random bytes: 192 bits, so chance never repeats it.
    pub fn seal(&self, purpose: Purpose, claims: &Claims, nonce: [u8; SEAL_NONCE_BYTES]) -> String {
        let plain = serde_json::to_vec(claims).expect("claims are texts and numbers");
        let bound = associated_text(purpose);
        let payload = Payload { msg: &plain, aad: bound.as_bytes() };
        let sealed = self
            .cipher
            .encrypt(XNonce::from_slice(&nonce), payload)
            .expect("a token is far below the cipher's 256 GiB");
        let mut bytes = Vec::with_capacity(1 + SEAL_NONCE_BYTES + sealed.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Opens a token.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] for everything that is not a token of this key and purpose,
    /// [`TokenError::Expired`] for one that was.
    pub fn open(&self, purpose: Purpose, token: &str, now_ms: i64) -> Result<Claims, TokenError> {
        if token.len() > SEALED_TOKEN_CHARS_MAX {
            return Err(TokenError::Invalid);
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| TokenError::Invalid)?;
        let (&version, rest) = bytes.split_first().ok_or(TokenError::Invalid)?;
        if version != VERSION || rest.len() < SEAL_NONCE_BYTES {
            return Err(TokenError::Invalid);
        }
        let (nonce, sealed) = rest.split_at(SEAL_NONCE_BYTES);
        let bound = associated_text(purpose);
        let payload = Payload { msg: sealed, aad: bound.as_bytes() };
        let plain = self
            .cipher
            .decrypt(XNonce::from_slice(nonce), payload)
            .map_err(|_| TokenError::Invalid)?;
        let claims: Claims = serde_json::from_slice(&plain).map_err(|_| TokenError::Invalid)?;
        if now_ms >= claims.expires_ms {
            return Err(TokenError::Expired);
        }
        Ok(claims)
    }
}

fn associated_text(purpose: Purpose) -> String {
    format!("outport sealed token {VERSION} {}", purpose.0)
}

#[cfg(test)]
mod tests {
    use outport_model::AccountId;

    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn claims() -> Claims {
        Claims {
            principal: Principal::root(AccountId::new("000000000000")),
            access_key_id: "AKIDEXAMPLE".into(),
            expires_ms: 1_000,
            content: "position".into(),
        }
    }

    fn sealed() -> String {
        Sealer::new(&KEY).seal(Purpose::NEXT_TOKEN, &claims(), [9; SEAL_NONCE_BYTES])
    }

    fn check(token: &str, purpose: Purpose, now_ms: i64, expected: Result<Claims, TokenError>) {
        assert_eq!(Sealer::new(&KEY).open(purpose, token, now_ms), expected, "{token}");
    }

    #[test]
    fn opens_until_it_expires() {
        check(&sealed(), Purpose::NEXT_TOKEN, 0, Ok(claims()));
        check(&sealed(), Purpose::NEXT_TOKEN, 999, Ok(claims()));
        check(&sealed(), Purpose::NEXT_TOKEN, 1_000, Err(TokenError::Expired));
    }

    #[test]
    fn opens_for_its_purpose_and_key_only() {
        check(&sealed(), Purpose::REGISTRY_PASSWORD, 0, Err(TokenError::Invalid));
        check(&sealed(), Purpose::new("next-token2"), 0, Err(TokenError::Invalid));
        let other = Sealer::new(&[8; 32]);
        assert_eq!(other.open(Purpose::NEXT_TOKEN, &sealed(), 0), Err(TokenError::Invalid));
    }

    #[test]
    fn a_token_of_the_first_version_stays_readable() {
        const OLD: &str = concat!(
            "AQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCcVQkvgVxBoLhHNkHlIIJYBDndO4ekPvjsn5OnDx",
            "RzA47V8ur_Cxl2Q8RYznOO6at2e7GT9CO5cqmInQIqPaWv_ELWb3l0v60-IUYUVOMPLIq1wH",
            "JJCUm0r1dvugfGVRiRRnlQlnWHl8QfSGuoZwiFSmHj4el7XGBJGjgY4eYPwBvU4j4kPlQ0nf",
            "Sr8",
        );
        assert_eq!(sealed(), OLD);
        check(OLD, Purpose::NEXT_TOKEN, 0, Ok(claims()));
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let bytes = URL_SAFE_NO_PAD.decode(sealed()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let text = URL_SAFE_NO_PAD.encode(changed);
            check(&text, Purpose::NEXT_TOKEN, 0, Err(TokenError::Invalid));
        }
    }

    #[test]
    fn what_is_no_token_is_invalid() {
        let token = sealed();
        for text in ["", "A", "AQ", "=", "not a token", &format!("{token}="), &token[1..]] {
            check(text, Purpose::NEXT_TOKEN, 0, Err(TokenError::Invalid));
        }
        for length in 0..token.len() {
            check(&token[..length], Purpose::NEXT_TOKEN, 0, Err(TokenError::Invalid));
        }
        let long = "A".repeat(SEALED_TOKEN_CHARS_MAX + 1);
        check(&long, Purpose::NEXT_TOKEN, 0, Err(TokenError::Invalid));
    }
}
