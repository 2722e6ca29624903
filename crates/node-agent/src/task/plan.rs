//! Decisions of a task's life: which containers may start, which may be stopped, and why it ends.
//!
//! Source: "Container dependency" in the task definition parameters; `essential` of a container.

use std::ops::Add;
use std::time::Duration;

use outport_model::task::{ContainerStatus, HealthStatus, StopCode};
use outport_model::task_definition::{ContainerDependency, DependencyCondition, LaunchType};
use outport_node_protocol::{ContainerAssignment, ContainerReport, StopCause};

use super::host::ContainerExit;

/// AWS's text for a task that ends because a container did.
pub const ESSENTIAL_EXIT: &str = "Essential container in task exited";

const RECORD_LOST: &str = "The host lost its record of the task.";

/// How far one container is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Not made, or made and waiting for its turn.
    Waiting,
    Running,
    Ended(ContainerExit),
}

/// What can be done next to get all containers going.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartStep {
    /// Start these, by index.
    Start(Vec<usize>),
    /// Nothing to do before a running container ends.
    Wait,
    /// Every container was started.
    Done,
    /// A dependency can never be met.
    Impossible(String),
}

/// Which waiting containers have their dependencies met. `healths`: of each container.
pub fn next_starts(
    containers: &[ContainerAssignment],
    stages: &[Stage],
    healths: &[HealthStatus],
) -> StartStep {
    let mut ready = Vec::new();
    let mut waits = false;
    for (index, container) in containers.iter().enumerate() {
        if stages[index] != Stage::Waiting {
            continue;
        }
        match dependencies(container, containers, stages, healths) {
            Dependencies::Met => ready.push(index),
            Dependencies::Pending => waits = true,
            Dependencies::Failed(on) => {
                return StartStep::Impossible(format!(
                    "container {} depends on container {on}, which ended without success",
                    container.definition.name
                ));
            }
        }
    }
    let nothing_runs = !stages.contains(&Stage::Running);
    match (ready.is_empty(), waits) {
        (false, _) => StartStep::Start(ready),
        (true, true) if nothing_runs => {
            StartStep::Impossible("the dependencies of its containers cannot be met".to_owned())
        }
        (true, true) => StartStep::Wait,
        (true, false) => StartStep::Done,
    }
}

enum Dependencies {
    Met,
    Pending,
    Failed(String),
}

fn dependencies(
    container: &ContainerAssignment,
    containers: &[ContainerAssignment],
    stages: &[Stage],
    healths: &[HealthStatus],
) -> Dependencies {
    let mut pending = false;
    for dependency in &container.definition.depends_on {
        let Some(on) = position(containers, dependency) else {
            return Dependencies::Failed(dependency.container_name.clone());
        };
        let met = match (dependency.condition, &stages[on]) {
            (_, Stage::Waiting) => false,
            (DependencyCondition::Start, _) => true,
            // One that is unhealthy may become healthy.
            (DependencyCondition::Healthy, Stage::Running) => healths[on] == HealthStatus::Healthy,
            (_, Stage::Running) => false,
            (DependencyCondition::Complete, Stage::Ended(exit)) if exit.exit_code.is_some() => true,
            (DependencyCondition::Success, Stage::Ended(exit)) if exit.exit_code == Some(0) => true,
            (_, Stage::Ended(_)) => {
                return Dependencies::Failed(dependency.container_name.clone());
            }
        };
        pending |= !met;
    }
    if pending { Dependencies::Pending } else { Dependencies::Met }
}

fn position(containers: &[ContainerAssignment], dependency: &ContainerDependency) -> Option<usize> {
    containers.iter().position(|other| other.definition.name == dependency.container_name)
}

/// When a dependency that is not met yet is too late, by the `startTimeout` of the container that is waited for, counted
/// from its start; and in words what comes of it. `running_since`: of each container that was started. START is met by
/// the start itself.
///
/// Source: botocore's documentation of `startTimeout`; the words are the agent's.
pub fn next_timeout<T: Copy + Ord + Add<Duration, Output = T>>(
    containers: &[ContainerAssignment],
    stages: &[Stage],
    healths: &[HealthStatus],
    running_since: &[Option<T>],
) -> Option<(T, String)> {
    let waiting = containers.iter().zip(stages).filter(|(_, stage)| **stage == Stage::Waiting);
    let timeouts = waiting.flat_map(|(target, _)| {
        target.definition.depends_on.iter().filter_map(move |dependency| {
            let on = position(containers, dependency)?;
            let is_met = match dependency.condition {
                DependencyCondition::Start => true,
                DependencyCondition::Healthy => healths[on] == HealthStatus::Healthy,
                DependencyCondition::Complete | DependencyCondition::Success => false,
            };
            if is_met || stages[on] != Stage::Running {
                return None;
            }
            let timeout_s = containers[on].definition.start_timeout_s?;
            let late = running_since[on]? + Duration::from_secs(timeout_s.into());
            let (on, target) = (&dependency.container_name, &target.definition.name);
            let what = format!(
                "dependency graph: container ordering dependency [{on}] for target [{target}] has timed out."
            );
            Some((late, what))
        })
    });
    timeouts.min()
}

/// The running containers that nothing running depends on: the order of stopping is the reverse of
/// the order of starting.
pub fn next_stops(containers: &[ContainerAssignment], stages: &[Stage]) -> Vec<usize> {
    let running: Vec<usize> =
        (0..containers.len()).filter(|index| stages[*index] == Stage::Running).collect();
    let needed = |name: &str| {
        running.iter().any(|index| {
            containers[*index]
                .definition
                .depends_on
                .iter()
                .any(|dependency| dependency.container_name == name)
        })
    };
    running.iter().copied().filter(|index| !needed(&containers[*index].definition.name)).collect()
}

/// Whether the exit of this container ends the task, and why.
pub fn cause_of_exit(container: &ContainerAssignment) -> Option<StopCause> {
    container.definition.essential.then(essential_exit)
}

/// Why a task ends of which neither a record nor a running container is left.
pub fn record_lost() -> StopCause {
    let (code, reason) = (StopCode::TerminationNotice, RECORD_LOST.to_owned());
    StopCause { code, reason }
}

/// Whether everything has ended by itself though no essential exit was seen.
pub fn cause_of_nothing_left(stages: &[Stage]) -> Option<StopCause> {
    let over = stages.iter().all(|stage| matches!(stage, Stage::Ended(_)));
    over.then(essential_exit)
}

/// How a container ended of which nothing is left: as it was reported, or nobody knows.
pub fn unseen_exit(report: &ContainerReport, now_ms: i64) -> ContainerExit {
    let unseen = || "The container ended while nobody watched it".to_owned();
    let reason = match report.status {
        ContainerStatus::Stopped => report.reason.clone(),
        _ => Some(unseen()),
    };
    ContainerExit { exit_code: report.exit_code, reason, finished_at_ms: now_ms }
}

fn essential_exit() -> StopCause {
    StopCause { code: StopCode::EssentialContainerExited, reason: ESSENTIAL_EXIT.to_owned() }
}

/// A task that never got going. On Fargate the task itself says what went wrong; on a container
/// instance the task says that it failed, and the container says what.
/// Source: "Stopped tasks error messages" in the developer guide, for both launch types.
pub fn cause_of_failed_start(launch_type: LaunchType, reason: &str) -> StopCause {
    let reason = match launch_type {
        LaunchType::Fargate => reason.to_owned(),
        LaunchType::Ec2 | LaunchType::External => "Task failed to start".to_owned(),
    };
    StopCause { code: StopCode::TaskFailedToStart, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::runner_test::{assignment, exited};

    /// `name[>dependency:condition]… stage` per container, `; ` between them.
    fn parse(text: &str) -> (Vec<ContainerAssignment>, Vec<Stage>, Vec<HealthStatus>) {
        let mut healths = Vec::new();
        let (names, stages): (Vec<&str>, Vec<Stage>) = text
            .split("; ")
            .map(|entry| {
                let (name, stage) = entry.split_once(' ').unwrap();
                healths.push(match stage {
                    "healthy" => HealthStatus::Healthy,
                    "unhealthy" => HealthStatus::Unhealthy,
                    _ => HealthStatus::Unknown,
                });
                let stage = match stage {
                    "waiting" => Stage::Waiting,
                    "running" | "healthy" | "unhealthy" => Stage::Running,
                    code => Stage::Ended(exited(code.parse().unwrap())),
                };
                (name, stage)
            })
            .unzip();
        (assignment(&names).containers, stages, healths)
    }

    #[track_caller]
    fn check_start(text: &str, expected: &str) {
        let (containers, stages, healths) = parse(text);
        let actual = match next_starts(&containers, &stages, &healths) {
            StartStep::Start(indices) => {
                let names = indices.iter().map(|index| containers[*index].definition.name.as_str());
                format!("start {}", names.collect::<Vec<_>>().join(" "))
            }
            StartStep::Wait => "wait".to_owned(),
            StartStep::Done => "done".to_owned(),
            StartStep::Impossible(_) => "impossible".to_owned(),
        };
        assert_eq!(actual, expected, "{text}");
    }

    #[track_caller]
    fn check_stop(text: &str, expected: &str) {
        let (containers, stages, _) = parse(text);
        let names = next_stops(&containers, &stages);
        let names: Vec<&str> =
            names.iter().map(|i| containers[*i].definition.name.as_str()).collect();
        assert_eq!(names.join(" "), expected, "{text}");
    }

    #[test]
    fn containers_without_dependencies_start_together() {
        check_start("a waiting; b waiting", "start a b");
        check_start("a running; b running", "done");
        check_start("a running; b 0", "done");
    }

    #[test]
    fn a_dependency_is_waited_for() {
        check_start("a waiting; b>a:START waiting", "start a");
        check_start("a running; b>a:START waiting", "start b");
        check_start("a running; b>a:COMPLETE waiting", "wait");
        check_start("a 1; b>a:COMPLETE waiting", "start b");
        check_start("a 0; b>a:SUCCESS waiting", "start b");
        check_start("a 1; b>a:SUCCESS waiting", "impossible");
        check_start("a waiting; b>c:START waiting", "impossible");
    }

    #[test]
    fn health_is_waited_for_and_nothing_else_is_health() {
        check_start("a running; b>a:HEALTHY waiting", "wait");
        check_start("a unhealthy; b>a:HEALTHY waiting", "wait");
        check_start("a healthy; b>a:HEALTHY waiting", "start b");
        check_start("a 0; b>a:HEALTHY waiting", "impossible");
        check_start("a healthy; b running; c>a:HEALTHY>b:HEALTHY waiting", "wait");
        check_start("a waiting; b>a:HEALTHY waiting", "start a");
        // Only the start waits for it.
        check_start("a unhealthy; b>a:HEALTHY running", "done");
        check_start("a healthy; b>a:COMPLETE waiting", "wait");
    }

    /// Of containers of which the first was started at second 100, the second at 200; their `startTimeout` is 10.
    #[track_caller]
    fn check_timeout(text: &str, expected: Option<(u64, &str)>) {
        let (mut containers, stages, healths) = parse(text);
        containers.iter_mut().for_each(|one| one.definition.start_timeout_s = Some(10));
        let since = (1..).map(|number| Duration::from_secs(100 * number));
        let since: Vec<_> = since.map(Some).take(containers.len()).collect();
        let actual = next_timeout(&containers, &stages, &healths, &since);
        let expected = expected.map(|(second, pair)| {
            let (on, target) = pair.split_once(' ').unwrap();
            let what = format!("dependency graph: container ordering dependency [{on}] for target [{target}] has timed out.");
            (Duration::from_secs(second), what)
        });
        assert_eq!(actual, expected, "{text}");
        containers.iter_mut().for_each(|one| one.definition.start_timeout_s = None);
        assert_eq!(next_timeout(&containers, &stages, &healths, &since), None, "{text}");
    }

    #[test]
    fn a_dependency_is_not_waited_for_longer_than_its_start_timeout() {
        check_timeout("a running; b>a:HEALTHY waiting", Some((110, "a b")));
        check_timeout("a unhealthy; b>a:HEALTHY waiting", Some((110, "a b")));
        check_timeout("a healthy; b>a:HEALTHY waiting", None);
        check_timeout("a running; b>a:COMPLETE waiting", Some((110, "a b")));
        check_timeout("a running; b>a:SUCCESS waiting", Some((110, "a b")));
        check_timeout("a running; b>a:START waiting", None);
        check_timeout("a waiting; b>a:HEALTHY waiting", None);
        check_timeout("a 0; b>a:COMPLETE waiting", None);
        check_timeout("a running; b>a:HEALTHY running", None);
        check_timeout("a healthy; b running; c>a:HEALTHY>b:HEALTHY waiting", Some((210, "b c")));
        check_timeout("a running; b running; c>b:HEALTHY>a:HEALTHY waiting", Some((110, "a c")));
    }

    #[test]
    fn stopping_is_the_reverse_of_starting() {
        check_stop("a running; b>a:START running", "b");
        check_stop("a running; b>a:START 0", "a");
        check_stop("a running; b running", "a b");
        check_stop("a waiting; b 0", "");
    }
}
