//! The tasks of a node: those that an earlier agent left, and those of each assignment. What it runs on is handed in: the
//! machine, or the one of the simulation.
//!
//! **Invariant:** a whole report says every task of its generation: a task is in the task reports before the generation is taken
//! over. An assignment older than the one that is followed is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use outport_model::task::StopCode;
use outport_model::{NodeId, TaskId, TaskStatus};
use outport_node_protocol::{Report, StopCause, TaskAssignment, TaskSection};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::orders::{order_of, raise, valid};
use super::unreadable::{self, Refused};
use crate::task::host::NodeHost;
use crate::task::runner::StopReason;
use crate::task::{Order, Origin, TaskRunner, life_log};
use crate::task_record::{TaskRecord, TaskRecords, nothing_seen};
use crate::task_reports::{Change, TaskReports};

/// AWS's text for tasks whose host went away. Source: "Stopped tasks error messages".
const HOST_STOPPED: &str = "Host was stopped or restarted while the task ran.";

/// How long a task has that takes all that the host's disk has: until it is gone it goes on taking, and nobody else can
/// write. A guess: enough for one who stops at the signal.
const STOP_ONE_TIMEOUT: Duration = Duration::from_secs(2);

/// Follows assignments, with a runner for each task. Dropping it leaves the tasks running. What it does for several tasks it
/// does in the order of their ids, so that a run of it can be repeated.
pub struct Tasks<H> {
    host: Arc<H>,
    records: TaskRecords,
    task_reports: Arc<TaskReports>,
    boot_id: String,
    generation: AtomicU64,
    /// What is followed, whole: news may be changes to it.
    section: Mutex<TaskSection>,
    /// Set once, when everything is to stop: tasks that are assigned later end with it, too.
    stopping: OnceLock<StopReason>,
    runners: Mutex<BTreeMap<TaskId, Runner>>,
    /// Tasks that were here and whose record is lost or damaged, until the control plane has said whether it still knows
    /// them. Of one that it does, what runs is taken over by the assignment; if nothing does, it is reported stopped: it
    /// may have run.
    lost: Mutex<BTreeSet<TaskId>>,
    /// Tasks whose records are of a version that is not understood here. They are left alone.
    kept: Mutex<BTreeSet<TaskId>>,
    refused: Refused,
}

struct Runner {
    /// The task definition, `family:revision`.
    definition: String,
    orders: watch::Sender<Order>,
    work: JoinHandle<()>,
}

/// An assignment does not come after the one that is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotNext {
    pub known: u64,
    pub offered: u64,
    /// Of changes: to which generation.
    pub since: Option<u64>,
}

impl<H: NodeHost> Tasks<H> {
    /// `boot_id` is the one of the host's boot: what ran in another one does not run any more.
    pub fn new(host: Arc<H>, records: TaskRecords, boot_id: String) -> Self {
        Self {
            host,
            records,
            task_reports: Arc::default(),
            boot_id,
            generation: AtomicU64::default(),
            section: Mutex::default(),
            stopping: OnceLock::new(),
            runners: Mutex::default(),
            lost: Mutex::default(),
            kept: Mutex::default(),
            refused: Refused::default(),
        }
    }

    pub fn task_reports(&self) -> &Arc<TaskReports> {
        &self.task_reports
    }

    /// That of the assignment that is followed; 0 before the first.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// What the control plane is told: all, or only what changed since what was delivered. Reports of one agent have growing
    /// sequences. Once it is delivered, [`TaskReports::delivered`] wants to know the change that comes with it.
    pub fn report(
        &self,
        node: NodeId,
        sequence: u64,
        accepts_tasks: bool,
        changes_only: bool,
    ) -> (Report, Change) {
        // Before the tasks: those of a generation are there before it is.
        let generation = self.generation();
        let (tasks, change) = match changes_only {
            true => self.task_reports.changes(),
            false => self.task_reports.whole(),
        };
        let boot_id = self.boot_id.clone();
        let unreadable = Vec::new();
        let report = Report {
            node,
            boot_id,
            sequence,
            generation,
            tasks,
            accepts_tasks,
            changes_only,
            unreadable,
        };
        (report, change)
    }

    /// Records become runners again; what has no record is removed. What is not understood, or damaged, is left as it is.
    ///
    /// # Errors
    /// When the records or the machine cannot be read: nothing is known of the tasks then.
    pub async fn adopt(&self) -> Result<(), H::Error> {
        let mut found = self.records.load()?;
        // A word in every report. What is damaged may be understood again once the assignment has come.
        for task in &found.kept {
            self.task_reports.leave_alone(nothing_seen(task));
        }
        let marks = self.records.clone();
        let leftovers = self.host.take_over(&mut found, move |task| marks.mark(task)).await?;
        for task in found.lost.into_iter().chain(leftovers) {
            tracing::error!(
                event = "task_record_lost",
                %task,
                "the record of a task is lost: it is not started again"
            );
            self.lost().insert(task);
        }
        self.lost().extend(found.damaged);
        self.kept().extend(found.kept);
        for mut record in found.records {
            if record.boot_id != self.boot_id && record.report.status < TaskStatus::Stopped {
                record.boot_id.clone_from(&self.boot_id);
                record.report.status = record.report.status.max(TaskStatus::Stopping);
                record.report.stop.get_or_insert_with(|| StopCause {
                    code: StopCode::TerminationNotice,
                    reason: HOST_STOPPED.to_owned(),
                });
            }
            self.run(record, Order::Run, Origin::Recorded);
        }
        Ok(())
    }

    fn run(&self, record: TaskRecord, order: Order, origin: Origin) {
        let task = record.report.task.clone();
        let TaskAssignment { family, revision, .. } = &record.assignment;
        let definition = format!("{family}:{revision}");
        let span = life_log::span(&record.assignment);
        // Before the generation is taken over: a report says every task of its generation.
        self.task_reports.put(record.report.clone());
        let (orders, receiver) = watch::channel(order);
        let runner = TaskRunner::new(
            self.host.clone(),
            self.records.clone(),
            self.task_reports.clone(),
            record,
            receiver,
            origin,
        );
        let work = tokio::spawn(runner.run().instrument(span));
        let mut runners = self.runners();
        if let Some(reason) = self.stopping.get() {
            raise(&orders, Order::Stop(Some(reason.clone())));
        }
        runners.insert(task, Runner { definition, orders, work });
    }

    /// Orders every task to stop, and every one that an assignment under way still brings.
    pub fn stop_all(&self, reason: StopReason) {
        let runners = self.runners();
        let reason = self.stopping.get_or_init(|| reason);
        for runner in runners.values() {
            raise(&runner.orders, Order::Stop(Some(reason.clone())));
        }
    }

    /// Kills what is left after [`Tasks::stop_all`], without another word.
    pub fn kill_all(&self) {
        let Some(reason) = self.stopping.get() else { return };
        for runner in self.runners().values() {
            raise(&runner.orders, Order::Hurry(reason.clone(), Duration::ZERO));
        }
    }

    /// Ends one task for a reason of the node's own that cannot wait.
    pub fn stop_one(&self, task: &TaskId, reason: StopReason) {
        if let Some(runner) = self.runners().get(task) {
            raise(&runner.orders, Order::Hurry(reason, STOP_ONE_TIMEOUT));
        }
    }

    /// The tasks that are not STOPPED, each with its task definition.
    pub fn unstopped(&self) -> Vec<String> {
        let runners = self.runners();
        let unstopped = self.task_reports.unstopped().into_iter();
        let named = unstopped.map(|task| match runners.get(&task) {
            Some(Runner { definition, .. }) => format!("{task} ({definition})"),
            None => task.to_string(),
        });
        named.collect()
    }

    /// Whether every task that was here is forgotten.
    pub fn are_forgotten(&self) -> bool {
        self.runners().values().all(|runner| runner.work.is_finished())
    }

    /// Works on no task any more; what runs, runs on.
    pub fn detach(&self) {
        for runner in self.runners().values() {
            runner.work.abort();
        }
    }

    /// Makes what runs here what the section says; `news` is that, or the changes to it.
    ///
    /// # Errors
    /// When it is no newer than the one that is followed, or changes to another one: nothing is done.
    pub fn follow(&self, news: TaskSection) -> Result<(), NotNext> {
        let mut followed = self.section.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, offered, since) = (self.generation(), news.generation, news.since);
        let section = followed.with(news).filter(|_| offered > known);
        let section = section.ok_or(NotNext { known, offered, since })?;
        let mut wanted: BTreeMap<TaskId, Arc<TaskAssignment>> =
            valid(&section.tasks).map(|task| (task.task.clone(), Arc::clone(task))).collect();
        let mut unreadable = unreadable::by_name(section.unreadable.clone());
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
        self.refused.follow(&unreadable, &self.task_reports, self.host.now_ms());
        for task in wanted.into_values() {
            let order = order_of(&task);
            let is_lost = lost.remove(&task.task) || task.was_started;
            let mut record = TaskRecord::new(Arc::unwrap_or_clone(task), &self.boot_id);
            if is_lost {
                record.first_id = self.host.ids_of(&record.report.task);
            }
            self.run(record, order, if is_lost { Origin::Unrecorded } else { Origin::New });
        }
        for task in lost {
            if waiting.contains(&task) {
                self.lost().insert(task);
            } else {
                tokio::spawn(remove_unwanted(self.host.clone(), self.records.clone(), task));
            }
        }
        *followed = section;
        self.generation.store(offered, Ordering::Release);
        Ok(())
    }

    fn lost(&self) -> MutexGuard<'_, BTreeSet<TaskId>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> MutexGuard<'_, BTreeSet<TaskId>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn runners(&self) -> MutexGuard<'_, BTreeMap<TaskId, Runner>> {
        self.runners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task without a record that is not assigned: the control plane does not want it any more.
async fn remove_unwanted<H: NodeHost>(host: Arc<H>, records: TaskRecords, task: TaskId) {
    let removed = host.remove_unrecorded(&task).await;
    if let Err(error) = removed.and_then(|()| Ok(records.forget(&task)?)) {
        // The next start finds it again.
        tracing::error!(
            event = "task_remains_not_removed",
            %task,
            %error,
            "cannot remove what is left of a task"
        );
    }
}
