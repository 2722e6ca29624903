//! The tasks of a node: those that an earlier agent left, and those of each assignment.
//!
//! **Invariant:** a report says every task of its generation: a task is on the board before the generation is taken over.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use outport_container_runtime::RuntimeError;
use outport_model::task::StopCode;
use outport_model::{TaskId, TaskStatus};
use outport_node_protocol::{Assignment, StopCause, TaskAssignment};
use tokio::sync::watch;

use super::orders::{order_of, raise, valid};
use super::strangers::remove_strangers;
use super::{AgentError, Runner, Shared, unreadable};
use crate::control_plane::now_ms;
use crate::task::runner::StopReason;
use crate::task::{Order, Origin, TaskRunner};
use crate::task_record::{Loaded, TaskRecord, nothing_seen};

/// AWS's text for tasks whose host went away. Source: "Stopped tasks error messages".
const HOST_STOPPED: &str = "Host was stopped or restarted while the task ran.";

impl Shared {
    /// Records become runners again; what has no record is removed. What is not understood, or damaged, is left as it is.
    pub(super) async fn take_over(self: &Arc<Self>) -> Result<(), AgentError> {
        let Loaded { records, kept, damaged, lost } = self.records.load()?;
        let records = self.with_ids(records).await?;
        let known: HashSet<TaskId> = records
            .iter()
            .map(|record| record.report.task.clone())
            .chain(kept.iter().chain(&damaged).cloned())
            .collect();
        for record in &records {
            if let Some(first_id) = record.first_id {
                self.machine.users.keep(&record.report.task, first_id);
            }
        }
        self.leave_alone(&kept, &damaged).await?;
        let (runtime, known_here, marks) =
            (self.machine.runtime.clone(), known.clone(), self.records.clone());
        let strangers = tokio::task::spawn_blocking(move || {
            let is_stranger = |task: &TaskId| !known_here.contains(task);
            remove_strangers(&runtime, is_stranger, |task| marks.mark(task))
        });
        let strangers = strangers.await.map_err(std::io::Error::other)??;
        self.machine.networks.remove_strangers(|task| !known.contains(task)).await?;
        let (users, left_alone) = (self.machine.users.clone(), [&kept[..], &damaged].concat());
        tokio::task::spawn_blocking(move || users.remove_strangers(&left_alone))
            .await
            .map_err(std::io::Error::other)??;
        for task in lost.into_iter().chain(strangers) {
            tracing::error!(%task, "its record is lost: it is not started again");
            self.lost().insert(task);
        }
        self.lost().extend(damaged);
        self.kept().extend(kept);
        for mut record in records {
            if record.boot_id != self.boot_id && record.report.status < TaskStatus::Stopped {
                record.boot_id.clone_from(&self.boot_id);
                record.report.status = record.report.status.max(TaskStatus::Stopping);
                record.report.stop.get_or_insert_with(|| StopCause {
                    code: StopCode::TerminationNotice,
                    reason: HOST_STOPPED.to_owned(),
                });
            }
            self.run(record, Order::Run, Origin::TakenOver);
        }
        Ok(())
    }

    /// A version that did not know of user namespaces wrote some records again without the ids of their tasks: what
    /// containers were made with says which they have.
    async fn with_ids(&self, mut records: Vec<TaskRecord>) -> Result<Vec<TaskRecord>, AgentError> {
        let runtime = self.machine.runtime.clone();
        let read = tokio::task::spawn_blocking(move || {
            let holds = runtime.holds_of_all()?;
            for record in records.iter_mut().filter(|record| record.first_id.is_none()) {
                let held = holds.get(record.report.task.as_str());
                record.first_id = held.and_then(|holds| holds.first_id);
            }
            Ok::<_, RuntimeError>(records)
        });
        Ok(read.await.map_err(std::io::Error::other)??)
    }

    /// Keeps for what is not understood what its containers need: the layers of their images, their ids, and a word in
    /// every report. What is damaged may be understood again once the assignment has come.
    async fn leave_alone(&self, kept: &[TaskId], damaged: &[TaskId]) -> Result<(), AgentError> {
        for task in kept {
            self.board.leave_alone(nothing_seen(task));
        }
        for task in kept.iter().chain(damaged) {
            let (runtime, id) = (self.machine.runtime.clone(), task.clone());
            let holds = tokio::task::spawn_blocking(move || runtime.holds(id.as_str()));
            let holds = holds.await.map_err(std::io::Error::other)??;
            self.machine.images.hold_layers(task, holds.layers.as_deref());
        }
        Ok(())
    }

    fn run(self: &Arc<Self>, record: TaskRecord, order: Order, origin: Origin) {
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
            origin,
        );
        let work = tokio::spawn(runner.run());
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
        for task in self.kept().iter() {
            wanted.remove(task);
            unreadable.remove(task);
        }
        let mut lost = std::mem::take(&mut *self.lost());
        // What is here of those may run: it is not said to have stopped, and waits for a version that reads both.
        let waiting: Vec<TaskId> =
            lost.iter().filter(|task| unreadable.remove(*task).is_some()).cloned().collect();
        self.refused.follow(&unreadable, &self.board, now_ms());
        for task in wanted.into_values() {
            let order = order_of(&task);
            let is_lost = lost.remove(&task.task);
            let mut record = TaskRecord::new(task, &self.boot_id);
            if is_lost {
                record.first_id = self.ids_of(&record.report.task);
            }
            self.run(record, order, if is_lost { Origin::Unrecorded } else { Origin::New });
        }
        for task in lost {
            if waiting.contains(&task) {
                self.lost().insert(task);
            } else {
                tokio::spawn(self.clone().remove_unwanted(task));
            }
        }
        self.generation.store(assignment.generation, Ordering::Release);
    }
    /// Those that the containers of a task without a record were made with.
    fn ids_of(&self, task: &TaskId) -> Option<u32> {
        let first_id = self.machine.runtime.holds(task.as_str()).ok()?.first_id?;
        self.machine.users.keep(task, first_id);
        Some(first_id)
    }

    /// A task without a record that is not assigned: the control plane does not want it any more.
    async fn remove_unwanted(self: Arc<Self>, task: TaskId) {
        let (runtime, records, id) =
            (self.machine.runtime.clone(), self.records.clone(), task.clone());
        let removed = tokio::task::spawn_blocking(move || {
            remove_strangers(&runtime, |found| *found == id, |_| Ok(()))
        });
        let removed = removed.await.map_err(std::io::Error::other);
        let removed = removed.map_err(AgentError::from).and_then(|removed| Ok(removed?));
        let detached = self.machine.networks.remove_strangers(|found| *found == task).await;
        let outcome = removed.and_then(|_| Ok(detached?)).and_then(|()| Ok(records.forget(&task)?));
        if let Err(error) = outcome {
            // The next start finds it again.
            tracing::error!(%task, %error, "cannot remove what is left of it");
        }
    }
}
