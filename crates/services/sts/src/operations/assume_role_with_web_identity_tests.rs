//! Tokens of an issuer that the tests sign for, and what becomes of them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use outport_identity::Credential;
use outport_model::Tags;
use outport_web_identity::{HttpFetch, Issuers};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

use super::*;
use crate::testing::{NOW_MS, World, account, nobody, text_of};

const NOW_S: i64 = NOW_MS / 1000;
const ISSUER: &str = "id.example.com/a";
const PROVIDER: &str = "arn:aws:iam::000000000000:oidc-provider/id.example.com/a";
const FEDERATED: &str =
    r#"{"Federated":"arn:aws:iam::000000000000:oidc-provider/id.example.com/a"}"#;
const OPERATION: &str = "AssumeRoleWithWebIdentity";
const APP: (&str, &str) = ("RoleArn", "arn:aws:iam::000000000000:role/app");
const NAME: (&str, &str) = ("RoleSessionName", "build");

/// An account with a provider, and the provider.
struct Federated {
    world: World,
    signer: EcdsaKeyPair,
    _keys: tempfile::TempDir,
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn claims() -> Value {
    json!({"iss": format!("https://{ISSUER}"), "aud": "app", "sub": "ada",
        "iat": NOW_S - 60, "exp": NOW_S + 60})
}

/// The claims with others instead; a null takes one away.
fn with(others: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in others.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

impl Federated {
    async fn new() -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let signer = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
        let (x, y) = signer.public_key().as_ref()[1..].split_at(32);
        let key = json!({"kty": "EC", "crv": "P-256", "kid": "1", "x": encode(x), "y": encode(y)});
        let keys = tempfile::tempdir().unwrap();
        let file = keys.path().join("keys.json");
        std::fs::write(&file, json!({ "keys": [key] }).to_string()).unwrap();
        let source = format!("https://{ISSUER}={}", file.display());
        let fetch = Arc::new(HttpFetch::default());
        let world =
            World::new(&[]).await.with_issuers(Issuers::new([source.parse().unwrap()], fetch));
        world
            .put(OidcProvider {
                account: account(),
                issuer: ISSUER.into(),
                client_ids: vec!["app".into(), "sts.amazonaws.com".into()],
                thumbprints: Vec::new(),
                created_at_ms: NOW_MS,
                tags: Tags::new(),
            })
            .await;
        Self { world, signer, _keys: keys }
    }

    /// With a role that trusts the provider, under a condition if need be.
    async fn trusting(condition: &str) -> Self {
        let federated = Self::new().await;
        federated.world.role("app", FEDERATED, condition).await;
        federated
    }

    fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "kid": "1"}).to_string();
        let signed =
            format!("{}.{}", encode(header.as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = self.signer.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", encode(signature.as_ref()))
    }

    async fn call(&self, claims: &Value, more: &[(&str, &str)]) -> String {
        let token = self.token(claims);
        let input = [&[APP, NAME, ("WebIdentityToken", token.as_str())], more].concat();
        self.world.call(&nobody(), OPERATION, &input).await
    }

    async fn refuses(&self, claims: &Value, more: &[(&str, &str)], code: &str, text: &str) {
        let token = self.token(claims);
        self.refuses_token(&token, more, code, text).await;
    }

    async fn refuses_token(&self, token: &str, more: &[(&str, &str)], code: &str, text: &str) {
        let input = [&[APP, NAME, ("WebIdentityToken", token)], more].concat();
        self.world.refuses(&nobody(), OPERATION, &input, code, text).await;
    }

    async fn is_let_in(&self, claims: &Value) -> bool {
        let token = self.token(claims);
        let input = [APP, NAME, ("WebIdentityToken", token.as_str())];
        let (status, answer) = self.world.reply(&nobody(), OPERATION, &input).await;
        assert!(status == 200 || answer.contains(DENIED), "{answer}");
        status == 200
    }
}

#[tokio::test]
async fn who_shows_a_token_becomes_the_role() {
    let federated = Federated::trusting("").await;
    let answer = federated.call(&claims(), &[]).await;
    for (name, value) in [
        ("SubjectFromWebIdentityToken", "ada"),
        ("Audience", "app"),
        ("Provider", PROVIDER),
        ("AssumedRoleId", "AROAapp:build"),
        ("Expiration", "2026-01-01T01:00:00Z"),
    ] {
        assert_eq!(text_of(&answer, name), value, "{answer}");
    }
    let credential: Credential = federated.world.credential(&answer);
    let who = federated.world.call(&credential, "GetCallerIdentity", &[]).await;
    assert_eq!(text_of(&who, "Arn"), "arn:aws:sts::000000000000:assumed-role/app/build");
    let session = credential.session.unwrap();
    assert_eq!(session.federated_provider.as_deref(), Some(PROVIDER));
    let longer = [("DurationSeconds", "7201")];
    let text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
    federated.refuses(&claims(), &longer, "ValidationError", text).await;
    let policy = [("Policy", "{")];
    federated.refuses(&claims(), &policy, "MalformedPolicyDocument", "Syntax errors").await;
}

#[tokio::test]
async fn a_token_that_says_something_else_is_refused() {
    let federated = Federated::trusting("").await;
    let code = "InvalidIdentityToken";
    for name in ["iss", "sub", "aud", "exp", "iat"] {
        let text = format!("Missing a required claim: {name}");
        federated.refuses(&with(&json!({ name: null })), &[], code, &text).await;
    }
    for (claims, code, text) in [
        (
            json!({"iss": "https://other.example.com"}),
            code,
            "No OpenIDConnect provider found in your account for https://other.example.com",
        ),
        (json!({"aud": "other"}), code, "Incorrect token audience"),
        (json!({"azp": "other"}), code, "Incorrect token audience"),
        (
            json!({"exp": NOW_S}),
            "ExpiredTokenException",
            "Token expired: current date/time 1767225600 must be before the expiration date/time 1767225600",
        ),
        (json!({"iat": NOW_S + 301}), "IDPRejectedClaim", "Token issued in the future"),
        (json!({"nbf": NOW_S + 301}), "IDPRejectedClaim", "Token not yet valid"),
    ] {
        federated.refuses(&with(&claims), &[], code, text).await;
    }
    let token = federated.token(&claims());
    let provider = [("ProviderId", "www.amazon.com")];
    federated.refuses_token(&token, &provider, "NotImplemented", "ProviderId").await;
    let text = "The ID Token provided is not a valid JWT.";
    federated.refuses_token("Atza|IQEBLjAsAhR", &[], code, text).await;
    let (signed, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", encode(&[7; 64]));
    federated.refuses_token(&forged, &[], code, "could not be validated").await;
    let unsigned =
        format!("{}.{}.", encode(br#"{"alg":"none"}"#), encode(claims().to_string().as_bytes()));
    federated.refuses_token(&unsigned, &[], code, "algorithm").await;
    let other = json!({"alg": "ES256", "kid": "2"}).to_string();
    let (_, rest) = token.split_once('.').unwrap();
    let unknown = format!("{}.{rest}", encode(other.as_bytes()));
    federated.refuses_token(&unknown, &[], code, "Couldn't retrieve verification key").await;
}

#[tokio::test]
async fn the_trust_policy_says_who() {
    let federated = Federated::new().await;
    let world = &federated.world;
    federated.refuses(&claims(), &[], "AccessDenied", DENIED).await;
    // Everyone is not everyone with a token.
    for principals in
        [r#"{"AWS":"*"}"#, r#"{"AWS":"000000000000"}"#, r#"{"Federated":"accounts.google.com"}"#]
    {
        world.role("app", principals, "").await;
        assert!(!federated.is_let_in(&claims()).await, "{principals}");
    }
    let condition = |test: &str| format!(r#","Condition":{{{test}}}"#);
    for (test, claims, is_let_in) in [
        (r#""StringEquals":{"id.example.com/a:sub":"ada"}"#, claims(), true),
        (r#""StringEquals":{"id.example.com/a:sub":"bob"}"#, claims(), false),
        (r#""StringLike":{"id.example.com/a:sub":"a*"}"#, claims(), true),
        (r#""StringEquals":{"id.example.com/a:aud":"app"}"#, claims(), true),
        (r#""StringEquals":{"id.example.com/a:aud":"sts.amazonaws.com"}"#, claims(), false),
        (
            r#""StringEquals":{"id.example.com/a:aud":"app","id.example.com/a:oaud":"x"}"#,
            with(&json!({"azp": "app", "aud": "x"})),
            true,
        ),
        (
            r#""ForAnyValue:StringLike":{"id.example.com/a:amr":"mf*"}"#,
            with(&json!({"amr": ["pwd", "mfa"]})),
            true,
        ),
        (r#""ForAnyValue:StringLike":{"id.example.com/a:amr":"mf*"}"#, claims(), false),
        (r#""StringEquals":{"sts:RoleSessionName":"build"}"#, claims(), true),
        (r#""StringEquals":{"sts:RoleSessionName":"other"}"#, claims(), false),
        (r#""StringEquals":{"aws:PrincipalAccount":"000000000000"}"#, claims(), false),
        (
            r#""StringEquals":{"aws:FederatedProvider":"arn:aws:iam::000000000000:oidc-provider/id.example.com/a"}"#,
            claims(),
            true,
        ),
    ] {
        world.role("app", FEDERATED, &condition(test)).await;
        assert_eq!(federated.is_let_in(&claims).await, is_let_in, "{test}");
    }
}

#[tokio::test]
async fn a_token_brings_tags_and_a_source_identity() {
    let federated = Federated::trusting("").await;
    let nested = json!({
        "https://aws.amazon.com/tags": {
            "principal_tags": {"team": ["blue"], "stage": ["prod"]},
            "transitive_tag_keys": ["team"],
        },
        "https://aws.amazon.com/source_identity": "ada@example.com",
    });
    let flat = json!({
        "https://aws.amazon.com/tags/principal_tags/team": ["blue"],
        "https://aws.amazon.com/tags/principal_tags/stage": "prod",
        "https://aws.amazon.com/tags/transitive_tag_keys": ["team"],
        "https://aws.amazon.com/source_identity": "ada@example.com",
    });
    for claims in [nested, flat] {
        let answer = federated.call(&with(&claims), &[]).await;
        assert_eq!(text_of(&answer, "SourceIdentity"), "ada@example.com");
        let session = federated.world.credential(&answer).session.unwrap();
        let tags: Vec<_> = session.tags.iter().map(|(key, value)| (&**key, &**value)).collect();
        assert_eq!(tags, [("stage", "prod"), ("team", "blue")]);
        assert_eq!(session.transitive_tag_keys, ["team"]);
        assert_eq!(session.source_identity.as_deref(), Some("ada@example.com"));
    }
    for (tags, code) in [
        (json!({"principal_tags": {"team": ["blue", "red"]}}), "InvalidIdentityToken"),
        (json!({"principal_tags": ["team"]}), "InvalidIdentityToken"),
        (json!({"principal_tags": {"aws:team": ["blue"]}}), "ValidationError"),
        (json!({"transitive_tag_keys": ["team"]}), "ValidationError"),
    ] {
        let claims = with(&json!({"https://aws.amazon.com/tags": tags}));
        federated.refuses(&claims, &[], code, "").await;
    }
    let long = "x".repeat(250);
    let many: serde_json::Map<_, _> =
        (0..20).map(|at| (format!("{at}"), json!([long.as_str()]))).collect();
    let claims = with(&json!({"https://aws.amazon.com/tags": {"principal_tags": many}}));
    federated.refuses(&claims, &[], "PackedPolicyTooLarge", "Packed size").await;
    // A policy that lets the token in, but not its tags.
    let condition = r#","Condition":{"Null":{"aws:RequestTag/team":"true"}}"#;
    federated.world.role("app", FEDERATED, condition).await;
    let claims = with(&json!({"https://aws.amazon.com/tags/principal_tags/team": ["blue"]}));
    assert!(!federated.is_let_in(&claims).await);
}
