//! Tasks of an assignment that this version cannot read.
//!
//! **Invariant:** a task that runs here runs on, whatever form its next assignment has; one that does not is reported as
//! failed, with what to do, until nobody asks for it any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use outport_container_runtime::check_task;
use outport_model::task::StopCode;
use outport_model::{DesiredStatus, TaskId, TaskStatus, TimestampMs};
use outport_node_protocol::{StopCause, TaskReport, UnreadableTask};

use crate::task::Order;
use crate::task_record::nothing_seen;
use crate::task_reports::TaskReports;

/// Those of one assignment, by their names.
pub(super) type UnreadableTasks = BTreeMap<TaskId, UnreadableTask>;

/// What the node has refused so far, and reports for as long as it is assigned.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<BTreeSet<TaskId>>);

/// One without a name, or with one that could be another's, is said and nothing more can be done.
pub(super) fn by_name(tasks: Vec<UnreadableTask>) -> UnreadableTasks {
    let mut named = UnreadableTasks::new();
    for unreadable in tasks {
        match &unreadable.task {
            Some(task) if check_task(task.as_str()).is_ok() => {
                named.insert(task.clone(), unreadable);
            }
            _ => tracing::error!(
                event = "assignment_not_understood",
                reason = unreadable.reason,
                "the assignment has something that this version does not know; upgrade outport on this node"
            ),
        }
    }
    named
}

/// What is ordered for a task that runs here by its record.
pub(super) fn order_of(unreadable: &UnreadableTask) -> Order {
    match unreadable.desired {
        Some(DesiredStatus::Stopped) => Order::Stop(None),
        Some(DesiredStatus::Running) | None => Order::Run,
    }
}

impl Refused {
    /// Reports those that are new, and forgets those that are not assigned any more.
    pub fn follow(
        &self,
        unreadable: &UnreadableTasks,
        task_reports: &TaskReports,
        now_ms: TimestampMs,
    ) {
        let mut refused = self.lock();
        refused.retain(|task| {
            let is_assigned = unreadable.contains_key(task);
            if !is_assigned {
                task_reports.forget(task);
            }
            is_assigned
        });
        for (task, unreadable) in unreadable {
            if refused.insert(task.clone()) {
                let report = failure(task, &unreadable.reason, now_ms);
                tracing::error!(
                    event = "task_refused",
                    %task,
                    reason = reason_of(&report),
                    "cannot run a task that this version does not understand"
                );
                task_reports.put(report);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<TaskId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn reason_of(report: &TaskReport) -> &str {
    report.stop.as_ref().map_or("", |stop| &stop.reason)
}

/// The report of a task for which nothing was done.
fn failure(task: &TaskId, reason: &str, now_ms: TimestampMs) -> TaskReport {
    let reason = format!(
        "ResourceInitializationError: the node's outport {} is too old for this task: upgrade it and start the task \
         again ({reason})",
        env!("CARGO_PKG_VERSION")
    );
    TaskReport {
        status: TaskStatus::Stopped,
        stopped_at_ms: Some(now_ms),
        stop: Some(StopCause { code: StopCode::TaskFailedToStart, reason }),
        ..nothing_seen(task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreadable(task: Option<&str>, desired: Option<DesiredStatus>) -> UnreadableTask {
        let reason = "unknown variant `Mesh`".to_owned();
        UnreadableTask { task: task.map(TaskId::new), desired, reason }
    }

    #[test]
    fn it_is_reported_once_until_it_is_gone() {
        let (refused, task_reports) = (Refused::default(), TaskReports::default());
        let strange = [None, Some("../etc"), Some("")].map(|task| unreadable(task, None));
        let mut tasks =
            by_name(strange.into_iter().chain([unreadable(Some("t1"), None)]).collect());
        assert_eq!(tasks.keys().map(TaskId::as_str).collect::<Vec<_>>(), ["t1"]);
        refused.follow(&tasks, &task_reports, 5);
        refused.follow(&tasks, &task_reports, 9);
        let [report] = &task_reports.reports()[..] else { panic!("one report") };
        assert_eq!((report.status, report.stopped_at_ms), (TaskStatus::Stopped, Some(5)));
        let stop = report.stop.as_ref().unwrap();
        assert_eq!(stop.code, StopCode::TaskFailedToStart);
        assert!(stop.reason.contains("upgrade it") && stop.reason.contains("`Mesh`"), "{stop:?}");
        tasks.clear();
        refused.follow(&tasks, &task_reports, 10);
        assert_eq!(task_reports.reports(), []);
    }

    #[test]
    fn only_a_stop_that_can_be_read_is_one() {
        let check = |desired, expected| {
            assert_eq!(order_of(&unreadable(Some("t1"), desired)), expected);
        };
        check(Some(DesiredStatus::Stopped), Order::Stop(None));
        check(Some(DesiredStatus::Running), Order::Run);
        check(None, Order::Run);
    }
}
