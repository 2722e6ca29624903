//! The one driver of the operation tests: a service on a store in memory, called through the wire as a client would.

use std::sync::Arc;

use outport_aws_secretsmanager::{MODEL, dispatch};
use outport_aws_wire::{Exchange, Protocol, Request};
use outport_identity::testing::WatchedPermissions;
use outport_identity::{Call, Principal};
use outport_keyring::Keyring;
use outport_kms_keys::{FreshMaterial, MATERIAL_RANDOM_BYTES, default_policy};
use outport_model::kms::{KmsAlias, KmsKey, KmsKeySpec};
use outport_model::{AccountId, Region, Scope, Tags};
use outport_store::{ManualClock, SeededIds, Store, Transaction};
use serde_json::{Value, json};

use crate::SecretsManagerService;

/// 2026-01-01T00:00:00Z.
pub const START_MS: i64 = 1_767_225_600_000;
/// The value of `db` in a [`World::full`].
pub const CLEAR: &str = "correct horse battery staple";
/// The id of the first version of `db`.
pub const FIRST: &str = "11111111-1111-4111-8111-111111111111";
/// Allows the account's users to read.
pub const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::999999999999:user/ann"},"Action":"secretsmanager:GetSecretValue","Resource":"*"}]}"#;

pub struct World {
    pub store: Store,
    pub clock: Arc<ManualClock>,
    service: SecretsManagerService,
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
            service: SecretsManagerService::new(store.clone(), keyring),
            principal: Principal::root(AccountId::new("000000000000")),
            permissions: None,
            store,
            clock,
        }
    }

    /// With the secret `db`, which has a value, a tag, a policy and a rotation, and `gone`, which is marked for deletion.
    pub async fn full() -> Self {
        let world = Self::new();
        let tags = json!([{"Key": "team", "Value": "red"}]);
        let db =
            json!({"Name": "db", "SecretString": CLEAR, "Tags": tags, "ClientRequestToken": FIRST});
        world.call("CreateSecret", db).await;
        world.call("PutResourcePolicy", json!({"SecretId": "db", "ResourcePolicy": POLICY})).await;
        let lambda = "arn:aws:lambda:us-east-1:000000000000:function:f";
        let rotation =
            json!({"SecretId": "db", "RotationLambdaARN": lambda, "RotateImmediately": false});
        world.call("RotateSecret", rotation).await;
        world.call("CreateSecret", json!({"Name": "gone", "SecretString": "s"})).await;
        world.call("DeleteSecret", json!({"SecretId": "gone"})).await;
        world
    }

    /// A key of the account with an alias; its id.
    pub fn put_key(&self, alias: &str, is_enabled: bool) -> String {
        let scope = Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"));
        let id = format!("1234abcd-12ab-34cd-56ef-{:012x}", alias.len());
        let (material, spec) =
            (FreshMaterial::new(&[7; MATERIAL_RANDOM_BYTES]), KmsKeySpec::SymmetricDefault);
        let keyring = Keyring::new(&[1; 32], &[]);
        let key = KmsKey {
            scope: scope.clone(),
            id: id.clone(),
            description: String::new(),
            spec,
            managed_for: None,
            is_enabled,
            deletion: None,
            policy: default_policy(&scope.account, "aws"),
            tags: Tags::new(),
            created_at_ms: 0,
            materials: vec![material.seal(&keyring, (&scope, &id), spec, 0, None)],
            rotation: None,
        };
        let name = alias.to_owned();
        let key_id = id.clone();
        write_now(&self.store, |tx| {
            tx.put(key);
            tx.put(KmsAlias { scope, name, key_id, created_at_ms: 0, updated_at_ms: 0 });
        });
        id
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

    /// The ARN of a secret.
    pub async fn arn(&self, name: &str) -> String {
        let described = self.call("DescribeSecret", json!({"SecretId": name})).await;
        described["ARN"].as_str().unwrap().to_owned()
    }

    /// The names that a list has.
    pub async fn names(&self, input: Value) -> Vec<String> {
        let list = self.call("ListSecrets", input).await;
        let secrets = list["SecretList"].as_array().unwrap();
        secrets.iter().map(|secret| secret["Name"].as_str().unwrap().to_owned()).collect()
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
