//! The real machine under a task: network, images, containers, logs.
//!
//! **Invariant:** everything made here carries the instance's id and the task's, so that whoever
//! comes next, this agent's successor or `outport cleanup`, finds it.

mod containers;
mod disks;
mod images;
mod network;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outport_container_runtime::{
    Adopted as Found, ContainerState, Driver, Runtime, RuntimeError, ShimHandle, fail_point,
    signal_number,
};
use outport_free_space::Part;
use outport_model::TaskId;
use outport_node_protocol::{ContainerAssignment, TaskAssignment};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use containers::container_exit;
use containers::{Containers, LOST, blocking};
pub use disks::{Disks, remove_images};
pub use images::{IMAGE_BYTES_MAX, Images, SWEEP_INTERVAL};
pub use network::{NetworkError, Networks, remove_instance};

use crate::container_spec::{ContainerHost, OpenFiles, container_spec, task_limits};
use crate::control_plane::{ControlPlane, LinkError, now_ms};
use crate::log_news::LogNews;
use crate::log_shipper::LogShipper;
use crate::patience::patiently;
use crate::room;
use crate::task::host::PulledImage;
use crate::task::{Adopted, ContainerExit, StartError, TaskHost};

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
    pub disks: Arc<Disks>,
    pub control_plane: Arc<ControlPlane>,
    pub driver: Driver,
    pub log_news: Arc<LogNews>,
    pub open_files: OpenFiles,
    pub containers: Containers,
    /// The directory whose file system must have room for a new task.
    pub directory: PathBuf,
    /// What tasks that are over wrote is being removed.
    pub reclaims: Mutex<HashMap<TaskId, JoinHandle<()>>>,
}

impl Machine {
    /// Begins to ship the log of a container, if it goes anywhere.
    fn ship_log(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
        shim: ShimHandle,
        stop_signal: i32,
    ) -> Result<(), RuntimeError> {
        let (shipped_sender, shipped) = watch::channel(container.log.is_none());
        let ended = self.containers.add(&task.task, &container.name, shim, stop_signal, shipped);
        if let Some(shipper) = self.shipper(task, container, ended)? {
            tokio::spawn(async move {
                shipper.run().await;
                shipped_sender.send_replace(true);
            });
        }
        Ok(())
    }

    fn shipper(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
        ended: watch::Receiver<bool>,
    ) -> Result<Option<LogShipper>, RuntimeError> {
        if container.log.is_none() {
            return Ok(None);
        }
        Ok(Some(LogShipper {
            control_plane: self.control_plane.clone(),
            news: self.log_news.clone(),
            task: task.task.clone(),
            container: container.name.clone(),
            directory: self.runtime.log_dir(task.task.as_str(), &container.name)?,
            ended,
        }))
    }

    /// The streams must be there before a container writes: a group that does not exist fails the
    /// task, as it does at AWS.
    async fn open_logs(&self, task: &TaskAssignment) -> Result<(), StartError> {
        let (_ended_sender, ended) = watch::channel(false);
        let opens = task.containers.iter().map(|container| {
            let ended = ended.clone();
            async move {
                let shipper = self
                    .shipper(task, container, ended)
                    .map_err(|error| StartError::new("ResourceInitializationError", error))?;
                match shipper {
                    Some(shipper) => patiently(LinkError::is_passing, || shipper.open())
                        .await
                        .map(drop)
                        .map_err(|error| log_refused(&error)),
                    None => Ok(()),
                }
            }
        });
        futures_util::future::try_join_all(opens).await.map(drop)
    }

    async fn make(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
    ) -> Result<(), StartError> {
        let failed =
            |detail: &dyn std::fmt::Display| StartError::new("CannotCreateContainerError", detail);
        let image = self
            .images
            .held(&task.task, &container.name)
            .ok_or_else(|| failed(&"its image was not pulled"))?;
        let files = self.networks.files(task, container).map_err(|error| failed(&error))?;
        let host = ContainerHost {
            layers: image.layers.iter().rev().cloned().collect(),
            network: self.networks.namespace(task, container),
            files,
            hostname: self.networks.hostname(task, container),
            driver: self.driver.clone(),
            open_files: self.open_files,
        };
        let mut spec =
            container_spec(task, container, &image.config, host).map_err(|error| failed(&error))?;
        spec.disk = self.disks.of(&task.task);
        let stop_signal = spec.stop_signal;
        let runtime = self.runtime.clone();
        let (id, name) = (task.task.clone(), container.name.clone());
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
        let (id, name) = (task.task.clone(), container.name.clone());
        let found = blocking(move || look(&runtime, id.as_str(), &name));
        Ok(match found.await? {
            None => Adopted::Absent,
            Some((Found::Lost, _)) => Adopted::Lost,
            Some((Found::Exited(record), _)) => {
                self.finish_log(task, container)?;
                Adopted::Exited(container_exit(&record))
            }
            Some((Found::Running(shim), created)) => {
                self.networks.take_over(task).await;
                let runtime_id = runtime_id(container);
                self.ship_log(task, container, shim, self.stop_signal_of(task, container))?;
                if created { Adopted::Created } else { Adopted::Running { runtime_id } }
            }
        })
    }

    /// What a container wrote before it ended unseen is still to be delivered.
    fn finish_log(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
    ) -> Result<(), RuntimeError> {
        let (_sender, ended) = watch::channel(true);
        let (shipped_sender, shipped) = watch::channel(container.log.is_none());
        self.containers.add_ended(&task.task, &container.name, shipped);
        if let Some(shipper) = self.shipper(task, container, ended)? {
            tokio::spawn(async move {
                shipper.run().await;
                shipped_sender.send_replace(true);
            });
        }
        Ok(())
    }

    fn stop_signal_of(&self, task: &TaskAssignment, container: &ContainerAssignment) -> i32 {
        self.images
            .held(&task.task, &container.name)
            .and_then(|image| image.config.stop_signal)
            .and_then(|signal| signal_number(&signal).ok())
            .unwrap_or(STOP_SIGNAL_DEFAULT)
    }

    async fn signal(&self, task: &TaskId, container: &str, kill: bool) {
        let Some((shim, stop_signal)) = self.containers.shim(task, container) else { return };
        let sent =
            blocking(move || if kill { shim.kill() } else { shim.signal(stop_signal) }).await;
        if let Err(error) = sent {
            // Its end is noticed by the wait for it, whatever became of the signal.
            tracing::warn!(%task, container, %error, "cannot signal a container");
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
        let taken = tokio::task::spawn_blocking(move || disks.attach(&task)).await;
        taken.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
    }

    /// Gives back what the task's containers have written, without waiting for the control plane to forget
    /// the task: on a full disk it may be able to note nothing before that.
    fn reclaim(&self, task: &TaskAssignment) {
        let (runtime, disks, id) = (self.runtime.clone(), self.disks.clone(), task.task.clone());
        let names: Vec<String> =
            task.containers.iter().map(|container| container.name.clone()).collect();
        let reclaim = tokio::task::spawn_blocking(move || {
            let cleared = names.iter().try_for_each(|name| runtime.clear(id.as_str(), name));
            let is_free = cleared.is_ok();
            if let Err(error) = cleared {
                tracing::error!(task = %id, %error, "cannot remove what its containers wrote");
            }
            if let Err(error) = disks.release(&id, is_free) {
                tracing::error!(task = %id, %error, "cannot remove its disk");
            }
        });
        self.reclaims().insert(task.task.clone(), reclaim);
    }

    fn reclaims(&self) -> std::sync::MutexGuard<'_, HashMap<TaskId, JoinHandle<()>>> {
        self.reclaims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing of them is left.
    async fn remove_containers(&self, task: &TaskAssignment) -> bool {
        let runtime = self.runtime.clone();
        let id = task.task.clone();
        let names: Vec<String> =
            task.containers.iter().map(|container| container.name.clone()).collect();
        let removed = blocking(move || {
            // Each for itself: one that stays keeps no other.
            let mut all = Ok(());
            for name in &names {
                all = all.and(runtime.remove(id.as_str(), name));
            }
            all.and(runtime.remove_task_cgroup(id.as_str()))
        })
        .await;
        if let Err(error) = &removed {
            tracing::error!(task = %task.task, %error, "cannot remove its containers yet");
        }
        removed.is_ok()
    }
}

impl TaskHost for Machine {
    fn now_ms(&self) -> i64 {
        now_ms()
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
            self.networks
                .attach(task)
                .await
                .map_err(|error| StartError::new("ResourceInitializationError", error))
        };
        let disk = self.take_disk(task);
        tokio::try_join!(disk, group, network, self.open_logs(task)).map(drop)
    }

    async fn pull(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
    ) -> Result<PulledImage, StartError> {
        fail_point::reach("agent.pull")
            .map_err(|error| StartError::new("CannotPullContainerError", error))?;
        let image = self.images.pull(task, container).await?;
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
            .shim(&task.task, &container.name)
            .ok_or_else(|| StartError::new("CannotStartContainerError", "it was not created"))?;
        blocking(move || shim.start()).await.map_err(|error| cannot_start(&error))?;
        Ok(runtime_id(container))
    }

    async fn adopt(&self, task: &TaskAssignment, container: &ContainerAssignment) -> Adopted {
        if let Some(digest) = &container.image_digest {
            self.images.take_over(&task.task, &container.name, digest);
        }
        for attempt in 1.. {
            match self.find(task, container).await {
                Ok(adopted) => return adopted,
                // Such as no descriptor left: what runs is not given up for that.
                Err(error) if attempt < ADOPT_ATTEMPTS => {
                    tracing::warn!(task = %task.task, container = container.name, %error, "cannot take over yet");
                    tokio::time::sleep(ADOPT_PAUSE).await;
                }
                Err(error) => {
                    tracing::error!(task = %task.task, container = container.name, %error, "cannot take over");
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
            tracing::error!(%task, container, %error, "cannot remove a container");
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
            if self.containers.is_alive(&task.task, &container.name) {
                self.kill(&task.task, &container.name).await;
            }
        }
        self.reclaim(task);
        // One that stays is tried again when the task is forgotten.
        let _ = self.networks.detach(task).await;
        for container in &task.containers {
            self.images.release(&task.task, &container.name);
        }
    }

    async fn forget(&self, task: &TaskAssignment) -> bool {
        let reclaim = self.reclaims().remove(&task.task);
        if let Some(reclaim) = reclaim
            && let Err(error) = reclaim.await
        {
            tracing::error!(task = %task.task, %error, "what its containers wrote was not all removed");
        }
        let removed = self.remove_containers(task).await;
        // Again: what could not be removed at the end of the task is tried until it is.
        let detached = self.networks.detach(task).await;
        for container in &task.containers {
            self.images.release(&task.task, &container.name);
            self.containers.forget(&task.task, &container.name);
        }
        removed && detached
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
                Err(RuntimeError::ShimGone { .. }) => {}
                Err(error) => return Err(error),
            },
            over => return Ok(Some((over, false))),
        }
    }
    Ok(Some((Found::Lost, false)))
}

/// The container's UUID without hyphens and half the task's id: unique, and the same after a restart.
fn runtime_id(container: &ContainerAssignment) -> String {
    container.id.replace('-', "")
}

fn cannot_start(error: &RuntimeError) -> StartError {
    let detail: String = error.to_string().chars().take(1000).collect();
    StartError::new("CannotStartContainerError", detail)
}

/// Source: the text that ECS shows when the awslogs driver cannot make its stream.
fn log_refused(error: &LinkError) -> StartError {
    let detail = match error {
        LinkError::Status { message, .. } => message.clone(),
        other => other.to_string(),
    };
    StartError::new(
        "ResourceInitializationError",
        format!(
            "failed to validate logger args: create stream has been retried 1 times: failed to \
             create Cloudwatch log stream: {detail} : exit status 1"
        ),
    )
}
