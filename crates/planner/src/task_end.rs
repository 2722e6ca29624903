//! How a task ends whose node does not say so: it was lost, taken out, started anew, or never saw the task.
//!
//! ```text
//! the node reports STOPPED               task_report
//! the node is lost, rebooted, taken out  give_up       the reason of whoever gives up
//! the node never saw it                  end_unreported    only once it is to stop
//! ```
//!
//! **Invariant:** every end goes through [`end`], which says what the task held: a network interface today.

use outport_model::task::{ContainerStatus, StopCode, Task};
use outport_model::task_end::TaskEnd;
use outport_model::{DesiredStatus, NodeId, Owner, TaskStatus, TimestampMs};

/// The end of a task that became STOPPED.
pub(crate) fn end(mut task: Task) -> TaskEnd {
    for container in &mut task.containers {
        container.last_status = ContainerStatus::Stopped;
    }
    let network_interface =
        task.attachment.as_ref().map(|attached| attached.network_interface_id.clone());
    TaskEnd { task, network_interface }
}

/// Ends a task because its node cannot run it any more; in the node's place, which cannot report it. `None` when it is
/// STOPPED already.
pub fn give_up(task: &Task, reason: &str, now_ms: TimestampMs) -> Option<TaskEnd> {
    let mut task = task.clone();
    if task.last_status == TaskStatus::Provisioning {
        advance(&mut task, Owner::Placement, TaskStatus::Pending);
    }
    if !advance(&mut task, Owner::Node, TaskStatus::Stopped) {
        return None;
    }
    task.desired_status = DesiredStatus::Stopped;
    if task.stop_code.is_none() {
        task.stop_code = Some(StopCode::InfrastructureHealth);
        task.stopped_reason = Some(reason.to_owned());
    }
    task.stopping_at_ms = task.stopping_at_ms.or(Some(now_ms));
    task.execution_stopped_at_ms = task.execution_stopped_at_ms.or(Some(now_ms));
    task.stopped_at_ms = Some(now_ms);
    task.version += 1;
    Some(end(task))
}

/// Ends a task that `node` was to stop and does not know: it has been nowhere. `None` when it is another node's, or
/// nobody wants it stopped, or it is STOPPED already.
pub fn end_unreported(task: &Task, node: &NodeId, now_ms: TimestampMs) -> Option<TaskEnd> {
    if task.node.as_ref() != Some(node) || task.desired_status != DesiredStatus::Stopped {
        return None;
    }
    let reason = task.stopped_reason.clone().unwrap_or_default();
    give_up(task, &reason, now_ms)
}

/// Moves the task if its status is `owner`'s to move, and forward; whether it did.
pub(crate) fn advance(task: &mut Task, owner: Owner, next: TaskStatus) -> bool {
    let may_move = task.last_status.may_move(owner, next);
    if may_move {
        task.last_status = next;
    }
    may_move
}

#[cfg(test)]
mod tests {
    use outport_model::task::TaskAttachment;
    use outport_model::{NetworkInterfaceId, SubnetId, TaskAttachmentId};

    use super::*;
    use crate::testing::task;

    const NOW_MS: TimestampMs = 5_000;

    fn attached(last: TaskStatus, desired: DesiredStatus) -> Task {
        let address = std::net::Ipv4Addr::new(172, 31, 0, 4);
        let attachment = TaskAttachment {
            id: TaskAttachmentId::new("a"),
            network_interface_id: NetworkInterfaceId::new("eni-1"),
            subnet_id: SubnetId::new("subnet-1"),
            mac_address: "02:00:00:00:00:01".into(),
            private_ip: address,
            private_dns_name: "ip-172-31-0-4.ec2.internal".into(),
        };
        Task {
            last_status: last,
            desired_status: desired,
            attachment: Some(attachment),
            ..task("n1")
        }
    }

    /// The status, what its end says: the stop code, the reason and what is released.
    #[track_caller]
    fn check(end: Option<TaskEnd>, expected: Option<(&str, &str)>) {
        if let Some(end) = &end {
            let task = &end.task;
            assert_eq!(task.last_status, TaskStatus::Stopped);
            assert_eq!(task.desired_status, DesiredStatus::Stopped);
            assert_eq!(task.stopped_at_ms, Some(NOW_MS));
            assert_eq!(end.network_interface, Some(NetworkInterfaceId::new("eni-1")));
            assert!(task.containers.iter().all(|c| c.last_status == ContainerStatus::Stopped));
            assert_eq!(task.version, 2);
        }
        let said = end.as_ref().map(|end| {
            let code = end.task.stop_code.map_or("", StopCode::as_str);
            (code, end.task.stopped_reason.as_deref().unwrap_or(""))
        });
        assert_eq!(said, expected);
    }

    #[test]
    fn a_task_is_given_up_in_any_status_but_the_last() {
        for last in TaskStatus::ALL {
            let end = give_up(&attached(last, DesiredStatus::Running), "lost", NOW_MS);
            let expected = ("InfrastructureHealth", "lost");
            check(end, (last < TaskStatus::Stopped).then_some(expected));
        }
    }

    #[test]
    fn the_first_cause_of_a_stop_stands() {
        let mut task = attached(TaskStatus::Running, DesiredStatus::Stopped);
        task.stop_code = Some(StopCode::UserInitiated);
        task.stopped_reason = Some("enough".into());
        check(give_up(&task, "lost", NOW_MS), Some(("UserInitiated", "enough")));
        let node = NodeId::new("n1");
        check(end_unreported(&task, &node, NOW_MS), Some(("UserInitiated", "enough")));
    }

    #[test]
    fn only_what_is_to_stop_ends_unseen_and_only_by_its_own_node() {
        let unseen = |task: &Task, node: &str| end_unreported(task, &NodeId::new(node), NOW_MS);
        check(unseen(&attached(TaskStatus::Pending, DesiredStatus::Running), "n1"), None);
        let stopping = attached(TaskStatus::Pending, DesiredStatus::Stopped);
        check(unseen(&stopping, "n2"), None);
        check(unseen(&stopping, "n1"), Some(("InfrastructureHealth", "")));
        check(unseen(&attached(TaskStatus::Stopped, DesiredStatus::Stopped), "n1"), None);
    }
}
