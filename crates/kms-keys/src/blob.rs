//! What an encryption gives out.
//!
//! | part | bytes | |
//! |---|---|---|
//! | version | 1 | [`VERSION`] |
//! | account | 8 | of the key, a number, the highest byte first |
//! | key | 16 | its UUID |
//! | material | 32 | which material of the key |
//! | nonce | 24 | random, handed in |
//! | ciphertext | rest | XChaCha20-Poly1305; all above and the encryption context are bound in |

use std::collections::BTreeMap;

/// What has to be the same when something is decrypted. Not secret.
pub type EncryptionContext = BTreeMap<String, String>;

const VERSION: u8 = 1;
const ACCOUNT_BYTES: usize = 8;
const KEY_BYTES: usize = 16;
pub(crate) const MATERIAL_ID_BYTES: usize = 32;
pub(crate) const NONCE_BYTES: usize = 24;
const HEAD_BYTES: usize = 1 + ACCOUNT_BYTES + KEY_BYTES + MATERIAL_ID_BYTES;
/// Hyphens stand behind these digits of a UUID.
const UUID_HYPHENS: [usize; 4] = [8, 12, 16, 20];

/// A blob, read as far as nobody needs a key for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// The account of the key. Its region is the one that is called.
    pub account: String,
    pub key_id: String,
    pub material_id: String,
    pub(crate) nonce: [u8; NONCE_BYTES],
    pub(crate) ciphertext: Vec<u8>,
}

impl Blob {
    /// `None`: it is no blob of this version.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
        let (version, head) = head.split_first()?;
        let (account, head) = head.split_first_chunk::<ACCOUNT_BYTES>()?;
        let (key, material) = head.split_first_chunk::<KEY_BYTES>()?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>()?;
        (*version == VERSION).then(|| Self {
            account: format!("{:012}", u64::from_be_bytes(*account)),
            key_id: uuid_text(key),
            material_id: hex::encode(material),
            nonce: *nonce,
            ciphertext: ciphertext.to_vec(),
        })
    }

    /// `None`: the key or its material has no id that a blob can name.
    pub(crate) fn head(account: &str, key_id: &str, material_id: &str) -> Option<Vec<u8>> {
        let account: u64 = account.parse().ok()?;
        let key = hex::decode(key_id.replace('-', "")).ok()?;
        let material = hex::decode(material_id).ok()?;
        if key.len() != KEY_BYTES || material.len() != MATERIAL_ID_BYTES {
            return None;
        }
        let mut head = vec![VERSION];
        head.extend_from_slice(&account.to_be_bytes());
        head.extend_from_slice(&key);
        head.extend_from_slice(&material);
        Some(head)
    }
}

fn uuid_text(bytes: &[u8; KEY_BYTES]) -> String {
    let mut text = String::new();
    for (at, digit) in hex::encode(bytes).chars().enumerate() {
        if UUID_HYPHENS.contains(&at) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

/// What a ciphertext holds for: its head and the context. Each text has its length before it, so that no two contexts are alike.
pub(crate) fn bound(head: &[u8], context: &EncryptionContext) -> Vec<u8> {
    let mut bytes = head.to_vec();
    for text in context.iter().flat_map(|(key, value)| [key, value]) {
        bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}
