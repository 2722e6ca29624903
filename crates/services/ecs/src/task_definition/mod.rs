//! RegisterTaskDefinition's rules: what AWS refuses, what it fills in, and what this version can run of it.
//!
//! ```text
//! request -> blank -> normalise (checks + defaults) -> row        with the document that describes answer with
//!
//! document -> workload     what the planner and nodes act on, when it is run
//!          -> unsupported  what a task of it would need and this version lacks
//! ```
//!
//! **Invariant:** pure. A definition that passes here is kept whole: nothing of it is dropped, and what this version
//! does not run is named in `unsupported`, so that a task of it is refused rather than run differently.

pub mod blank;
mod compatibility;
mod container;
mod dependencies;
mod fargate;
mod limits;
mod local_names;
mod logging;
mod normalise;
mod ports;
mod refusal;
mod required_attributes;
pub mod roles;
mod row;
mod secrets;
pub mod task_size;
mod unsupported;
mod volumes;
mod workload;

pub(crate) use normalise::check_storage_size;
pub use normalise::normalise;
pub use refusal::refusal;
pub use row::{Registration, row};
pub use unsupported::not_run;
pub(crate) use workload::storage_gib;
pub use workload::{Workloads, asks_for_the_host, pairs};

#[cfg(test)]
mod old_rows;
#[cfg(test)]
mod tests;
