//! Who asks and under which circumstances, for all tests.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::LazyLock;

use outport_model::AccountId;
use outport_policy::{Context, FederatedBy, Policy, PolicyKind, Principal, Value};
use serde_json::{Value as Json, json};

pub const OWN: &str = "111111111111";
static OWN_ACCOUNT: LazyLock<AccountId> = LazyLock::new(|| AccountId::new(OWN));
static OTHER_ACCOUNT: LazyLock<AccountId> = LazyLock::new(|| AccountId::new("222222222222"));

pub const USER: &str = "arn:aws:iam::111111111111:user/ada";
const USER_ID: &str = "AIDAADA0000000000ADA0";

/// A principal by the name that the cases give it.
pub fn principal(name: &str) -> Principal<'static> {
    let account = &*OWN_ACCOUNT;
    let arn = "arn:aws:sts::111111111111:federated-user/guest";
    match name {
        "root" => Principal::Root { account, arn: "arn:aws:iam::111111111111:root" },
        "user" => Principal::User { account, arn: USER, id: USER_ID },
        "stranger" => Principal::User {
            account: &OTHER_ACCOUNT,
            arn: "arn:aws:iam::222222222222:user/eve",
            id: "AIDAEVE0000000000EVE0",
        },
        "session" => Principal::RoleSession {
            account,
            role_arn: "arn:aws:iam::111111111111:role/path/worker",
            session_arn: "arn:aws:sts::111111111111:assumed-role/worker/one",
            id: "AROAWORKER0000000WRK0:one",
        },
        "federated" => {
            let federated_by = FederatedBy::User { arn: USER, id: USER_ID };
            Principal::FederatedUser { account, arn, federated_by }
        }
        "federated-root" => {
            Principal::FederatedUser { account, arn, federated_by: FederatedBy::Root }
        }
        "service" => Principal::Service { name: "ecs-tasks.amazonaws.com" },
        "token" => Principal::Identified {
            provider: "arn:aws:iam::111111111111:oidc-provider/id.example.com",
        },
        other => panic!("no principal is called {other}"),
    }
}

/// An account by its id.
pub fn account(id: &str) -> &'static AccountId {
    if id == OWN { &OWN_ACCOUNT } else { &OTHER_ACCOUNT }
}

/// Condition keys and their values.
#[derive(Debug, Default)]
pub struct Circumstances(BTreeMap<String, OwnedValue>);

#[derive(Debug)]
enum OwnedValue {
    Text(String),
    Texts(Vec<String>),
    Number(i64),
    Boolean(bool),
    Date(i64),
    Address(IpAddr),
    Bytes(Vec<u8>),
}

impl Circumstances {
    /// Of an object: texts, lists of texts, numbers, truths, or an object with `date` (in milliseconds), `address` or
    /// `bytes`.
    pub fn of(json: &Json) -> Self {
        let members = json.as_object().into_iter().flatten();
        Self(members.map(|(key, value)| (key.to_ascii_lowercase(), owned(value))).collect())
    }
}

impl Context for Circumstances {
    fn get(&self, key: &str) -> Option<Value<'_>> {
        Some(match self.0.get(key)? {
            OwnedValue::Text(text) => Value::Text(text),
            OwnedValue::Texts(texts) => Value::Texts(texts),
            OwnedValue::Number(number) => Value::Number(*number),
            OwnedValue::Boolean(truth) => Value::Boolean(*truth),
            OwnedValue::Date(milliseconds) => Value::Date(*milliseconds),
            OwnedValue::Address(address) => Value::Address(*address),
            OwnedValue::Bytes(bytes) => Value::Bytes(bytes),
        })
    }
}

fn owned(json: &Json) -> OwnedValue {
    match json {
        Json::String(text) => OwnedValue::Text(text.clone()),
        Json::Array(texts) => OwnedValue::Texts(texts.iter().map(text).collect()),
        Json::Number(number) => OwnedValue::Number(number.as_i64().unwrap()),
        Json::Bool(truth) => OwnedValue::Boolean(*truth),
        Json::Object(members) => {
            match members.iter().next().map(|(kind, it)| (kind.as_str(), it)) {
                Some(("date", milliseconds)) => OwnedValue::Date(milliseconds.as_i64().unwrap()),
                Some(("address", address)) => OwnedValue::Address(text(address).parse().unwrap()),
                Some(("bytes", bytes)) => OwnedValue::Bytes(text(bytes).into_bytes()),
                other => panic!("no value is {other:?}"),
            }
        }
        Json::Null => panic!("no value is null"),
    }
}

fn text(json: &Json) -> String {
    json.as_str().unwrap().to_owned()
}

/// A document of the current version with these statements.
pub fn document(statements: impl Into<Json>) -> Json {
    json!({ "Version": "2012-10-17", "Statement": statements.into() })
}

/// A policy that has to be one.
#[track_caller]
pub fn compile(document: &Json, kind: PolicyKind) -> Policy {
    let text = document.to_string();
    Policy::compile(&text, kind).unwrap_or_else(|malformed| {
        panic!("{malformed}: {}", text.chars().take(500).collect::<String>())
    })
}
