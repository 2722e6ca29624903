//! The cgroup of a task: the parent of its containers', with the task's own limits.

use crate::cgroup::{Cgroup, CgroupLimits, CgroupUsage};
use crate::container_key::ContainerKey;
use crate::error::RuntimeError;
use crate::layout::Place;
use crate::runtime::{Runtime, valid_task};

impl Runtime {
    /// Makes the task's cgroup, or sets the limits of the one that is there.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn create_task_cgroup(
        &self,
        task: &str,
        limits: &CgroupLimits,
    ) -> Result<(), RuntimeError> {
        valid_task(task)?;
        let cgroup = Cgroup::new(&self.hierarchies, self.layout.task_cgroup(task));
        cgroup.create()?;
        cgroup.limit(limits)
    }

    /// Kills what is left in the task's cgroup and removes it. Removing it again is no error.
    ///
    /// # Errors
    /// When a process does not go.
    pub fn remove_task_cgroup(&self, task: &str) -> Result<(), RuntimeError> {
        valid_task(task)?;
        Cgroup::new(&self.hierarchies, self.layout.task_cgroup(task)).remove()
    }

    /// What all containers of the task use together.
    ///
    /// # Errors
    /// When the task has no cgroup.
    pub fn stats(&self, task: &str) -> Result<CgroupUsage, RuntimeError> {
        valid_task(task)?;
        let path = self.layout.task_cgroup(task);
        Cgroup::new(&self.hierarchies, &path).usage().map_err(RuntimeError::io("read cgroup", path))
    }

    /// What one container uses.
    ///
    /// # Errors
    /// When the container has no cgroup.
    pub fn container_stats(&self, task: &str, name: &str) -> Result<CgroupUsage, RuntimeError> {
        let path = self.layout.container_cgroup(&Place::from(&ContainerKey::new(task, name)?));
        Cgroup::new(&self.hierarchies, &path).usage().map_err(RuntimeError::io("read cgroup", path))
    }
}
