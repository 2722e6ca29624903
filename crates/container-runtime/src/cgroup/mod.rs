//! Control groups of tasks and containers, on version 1, hybrid and version 2 hosts alike.
//!
//! **Invariant:** a limit that was asked for is in force or the call failed. A limit file that the
//! kernel does not have is an error, but for swap, which a kernel without swap accounting lacks.

mod below;
mod devices;
mod devices_v2;
mod group;
mod hierarchies;
mod limits;
mod metadata;
mod program;
mod quota;

pub use devices::DeviceRule;
pub(crate) use devices::default_rules;
pub use group::{Cgroup, CgroupUsage};
pub use hierarchies::Hierarchies;
pub(crate) use hierarchies::Kind;
pub use limits::CgroupLimits;
pub(crate) use limits::PIDS_MAX_DEFAULT;
pub(crate) use quota::LiftedQuota;
