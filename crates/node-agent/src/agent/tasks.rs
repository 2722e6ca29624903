//! The tasks of a node: those that an earlier agent left, and those of each assignment.
//!
//! **Invariant:** a report says every task of its generation: a task is on the board before the generation is taken over.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use outport_model::task::StopCode;
use outport_model::{TaskId, TaskStatus};
use outport_node_protocol::{Assignment, StopCause, TaskAssignment};
use tokio::sync::watch;

use super::orders::{order_of, raise, valid};
use super::strangers::remove_strangers;
use super::{AgentError, Runner, Shared, unreadable};
use crate::control_plane::now_ms;
use crate::task::runner::StopReason;
use crate::task::{Order, TaskRunner};
use crate::task_record::{Loaded, TaskRecord};

/// AWS's text for tasks whose host went away. Source: "Stopped tasks error messages".
const HOST_STOPPED: &str = "Host was stopped or restarted while the task ran.";

const RECORD_LOST: &str = "The host lost its record of the task.";

impl Shared {
    /// Records become runners again; what has no record is removed.
    pub(super) async fn take_over(self: &Arc<Self>) -> Result<(), AgentError> {
        let Loaded { records, unreadable } = self.records.load()?;
        let known: Vec<TaskId> = records.iter().map(|record| record.report.task.clone()).collect();
        for record in &records {
            if let Some(first_id) = record.first_id {
                self.machine.users.keep(&record.report.task, first_id);
            }
        }
        let (runtime, kept, marks) =
            (self.machine.runtime.clone(), known.clone(), self.records.clone());
        let strangers = tokio::task::spawn_blocking(move || {
            remove_strangers(&runtime, &kept, |task| marks.mark(task))
        });
        let strangers = strangers.await.map_err(std::io::Error::other)??;
        self.machine.networks.remove_strangers(&known).await?;
        let users = self.machine.users.clone();
        tokio::task::spawn_blocking(move || users.remove_strangers())
            .await
            .map_err(std::io::Error::other)??;
        for task in unreadable.into_iter().chain(strangers) {
            tracing::error!(%task, "its record is lost: it is not started again");
            self.lost().insert(task);
        }
        for mut record in records {
            if record.boot_id != self.boot_id && record.report.status < TaskStatus::Stopped {
                record.boot_id.clone_from(&self.boot_id);
                record.report.status = record.report.status.max(TaskStatus::Stopping);
                record.report.stop.get_or_insert_with(|| StopCause {
                    code: StopCode::TerminationNotice,
                    reason: HOST_STOPPED.to_owned(),
                });
            }
            self.run(record, Order::Run, true);
        }
        Ok(())
    }

    fn run(self: &Arc<Self>, record: TaskRecord, order: Order, taken_over: bool) {
        let task = record.report.task.clone();
        // Before the generation is taken over: a report says every task of its generation.
        self.board.put(record.report.clone());
        let (orders, receiver) = watch::channel(order);
        let runner = TaskRunner::new(
            self.machine.clone(),
            self.records.clone(),
            self.board.clone(),
            record,
            receiver,
        );
        let work = tokio::spawn(runner.run(taken_over));
        let mut runners = self.runners();
        if let Some(reason) = self.stopping.get() {
            raise(&orders, Order::Stop(Some(reason.clone())));
        }
        runners.insert(task, Runner { orders, work });
    }

    /// Orders every task to stop, and every one that an assignment under way still brings.
    pub(super) fn stop_all(&self, reason: StopReason) {
        let runners = self.runners();
        let reason = self.stopping.get_or_init(|| reason);
        for runner in runners.values() {
            raise(&runner.orders, Order::Stop(Some(reason.clone())));
        }
    }

    /// Makes what runs here what the assignment says.
    pub(super) fn follow(self: &Arc<Self>, assignment: Assignment) {
        let mut wanted: HashMap<TaskId, TaskAssignment> =
            valid(assignment.tasks).map(|task| (task.task.clone(), task)).collect();
        let mut unreadable = unreadable::by_name(assignment.unreadable);
        {
            let mut runners = self.runners();
            runners.retain(|_, runner| !runner.work.is_finished());
            for (task, runner) in runners.iter() {
                match (wanted.remove(task), unreadable.remove(task)) {
                    (Some(task), _) => raise(&runner.orders, order_of(&task)),
                    (None, Some(task)) => raise(&runner.orders, unreadable::order_of(&task)),
                    (None, None) => raise(&runner.orders, Order::Forget),
                }
            }
        }
        self.refused.follow(&unreadable, &self.board, now_ms());
        let mut lost = std::mem::take(&mut *self.lost());
        for task in wanted.into_values() {
            let order = order_of(&task);
            let is_lost = lost.remove(&task.task);
            let mut record = TaskRecord::new(task, &self.boot_id);
            if is_lost {
                record.report.status = TaskStatus::Stopping;
                let (code, reason) = (StopCode::TerminationNotice, RECORD_LOST.to_owned());
                record.report.stop = Some(StopCause { code, reason });
            }
            self.run(record, order, is_lost);
        }
        for task in lost {
            if unreadable.contains_key(&task) {
                self.lost().insert(task);
                continue;
            }
            // Nobody wants it any more.
            if let Err(error) = self.records.forget(&task) {
                tracing::error!(%task, %error, "cannot remove what is left of it");
            }
        }
        self.generation.store(assignment.generation, Ordering::Release);
    }
}
