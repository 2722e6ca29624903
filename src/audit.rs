//! What the doors tell of calls, and what the control plane does in others' names, handed to the audit trail.

use anyhow::Result;
use outport_audit_trail::{AuditTrail, Event, Options};
use outport_front_door::{AuditSink, EndedCall};
use outport_identity::{Answered, Call};
use outport_image_registry::EndedRequest;
use outport_model::Scope;
use outport_service_ecr::RequestSink;
use serde_json::Value;

use crate::command_line::ControlPlaneOptions;
use crate::data_dir::DataDir;

/// The trail of a data directory, which no backup has: it is about what happened here.
pub fn open(data_dir: &DataDir, options: &ControlPlaneOptions, scope: &Scope) -> Result<Trail> {
    let of_trail = Options {
        bytes_max: u64::from(options.audit_mib) << 20,
        account: scope.account.to_string(),
        region: scope.region.to_string(),
    };
    Ok(Trail(AuditTrail::open(&data_dir.path().join("audit"), of_trail)?))
}

/// The trail as the front door sees it.
#[derive(Clone)]
pub struct Trail(pub AuditTrail);

impl Trail {
    /// Writes what waits, as long as the disk takes it within a few seconds.
    pub async fn end(self) {
        // It has nothing that could panic.
        let _ended = tokio::task::spawn_blocking(move || self.0.end()).await;
    }
}

impl Trail {
    /// What the control plane does in somebody's name, which comes through no door.
    pub fn record_call(
        &self,
        call: Call,
        answers: Vec<Answered>,
        (service, operation, is_read_only): (&'static str, &'static str, bool),
        parameters: &Value,
        error: Option<(String, String)>,
    ) {
        self.0.record(Event {
            answers,
            call,
            service,
            operation,
            is_read_only,
            ended_at_ms: crate::control_plane::now_ms(),
            parameters: Some(parameters.to_string()),
            response: None,
            error,
        });
    }
}

/// What is asked at the registry's own endpoint.
impl RequestSink for Trail {
    fn record(&self, call: Call, ended: EndedRequest) {
        let EndedRequest { operation, is_read_only, parameters, error } = ended;
        self.0.record(Event {
            answers: call.take_answers(),
            call,
            service: "ecr",
            operation,
            is_read_only,
            ended_at_ms: crate::control_plane::now_ms(),
            parameters: Some(parameters),
            response: None,
            error,
        });
    }
}

impl AuditSink for Trail {
    fn record(&self, ended: EndedCall) {
        let EndedCall {
            call,
            service,
            operation,
            is_read_only,
            ended_at_ms,
            parameters,
            response,
            error,
            answers,
        } = ended;
        self.0.record(Event {
            call,
            service,
            operation,
            is_read_only,
            ended_at_ms,
            parameters,
            response,
            error,
            answers,
        });
    }
}
