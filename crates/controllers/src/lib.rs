//! Loops that keep the stored state moving towards what was asked for, and the control plane's side of
//! the node link.
//!
//! ```text
//! service      tasks of a service: desired count, roll-out, replacement
//! events       schedules that are due, events to the targets of the rules that match them
//! node_health  silent and lost nodes
//! retention    forgets what is over
//! node_link    tells nodes their assignments, writes down what they report
//! ```
//!
//! **Invariant:** a controller is told *where* something changed, never *what*. It reads the store, asks
//! the planner, commits the answer; what it was not told it finds in its next pass over everything. Controllers meet in the store only; nothing here speaks AWS JSON.

mod deployment_log;
mod driver;
pub mod events;
mod heartbeats;
pub mod node_health;
pub mod node_link;
pub mod retention;
pub mod service;

use std::convert::Infallible;

use async_trait::async_trait;
use outport_model::TimestampMs;
use outport_store::{Fault, Store, WriteError};

pub use driver::Driver;
pub use events::EventController;
pub use heartbeats::Heartbeats;
pub use node_health::NodeHealthController;
pub use retention::RetentionController;
pub use service::ServiceController;

/// What a pass looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything that stands.
    All,
    /// What was touched since the last pass, and what is due.
    Touched,
}

impl Extent {
    /// For logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Touched => "touched",
        }
    }
}

/// One loop. `activate` does one idempotent pass; the [`Driver`] calls it at the start, when there is news, when it asked
/// for it, and now and then over everything, so that no news is ever needed.
#[async_trait]
pub trait Controller: Send + 'static {
    /// For logs.
    fn name(&self) -> &'static str;

    /// Returns when a commit touched what this controller looks at; by default only the time is a reason for a pass.
    async fn news(&mut self) {
        std::future::pending().await
    }

    /// Does one pass. Returns when to come again although nothing is touched. A pass that failed has seen nothing: the
    /// next one looks at it again.
    async fn activate(
        &mut self,
        store: &Store,
        extent: Extent,
    ) -> Result<Option<TimestampMs>, Fault>;
}

/// The fault of a write whose change never says no.
fn only_fault(error: WriteError<Infallible>) -> Fault {
    match error {
        WriteError::Fault(fault) => fault,
        WriteError::Rejected(never) => match never {},
    }
}

/// The earlier of two times that may not be there.
fn earlier(one: Option<TimestampMs>, other: Option<TimestampMs>) -> Option<TimestampMs> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
