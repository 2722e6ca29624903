//! Values of other services, each sealed with a data key of its own, which a key of KMS has encrypted.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outport_keyring::{KEY_BYTES, Keyring};
use outport_model::kms::KmsKey;

use crate::blob::{Blob, EncryptionContext, NONCE_BYTES};
use crate::cipher::{DecryptError, MaterialFault, decrypt, encrypt};

/// Fresh random bytes that each value needs.
pub const ENVELOPE_RANDOM_BYTES: usize = KEY_BYTES + NONCE_BYTES + outport_keyring::NONCE_BYTES;

/// Random bytes that become a data key. It has no `Debug`, so that nobody prints it.
#[derive(Clone)]
pub struct FreshEnvelope {
    data_key: [u8; KEY_BYTES],
    key_nonce: [u8; NONCE_BYTES],
    value_nonce: [u8; outport_keyring::NONCE_BYTES],
}

/// A value as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The data key, encrypted: a blob in Base64.
    pub data_key: String,
    /// The value, sealed with the data key.
    pub sealed: String,
}

impl FreshEnvelope {
    /// `random`: fresh, and used for nothing else.
    pub fn new(random: &[u8; ENVELOPE_RANDOM_BYTES]) -> Self {
        let (key, rest) = random.split_at(KEY_BYTES);
        let (nonce, last) = rest.split_at(NONCE_BYTES);
        let mut fresh = Self {
            data_key: [0; KEY_BYTES],
            key_nonce: [0; NONCE_BYTES],
            value_nonce: [0; outport_keyring::NONCE_BYTES],
        };
        fresh.data_key.copy_from_slice(key);
        fresh.key_nonce.copy_from_slice(nonce);
        fresh.value_nonce.copy_from_slice(last);
        fresh
    }
}

impl Envelope {
    /// Seals a value for a place of the service's, under a key that encrypts.
    ///
    /// # Errors
    /// [`MaterialFault`].
    pub fn seal(
        keyring: &Keyring,
        key: &KmsKey,
        context: &EncryptionContext,
        place: &str,
        plain: &[u8],
        fresh: &FreshEnvelope,
    ) -> Result<Self, MaterialFault> {
        let FreshEnvelope { data_key, key_nonce, value_nonce } = fresh;
        let blob = encrypt(keyring, key, context, data_key, *key_nonce)?;
        let sealed = Keyring::new(data_key, &[]).seal(place, plain, *value_nonce);
        Ok(Self { data_key: STANDARD.encode(blob), sealed })
    }

    /// Which key it is under; `None`: what is kept is damaged.
    pub fn blob(data_key: &str) -> Option<Blob> {
        Blob::read(&STANDARD.decode(data_key).ok()?)
    }

    /// # Errors
    /// [`DecryptError`].
    pub fn open(
        keyring: &Keyring,
        key: &KmsKey,
        context: &EncryptionContext,
        place: &str,
        (data_key, sealed): (&str, &str),
    ) -> Result<Vec<u8>, DecryptError> {
        let blob = Self::blob(data_key).ok_or(DecryptError::Invalid)?;
        let data_key = decrypt(keyring, key, context, &blob)?;
        let data_key: [u8; KEY_BYTES] = data_key.try_into().map_err(|_| DecryptError::Invalid)?;
        Keyring::new(&data_key, &[]).open(place, sealed).map_err(|_| DecryptError::Invalid)
    }
}
