//! The observed state of every task that this node knows; what reports are made of.
//!
//! **Invariant:** a status in the task reports only moves forward.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use outport_model::{TaskId, TaskStatus};
use outport_node_protocol::TaskReport;
use tokio::sync::Notify;

/// Written by the task runners, read by the reporter.
#[derive(Debug, Default)]
pub struct TaskReports {
    held: Mutex<Held>,
    /// Of tasks that this version leaves alone: the control plane is told that they are here, and no more.
    left_alone: Mutex<Vec<TaskReport>>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Held {
    reports: BTreeMap<TaskId, TaskReport>,
    /// Tasks of which the control plane does not know the newest, by the number of their last change.
    undelivered: BTreeMap<TaskId, Change>,
    last_change: Change,
}

/// Changes are counted, from when the process started.
pub type Change = u64;

impl TaskReports {
    pub fn put(&self, report: TaskReport) {
        let mut held = self.lock();
        if let Some(known) = held.reports.get(&report.task)
            && known.status > report.status
        {
            return;
        }
        held.last_change += 1;
        let change = held.last_change;
        held.undelivered.insert(report.task.clone(), change);
        held.reports.insert(report.task.clone(), report);
        drop(held);
        self.changed.notify_one();
    }

    /// Says for as long as this process lives that a task is here of which nothing else is known.
    pub fn leave_alone(&self, report: TaskReport) {
        self.left_alone.lock().unwrap_or_else(PoisonError::into_inner).push(report);
    }

    /// Once the control plane no longer assigns it.
    pub fn forget(&self, task: &TaskId) {
        let mut held = self.lock();
        held.reports.remove(task);
        held.undelivered.remove(task);
        drop(held);
        self.changed.notify_one();
    }

    /// Something else that reports carry has changed.
    pub fn wake(&self) {
        self.changed.notify_one();
    }

    /// Of every task, and the last change that is in it.
    pub fn whole(&self) -> (Vec<TaskReport>, Change) {
        let left_alone = self.left_alone.lock().unwrap_or_else(PoisonError::into_inner);
        let held = self.lock();
        let reports = held.reports.values().chain(left_alone.iter()).cloned().collect();
        (reports, held.last_change)
    }

    /// Of the tasks that changed since what was delivered, and the last change that is in it.
    pub fn changes(&self) -> (Vec<TaskReport>, Change) {
        let held = self.lock();
        let changed = held.undelivered.keys().filter_map(|task| held.reports.get(task));
        (changed.cloned().collect(), held.last_change)
    }

    /// The control plane knows everything up to that change.
    pub fn delivered(&self, change: Change) {
        self.lock().undelivered.retain(|_, last| *last > change);
    }

    pub fn reports(&self) -> Vec<TaskReport> {
        self.whole().0
    }

    pub fn of(&self, task: &TaskId) -> Option<TaskReport> {
        self.lock().reports.get(task).cloned()
    }

    pub fn all_stopped(&self) -> bool {
        self.lock().reports.values().all(|report| report.status >= TaskStatus::Stopped)
    }

    /// The tasks that are not STOPPED.
    pub fn unstopped(&self) -> Vec<TaskId> {
        let held = self.lock();
        let unstopped = held.reports.values().filter(|report| report.status < TaskStatus::Stopped);
        unstopped.map(|report| report.task.clone()).collect()
    }

    /// Waits for a change since the last wait.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // A panic cannot leave a map of whole values half-written.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task_record::nothing_seen;

    fn report(task: &str, status: TaskStatus) -> TaskReport {
        TaskReport { status, ..nothing_seen(&TaskId::new(task)) }
    }

    #[test]
    fn what_was_delivered_is_not_said_again_until_it_changes() {
        let reports = TaskReports::default();
        let changes = || {
            let (changed, last) = reports.changes();
            (changed.into_iter().map(|report| report.task.to_string()).collect::<Vec<_>>(), last)
        };
        reports.put(report("a", TaskStatus::Pending));
        reports.put(report("b", TaskStatus::Pending));
        let (first, upto) = changes();
        assert_eq!(first, ["a", "b"]);
        // While it is on its way one of them changes; a step back is none.
        reports.put(report("b", TaskStatus::Running));
        reports.put(report("a", TaskStatus::Provisioning));
        assert_eq!(changes().0, ["a", "b"], "not delivered yet");
        reports.delivered(upto);
        assert_eq!(changes().0, ["b"]);
        // A report that was lost, and one that brings everything.
        reports.put(report("c", TaskStatus::Pending));
        assert_eq!(changes().0, ["b", "c"]);
        let (whole, upto) = reports.whole();
        assert_eq!(whole.len(), 3);
        reports.forget(&TaskId::new("c"));
        assert_eq!(changes().0, ["b"]);
        reports.delivered(upto);
        assert_eq!(changes().0, [""; 0]);
        assert_eq!(reports.reports().len(), 2);
    }
}
