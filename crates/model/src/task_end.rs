//! The end of a task, with all that ends with it.

use crate::NetworkInterfaceId;
use crate::task::Task;

/// A task that is STOPPED now, and what it held until now. The planner makes it; the store writes it whole, so that
/// nobody stops a task and forgets what it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskEnd {
    pub task: Task,
    /// Its network interface, which goes.
    pub network_interface: Option<NetworkInterfaceId>,
}
