//! Whether a node is there, and what is said of its tasks when it is not.

use outport_model::{SteadyMs, TaskStatus};

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

/// Whether a node still holds something of a task that has ended without it, as after the node was lost: its address and
/// its host ports are free by the rows, and another task that gets them would not start there. `reported`: the status
/// by the node, `None` if it cannot be read. `is_live`: whether the task is the node's by its row.
///
/// A node that has such tasks gets no others until it reports that they are gone.
pub fn is_left_over(reported: Option<TaskStatus>, is_live: bool) -> bool {
    !is_live && reported.is_none_or(|status| status < TaskStatus::Stopped)
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
    fn what_ended_without_its_node_is_left_over_until_it_is_gone_there() {
        for status in TaskStatus::ALL {
            let holds = status < TaskStatus::Stopped;
            assert_eq!(is_left_over(Some(status), false), holds, "{status:?}");
            assert!(!is_left_over(Some(status), true), "{status:?}");
        }
        assert!(is_left_over(None, false));
        assert!(!is_left_over(None, true));
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
