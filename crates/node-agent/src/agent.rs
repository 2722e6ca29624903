//! One node: joins, takes over what is there, follows its assignment.
//!
//! **Invariant:** an assignment older than the one that is followed is refused.

mod equipment;
mod following;
mod leaving;
mod orders;
mod strangers;
mod tasks;
mod unreadable;
mod upkeep;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use outport_certificates::JoinToken;
use outport_container_runtime::{RuntimeError, private};
use outport_image_store::StoreError;
use outport_model::TaskId;
use outport_model::node::NodeCapacity;
use outport_node_protocol::{RefusalCode, Registration};
use outport_task_disk::DiskError;
use outport_task_network::HostAccess;
use outport_user_namespace::SubordinateIds;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use equipment::{machine, runtime};
use following::{follow_assignments, keep_certificate, register, registration};
use leaving::{empty_trash, remove_containers};
use orders::raise;
use unreadable::Refused;
use upkeep::{keep_run_dir, restore_rules, sweep_images, watch_room};

use crate::board::Board;
use crate::container_spec::OpenFiles;
use crate::control_plane::ControlPlane;
use crate::host;
use crate::identity::IdentityFile;
use crate::link_error::LinkError;
use crate::machine::{
    Machine, NetworkError, Networks, UserError, remove_images, remove_instance,
    remove_user_namespaces,
};
use crate::reporter::Reporter;
use crate::run_dir;
use crate::task::Order;
use crate::task::runner::StopReason;
use crate::task_record::TaskRecords;

/// After a stop of everything the tasks have this long beyond their own stop timeouts.
const STOP_ALL_PATIENCE: Duration = Duration::from_secs(150);
/// How often it is said what is waited for.
const STOP_WORD_INTERVAL: Duration = Duration::from_secs(5);
/// How long the control plane has to take the last report and drop the stopped tasks.
const FORGET_PATIENCE: Duration = Duration::from_secs(5);
const FORGET_LOOK: Duration = Duration::from_millis(20);

/// Where a node works and for whom.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    /// Images, tasks, logs.
    pub directory: PathBuf,
    /// Part of every name on the host.
    pub instance: String,
    pub control_plane_url: String,
    pub join_token: JoinToken,
    /// The cluster that the container instance joins.
    pub cluster: String,
    pub capacity: NodeCapacity,
    /// An OCI runtime to use instead of our own.
    pub oci_runtime: Option<PathBuf>,
    pub container_open_files: OpenFiles,
    /// GiB that a task may write of which nobody says it; `None` for no limit.
    pub task_storage_gib: Option<u32>,
    /// GiB of all images, decompressed: above this, unused ones go, longest unused first; if those in use are
    /// too large, no more are pulled.
    pub images_gib: u32,
    /// Whether containers may have power over this host: `privileged`, and the capabilities that
    /// [`outport_model::linux_capability`] calls the host's.
    pub allow_privileged: bool,
    /// Whether tasks get user namespaces, where this host has them.
    pub user_namespaces: bool,
    /// The ids of this host that they get.
    pub subordinate_ids: SubordinateIds,
    /// What tasks may reach on this host beside what every task needs.
    pub host_access: HostAccess,
}

/// Why a node cannot work.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error(transparent)]
    Images(#[from] StoreError),
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error(
        "tasks cannot be given disks of limited size ({0}); mend that, or start with \
         --unlimited-task-storage, where one task can fill the disk of this host"
    )]
    Disk(DiskError),
    #[error(transparent)]
    User(#[from] UserError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl AgentError {
    /// Whether the container instance that this node was is deregistered: nothing but joining as another one helps.
    pub fn is_dismissal(&self) -> bool {
        matches!(self, Self::Link(LinkError::Refused { code: RefusalCode::Revoked, .. }))
    }
}

/// Not as its source: it is in the sentence already.
impl From<DiskError> for AgentError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

/// A node at work. Dropping it leaves the tasks running.
pub struct Agent {
    instance: String,
    shared: Arc<Shared>,
    loops: Vec<JoinHandle<()>>,
    /// Why the control plane does not want this node any more.
    dismissal: watch::Receiver<Option<String>>,
}

struct Shared {
    machine: Arc<Machine>,
    control_plane: Arc<ControlPlane>,
    board: Arc<Board>,
    records: TaskRecords,
    boot_id: String,
    generation: Arc<AtomicU64>,
    accepts_tasks: Arc<AtomicBool>,
    /// Whether a report was delivered: from then on tasks are placed here.
    reported: watch::Sender<bool>,
    /// Whether the disk has room for new tasks.
    has_room: Arc<AtomicBool>,
    /// Set once, when everything is to stop: tasks that are assigned later end with it, too.
    stopping: OnceLock<StopReason>,
    runners: Mutex<HashMap<TaskId, Runner>>,
    /// Tasks that were here and whose record is lost or damaged, until the control plane has said whether it still knows
    /// them. Of one that it does, what runs is taken over by the assignment; if nothing does, it is reported stopped: it
    /// may have run.
    lost: Mutex<HashSet<TaskId>>,
    /// Tasks whose records are of a version that is not understood here. They are left alone.
    kept: Mutex<HashSet<TaskId>>,
    refused: Refused,
}

struct Runner {
    orders: watch::Sender<Order>,
    work: JoinHandle<()>,
}

impl Agent {
    /// Joins the control plane and takes over what an earlier agent left. Waits for a control plane
    /// that cannot be reached, for as long as it takes.
    pub async fn start(settings: AgentSettings) -> Result<Self, AgentError> {
        private::own_directory(&settings.directory)?;
        let node = host::node_id(&settings.directory)?;
        let boot_id = host::boot_id()?;
        let control_plane = Arc::new(ControlPlane::new(
            &settings.control_plane_url,
            settings.join_token.clone(),
            node,
            &settings.directory,
        )?);
        let registration = registration(&settings, &control_plane, &boot_id);
        // Asked first: a node that cannot work on its host must not stand in anybody's list.
        let question = Registration { ask_only: true, ..registration.clone() };
        let registered = register(&control_plane, &question).await?;
        let machine = Arc::new(machine(&settings, &control_plane, registered).await?);
        register(&control_plane, &registration).await?;
        let shared = Arc::new(Shared {
            machine,
            control_plane,
            board: Arc::default(),
            records: TaskRecords::open(
                settings.directory.join("tasks"),
                run_dir::path(&settings.instance).join("tasks"),
            )?,
            lost: Mutex::default(),
            kept: Mutex::default(),
            refused: Refused::default(),
            boot_id,
            generation: Arc::default(),
            accepts_tasks: Arc::new(AtomicBool::new(true)),
            reported: watch::Sender::new(false),
            has_room: Arc::new(AtomicBool::new(true)),
            stopping: OnceLock::new(),
            runners: Mutex::default(),
        });
        shared.take_over().await?;
        let (dismiss, dismissal) = watch::channel(None);
        let loops = vec![
            tokio::spawn(shared.reporter().run()),
            tokio::spawn(follow_assignments(shared.clone(), registration, dismiss)),
            tokio::spawn(keep_certificate(shared.clone())),
            tokio::spawn(sweep_images(shared.clone())),
            tokio::spawn(restore_rules(shared.clone())),
            tokio::spawn(watch_room(shared.clone(), settings.directory.clone())),
            tokio::spawn(shared.machine.log_news.clone().run()),
            tokio::spawn(keep_run_dir(shared.clone(), run_dir::path(&settings.instance))),
        ];
        let runtime = shared.machine.runtime.clone();
        tokio::task::spawn_blocking(move || empty_trash(&runtime));
        let mut reported = shared.reported.subscribe();
        let agent = Self { instance: settings.instance, shared, loops, dismissal };
        // The sender is ours, so the wait ends with the first report.
        let _is_reported = reported.wait_for(|reported| *reported).await.is_ok();
        Ok(agent)
    }

    /// Stops every task gracefully, waits until the control plane knows, and removes what the node
    /// made on this host.
    pub async fn stop_tasks(self, reason: &str) -> Result<(), AgentError> {
        self.shared.accepts_tasks.store(false, Ordering::Release);
        self.shared.stop_all(StopReason(reason.to_owned()));
        let board = &self.shared.board;
        let stopped = async {
            let mut said = tokio::time::Instant::now();
            while !board.all_stopped() {
                if said.elapsed() >= STOP_WORD_INTERVAL {
                    said = tokio::time::Instant::now();
                    tracing::info!(tasks = board.unstopped(), "waiting for tasks to stop");
                }
                tokio::time::sleep(FORGET_LOOK).await;
            }
        };
        if tokio::time::timeout(STOP_ALL_PATIENCE, stopped).await.is_err() {
            tracing::error!("some tasks did not stop in time and are removed");
        }
        let forgotten = async {
            while !self.shared.runners().values().all(|runner| runner.work.is_finished()) {
                tokio::time::sleep(FORGET_LOOK).await;
            }
        };
        if tokio::time::timeout(FORGET_PATIENCE, forgotten).await.is_err() {
            tracing::warn!("the control plane did not let go of all tasks in time");
        }
        self.detach();
        let machine = &self.shared.machine;
        remove_containers(&machine.runtime).await?;
        machine.networks.release().await?;
        let disks = machine.disks.clone();
        tokio::task::spawn_blocking(move || disks.clear())
            .await
            .map_err(std::io::Error::other)??;
        let instance = self.instance.clone();
        tokio::task::spawn_blocking(move || remove_host_traces(&instance))
            .await
            .map_err(std::io::Error::other)?
    }

    /// Waits until the control plane says that it will never hear this node again; what it said. The
    /// tasks run on.
    pub async fn dismissed(&mut self) -> String {
        let said =
            self.dismissal.wait_for(Option::is_some).await.ok().and_then(|said| said.clone());
        match said {
            Some(reason) => {
                self.detach();
                reason
            }
            // Whoever detached it knows why.
            None => std::future::pending().await,
        }
    }

    /// Stops following the control plane; the tasks run on.
    pub fn detach(&self) {
        for each in &self.loops {
            each.abort();
        }
        for runner in self.shared.runners().values() {
            runner.work.abort();
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.detach();
    }
}

/// Removes what a node proves itself with: with its join token it joins as another container instance.
///
/// # Errors
/// When the file system refuses.
pub fn forget_identity(directory: &Path) -> Result<(), AgentError> {
    Ok(IdentityFile::in_directory(directory).remove()?)
}

/// Removes whatever an instance left on this host, with nobody running.
pub fn remove_everything(directory: &Path, instance: &str) -> Result<Vec<String>, AgentError> {
    let had_traces = run_dir::path(instance).exists();
    let mut removed = Vec::new();
    let runtime = runtime(directory, instance, false)?;
    removed.extend(runtime.list()?.into_iter().map(|found| match found.container {
        Some(container) => format!("container {container} of task {}", found.task),
        None => format!("task {}", found.task),
    }));
    runtime.remove_all()?;
    remove_images(directory)?;
    remove_host_traces(instance)?;
    if had_traces {
        removed.push("the links, network rules and files below /run".to_owned());
    }
    Ok(removed)
}

/// Fails when the VPC's range, or the instance's own of bridge mode, is in use on this host. To be asked
/// before anything is made or written.
///
/// # Errors
/// [`AgentError::Network`] names the link that has the range and says what to do.
pub fn check_addresses(instance: &str, vpc_cidr: &str) -> Result<(), AgentError> {
    Ok(Networks::check(&run_dir::path(instance), instance, vpc_cidr)?)
}

/// Links, rules, namespaces and the directory below /run.
fn remove_host_traces(instance: &str) -> Result<(), AgentError> {
    let run_dir = run_dir::path(instance);
    remove_instance(&run_dir, instance)?;
    remove_user_namespaces(&run_dir).map_err(UserError::from)?;
    Ok(run_dir::remove(&run_dir)?)
}

impl Shared {
    fn reporter(self: &Arc<Self>) -> Reporter {
        Reporter {
            control_plane: self.control_plane.clone(),
            board: self.board.clone(),
            boot_id: self.boot_id.clone(),
            generation: self.generation.clone(),
            accepts_tasks: self.accepts_tasks.clone(),
            reported: self.reported.clone(),
            has_room: self.has_room.clone(),
        }
    }

    /// Ends one task for a reason of the node's own.
    fn stop_one(&self, task: &TaskId, reason: StopReason) {
        if let Some(runner) = self.runners().get(task) {
            raise(&runner.orders, Order::Stop(Some(reason)));
        }
    }

    fn lost(&self) -> MutexGuard<'_, HashSet<TaskId>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> MutexGuard<'_, HashSet<TaskId>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn runners(&self) -> MutexGuard<'_, HashMap<TaskId, Runner>> {
        self.runners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
