//! A service over a real store in a directory of its own, called through the wire.

use std::sync::Arc;

use outport_aws_logs::{MODEL, dispatch};
use outport_aws_wire::{Exchange, Protocol, Request};
use outport_identity::{AccountRoots, Call, PermissionSource, Principal};
use outport_log_store::{Clock, LogGroupName, LogStore, LogStoreOptions};
use outport_model::{AccountId, Region, Scope, Tags};
use serde_json::{Value, json};

use crate::LogsService;

pub const NOW: i64 = 1_700_000_000_000;

struct StoppedClock;

impl Clock for StoppedClock {
    fn now_ms(&self) -> i64 {
        NOW
    }

    fn steady_ms(&self) -> i64 {
        0
    }
}

pub struct Rig {
    service: LogsService,
    /// Answers every question of permission.
    pub permissions: Arc<dyn PermissionSource>,
    pub principal: Principal,
    store: Arc<LogStore>,
    _directory: tempfile::TempDir,
}

impl Rig {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(StoppedClock);
        let store = LogStore::open(directory.path(), clock, LogStoreOptions::default()).unwrap();
        Self {
            service: LogsService::new(store.clone()),
            permissions: Arc::new(AccountRoots),
            principal: Principal::root(AccountId::new("000000000000")),
            store,
            _directory: directory,
        }
    }

    /// Gives the group `/ecs/app` a tag, behind the back of the service.
    pub fn tag(&self, key: &str, value: &str) {
        self.tagging(key, value)();
    }

    /// The same, later.
    pub fn tagging(&self, key: &str, value: &str) -> impl Fn() + use<> {
        let store = self.store.clone();
        let scope = Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"));
        let tags = Tags::from([(key.to_owned(), value.to_owned())]);
        let group = LogGroupName::parse("/ecs/app").unwrap();
        move || store.set_group_tags(&scope, &group, tags.clone()).unwrap()
    }

    /// With the group `/ecs/app` and in it the streams `a` and `b`.
    pub async fn with_streams() -> Self {
        let rig = Self::new();
        rig.call("CreateLogGroup", json!({"logGroupName": "/ecs/app"})).await;
        for name in ["a", "b"] {
            let stream = json!({"logGroupName": "/ecs/app", "logStreamName": name});
            rig.call("CreateLogStream", stream).await;
        }
        rig
    }

    pub async fn put(&self, stream: &str, events: &[(i64, &str)]) -> Value {
        let events: Vec<Value> = events
            .iter()
            .map(|(after, message)| json!({"timestamp": NOW + after, "message": message}))
            .collect();
        let input =
            json!({"logGroupName": "/ecs/app", "logStreamName": stream, "logEvents": events});
        self.call("PutLogEvents", input).await
    }

    pub async fn reply(&self, operation: &str, input: &Value) -> (u16, Value) {
        let call =
            Call::for_tests().at(NOW).by(self.principal.clone()).asking(self.permissions.clone());
        let body = input.to_string().into_bytes();
        let request = Request {
            service: &MODEL,
            protocol: Protocol::Json11,
            operation,
            body: &body,
            request_id: "request",
        };
        let mut exchange = Exchange::new(request).unwrap();
        let request = Request {
            service: &MODEL,
            protocol: Protocol::Json11,
            operation,
            body: &body,
            request_id: "request",
        };
        let reply = match dispatch(&self.service, &call, operation, &mut exchange).await {
            Ok(()) => exchange.into_reply(),
            Err(error) => request.failure(&error),
        };
        let answer = match reply.body.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&reply.body).unwrap(),
        };
        (reply.status, answer)
    }

    /// The answer of a call that succeeds.
    pub async fn call(&self, operation: &str, input: Value) -> Value {
        let (status, answer) = self.reply(operation, &input).await;
        assert_eq!(status, 200, "{operation} {input}: {answer}");
        answer
    }

    /// The call is refused with this exception and text.
    pub async fn refuses(&self, operation: &str, input: Value, exception: &str, message: &str) {
        let (status, answer) = self.reply(operation, &input).await;
        assert!(status >= 400, "{operation} {input} was answered: {answer}");
        let found = answer["__type"].as_str().unwrap_or_default();
        assert!(found.ends_with(exception), "{operation} {input}: {answer}");
        let text = answer["message"].as_str().or(answer["Message"].as_str()).unwrap_or_default();
        assert_eq!(text, message, "{operation} {input}");
    }
}

/// The messages of an answer with events.
pub fn messages(answer: &Value) -> Vec<&str> {
    let events = answer["events"].as_array().unwrap();
    events.iter().map(|event| event["message"].as_str().unwrap()).collect()
}
