//! The numbers that decisions depend on; the binary may set them, nothing changes them later.

use std::ops::RangeInclusive;

use outport_model::TimestampMs;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A task counts as healthy this long after it reached RUNNING.
    ///
    /// AWS's 40 seconds, for a task without health check or load balancer (botocore's documentation of
    /// `minimumHealthyPercent`). One second is long enough that a task that dies of its own configuration does not replace one
    /// that serves, and enough for who waits.
    pub healthy_after_ms: TimestampMs,
    /// The first delay after a task did not reach RUNNING; it doubles with each further round.
    pub throttle_first_ms: TimestampMs,
    /// The longest of these delays.
    /// Source: "Amazon ECS service throttle logic", which said 15 minutes for years, says 27 now, and that it may change.
    pub throttle_longest_ms: TimestampMs,
    /// How long a service waits after a task found no place, unless something changes before.
    pub placement_retry_ms: TimestampMs,
    /// A task that ran and ended by itself within this time is a short run.
    pub short_run_window_ms: TimestampMs,
    /// The pause before a short run is replaced; it doubles with each further round of them. Ours: AWS has none, and needs
    /// tens of seconds to start a task.
    pub short_run_pause_first_ms: TimestampMs,
    /// The longest of these pauses.
    pub short_run_pause_longest_ms: TimestampMs,
    /// A node on which a task did not start comes after all others for the service's next tasks, for this
    /// long.
    pub trouble_life_ms: TimestampMs,
    /// A deployment that failed is shown for this long though nothing of it runs. AWS's own are shown for as
    /// long as its rollback takes, which is minutes; clients that wait look every 15 seconds.
    pub failed_deployment_life_ms: TimestampMs,
    /// A repeated event is left out for this long.
    /// Source: "Service event messages" (six hours).
    pub event_repeat_ms: TimestampMs,
    /// Stopped tasks are kept for this long. AWS promises at least one hour.
    pub stopped_task_life_ms: TimestampMs,
    /// INACTIVE services, clusters and task definitions' leftovers stay describable for this long.
    pub inactive_life_ms: TimestampMs,
    /// Finished service deployments, with their revisions, are kept for this long.
    /// Source: "View service history" (90 days).
    pub service_history_life_ms: TimestampMs,
    /// A node that was not heard of for this long is not connected: it gets no new tasks.
    pub node_silent_after_ms: TimestampMs,
    /// The tasks of a node that was not heard of for this long are given up.
    pub node_lost_after_ms: TimestampMs,
    /// When this much time passes between two looks for silent nodes, which come at least every ten
    /// seconds, then the control plane itself was suspended, and nobody's silence counts.
    pub own_gap_ms: TimestampMs,
    /// Host ports for mappings that leave the choice open: what is above Linux's own range for
    /// outgoing connections (`ip_local_port_range`, 32768 to 60999), one of which could hold the port
    /// that was chosen. AWS's agent takes that very range, or 49153 to 65535 where it cannot be read.
    /// Source: botocore's documentation of `PortMapping.hostPort`.
    pub dynamic_ports: RangeInclusive<u16>,
}

const SECOND_MS: TimestampMs = 1_000;
const MINUTE_MS: TimestampMs = 60 * SECOND_MS;
const HOUR_MS: TimestampMs = 60 * MINUTE_MS;
const DAY_MS: TimestampMs = 24 * HOUR_MS;

impl Default for Settings {
    fn default() -> Self {
        Self {
            healthy_after_ms: 40 * SECOND_MS,
            throttle_first_ms: SECOND_MS,
            throttle_longest_ms: 15 * MINUTE_MS,
            placement_retry_ms: 5 * SECOND_MS,
            short_run_window_ms: 10 * SECOND_MS,
            short_run_pause_first_ms: SECOND_MS,
            short_run_pause_longest_ms: 10 * SECOND_MS,
            trouble_life_ms: 10 * MINUTE_MS,
            failed_deployment_life_ms: 30 * SECOND_MS,
            event_repeat_ms: 6 * HOUR_MS,
            stopped_task_life_ms: HOUR_MS,
            inactive_life_ms: DAY_MS,
            service_history_life_ms: 90 * DAY_MS,
            node_silent_after_ms: 30 * SECOND_MS,
            node_lost_after_ms: 5 * MINUTE_MS,
            own_gap_ms: 15 * SECOND_MS,
            dynamic_ports: 61_000..=65_535,
        }
    }
}
