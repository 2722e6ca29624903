//! The observed state of every task that this node knows; what reports are made of.
//!
//! **Invariant:** a status on the board only moves forward.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use outport_model::{TaskId, TaskStatus};
use outport_node_protocol::TaskReport;
use tokio::sync::Notify;

/// Written by the task runners, read by the reporter.
#[derive(Debug, Default)]
pub struct Board {
    reports: Mutex<BTreeMap<TaskId, TaskReport>>,
    /// Of tasks that this version leaves alone: the control plane is told that they are here, and no more.
    left_alone: Mutex<Vec<TaskReport>>,
    changed: Notify,
}

impl Board {
    pub fn put(&self, report: TaskReport) {
        let mut reports = self.lock();
        if let Some(known) = reports.get(&report.task)
            && known.status > report.status
        {
            return;
        }
        reports.insert(report.task.clone(), report);
        drop(reports);
        self.changed.notify_one();
    }

    /// Says for as long as this process lives that a task is here of which nothing else is known.
    pub fn leave_alone(&self, report: TaskReport) {
        self.left_alone.lock().unwrap_or_else(PoisonError::into_inner).push(report);
    }

    /// Once the control plane no longer assigns it.
    pub fn forget(&self, task: &TaskId) {
        self.lock().remove(task);
        self.changed.notify_one();
    }

    /// Something else that reports carry has changed.
    pub fn wake(&self) {
        self.changed.notify_one();
    }

    pub fn reports(&self) -> Vec<TaskReport> {
        let left_alone = self.left_alone.lock().unwrap_or_else(PoisonError::into_inner);
        self.lock().values().chain(left_alone.iter()).cloned().collect()
    }

    pub fn all_stopped(&self) -> bool {
        self.lock().values().all(|report| report.status >= TaskStatus::Stopped)
    }

    /// How many tasks are not STOPPED.
    pub fn unstopped(&self) -> usize {
        self.lock().values().filter(|report| report.status < TaskStatus::Stopped).count()
    }

    /// Waits for a change since the last wait.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TaskId, TaskReport>> {
        // A panic cannot leave a map of whole values half-written.
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
