//! The public keys of an issuer, as it publishes them, and signatures by them.
//!
//! Source: RFC 7517, 7518; IAM user guide, "Create an OpenID Connect (OIDC) identity provider in IAM", for the algorithms: those
//! of AWS but ES512, whose curve *ring* does not have.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::Value;

use crate::token::WebToken;

/// Keys of one issuer that are looked at.
const KEYS_MAX: usize = 100;

/// The keys of an issuer that signatures can be verified with here.
#[derive(Clone, Debug, Default)]
pub struct KeySet(Vec<Key>);

/// Why a token is not the issuer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSigned {
    #[error("no algorithm that is known here")]
    UnknownAlgorithm,
    #[error("no such key")]
    NoKey,
    #[error("the signature is wrong")]
    Wrong,
}

#[derive(Clone, Debug)]
struct Key {
    id: Option<String>,
    /// `None`: any of its kind.
    algorithm: Option<String>,
    material: Material,
}

#[derive(Clone, Debug)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
}

#[derive(Deserialize)]
struct Published {
    keys: Vec<Value>,
}

/// One key as it is published. What is for something else is left alone.
#[derive(Deserialize)]
struct PublishedKey {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    used_for: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a JWKS document; keys of kinds that are not known are passed over. `None`: it is none.
    pub fn parse(document: &[u8]) -> Option<Self> {
        let published: Published = serde_json::from_slice(document).ok()?;
        let keys = published.keys.into_iter().filter_map(Key::read).take(KEYS_MAX);
        Some(Self(keys.collect()))
    }

    /// Whether the token is signed by one of the keys: the one that it names, or any if it names none.
    ///
    /// # Errors
    /// [`NotSigned`].
    pub fn verify(&self, token: &WebToken) -> Result<(), NotSigned> {
        let verification = Verification::of(&token.algorithm).ok_or(NotSigned::UnknownAlgorithm)?;
        let is_meant = |key: &&Key| {
            (token.key_id.is_none() || key.id == token.key_id)
                && key.algorithm.as_ref().is_none_or(|algorithm| *algorithm == token.algorithm)
                && verification.takes(&key.material)
        };
        let mut meant = self.0.iter().filter(is_meant).peekable();
        if meant.peek().is_none() {
            return Err(NotSigned::NoKey);
        }
        let is_signed = meant.any(|key| verification.is_good(&key.material, token));
        if is_signed { Ok(()) } else { Err(NotSigned::Wrong) }
    }
}

impl Key {
    fn read(published: Value) -> Option<Self> {
        let key: PublishedKey = serde_json::from_value(published).ok()?;
        if key.used_for.as_deref().is_some_and(|used_for| used_for != "sig") {
            return None;
        }
        let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let material = match (key.kty.as_str(), key.crv.as_deref()) {
            ("RSA", _) => Material::Rsa { n: bytes(&key.n)?, e: bytes(&key.e)? },
            ("EC", Some("P-256")) => Material::P256(point(&bytes(&key.x)?, &bytes(&key.y)?, 32)?),
            ("EC", Some("P-384")) => Material::P384(point(&bytes(&key.x)?, &bytes(&key.y)?, 48)?),
            _ => return None,
        };
        Some(Self { id: key.kid, algorithm: key.alg, material })
    }
}

/// A point of a curve, uncompressed. Source: SEC 1, section 2.3.3.
fn point(x: &[u8], y: &[u8], bytes: usize) -> Option<Vec<u8>> {
    (x.len() == bytes && y.len() == bytes).then(|| [&[4], x, y].concat())
}

enum Verification {
    Rsa(&'static signature::RsaParameters),
    P256,
    P384,
}

impl Verification {
    /// RSA keys have 2,048 bits at least.
    fn of(algorithm: &str) -> Option<Self> {
        Some(match algorithm {
            "RS256" => Self::Rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            "RS384" => Self::Rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
            "RS512" => Self::Rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
            "ES256" => Self::P256,
            "ES384" => Self::P384,
            _ => return None,
        })
    }

    fn takes(&self, material: &Material) -> bool {
        matches!(
            (self, material),
            (Self::Rsa(_), Material::Rsa { .. })
                | (Self::P256, Material::P256(_))
                | (Self::P384, Material::P384(_))
        )
    }

    fn is_good(&self, material: &Material, token: &WebToken) -> bool {
        let (message, signature) = (token.signed.as_bytes(), token.signature.as_slice());
        let of_curve = |algorithm, point: &[u8]| {
            UnparsedPublicKey::new(algorithm, point).verify(message, signature).is_ok()
        };
        match (self, material) {
            (Self::Rsa(parameters), Material::Rsa { n, e }) => {
                let key = RsaPublicKeyComponents { n, e };
                key.verify(parameters, message, signature).is_ok()
            }
            (Self::P256, Material::P256(point)) => {
                of_curve(&signature::ECDSA_P256_SHA256_FIXED, point)
            }
            (Self::P384, Material::P384(point)) => {
                of_curve(&signature::ECDSA_P384_SHA384_FIXED, point)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, KeyPair,
    };
    use serde_json::json;

    use super::*;

    /// A signer of one curve, and its key as it is published.
    fn signer(algorithm: &'static EcdsaSigningAlgorithm, crv: &str) -> (EcdsaKeyPair, Value) {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
        let point = &pair.public_key().as_ref()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let key = json!({"kty": "EC", "crv": crv, "kid": crv, "x": encode(x), "y": encode(y)});
        (pair, key)
    }

    fn token(pair: &EcdsaKeyPair, header: &Value) -> String {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let signed = format!("{}.{}", encode(header.to_string().as_bytes()), encode(b"{}"));
        let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", encode(signature.as_ref()))
    }

    #[track_caller]
    fn check(keys: &[Value], token: &str, expected: Result<(), NotSigned>) {
        let keys = KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
        assert_eq!(keys.verify(&WebToken::parse(token).unwrap()), expected, "{token}");
    }

    #[test]
    fn a_signature_is_by_the_key_that_is_named() {
        let (small, small_key) = signer(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256");
        let (large, large_key) = signer(&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384");
        let keys = [small_key, large_key];
        let header = |alg: &str, kid: &str| json!({"alg": alg, "kid": kid});
        check(&keys, &token(&small, &header("ES256", "P-256")), Ok(()));
        check(&keys, &token(&large, &header("ES384", "P-384")), Ok(()));
        check(&keys, &token(&small, &json!({"alg": "ES256"})), Ok(()));
        let no_key = Err(NotSigned::NoKey);
        check(&keys, &token(&small, &header("ES256", "other")), no_key);
        // A key of another kind is not used for it.
        check(&keys, &token(&small, &header("ES256", "P-384")), no_key);
        check(&keys, &token(&small, &header("RS256", "P-256")), no_key);
        let (stranger, _) = signer(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256");
        check(&keys, &token(&stranger, &header("ES256", "P-256")), Err(NotSigned::Wrong));
        for algorithm in ["none", "HS256", "ES512", "PS256", ""] {
            let expected = Err(NotSigned::UnknownAlgorithm);
            check(&keys, &token(&small, &header(algorithm, "P-256")), expected);
        }
    }

    #[test]
    fn a_key_for_something_else_is_not_used() {
        let (small, key) = signer(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256");
        let signed = token(&small, &json!({"alg": "ES256", "kid": "P-256"}));
        let with = |name: &str, value: &str| {
            let mut key = key.clone();
            key[name] = value.into();
            key
        };
        check(&[with("use", "sig"), with("kid", "2")], &signed, Ok(()));
        check(&[with("alg", "ES256")], &signed, Ok(()));
        check(&[with("use", "enc")], &signed, Err(NotSigned::NoKey));
        check(&[with("alg", "ES384")], &signed, Err(NotSigned::NoKey));
        check(&[with("kty", "oct"), json!(7)], &signed, Err(NotSigned::NoKey));
        assert!(KeySet::parse(b"{}").is_none());
    }

    #[test]
    fn every_changed_bit_of_a_token_is_noticed() {
        let (small, key) = signer(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256");
        let keys = KeySet::parse(json!({ "keys": [key] }).to_string().as_bytes()).unwrap();
        let mut token = WebToken::parse(&token(&small, &json!({"alg": "ES256"}))).unwrap();
        for bit in 0..token.signature.len() * 8 {
            token.signature[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(keys.verify(&token), Err(NotSigned::Wrong), "bit {bit}");
            token.signature[bit / 8] ^= 1 << (bit % 8);
        }
        token.signed.push('A');
        assert_eq!(keys.verify(&token), Err(NotSigned::Wrong));
    }
}
