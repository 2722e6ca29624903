//! User namespaces of tasks: root in a container is nobody on the host.
//!
//! ```text
//! ids in the task      0 … 65,535
//! ids on the host      first … first + 65,535      a range that no account and no other task has
//! ```
//!
//! A namespace is made by a process that lives for some 100 µs and shares this one's memory, see `bearer`; what
//! is left of it is a descriptor, and a file that it is pinned on. Its owner on the host is the range's first id:
//! what the kernel counts by user (inotify instances, locked memory, pending signals, message queues) is counted
//! for each task by itself, and none uses up another's or the host's.
//!
//! **Invariant:** no two tasks that are alive on a host have an id in common, whatever instances they belong to:
//! a range is looked for and written down under one lock, and given back when nothing of its task is left.

mod bearer;
mod ids;
mod namespace;
mod ranges;

pub use ids::{IDS_PER_TASK, IdRange, InvalidIds, SubordinateIds};
pub use namespace::{UserNamespaceError, create, create_network, is_pinned, pin, unpin};
pub use ranges::{IdRanges, RangeError};
