//! Loops that keep the stored state moving towards what was asked for, and the control plane's side of
//! the node link.
//!
//! ```text
//! service      tasks of a service: desired count, roll-out, replacement
//! node_health  silent and lost nodes
//! retention    forgets what is over
//! node_link    tells nodes their assignments, writes down what they report
//! ```
//!
//! **Invariant:** a controller is told *that* something changed, never *what*. It reads the store, asks
//! the planner, commits the answer. Controllers meet in the store only; nothing here speaks AWS JSON.

mod driver;
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
pub use heartbeats::Heartbeats;
pub use node_health::NodeHealthController;
pub use retention::RetentionController;
pub use service::ServiceController;

/// One loop. `activate` does one idempotent pass; the [`Driver`] calls it at the start, after commits
/// and when it asked for it.
#[async_trait]
pub trait Controller: Send + Sync + 'static {
    /// For logs.
    fn name(&self) -> &'static str;

    /// Whether a commit is a reason for a pass; if not, only the time is.
    fn wakes_on_commit(&self) -> bool {
        true
    }

    /// Does one pass. Returns when to come again although nothing was committed.
    async fn activate(&self, store: &Store) -> Result<Option<TimestampMs>, Fault>;
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
