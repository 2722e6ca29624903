//! The control plane's side of the node link: nodes join, ask for their assignment, report, ship logs
//! and ask for registry credentials.
//!
//! ```text
//! admission    which nodes are believed, and their certificates
//! bounds       what is taken of their messages, at most
//! join         a node, and its container instance in a cluster
//! assignment   what a node should run, from a snapshot
//! observe      what a node reports, into the rows of its tasks
//! http         the calls
//! ```
//!
//! **Invariant:** a node acts only for itself: each call is made over a connection that has proven its key,
//! the key is in the node's row, and the tasks that it names are its own; it can hold up nobody but itself. A node is
//! told its whole assignment, with a generation that only grows; what it reports moves tasks forward only. Every call
//! may come twice, late or never.

mod admission;
pub mod assignment;
mod bounds;
mod http;
mod join;
pub mod observe;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use outport_model::node::Node;
use outport_model::task::Task;
use outport_model::{DesiredStatus, NodeId, Scope, SteadyMs};
use outport_node_protocol::{
    Assignment, AssignmentRequest, CredentialRequest, LogBatch, LogCursor, LogDestination,
    ProtocolVersions, RefusalCode, Registered, Registration, RegistryCredential, Report,
};
use outport_planner::task_end::end_unseen;
use outport_store::{Fault, RowWatch, Store};

use crate::Heartbeats;

pub use admission::{NodeAuthority, NotIssued};
pub use http::router;

/// What a node is told of the installation when it joins.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// The account and region whose clusters nodes join.
    pub scope: Scope,
    pub registered: Registered,
}

/// Takes the logs of containers in.
#[async_trait]
pub trait LogSink: Send + Sync + 'static {
    /// Appends a batch, which follows what was appended from the same container before, and returns
    /// what is on disk now. A batch from elsewhere than the committed cursor changes nothing.
    async fn append(
        &self,
        scope: &Scope,
        destination: &LogDestination,
        batch: LogBatch,
    ) -> Result<LogCursor, SinkError>;
}

/// Why logs were not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// The group or stream cannot be had; the node tries again.
    #[error("{0}")]
    Refused(String),
    /// This batch is never taken; the node goes on without it.
    #[error("{0}")]
    Unacceptable(String),
    /// The disk; the node tries again.
    #[error("{0}")]
    Fault(String),
}

/// Issues what a node pulls images of this installation's registry with.
#[async_trait]
pub trait CredentialSource: Send + Sync + 'static {
    async fn issue(&self, scope: &Scope, task: &Task) -> Result<RegistryCredential, SinkError>;
}

/// Why a call of a node is refused. `Display` is for the node's log.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("the body is not a message of this call: {0}")]
    Malformed(String),
    /// Who calls is not who may.
    #[error("{message}")]
    Disbelieved { code: RefusalCode, message: String },
    /// The node speaks no version of the protocol that this control plane does.
    #[error(
        "this control plane (outport {}) speaks {} of the node protocol, the node ({node}) {theirs}: bring one of \
         them to a version of outport that the other one knows; the node's tasks run on meanwhile",
        env!("CARGO_PKG_VERSION"), ProtocolVersions::SPOKEN
    )]
    NoCommonVersion { node: String, theirs: ProtocolVersions },
    #[error("node {0} has to register first")]
    NotRegistered(NodeId),
    #[error("there is no active cluster {0}; create it first")]
    ClusterNotFound(String),
    #[error("node {0} has no such task or container")]
    UnknownTask(NodeId),
    #[error("{0}")]
    Refused(String),
    /// Logs that are never taken.
    #[error("{0}")]
    Unacceptable(String),
    #[error("{0}")]
    Unavailable(String),
}

impl From<Fault> for LinkError {
    fn from(fault: Fault) -> Self {
        tracing::error!(detail = fault.detail, "a write of the node link failed");
        Self::Unavailable(fault.to_string())
    }
}

impl From<SinkError> for LinkError {
    fn from(error: SinkError) -> Self {
        match error {
            SinkError::Refused(text) => Self::Refused(text),
            SinkError::Unacceptable(text) => Self::Unacceptable(text),
            SinkError::Fault(text) => {
                tracing::error!(detail = text, "a call of the node link failed");
                Self::Unavailable(text)
            }
        }
    }
}

/// What a node was told, and whether anything was touched since that it may have to be told.
struct Told {
    assignment: Arc<Assignment>,
    news: RowWatch<NodeId>,
    /// When it was last made from the rows.
    made_at_ms: SteadyMs,
}

/// An assignment is made from the rows again after this long though nothing was touched.
const ASSIGNMENT_LIFE_MS: SteadyMs = 60_000;

/// The calls of nodes. A clone is another handle.
#[derive(Clone)]
pub struct NodeLink {
    store: Store,
    config: Arc<LinkConfig>,
    heartbeats: Arc<Heartbeats>,
    logs: Arc<dyn LogSink>,
    credentials: Arc<dyn CredentialSource>,
    authority: Arc<dyn NodeAuthority>,
    told: Arc<Mutex<BTreeMap<NodeId, Told>>>,
}

/// The part of a generation that counts assignments since the control plane started; the part above it
/// counts those starts, and is in the node's row. So a generation grows for ever at the price of one
/// write a start.
const GENERATION_COUNT_BITS: u32 = 32;

impl NodeLink {
    pub fn new(
        store: Store,
        config: LinkConfig,
        heartbeats: Arc<Heartbeats>,
        logs: Arc<dyn LogSink>,
        credentials: Arc<dyn CredentialSource>,
        authority: Arc<dyn NodeAuthority>,
    ) -> Self {
        let (config, told) = (Arc::new(config), Arc::default());
        Self { store, config, heartbeats, logs, credentials, authority, told }
    }

    /// A node joins or comes back. Tasks that ran before its machine booted are given up.
    pub async fn register(&self, registration: Registration) -> Result<Registered, LinkError> {
        bounds::check_registration(&registration)?;
        let registered = self.meet(&registration)?;
        if registration.ask_only {
            return Ok(registered);
        }
        let node = registration.node.clone();
        let scope = &self.config.scope;
        let joined = self.store.write(|tx| {
            admission::check_not_revoked(tx, &registration.node)?;
            join::join(tx, scope, &registration)
        });
        let joined = joined.await;
        joined.map_err(|error| error.flatten(LinkError::from))?;
        self.heartbeats.joined(&node, self.store.now().steady_ms);
        Ok(registered)
    }

    /// What the node is told, in the version that both speak.
    fn meet(&self, registration: &Registration) -> Result<Registered, LinkError> {
        let theirs = registration.protocol;
        let Some(protocol_version) = ProtocolVersions::SPOKEN.common(theirs) else {
            let node = format!("{}, outport {}", registration.node, registration.agent_version);
            let error = LinkError::NoCommonVersion { node, theirs };
            tracing::error!(%error, "a node cannot be talked to");
            return Err(error);
        };
        Ok(Registered { protocol_version, ..self.config.registered.clone() })
    }

    /// The node's assignment, if it is not the one that it knows. Does not wait.
    pub async fn assignment(
        &self,
        request: &AssignmentRequest,
    ) -> Result<Option<Arc<Assignment>>, LinkError> {
        bounds::check_generation(request.known_generation)?;
        let snapshot = self.store.snapshot();
        let Some(row) = snapshot.nodes.get(&request.node) else {
            return Err(LinkError::NotRegistered(request.node.clone()));
        };
        let now_ms = self.store.now().steady_ms;
        self.heartbeats.hear(&row.id, now_ms);
        if self.is_told_all(request, now_ms) {
            return Ok(None);
        }
        // What is touched from here on is news for the next call.
        let news = self.store.watch_row::<Node>(&row.id);
        let snapshot = self.store.snapshot();
        let tasks = assignment::build(&snapshot, &row.id);
        let told = match self.told(&row.id) {
            Some(told) => told,
            None => {
                let generation = self.begin_generations(&row.id).await?;
                Arc::new(Assignment { generation, tasks: tasks.clone(), unreadable: Vec::new() })
            }
        };
        // A node may know a later one when the store was restored from a backup; it would refuse ours.
        let is_ahead = request.known_generation > told.generation;
        let assignment = match told.tasks == tasks && !is_ahead {
            true => told,
            false => {
                let generation = told.generation.max(request.known_generation) + 1;
                Arc::new(Assignment { generation, tasks, unreadable: Vec::new() })
            }
        };
        let is_known = assignment.generation == request.known_generation;
        self.tell(&row.id, Arc::clone(&assignment), news, now_ms);
        Ok((!is_known).then_some(assignment))
    }

    fn told(&self, node: &NodeId) -> Option<Arc<Assignment>> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.get(node).map(|told| Arc::clone(&told.assignment))
    }

    /// Whether the node knows what it was told last, and nothing was touched since.
    fn is_told_all(&self, request: &AssignmentRequest, now_ms: SteadyMs) -> bool {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.get(&request.node).is_some_and(|told| {
            told.assignment.generation == request.known_generation
                && !told.news.has_changed()
                && now_ms - told.made_at_ms < ASSIGNMENT_LIFE_MS
        })
    }

    fn tell(
        &self,
        node: &NodeId,
        assignment: Arc<Assignment>,
        news: RowWatch<NodeId>,
        made_at_ms: SteadyMs,
    ) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert(node.clone(), Told { assignment, news, made_at_ms });
    }

    /// The first generation of this start of the control plane.
    async fn begin_generations(&self, node: &NodeId) -> Result<u64, LinkError> {
        let begun = self.store.write(|tx| {
            let mut generation = 0;
            let known = tx.update(node, |node: &mut Node| {
                let starts = (node.assignment_generation >> GENERATION_COUNT_BITS) + 1;
                node.assignment_generation = starts << GENERATION_COUNT_BITS;
                generation = node.assignment_generation;
            });
            if known { Ok(generation) } else { Err(LinkError::NotRegistered(node.clone())) }
        });
        begun.await.map_err(|error| error.flatten(LinkError::from))
    }

    /// Writes down what a node sees. A report that is older than the last one changes nothing.
    pub async fn report(&self, report: &Report) -> Result<(), LinkError> {
        bounds::check_report(report)?;
        let now_ms = self.store.now().steady_ms;
        let known = self.store.snapshot().nodes.get(&report.node).cloned();
        let node = known.ok_or_else(|| LinkError::NotRegistered(report.node.clone()))?;
        if !self.heartbeats.reported(&report.node, report.sequence, now_ms)
            || node.boot_id != report.boot_id
        {
            return Ok(());
        }
        for task in &report.unreadable {
            tracing::warn!(
                node = %report.node,
                task = ?task.task,
                reason = task.reason,
                "a newer node says of a task what this version does not know; bring the control plane to its version"
            );
        }
        let never_taken = self.never_taken(report);
        if never_taken.is_empty() && self.is_known(&node, report) {
            return Ok(());
        }
        let written = self.store.write(|tx| {
            admission::check_not_revoked(tx, &report.node)?;
            tx.update(&report.node, |node: &mut Node| {
                node.accepts_tasks = report.accepts_tasks;
                node.connected = true;
            });
            for seen in &report.tasks {
                observe::take_in(tx, &report.node, seen);
            }
            for task in &never_taken {
                let task = tx.tasks.by_id(task);
                let end = task.and_then(|task| end_unseen(task, &report.node, tx.now_ms()));
                if let Some(end) = end {
                    tx.put_end(end);
                }
            }
            Ok::<_, LinkError>(())
        });
        written.await.map_err(|error| error.flatten(LinkError::from))
    }

    /// Whether nothing comes of the report: most say what the last one said, and take no writer's turn.
    fn is_known(&self, node: &Node, report: &Report) -> bool {
        let snapshot = self.store.snapshot();
        let now_ms = self.store.now_ms();
        node.connected
            && node.accepts_tasks == report.accepts_tasks
            && report
                .tasks
                .iter()
                .all(|seen| observe::news(&snapshot, &node.id, seen, now_ms).is_none())
    }

    /// Tasks that were to be stopped when the node got the assignment that it works on, and that it
    /// does not know: they were stopped before it ever saw them.
    fn never_taken(&self, report: &Report) -> Vec<outport_model::TaskId> {
        let told = self.told(&report.node).filter(|told| told.generation == report.generation);
        let stopping = told.iter().flat_map(|told| &told.tasks);
        stopping
            .filter(|task| task.desired == DesiredStatus::Stopped)
            .map(|task| task.task.clone())
            .filter(|task| !report.tasks.iter().any(|seen| seen.task == *task))
            .filter(|task| !report.unreadable.iter().any(|seen| seen.task.as_ref() == Some(task)))
            .collect()
    }

    /// Appends what a container of the node wrote to its log stream.
    pub async fn logs(&self, batch: LogBatch) -> Result<LogCursor, LinkError> {
        let snapshot = self.store.snapshot();
        let unknown = || LinkError::UnknownTask(batch.node.clone());
        let task = snapshot.tasks.by_id(&batch.task).ok_or_else(unknown)?;
        if task.node.as_ref() != Some(&batch.node) {
            return Err(unknown());
        }
        self.heartbeats.hear(&batch.node, self.store.now().steady_ms);
        let destination =
            assignment::log_destination(&snapshot, task, &batch.container).ok_or_else(unknown)?;
        Ok(self.logs.append(&task.scope, &destination, batch).await?)
    }

    /// A credential for the images of one of the node's tasks.
    pub async fn registry_credential(
        &self,
        request: &CredentialRequest,
    ) -> Result<RegistryCredential, LinkError> {
        let snapshot = self.store.snapshot();
        let unknown = || LinkError::UnknownTask(request.node.clone());
        let task = snapshot.tasks.by_id(&request.task).ok_or_else(unknown)?;
        if task.node.as_ref() != Some(&request.node) || !task.holds_resources() {
            return Err(unknown());
        }
        self.heartbeats.hear(&request.node, self.store.now().steady_ms);
        Ok(self.credentials.issue(&task.scope, task).await?)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }
}
