//! Taking a container away: shim, processes, cgroup, directories.
//!
//! **Invariant:** removal may be done again, from any half-way state, and ends with no trace.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cgroup::Cgroup;
use crate::container_key::ContainerKey;
use crate::error::RuntimeError;
use crate::layout::{PID_FILE, Place};
use crate::record::{ShimRecord, boot_id, read_whole, start_ticks};
use crate::remove_tree::remove_tree;
use crate::runtime::Runtime;

/// After the container is killed its shim writes one record and goes.
const SHIM_DEADLINE: Duration = Duration::from_secs(15);
const SHIM_POLL: Duration = Duration::from_millis(1);

impl Runtime {
    /// Removes everything of a container, killing it if it runs. What is not there is no error.
    ///
    /// # Errors
    /// When a process or a directory does not go.
    pub fn remove(&self, task: &str, name: &str) -> Result<(), RuntimeError> {
        self.remove_place(&Place::from(&ContainerKey::new(task, name)?))
    }

    /// Removes every container and cgroup of this instance, for `outport cleanup`.
    ///
    /// # Errors
    /// The first of them, after all the others were tried.
    pub fn remove_all(&self) -> Result<(), RuntimeError> {
        let mut first = None;
        for place in self.places()? {
            if let Err(error) = self.remove_place(&place) {
                first.get_or_insert(error);
            }
        }
        let top = Cgroup::new(&self.hierarchies, &self.layout.cgroup_root).remove();
        match first {
            Some(error) => Err(error),
            None => top,
        }
    }

    pub(crate) fn remove_place(&self, place: &Place) -> Result<(), RuntimeError> {
        let cgroup = Cgroup::new(&self.hierarchies, self.layout.container_cgroup(place));
        let begun = Instant::now();
        let mut killed = false;
        while self.is_locked(place)? {
            if !killed {
                cgroup.kill()?;
                killed = true;
            }
            if begun.elapsed() > SHIM_DEADLINE {
                self.kill_shim(place)?;
                break;
            }
            std::thread::sleep(SHIM_POLL);
        }
        cgroup.remove()?;
        remove_directory(&self.layout.container_run_dir(place))?;
        remove_directory(&self.layout.container_dir(place))?;
        // The last container of a task takes the directory that held them along.
        match fs::remove_dir(self.layout.task_containers_dir(&place.task)) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTEMPTY | libc::ENOENT)) => {
                Ok(())
            }
            done => done
                .map_err(RuntimeError::io("remove", self.layout.task_containers_dir(&place.task))),
        }
    }

    /// A shim that does not end by itself although its container is gone.
    fn kill_shim(&self, place: &Place) -> Result<(), RuntimeError> {
        let path = self.layout.container_run_dir(place).join(PID_FILE);
        let record: Option<ShimRecord> =
            read_whole(&path).map_err(RuntimeError::io("read", &path))?;
        let same_boot = |record: &ShimRecord| boot_id().is_ok_and(|boot| boot == record.boot_id);
        let Some(record) = record.filter(same_boot) else { return Ok(()) };
        if start_ticks(record.shim_pid).is_ok_and(|ticks| ticks == record.shim_start_ticks) {
            kill(Pid::from_raw(record.shim_pid), Signal::SIGKILL)
                .map_err(|error| RuntimeError::io("kill the shim of", path)(error.into()))?;
        }
        Ok(())
    }
}

fn remove_directory(directory: &Path) -> Result<(), RuntimeError> {
    remove_tree(directory).map_err(RuntimeError::io("remove", directory))
}
