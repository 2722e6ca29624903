//! The node agent: turns an assignment into running containers and reports what it sees.
//!
//! It may die at any time. Containers are kept by their shims; what they write and how they end
//! waits on disk; the next agent takes all of it over.
//!
//! **Invariant:** a node knows its assignment, not the cluster. It asks for nothing but the next
//! assignment, decides nothing about other tasks, and tells everything that it sees.

mod agent;
mod board;
mod container_spec;
mod control_plane;
mod host;
mod log_news;
mod log_shipper;
mod machine;
mod patience;
mod readable;
mod reporter;
mod run_dir;
mod task;
mod task_record;

pub use agent::{Agent, AgentError, AgentSettings, check_addresses, remove_everything};
pub use container_spec::OpenFiles;
pub use control_plane::{LINK_REGION, LinkError};
pub use host::capacity;
