//! The real machine under a task: network, images, containers, logs.
//!
//! **Invariant:** everything made here carries the instance's id and the task's, so that whoever
//! comes next, this agent's successor or `outport cleanup`, finds it.

mod asked_ports;
mod at_once;
mod containers;
mod disks;
mod images;
mod logs;
mod network;
mod outputs;
mod secrets;
mod user_namespaces;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use outport_container_runtime::{
    Adopted as Found, ContainerState, Driver, Runtime, RuntimeError, fail_point, signal_number,
};
use outport_free_space::Part;
use outport_model::TaskId;
use outport_node_protocol::{ContainerAssignment, ContainerHealth, TaskAssignment};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use at_once::all_at_once;
pub use containers::container_exit;
use containers::{Containers, LOST, blocking};
pub use disks::{Disks, remove_images};
pub use images::{Images, SWEEP_INTERVAL};
pub use network::{NetworkError, Networks, host_name_servers, remove_instance};
pub use outputs::{KeptOutputs, remove_outputs};
pub use secrets::Secrets;
pub use user_namespaces::{UserError, UserNamespaces, remove_user_namespaces};

use crate::container_spec::{ContainerHost, OpenFiles, container_spec, task_limits};
use crate::control_plane::{ControlPlane, now_ms};
use crate::in_span::spawn_blocking;
use crate::log_wakeups::LogWakeups;
use crate::room;
use crate::task::host::PulledImage;
use crate::task::{Adopted, ContainerExit, StartError, TaskHost};
use crate::task_endpoint::TaskEndpoint;

/// SIGTERM, what a stop sends unless the image says otherwise.
const STOP_SIGNAL_DEFAULT: i32 = 15;

/// How often a container is looked for that may have been there, and how much apart.
const ADOPT_ATTEMPTS: u32 = 10;
const ADOPT_PAUSE: Duration = Duration::from_millis(500);
/// How often a shim may end between two looks at it: it does so once.
const LOOKS_MAX: u32 = 3;

/// All that tasks of this node share.
pub struct Machine {
    pub runtime: Arc<Runtime>,
    pub networks: Networks,
    pub images: Images,
    pub secrets: Secrets,
    pub disks: Arc<Disks>,
    /// What containers of tasks that are over wrote, where nothing else has it.
    pub outputs: Arc<KeptOutputs>,
    pub users: Arc<UserNamespaces>,
    pub control_plane: Arc<ControlPlane>,
    /// What tasks may ask.
    pub endpoint: Arc<TaskEndpoint>,
    pub driver: Driver,
    pub log_wakeups: Arc<LogWakeups>,
    pub open_files: OpenFiles,
    pub host_tasks_reach_metadata: bool,
    pub containers: Containers,
    /// The directory whose file system must have room for a new task.
    pub directory: PathBuf,
    /// What tasks that are over wrote is being removed.
    pub reclaims: Mutex<HashMap<TaskId, JoinHandle<()>>>,
}

impl Machine {
    async fn make(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
    ) -> Result<(), StartError> {
        let failed =
            |detail: &dyn std::fmt::Display| StartError::new("CannotCreateContainerError", detail);
        let image = self
            .images
            .held(&task.task, &container.definition.name)
            .ok_or_else(|| failed(&"its image was not pulled"))?;
        self.endpoint.settle(task).await;
        let files = self.networks.files(task, container).map_err(|error| failed(&error))?;
        let mut environment = self.secrets.environment(task, container).await?;
        environment.extend(self.endpoint.environment(task, container));
        let host = ContainerHost {
            layers: image.layers.iter().rev().cloned().collect(),
            network: self.networks.namespace(task, container),
            files,
            hostname: self.networks.hostname(task, container),
            environment,
            driver: self.driver.clone(),
            open_files: self.open_files,
            host_tasks_reach_metadata: self.host_tasks_reach_metadata,
        };
        let mut spec =
            container_spec(task, container, &image.config, host).map_err(|error| failed(&error))?;
        spec.disk = self.disks.of(&task.task);
        spec.user_namespace = self.users.of(&task.task);
        let stop_signal = spec.stop_signal;
        let runtime = self.runtime.clone();
        let (id, name) = (task.task.clone(), container.definition.name.clone());
        let shim = blocking(move || runtime.create(id.as_str(), &name, spec))
            .await
            .map_err(|error| cannot_start(&error))?;
        self.ship_log(task, container, shim, stop_signal).map_err(|error| failed(&error))
    }

    async fn find(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
    ) -> Result<Adopted, RuntimeError> {
        let runtime = self.runtime.clone();
        let (id, name) = (task.task.clone(), container.definition.name.clone());
        let found = blocking(move || look(&runtime, id.as_str(), &name));
        Ok(match found.await? {
            None => Adopted::Absent,
            Some((Found::Lost, _)) => Adopted::Lost,
            Some((Found::Exited(record), _)) => {
                self.finish_log(task, container)?;
                Adopted::Exited(container_exit(&record))
            }
            Some((Found::Running(shim), created)) => {
                self.networks.adopt(task, self.owner(&task.task)).await;
                self.endpoint.adopt(task);
                if self.images.held(&task.task, &container.definition.name).is_none() {
                    let holds = self.runtime.holds(task.task.as_str())?;
                    self.images.hold_layers(&task.task, holds.layers.as_deref());
                }
                let runtime_id = runtime_id(container);
                self.ship_log(task, container, shim, self.stop_signal_of(task, container))?;
                if created { Adopted::Created } else { Adopted::Running { runtime_id } }
            }
        })
    }

    fn stop_signal_of(&self, task: &TaskAssignment, container: &ContainerAssignment) -> i32 {
        self.images
            .held(&task.task, &container.definition.name)
            .and_then(|image| image.config.stop_signal.clone())
            .and_then(|signal| signal_number(&signal).ok())
            .unwrap_or(STOP_SIGNAL_DEFAULT)
    }

    async fn signal(&self, task: &TaskId, container: &str, kill: bool) {
        let Some((shim, stop_signal)) = self.containers.shim(task, container) else { return };
        let sent =
            blocking(move || if kill { shim.kill() } else { shim.signal(stop_signal) }).await;
        if let Err(error) = sent {
            // Its end is noticed by the wait for it, whatever became of the signal.
            tracing::warn!(
                event = "container_signal_failed",
                %task,
                container,
                %error,
                "cannot signal a container"
            );
        }
    }

    /// A new task is taken only while the disk has room for what it will write.
    async fn take_disk(&self, task: &TaskAssignment) -> Result<(), StartError> {
        let failed = |detail: &dyn std::fmt::Display| {
            StartError::new(
                "ResourceInitializationError",
                format!("no disk for the task: {detail}"),
            )
        };
        room::check(&self.directory, Part::NewTasks).map_err(|detail| failed(&detail))?;
        let (disks, task) = (self.disks.clone(), task.clone());
        let taken = spawn_blocking(move || disks.attach(&task)).await;
        taken.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
    }

    /// Gives back what the task's containers have written, without waiting for the control plane to forget
    /// the task: on a full disk it may be able to note nothing before that.
    fn reclaim(&self, task: &TaskAssignment) {
        let (runtime, disks, id) = (self.runtime.clone(), self.disks.clone(), task.task.clone());
        let names: Vec<String> =
            task.containers.iter().map(|container| container.definition.name.clone()).collect();
        let keep_output = self.keep_output(task);
        let reclaim = spawn_blocking(move || {
            let cleared = names.iter().try_for_each(|name| runtime.clear(id.as_str(), name));
            let is_free = cleared.is_ok();
            if is_free {
                keep_output();
            }
            if let Err(error) = cleared {
                tracing::error!(
                    event = "task_files_not_removed",
                    task = %id,
                    %error,
                    "cannot remove the files that a task's containers wrote"
                );
            }
            if let Err(error) = disks.release(&id, is_free) {
                tracing::error!(
                    event = "task_disk_not_removed",
                    task = %id,
                    %error,
                    "cannot remove the disk of a task; it is tried again"
                );
            }
        });
        self.reclaims().insert(task.task.clone(), reclaim);
    }

    /// Keeps what the containers of a task wrote that log nowhere else, for who asks why it ended; once more does nothing.
    fn keep_output(&self, task: &TaskAssignment) -> impl FnOnce() + Send + 'static {
        let (outputs, id) = (self.outputs.clone(), task.task.clone());
        let log_nowhere = task.containers.iter().filter(|container| container.log.is_none());
        let names: Vec<String> =
            log_nowhere.map(|container| container.definition.name.clone()).collect();
        move || {
            for name in &names {
                if let Err(error) = outputs.keep(id.as_str(), name, SystemTime::now()) {
                    tracing::warn!(
                        event = "task_output_not_kept",
                        task = %id,
                        container = name,
                        %error,
                        "cannot keep what a container wrote that is over"
                    );
                }
            }
        }
    }

    /// Once none of the task's containers is left: what had no time at its end must not stay for as long as this agent
    /// lives. Whether nothing of the disk is left.
    async fn release_disk(&self, task: &TaskId) -> bool {
        let (disks, id) = (self.disks.clone(), task.clone());
        let released = spawn_blocking(move || disks.release(&id, true)).await;
        let failure = match released {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::error!(
            event = "task_disk_not_removed",
            %task,
            error = failure,
            "cannot remove the disk of a task; it is tried again"
        );
        false
    }

    fn reclaims(&self) -> std::sync::MutexGuard<'_, HashMap<TaskId, JoinHandle<()>>> {
        self.reclaims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing of it is left.
    async fn forget_user_namespace(&self, task: &TaskId) -> bool {
        let (users, id) = (self.users.clone(), task.clone());
        let forgotten = spawn_blocking(move || users.forget(&id)).await;
        match forgotten {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => tracing::error!(
                event = "task_ids_not_released",
                %task,
                %error,
                "cannot release the ids of the host that a task had yet"
            ),
            Err(error) => tracing::error!(
                event = "task_ids_not_released",
                %task,
                %error,
                "cannot release the ids of the host that a task had yet"
            ),
        }
        false
    }

    /// The ids stay the task's until its files are gone.
    async fn unpin_user_namespace(&self, task: &TaskId) {
        let (users, id) = (self.users.clone(), task.clone());
        let unpinned = spawn_blocking(move || users.unpin(&id)).await;
        let unpinned = unpinned.map_err(|error| error.to_string());
        if let Err(error) = unpinned.and_then(|done| done.map_err(|error| error.to_string())) {
            tracing::error!(
                event = "user_namespace_not_removed",
                %task,
                error,
                "cannot remove the user namespace of a task yet"
            );
        }
    }

    /// Whom the network of a task belongs to.
    fn owner(&self, task: &TaskId) -> Option<PathBuf> {
        self.users.of(task).map(|user| user.path)
    }

    async fn make_user_namespace(&self, task: &TaskId) -> Result<(), UserError> {
        let (users, task) = (self.users.clone(), task.clone());
        let made = spawn_blocking(move || users.attach(&task)).await;
        made.unwrap_or_else(|error| {
            let (path, source) = (PathBuf::from("a user namespace"), std::io::Error::other(error));
            Err(UserError::Directory { path, source })
        })
    }

    /// Whether nothing of them is left.
    async fn remove_containers(&self, task: &TaskAssignment) -> bool {
        let runtime = self.runtime.clone();
        let id = task.task.clone();
        let names: Vec<String> =
            task.containers.iter().map(|container| container.definition.name.clone()).collect();
        let keep_output = self.keep_output(task);
        let removed = blocking(move || {
            keep_output();
            // Each for itself: one that stays keeps no other.
            let mut all = Ok(());
            for name in &names {
                all = all.and(runtime.remove(id.as_str(), name));
            }
            all.and(runtime.remove_task_cgroup(id.as_str()))
        })
        .await;
        if let Err(error) = &removed {
            tracing::error!(
                event = "task_containers_not_removed",
                task = %task.task,
                %error,
                "cannot remove the containers of a task yet"
            );
        }
        removed.is_ok()
    }
}

impl TaskHost for Machine {
    fn now_ms(&self) -> i64 {
        now_ms()
    }

    fn reserve_ids(&self, task: &TaskAssignment) -> Result<Option<u32>, StartError> {
        let reserved = self.users.reserve(task);
        reserved.map_err(|error| StartError::new("ResourceInitializationError", error))
    }

    async fn attach(&self, task: &TaskAssignment) -> Result<(), StartError> {
        let group = async {
            let (runtime, id, limits) =
                (self.runtime.clone(), task.task.clone(), task_limits(task));
            let failed = |error| StartError::new("ResourceInitializationError", error);
            fail_point::reach("agent.group").map_err(failed)?;
            blocking(move || runtime.create_task_cgroup(id.as_str(), &limits))
                .await
                .map_err(|error| StartError::new("ResourceInitializationError", error))
        };
        let network = async {
            self.make_user_namespace(&task.task)
                .await
                .map_err(|error| StartError::new("ResourceInitializationError", error))?;
            self.networks
                .attach(task, self.owner(&task.task))
                .await
                .map_err(|error| StartError::new("ResourceInitializationError", error))?;
            self.endpoint.begin(task, self.networks.addresses(task));
            Ok(())
        };
        let disk = self.take_disk(task);
        let makes = vec![disk.boxed(), group.boxed(), network.boxed()];
        let asks = async {
            let (logs, secrets) = (self.open_logs(task), self.secrets.fetch(task));
            futures_util::future::try_join(logs, secrets).await.map(drop)
        };
        all_at_once(makes, asks).await
    }

    async fn pull(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
    ) -> Result<PulledImage, StartError> {
        fail_point::reach("agent.pull")
            .map_err(|error| StartError::new("CannotPullContainerError", error))?;
        let registry = self.secrets.registry(task, container).await?;
        let image = self.images.pull(task, container, registry).await?;
        Ok(PulledImage { digest: image.digest.to_string() })
    }

    async fn create(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
    ) -> Result<(), StartError> {
        self.make(task, container).await
    }

    async fn start(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
    ) -> Result<String, StartError> {
        let (shim, _) = self
            .containers
            .shim(&task.task, &container.definition.name)
            .ok_or_else(|| StartError::new("CannotStartContainerError", "it was not created"))?;
        // All containers of a task are made before the first is started.
        self.secrets.forget(&task.task);
        blocking(move || shim.start()).await.map_err(|error| cannot_start(&error))?;
        Ok(runtime_id(container))
    }

    async fn adopt(&self, task: &TaskAssignment, container: &ContainerAssignment) -> Adopted {
        if let Some(digest) = &container.image_digest {
            self.images.hold(&task.task, &container.definition.name, digest);
        }
        for attempt in 1.. {
            match self.find(task, container).await {
                Ok(adopted) => return adopted,
                // Such as no descriptor left: what runs is not given up for that.
                Err(error) if attempt < ADOPT_ATTEMPTS => {
                    tracing::warn!(
                        event = "container_adopt_retried",
                        task = %task.task,
                        container = container.definition.name,
                        %error,
                        "cannot find a container that runs yet; trying again"
                    );
                    tokio::time::sleep(ADOPT_PAUSE).await;
                }
                Err(error) => {
                    tracing::error!(
                        event = "container_not_adopted",
                        task = %task.task,
                        container = container.definition.name,
                        %error,
                        "cannot find a container that an earlier agent started: it counts as lost"
                    );
                    break;
                }
            }
        }
        // It may have run: it is not made again. What is left of it goes with its task.
        let reason = Some(LOST.to_owned());
        Adopted::Exited(ContainerExit { exit_code: None, reason, finished_at_ms: now_ms() })
    }

    async fn discard(&self, task: &TaskId, container: &str) {
        let runtime = self.runtime.clone();
        let (id, name) = (task.clone(), container.to_owned());
        if let Err(error) = blocking(move || runtime.remove(id.as_str(), &name)).await {
            tracing::error!(
                event = "container_not_removed",
                %task,
                container,
                %error,
                "cannot remove a container"
            );
        }
    }

    fn exit(
        &self,
        task: &TaskId,
        container: &str,
    ) -> impl Future<Output = ContainerExit> + Send + 'static {
        let exit = self.containers.exit(task, container);
        async move {
            let lost = || ContainerExit { finished_at_ms: now_ms(), ..ContainerExit::default() };
            let Some(mut exit) = exit else { return lost() };
            match exit.wait_for(Option::is_some).await {
                Ok(exit) => exit.clone().unwrap_or_else(lost),
                Err(_) => lost(),
            }
        }
    }

    fn health(&self, task: &TaskId, container: &str) -> Option<watch::Receiver<ContainerHealth>> {
        self.containers.health(task, container)
    }

    async fn terminate(&self, task: &TaskId, container: &str) {
        self.signal(task, container, false).await;
    }

    async fn kill(&self, task: &TaskId, container: &str) {
        self.signal(task, container, true).await;
    }

    async fn logs_shipped(&self, task: &TaskId) {
        for mut shipped in self.containers.shipped(task) {
            // A shipper that is gone has given up and said so.
            let _over = shipped.wait_for(|shipped| *shipped).await.is_ok();
        }
    }

    async fn release(&self, task: &TaskAssignment) {
        for container in &task.containers {
            // Only what was made and never started is still there.
            if self.containers.is_alive(&task.task, &container.definition.name) {
                self.kill(&task.task, &container.definition.name).await;
            }
        }
        self.endpoint.forget(&task.task);
        self.secrets.forget(&task.task);
        self.reclaim(task);
        // One that stays is tried again when the task is forgotten.
        let _ = self.networks.detach(task).await;
        self.unpin_user_namespace(&task.task).await;
        for container in &task.containers {
            self.images.release(&task.task, &container.definition.name);
        }
    }

    async fn forget(&self, task: &TaskAssignment) -> bool {
        self.endpoint.forget(&task.task);
        let reclaim = self.reclaims().remove(&task.task);
        if let Some(reclaim) = reclaim
            && let Err(error) = reclaim.await
        {
            tracing::error!(
                event = "task_files_removal_failed",
                task = %task.task,
                %error,
                "the thread that removes a task's files failed"
            );
        }
        let removed = self.remove_containers(task).await && self.release_disk(&task.task).await;
        // Again: what could not be removed at the end of the task is tried until it is.
        let detached = self.networks.detach(task).await;
        for container in &task.containers {
            self.images.release(&task.task, &container.definition.name);
            self.containers.forget(&task.task, &container.definition.name);
        }
        // Last: until here something may be left that has the task's ids.
        removed && detached && self.forget_user_namespace(&task.task).await
    }
}

/// What became of a container while nobody looked, and whether it waits for its start; `None` when nothing
/// of it is there. A shim that ends between two questions leaves an exit record: then it is looked at again.
fn look(runtime: &Runtime, task: &str, name: &str) -> Result<Option<(Found, bool)>, RuntimeError> {
    if !runtime.has(task, name)? {
        return Ok(None);
    }
    for _ in 0..LOOKS_MAX {
        match runtime.adopt(task, name)? {
            Found::Running(shim) => match shim.state() {
                Ok(state) => {
                    let waits = state == ContainerState::Created;
                    return Ok(Some((Found::Running(shim), waits)));
                }
                Err(RuntimeError::ShimGone { is_shortage: false, .. }) => {}
                Err(error) => return Err(error),
            },
            over => return Ok(Some((over, false))),
        }
    }
    Ok(Some((Found::Lost, false)))
}

/// The container's UUID without hyphens: unique, and the same after a restart.
fn runtime_id(container: &ContainerAssignment) -> String {
    container.id.as_str().replace('-', "")
}

fn cannot_start(error: &RuntimeError) -> StartError {
    let detail: String = error.to_string().chars().take(1000).collect();
    StartError::new("CannotStartContainerError", detail)
}
