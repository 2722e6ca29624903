//! Where keys come from, and when they are looked at again.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;

use super::*;
use crate::fetch::Fetched;

const ISSUER: &str = "id.example.com/a";
const CONFIGURATION: &str = "https://id.example.com/a/.well-known/openid-configuration";
const KEYS: &str = "https://keys.example.com/keys";
const NOW_MS: i64 = 1_767_225_600_000;

/// A table of documents, and how often it was asked.
#[derive(Default)]
struct Documents {
    documents: Mutex<BTreeMap<String, String>>,
    nearness: Mutex<Option<Nearness>>,
    asked: AtomicUsize,
    reaches: Mutex<Vec<Option<Nearness>>>,
}

#[async_trait]
impl Fetch for Documents {
    async fn get(&self, url: &str, reach: Option<Nearness>) -> Result<Fetched, String> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.reaches.lock().unwrap().push(reach);
        let document = self.documents.lock().unwrap().get(url).cloned().ok_or("it answered 404")?;
        let nearness = self.nearness.lock().unwrap().unwrap_or(Nearness::Public);
        Ok(Fetched { document: document.into(), nearness })
    }
}

impl Documents {
    fn put(&self, url: &str, document: impl Into<String>) {
        self.documents.lock().unwrap().insert(url.to_owned(), document.into());
    }
}

struct Signer(EcdsaKeyPair, &'static str);

impl Signer {
    fn new(kid: &'static str) -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap(), kid)
    }

    fn keys(&self) -> String {
        let (x, y) = self.0.public_key().as_ref()[1..].split_at(32);
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": self.1, "x": encode(x), "y": encode(y)}]})
            .to_string()
    }

    fn token(&self) -> WebToken {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let header = json!({"alg": "ES256", "kid": self.1}).to_string();
        let signed = format!("{}.{}", encode(header.as_bytes()), encode(b"{}"));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        WebToken::parse(&format!("{signed}.{}", encode(signature.as_ref()))).unwrap()
    }
}

fn discovered(signer: &Signer) -> Arc<Documents> {
    let documents = Arc::new(Documents::default());
    let configuration = json!({"issuer": format!("https://{ISSUER}"), "jwks_uri": KEYS});
    documents.put(CONFIGURATION, configuration.to_string());
    documents.put(KEYS, signer.keys());
    documents
}

#[tokio::test]
async fn keys_are_discovered_and_kept_for_a_while() {
    let signer = Signer::new("1");
    let documents = discovered(&signer);
    let issuers = Issuers::new([], documents.clone());
    for (later_ms, asked) in [(0, 2), (KEPT_MS - 1, 2), (KEPT_MS, 4)] {
        issuers.verify(&signer.token(), ISSUER, NOW_MS + later_ms).await.unwrap();
        assert_eq!(documents.asked.load(Ordering::SeqCst), asked, "{later_ms}");
    }
    let reaches = &documents.reaches.lock().unwrap()[..2];
    assert_eq!(reaches, [Some(Nearness::Private), Some(Nearness::Public)]);
}

#[tokio::test]
async fn a_key_that_is_not_known_has_them_looked_at_again_but_not_too_often() {
    let (old, new) = (Signer::new("1"), Signer::new("2"));
    let documents = discovered(&old);
    let issuers = Issuers::new([], documents.clone());
    issuers.verify(&old.token(), ISSUER, NOW_MS).await.unwrap();
    documents.put(KEYS, new.keys());
    let no_key = Err(NotVerified::NotSigned(NotSigned::NoKey));
    let soon = issuers.verify(&new.token(), ISSUER, NOW_MS + LOOKS_APART_MS - 1).await;
    assert_eq!(soon, no_key);
    issuers.verify(&new.token(), ISSUER, NOW_MS + LOOKS_APART_MS).await.unwrap();
    assert_eq!(issuers.verify(&old.token(), ISSUER, NOW_MS + LOOKS_APART_MS).await, no_key);
    assert_eq!(documents.asked.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn an_issuer_that_cannot_be_asked_vouches_for_nobody() {
    let signer = Signer::new("1");
    let documents = Arc::new(Documents::default());
    let issuers = Issuers::new([], documents.clone());
    for _ in 0..2 {
        let found = issuers.verify(&signer.token(), ISSUER, NOW_MS).await.unwrap_err();
        assert_eq!(found, NotVerified::Unreachable(format!("{CONFIGURATION}: it answered 404")));
    }
    assert_eq!(documents.asked.load(Ordering::SeqCst), 1, "a failure is kept, too");
    for (configuration, reason) in [
        (
            json!({"issuer": "https://other.example.com", "jwks_uri": KEYS}),
            "it is of another issuer",
        ),
        (
            json!({"issuer": format!("https://{ISSUER}"), "jwks_uri": "http://127.0.0.1/keys"}),
            "its `jwks_uri` is not of https",
        ),
    ] {
        documents.put(CONFIGURATION, configuration.to_string());
        let issuers = Issuers::new([], documents.clone());
        let found = issuers.verify(&signer.token(), ISSUER, NOW_MS).await.unwrap_err();
        assert_eq!(found, NotVerified::NoKeys(format!("{CONFIGURATION}: {reason}")));
    }
}

#[tokio::test]
async fn the_operators_word_comes_first() {
    let signer = Signer::new("1");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keys.json");
    std::fs::write(&file, signer.keys()).unwrap();
    let documents = Arc::new(Documents::default());
    documents.put("http://127.0.0.1:9/keys", signer.keys());
    for (source, asked) in [
        (format!("https://{ISSUER}={}", file.display()), 0),
        (format!("{ISSUER}=http://127.0.0.1:9/keys"), 1),
    ] {
        let issuers = Issuers::new([source.parse().unwrap()], documents.clone());
        issuers.verify(&signer.token(), ISSUER, NOW_MS).await.unwrap();
        assert_eq!(documents.asked.load(Ordering::SeqCst), asked);
    }
    assert_eq!(*documents.reaches.lock().unwrap(), [None]);
    for text in ["", "id.example.com", "=/etc/keys.json", "id.example.com="] {
        assert!(text.parse::<KeySource>().is_err(), "{text}");
    }
}
