//! Signing keys: derived from a secret once for each day, region and service.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::{CredentialScope, TERMINATOR};
use crate::{AccessKeyId, SecretAccessKey};

/// `HMAC(HMAC(HMAC(HMAC("AWS4" + secret, date), region), service), "aws4_request")`.
#[derive(Clone, Copy)]
pub struct SigningKey([u8; 32]);

impl SigningKey {
    /// Derives the key of a scope. Four HMACs, about 2 µs.
    pub fn derive(secret: &SecretAccessKey, scope: &CredentialScope) -> Self {
        let mut start = Vec::with_capacity(4 + secret.expose().len());
        start.extend_from_slice(b"AWS4");
        start.extend_from_slice(secret.expose().as_bytes());
        let date = hmac_sha256(&start, scope.date.as_bytes());
        let region = hmac_sha256(&date, scope.region.as_bytes());
        let service = hmac_sha256(&region, scope.service.as_bytes());
        SigningKey(hmac_sha256(&service, TERMINATOR.as_bytes()))
    }

    /// The signature of a string to sign, in lower-case hex.
    pub fn sign(&self, string_to_sign: &str) -> String {
        hex::encode(hmac_sha256(&self.0, string_to_sign.as_bytes()))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SigningKey(redacted)")
    }
}

/// Keeps the keys of the credentials in use, so that a request costs one HMAC instead of five.
///
/// Holds at most [`SigningKeyCache::KEYS_MAX`] keys and forgets all of them when it is full: a new
/// day makes every old key useless at once, and a key is cheap to derive again.
#[derive(Debug, Default)]
pub struct SigningKeyCache {
    keys: Mutex<BTreeMap<(AccessKeyId, CredentialScope), (SecretAccessKey, SigningKey)>>,
}

impl SigningKeyCache {
    /// How many keys are held at most.
    pub const KEYS_MAX: usize = 4096;

    /// The key of a scope. Call it only for a credential that exists and a scope that has been
    /// checked, so that strangers cannot fill the cache.
    pub fn key(
        &self,
        access_key_id: &AccessKeyId,
        secret: &SecretAccessKey,
        scope: &CredentialScope,
    ) -> SigningKey {
        // A panic elsewhere cannot leave a half-written entry: every insert is one call.
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (access_key_id.clone(), scope.clone());
        if let Some((known_secret, key)) = keys.get(&name)
            && bool::from(known_secret.expose().as_bytes().ct_eq(secret.expose().as_bytes()))
        {
            return *key;
        }
        if keys.len() >= Self::KEYS_MAX {
            keys.clear();
        }
        let key = SigningKey::derive(secret, scope);
        keys.insert(name, (secret.clone(), key));
        key
    }
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(region: &str) -> CredentialScope {
        CredentialScope {
            date: "20150830".into(),
            region: region.into(),
            service: "iam".into(),
            terminator: TERMINATOR.into(),
        }
    }

    #[test]
    fn derives_the_key_of_the_aws_documentation() {
        let secret = SecretAccessKey::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let key = SigningKey::derive(&secret, &scope("us-east-1"));
        assert_eq!(
            hex::encode(key.0),
            "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
        );
    }

    #[test]
    fn a_changed_secret_is_not_served_from_the_cache() {
        let cache = SigningKeyCache::default();
        let id = AccessKeyId::new("AKID");
        let first = cache.key(&id, &SecretAccessKey::new("one"), &scope("a"));
        let again = cache.key(&id, &SecretAccessKey::new("one"), &scope("a"));
        let changed = cache.key(&id, &SecretAccessKey::new("two"), &scope("a"));
        assert_eq!(first.0, again.0);
        assert_ne!(first.0, changed.0);
    }

    #[test]
    fn the_cache_has_a_limit() {
        let cache = SigningKeyCache::default();
        let id = AccessKeyId::new("AKID");
        for number in 0..=SigningKeyCache::KEYS_MAX {
            cache.key(&id, &SecretAccessKey::new("s"), &scope(&number.to_string()));
        }
        assert_eq!(cache.keys.lock().unwrap().len(), 1);
    }
}
