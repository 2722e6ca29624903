//! What a node's report means for the row of a task.
//!
//! **Invariant:** a report moves a task forward only, within what is its node's to move; the first word on each time
//! and on each cause stands; and a report that says what is known costs a comparison.

use outport_model::task::{
    CONTAINER_REASON_LENGTH_MAX, ContainerStatus, HealthStatus, StopCode, Task, TaskContainer,
};
use outport_model::task_end::TaskEnd;
use outport_model::{DesiredStatus, Owner, TaskStatus, TimestampMs};

use crate::task_end::{advance, end};
use crate::task_health::task_health;

/// Of a runtime id or a digest: those that there are have 64 to 135 characters.
const IDENTIFIER_LENGTH_MAX: usize = 255;

/// What a node sees of one task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskObservation<'a> {
    pub status: TaskStatus,
    pub containers: Vec<ContainerObservation<'a>>,
    pub times: ObservedTimes,
    /// Why it stops, with AWS's words, when the node decided so.
    pub stop: Option<(StopCode, &'a str)>,
}

/// Times by the node's clock. When a task stopped is not among them: that is for us to say, as it is for AWS, since
/// what stopped tasks are kept for counts from there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObservedTimes {
    pub pull_started_at_ms: Option<TimestampMs>,
    pub pull_stopped_at_ms: Option<TimestampMs>,
    pub connectivity_at_ms: Option<TimestampMs>,
    pub started_at_ms: Option<TimestampMs>,
    pub stopping_at_ms: Option<TimestampMs>,
    pub execution_stopped_at_ms: Option<TimestampMs>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ContainerObservation<'a> {
    pub name: &'a str,
    pub status: ContainerStatus,
    pub runtime_id: Option<&'a str>,
    pub image_digest: Option<&'a str>,
    pub exit_code: Option<i32>,
    pub reason: Option<&'a str>,
    pub health: Option<HealthStatus>,
}

/// What is to be written down.
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    Moved(Box<Task>),
    Ended(Box<TaskEnd>),
}

impl Observed {
    pub fn task(&self) -> &Task {
        match self {
            Self::Moved(task) => task,
            Self::Ended(end) => &end.task,
        }
    }
}

/// The task as its node sees it; `None` when the report is behind the row or says nothing new.
pub fn observe(task: &Task, seen: &TaskObservation<'_>, now_ms: TimestampMs) -> Option<Observed> {
    if is_known(task, seen) {
        return None;
    }
    let mut next = task.clone();
    if next.last_status == TaskStatus::Provisioning && seen.status > TaskStatus::Provisioning {
        // The node has it: placement is done.
        advance(&mut next, Owner::Placement, TaskStatus::Pending);
    }
    advance(&mut next, Owner::Node, seen.status);
    observe_times(&mut next, &seen.times, now_ms);
    for seen in &seen.containers {
        if let Some(container) = next.containers.iter_mut().find(|c| c.name == seen.name) {
            observe_container(container, seen);
        }
    }
    next.health = task_health(&next.containers);
    if let (Some((code, reason)), None) = (seen.stop, next.stop_code) {
        next.stop_code = Some(code);
        next.stopped_reason = Some(cut(reason, CONTAINER_REASON_LENGTH_MAX));
        next.desired_status = DesiredStatus::Stopped;
    }
    if next.last_status > TaskStatus::Running {
        next.desired_status = DesiredStatus::Stopped;
    }
    if next == *task {
        return None;
    }
    next.version += 1;
    if next.last_status == TaskStatus::Stopped {
        return Some(Observed::Ended(Box::new(end(next))));
    }
    Some(Observed::Moved(Box::new(next)))
}

/// Whether nothing can come of the report, found without a copy of the task. What is not found here is found by comparing
/// the copy.
fn is_known(task: &Task, seen: &TaskObservation<'_>) -> bool {
    if task.last_status >= TaskStatus::Stopped || seen.status < task.last_status {
        return true;
    }
    let stop_is_known = seen.stop.is_none() || task.stop_code.is_some();
    let past_running = task.last_status > TaskStatus::Running;
    let desired_is_known = !past_running || task.desired_status == DesiredStatus::Stopped;
    seen.status == task.last_status
        && stop_is_known
        && desired_is_known
        && times_are_known(task, &seen.times)
        && seen.containers.iter().all(|seen| {
            let known = task.containers.iter().find(|container| container.name == seen.name);
            known.is_none_or(|container| is_container_known(container, seen))
        })
}

fn times_are_known(task: &Task, seen: &ObservedTimes) -> bool {
    let pairs = [
        (task.pull_started_at_ms, seen.pull_started_at_ms),
        (task.pull_stopped_at_ms, seen.pull_stopped_at_ms),
        (task.connectivity_at_ms, seen.connectivity_at_ms),
        (task.started_at_ms, seen.started_at_ms),
        (task.stopping_at_ms, seen.stopping_at_ms),
        (task.execution_stopped_at_ms, seen.execution_stopped_at_ms),
    ];
    let told_when_it_ran = task.last_status != TaskStatus::Running || task.started_at_ms.is_some();
    let told_when_it_stops =
        task.last_status <= TaskStatus::Running || task.stopping_at_ms.is_some();
    told_when_it_ran
        && told_when_it_stops
        && pairs.iter().all(|(known, seen)| known.is_some() || seen.is_none())
}

fn is_container_known(container: &TaskContainer, seen: &ContainerObservation<'_>) -> bool {
    let same = |known: &Option<String>, seen: Option<&str>| {
        seen.is_none_or(|seen| known.as_deref() == Some(seen))
    };
    container.last_status >= seen.status
        && same(&container.runtime_id, seen.runtime_id)
        && same(&container.image_digest, seen.image_digest)
        && same(&container.reason, seen.reason)
        && (seen.health.is_none() || container.health == seen.health)
        && (seen.exit_code.is_none() || container.exit_code == seen.exit_code)
}

/// A node's clock may be another than ours: nothing happens after now nor before the task was made.
fn observe_times(next: &mut Task, seen: &ObservedTimes, now_ms: TimestampMs) {
    let created_at_ms = next.created_at_ms;
    let note = |time: &mut Option<TimestampMs>, seen: Option<TimestampMs>| {
        let possible = |seen_ms: TimestampMs| {
            if seen_ms < created_at_ms { now_ms } else { seen_ms.min(now_ms) }
        };
        if time.is_none() {
            *time = seen.map(possible);
        }
    };
    note(&mut next.pull_started_at_ms, seen.pull_started_at_ms);
    note(&mut next.pull_stopped_at_ms, seen.pull_stopped_at_ms);
    note(&mut next.connectivity_at_ms, seen.connectivity_at_ms);
    note(&mut next.started_at_ms, seen.started_at_ms);
    note(&mut next.stopping_at_ms, seen.stopping_at_ms);
    note(&mut next.execution_stopped_at_ms, seen.execution_stopped_at_ms);
    if next.last_status == TaskStatus::Running {
        note(&mut next.started_at_ms, Some(now_ms));
    }
    if next.last_status > TaskStatus::Running {
        note(&mut next.stopping_at_ms, Some(now_ms));
    }
    if next.last_status == TaskStatus::Stopped {
        note(&mut next.stopped_at_ms, Some(now_ms));
    }
}

fn observe_container(container: &mut TaskContainer, seen: &ContainerObservation<'_>) {
    container.last_status = container.last_status.max(seen.status);
    let short = |text: &str| cut(text, IDENTIFIER_LENGTH_MAX);
    container.runtime_id = seen.runtime_id.map(short).or(container.runtime_id.take());
    container.image_digest = seen.image_digest.map(short).or(container.image_digest.take());
    container.exit_code = seen.exit_code.or(container.exit_code);
    let reason = seen.reason.map(|text| cut(text, CONTAINER_REASON_LENGTH_MAX));
    container.reason = reason.or(container.reason.take());
    container.health = seen.health.or(container.health);
}

fn cut(text: &str, characters_max: usize) -> String {
    text.chars().take(characters_max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::task;

    const NOW_MS: TimestampMs = 5_000;

    fn seen(status: TaskStatus) -> TaskObservation<'static> {
        let times = ObservedTimes::default();
        TaskObservation { status, containers: Vec::new(), times, stop: None }
    }

    fn in_status(last_status: TaskStatus) -> Task {
        Task { last_status, ..task("n1") }
    }

    /// The status of the row, the one reported -> last and desired status of the row after it.
    #[track_caller]
    fn check(row: TaskStatus, reported: TaskStatus, expected: Option<(TaskStatus, DesiredStatus)>) {
        let after = observe(&in_status(row), &seen(reported), NOW_MS);
        let is_ended = after.as_ref().map(|after| matches!(after, Observed::Ended(_)));
        let statuses = after.map(|after| (after.task().last_status, after.task().desired_status));
        assert_eq!(statuses, expected);
        assert_eq!(is_ended, expected.map(|(last, _)| last == TaskStatus::Stopped));
    }

    #[test]
    fn what_a_node_sees_moves_a_task_forward_only() {
        use DesiredStatus as D;
        use TaskStatus::{Activating, Pending, Provisioning, Running, Stopped, Stopping};
        check(Provisioning, Pending, Some((Pending, D::Running)));
        check(Provisioning, Running, Some((Running, D::Running)));
        check(Pending, Activating, Some((Activating, D::Running)));
        check(Running, Stopping, Some((Stopping, D::Stopped)));
        check(Pending, Stopped, Some((Stopped, D::Stopped)));
        check(Running, Pending, None);
        check(Activating, Activating, None);
        check(Stopped, Running, None);
        check(Stopped, Stopped, None);
    }

    #[test]
    fn a_node_cannot_report_times_that_are_yet_to_come_or_before_the_task() {
        let check = |reported_ms, expected_ms| {
            let mut task = in_status(TaskStatus::Pending);
            task.created_at_ms = 1_000;
            let mut seen = seen(TaskStatus::Running);
            seen.times.started_at_ms = Some(reported_ms);
            let after = observe(&task, &seen, NOW_MS).unwrap();
            assert_eq!(after.task().started_at_ms, Some(expected_ms));
        };
        check(NOW_MS + 3_600_000, NOW_MS);
        check(5, NOW_MS);
        check(2_000, 2_000);
    }

    /// What was reported of the health before -> what is reported now -> the health of the task, if there is news.
    #[test]
    fn health_is_what_was_said_last() {
        use HealthStatus::{Healthy, Unhealthy, Unknown};
        let check = |known, reported, expected: Option<Option<HealthStatus>>| {
            let mut task = in_status(TaskStatus::Running);
            task.started_at_ms = Some(1);
            task.containers[0].last_status = ContainerStatus::Running;
            (task.containers[0].health, task.health) = (known, known);
            let mut report = seen(TaskStatus::Running);
            report.containers = vec![ContainerObservation {
                name: "app",
                status: ContainerStatus::Running,
                runtime_id: None,
                image_digest: None,
                exit_code: None,
                reason: None,
                health: reported,
            }];
            let news = observe(&task, &report, NOW_MS);
            assert_eq!(news.as_ref().map(|news| news.task().health), expected);
            assert!(news.is_none_or(|news| news.task().version == task.version + 1));
        };
        check(Some(Unknown), Some(Unknown), None);
        check(Some(Unknown), Some(Healthy), Some(Some(Healthy)));
        check(Some(Healthy), Some(Unhealthy), Some(Some(Unhealthy)));
        check(Some(Unhealthy), Some(Healthy), Some(Some(Healthy)));
        // A node of a version without health checks, or one that has lost its record.
        check(Some(Healthy), None, None);
        check(None, None, None);
    }

    #[test]
    fn the_first_cause_of_a_stop_stands() {
        let mut task = in_status(TaskStatus::Running);
        let mut report = seen(TaskStatus::Stopped);
        report.stop = Some((StopCode::EssentialContainerExited, "Essential container exited"));
        let after = observe(&task, &report, NOW_MS).unwrap();
        assert_eq!(after.task().stop_code, Some(StopCode::EssentialContainerExited));
        task.stop_code = Some(StopCode::UserInitiated);
        let after = observe(&task, &report, NOW_MS).unwrap();
        assert_eq!(after.task().stop_code, Some(StopCode::UserInitiated));
    }

    /// Whatever is found to be known without a copy is nothing new with one, for every status and every set of
    /// things said.
    #[test]
    fn what_counts_as_known_is_nothing_new() {
        let said = [None, Some("x"), Some("y")];
        for (row, reported) in TaskStatus::ALL
            .into_iter()
            .flat_map(|row| TaskStatus::ALL.map(|reported| (row, reported)))
        {
            for bits in 0..3_u32.pow(6) {
                let choice = |place: u32| said[(bits / 3_u32.pow(place) % 3) as usize];
                let mut task = in_status(row);
                task.containers[0].runtime_id = choice(0).map(str::to_owned);
                task.started_at_ms = choice(1).map(|_| 1);
                task.stopping_at_ms = choice(2).map(|_| 1);
                let mut report = seen(reported);
                report.containers = vec![ContainerObservation {
                    name: "app",
                    status: ContainerStatus::Pending,
                    runtime_id: choice(3),
                    image_digest: None,
                    exit_code: choice(4).map(|_| 1),
                    reason: None,
                    health: None,
                }];
                report.times.stopping_at_ms = choice(5).map(|_| 2);
                let is_known = is_known(&task, &report);
                let is_new = observe_slowly(&task, &report);
                assert!(!(is_known && is_new), "{row:?} {reported:?} {bits}");
            }
        }
    }

    /// Whether comparing a copy finds something new, without the short way.
    fn observe_slowly(task: &Task, report: &TaskObservation<'_>) -> bool {
        if task.last_status >= TaskStatus::Stopped || report.status < task.last_status {
            return false;
        }
        let mut next = task.clone();
        advance(&mut next, Owner::Node, report.status);
        observe_times(&mut next, &report.times, NOW_MS);
        observe_container(&mut next.containers[0], &report.containers[0]);
        if next.last_status > TaskStatus::Running {
            next.desired_status = DesiredStatus::Stopped;
        }
        next != *task
    }
}
