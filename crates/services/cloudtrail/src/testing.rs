//! The driver of the operation tests: a service on a trail of a directory of its own.

use std::sync::Arc;

use outport_audit_trail::{AuditTrail, Event, Options};
use outport_aws_cloudtrail::{MODEL, dispatch};
use outport_aws_wire::{Exchange, Protocol, Request};
use outport_identity::testing::WatchedPermissions;
use outport_identity::{Answered, Call, Principal};
use outport_model::AccountId;
use serde_json::Value;
use tempfile::TempDir;

use crate::CloudTrailService;

/// 2026-01-01T00:00:00Z.
const START_MS: i64 = 1_767_225_600_000;

pub struct World {
    _directory: TempDir,
    service: CloudTrailService,
    principal: Principal,
    permissions: Option<Arc<WatchedPermissions>>,
}

impl World {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            bytes_max: 1 << 24,
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
        };
        let trail = AuditTrail::open(directory.path(), options).unwrap();
        Self {
            _directory: directory,
            service: CloudTrailService::new(trail),
            principal: Principal::root(AccountId::new("000000000000")),
            permissions: None,
        }
    }

    /// Calls of these operations by root, a second apart.
    pub fn record(&self, operations: &[&'static str]) {
        for (operation, ended_at_ms) in operations.iter().zip((START_MS..).step_by(1000)) {
            self.service.trail.record(Event {
                call: Call::for_tests(),
                service: "ecs",
                operation,
                is_read_only: operation.starts_with("List"),
                ended_at_ms,
                parameters: None,
                response: None,
                error: None,
                answers: vec![Answered {
                    action: "ecs:DescribeClusters",
                    resource: "arn:aws:ecs:us-east-1:000000000000:cluster/a".to_owned(),
                    is_allowed: true,
                }],
            });
        }
        self.service.trail.flush();
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
        let mut call = Call::for_tests().by(self.principal.clone());
        if let Some(permissions) = &self.permissions {
            call = call.asking(permissions.clone());
        }
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
        (reply.status, serde_json::from_slice(&reply.body).unwrap())
    }

    /// The answer to a lookup that must succeed.
    pub async fn call(&self, input: Value) -> Value {
        let (status, answer) = self.reply("LookupEvents", &input).await;
        assert_eq!(status, 200, "{input}: {answer}");
        answer
    }

    /// The lookup is refused with this exception.
    pub async fn refuses(&self, input: Value, exception: &str) {
        let (status, answer) = self.reply("LookupEvents", &input).await;
        assert!(status >= 400, "{input} was answered: {answer}");
        assert_eq!(code(&answer), exception, "{input}: {answer}");
    }
}

pub fn code(answer: &Value) -> &str {
    answer["__type"].as_str().unwrap_or_default()
}
