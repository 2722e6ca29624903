//! Carries one task through its life, one effect after the other.
//!
//! **Invariant:** the record on disk is written before a status is told to anybody, and a status
//! only moves forward.

mod ending;
mod health;

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use outport_model::TaskStatus;
use outport_model::task::ContainerStatus;
use outport_node_protocol::{ContainerAssignment, ContainerHealth, ContainerReport, StopCause};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::Instrument;

use super::host::{Adopted, ContainerExit, StartError, TaskHost, pull_all};
use super::launch_metrics::timed;
use super::life_log;
use super::plan::{self, Stage, StartStep};
use crate::task_record::{TaskRecord, TaskRecords};
use crate::task_reports::TaskReports;

/// What the agent wants of a task. It only moves down this list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    Run,
    /// `None`: the control plane asked for it and knows why.
    Stop(Option<StopReason>),
    /// For a reason of the node's own that cannot wait: what has not ended within this time is killed, whatever its own
    /// stop timeout.
    Hurry(StopReason, Duration),
    /// No longer assigned: stop it if it runs, then forget it.
    Forget,
}

/// Why the node itself ends a task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StopReason(pub String);

/// What is known of a task when its runner begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nothing of it is here.
    New,
    /// An earlier agent began it, and its record says how far it was.
    Recorded,
    /// It was here, and its record is lost or damaged: what runs, runs on; what does not is not started.
    Unrecorded,
}

/// Whether launching came to its end.
enum Launch {
    Running,
    Stop(Option<StopCause>),
}

enum Event {
    Exit(usize, ContainerExit),
    Health(usize, ContainerHealth),
    Order,
    Deadline,
}

/// Owns one task. Made for a new one or for one that an earlier agent left.
pub struct TaskRunner<H> {
    host: Arc<H>,
    records: TaskRecords,
    task_reports: Arc<TaskReports>,
    record: TaskRecord,
    orders: watch::Receiver<Order>,
    origin: Origin,
    stages: Vec<Stage>,
    /// Containers that an earlier agent had made already.
    created: Vec<bool>,
    /// When each container was started, or found running.
    running_since: Vec<Option<Instant>>,
    exits: mpsc::UnboundedReceiver<(usize, ContainerExit)>,
    exit_sender: mpsc::UnboundedSender<(usize, ContainerExit)>,
    healths: mpsc::Receiver<(usize, ContainerHealth)>,
    health_sender: mpsc::Sender<(usize, ContainerHealth)>,
}

impl<H: TaskHost> TaskRunner<H> {
    pub fn new(
        host: Arc<H>,
        records: TaskRecords,
        task_reports: Arc<TaskReports>,
        record: TaskRecord,
        orders: watch::Receiver<Order>,
        origin: Origin,
    ) -> Self {
        let count = record.assignment.containers.len();
        // One message per container at most: the channel is bounded by the task definition.
        let (exit_sender, exits) = mpsc::unbounded_channel();
        // Who has more to say waits, and says the newest then.
        let (health_sender, healths) = mpsc::channel(1);
        Self {
            host,
            records,
            task_reports,
            record,
            orders,
            origin,
            stages: vec![Stage::Waiting; count],
            created: vec![false; count],
            running_since: vec![None; count],
            exits,
            exit_sender,
            healths,
            health_sender,
        }
    }

    /// Runs until the task is forgotten.
    pub async fn run(mut self) {
        if self.record.report.status >= TaskStatus::Stopped {
            self.resume_logs().await;
        } else {
            if self.origin != Origin::New {
                self.adopt_containers().await;
            }
            let outcome = match self.record.report.status {
                status if status >= TaskStatus::Stopping => Launch::Stop(None),
                TaskStatus::Running => Launch::Running,
                _ => self.launch().await,
            };
            let cause = match outcome {
                Launch::Running => self.supervise().await,
                Launch::Stop(cause) => cause,
            };
            self.stop(cause).await;
            self.release().await;
        }
        self.wait_until_forgotten().await;
    }

    /// An earlier agent ended before the log of a stopped task was delivered: finding the containers
    /// goes on with it.
    async fn resume_logs(&self) {
        for container in &self.record.assignment.containers {
            self.host.adopt(&self.record.assignment, container).await;
        }
    }

    /// Finds out what became of the containers while nobody looked.
    async fn adopt_containers(&mut self) {
        for index in 0..self.stages.len() {
            let mut container = self.container(index).clone();
            let pulled = self.record.report.containers[index].image_digest.clone();
            container.image_digest = pulled.or(container.image_digest);
            match self.host.adopt(&self.record.assignment, &container).await {
                Adopted::Absent if self.was_never_started(index) => {}
                Adopted::Created => self.created[index] = true,
                Adopted::Running { runtime_id } => {
                    self.created[index] = true;
                    self.note_running(index, runtime_id);
                }
                Adopted::Exited(exit) => {
                    self.created[index] = true;
                    self.note_exit(index, exit);
                }
                // It was being made when the agent died, and is made again.
                Adopted::Lost if self.was_never_started(index) => {
                    self.host
                        .discard(&self.record.assignment.task, &container.definition.name)
                        .await;
                }
                // A clean-up takes the whole container away, a crash of the host its processes.
                Adopted::Absent | Adopted::Lost => {
                    self.created[index] = true;
                    let report = &self.record.report.containers[index];
                    self.note_exit(index, plan::unseen_exit(report, self.host.now_ms()));
                }
            }
        }
        if self.origin == Origin::Unrecorded && !self.stages.contains(&Stage::Running) {
            self.record.report.status = self.record.report.status.max(TaskStatus::Stopping);
            self.record.report.stop.get_or_insert_with(plan::record_lost);
        }
        // As a whole: what was added to the record since becomes one line again.
        self.kept(self.records.write(&self.record));
        self.task_reports.put(self.record.report.clone());
    }

    async fn launch(&mut self) -> Launch {
        if self.order() != Order::Run {
            return Launch::Stop(self.ordered_cause());
        }
        life_log::launching(&self.record.assignment);
        let begun = Instant::now();
        match self.prepare().await {
            Err(error) => return Launch::Stop(Some(self.failed_launch(&error.reason))),
            Ok(false) => return Launch::Stop(self.ordered_cause()),
            Ok(true) => {}
        }
        self.advance(TaskStatus::Activating);
        loop {
            let containers = &self.record.assignment.containers;
            let healths = self.health_statuses();
            match plan::next_starts(containers, &self.stages, &healths) {
                StartStep::Done => break,
                StartStep::Impossible(reason) => {
                    return Launch::Stop(Some(self.failed_launch(&reason)));
                }
                StartStep::Start(indices) => {
                    for index in indices {
                        if let Err(error) = self.start(index).await {
                            self.note_failure(index, &error.reason);
                            return Launch::Stop(Some(self.failed_launch(&error.reason)));
                        }
                    }
                }
                StartStep::Wait => {
                    let since = &self.running_since;
                    let timeout = plan::next_timeout(containers, &self.stages, &healths, since);
                    if let Some((late, what)) = &timeout
                        && *late <= Instant::now()
                    {
                        return Launch::Stop(Some(self.failed_launch(what)));
                    }
                    if let Some(cause) = self.next_cause(timeout.map(|(late, _)| late)).await {
                        return Launch::Stop(cause);
                    }
                }
            }
        }
        self.record.report.started_at_ms = Some(self.host.now_ms());
        self.advance(TaskStatus::Running);
        life_log::running(&self.record.report, begun.elapsed());
        Launch::Running
    }

    /// Network, images and containers. `false` when the task is to stop instead.
    async fn prepare(&mut self) -> Result<bool, StartError> {
        let waiting: Vec<usize> = (0..self.stages.len())
            .filter(|index| self.stages[*index] == Stage::Waiting && !self.created[*index])
            .collect();
        self.record.report.pull_started_at_ms.get_or_insert(self.host.now_ms());
        let recorded = if self.origin != Origin::New {
            None
        } else {
            self.record.first_id = self.host.reserve_ids(&self.record.assignment)?;
            Some(self.begin_record()?)
        };
        let pulled = {
            let (host, task) = (&self.host, &self.record.assignment);
            let attach = timed("attach", host.attach(task));
            let pulls = pull_all(host.as_ref(), task, &waiting);
            let mut orders = self.orders.clone();
            let pull = async {
                tokio::select! {
                    pulled = pulls => Some(pulled),
                    _ = stop_ordered(&mut orders) => None,
                }
            };
            tokio::pin!(attach, pull);
            tokio::select! {
                // A task without a network has no use for images that may take minutes.
                attached = &mut attach => {
                    attached?;
                    pull.await
                }
                pulled = &mut pull => {
                    attach.await?;
                    pulled
                }
            }
        };
        self.record.report.connectivity_at_ms = Some(self.host.now_ms());
        let Some(pulled) = pulled else { return Ok(false) };
        for (index, outcome) in pulled {
            match outcome {
                Ok(image) => self.record.report.containers[index].image_digest = Some(image.digest),
                Err(error) => {
                    self.note_failure(index, &error.reason);
                    return Err(error);
                }
            }
        }
        self.record.report.pull_stopped_at_ms.get_or_insert(self.host.now_ms());
        // The next agent holds the images of what it takes over by their digests.
        self.keep();
        for index in waiting {
            let container = self.container(index).clone();
            let create = self.host.create(&self.record.assignment, &container);
            if let Err(error) = timed("create", create).await {
                self.note_failure(index, &error.reason);
                return Err(error);
            }
            self.created[index] = true;
        }
        if let Some(recorded) = recorded {
            on_disk(recorded).await?;
        }
        Ok(self.order() == Order::Run)
    }

    /// The record is written before anything is done, which is all that a crash of this agent needs;
    /// a crash of the host takes what is made here with it, so the disk may finish while it is made.
    /// Nothing of the task's own runs before that, see `prepare`.
    fn begin_record(&self) -> Result<JoinHandle<std::io::Result<()>>, StartError> {
        self.records.write(&self.record).map_err(|error| not_recorded(&error))?;
        Ok(self.records.flush_behind(&self.record.report.task))
    }

    async fn start(&mut self, index: usize) -> Result<(), StartError> {
        let container = self.container(index).clone();
        let start = self.host.start(&self.record.assignment, &container);
        let runtime_id = timed("start", start).await?;
        self.note_running(index, runtime_id);
        self.publish();
        Ok(())
    }

    /// Waits until the task has a reason to end.
    async fn supervise(&mut self) -> Option<StopCause> {
        // What ended before the agent came back counts as if it had ended now.
        for (index, stage) in self.stages.iter().enumerate() {
            if let (Stage::Ended(_), Some(cause)) =
                (stage, plan::cause_of_exit(self.container(index)))
            {
                return Some(cause);
            }
        }
        loop {
            if let Some(cause) = plan::cause_of_nothing_left(&self.stages) {
                return Some(cause);
            }
            if let Some(cause) = self.next_cause(None).await {
                return cause;
            }
        }
    }

    /// The next event; `Some` when it ends the task.
    async fn next_cause(&mut self, deadline: Option<Instant>) -> Option<Option<StopCause>> {
        match self.next_event(deadline).await {
            Event::Exit(index, exit) => {
                self.note_exit(index, exit);
                self.publish();
                plan::cause_of_exit(self.container(index)).map(Some)
            }
            Event::Health(index, health) => {
                self.note_health(index, health);
                None
            }
            Event::Order if self.order() != Order::Run => Some(self.ordered_cause()),
            Event::Order | Event::Deadline => None,
        }
    }

    async fn next_event(&mut self, deadline: Option<Instant>) -> Event {
        let overdue = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some((index, exit)) = self.exits.recv() => Event::Exit(index, exit),
            Ok(()) = self.orders.changed() => Event::Order,
            Some((index, health)) = self.healths.recv() => Event::Health(index, health),
            () = overdue => Event::Deadline,
        }
    }

    fn note_running(&mut self, index: usize, runtime_id: String) {
        self.stages[index] = Stage::Running;
        self.running_since[index] = Some(Instant::now());
        let report = &mut self.record.report.containers[index];
        report.status = ContainerStatus::Running;
        report.runtime_id = Some(runtime_id);
        let exit = self.host.exit(&self.record.report.task, &self.container(index).definition.name);
        let sender = self.exit_sender.clone();
        let watch = async move {
            // Nobody listens any more when the task was let go of.
            let _unheard = sender.send((index, exit.await));
        };
        tokio::spawn(watch.in_current_span());
        self.follow_health(index);
    }

    fn note_exit(&mut self, index: usize, exit: ContainerExit) {
        life_log::container_exited(
            &self.record.report,
            &self.container(index).definition.name,
            &exit,
        );
        let report = &mut self.record.report.containers[index];
        report.status = ContainerStatus::Stopped;
        report.exit_code = exit.exit_code;
        report.reason.clone_from(&exit.reason);
        self.stages[index] = Stage::Ended(exit);
    }

    fn note_failure(&mut self, index: usize, reason: &str) {
        let limit = outport_model::task::CONTAINER_REASON_LENGTH_MAX;
        let Some(report) = self.record.report.containers.get_mut(index) else { return };
        report.status = ContainerStatus::Stopped;
        report.reason = Some(reason.chars().take(limit).collect());
    }

    /// Every launch that fails comes by here: on a container instance nothing but a container says why, see
    /// `cause_of_failed_start`, so one does, whatever the failure was of.
    fn failed_launch(&mut self, reason: &str) -> StopCause {
        let is_said = |reports: &[ContainerReport]| reports.iter().any(|one| one.reason.is_some());
        if !is_said(&self.record.report.containers) {
            self.note_failure(0, reason);
        }
        plan::cause_of_failed_start(self.record.assignment.launch_type, reason)
    }

    /// Nobody knows it without a record.
    fn was_never_started(&self, index: usize) -> bool {
        self.origin != Origin::Unrecorded
            && self.record.report.containers[index].status < ContainerStatus::Running
    }

    fn container(&self, index: usize) -> &ContainerAssignment {
        &self.record.assignment.containers[index]
    }

    fn order(&self) -> Order {
        self.orders.borrow().clone()
    }

    /// The node's own reason to stop, if the control plane did not ask for it.
    fn ordered_cause(&self) -> Option<StopCause> {
        match self.order() {
            Order::Stop(Some(StopReason(reason))) | Order::Hurry(StopReason(reason), _) => {
                Some(StopCause { code: outport_model::task::StopCode::TerminationNotice, reason })
            }
            _ => None,
        }
    }

    fn advance(&mut self, status: TaskStatus) {
        if self.record.report.status < status {
            self.record.report.status = status;
            self.publish();
        }
    }

    /// On disk first, then to whoever reads the task reports.
    fn publish(&self) {
        self.keep();
        self.task_reports.put(self.record.report.clone());
    }

    fn keep(&self) {
        match self.records.add(&self.record.report) {
            // Not taken on yet: the next agent learns of the task as this one did.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            added => self.kept(added),
        }
    }

    fn kept(&self, written: std::io::Result<()>) {
        if let Err(error) = written {
            tracing::error!(
                event = "task_record_not_written",
                task = %self.record.report.task,
                %error,
                "cannot write the record of a task"
            );
        }
    }
}

async fn stop_ordered(orders: &mut watch::Receiver<Order>) {
    // An agent that goes away sends no orders: then there is nothing to wait for.
    if orders.wait_for(|order| *order != Order::Run).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn on_disk(recorded: JoinHandle<std::io::Result<()>>) -> Result<(), StartError> {
    match recorded.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(not_recorded(&error)),
        Err(error) => Err(not_recorded(&error)),
    }
}

fn not_recorded(error: &dyn std::fmt::Display) -> StartError {
    StartError::new("ResourceInitializationError", error)
}
