//! `cargo xtask bench`: figures with their spread, beside a peer's that were taken in turn in the
//! same run. Absolute times do not carry over between machines: read the ratios.

mod burst;
mod docker;
mod figures;
mod launch;
mod report;
mod runc;
mod scheduler;

pub use launch::{run_burst, run_launch};
pub use scheduler::run_scheduler;
