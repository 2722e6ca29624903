//! The one driver of the operation tests: a service on a store in memory, called through the wire as a client would.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outport_aws_kms::{MODEL, dispatch};
use outport_aws_wire::{Exchange, Protocol, Request};
use outport_identity::testing::WatchedPermissions;
use outport_identity::{Call, Principal};
use outport_keyring::Keyring;
use outport_model::AccountId;
use outport_store::{ManualClock, SeededIds, Store, Transaction};
use serde_json::{Value, json};

use crate::KmsService;

/// 2026-01-01T00:00:00Z.
pub const START_MS: i64 = 1_767_225_600_000;
/// As a key has it that is made without one.
pub const POLICY: &str = r#"{"Version":"2012-10-17","Id":"key-default-1","Statement":[{"Sid":"Enable IAM User Permissions","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"kms:*","Resource":"*"}]}"#;

pub struct World {
    pub store: Store,
    pub clock: Arc<ManualClock>,
    pub service: KmsService,
    /// What `{…}` in an input stands for.
    pub names: BTreeMap<String, String>,
    principal: Principal,
    permissions: Option<Arc<WatchedPermissions>>,
}

impl World {
    /// An account that has nothing, called by its root.
    pub fn new() -> Self {
        let clock = Arc::new(ManualClock::at(START_MS));
        let store = Store::in_memory(clock.clone(), Arc::new(SeededIds::new(1)));
        let keyring = Arc::new(Keyring::new(&[1; 32], &[]));
        Self {
            service: KmsService::new(store.clone(), keyring),
            principal: Principal::root(AccountId::new("000000000000")),
            permissions: None,
            names: BTreeMap::new(),
            store,
            clock,
        }
    }

    /// With the keys `shop`, which has a tag and a grant, `other`, `codes`, which makes codes, `signer`, which signs, and `gone`, which is
    /// pending deletion; each has an alias of its name.
    pub async fn full() -> Self {
        let mut world = Self::new();
        let tags = json!([{"TagKey": "team", "TagValue": "red"}]);
        let codes = json!({"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"});
        for (name, input) in [
            ("shop", json!({"Tags": tags})),
            ("other", json!({})),
            ("codes", codes),
            ("signer", json!({"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"})),
            ("gone", json!({})),
        ] {
            let made = world.call("CreateKey", input).await;
            let id = made["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
            let alias = json!({"AliasName": format!("alias/{name}"), "TargetKeyId": id});
            world.call("CreateAlias", alias).await;
            world.names.insert(name.to_owned(), id);
        }
        let gone = json!({"KeyId": world.names["gone"]});
        world.call("ScheduleKeyDeletion", gone).await;
        let grant = json!({
            "KeyId": world.names["shop"], "GranteePrincipal": "arn:aws:iam::000000000000:root",
            "RetiringPrincipal": "arn:aws:iam::000000000000:root", "Operations": ["Decrypt", "RetireGrant"],
        });
        let made = world.call("CreateGrant", grant).await;
        let code =
            json!({"KeyId": "alias/codes", "Message": "c2VjcmV0", "MacAlgorithm": "HMAC_SHA_256"});
        let code = world.call("GenerateMac", code).await;
        let signed = json!({"KeyId": "alias/signer", "Message": "c2VjcmV0", "SigningAlgorithm": "ECDSA_SHA_256"});
        let signed = world.call("Sign", signed).await;
        let sealed = world.encrypt("alias/shop", "secret").await;
        for (name, value) in [
            ("grant", &made["GrantId"]),
            ("token", &made["GrantToken"]),
            ("mac", &code["Mac"]),
            ("signature", &signed["Signature"]),
            ("sealed", &json!(sealed)),
        ] {
            world.names.insert(name.to_owned(), value.as_str().unwrap().to_owned());
        }
        world
    }

    /// An input with `{…}` filled in.
    pub fn filled(&self, input: &Value) -> Value {
        let mut text = input.to_string();
        for (name, value) in &self.names {
            text = text.replace(&format!("{{{name}}}"), value);
        }
        serde_json::from_str(&text).unwrap()
    }

    /// From now on this answers every question of permission.
    pub fn ask(&mut self, permissions: Arc<WatchedPermissions>) {
        self.permissions = Some(permissions);
    }

    /// From now on the calls come from this principal.
    pub fn become_caller(&mut self, principal: Principal) {
        self.principal = principal;
    }

    pub async fn reply(&self, operation: &str, input: &Value) -> (u16, Value) {
        let body = input.to_string().into_bytes();
        let request = Request {
            service: &MODEL,
            protocol: Protocol::Json11,
            operation,
            body: &body,
            request_id: "request",
        };
        let call = Call::for_tests().at(self.store.now_ms()).by(self.principal.clone());
        let mut call = match &self.permissions {
            Some(permissions) => call.asking(permissions.clone()),
            None => call,
        };
        call.account = self.principal.account().clone();
        let reply = match Exchange::new(request) {
            Ok(mut exchange) => {
                match dispatch(&self.service, &call, operation, &mut exchange).await {
                    Ok(()) => exchange.into_reply(),
                    Err(error) => request.failure(&error),
                }
            }
            Err(error) => request.failure(&error),
        };
        let answer = match reply.body.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&reply.body).unwrap(),
        };
        (reply.status, answer)
    }

    /// The answer to a call that must succeed.
    pub async fn call(&self, operation: &str, input: Value) -> Value {
        let (status, answer) = self.reply(operation, &input).await;
        assert_eq!(status, 200, "{operation} {input}: {answer}");
        answer
    }

    /// The call succeeds, and its answer has these members.
    pub async fn check(&self, operation: &str, input: Value, expected: Value) {
        let answer = self.call(operation, input.clone()).await;
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&answer[name], value, "{name} of {operation} {input}: {answer}");
        }
    }

    /// The call is refused with this exception and text.
    pub async fn refuses(&self, operation: &str, input: Value, exception: &str, message: &str) {
        let (status, answer) = self.reply(operation, &input).await;
        assert!(status >= 400, "{operation} {input} was answered: {answer}");
        assert_eq!((code(&answer), text(&answer)), (exception, message), "{operation} {input}");
    }

    /// The id and the ARN of a key of a [`World::full`].
    pub async fn key(&self, name: &str) -> (String, String) {
        let described = self.call("DescribeKey", json!({"KeyId": self.names[name]})).await;
        let shown = |member: &str| described["KeyMetadata"][member].as_str().unwrap().to_owned();
        (shown("KeyId"), shown("Arn"))
    }

    /// A text, encrypted without a context.
    pub async fn encrypt(&self, key: &str, plain: &str) -> String {
        let input = json!({"KeyId": key, "Plaintext": STANDARD.encode(plain)});
        let answer = self.call("Encrypt", input).await;
        answer["CiphertextBlob"].as_str().unwrap().to_owned()
    }

    /// The text of a member that is a blob.
    pub fn text_of(member: &Value) -> String {
        String::from_utf8(STANDARD.decode(member.as_str().unwrap()).unwrap()).unwrap()
    }
}

pub fn code(answer: &Value) -> &str {
    answer["__type"].as_str().unwrap_or_default()
}

pub fn text(answer: &Value) -> &str {
    answer["Message"].as_str().or(answer["message"].as_str()).unwrap_or_default()
}

/// A write that is done on return: in memory it is done at the first poll.
pub fn write_now(store: &Store, change: impl FnOnce(&mut Transaction<'_>)) {
    let write = store.write(|tx| {
        change(tx);
        Ok::<(), std::convert::Infallible>(())
    });
    let mut write = std::pin::pin!(write);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match write.as_mut().poll(&mut context) {
        std::task::Poll::Ready(result) => result.unwrap(),
        std::task::Poll::Pending => panic!("a store in memory writes at once"),
    }
}
