//! Where everything of a container lies.
//!
//! ```text
//! <root>/tasks/<task>/c/<name>/   upper/, work/, log/, exit
//! <disk of the task>/c/<name>/    upper/, work/ where the task has one, seen by its shims only
//! <root>/outputs/<task>/<name>/   the log of a container that is gone, kept by the agent
//! <root>/trash/                   directories of containers that are gone, on their way out
//! <run>/c/<task>.<name>/          intent.json, files/, rootfs/, lock, pid, shim.sock, shim.err, bundle/, exit
//! <cgroup root>/<task>/<name>     and <cgroup root>/shims for the shims themselves
//! ```
//!
//! **Invariant:** `root` survives a boot of the host and `run` does not: what is of no use after a boot
//! lies in `run`, a memory file system, where a file costs no disk its bookkeeping.

use std::path::{Path, PathBuf};

use crate::container_key::ContainerKey;

/// The cgroup of all shims of an instance: outside every task, so that no task's limit stops them.
/// No task can have the name: a task id holds no dot.
const SHIMS_CGROUP: &str = "shims.group";

pub(crate) const INTENT_FILE: &str = "intent.json";
pub(crate) const EXIT_FILE: &str = "exit";
pub(crate) const LOCK_FILE: &str = "lock";
pub(crate) const PID_FILE: &str = "pid";
pub(crate) const SOCKET_FILE: &str = "shim.sock";
pub(crate) const ERROR_FILE: &str = "shim.err";
pub(crate) const LOG_DIR: &str = "log";
/// Where a shim mounts the disk of its task, in its run directory.
pub(crate) const DISK_DIR: &str = "disk";

#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub root_dir: PathBuf,
    pub run_dir: PathBuf,
    pub cgroup_root: String,
}

/// A container by its names on disk, which for a long name differ from its key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub task: String,
    pub path_name: String,
}

impl From<&ContainerKey> for Place {
    fn from(key: &ContainerKey) -> Place {
        Place { task: key.task().to_owned(), path_name: key.path_name() }
    }
}

/// Where the shim of a container writes its log, below the root of a runtime.
pub fn log_directory(root_dir: &Path, key: &ContainerKey) -> PathBuf {
    let (root_dir, run_dir) = (root_dir.to_owned(), PathBuf::new());
    let layout = Layout { root_dir, run_dir, cgroup_root: String::new() };
    layout.container_dir(&key.into()).join(LOG_DIR)
}

/// Below the root of a runtime: what is kept of the logs of containers that are gone, a directory a task.
pub fn kept_logs_directory(root_dir: &Path) -> PathBuf {
    root_dir.join("outputs")
}

/// Where the log of a container is kept, below the root of a runtime, once the container is gone.
pub fn kept_log_directory(root_dir: &Path, key: &ContainerKey) -> PathBuf {
    kept_logs_directory(root_dir).join(key.task()).join(key.path_name())
}

impl Layout {
    pub fn tasks_dir(&self) -> PathBuf {
        self.root_dir.join("tasks")
    }

    pub fn task_containers_dir(&self, task: &str) -> PathBuf {
        self.tasks_dir().join(task).join("c")
    }

    pub fn container_dir(&self, place: &Place) -> PathBuf {
        self.task_containers_dir(&place.task).join(&place.path_name)
    }

    pub fn runs_dir(&self) -> PathBuf {
        self.run_dir.join("c")
    }

    pub fn container_run_dir(&self, place: &Place) -> PathBuf {
        self.runs_dir().join(format!("{}.{}", place.task, place.path_name))
    }

    /// What nobody needs any more and is not removed yet.
    pub fn trash_dir(&self) -> PathBuf {
        self.root_dir.join("trash")
    }

    pub fn seccomp_dir(&self) -> PathBuf {
        self.run_dir.join("seccomp")
    }

    pub fn task_cgroup(&self, task: &str) -> PathBuf {
        Path::new(&self.cgroup_root).join(task)
    }

    pub fn container_cgroup(&self, place: &Place) -> PathBuf {
        self.task_cgroup(&place.task).join(&place.path_name)
    }

    pub fn shims_cgroup(&self) -> PathBuf {
        Path::new(&self.cgroup_root).join(SHIMS_CGROUP)
    }

    /// Whether a child of the instance's cgroup is a task's.
    pub fn is_task_cgroup(name: &str) -> bool {
        name != SHIMS_CGROUP
    }
}
