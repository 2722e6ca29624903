//! Taking a container away: shim, processes, cgroup, directories.
//!
//! **Invariant:** removal may be done again, from any half-way state, and ends with no trace.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use outport_tree_removal::{remove_tree, remove_tree_while};

use crate::cgroup::Cgroup;
use crate::container_key::ContainerKey;
use crate::error::RuntimeError;
use crate::fail_point;
use crate::layout::{EXIT_FILE, LOG_DIR, PID_FILE, Place};
use crate::private;
use crate::process::Process;
use crate::record::{ShimRecord, read_whole};
use crate::runtime::Runtime;

/// After the container is killed its shim writes one record and goes.
const SHIM_DEADLINE: Duration = Duration::from_secs(15);
/// A process that was killed goes at once, unless it is stuck in the kernel.
const KILLED_DEADLINE: Duration = Duration::from_secs(5);
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
        if let Err(error) = self.empty_trash() {
            first.get_or_insert(error);
        }
        let top = Cgroup::new(&self.hierarchies, &self.layout.cgroup_root).remove();
        match first {
            Some(error) => Err(error),
            None => top,
        }
    }

    /// Removes what a container that is over has written, once its shim is gone; its log and how it ended
    /// stay. One that is not over is killed.
    ///
    /// # Errors
    /// As those of [`Runtime::remove`].
    pub fn clear(&self, task: &str, name: &str) -> Result<(), RuntimeError> {
        let place = Place::from(&ContainerKey::new(task, name)?);
        let cgroup = Cgroup::new(&self.hierarchies, self.layout.container_cgroup(&place));
        self.end_shim(&place, &cgroup)?;
        // Nor may a process that outlived its shim have it mounted.
        cgroup.remove()?;
        let directory = self.layout.container_dir(&place);
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            listed => listed.map_err(RuntimeError::io("list", &directory))?,
        };
        for entry in entries {
            let entry = entry.map_err(RuntimeError::io("list", &directory))?;
            let kept = [LOG_DIR, EXIT_FILE].iter().any(|kept| entry.file_name() == *kept);
            let kind = entry.file_type().map_err(RuntimeError::io("look at", entry.path()))?;
            if !kept && kind.is_dir() {
                remove_directory(&entry.path())?;
            }
        }
        Ok(())
    }

    pub(crate) fn remove_place(&self, place: &Place) -> Result<(), RuntimeError> {
        let cgroup = Cgroup::new(&self.hierarchies, self.layout.container_cgroup(place));
        self.end_shim(place, &cgroup)?;
        let path = self.layout.container_run_dir(place);
        fail_point::reach("remove.cgroup").map_err(RuntimeError::io("remove", &path))?;
        cgroup.remove()?;
        fail_point::reach("remove.files").map_err(RuntimeError::io("remove", &path))?;
        remove_directory(&self.layout.container_run_dir(place))?;
        self.throw_away(place)?;
        // The last container of a task takes the directory that held them along.
        match fs::remove_dir(self.layout.task_containers_dir(&place.task)) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTEMPTY | libc::ENOENT)) => {
                Ok(())
            }
            done => done
                .map_err(RuntimeError::io("remove", self.layout.task_containers_dir(&place.task))),
        }
    }

    /// Waits until nothing of the shim is left, killing the container if it is not over.
    ///
    /// The end of the process is waited for, not only of its lock: until then it lets go of mounts and
    /// files, and whoever removes their directories meanwhile spins in the kernel.
    fn end_shim(&self, place: &Place, cgroup: &Cgroup<'_>) -> Result<(), RuntimeError> {
        let path = self.layout.container_run_dir(place).join(PID_FILE);
        let begun = Instant::now();
        let mut killed = matches!(self.exit_record(place), Ok(Some(_)));
        loop {
            let record: Option<ShimRecord> =
                read_whole(&path).map_err(RuntimeError::io("read", &path))?;
            // Without a record it has not come so far, or somebody has cleaned `/run`.
            let record = record.or_else(|| self.find_shim(place));
            let shim = record.as_ref().map_or(Ok(None), Process::shim);
            let shim = shim.map_err(RuntimeError::io("open the process of", &path))?;
            if shim.is_none() && !self.is_locked(place)? {
                return Ok(());
            }
            // What is over is not killed: its shim takes the cgroup away at this very moment.
            if !killed {
                cgroup.kill()?;
                killed = true;
            }
            let left = SHIM_DEADLINE.saturating_sub(begun.elapsed());
            match shim {
                Some(shim) if left.is_zero() => {
                    shim.signal(libc::SIGKILL).map_err(RuntimeError::io("kill", &path))?;
                    return match shim.wait(KILLED_DEADLINE) {
                        Ok(true) => Ok(()),
                        Ok(false) => Err(still_there(place, begun)),
                        Err(error) => Err(RuntimeError::io("wait for the shim of", path)(error)),
                    };
                }
                // Over, even if nobody has reaped it yet.
                Some(shim) if shim.wait(left).map_err(RuntimeError::io("wait for", &path))? => {
                    return Ok(());
                }
                Some(_) => {}
                None if left.is_zero() => return Err(still_there(place, begun)),
                // It has not said yet who it is.
                None => std::thread::sleep(SHIM_POLL),
            }
        }
    }
}

impl Runtime {
    /// Removes what was thrown away and not removed: a container's files, when an agent was told to end
    /// while it removed them. Takes as long as it takes, see [`Runtime::interrupt_removals`].
    ///
    /// # Errors
    /// The first of them, after all the others were tried.
    pub fn empty_trash(&self) -> Result<(), RuntimeError> {
        let trash = self.layout.trash_dir();
        let entries = match fs::read_dir(&trash) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(RuntimeError::io("read", &trash))?,
        };
        let mut first = None;
        for entry in entries.flatten() {
            if let Err(error) = self.remove_thrown(&entry.path()) {
                first.get_or_insert(error);
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// Whether files of containers that are gone are still there.
    pub fn has_trash(&self) -> bool {
        fs::read_dir(self.layout.trash_dir()).is_ok_and(|mut entries| entries.next().is_some())
    }

    /// Ends every removal of files that is under way, and any later one, where it is. What is left is for
    /// the next runtime's [`Runtime::empty_trash`].
    pub fn interrupt_removals(&self) {
        self.interrupted.store(true, Ordering::Release);
    }

    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }

    /// A container may have written more files than anybody waits for: its directory goes out of the way at
    /// once, whole, and then bit by bit.
    fn throw_away(&self, place: &Place) -> Result<(), RuntimeError> {
        let (directory, trash) = (self.layout.container_dir(place), self.layout.trash_dir());
        let number = self.thrown.fetch_add(1, Ordering::Relaxed);
        let thrown = trash.join(format!(
            "{}.{}.{}.{number}",
            place.task,
            place.path_name,
            std::process::id()
        ));
        let moved = match fs::rename(&directory, &thrown) {
            Err(error) if error.kind() == ErrorKind::NotFound && !trash.is_dir() => {
                private::make_directories(&trash).map_err(RuntimeError::io("make", &trash))?;
                fs::rename(&directory, &thrown)
            }
            moved => moved,
        };
        match moved {
            Ok(()) => self.remove_thrown(&thrown),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            // A file system that cannot even rename may still be able to remove.
            Err(_) => remove_directory(&directory),
        }
    }

    /// An interruption is no error: nothing of it is anybody's any more. Nor is what another thread is at.
    fn remove_thrown(&self, thrown: &Path) -> Result<(), RuntimeError> {
        let in_work = || self.in_removal.lock().unwrap_or_else(PoisonError::into_inner);
        if !in_work().insert(thrown.to_owned()) {
            return Ok(());
        }
        let removed = remove_tree_while(thrown, |_| !self.is_interrupted());
        in_work().remove(thrown);
        removed.map(|_| ()).map_err(RuntimeError::io("remove", thrown))
    }
}

fn still_there(place: &Place, begun: Instant) -> RuntimeError {
    let what = format!("the shim of {} in task {}", place.path_name, place.task);
    RuntimeError::Timeout { what, waited_ms: begun.elapsed().as_millis() as u64 }
}

fn remove_directory(directory: &Path) -> Result<(), RuntimeError> {
    remove_tree(directory).map_err(RuntimeError::io("remove", directory))
}
