//! The end of a task: stopped, let go of, forgotten.
//!
//! **Invariant:** each step towards STOPPED has a bound; what it leaves is tried until it is done, before the task is
//! forgotten.

use std::collections::BTreeMap;
use std::time::Duration;

use outport_model::TaskStatus;
use outport_model::task::ContainerStatus;
use outport_node_protocol::StopCause;
use tokio::time::Instant;

use super::{Event, Order, TaskRunner};
use crate::task::host::{ContainerExit, TaskHost};
use crate::task::life_log;
use crate::task::plan::{self, Stage};

/// How long a stopped task waits for its last log lines before it is reported STOPPED: who asks for
/// the log of a task that is over should find it whole.
const LOG_GRACE: Duration = Duration::from_secs(3);
/// How long the logs of a forgotten task are kept when they cannot be delivered.
const UNDELIVERED_LOG_KEEP: Duration = Duration::from_secs(6 * 3600);
/// How long a container whose processes were killed may take to end. Longer ones are stuck in the kernel,
/// on a disk that does not answer; they are reported for what they are, and removed when they can be.
const KILLED_PATIENCE: Duration = Duration::from_secs(60);
const UNKILLABLE: &str = "The container's processes were killed and did not end";
/// How long the network and the images of a stopped task may take to be let go before it is reported
/// STOPPED all the same: what is left is removed when the task is forgotten.
const RELEASE_PATIENCE: Duration = Duration::from_secs(20);
/// First wait before what could not be removed is tried again; doubles up to the last.
const FORGET_RETRY_FIRST: Duration = Duration::from_secs(1);
const FORGET_RETRY_MAX: Duration = Duration::from_secs(60);
/// Fargate's longest stop timeout; nothing waits longer. Source: `stopTimeout`.
const STOP_TIMEOUT_S_MAX: u32 = 120;

impl<H: TaskHost> TaskRunner<H> {
    /// SIGTERM, the stop timeout, SIGKILL; in the reverse order of the dependencies.
    pub(super) async fn stop(&mut self, cause: Option<StopCause>) {
        let now_ms = self.host.now_ms();
        let report = &mut self.record.report;
        if report.stop.is_none() {
            report.stop = cause;
        }
        report.stopping_at_ms.get_or_insert(now_ms);
        self.advance(TaskStatus::Stopping);
        // Container index to when it is killed.
        let mut deadlines: BTreeMap<usize, Instant> = BTreeMap::new();
        // And since when it is being killed.
        let mut killed: BTreeMap<usize, Instant> = BTreeMap::new();
        let mut hurried: Option<Instant> = None;
        loop {
            for index in plan::next_stops(&self.record.assignment.containers, &self.stages) {
                if deadlines.contains_key(&index) {
                    continue;
                }
                let container = self.container(index);
                let timeout_s = container.definition.stop_timeout_s.min(STOP_TIMEOUT_S_MAX);
                self.host.terminate(&self.record.report.task, &container.definition.name).await;
                let timeout = Duration::from_secs(u64::from(timeout_s));
                deadlines.insert(index, Instant::now() + timeout);
            }
            // It may have been stopping for another reason when this one came.
            if let Order::Hurry(_, timeout) = self.order() {
                let last = *hurried.get_or_insert_with(|| Instant::now() + timeout);
                deadlines.values_mut().for_each(|deadline| *deadline = last.min(*deadline));
            }
            if !self.stages.contains(&Stage::Running) {
                break;
            }
            let next = deadlines
                .iter()
                .filter(|(index, _)| self.stages[**index] == Stage::Running)
                .map(|(_, deadline)| *deadline)
                .min();
            match self.next_event(next).await {
                Event::Exit(index, exit) => self.note_exit(index, exit),
                Event::Health(index, health) => self.note_health(index, health),
                Event::Order => {}
                Event::Deadline => self.kill_overdue(&mut deadlines, &mut killed).await,
            }
        }
        self.record.report.execution_stopped_at_ms.get_or_insert(self.host.now_ms());
    }

    async fn kill_overdue(
        &mut self,
        deadlines: &mut BTreeMap<usize, Instant>,
        killed: &mut BTreeMap<usize, Instant>,
    ) {
        /// A kill that had no effect yet is sent again after this.
        const KILL_AGAIN: Duration = Duration::from_secs(1);
        let now = Instant::now();
        for (index, deadline) in deadlines.iter_mut() {
            if *deadline > now || self.stages[*index] != Stage::Running {
                continue;
            }
            if now.duration_since(*killed.entry(*index).or_insert(now)) >= KILLED_PATIENCE {
                let task = &self.record.report.task;
                tracing::error!(
                    event = "container_not_killed",
                    %task,
                    container = self.container(*index).definition.name,
                    "a container's processes were killed and did not end"
                );
                let reason = Some(UNKILLABLE.to_owned());
                let finished_at_ms = self.host.now_ms();
                self.note_exit(*index, ContainerExit { exit_code: None, reason, finished_at_ms });
                continue;
            }
            self.host.kill(&self.record.report.task, &self.container(*index).definition.name).await;
            *deadline = now + KILL_AGAIN;
        }
    }

    /// Lets go of all that the task holds on this machine, then says STOPPED.
    pub(super) async fn release(&mut self) {
        self.advance(TaskStatus::Deprovisioning);
        let task = self.record.report.task.clone();
        for index in 0..self.stages.len() {
            // Made and never let go: it has no log to wait for.
            if self.created[index] && self.stages[index] == Stage::Waiting {
                self.host.kill(&task, &self.container(index).definition.name).await;
            }
        }
        if tokio::time::timeout(LOG_GRACE, self.host.logs_shipped(&task)).await.is_err() {
            tracing::warn!(
                event = "task_stopped_before_its_log",
                %task,
                "a task is STOPPED before all of its log was delivered; delivery goes on"
            );
        }
        let released = self.host.release(&self.record.assignment);
        if tokio::time::timeout(RELEASE_PATIENCE, released).await.is_err() {
            tracing::error!(
                event = "task_release_delayed",
                %task,
                "cannot release all that a stopped task holds in time; that goes on"
            );
        }
        for container in &mut self.record.report.containers {
            container.status = ContainerStatus::Stopped;
        }
        self.record.report.stopped_at_ms = Some(self.host.now_ms());
        self.advance(TaskStatus::Stopped);
        life_log::stopped(&self.record.report);
    }

    pub(super) async fn wait_until_forgotten(&mut self) {
        while self.order() != Order::Forget {
            if self.orders.changed().await.is_err() {
                return; // The agent is going: the record stays for the next one.
            }
        }
        let task = self.record.report.task.clone();
        self.task_reports.forget(&task);
        let shipped = self.host.logs_shipped(&task);
        if tokio::time::timeout(UNDELIVERED_LOG_KEEP, shipped).await.is_err() {
            tracing::error!(
                event = "task_log_given_up",
                %task,
                "the last log lines of a task cannot be delivered and are given up"
            );
        }
        // Until it is done: what cannot be removed now, for want of descriptors or of a process that does
        // not go, is nobody else's to remove. The record stays meanwhile, for the next agent.
        let mut retry = FORGET_RETRY_FIRST;
        while !self.is_forgotten().await {
            tokio::time::sleep(retry).await;
            retry = (retry * 2).min(FORGET_RETRY_MAX);
        }
    }

    async fn is_forgotten(&self) -> bool {
        if !self.host.forget(&self.record.assignment).await {
            return false;
        }
        let task = &self.record.report.task;
        let forgotten = self.records.forget(task);
        if let Err(error) = &forgotten {
            tracing::error!(
                event = "task_directory_not_removed",
                %task,
                %error,
                "cannot remove the directory of a task yet"
            );
        }
        forgotten.is_ok()
    }
}
