//! One task on this node, from its assignment to the moment it is forgotten.
//!
//! ```text
//!            ┌─ launch ── network, images, create, start ─┐
//! new ───────┤                                            ├─> supervise ─> stop ─> release ─> forgotten
//! taken over ┴─ the same, without what is there already ──┘      (any step may lead to stop)
//! ```
//!
//! `plan` decides, `runner` does one thing after the other, `host` is the seam to the machine.
//!
//! **Invariant:** after `release` nothing of the task is on the host but its record and its logs that
//! are not shipped yet.

pub mod host;
mod launch_metrics;
pub(crate) mod life_log;
pub mod plan;
pub mod runner;
#[cfg(test)]
pub(crate) mod runner_test;

pub use host::{Adopted, ContainerExit, StartError, TaskHost};
pub use runner::{Order, Origin, TaskRunner};
