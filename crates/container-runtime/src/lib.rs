//! Runs one container in a shim process of its own, and lets the node agent drive such shims.
//!
//! **Invariant:** nothing here keeps a container alive but its shim. The agent may be killed at any
//! instant: the shim goes on running the container, keeping its log and, at the end, its exit
//! record; [`Runtime::adopt`] finds all three again. Deliberately absent: threads, an async runtime,
//! image pulling, network set-up, and any AWS request.
//!
//! The two sides:
//!
//! - **Library** ([`Runtime`], [`ShimHandle`], [`LogReader`]): synchronous functions for the agent.
//!   They never fork by hand, never change the caller's directory, mounts or credentials.
//! - **Shim** ([`shim::run`]): the hidden sub-command of the same binary. Single-threaded; owns the
//!   container's output, reaps it, records its exit.
//!
//! What keeps faults of each kind out:
//!
//! - *others who read*: [`private`] makes every file and directory, and is the only one that may;
//! - *root in a container that gets out*: it is nobody on the host, see `shim::ids`;
//! - *a shim that does not answer*: what ends a container does without it, see [`ShimHandle::kill`] and
//!   [`ShimHandle::conclude`]; a fork bomb is frozen before it is killed;
//! - *a cleaned `/run`*: a shim is found by its process and makes its directory again;
//! - *a full disk*: the exit record is in memory, too; a line that was dropped is counted until its count
//!   is in a file;
//! - *names that somebody else left*: what is found is taken for a container only under names that a container
//!   can have, so that nothing is removed by an empty name or one that leads elsewhere;
//! - *more files than anybody waits for*: they go out of the way at once and are removed behind, by the
//!   next agent if need be.
//!
//! ```text
//! create ── intent on disk → shim → cgroup, mounts, namespaces → [Created] ── start → [Running]
//!                                                                    │                    │
//!                                                                    └──── kill ──────────┴→ [Exited]
//! ```

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "what a test makes is no secret"))]

pub mod cgroup;
mod container_key;
mod discovery;
mod error;
pub mod fail_point;
mod handle;
mod health;
mod holds;
#[cfg(test)]
mod intent_test;
mod layout;
mod listing;
mod lock;
pub mod log;
mod mapped_layers;
pub mod private;
mod process;
mod protocol;
mod record;
mod removal;
mod runtime;
pub mod shim;
mod shim_binary;
mod signal_name;
mod spec;
mod task_cgroup;

pub use cgroup::{CgroupLimits, CgroupUsage};
pub use container_key::{ContainerKey, InvalidKey, check_task};
pub use error::{FailureKind, RuntimeError, StartFailure};
pub use handle::{ContainerState, ExitWait, ShimHandle};
pub use health::{CheckResult, Health, HealthCheck, HealthWait};
pub use holds::Holds;
pub use layout::{kept_log_directory, kept_logs_directory, log_directory};
pub use listing::Found;
pub use log::{LogContent, LogCursor, LogFrame, LogReader, LogStream, LogWatch};
pub use mapped_layers::{UserNamespaceTrialError, try_user_namespaces};
pub use record::ExitRecord;
pub use runtime::{Adopted, Runtime, RuntimeSettings};
pub use signal_name::{UnknownSignal, signal_number};
pub use spec::*;
