//! What is secret and has to be kept is sealed: what is on disk without the master key tells nothing.
//!
//! | part | bytes | |
//! |---|---|---|
//! | version | 1 | [`VERSION`] |
//! | key | 4 | which master key: the beginning of its SHA-256 |
//! | nonce | 24 | random, handed in |
//! | ciphertext | rest | XChaCha20-Poly1305; version, key and context are bound in |
//!
//! The whole is base64url without padding.
//!
//! **Invariant:** a sealed value opens only with the master key that it was sealed with and in the place that it was sealed
//! for: a row's value that is moved to another row is worthless there. The form is a promise to later versions.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};

const VERSION: u8 = 1;
/// Bytes of a master key.
pub const KEY_BYTES: usize = 32;
/// Fresh random bytes that each seal needs: 192 bits, so chance never repeats them.
pub const NONCE_BYTES: usize = 24;

/// Which master key it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 4]);

impl KeyId {
    /// That of a key. It tells nothing of the key that would help to find it.
    pub fn of(key: &[u8; KEY_BYTES]) -> Self {
        let digest = Sha256::digest(key);
        Self([digest[0], digest[1], digest[2], digest[3]])
    }
}

/// It is not 8 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the check value of a master key has 8 hexadecimal digits")]
pub struct NoKeyId;

impl FromStr for KeyId {
    type Err = NoKeyId;

    /// As it is displayed.
    fn from_str(text: &str) -> Result<Self, NoKeyId> {
        let is_id = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = is_id.then(|| u32::from_str_radix(text, 16).ok()).flatten();
        number.map(|number| Self(number.to_be_bytes())).ok_or(NoKeyId)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// The master key that seals, and those before it, which still open.
#[derive(Clone)]
pub struct Keyring {
    current: KeyId,
    ciphers: BTreeMap<KeyId, XChaCha20Poly1305>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("current", &self.current).finish_non_exhaustive()
    }
}

/// Why a sealed value does not open. None of it is the caller's to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It was sealed with a master key that is not here: lost, or changed without the old one.
    #[error("it was sealed with the master key {0}, which is not here")]
    UnknownKey(KeyId),
    /// Changed, cut off, or taken from another place.
    #[error("it is damaged, or was sealed for another place")]
    Damaged,
}

impl Keyring {
    /// `current` seals; `earlier` keys only open.
    pub fn new(current: &[u8; KEY_BYTES], earlier: &[[u8; KEY_BYTES]]) -> Self {
        let cipher = |key: &[u8; KEY_BYTES]| (KeyId::of(key), XChaCha20Poly1305::new(key.into()));
        let ciphers = earlier.iter().chain([current]).map(cipher).collect();
        Self { current: KeyId::of(current), ciphers }
    }

    /// The master key that seals.
    pub fn current(&self) -> KeyId {
        self.current
    }

    /// Whether what that key has sealed opens here.
    pub fn has(&self, key: KeyId) -> bool {
        self.ciphers.contains_key(&key)
    }

    /// The same value, sealed with the current key.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn seal_anew(
        &self,
        context: &str,
        sealed: &str,
        nonce: [u8; NONCE_BYTES],
    ) -> Result<String, OpenError> {
        Ok(self.seal(context, &self.open(context, sealed)?, nonce))
    }

    /// Seals a value for the place that `context` names, such as a table and a row's key. `nonce` must be fresh.
    pub fn seal(&self, context: &str, plain: &[u8], nonce: [u8; NONCE_BYTES]) -> String {
        let bound = associated(self.current, context);
        let payload = Payload { msg: plain, aad: bound.as_bytes() };
        let sealed = self.ciphers[&self.current]
            .encrypt(XNonce::from_slice(&nonce), payload)
            .expect("a value is far below the cipher's 256 GiB");
        let mut bytes = Vec::with_capacity(1 + 4 + NONCE_BYTES + sealed.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.current.0);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Opens a value that was sealed for the same place.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&self, context: &str, sealed: &str) -> Result<Vec<u8>, OpenError> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| OpenError::Damaged)?;
        let (key, rest) = head(&bytes).ok_or(OpenError::Damaged)?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE_BYTES).ok_or(OpenError::Damaged)?;
        let cipher = self.ciphers.get(&key).ok_or(OpenError::UnknownKey(key))?;
        let bound = associated(key, context);
        let payload = Payload { msg: ciphertext, aad: bound.as_bytes() };
        cipher.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| OpenError::Damaged)
    }
}

/// Which master key a value was sealed with, without opening it; `None` of what is no sealed value.
pub fn key_of(sealed: &str) -> Option<KeyId> {
    let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
    head(&bytes).map(|(key, _)| key)
}

fn head(bytes: &[u8]) -> Option<(KeyId, &[u8])> {
    match bytes {
        [VERSION, a, b, c, d, rest @ ..] => Some((KeyId([*a, *b, *c, *d]), rest)),
        _ => None,
    }
}

/// What the ciphertext holds for, beside the key itself.
fn associated(key: KeyId, context: &str) -> String {
    format!("outport sealed value {VERSION} {key} {context}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: [u8; KEY_BYTES] = [1; KEY_BYTES];
    const SECOND: [u8; KEY_BYTES] = [2; KEY_BYTES];
    const NONCE: [u8; NONCE_BYTES] = [3; NONCE_BYTES];
    const PLACE: &str = "iam_access_key AKIA1";
    /// What the first version sealed. A promise.
    const GOLDEN: &str = "AXLNboQDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM9ZWwDlUs5oNqrTFpSRmAPNX5FrhPD";

    #[test]
    fn a_value_opens_in_its_own_place_only() {
        let keyring = Keyring::new(&FIRST, &[]);
        let sealed = keyring.seal(PLACE, b"secret", NONCE);
        assert_eq!(sealed, GOLDEN);
        assert_eq!(keyring.open(PLACE, &sealed).as_deref(), Ok(&b"secret"[..]));
        assert_eq!(keyring.open("iam_access_key AKIA2", &sealed), Err(OpenError::Damaged));
        for at in 0..sealed.len() {
            let mut other = sealed.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).unwrap_or_default();
            assert!(keyring.open(PLACE, &other).is_err(), "{other}");
            assert!(keyring.open(PLACE, &sealed[..at]).is_err());
        }
    }

    #[test]
    fn earlier_keys_open_and_lost_ones_are_named() {
        let sealed = Keyring::new(&FIRST, &[]).seal(PLACE, b"secret", NONCE);
        let both = Keyring::new(&SECOND, &[FIRST]);
        assert_eq!(both.open(PLACE, &sealed).as_deref(), Ok(&b"secret"[..]));
        assert_ne!(key_of(&sealed), Some(both.current()));
        assert_eq!(key_of(&both.seal(PLACE, b"secret", NONCE)), Some(both.current()));
        let lost = Keyring::new(&SECOND, &[]).open(PLACE, &sealed);
        assert_eq!(lost, Err(OpenError::UnknownKey(Keyring::new(&FIRST, &[]).current())));
        assert_eq!(key_of("no sealed value"), None);
        let anew = both.seal_anew(PLACE, &sealed, [4; NONCE_BYTES]).unwrap();
        assert_eq!(Keyring::new(&SECOND, &[]).open(PLACE, &anew).as_deref(), Ok(&b"secret"[..]));
        let first = KeyId::of(&FIRST);
        assert!(both.has(first) && !Keyring::new(&SECOND, &[]).has(first));
        assert_eq!(first.to_string().parse(), Ok(first));
        assert!("72cd6e8".parse::<KeyId>().is_err() && "72cd6e84a".parse::<KeyId>().is_err());
    }
}
