//! Whether a node is there, and what becomes of its tasks when it is not.

use outport_model::task::{ContainerStatus, StopCode, Task};
use outport_model::{DesiredStatus, Owner, SteadyMs, TaskStatus, TimestampMs};

use crate::settings::Settings;

/// How long a node was silent decides what it is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Takes tasks.
    Connected,
    /// Gets no new tasks; those that it has go on, as under a disconnected ECS agent.
    Silent,
    /// Its tasks are given up and replaced. Should it come back, it finds them gone from its
    /// assignment and stops what is left of them.
    Lost,
}

/// Silence is measured on the steady clock: whatever happens to the wall clock, nobody fell silent.
pub fn presence(last_heard_ms: SteadyMs, now_ms: SteadyMs, settings: &Settings) -> Presence {
    let silent_ms = now_ms - last_heard_ms;
    if silent_ms < settings.node_silent_after_ms {
        Presence::Connected
    } else if silent_ms < settings.node_lost_after_ms {
        Presence::Silent
    } else {
        Presence::Lost
    }
}

/// Whether the control plane itself was away between two of its passes: suspended, stalled, or the
/// machine slept. It did not listen then, so the silence of others says nothing, and everyone gets a
/// fresh allowance.
pub fn was_away(last_pass_ms: SteadyMs, now_ms: SteadyMs, settings: &Settings) -> bool {
    now_ms - last_pass_ms >= settings.own_gap_ms
}

/// What AWS says of tasks whose machine went away.
/// Source: "Amazon ECS stopped tasks error messages".
pub fn lost_reason(ec2_instance_id: &str) -> String {
    format!("Host EC2 (instance {ec2_instance_id}) terminated.")
}

/// What AWS says of tasks whose machine was started again.
pub fn rebooted_reason(ec2_instance_id: &str) -> String {
    format!("Host EC2 (instance {ec2_instance_id}) stopped.")
}

/// The task, STOPPED, because its node cannot run it any more; in the node's place, which cannot
/// report it. `None` when it is STOPPED already.
pub fn give_up(task: &Task, reason: &str, now_ms: TimestampMs) -> Option<Task> {
    let mut task = task.clone();
    if task.last_status == TaskStatus::Provisioning {
        step(&mut task, Owner::Placement, TaskStatus::Pending);
    }
    if !step(&mut task, Owner::Node, TaskStatus::Stopped) {
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
    for container in &mut task.containers {
        container.last_status = ContainerStatus::Stopped;
    }
    task.version += 1;
    Some(task)
}

fn step(task: &mut Task, owner: Owner, next: TaskStatus) -> bool {
    let allowed = task.last_status.may_move(owner, next);
    if allowed {
        task.last_status = next;
    }
    allowed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(silent_ms: SteadyMs, expected: Presence) {
        assert_eq!(presence(1_000, 1_000 + silent_ms, &Settings::default()), expected);
    }

    #[test]
    fn silence_has_two_limits() {
        check(0, Presence::Connected);
        check(29_999, Presence::Connected);
        check(30_000, Presence::Silent);
        check(299_999, Presence::Silent);
        check(300_000, Presence::Lost);
    }

    #[test]
    fn a_gap_in_our_own_passes_is_noticed() {
        let check = |gap_ms: SteadyMs, expected| {
            assert_eq!(was_away(1_000, 1_000 + gap_ms, &Settings::default()), expected);
        };
        // The controllers pass at least every ten seconds.
        check(10_000, false);
        check(15_000, true);
        check(310_000, true);
    }
}
