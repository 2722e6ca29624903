//! The health of a task, of that of its containers.
//!
//! **Invariant:** pure; of each container only the last that its node has said counts, however long ago.

use outport_model::task::{HealthStatus, TaskContainer};

/// UNHEALTHY before UNKNOWN before HEALTHY, over the essential containers that have a health check; `None` where none has.
///
/// Source: botocore's documentation of `HealthCheck`. That an essential container without a check does not count, though
/// it is UNKNOWN in describes, is what users of AWS saw: issue 4094 of the ECS agent.
pub fn task_health(containers: &[TaskContainer]) -> Option<HealthStatus> {
    let counts = containers.iter().filter(|container| container.essential);
    let rank = |health: &HealthStatus| match health {
        HealthStatus::Unhealthy => 0,
        HealthStatus::Unknown => 1,
        HealthStatus::Healthy => 2,
    };
    counts.filter_map(|container| container.health).min_by_key(rank)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::task;

    /// Containers as letters: Healthy, Unhealthy, `K` for unknown, `-` without a check; a small one is not essential.
    #[track_caller]
    fn check(containers: &str, expected: Option<HealthStatus>) {
        let one = task("n1").containers.remove(0);
        let health = |letter: char| match letter.to_ascii_uppercase() {
            'H' => Some(HealthStatus::Healthy),
            'U' => Some(HealthStatus::Unhealthy),
            'K' => Some(HealthStatus::Unknown),
            _ => None,
        };
        let of = |letter: char| TaskContainer {
            essential: !letter.is_ascii_lowercase(),
            health: health(letter),
            ..one.clone()
        };
        let containers: Vec<TaskContainer> = containers.chars().map(of).collect();
        assert_eq!(task_health(&containers), expected);
    }

    #[test]
    fn the_worst_essential_container_counts() {
        use HealthStatus::{Healthy, Unhealthy, Unknown};
        // AWS's examples with two and three containers.
        for (containers, expected) in [
            ("UK", Unhealthy),
            ("UH", Unhealthy),
            ("HK", Unknown),
            ("HH", Healthy),
            ("UKK", Unhealthy),
            ("UKH", Unhealthy),
            ("UHH", Unhealthy),
            ("HKH", Unknown),
            ("HKK", Unknown),
            ("HHH", Healthy),
        ] {
            check(containers, Some(expected));
            check(&containers.chars().rev().collect::<String>(), Some(expected));
        }
        // One without a check, and one that is not essential, says nothing.
        check("H-", Some(Healthy));
        check("-K", Some(Unknown));
        check("Hu", Some(Healthy));
        check("Hk", Some(Healthy));
        for none in ["", "-", "--", "h", "-u", "uk"] {
            check(none, None);
        }
    }
}
