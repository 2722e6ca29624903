//! Decisions: what should happen next, given what is and what time it is.
//!
//! Operations call it for requests from outside, controllers for the loops inside; both commit what it
//! says in the transaction that they read from, so a plan is never stale.
//!
//! **Invariant:** a planner function reads only its arguments and returns only a value: no clock, no
//! randomness, no I/O, no store. The same arguments give the same answer.

pub mod address;
pub mod cluster_query;
pub mod deployment;
pub mod idempotency;
pub mod node_admission;
pub mod node_health;
pub mod placement;
pub mod ports;
pub mod retention;
pub mod service;
pub mod settings;
mod shortage;
pub mod task_end;
pub mod task_health;
pub mod task_overrides;
pub mod task_report;
pub mod task_role;
pub mod task_start;
#[cfg(test)]
mod testing;

pub use placement::{PassedOver, Rejection, Unplaceable};
pub use settings::Settings;
pub use shortage::{Lack, Shortage};
pub use task_role::TaskRoleTrust;
pub use task_start::StartRequest;
