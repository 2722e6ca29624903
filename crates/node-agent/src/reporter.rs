//! Tells the control plane what the board shows: at once after a change, and regularly as heartbeat.
//!
//! **Invariant:** one report is under way at a time, and each carries the whole board, so that the
//! newest one that arrives is the truth and a lost one costs nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use outport_node_protocol::{REPORT_INTERVAL_MS, Report};
use tokio::sync::watch;

use crate::board::Board;
use crate::control_plane::{ControlPlane, now_ms};

/// First wait after a failed report; doubles up to the report interval.
const RETRY_FIRST: Duration = Duration::from_millis(100);

/// What every report carries beside the board.
pub struct Reporter {
    pub control_plane: Arc<ControlPlane>,
    pub board: Arc<Board>,
    pub boot_id: String,
    pub generation: Arc<AtomicU64>,
    pub accepts_tasks: Arc<AtomicBool>,
    /// Becomes true with the first report that is delivered.
    pub reported: watch::Sender<bool>,
    pub has_room: Arc<AtomicBool>,
}

impl Reporter {
    /// Runs until it is dropped.
    pub async fn run(self) {
        // Above every report of an earlier process of this node.
        let mut sequence = u64::try_from(now_ms()).unwrap_or(0) * 1000;
        let mut retry = RETRY_FIRST;
        loop {
            sequence += 1;
            match self.control_plane.report(&self.report(sequence)).await {
                Ok(()) => {
                    self.reported.send_replace(true);
                    retry = RETRY_FIRST;
                    let heartbeat = Duration::from_millis(REPORT_INTERVAL_MS);
                    // Either way it is time for the next report.
                    let _changed_or_due =
                        tokio::time::timeout(heartbeat, self.board.changed()).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "report not delivered; trying again");
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(Duration::from_millis(REPORT_INTERVAL_MS));
                }
            }
        }
    }

    fn report(&self, sequence: u64) -> Report {
        Report {
            node: self.control_plane.node().clone(),
            boot_id: self.boot_id.clone(),
            sequence,
            generation: self.generation.load(Ordering::Acquire),
            tasks: self.board.reports(),
            accepts_tasks: self.accepts_tasks.load(Ordering::Acquire)
                && self.has_room.load(Ordering::Acquire),
            unreadable: Vec::new(),
        }
    }
}
