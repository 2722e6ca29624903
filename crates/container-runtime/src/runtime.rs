//! The agent's side: make containers, find them again, remove them.
//!
//! **Invariant:** the intent is on disk before anything of a container exists, so that a crash at any
//! point leaves nothing that [`Runtime::list`] does not see.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::cgroup::{Cgroup, CgroupLimits, Hierarchies};
use crate::container_key::{ContainerKey, check_task};
use crate::error::{FailureKind, RuntimeError, StartFailure};
use crate::fail_point;
use crate::handle::ShimHandle;
use crate::layout::{ERROR_FILE, INTENT_FILE, LOCK_FILE, Layout, PID_FILE, Place};
use crate::lock;
use crate::private;
use crate::protocol::{Report, wait_readable};
use crate::record::{ExitRecord, ShimRecord, read_exit, read_whole, write_whole};
use crate::shim_binary::ShimBinary;
use crate::spec::ContainerSpec;

/// The version of [`Intent`] that this build writes.
pub(crate) const INTENT_VERSION: u32 = 1;

/// How long a shim may take to report; ECS's agent gives a container four minutes.
const CREATE_DEADLINE: Duration = Duration::from_secs(240);

/// How long a shim that lives may take to answer an agent that adopts it.
const ADOPT_DEADLINE: Duration = Duration::from_secs(10);

/// How often the directory of a task is made again when removals of siblings keep taking it away.
const MAKE_ATTEMPTS: u32 = 100;

/// A quarter of a vCPU, the smallest task of Fargate.
const SHIMS_CPU_SHARES: u64 = 256;

/// What a dying shim's error file may add to a message.
const ERROR_TEXT_MAX: u64 = 2048;

/// Where a runtime works.
#[derive(Debug, Clone)]
pub struct RuntimeSettings {
    /// The data directory; containers lie in `tasks/<task>/c/<name>` below it.
    pub root_dir: PathBuf,
    /// A directory of this instance on a memory file system, such as `/run/outport/<instance>`.
    pub run_dir: PathBuf,
    /// The top cgroup of this instance, such as `outport-<instance>`; one path component.
    pub cgroup_root: String,
    /// The binary whose sub-command is the shim, and the arguments before the shim's own.
    pub shim_binary: PathBuf,
    pub shim_args: Vec<String>,
    /// Whether containers may be privileged, or add a capability that reaches out of a container.
    pub allow_privileged: bool,
}

/// Makes and finds the containers of one Outport instance.
#[derive(Debug)]
pub struct Runtime {
    pub(crate) layout: Layout,
    pub(crate) hierarchies: Arc<Hierarchies>,
    shim_binary: ShimBinary,
    settings: RuntimeSettings,
    /// Numbers what goes into the trash.
    pub(crate) thrown: AtomicU64,
    /// What some thread is removing from the trash.
    pub(crate) in_removal: Mutex<HashSet<PathBuf>>,
    /// See [`Runtime::interrupt_removals`].
    pub(crate) interrupted: AtomicBool,
}

/// What became of a container while nobody looked.
#[derive(Debug)]
pub enum Adopted {
    /// Its shim lives; the container is created or running.
    Running(ShimHandle),
    Exited(ExitRecord),
    /// The shim is gone without a record: it was killed, or the host was booted. What was left of
    /// the container has been killed.
    Lost,
}

/// The whole of what a shim needs to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Intent {
    pub version: u32,
    pub key: ContainerKey,
    pub container_dir: PathBuf,
    pub run_dir: PathBuf,
    pub cgroup: PathBuf,
    pub shims_cgroup: PathBuf,
    pub seccomp_dir: PathBuf,
    pub spec: ContainerSpec,
}

impl Runtime {
    /// # Errors
    /// When cgroups are not mounted or directories cannot be made.
    pub fn new(settings: RuntimeSettings) -> Result<Runtime, RuntimeError> {
        let hierarchies =
            Hierarchies::read().map_err(RuntimeError::io("read", "/proc/self/mountinfo"))?;
        if !hierarchies.missing().is_empty() {
            return Err(RuntimeError::MissingKernelFeature(
                "mounted cgroup controllers cpu, memory and pids",
            ));
        }
        let layout = Layout {
            root_dir: settings.root_dir.clone(),
            run_dir: settings.run_dir.clone(),
            cgroup_root: settings.cgroup_root.clone(),
        };
        // Below lie programs that a container may have given the rights of root, and its devices.
        private::own_directory(&layout.tasks_dir())
            .map_err(RuntimeError::io("make", layout.tasks_dir()))?;
        let shim_binary = ShimBinary::new(&settings.shim_binary);
        let hierarchies = Arc::new(hierarchies);
        let (thrown, in_removal, interrupted) = Default::default();
        let runtime =
            Runtime { layout, hierarchies, shim_binary, settings, thrown, in_removal, interrupted };
        runtime.restore_run_dir()?;
        Ok(runtime)
    }

    /// Makes the directories in `/run` that every container needs, which somebody may have removed while
    /// containers ran: those go on, and are found again, see [`Runtime::adopt`].
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn restore_run_dir(&self) -> Result<(), RuntimeError> {
        for directory in [self.layout.runs_dir(), self.layout.seccomp_dir()] {
            private::own_directory(&directory).map_err(RuntimeError::io("make", &directory))?;
        }
        Ok(())
    }

    /// Gives all shims of this instance together the weight of a small task where processors are short: what they do
    /// for containers counts for no task, see `shim/allowance.rs` for how much that can be.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn weigh_shims(&self) -> Result<(), RuntimeError> {
        let shims = Cgroup::new(&self.hierarchies, self.layout.shims_cgroup());
        shims.create()?;
        shims.limit(&CgroupLimits { cpu_shares: Some(SHIMS_CPU_SHARES), ..Default::default() })
    }

    /// Makes a container whose process waits for [`ShimHandle::start`].
    ///
    /// # Errors
    /// [`RuntimeError::Start`] for what is wrong with the container; nothing of it is left then.
    pub fn create(
        &self,
        task: &str,
        name: &str,
        spec: ContainerSpec,
    ) -> Result<ShimHandle, RuntimeError> {
        let key = ContainerKey::new(task, name)?;
        if !self.settings.allow_privileged
            && let Some(what) = spec.asked_of_the_host()
        {
            return Err(RuntimeError::PrivilegedNotAllowed(what));
        }
        let place = Place::from(&key);
        let intent = self.write_intent(&key, &place, spec)?;
        let created = self.spawn(&intent);
        match created {
            Ok(record) => Ok(self.handle(&key, &place, record)),
            Err(error) => {
                // The reason of the failure counts more than what its clean-up says; `list` still
                // finds what could not be removed.
                let _ = self.remove_place(&place);
                Err(error)
            }
        }
    }

    /// Looks for a container that an earlier agent made.
    ///
    /// # Errors
    /// When the disk fails or what was left of a lost container cannot be killed.
    pub fn adopt(&self, task: &str, name: &str) -> Result<Adopted, RuntimeError> {
        let key = ContainerKey::new(task, name)?;
        let place = Place::from(&key);
        if self.is_locked(&place)?
            && let Some(handle) = self.connect(&key, &place)?
        {
            return Ok(Adopted::Running(handle));
        }
        if let Some(record) = self.exit_record(&place)? {
            return Ok(Adopted::Exited(record));
        }
        // Not locked, and no record: it was killed, or its directory is gone and it lives all the same.
        if let Some(record) = self.find_shim(&place) {
            let handle = self.handle(&key, &place, record);
            // It makes its directory again; one that does not, as of an older version, is signalled and
            // waited for by its processes.
            let _ = handle.state();
            return match self.exit_record(&place)? {
                Some(record) => Ok(Adopted::Exited(record)),
                None => Ok(Adopted::Running(handle)),
            };
        }
        // It may have ended between the two looks.
        if let Some(record) = self.exit_record(&place)? {
            return Ok(Adopted::Exited(record));
        }
        Cgroup::new(&self.hierarchies, self.layout.container_cgroup(&place)).kill()?;
        Ok(Adopted::Lost)
    }

    pub(crate) fn exit_record(&self, place: &Place) -> Result<Option<ExitRecord>, RuntimeError> {
        let (container, run) =
            (self.layout.container_dir(place), self.layout.container_run_dir(place));
        read_exit(&container, &run).map_err(RuntimeError::io("read the exit record of", container))
    }

    /// The directory of a container's log, for [`crate::LogReader`].
    ///
    /// # Errors
    /// When the names are not valid.
    pub fn log_dir(&self, task: &str, name: &str) -> Result<PathBuf, RuntimeError> {
        let key = ContainerKey::new(task, name)?;
        Ok(self.layout.container_dir(&Place::from(&key)).join(crate::layout::LOG_DIR))
    }

    /// Whether a live process holds the shim's lock.
    pub(crate) fn is_locked(&self, place: &Place) -> Result<bool, RuntimeError> {
        let path = self.layout.container_run_dir(place).join(LOCK_FILE);
        lock::is_held(&path).map_err(RuntimeError::io("look at the lock", path))
    }

    /// A handle on a locked place; `None` when its shim ends while we look. One that is stopped, or wedged,
    /// has a container all the same.
    fn connect(
        &self,
        key: &ContainerKey,
        place: &Place,
    ) -> Result<Option<ShimHandle>, RuntimeError> {
        let begun = Instant::now();
        let path = self.layout.container_run_dir(place).join(PID_FILE);
        while self.is_locked(place)? {
            // The last that a shim writes: it is about to go, and takes no more orders.
            let is_over = self.exit_record(place)?.is_some();
            let record = read_whole(&path).map_err(RuntimeError::io("read", &path))?;
            // One that does not say who it is in words that are understood is found by its process.
            if !is_over && let Some(record) = record.or_else(|| self.find_shim(place)) {
                let handle = self.handle(key, place, record);
                if handle.state().is_ok() {
                    return Ok(Some(handle));
                }
            }
            if begun.elapsed() > ADOPT_DEADLINE {
                if is_over {
                    return Ok(None);
                }
                let what = format!("a shim of {key} that does not answer");
                let waited_ms = begun.elapsed().as_millis() as u64;
                return Err(RuntimeError::Timeout { what, waited_ms });
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(None)
    }

    fn handle(&self, key: &ContainerKey, place: &Place, record: ShimRecord) -> ShimHandle {
        ShimHandle {
            key: key.clone(),
            run_dir: self.layout.container_run_dir(place),
            container_dir: self.layout.container_dir(place),
            cgroup: self.layout.container_cgroup(place),
            hierarchies: Arc::clone(&self.hierarchies),
            record,
        }
    }

    fn write_intent(
        &self,
        key: &ContainerKey,
        place: &Place,
        spec: ContainerSpec,
    ) -> Result<Intent, RuntimeError> {
        fail_point::reach("agent.intent")
            .map_err(RuntimeError::io("write the intent of", key.name()))?;
        let container_dir = self.layout.container_dir(place);
        make_inside(&self.layout.task_containers_dir(&place.task), &container_dir, key)?;
        let run_dir = self.layout.container_run_dir(place);
        match make_new(&run_dir, key) {
            // Somebody has cleaned `/run`.
            Err(RuntimeError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                self.restore_run_dir()?;
                make_new(&run_dir, key)?;
            }
            made => made?,
        }
        let intent = Intent {
            version: INTENT_VERSION,
            key: key.clone(),
            container_dir,
            run_dir,
            cgroup: self.layout.container_cgroup(place),
            shims_cgroup: self.layout.shims_cgroup(),
            seccomp_dir: self.layout.seccomp_dir(),
            spec,
        };
        let path = intent.run_dir.join(INTENT_FILE);
        write_whole(&path, &intent).map_err(RuntimeError::io("write", path))?;
        Ok(intent)
    }

    /// Starts the shim and waits for its report. The shim leaves this process's family at once, so
    /// there is one child to reap, now.
    fn spawn(&self, intent: &Intent) -> Result<ShimRecord, RuntimeError> {
        let error_path = intent.run_dir.join(ERROR_FILE);
        let errors = private::create(&error_path).map_err(RuntimeError::io("make", &error_path))?;
        let (report, reports) = pipe().map_err(RuntimeError::io("make a pipe for", &error_path))?;
        let mut command = self.shim_binary.command();
        command.args(&self.settings.shim_args).arg(&intent.run_dir);
        command.env_clear().current_dir("/");
        command.stdin(Stdio::null()).stdout(reports).stderr(errors);
        #[cfg(debug_assertions)]
        command
            .envs(std::env::var_os(fail_point::VARIABLE).map(|text| (fail_point::VARIABLE, text)));
        let child = fail_point::reach("agent.spawn").and_then(|()| command.spawn());
        // The command holds our copy of the pipe's end: without this the report never ends.
        drop(command);
        let binary = self.shim_binary.path();
        let mut child = child.map_err(RuntimeError::io("execute", binary))?;
        let report = read_report(report, &intent.key, &error_path);
        child.wait().map_err(RuntimeError::io("wait for", binary))?;
        match report? {
            Report::Created(record) => Ok(record),
            Report::Failed(failure) => Err(RuntimeError::Start(failure)),
        }
    }
}

/// Checks a task id, for the calls that take no container.
pub(crate) fn valid_task(task: &str) -> Result<(), RuntimeError> {
    Ok(check_task(task)?)
}

/// Makes the directory of a new container, and its task's around it. The removal of a sibling takes
/// an empty task's directory along, at any moment before ours is in it: then once more.
fn make_inside(parent: &Path, directory: &Path, key: &ContainerKey) -> Result<(), RuntimeError> {
    for _ in 0..MAKE_ATTEMPTS {
        // A removal in the middle of this call makes it say that the directory was there.
        match private::make_directories(parent) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
            done => done.map_err(RuntimeError::io("make", parent))?,
        }
        match make_new(directory, key) {
            Err(RuntimeError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            done => return done,
        }
    }
    make_new(directory, key)
}

fn make_new(directory: &Path, key: &ContainerKey) -> Result<(), RuntimeError> {
    match private::make_directory(directory) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(RuntimeError::AlreadyExists(key.to_string()))
        }
        done => done.map_err(RuntimeError::io("make", directory)),
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?)
}

fn read_report(
    report: OwnedFd,
    key: &ContainerKey,
    error_path: &Path,
) -> Result<Report, RuntimeError> {
    let begun = Instant::now();
    let mut text = Vec::new();
    let mut file = File::from(report);
    let mut part = [0_u8; 4096];
    loop {
        let left = CREATE_DEADLINE.saturating_sub(begun.elapsed()).as_millis();
        let ready = wait_readable(file.as_fd(), i32::try_from(left).unwrap_or(i32::MAX));
        if !ready.map_err(RuntimeError::io("wait for the report of", error_path))? {
            let failure =
                StartFailure::new(FailureKind::Other, "the container was not ready in time");
            return Ok(Report::Failed(failure));
        }
        match file.read(&mut part).map_err(RuntimeError::io("read the report of", error_path))? {
            0 => break,
            length => text.extend_from_slice(&part[..length]),
        }
        // Not the end of the pipe: the container's waiting process may still hold it.
        if text.ends_with(b"\n") {
            break;
        }
    }
    serde_json::from_slice(&text).map_err(|_| {
        let mut detail = String::new();
        if let Ok(file) = File::open(error_path) {
            // What it could not read it does not say.
            let _ = file.take(ERROR_TEXT_MAX).read_to_string(&mut detail);
        }
        let detail = format!("it ended before it reported. {}", detail.trim());
        RuntimeError::ShimGone { key: key.to_string(), detail, is_shortage: false }
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn siblings_are_made_while_others_take_their_empty_parent_along() {
        let scratch = tempfile::tempdir().unwrap();
        let parent = scratch.path().join("task/c");
        std::thread::scope(|scope| {
            for name in ["one", "two", "three"] {
                let parent = &parent;
                scope.spawn(move || {
                    let key = ContainerKey::new("0123456789abcdef0123456789abcdef", name).unwrap();
                    for _ in 0..2000 {
                        make_inside(parent, &parent.join(name), &key).unwrap();
                        fs::remove_dir(parent.join(name)).unwrap();
                        // As the last step of a removal; mostly a sibling is in it.
                        let _ = fs::remove_dir(parent);
                    }
                });
            }
        });
    }
}
