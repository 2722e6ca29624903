//! The life of a task. A task only moves right, and each status has one owner:
//!
//! ```text
//! PROVISIONING -> PENDING -> ACTIVATING -> RUNNING -> DEACTIVATING -> STOPPING -> DEPROVISIONING -> STOPPED -> DELETED
//!  placement       node       node          node       node            node        node              retention
//! ```
//!
//! A task that fails early skips to the right; it never goes back. Desired status is written by the
//! control plane only, observed status (from PENDING on) by the node only. A replacement is a new task.
//!
//! Source: "Amazon ECS task lifecycle" in the Amazon ECS Developer Guide.

use serde::{Deserialize, Serialize};

/// How far a task has come; the order is the lifecycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaskStatus {
    /// Waits for placement on a node and for its network interface.
    Provisioning,
    /// The node has it: images are pulled, containers created.
    Pending,
    /// The containers are being started and attached to what they serve.
    Activating,
    Running,
    /// Targets are deregistered before the containers are told to stop.
    Deactivating,
    /// SIGTERM was sent, SIGKILL follows after the stop timeout.
    Stopping,
    /// The network interface is detached.
    Deprovisioning,
    Stopped,
    /// Forgotten by the node and past its retention; the row goes.
    Deleted,
}

/// What the control plane wants of a task. AWS never asks for anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DesiredStatus {
    Running,
    Stopped,
}

/// The component that may move a task out of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// The control plane, while no node has been told of the task.
    Placement,
    /// The node that the task was placed on, through its reports.
    Node,
    /// The controller that forgets stopped tasks after their retention.
    Retention,
}

impl TaskStatus {
    /// Every status, in lifecycle order.
    pub const ALL: [Self; 9] = [
        Self::Provisioning,
        Self::Pending,
        Self::Activating,
        Self::Running,
        Self::Deactivating,
        Self::Stopping,
        Self::Deprovisioning,
        Self::Stopped,
        Self::Deleted,
    ];

    /// AWS's word for it, as in `lastStatus`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Pending => "PENDING",
            Self::Activating => "ACTIVATING",
            Self::Running => "RUNNING",
            Self::Deactivating => "DEACTIVATING",
            Self::Stopping => "STOPPING",
            Self::Deprovisioning => "DEPROVISIONING",
            Self::Stopped => "STOPPED",
            Self::Deleted => "DELETED",
        }
    }

    /// The one component that may move a task out of this status; `None` behind the last one.
    pub fn owner(self) -> Option<Owner> {
        match self {
            Self::Provisioning => Some(Owner::Placement),
            Self::Pending
            | Self::Activating
            | Self::Running
            | Self::Deactivating
            | Self::Stopping
            | Self::Deprovisioning => Some(Owner::Node),
            Self::Stopped => Some(Owner::Retention),
            Self::Deleted => None,
        }
    }

    /// Whether `owner` may move a task from this status to `next`: only the owner, only forward.
    pub fn may_move(self, owner: Owner, next: Self) -> bool {
        self.owner() == Some(owner) && self < next
    }
}

impl DesiredStatus {
    /// AWS's word for it, as in `desiredStatus`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Stopped => "STOPPED",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_the_lifecycle() {
        assert!(TaskStatus::ALL.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn only_the_owner_moves_a_task_and_only_forward() {
        for from in TaskStatus::ALL {
            for to in TaskStatus::ALL {
                let movers = [Owner::Placement, Owner::Node, Owner::Retention]
                    .into_iter()
                    .filter(|owner| from.may_move(*owner, to))
                    .count();
                let expected = usize::from(from < to && from != TaskStatus::Deleted);
                assert_eq!(movers, expected, "{from:?} -> {to:?}");
            }
        }
    }
}
