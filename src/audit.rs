//! What the front door tells of calls, handed to the audit trail.

use anyhow::Result;
use outport_audit_trail::{AuditTrail, Event, Options};
use outport_front_door::{AuditSink, EndedCall};
use outport_model::Scope;

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
