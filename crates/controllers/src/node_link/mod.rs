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
//! link_error   why a call is refused
//! refusals     what the log says of that
//! sources      what the link asks of others: logs, passwords, roles, secrets
//! ```
//!
//! **Invariant:** a node acts only for itself: each call is made over a connection that has proven its key,
//! the key is in the node's row, and the tasks that it names are its own; it can hold up nobody but itself. A node is
//! told the sections of its assignment, whole or as what changed, with generations that only grow and that are each of one
//! section; what it reports moves tasks forward only. Every call
//! may come twice, late or never.

mod admission;
pub mod assignment;
mod bounds;
mod http;
mod join;
mod link_error;
pub mod observe;
mod poll_metrics;
mod refusals;
mod sources;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use outport_model::node::Node;
use outport_model::rare_lines::RareLines;
use outport_model::task::Task;
use outport_model::task_definition::ReadWorkload;
use outport_model::{NewIds, NodeId, Scope, SteadyMs, Tags, TaskId};
use outport_node_protocol::{
    Assignment, AssignmentRequest, CredentialRequest, LogBatch, LogCursor, ProtocolVersions,
    Registered, Registration, RegistryCredential, Report, Reported, TaskCredentials, TaskReport,
    TaskSecrets, TaskSection, TaskTags,
};
use outport_planner::node_health::is_left_over;
use outport_planner::task_end::end_unreported;
use outport_store::keys::ContainerInstanceKey;
use outport_store::{RowWatch, Store, Tables};

use crate::Heartbeats;

pub use admission::{NodeAuthority, NotIssued};
pub use bounds::NODES_MAX_DEFAULT;
pub use http::router;
pub use link_error::LinkError;
pub use refusals::WithoutTls;
pub use sources::{CredentialSource, LogSink, SecretSource, SinkError, TaskRoleSource};

/// What a node is told of the installation when it joins.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// The account and region whose clusters nodes join.
    pub scope: Scope,
    pub registered: Registered,
    /// Reads what the nodes run.
    pub workloads: Arc<dyn ReadWorkload>,
    /// How many nodes may ever join; [`NODES_MAX_DEFAULT`] unless an installation is known to have the memory for more.
    pub nodes_max: usize,
}

/// What a node was told of its tasks, and whether anything was touched since that it may have to be told.
struct SentTasks {
    /// Whole.
    section: Arc<TaskSection>,
    news: RowWatch<NodeId>,
    /// When all of it was last made from the rows.
    made_at_ms: SteadyMs,
}

/// A section of tasks that a node does not know.
struct NewsOfTasks {
    whole: Arc<TaskSection>,
    /// What changed since the one that it knows, where that is remembered.
    changes: Option<Arc<TaskSection>>,
}

/// How long nothing must have been heard of one boot of a node for another one to join: a node reports every ten seconds.
const BOOTS_APART_MS: SteadyMs = 12_000;

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
    /// `None`: of an installation without IAM.
    task_roles: Option<Arc<dyn TaskRoleSource>>,
    /// `None`: of one without secrets.
    secrets: Option<Arc<dyn SecretSource>>,
    authority: Arc<dyn NodeAuthority>,
    sent: Arc<Mutex<BTreeMap<NodeId, SentTasks>>>,
    /// Of nodes that came back and have something to end.
    left_over_lines: Arc<Mutex<RareLines<NodeId>>>,
}

/// The part of a generation that counts assignments since the control plane started; the part above it
/// counts those starts, and is in the node's row. So a generation grows for ever at the price of one
/// write a start.
const GENERATION_COUNT_BITS: u32 = 32;

/// What a start counts from: a number of its own, so that one over a restored copy of the store, which counts the same start
/// again, says no generation that a node knows from before.
fn first_count(uuid: &str) -> u64 {
    const DIGITS: usize = 7;
    uuid.get(..DIGITS).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

impl NodeLink {
    pub fn new(
        store: Store,
        config: LinkConfig,
        heartbeats: Arc<Heartbeats>,
        logs: Arc<dyn LogSink>,
        credentials: Arc<dyn CredentialSource>,
        authority: Arc<dyn NodeAuthority>,
    ) -> Self {
        let (config, sent, left_over_lines) = (Arc::new(config), Arc::default(), Arc::default());
        let (task_roles, secrets) = (None, None);
        Self {
            store,
            config,
            heartbeats,
            logs,
            credentials,
            task_roles,
            secrets,
            authority,
            sent,
            left_over_lines,
        }
    }

    /// The same, for an installation that has roles.
    #[must_use]
    pub fn with_task_roles(self, task_roles: Arc<dyn TaskRoleSource>) -> Self {
        Self { task_roles: Some(task_roles), ..self }
    }

    /// The same, for an installation that has secrets.
    #[must_use]
    pub fn with_secrets(self, secrets: Arc<dyn SecretSource>) -> Self {
        Self { secrets: Some(secrets), ..self }
    }

    /// A node joins or comes back. Tasks that ran before its machine booted are given up.
    pub async fn register(&self, registration: Registration) -> Result<Registered, LinkError> {
        bounds::check_registration(&registration)?;
        let registered = self.meet(&registration)?;
        if registration.ask_only {
            return Ok(registered);
        }
        self.check_no_other_boot(&registration)?;
        let node = registration.node.clone();
        let scope = &self.config.scope;
        let joined = self.store.write(|tx| {
            admission::check_not_revoked(tx, &registration.node)?;
            join::join(tx, scope, &registration)
        });
        let joined = joined.await;
        let is_new = joined.map_err(|error| error.flatten(LinkError::from))?;
        self.heartbeats.joined(&node, self.store.now().steady_ms);
        if is_new {
            let (host_name, cluster) = (registration.host_name, registration.cluster);
            tracing::info!(event = "node_joined", %node, host_name, cluster, "a node joined");
        }
        Ok(registered)
    }

    /// Another boot of a node means that what ran there has ended. While the boot that is known is still heard, it is a
    /// copy of the node: who joins as it would end the tasks of the one that runs them.
    fn check_no_other_boot(&self, registration: &Registration) -> Result<(), LinkError> {
        let snapshot = self.store.snapshot();
        let Some(known) = snapshot.nodes.get(&registration.node) else { return Ok(()) };
        let heard_ms = self.heartbeats.last_heard_ms(&registration.node);
        let ago_ms = heard_ms.map(|heard_ms| self.store.now().steady_ms - heard_ms);
        match ago_ms {
            Some(ago_ms) if known.boot_id != registration.boot_id && ago_ms < BOOTS_APART_MS => {
                tracing::warn!(
                    event = "node_boots_overlap",
                    node = %registration.node,
                    host_name = registration.host_name,
                    heard_ms_ago = ago_ms,
                    "a node joins as another boot while the known one is still heard: it waits"
                );
                Err(LinkError::Unavailable(format!(
                    "another boot of node {} was heard of {ago_ms} ms ago: if the machine was restarted, it joins in some \
                     seconds; if this is a copy of that machine, give it a data directory of its own",
                    registration.node
                )))
            }
            _ => Ok(()),
        }
    }

    /// What the node is told, in the version that both speak.
    fn meet(&self, registration: &Registration) -> Result<Registered, LinkError> {
        let theirs = registration.protocol;
        let Some(protocol_version) = ProtocolVersions::SPOKEN.common(theirs) else {
            let node = format!("{}, outport {}", registration.node, registration.agent_version);
            return Err(LinkError::NoCommonVersion { node, theirs });
        };
        Ok(Registered { protocol_version, ..self.config.registered.clone() })
    }

    /// The sections of the node's assignment that it does not know, as what changed where that can be said and the node
    /// takes it; `None`: it knows all. Does not wait.
    pub async fn assignment(
        &self,
        request: &AssignmentRequest,
    ) -> Result<Option<Assignment>, LinkError> {
        let AssignmentRequest { node, known, takes_changes, takes_secrets, boot_id } = request;
        bounds::check_generation(known.tasks)?;
        self.registered(node, boot_id.as_deref())?;
        let now_ms = self.store.now().steady_ms;
        self.heartbeats.note_call(node, now_ms);
        let news = self.tasks(node, known.tasks, *takes_secrets, now_ms).await?;
        Ok(news.map(|NewsOfTasks { whole, changes }| Assignment {
            tasks: Some(changes.filter(|_| *takes_changes).unwrap_or(whole)),
        }))
    }

    /// The row of a node that calls. Before anything of the call counts, and be it that the node was heard: it may be of
    /// another boot than the row, whose tasks are none of its business. `boot_id` is `None` of a node that does not say it.
    fn registered(&self, node: &NodeId, boot_id: Option<&str>) -> Result<Arc<Node>, LinkError> {
        let known = self.store.snapshot().nodes.get(node).cloned();
        let known = known.ok_or_else(|| LinkError::NotRegistered(node.clone()))?;
        match boot_id.is_none_or(|boot_id| boot_id == known.boot_id) {
            true => Ok(known),
            false => Err(LinkError::OtherBoot(node.clone())),
        }
    }

    /// The section of tasks, if it is not the one that the node knows.
    async fn tasks(
        &self,
        node: &NodeId,
        known: u64,
        takes_secrets: bool,
        now_ms: SteadyMs,
    ) -> Result<Option<NewsOfTasks>, LinkError> {
        loop {
            if self.has_latest(node, known, now_ms) {
                return Ok(None);
            }
            // What is touched from here on is news for the next call.
            let news = self.store.watch_row::<Node>(node);
            let before = self.last_sent(node);
            let lasting =
                before.as_ref().filter(|(_, made_at_ms)| now_ms - made_at_ms < ASSIGNMENT_LIFE_MS);
            let made_at_ms = lasting.map_or(now_ms, |(_, made_at_ms)| *made_at_ms);
            let lasting = lasting.map(|(sent, _)| &**sent);
            let snapshot = self.store.snapshot();
            let workloads = &*self.config.workloads;
            let built = assignment::build(&snapshot, workloads, node, lasting, takes_secrets);
            let based_on = before.as_ref().map(|(sent, _)| sent.generation);
            let sent = match before {
                Some((sent, _)) => sent,
                None => {
                    let generation = self.begin_generations(node).await?;
                    Arc::new(TaskSection { generation, ..built.clone() })
                }
            };
            let mut changes = built.changes_since(&sent);
            // A node may know a later one when the store was restored from a backup; it would refuse ours.
            let (section, changes) = match changes.has_no_changes() && known <= sent.generation {
                true => (sent, None),
                false => {
                    let is_next = known == sent.generation;
                    changes.generation = sent.generation.max(known) + 1;
                    let whole = TaskSection { generation: changes.generation, ..built };
                    (Arc::new(whole), is_next.then(|| Arc::new(changes)))
                }
            };
            let sent = SentTasks { section: Arc::clone(&section), news, made_at_ms };
            if self.remember_sent(node, based_on, sent) {
                let is_known = section.generation == known;
                return Ok((!is_known).then_some(NewsOfTasks { whole: section, changes }));
            }
            // Another call of the node came first: a generation is said of one section only.
        }
    }

    /// What it was told last, and when that was made.
    fn last_sent(&self, node: &NodeId) -> Option<(Arc<TaskSection>, SteadyMs)> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.get(node).map(|sent| (Arc::clone(&sent.section), sent.made_at_ms))
    }

    /// Whether the node knows what it was told last, and nothing was touched since.
    fn has_latest(&self, node: &NodeId, known: u64, now_ms: SteadyMs) -> bool {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.get(node).is_some_and(|sent| {
            sent.section.generation == known
                && !sent.news.has_changed()
                && now_ms - sent.made_at_ms < ASSIGNMENT_LIFE_MS
        })
    }

    /// `false`: what it was told last is not of the generation `based_on` any more.
    fn remember_sent(&self, node: &NodeId, based_on: Option<u64>, now: SentTasks) -> bool {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let is_based = sent.get(node).map(|sent| sent.section.generation) == based_on;
        if is_based {
            sent.insert(node.clone(), now);
        }
        is_based
    }

    /// The first generation of this start of the control plane.
    async fn begin_generations(&self, node: &NodeId) -> Result<u64, LinkError> {
        let begun = self.store.write(|tx| {
            let mut generation = 0;
            let first_count = first_count(&tx.uuid());
            let known = tx.update(node, |node: &mut Node| {
                let starts = (node.assignment_generation >> GENERATION_COUNT_BITS) + 1;
                node.assignment_generation = starts << GENERATION_COUNT_BITS;
                generation = node.assignment_generation | first_count;
            });
            if known { Ok(generation) } else { Err(LinkError::NotRegistered(node.clone())) }
        });
        begun.await.map_err(|error| error.flatten(LinkError::from))
    }

    /// Writes down what a node sees. A report that is older than the last one changes nothing.
    pub async fn report(&self, report: &Report) -> Result<Reported, LinkError> {
        bounds::check_report(report)?;
        let now_ms = self.store.now().steady_ms;
        let node = self.registered(&report.node, Some(&report.boot_id))?;
        if !self.heartbeats.reported(&report.node, report.sequence, now_ms) {
            return Ok(Reported::default());
        }
        for task in &report.unreadable {
            tracing::warn!(
                event = "node_report_not_understood",
                node = %report.node,
                task = ?task.task,
                reason = task.reason,
                "a newer node reports of a task what this version does not know; upgrade the control plane to the node's version"
            );
        }
        let missing = match report.changes_only {
            true => Vec::new(),
            false => self.missing_from(report),
        };
        let news = self.news_in(report);
        // Only a whole report says that nothing is left.
        let is_clear = || !report.changes_only && self.is_clear(report, now_ms);
        let is_connected = node.connected || is_clear();
        let answer = Reported { wants_whole: !is_connected };
        let is_known = node.connected == is_connected && node.accepts_tasks == report.accepts_tasks;
        if missing.is_empty() && news.is_empty() && is_known {
            return Ok(answer);
        }
        let written = self.store.write(|tx| {
            admission::check_not_revoked(tx, &report.node)?;
            tx.update(&report.node, |node: &mut Node| {
                node.accepts_tasks = report.accepts_tasks;
                node.connected |= is_connected;
            });
            for seen in news {
                observe::record_report(tx, &report.node, seen);
            }
            for task in &missing {
                let task = tx.tasks.by_id(task);
                let end = task.and_then(|task| end_unreported(task, &report.node, tx.now_ms()));
                if let Some(end) = end {
                    tx.put_end(end);
                }
            }
            Ok::<_, LinkError>(answer)
        });
        written.await.map_err(|error| error.flatten(LinkError::from))
    }

    /// Whether a node that was not connected may get tasks: nothing is left of what ended without it, and nothing of it is
    /// in an assignment that it was sent and does not follow yet.
    fn is_clear(&self, report: &Report, now_ms: SteadyMs) -> bool {
        let sent = self.last_sent(&report.node);
        let on_the_way = sent.iter().filter(|(sent, _)| sent.generation != report.generation);
        let on_the_way = on_the_way.flat_map(|(sent, _)| {
            let unreadable = sent.unreadable.iter().filter_map(|task| task.task.as_ref());
            sent.tasks.iter().map(|task| &task.task).chain(unreadable)
        });
        let snapshot = self.store.snapshot();
        let live = snapshot.tasks.live_on_node(&report.node);
        let readable = report.tasks.iter().map(|seen| (Some(&seen.task), Some(seen.status)));
        let unreadable = report.unreadable.iter().map(|seen| (seen.task.as_ref(), None));
        let left_over: Vec<_> = readable
            .chain(unreadable)
            .chain(on_the_way.map(|task| (Some(task), None)))
            .filter_map(|(task, status)| Some((task?, status)))
            .filter(|(task, status)| is_left_over(*status, live.get(*task).is_some()))
            .map(|(task, _)| task)
            .collect();
        let Some(first) = left_over.first() else { return true };
        let mut lines = self.left_over_lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.due(report.node.clone(), now_ms).is_some() {
            tracing::warn!(
                event = "node_ends_old_tasks",
                node = %report.node,
                tasks = left_over.len(),
                task = %first,
                "a node that came back still has tasks that ended without it: it gets no others until they are gone"
            );
        }
        false
    }

    /// What of the report is not known yet. Most say what the last one said, and take no writer's turn; of the others most
    /// say one thing, however many tasks the node has.
    fn news_in<'r>(&self, report: &'r Report) -> Vec<&'r TaskReport> {
        let snapshot = self.store.snapshot();
        let now_ms = self.store.now_ms();
        let is_news =
            |seen: &&TaskReport| observe::news(&snapshot, &report.node, seen, now_ms).is_some();
        report.tasks.iter().filter(is_news).collect()
    }

    /// Tasks that were to be stopped when the node got the assignment that it works on, and that it, asked for all,
    /// does not know: they were stopped before it ever saw them.
    fn missing_from(&self, report: &Report) -> Vec<TaskId> {
        let sent = self.last_sent(&report.node);
        let sent = sent.filter(|(sent, _)| sent.generation == report.generation);
        let stopping = sent.iter().flat_map(|(sent, _)| sent.stopping());
        stopping
            .filter(|task| !report.tasks.iter().any(|seen| seen.task == **task))
            .filter(|task| !report.unreadable.iter().any(|seen| seen.task.as_ref() == Some(*task)))
            .cloned()
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
        // The log of a task that is over may be of a boot that is over, and keep another one waiting.
        if task.holds_resources() {
            self.heartbeats.note_call(&batch.node, self.store.now().steady_ms);
        }
        let workloads = &*self.config.workloads;
        let destination = assignment::log_destination(&snapshot, workloads, task, &batch.container);
        // The node keeps them and tries again: the version that knows the task takes them.
        let destination = destination.map_err(|reason| LinkError::Unavailable(reason.to_string()));
        let destination = destination?.ok_or_else(unknown)?;
        let role = self.execution(&snapshot, task)?.role_arn;
        Ok(self.logs.append(task, role.as_deref(), &destination, batch).await?)
    }

    /// A credential for the images of one of the node's tasks.
    pub async fn registry_credential(
        &self,
        request: &CredentialRequest,
    ) -> Result<RegistryCredential, LinkError> {
        let snapshot = self.store.snapshot();
        let task = self.live_task(&snapshot, request)?;
        let role = self.execution(&snapshot, task)?.role_arn;
        Ok(self.credentials.issue(task, role.as_deref(), request.registry.as_ref()).await?)
    }

    /// What the containers of one of the node's tasks get that is nobody else's to know.
    pub async fn task_secrets(
        &self,
        request: &CredentialRequest,
    ) -> Result<TaskSecrets, LinkError> {
        let snapshot = self.store.snapshot();
        let task = self.live_task(&snapshot, request)?;
        let assignment::Execution { role_arn, workload } = self.execution(&snapshot, task)?;
        let Some(source) = &self.secrets else {
            return Err(LinkError::Refused("this control plane has no secrets".to_owned()));
        };
        Ok(source.read(task, role_arn.as_deref(), &workload.containers).await?)
    }

    fn execution(&self, tables: &Tables, task: &Task) -> Result<assignment::Execution, LinkError> {
        let execution = assignment::execution(tables, &*self.config.workloads, task);
        execution.map_err(|reason| LinkError::Unavailable(reason.to_string()))
    }

    /// The credentials of the role of one of the node's tasks.
    pub async fn task_credentials(
        &self,
        request: &CredentialRequest,
    ) -> Result<TaskCredentials, LinkError> {
        let snapshot = self.store.snapshot();
        let task = self.live_task(&snapshot, request)?;
        let role = assignment::task_role(&snapshot, &*self.config.workloads, task);
        let role = role.map_err(|reason| LinkError::Unavailable(reason.to_string()))?;
        let refused = |why: &str| LinkError::Refused(why.to_owned());
        let role = role.ok_or_else(|| refused("the task has no task role"))?;
        let Some(source) = &self.task_roles else {
            return Err(refused("this control plane gives no credentials of roles"));
        };
        Ok(source.issue(task, &role).await?)
    }

    /// The tags of one of the node's tasks, and of the container instance that it is on.
    ///
    /// Source: ECS developer guide, "Amazon ECS task metadata endpoint version 4": of a Fargate task, its own only.
    pub fn task_tags(&self, request: &CredentialRequest) -> Result<TaskTags, LinkError> {
        let snapshot = self.store.snapshot();
        let task = self.live_task(&snapshot, request)?;
        let pairs = |tags: &Tags| -> Vec<(String, String)> {
            tags.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        // A Fargate task is on none.
        let instance = task.container_instance.clone().and_then(|id| {
            let key = ContainerInstanceKey::new(&task.scope, task.cluster.clone(), id);
            snapshot.container_instances.get(&key)
        });
        let container_instance = instance.map(|instance| pairs(&instance.tags)).unwrap_or_default();
        Ok(TaskTags { task: pairs(&task.tags), container_instance })
    }

    /// The task that a node wants credentials for: it is the node's own, and not over.
    fn live_task<'a>(
        &self,
        tables: &'a Tables,
        request: &CredentialRequest,
    ) -> Result<&'a Arc<Task>, LinkError> {
        let unknown = || LinkError::UnknownTask(request.node.clone());
        let task = tables.tasks.by_id(&request.task).ok_or_else(unknown)?;
        if task.node.as_ref() != Some(&request.node) || !task.holds_resources() {
            return Err(unknown());
        }
        self.heartbeats.note_call(&request.node, self.store.now().steady_ms);
        Ok(task)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }
}

#[cfg(test)]
mod tests {
    use super::first_count;

    #[test]
    fn starts_count_from_numbers_of_their_own_with_room_above() {
        assert_eq!(first_count("ffffffff-0000-4000-8000-000000000000"), 0x0fff_ffff);
        assert_eq!(first_count("00000012-0000-4000-8000-000000000000"), 1);
        assert_eq!(first_count(""), 0);
    }
}
