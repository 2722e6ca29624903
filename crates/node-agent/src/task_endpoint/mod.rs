//! What a task may ask this node: the credentials of its task role, its metadata, and on request the API.
//!
//! ```text
//! container ── 169.254.170.2:80 ── the host's rules ── 169.254.170.2:<port> ── server ── answers
//!                                                                                 │
//! machine ── begin, adopt, forget ─────────────────────────────────────────── TaskEndpoint ── renewal ── control plane
//! ```
//!
//! It is opened before the control plane is asked anything: what an earlier agent was given is served from the instance's
//! directory in memory for as long as it is good, though nobody answers.
//!
//! Who asks is known by the address that the packets come from, which the rules of the task's network let no task choose. A task
//! of `awsvpc` mode has one address, its own; in `bridge` mode each container has one, and any container of the task may
//! ask for what is the task's. A task on the host's network has the host's: there the id in the path is all that tells it
//! from other processes of the host, as on AWS.
//!
//! **Invariant:** credentials are in memory, in a file of mode 0600 on a memory file system, and in the answer to the task whose they
//! are; in no log and no task record. Of a task that has stopped nothing is left.

mod answers;
mod api;
mod file;
mod metadata;
mod pace;
mod renewal;
mod server;
mod stats;
mod tags;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use outport_container_runtime::{CgroupUsage, Runtime};
use outport_model::TaskId;
use outport_node_protocol::{ContainerAssignment, TaskAssignment, TaskNetwork};
use serde_json::Value;
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use uuid::Uuid;

use crate::control_plane::{ControlPlane, now_ms, read_clocks};
use crate::task_reports::TaskReports;
use answers::{Answer, Asked, Version, What};
use file::{EndpointFile, Files, Peers};
use metadata::Seen;
use pace::Paces;
pub use server::Serving;
use stats::{HostCpu, Sample};
use tags::Untagged;

/// The address of the endpoint, to tasks and on the host. Source: ECS developer guide, "Amazon ECS task metadata endpoint".
const ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 170, 2);
/// How long a container waits for the first credentials of its task: it starts without, and they come later.
const FIRST_CREDENTIALS_PATIENCE: Duration = Duration::from_secs(2);

/// What this node knows of its tasks, for them.
pub struct TaskEndpoint {
    control_plane: Arc<ControlPlane>,
    files: Files,
    port: u16,
    known: Mutex<BTreeMap<TaskId, Entry>>,
    sight: OnceLock<Sight>,
    paces: Mutex<Paces>,
}

/// Where the state of tasks is seen.
struct Sight {
    reports: Arc<TaskReports>,
    usage: Box<dyn UsageOf>,
}

/// What a container uses, by its task and its name; `None` when there is nothing of it.
pub trait UsageOf: Send + Sync + 'static {
    fn usage(&self, task: &TaskId, container: &str) -> Option<CgroupUsage>;
}

impl UsageOf for Arc<Runtime> {
    fn usage(&self, task: &TaskId, container: &str) -> Option<CgroupUsage> {
        self.container_stats(task.as_str(), container).ok()
    }
}

/// One task.
struct Entry {
    file: EndpointFile,
    /// `None`: only the file of an earlier agent is known yet.
    assignment: Option<Arc<TaskAssignment>>,
    /// Why there are no newer credentials.
    trouble: Option<String>,
    /// Whether credentials were asked for once.
    asked: watch::Sender<bool>,
    renewal: Option<AbortHandle>,
    /// The last look at each container, by its name.
    samples: BTreeMap<String, Sample>,
}

impl Entry {
    fn new(file: EndpointFile) -> Self {
        let asked = watch::Sender::new(false);
        let samples = BTreeMap::new();
        Self { file, assignment: None, trouble: None, asked, renewal: None, samples }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(renewal) = &self.renewal {
            renewal.abort();
        }
    }
}

impl TaskEndpoint {
    /// Takes the endpoint's port, the one of the agent before if it can be had, and what that agent has left in `run_dir`.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn open(
        run_dir: &Path,
        control_plane: Arc<ControlPlane>,
    ) -> io::Result<(Arc<Self>, TcpListener)> {
        let files = Files::new(run_dir);
        let found = files.read();
        let (listener, port) = server::listen(found.first().map(|file| file.port))?;
        let known = found.into_iter().map(|file| (file.task.clone(), Entry::new(file))).collect();
        let endpoint = Self {
            control_plane,
            files,
            port,
            known: Mutex::new(known),
            sight: OnceLock::new(),
            paces: Mutex::default(),
        };
        Ok((Arc::new(endpoint), listener))
    }

    /// On [`ADDRESS`].
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the state of tasks is seen from now on.
    pub fn observe(&self, reports: Arc<TaskReports>, usage: impl UsageOf) {
        // Once an agent.
        let _ = self.sight.set(Sight { reports, usage: Box::new(usage) });
    }

    /// A task has its network: `addresses` are those of its containers. Its credentials are asked for from now on.
    pub fn begin(self: &Arc<Self>, task: &TaskAssignment, addresses: Vec<Ipv4Addr>) {
        let peers = match task.network {
            TaskNetwork::Host => Peers::Host,
            _ => Peers::Addresses(addresses),
        };
        {
            let mut known = self.known();
            let entry = known.entry(task.task.clone()).or_insert_with(|| {
                Entry::new(EndpointFile {
                    task: task.task.clone(),
                    port: self.port,
                    credentials_id: Uuid::new_v4().to_string(),
                    peers: Peers::Addresses(Vec::new()),
                    held: None,
                })
            });
            entry.file.peers = peers;
            entry.file.port = self.port;
            self.files.write(&entry.file);
        }
        self.adopt(task);
    }

    /// A task that an earlier agent began runs on; one that it did not make known here cannot ask.
    pub fn adopt(self: &Arc<Self>, task: &TaskAssignment) {
        let mut known = self.known();
        let Some(entry) = known.get_mut(&task.task) else { return };
        if entry.assignment.is_none() {
            entry.assignment = Some(Arc::new(task.clone()));
        }
        if task.task_role_arn.is_some() && entry.renewal.is_none() {
            let renewal = tokio::spawn(renewal::keep(self.clone(), task.task.clone()));
            entry.renewal = Some(renewal.abort_handle());
        }
    }

    /// Waits until the credentials of a task were asked for once, for a while.
    pub async fn settle(&self, task: &TaskAssignment) {
        if task.task_role_arn.is_none() {
            return;
        }
        let asked = self.known().get(&task.task).map(|entry| entry.asked.subscribe());
        let Some(mut asked) = asked else { return };
        let once = asked.wait_for(|asked| *asked);
        // Too late is no failure, and a task that is forgotten meanwhile waits for nothing.
        let _ = tokio::time::timeout(FIRST_CREDENTIALS_PATIENCE, once).await;
    }

    /// The task has stopped. What it was given runs out on its own.
    pub fn forget(&self, task: &TaskId) {
        let mut known = self.known();
        known.remove(task);
        // Also one that was not understood: what is in it is of a task that is over.
        self.files.remove(task);
    }

    /// Forgets what is of no task in `tasks`.
    pub fn keep_only(&self, tasks: &HashSet<TaskId>) {
        let gone: Vec<TaskId> =
            self.known().keys().filter(|task| !tasks.contains(*task)).cloned().collect();
        for task in &gone {
            self.forget(task);
        }
    }

    /// Writes everything down again, after somebody has cleaned `/run`.
    pub fn restore(&self) {
        self.known().values().for_each(|entry| self.files.write(&entry.file));
    }

    /// Asks for no credentials any more.
    pub fn stop(&self) {
        for entry in self.known().values_mut() {
            if let Some(renewal) = entry.renewal.take() {
                renewal.abort();
            }
        }
    }

    /// What a container finds in its environment, in place of what its definition says there. Source: the Amazon ECS agent.
    pub fn environment(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
    ) -> Vec<(String, String)> {
        let known = self.known();
        let Some(entry) = known.get(&task.task) else { return Vec::new() };
        // The rules that lead to the port are those of tasks' links.
        let base = match entry.file.peers {
            Peers::Addresses(_) => format!("http://{ADDRESS}"),
            Peers::Host => format!("http://{ADDRESS}:{}", self.port),
        };
        let id = &container.id;
        let mut environment = Vec::new();
        let is_set =
            |name: &str| container.definition.environment.iter().any(|(known, _)| known == name);
        if api::is_asked_by(container) && !is_set(api::VARIABLE) {
            environment.push((api::VARIABLE.to_owned(), base.clone()));
        }
        environment.extend([
            ("ECS_CONTAINER_METADATA_URI".to_owned(), format!("{base}/v3/{id}")),
            ("ECS_CONTAINER_METADATA_URI_V4".to_owned(), format!("{base}/v4/{id}")),
        ]);
        if task.task_role_arn.is_some() {
            let path = format!("/v2/credentials/{}", entry.file.credentials_id);
            environment.push(match entry.file.peers {
                Peers::Addresses(_) => ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI".to_owned(), path),
                // SDKs put the address before the relative one, with port 80.
                Peers::Host => {
                    ("AWS_CONTAINER_CREDENTIALS_FULL_URI".to_owned(), format!("{base}{path}"))
                }
            });
        }
        environment
    }

    /// The answer to one request.
    async fn answer(&self, peer: IpAddr, method: &http::Method, path: &str) -> Answer {
        match self.answer_at_once(peer, method, path) {
            Ok(answer) => answer,
            Err(untagged) => self.with_tags(*untagged).await,
        }
    }

    /// The same, but for what has to be asked of the control plane.
    fn answer_at_once(
        &self,
        peer: IpAddr,
        method: &http::Method,
        path: &str,
    ) -> Result<Answer, Box<Untagged>> {
        if !self.paces().admit(peer, read_clocks().steady_ms) {
            return Ok(Answer::too_many());
        }
        Ok(match Asked::read(method, path) {
            Asked::Credentials(id) => self.credentials(peer, id),
            Asked::Metadata { version, container, what } => {
                return self.metadata(peer, container, version, what);
            }
            Asked::NotBuilt(what) => Answer::not_built(what),
            Asked::Nothing => Answer::not_found(),
            Asked::OtherMethod => Answer::other_method(),
        })
    }

    fn credentials(&self, peer: IpAddr, id: &str) -> Answer {
        let known = self.known();
        let is_its =
            |entry: &Entry| bool::from(entry.file.credentials_id.as_bytes().ct_eq(id.as_bytes()));
        let asks = |entry: &&Entry| is_its(entry) && entry.file.may_ask(peer);
        match known.values().find(asks) {
            None => Answer::no_such_credentials(),
            Some(entry) => {
                let held = entry.file.held.as_ref();
                let held = held.filter(|held| held.is_good(read_clocks().steady_ms));
                match (held, &entry.trouble) {
                    (Some(held), _) => Answer::credentials(&held.credentials),
                    (None, Some(trouble)) => Answer::no_credentials(trouble),
                    (None, None) => Answer::no_credentials_yet(),
                }
            }
        }
    }

    fn metadata(
        &self,
        peer: IpAddr,
        container: &str,
        version: Version,
        what: What,
    ) -> Result<Answer, Box<Untagged>> {
        let mut known = self.known();
        let found = known.values_mut().filter(|entry| entry.file.may_ask(peer)).find_map(|entry| {
            let task = entry.assignment.clone()?;
            let at = task.containers.iter().position(|one| one.id.as_str() == container)?;
            Some((entry, task, at))
        });
        let nothing = || Ok(Answer::no_such_container());
        let Some((entry, task, at)) = found else { return nothing() };
        let Some(sight) = self.sight.get() else { return nothing() };
        let Some(report) = sight.reports.of(&task.task) else { return nothing() };
        let own = &task.containers[at];
        let seen = Seen { task: &task, report: &report, addresses: entry.file.addresses() };
        Ok(Answer::found(&match what {
            What::Container => metadata::container(version, &seen, own),
            What::Task => Value::Object(metadata::task(version, &seen)),
            What::TaskWithTags => {
                let metadata = metadata::task(version, &seen);
                return Err(Box::new(Untagged { task: task.task.clone(), version, metadata }));
            }
            What::Stats => sight.stats(&mut entry.samples, &task, own),
            What::TaskStats => {
                let each = task.containers.iter().map(|one| {
                    (metadata::docker_id(one), sight.stats(&mut entry.samples, &task, one))
                });
                Value::Object(each.collect())
            }
        }))
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<TaskId, Entry>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn paces(&self) -> MutexGuard<'_, Paces> {
        self.paces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sight {
    /// `null` for a container that does not run.
    fn stats(
        &self,
        samples: &mut BTreeMap<String, Sample>,
        task: &TaskAssignment,
        container: &ContainerAssignment,
    ) -> Value {
        let name = &container.definition.name;
        let Some(usage) = self.usage.usage(&task.task, name) else { return Value::Null };
        let now = Sample { read_ms: now_ms(), usage, host: HostCpu::read() };
        let before = samples.insert(name.clone(), now.clone());
        let (id, docker_name) = (metadata::docker_id(container), metadata::docker_name(task, name));
        stats::container(&id, &docker_name, &now, before.as_ref())
    }
}
