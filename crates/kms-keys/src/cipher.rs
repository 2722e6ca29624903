//! Key material, and what is done with it.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use outport_keyring::{KEY_BYTES, Keyring};
use outport_model::kms::{KmsKey, KmsKeyMaterial, KmsKeySpec, KmsKeyUsage, KmsRotationKind};
use outport_model::{Arn, Scope, TimestampMs};
use sha2::{Sha224, Sha256, Sha384, Sha512};

use crate::blob::{Blob, EncryptionContext, MATERIAL_ID_BYTES, NONCE_BYTES, bound};
use crate::signature::become_private_key;

/// The longest material: a private key on P-521.
const MATERIAL_BYTES_MAX: usize = 66;
/// Fresh random bytes that new material needs.
pub const MATERIAL_RANDOM_BYTES: usize =
    MATERIAL_ID_BYTES + MATERIAL_BYTES_MAX + outport_keyring::NONCE_BYTES;

/// Material does not open, or is not what the key needs: for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the material {material} of {key}: {why}")]
pub struct MaterialFault {
    key: Arn,
    material: String,
    why: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecryptError {
    /// Changed, cut off, of another key or material, or with another context.
    #[error("the ciphertext does not open with this key and context")]
    Invalid,
    #[error(transparent)]
    Fault(#[from] MaterialFault),
}

/// Random bytes that become material. It has no `Debug`, so that nobody prints it.
pub struct FreshMaterial {
    id: String,
    bytes: [u8; MATERIAL_BYTES_MAX],
    nonce: [u8; outport_keyring::NONCE_BYTES],
}

impl FreshMaterial {
    /// `random`: fresh, and used for nothing else.
    pub fn new(random: &[u8; MATERIAL_RANDOM_BYTES]) -> Self {
        let (id, rest) = random.split_at(MATERIAL_ID_BYTES);
        let (key, rest) = rest.split_at(MATERIAL_BYTES_MAX);
        let (mut bytes, mut nonce) = ([0; MATERIAL_BYTES_MAX], [0; outport_keyring::NONCE_BYTES]);
        bytes.copy_from_slice(key);
        nonce.copy_from_slice(rest);
        Self { id: hex::encode(id), bytes, nonce }
    }

    /// The same, as a key of this spec needs it. `None`: the bytes are no private key of its curve, as happens once in four thousand
    /// millions; others have to be asked for.
    pub fn for_spec(spec: KmsKeySpec, random: &[u8; MATERIAL_RANDOM_BYTES]) -> Option<Self> {
        let mut fresh = Self::new(random);
        let is_private = spec.usage() == KmsKeyUsage::SignVerify;
        let bytes = &mut fresh.bytes[..spec.material_bytes()];
        (!is_private || become_private_key(spec, bytes)).then_some(fresh)
    }

    /// The row's part of it.
    pub fn seal(
        &self,
        keyring: &Keyring,
        (scope, key_id): (&Scope, &str),
        spec: KmsKeySpec,
        made_at_ms: TimestampMs,
        by: Option<KmsRotationKind>,
    ) -> KmsKeyMaterial {
        let place = place(&Arn::kms_key(scope, key_id), &self.id);
        let sealed = keyring.seal(&place, &self.bytes[..spec.material_bytes()], self.nonce);
        KmsKeyMaterial { id: self.id.clone(), sealed, made_at_ms, by }
    }
}

/// What material is sealed for. An ARN holds no space.
pub fn place(key: &Arn, material_id: &str) -> String {
    format!("kms key material {key} {material_id}")
}

pub(crate) fn fault(key: &KmsKey, material: &str, why: impl Into<String>) -> MaterialFault {
    MaterialFault { key: key.arn(), material: material.to_owned(), why: why.into() }
}

pub(crate) fn open(
    keyring: &Keyring,
    key: &KmsKey,
    material: &KmsKeyMaterial,
) -> Result<Vec<u8>, MaterialFault> {
    let opened = keyring.open(&place(&key.arn(), &material.id), &material.sealed);
    let bytes = opened.map_err(|error| fault(key, &material.id, error.to_string()))?;
    if bytes.len() != key.spec.material_bytes() {
        return Err(fault(key, &material.id, "it has a wrong length"));
    }
    Ok(bytes)
}

fn cipher(
    keyring: &Keyring,
    key: &KmsKey,
    material: &KmsKeyMaterial,
) -> Result<XChaCha20Poly1305, MaterialFault> {
    let bytes = open(keyring, key, material)?;
    let bytes: [u8; KEY_BYTES] =
        bytes.try_into().map_err(|_| fault(key, &material.id, "it does not encrypt"))?;
    Ok(XChaCha20Poly1305::new(&bytes.into()))
}

/// Encrypts with the current material of a key that encrypts. `nonce` must be fresh.
///
/// # Errors
/// [`MaterialFault`].
pub fn encrypt(
    keyring: &Keyring,
    key: &KmsKey,
    context: &EncryptionContext,
    plain: &[u8],
    nonce: [u8; NONCE_BYTES],
) -> Result<Vec<u8>, MaterialFault> {
    let material = key.current_material().ok_or_else(|| fault(key, "", "there is none"))?;
    let cipher = cipher(keyring, key, material)?;
    let head = Blob::head(key.scope.account.as_str(), &key.id, &material.id);
    let mut blob = head.ok_or_else(|| fault(key, &material.id, "an id has a wrong form"))?;
    let aad = bound(&blob, context);
    let sealed = cipher.encrypt(XNonce::from_slice(&nonce), Payload { msg: plain, aad: &aad });
    let sealed = sealed.map_err(|_| fault(key, &material.id, "the plaintext is too long"))?;
    blob.extend_from_slice(&nonce);
    blob.extend_from_slice(&sealed);
    Ok(blob)
}

/// Decrypts with the material of the key that the blob names.
///
/// # Errors
/// [`DecryptError`].
pub fn decrypt(
    keyring: &Keyring,
    key: &KmsKey,
    context: &EncryptionContext,
    blob: &Blob,
) -> Result<Vec<u8>, DecryptError> {
    let Blob { account, key_id, material_id, nonce, ciphertext } = blob;
    let is_of_key = *key_id == key.id && *account == key.scope.account.as_str();
    let material = key.material(material_id).filter(|_| is_of_key).ok_or(DecryptError::Invalid)?;
    let cipher = cipher(keyring, key, material)?;
    let head = Blob::head(account, key_id, material_id).ok_or(DecryptError::Invalid)?;
    let payload = Payload { msg: ciphertext, aad: &bound(&head, context) };
    cipher.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| DecryptError::Invalid)
}

/// The message authentication code of a key that makes them.
///
/// # Errors
/// [`MaterialFault`].
pub fn mac(keyring: &Keyring, key: &KmsKey, message: &[u8]) -> Result<Vec<u8>, MaterialFault> {
    let (material, bytes) = mac_material(keyring, key)?;
    let no_mac = || fault(key, &material, "it makes no code");
    Ok(match key.spec {
        KmsKeySpec::SymmetricDefault
        | KmsKeySpec::EccNistP256
        | KmsKeySpec::EccNistP384
        | KmsKeySpec::EccNistP521
        | KmsKeySpec::EccSecgP256k1 => return Err(no_mac()),
        KmsKeySpec::Hmac224 => keyed::<Hmac<Sha224>>(&bytes, message)
            .ok_or_else(no_mac)?
            .finalize()
            .into_bytes()
            .to_vec(),
        KmsKeySpec::Hmac256 => keyed::<Hmac<Sha256>>(&bytes, message)
            .ok_or_else(no_mac)?
            .finalize()
            .into_bytes()
            .to_vec(),
        KmsKeySpec::Hmac384 => keyed::<Hmac<Sha384>>(&bytes, message)
            .ok_or_else(no_mac)?
            .finalize()
            .into_bytes()
            .to_vec(),
        KmsKeySpec::Hmac512 => keyed::<Hmac<Sha512>>(&bytes, message)
            .ok_or_else(no_mac)?
            .finalize()
            .into_bytes()
            .to_vec(),
    })
}

/// Whether a code is that of a message; compared in constant time.
///
/// # Errors
/// [`MaterialFault`].
pub fn is_mac(
    keyring: &Keyring,
    key: &KmsKey,
    message: &[u8],
    code: &[u8],
) -> Result<bool, MaterialFault> {
    let (material, bytes) = mac_material(keyring, key)?;
    let no_mac = || fault(key, &material, "it makes no code");
    let verified = match key.spec {
        KmsKeySpec::SymmetricDefault
        | KmsKeySpec::EccNistP256
        | KmsKeySpec::EccNistP384
        | KmsKeySpec::EccNistP521
        | KmsKeySpec::EccSecgP256k1 => return Err(no_mac()),
        KmsKeySpec::Hmac224 => {
            keyed::<Hmac<Sha224>>(&bytes, message).ok_or_else(no_mac)?.verify_slice(code)
        }
        KmsKeySpec::Hmac256 => {
            keyed::<Hmac<Sha256>>(&bytes, message).ok_or_else(no_mac)?.verify_slice(code)
        }
        KmsKeySpec::Hmac384 => {
            keyed::<Hmac<Sha384>>(&bytes, message).ok_or_else(no_mac)?.verify_slice(code)
        }
        KmsKeySpec::Hmac512 => {
            keyed::<Hmac<Sha512>>(&bytes, message).ok_or_else(no_mac)?.verify_slice(code)
        }
    };
    Ok(verified.is_ok())
}

fn mac_material(keyring: &Keyring, key: &KmsKey) -> Result<(String, Vec<u8>), MaterialFault> {
    let material = key.current_material().ok_or_else(|| fault(key, "", "there is none"))?;
    Ok((material.id.clone(), open(keyring, key, material)?))
}

fn keyed<M: Mac + hmac::digest::KeyInit>(key: &[u8], message: &[u8]) -> Option<M> {
    let mut mac = <M as Mac>::new_from_slice(key).ok()?;
    mac.update(message);
    Some(mac)
}

#[cfg(test)]
mod tests {
    use outport_model::{AccountId, Region, Tags};

    use super::*;

    const NONCE: [u8; NONCE_BYTES] = [3; NONCE_BYTES];
    /// What the first version encrypted: `secret` with the context {"a": "1"}. A promise.
    const GOLDEN: &str = "01000000000000000c1234abcd12ab34cd56ef1234567890ab\
        0707070707070707070707070707070707070707070707070707070707070707\
        030303030303030303030303030303030303030303030303f7632869105532aaceee5b291230b10e1397a1778700";

    fn keyring() -> Keyring {
        Keyring::new(&[1; 32], &[])
    }

    fn key(spec: KmsKeySpec) -> KmsKey {
        let scope = Scope::new(AccountId::new("000000000012"), Region::new("us-east-1"));
        let id = "1234abcd-12ab-34cd-56ef-1234567890ab";
        let fresh = FreshMaterial::new(&[7; MATERIAL_RANDOM_BYTES]);
        let material = fresh.seal(&keyring(), (&scope, id), spec, 0, None);
        KmsKey {
            scope,
            id: id.to_owned(),
            description: String::new(),
            spec,
            managed_for: None,
            is_enabled: true,
            deletion: None,
            policy: String::new(),
            tags: Tags::new(),
            created_at_ms: 0,
            materials: vec![material],
            rotation: None,
        }
    }

    fn context(value: &str) -> EncryptionContext {
        EncryptionContext::from([("a".to_owned(), value.to_owned())])
    }

    #[test]
    fn a_blob_opens_with_its_key_and_context_only() {
        let (keyring, key) = (keyring(), key(KmsKeySpec::SymmetricDefault));
        let bytes = encrypt(&keyring, &key, &context("1"), b"secret", NONCE).unwrap();
        assert_eq!(hex::encode(&bytes), GOLDEN);
        let blob = Blob::read(&bytes).unwrap();
        assert_eq!((blob.account.as_str(), &blob.key_id), ("000000000012", &key.id));
        assert_eq!(decrypt(&keyring, &key, &context("1"), &blob).as_deref(), Ok(&b"secret"[..]));
        let refused = |context: &EncryptionContext, key: &KmsKey, blob: &Blob| {
            assert_eq!(decrypt(&keyring, key, context, blob), Err(DecryptError::Invalid));
        };
        refused(&context("2"), &key, &blob);
        refused(&EncryptionContext::new(), &key, &blob);
        // Nothing of one text slips into the next.
        refused(&EncryptionContext::from([("a1".into(), String::new())]), &key, &blob);
        let other = KmsKey { id: "0".repeat(36), ..key.clone() };
        refused(&context("1"), &other, &blob);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let opened = Blob::read(&changed)
                .ok_or(DecryptError::Invalid)
                .and_then(|blob| decrypt(&keyring, &key, &context("1"), &blob));
            assert_eq!(opened, Err(DecryptError::Invalid), "byte {at}");
            if let Some(blob) = Blob::read(&bytes[..at]) {
                refused(&context("1"), &key, &blob);
            }
        }
    }

    #[test]
    fn what_was_encrypted_before_a_rotation_opens_after_it() {
        let (keyring, mut key) = (keyring(), key(KmsKeySpec::SymmetricDefault));
        let before = encrypt(&keyring, &key, &context("1"), b"old", NONCE).unwrap();
        let fresh = FreshMaterial::new(&[8; MATERIAL_RANDOM_BYTES]);
        let kind = Some(KmsRotationKind::OnDemand);
        key.materials.push(fresh.seal(&keyring, (&key.scope, &key.id), key.spec, 1, kind));
        let after = encrypt(&keyring, &key, &context("1"), b"new", NONCE).unwrap();
        for (bytes, plain) in [(&before, b"old"), (&after, b"new")] {
            let blob = Blob::read(bytes).unwrap();
            assert_eq!(decrypt(&keyring, &key, &context("1"), &blob).as_deref(), Ok(&plain[..]));
        }
        assert_ne!(before[25..57], after[25..57], "each names its material");
    }

    /// Material that stands in another row is worthless there.
    #[test]
    fn material_is_bound_to_its_key() {
        let key = key(KmsKeySpec::SymmetricDefault);
        let other = KmsKey { id: "2234abcd-12ab-34cd-56ef-1234567890ab".into(), ..key.clone() };
        assert!(encrypt(&keyring(), &other, &context("1"), b"x", NONCE).is_err());
        let mut random = [9; MATERIAL_RANDOM_BYTES];
        random[..MATERIAL_ID_BYTES].fill(7);
        random[MATERIAL_ID_BYTES + MATERIAL_BYTES_MAX..].fill(5);
        let place = (&key.scope, key.id.as_str());
        let row = FreshMaterial::new(&random).seal(&keyring(), place, key.spec, 0, None);
        assert!(row.id.starts_with("0707") && !row.sealed.contains("CQkJ"), "{row:?}");
    }

    #[test]
    fn codes_are_those_of_their_digest() {
        for (spec, bytes) in [
            (KmsKeySpec::Hmac224, 28),
            (KmsKeySpec::Hmac256, 32),
            (KmsKeySpec::Hmac384, 48),
            (KmsKeySpec::Hmac512, 64),
        ] {
            let key = key(spec);
            let code = mac(&keyring(), &key, b"message").unwrap();
            assert_eq!(code.len(), bytes);
            assert_eq!(is_mac(&keyring(), &key, b"message", &code), Ok(true));
            assert_eq!(is_mac(&keyring(), &key, b"other", &code), Ok(false));
            assert_eq!(is_mac(&keyring(), &key, b"message", &code[..bytes - 1]), Ok(false));
        }
        assert!(mac(&keyring(), &key(KmsKeySpec::SymmetricDefault), b"message").is_err());
    }
}
