//! The disks of this node's tasks: taken with the task's network, given back when all of it is over.
//!
//! **Invariant:** a disk is given back once, after the last shim that had it mounted is gone.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use outport_container_runtime::Disk;
use outport_model::TaskId;
use outport_node_protocol::TaskAssignment;
use outport_task_disk::{DiskError, TaskDisk, TaskDisks};
use outport_tree_removal::remove_tree;

/// The image of a task's disk, in the directory with its record.
const IMAGE: &str = "disk.img";

/// What a node gives its tasks to write on.
pub struct Disks {
    /// `None`: containers write beside their logs, without a limit.
    disks: Option<TaskDisks>,
    tasks: PathBuf,
    held: Mutex<HashMap<TaskId, Arc<TaskDisk>>>,
}

impl Disks {
    /// `gib`: how much a task may write of which nobody says it; `None` for no limit.
    ///
    /// # Errors
    /// When this host can make no disks.
    pub fn open(directory: &Path, gib: Option<u32>) -> Result<Self, DiskError> {
        let disks = gib.map(|gib| TaskDisks::open(&directory.join("disks"), gib)).transpose()?;
        Ok(Self { disks, tasks: directory.join("tasks"), held: Mutex::default() })
    }

    /// Gives a task its disk, or the one it had. Waits for the host's disk at times.
    ///
    /// # Errors
    /// Those of making one.
    pub fn attach(&self, task: &TaskAssignment) -> Result<(), DiskError> {
        let Some(disks) = &self.disks else { return Ok(()) };
        if self.held().contains_key(&task.task) {
            return Ok(());
        }
        let disk = disks.take(task.limits.storage_gib, &self.image(&task.task))?;
        self.held().insert(task.task.clone(), Arc::new(disk));
        Ok(())
    }

    /// What a shim needs to mount the disk of its task.
    pub fn of(&self, task: &TaskId) -> Option<Disk> {
        let held = self.held();
        let disk = held.get(task)?;
        Some(Disk { device: disk.device().to_owned(), image: disk.image().to_owned() })
    }

    /// Lets go of a task's disk and gives the host its space back. `is_free`: nobody has it mounted any more,
    /// so that another task may have it.
    ///
    /// # Errors
    /// When the image cannot be removed.
    pub fn release(&self, task: &TaskId, is_free: bool) -> Result<(), DiskError> {
        let held = self.held().remove(task);
        match (held.and_then(Arc::into_inner), &self.disks) {
            (Some(disk), Some(disks)) => {
                let emptied =
                    is_free && disks.is_kept(&disk) && remove_tree(&disk.content()).is_ok();
                disks.give_back(disk, emptied)
            }
            // An earlier agent's.
            _ => remove_image(&self.image(task)),
        }
    }

    /// Makes disks for the next tasks.
    ///
    /// # Errors
    /// Those of making one.
    pub fn fill(&self) -> Result<(), DiskError> {
        self.disks.as_ref().map_or(Ok(()), TaskDisks::fill)
    }

    /// Bytes that each task takes of the host's disk.
    pub fn host_bytes(&self) -> Vec<(TaskId, u64)> {
        use std::os::unix::fs::MetadataExt;
        let Ok(tasks) = fs::read_dir(&self.tasks) else { return Vec::new() };
        tasks
            .flatten()
            .filter_map(|task| {
                let image = task.path().join(IMAGE).metadata().ok()?;
                Some((TaskId::new(task.file_name().to_string_lossy()), image.blocks() * 512))
            })
            .collect()
    }

    /// Gives the host back what tasks deleted.
    pub fn trim(&self) {
        let held: Vec<Arc<TaskDisk>> = self.held().values().cloned().collect();
        for disk in held {
            if let Err(error) = disk.trim() {
                tracing::debug!(%error, "a task's disk is not trimmed");
            }
        }
    }

    /// Removes the disks that are ready, when the node stops.
    ///
    /// # Errors
    /// When an image cannot be removed.
    pub fn clear(&self) -> Result<(), DiskError> {
        self.disks.as_ref().map_or(Ok(()), TaskDisks::clear)
    }

    fn image(&self, task: &TaskId) -> PathBuf {
        self.tasks.join(task.as_str()).join(IMAGE)
    }

    fn held(&self) -> MutexGuard<'_, HashMap<TaskId, Arc<TaskDisk>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes all images of a node whose containers are gone, for `outport cleanup`.
///
/// # Errors
/// The first of the file system's refusals.
pub fn remove_images(directory: &Path) -> std::io::Result<()> {
    let tasks = match fs::read_dir(directory.join("tasks")) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        listed => listed?,
    };
    for task in tasks {
        match fs::remove_file(task?.path().join(IMAGE)) {
            Err(error)
                if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Err(error);
            }
            _ => {}
        }
    }
    match fs::remove_dir_all(directory.join("disks/ready")) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn remove_image(image: &Path) -> Result<(), DiskError> {
    match fs::remove_file(image) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(DiskError::Io { action: "remove", path: image.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Real disks: needs root, as the agent does, loop devices and mkfs.ext4.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::runner_test::assignment;

    fn prepared(directory: &Path) -> (TaskAssignment, PathBuf) {
        let task = assignment(&["app"]);
        let own = directory.join("tasks").join(task.task.as_str());
        fs::create_dir_all(&own).unwrap();
        (task, own.join(IMAGE))
    }

    #[test]
    fn a_task_keeps_its_disk_until_it_is_released() {
        let scratch = tempfile::tempdir().unwrap();
        let (task, image) = prepared(scratch.path());
        let disks = Disks::open(scratch.path(), Some(1)).unwrap();
        disks.attach(&task).unwrap();
        let first = disks.of(&task.task).unwrap();
        assert_eq!(first.image, image);
        disks.attach(&task).unwrap();
        assert_eq!(disks.of(&task.task).unwrap(), first);
        assert_eq!(disks.host_bytes().len(), 1);
        disks.release(&task.task, true).unwrap();
        assert!(disks.of(&task.task).is_none() && !image.exists());
        disks.release(&task.task, true).unwrap();
    }

    #[test]
    fn a_disk_of_an_earlier_agent_is_used_again_or_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let (task, image) = prepared(scratch.path());
        Disks::open(scratch.path(), Some(1)).unwrap().attach(&task).unwrap();
        let disks = Disks::open(scratch.path(), Some(1)).unwrap();
        disks.attach(&task).unwrap();
        assert_eq!(disks.of(&task.task).unwrap().image, image);
        drop(disks);
        let disks = Disks::open(scratch.path(), Some(1)).unwrap();
        disks.release(&task.task, true).unwrap();
        assert!(!image.exists());
        disks.attach(&task).unwrap();
        remove_images(scratch.path()).unwrap();
        assert!(!image.exists() && !scratch.path().join("disks/ready").exists());
    }

    #[test]
    fn without_a_limit_there_is_no_disk() {
        let scratch = tempfile::tempdir().unwrap();
        let (task, image) = prepared(scratch.path());
        let disks = Disks::open(scratch.path(), None).unwrap();
        disks.attach(&task).unwrap();
        assert!(disks.of(&task.task).is_none() && !image.exists());
    }
}
