//! Tells the control plane what the task reports shows: at once after a change, and regularly as heartbeat.
//!
//! **Invariant:** one report is under way at a time, and it carries all that was not delivered: the whole task reports
//! when the last one failed, when it is asked for them and at least every [`REPORT_INTERVAL_MS`], else what changed. So a
//! lost one costs nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use outport_node_protocol::{REPORT_INTERVAL_MS, Registration, Report, Reported};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::agent::following::register_again;
use crate::agent::tasks::Tasks;
use crate::control_plane::{ControlPlane, now_ms};
use crate::link_error::LinkError;
use crate::machine::Machine;

/// Between two whole reports that the control plane asks for, changed or not.
const WHOLE_AGAIN: Duration = Duration::from_secs(1);
/// First wait after a failed report; doubles up to the report interval.
const RETRY_FIRST: Duration = Duration::from_millis(100);

/// What every report carries beside the task reports.
pub struct Reporter {
    pub control_plane: Arc<ControlPlane>,
    pub tasks: Arc<Tasks<Machine>>,
    pub accepts_tasks: Arc<AtomicBool>,
    /// Becomes true with the first report that is delivered.
    pub reported: watch::Sender<bool>,
    pub has_room: Arc<AtomicBool>,
    /// As the node joined.
    pub registration: Registration,
}

impl Reporter {
    /// Runs until it is dropped.
    pub async fn run(self) {
        // Above every report of an earlier process of this node.
        let mut sequence = u64::try_from(now_ms()).unwrap_or(0) * 1000;
        let mut retry = RETRY_FIRST;
        let heartbeat = Duration::from_millis(REPORT_INTERVAL_MS);
        let mut whole_at: Option<Instant> = None;
        loop {
            sequence += 1;
            let accepts_tasks =
                self.accepts_tasks.load(Ordering::Acquire) && self.has_room.load(Ordering::Acquire);
            let node = self.control_plane.node().clone();
            let is_whole_due = whole_at.is_none_or(|at| at.elapsed() >= heartbeat);
            let changes_only = !is_whole_due && self.control_plane.takes_report_changes();
            let (report, change) = self.tasks.report(node, sequence, accepts_tasks, changes_only);
            match deliver(&self.control_plane, &self.registration, &report).await {
                Ok(answer) => {
                    self.tasks.task_reports().delivered(change);
                    if !changes_only {
                        whole_at = Some(Instant::now());
                    }
                    let mut patience = heartbeat;
                    if answer.wants_whole {
                        (whole_at, patience) = (None, WHOLE_AGAIN);
                    }
                    self.reported.send_replace(true);
                    retry = RETRY_FIRST;
                    // Either way it is time for the next report.
                    let _changed_or_due =
                        tokio::time::timeout(patience, self.tasks.task_reports().changed()).await;
                }
                Err(error) => {
                    tracing::warn!(
                        event = "report_not_delivered",
                        %error,
                        "report not delivered to the control plane; trying again"
                    );
                    // Whoever answers next may know less.
                    whole_at = None;
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(Duration::from_millis(REPORT_INTERVAL_MS));
                }
            }
        }
    }
}

/// Registers again where that may help the next report: the poll for the assignment, which does so too, may not fail.
pub(crate) async fn deliver(
    control_plane: &ControlPlane,
    registration: &Registration,
    report: &Report,
) -> Result<Reported, LinkError> {
    let answer = control_plane.report(report).await;
    if answer.as_ref().is_err_and(LinkError::wants_registering) {
        register_again(control_plane, registration).await;
    }
    answer
}
