//! Decisions of a task's life: which containers may start, which may be stopped, and why it ends.
//!
//! Source: "Container dependency" in the task definition parameters; `essential` of a container.

use outport_model::task::{ContainerStatus, StopCode};
use outport_model::task_definition::{DependencyCondition, LaunchType};
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

/// Which waiting containers have their dependencies met.
pub fn next_starts(containers: &[ContainerAssignment], stages: &[Stage]) -> StartStep {
    let mut ready = Vec::new();
    let mut waits = false;
    for (index, container) in containers.iter().enumerate() {
        if stages[index] != Stage::Waiting {
            continue;
        }
        match dependencies(container, containers, stages) {
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
) -> Dependencies {
    let mut pending = false;
    for dependency in &container.definition.depends_on {
        let on =
            containers.iter().position(|other| other.definition.name == dependency.container_name);
        let Some(stage) = on.map(|index| &stages[index]) else {
            return Dependencies::Failed(dependency.container_name.clone());
        };
        let met = match (dependency.condition, stage) {
            (_, Stage::Waiting) => false,
            (DependencyCondition::Start, _) => true,
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
    fn parse(text: &str) -> (Vec<ContainerAssignment>, Vec<Stage>) {
        let (names, stages): (Vec<&str>, Vec<Stage>) = text
            .split("; ")
            .map(|entry| {
                let (name, stage) = entry.split_once(' ').unwrap();
                let stage = match stage {
                    "waiting" => Stage::Waiting,
                    "running" => Stage::Running,
                    code => Stage::Ended(exited(code.parse().unwrap())),
                };
                (name, stage)
            })
            .unzip();
        (assignment(&names).containers, stages)
    }

    #[track_caller]
    fn check_start(text: &str, expected: &str) {
        let (containers, stages) = parse(text);
        let actual = match next_starts(&containers, &stages) {
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
        let (containers, stages) = parse(text);
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
    fn stopping_is_the_reverse_of_starting() {
        check_stop("a running; b>a:START running", "b");
        check_stop("a running; b>a:START 0", "a");
        check_stop("a running; b running", "a b");
        check_stop("a waiting; b 0", "");
    }
}
