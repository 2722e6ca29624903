//! One node: joins, takes over what is there, follows its assignment.
//!
//! **Invariant:** an assignment older than the one that is followed is refused.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use outport_certificates::JoinToken;
use outport_container_runtime::{Driver, Runtime, RuntimeError, RuntimeSettings, private};
use outport_image_store::{ImageStore, StoreError, StoreOptions, Unpacker};
use outport_model::node::NodeCapacity;
use outport_model::task::StopCode;
use outport_model::{DesiredStatus, TaskId, TaskStatus};
use outport_node_protocol::{Assignment, Registered, Registration, StopCause, TaskAssignment};
use outport_task_disk::DiskError;
use outport_task_network::HostAccess;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::board::Board;
use crate::container_spec::OpenFiles;
use crate::control_plane::{ControlPlane, LinkError};
use crate::host;
use crate::log_news::LogNews;
use crate::machine::{
    Disks, IMAGE_BYTES_MAX, Images, Machine, NetworkError, Networks, SWEEP_INTERVAL, remove_images,
    remove_instance,
};
use crate::reporter::Reporter;
use crate::room::RoomWatch;
use crate::run_dir;
use crate::task::runner::StopReason;
use crate::task::{Order, TaskRunner};
use crate::task_record::{Loaded, TaskRecord, TaskRecords};

/// First wait after a call that failed; doubles up to the last.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// After a stop of everything the tasks have this long beyond their own stop timeouts.
const STOP_ALL_PATIENCE: Duration = Duration::from_secs(150);
/// How often it is said what is waited for.
const STOP_WORD_INTERVAL: Duration = Duration::from_secs(5);
/// How long the control plane has to take the last report and drop the stopped tasks.
const FORGET_PATIENCE: Duration = Duration::from_secs(5);
/// A firewall that was restarted meanwhile took our rules with it.
const RULES_INTERVAL: Duration = Duration::from_secs(60);
/// How often a node looks whether its certificate is due.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(3600);
const FORGET_LOOK: Duration = Duration::from_millis(20);
/// AWS's text for tasks whose host went away. Source: "Stopped tasks error messages".
const HOST_STOPPED: &str = "Host was stopped or restarted while the task ran.";

const RECORD_LOST: &str = "The host lost its record of the task.";
/// How often somebody may have cleaned `/run` before it is seen.
const RUN_DIR_INTERVAL: Duration = Duration::from_secs(5);
/// What lies in it: containers, namespaces, records.
const RUN_DIR_PARTS: [&str; 3] = ["c", "ns", "tasks"];
/// How long the end of a node removes what containers wrote; the rest is for the next start.
const REMOVE_PATIENCE: Duration = Duration::from_secs(20);
/// And how often it says so.
const REMOVE_WORD_INTERVAL: Duration = Duration::from_secs(5);

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
    /// Whether containers may have power over this host: `privileged`, and the capabilities that
    /// [`outport_model::linux_capability`] calls the host's.
    pub allow_privileged: bool,
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
    Disk(#[from] DiskError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
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
    /// Tasks that were here and of which no record can be read, until the control plane has said whether it
    /// still knows them. One that it does is reported stopped: it may have run.
    lost: Mutex<HashSet<TaskId>>,
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

/// Removes every container of the node. What they wrote is removed as far as there is time.
async fn remove_containers(runtime: &Arc<Runtime>) -> Result<(), AgentError> {
    let begun = tokio::time::Instant::now();
    let remover = runtime.clone();
    let mut removal = tokio::task::spawn_blocking(move || {
        remover.remove_all()?;
        // Another thread may still be at it.
        while remover.has_trash() && !remover.is_interrupted() {
            std::thread::sleep(FORGET_LOOK);
        }
        Ok(())
    });
    loop {
        match tokio::time::timeout(REMOVE_WORD_INTERVAL, &mut removal).await {
            Ok(removed) => {
                // No thread may keep the process from its end.
                runtime.interrupt_removals();
                let removed: Result<(), RuntimeError> = removed.map_err(std::io::Error::other)?;
                return Ok(removed?);
            }
            Err(_) if begun.elapsed() < REMOVE_PATIENCE => {
                let seconds = begun.elapsed().as_secs();
                tracing::info!(
                    seconds,
                    "the tasks have stopped; removing the files that their containers wrote"
                );
            }
            Err(_) => {
                tracing::warn!(
                    "the containers wrote more files than can be removed now; the next start goes on with it"
                );
                runtime.interrupt_removals();
            }
        }
    }
}

/// What an earlier agent had no time to remove.
fn empty_trash(runtime: &Runtime) {
    if let Err(error) = runtime.empty_trash() {
        tracing::error!(%error, "cannot remove the files of containers that are gone");
    }
}

/// Removes whatever an instance left on this host, with nobody running.
pub fn remove_everything(directory: &Path, instance: &str) -> Result<Vec<String>, AgentError> {
    let mut removed = Vec::new();
    let runtime = runtime(directory, instance, false)?;
    removed.extend(runtime.list()?.into_iter().map(|found| match found.container {
        Some(container) => format!("container {container} of task {}", found.task),
        None => format!("task {}", found.task),
    }));
    runtime.remove_all()?;
    remove_images(directory)?;
    remove_host_traces(instance)?;
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

    /// Records become runners again; what has no record is removed.
    async fn take_over(self: &Arc<Self>) -> Result<(), AgentError> {
        let Loaded { records, unreadable } = self.records.load()?;
        let known: Vec<TaskId> = records.iter().map(|record| record.report.task.clone()).collect();
        let (runtime, kept, marks) =
            (self.machine.runtime.clone(), known.clone(), self.records.clone());
        let strangers = tokio::task::spawn_blocking(move || {
            remove_strangers(&runtime, &kept, |task| marks.mark(task))
        });
        let strangers = strangers.await.map_err(std::io::Error::other)??;
        self.machine.networks.remove_strangers(&known).await?;
        for task in unreadable.into_iter().chain(strangers) {
            tracing::error!(%task, "its record is lost: it is not started again");
            self.lost().insert(task);
        }
        for mut record in records {
            if record.boot_id != self.boot_id && record.report.status < TaskStatus::Stopped {
                record.boot_id.clone_from(&self.boot_id);
                record.report.status = record.report.status.max(TaskStatus::Stopping);
                record.report.stop.get_or_insert_with(|| StopCause {
                    code: StopCode::TerminationNotice,
                    reason: HOST_STOPPED.to_owned(),
                });
            }
            self.run(record, Order::Run, true);
        }
        Ok(())
    }

    fn run(self: &Arc<Self>, record: TaskRecord, order: Order, taken_over: bool) {
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
        );
        let work = tokio::spawn(runner.run(taken_over));
        let mut runners = self.runners();
        if let Some(reason) = self.stopping.get() {
            raise(&orders, Order::Stop(Some(reason.clone())));
        }
        runners.insert(task, Runner { orders, work });
    }

    /// Orders every task to stop, and every one that an assignment under way still brings.
    fn stop_all(&self, reason: StopReason) {
        let runners = self.runners();
        let reason = self.stopping.get_or_init(|| reason);
        for runner in runners.values() {
            raise(&runner.orders, Order::Stop(Some(reason.clone())));
        }
    }

    /// Makes what runs here what the assignment says.
    fn follow(self: &Arc<Self>, assignment: Assignment) {
        let mut wanted: HashMap<TaskId, TaskAssignment> =
            assignment.tasks.into_iter().map(|task| (task.task.clone(), task)).collect();
        {
            let mut runners = self.runners();
            runners.retain(|_, runner| !runner.work.is_finished());
            for (task, runner) in runners.iter() {
                match wanted.remove(task) {
                    None => raise(&runner.orders, Order::Forget),
                    Some(task) => raise(&runner.orders, order_of(&task)),
                }
            }
        }
        let mut lost = std::mem::take(&mut *self.lost());
        for task in wanted.into_values() {
            let order = order_of(&task);
            let is_lost = lost.remove(&task.task);
            let mut record = TaskRecord::new(task, &self.boot_id);
            if is_lost {
                record.report.status = TaskStatus::Stopping;
                let (code, reason) = (StopCode::TerminationNotice, RECORD_LOST.to_owned());
                record.report.stop = Some(StopCause { code, reason });
            }
            self.run(record, order, is_lost);
        }
        // Nobody wants them any more.
        for task in lost {
            if let Err(error) = self.records.forget(&task) {
                tracing::error!(%task, %error, "cannot remove what is left of it");
            }
        }
        self.generation.store(assignment.generation, Ordering::Release);
    }

    fn lost(&self) -> MutexGuard<'_, HashSet<TaskId>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn runners(&self) -> MutexGuard<'_, HashMap<TaskId, Runner>> {
        self.runners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn order_of(task: &TaskAssignment) -> Order {
    match task.desired {
        DesiredStatus::Running => Order::Run,
        DesiredStatus::Stopped => Order::Stop(None),
    }
}

/// An order is never taken back.
fn raise(orders: &watch::Sender<Order>, order: Order) {
    orders.send_if_modified(|known| {
        let higher = rank(&order) > rank(known);
        if higher {
            *known = order;
        }
        higher
    });
}

fn rank(order: &Order) -> u8 {
    match order {
        Order::Run => 0,
        Order::Stop(_) => 1,
        Order::Forget => 2,
    }
}

async fn follow_assignments(
    shared: Arc<Shared>,
    registration: Registration,
    dismiss: watch::Sender<Option<String>>,
) {
    let mut retry = RETRY_FIRST;
    loop {
        let known = shared.generation.load(Ordering::Acquire);
        match shared.control_plane.assignment(known).await {
            Ok(Some(assignment)) if assignment.generation > known => {
                retry = RETRY_FIRST;
                shared.follow(assignment);
            }
            Ok(Some(older)) => {
                tracing::error!(
                    known,
                    offered = older.generation,
                    "an older assignment is refused"
                );
                tokio::time::sleep(RETRY_MAX).await;
            }
            Ok(None) => retry = RETRY_FIRST,
            Err(error) if error.is_final() => {
                dismiss.send_replace(Some(error.to_string()));
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "no assignment; the tasks run on");
                tokio::time::sleep(retry).await;
                retry = (retry * 2).min(RETRY_MAX);
                // The control plane may have lost its memory of this node, or be another one now.
                if let Err(error) = shared.control_plane.register(&registration).await {
                    tracing::debug!(%error, "not registered again yet");
                }
            }
        }
    }
}

/// Failures are tried again long before the certificate runs out; should it, the node joins again.
async fn keep_certificate(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(CERTIFICATE_INTERVAL).await;
        if let Err(error) = shared.control_plane.keep_certificate().await {
            tracing::warn!(%error, "this node has no next certificate yet; trying again");
        }
    }
}

async fn restore_rules(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(RULES_INTERVAL).await;
        shared.machine.networks.restore_rules().await;
    }
}

/// Cleaners of temporary files take directories away from under what runs: they are made again, before
/// the next task needs them.
async fn keep_run_dir(shared: Arc<Shared>, run_dir: PathBuf) {
    loop {
        tokio::time::sleep(RUN_DIR_INTERVAL).await;
        if RUN_DIR_PARTS.iter().all(|part| run_dir.join(part).is_dir()) {
            continue;
        }
        tracing::warn!(directory = %run_dir.display(), "somebody has removed it, or a part of it; it is made again");
        let (runtime, path) = (shared.machine.runtime.clone(), run_dir.clone());
        let restored = tokio::task::spawn_blocking(move || -> Result<(), AgentError> {
            run_dir::make(&path)?;
            private::make_directories(&path.join("tasks"))?;
            Ok(runtime.restore_run_dir()?)
        });
        match restored.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "cannot make the run directory again"),
            Err(error) => tracing::error!(%error, "cannot make the run directory again"),
        }
        shared.machine.networks.restore_records().await;
    }
}

async fn watch_room(shared: Arc<Shared>, directory: PathBuf) {
    let watch = RoomWatch {
        directory,
        disks: shared.machine.disks.clone(),
        has_room: shared.has_room.clone(),
    };
    let changed = || shared.board.wake();
    watch.run(changed, |task, reason| shared.stop_one(task, StopReason(reason))).await;
}

async fn sweep_images(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        shared.machine.images.sweep().await;
    }
}

fn registration(
    settings: &AgentSettings,
    control_plane: &ControlPlane,
    boot_id: &str,
) -> Registration {
    Registration {
        node: control_plane.node().clone(),
        host_name: host::host_name(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        boot_id: boot_id.to_owned(),
        architecture: host::architecture(),
        capacity: settings.capacity.clone(),
        cluster: settings.cluster.clone(),
        ask_only: false,
        allows_privileged: settings.allow_privileged,
    }
}

async fn register(
    control_plane: &ControlPlane,
    registration: &Registration,
) -> Result<Registered, LinkError> {
    let mut retry = RETRY_FIRST;
    loop {
        match control_plane.register(registration).await {
            Err(error) if error.is_passing() => {
                tracing::warn!(%error, "cannot join yet; trying again");
                tokio::time::sleep(retry).await;
                retry = (retry * 2).min(RETRY_MAX);
            }
            answer => return answer,
        }
    }
}

async fn machine(
    settings: &AgentSettings,
    control_plane: &Arc<ControlPlane>,
    registered: Registered,
) -> Result<Machine, AgentError> {
    check_addresses(&settings.instance, &registered.vpc_cidr)?;
    let run_dir = run_dir::path(&settings.instance);
    run_dir::make(&run_dir)?;
    let runtime = runtime(&settings.directory, &settings.instance, settings.allow_privileged)?;
    let runtime = Arc::new(runtime);
    let unpacker = Unpacker::Process { program: own_program(), arguments: vec!["unpack".into()] };
    let options = StoreOptions { unpacker, bytes_max: IMAGE_BYTES_MAX, ..StoreOptions::default() };
    let store = ImageStore::open(&settings.directory.join("images"), options)?;
    let (directory, gib) = (settings.directory.clone(), settings.task_storage_gib);
    let disks = tokio::task::spawn_blocking(move || Disks::open(&directory, gib));
    let host_access = settings.host_access.clone();
    let networks =
        Networks::open(&run_dir, &settings.instance, &registered.vpc_cidr, host_access).await?;
    let disks = Arc::new(disks.await.map_err(std::io::Error::other)??);
    let driver = match &settings.oci_runtime {
        Some(program) => Driver::Oci(program.clone()),
        None => Driver::BuiltIn,
    };
    Ok(Machine {
        runtime,
        networks,
        images: Images::new(store, control_plane.clone(), registered),
        disks,
        control_plane: control_plane.clone(),
        driver,
        log_news: LogNews::open()?,
        open_files: settings.container_open_files,
        containers: Default::default(),
        directory: settings.directory.clone(),
        reclaims: Default::default(),
    })
}

fn runtime(
    directory: &Path,
    instance: &str,
    allow_privileged: bool,
) -> Result<Runtime, RuntimeError> {
    Runtime::new(RuntimeSettings {
        root_dir: directory.to_owned(),
        run_dir: run_dir::path(instance),
        cgroup_root: format!("outport-{instance}"),
        shim_binary: own_program(),
        shim_args: vec!["shim".to_owned()],
        allow_privileged,
    })
}

/// The file that this process runs, even when it was replaced on disk meanwhile.
fn own_program() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}

/// Containers whose task has no record: nobody knows what they are for. Gives their tasks, each `mark`ed
/// before anything of it is removed: it has run here.
fn remove_strangers(
    runtime: &Runtime,
    known: &[TaskId],
    mark: impl Fn(&TaskId) -> std::io::Result<()>,
) -> Result<HashSet<TaskId>, AgentError> {
    let mut strangers = HashSet::new();
    for found in runtime.list()? {
        if known.iter().any(|task| task.as_str() == found.task) {
            continue;
        }
        let task = TaskId::new(&found.task);
        mark(&task)?;
        strangers.insert(task);
        match &found.container {
            Some(container) => runtime.remove(&found.task, container)?,
            None => runtime.remove_task_cgroup(&found.task)?,
        }
    }
    Ok(strangers)
}
