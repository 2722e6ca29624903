//! One node: joins, takes over what is there, follows its assignment.
//!
//! **Invariant:** an assignment older than the one that is followed is refused.

mod equipment;
pub(crate) mod following;
mod leaving;
mod leftovers;
pub(crate) mod orders;
pub(crate) mod tasks;
mod unreadable;
mod upkeep;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use outport_certificates::JoinToken;
use outport_container_runtime::{RuntimeError, private};
use outport_image_store::StoreError;
use outport_model::Region;
use outport_model::node::NodeCapacity;
use outport_node_protocol::{RefusalCode, Registration};
use outport_task_disk::DiskError;
use outport_task_network::{HostAccess, PublishScope};
use outport_user_namespace::SubordinateIds;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use equipment::{machine, runtime};
use following::{follow_assignments, keep_certificate, register, registration};
use leaving::{empty_trash, remove_containers, wait_for_tasks};
use tasks::Tasks;
use upkeep::{
    keep_run_dir, measure_log_lag, restore_rules, sweep_images, sweep_outputs, watch_room,
};

use crate::container_spec::OpenFiles;
use crate::control_plane::ControlPlane;
use crate::host;
use crate::identity::IdentityFile;
use crate::link_error::LinkError;
use crate::machine::{
    Machine, NetworkError, Networks, UserError, remove_images, remove_instance, remove_outputs,
    remove_user_namespaces,
};
use crate::reporter::Reporter;
use crate::run_dir;
use crate::task::runner::StopReason;
use crate::task_endpoint::{Serving, TaskEndpoint};
use crate::task_record::TaskRecords;

/// After a stop of everything the tasks have this long: the longest stop timeout, which is 120 seconds, and what it takes
/// to note and to let go.
pub const STOP_ALL_PATIENCE: Duration = Duration::from_secs(150);
/// And this once they are killed.
const KILL_ALL_PATIENCE: Duration = Duration::from_secs(15);
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
    /// The regions whose Fargate tasks it takes; empty: those of every region.
    pub regions: Vec<Region>,
    /// Attributes of the container instance, beside those that it has by itself.
    pub attributes: Vec<(String, String)>,
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
    /// Whether tasks in this host's network may reach its instance metadata.
    pub host_tasks_reach_metadata: bool,
    /// Where on this host the ports of tasks with addresses of their own are published too; `None`: nowhere.
    pub publish: Option<PublishScope>,
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

    /// Whether addresses are in use on this host already: another range may do.
    pub fn is_address_clash(&self) -> bool {
        matches!(self, Self::Network(NetworkError::Host(error)) if error.is_address_clash())
    }

    /// Which Outport of this host has the addresses, if one has them.
    pub fn clashing_instance(&self) -> Option<&str> {
        match self {
            Self::Network(NetworkError::Host(error)) => error.clashing_instance(),
            _ => None,
        }
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
    serving: Serving,
    /// Why the control plane does not want this node any more.
    dismissal: watch::Receiver<Option<String>>,
}

struct Shared {
    machine: Arc<Machine>,
    control_plane: Arc<ControlPlane>,
    tasks: Arc<Tasks<Machine>>,
    accepts_tasks: Arc<AtomicBool>,
    /// Whether a report was delivered: from then on tasks are placed here.
    reported: watch::Sender<bool>,
    /// Whether the disk has room for new tasks.
    has_room: Arc<AtomicBool>,
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
        // Before anybody is asked: what tasks were given is theirs though the control plane is away.
        let (endpoint, listener) =
            TaskEndpoint::open(&run_dir::path(&settings.instance), control_plane.clone())?;
        let serving = Serving::begin(endpoint.clone(), listener);
        // Asked first: a node that cannot work on its host must not stand in anybody's list.
        let question = Registration { ask_only: true, ..registration.clone() };
        let registered = register(&control_plane, &question).await?;
        let machine = Arc::new(machine(&settings, &control_plane, &endpoint, registered).await?);
        register(&control_plane, &registration).await?;
        let records = TaskRecords::open(
            settings.directory.join("tasks"),
            run_dir::path(&settings.instance).join("tasks"),
        )?;
        let shared = Arc::new(Shared {
            tasks: Arc::new(Tasks::new(machine.clone(), records, boot_id)),
            machine,
            control_plane,
            accepts_tasks: Arc::new(AtomicBool::new(true)),
            reported: watch::Sender::new(false),
            has_room: Arc::new(AtomicBool::new(true)),
        });
        endpoint.observe(shared.tasks.task_reports().clone(), shared.machine.runtime.clone());
        shared.tasks.adopt().await?;
        let (dismiss, dismissal) = watch::channel(None);
        let loops = vec![
            tokio::spawn(shared.reporter(&registration).run()),
            tokio::spawn(follow_assignments(shared.clone(), registration, dismiss)),
            tokio::spawn(keep_certificate(shared.clone())),
            tokio::spawn(sweep_images(shared.clone())),
            tokio::spawn(sweep_outputs(shared.clone())),
            tokio::spawn(restore_rules(shared.clone())),
            tokio::spawn(watch_room(shared.clone(), settings.directory.clone())),
            tokio::spawn(shared.machine.log_wakeups.clone().run()),
            tokio::spawn(measure_log_lag(shared.clone())),
            tokio::spawn(keep_run_dir(shared.clone(), run_dir::path(&settings.instance))),
        ];
        let runtime = shared.machine.runtime.clone();
        tokio::task::spawn_blocking(move || empty_trash(&runtime));
        let mut reported = shared.reported.subscribe();
        let agent = Self { instance: settings.instance, shared, loops, serving, dismissal };
        // The sender is ours, so the wait ends with the first report.
        let _is_reported = reported.wait_for(|reported| *reported).await.is_ok();
        Ok(agent)
    }

    /// The tasks that are not STOPPED, each with its task definition.
    pub fn unstopped(&self) -> Vec<String> {
        self.shared.tasks.unstopped()
    }

    /// Stops every task gracefully, waits until the control plane knows, and removes what the node
    /// made on this host. Once `hurry` is over the tasks are killed and not waited for.
    pub async fn stop_tasks(
        self,
        reason: &str,
        hurry: impl Future<Output = ()>,
    ) -> Result<(), AgentError> {
        self.shared.accepts_tasks.store(false, Ordering::Release);
        self.shared.tasks.stop_all(StopReason(reason.to_owned()));
        wait_for_tasks(&self.shared.tasks, hurry).await;
        let forgotten = async {
            while !self.shared.tasks.are_forgotten() {
                tokio::time::sleep(FORGET_LOOK).await;
            }
        };
        if tokio::time::timeout(FORGET_PATIENCE, forgotten).await.is_err() {
            tracing::warn!(
                event = "tasks_not_acknowledged",
                "the control plane did not acknowledge the end of all tasks in time"
            );
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
        self.serving.end();
        self.shared.machine.endpoint.stop();
        self.shared.tasks.detach();
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
    if remove_outputs(directory)? {
        removed.push("what containers wrote whose tasks are over".to_owned());
    }
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
    fn reporter(&self, registration: &Registration) -> Reporter {
        Reporter {
            control_plane: self.control_plane.clone(),
            tasks: self.tasks.clone(),
            accepts_tasks: self.accepts_tasks.clone(),
            reported: self.reported.clone(),
            has_room: self.has_room.clone(),
            registration: registration.clone(),
        }
    }
}
