//! The one driver of the operation tests: a service on a store in memory, called through the wire as a client would.

use std::sync::Arc;

use outport_aws_events::{MODEL, dispatch};
use outport_aws_wire::{Exchange, Protocol, Request};
use outport_identity::testing::WatchedPermissions;
use outport_identity::{Call, Principal};
use outport_model::AccountId;
use outport_store::{ManualClock, SeededIds, Store, Transaction};
use serde_json::{Value, json};

use crate::EventsService;

/// 2026-01-01T00:00:00Z.
const START_MS: i64 = 1_767_225_600_000;
/// What the target of a [`World::full`] is.
pub const LOG_GROUP: &str = "arn:aws:logs:us-east-1:000000000000:log-group:/events";

pub struct World {
    pub store: Store,
    service: EventsService,
    principal: Principal,
    permissions: Option<Arc<WatchedPermissions>>,
}

impl World {
    /// An account that has nothing, called by its root.
    pub fn new() -> Self {
        let clock = Arc::new(ManualClock::at(START_MS));
        let store = Store::in_memory(clock, Arc::new(SeededIds::new(1)));
        Self {
            service: EventsService::new(store.clone()),
            principal: Principal::root(AccountId::new("000000000000")),
            permissions: None,
            store,
        }
    }

    /// With the rule `nightly` on the default bus, which has a tag, a pattern, a schedule and a target; and with the bus `orders`.
    pub async fn full() -> Self {
        let world = Self::new();
        let tags = json!([{"Key": "team", "Value": "red"}]);
        let rule = json!({
            "Name": "nightly", "ScheduleExpression": "cron(0 3 * * ? *)", "EventPattern": "{\"source\": [\"shop\"]}",
            "Tags": tags,
        });
        world.call("PutRule", rule).await;
        let targets = json!({"Rule": "nightly", "Targets": [{"Id": "log", "Arn": LOG_GROUP}]});
        world.call("PutTargets", targets).await;
        world.call("CreateEventBus", json!({"Name": "orders", "Tags": tags})).await;
        world
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
