//! What is here of tasks that nobody knows.
//!
//! **Invariant:** a task is marked before anything of it is removed: it has run here, and is not started again.

use std::collections::HashSet;
use std::io;

use outport_container_runtime::{Runtime, RuntimeError};
use outport_model::TaskId;

use super::AgentError;
use crate::machine::Machine;
use crate::task::host::NodeHost;
use crate::task_record::{Loaded, TaskRecord};

impl NodeHost for Machine {
    type Error = AgentError;

    async fn take_over(
        &self,
        found: &mut Loaded,
        mark: impl Fn(&TaskId) -> io::Result<()> + Send + 'static,
    ) -> Result<HashSet<TaskId>, AgentError> {
        found.records = with_ids(self, std::mem::take(&mut found.records)).await?;
        let Loaded { records, kept, damaged, .. } = found;
        let known: HashSet<TaskId> = records
            .iter()
            .map(|record| record.report.task.clone())
            .chain(kept.iter().chain(&*damaged).cloned())
            .collect();
        for record in records.iter() {
            if let Some(first_id) = record.first_id {
                self.users.keep(&record.report.task, first_id);
            }
        }
        let left_alone = [&kept[..], damaged].concat();
        hold_layers(self, &left_alone).await?;
        let (runtime, known_here) = (self.runtime.clone(), known.clone());
        let leftovers = tokio::task::spawn_blocking(move || {
            let is_leftover = |task: &TaskId| !known_here.contains(task);
            remove_leftovers(&runtime, is_leftover, mark)
        });
        let leftovers = leftovers.await.map_err(io::Error::other)??;
        self.endpoint.keep_only(&known);
        self.networks.remove_leftovers(|task| !known.contains(task)).await?;
        let users = self.users.clone();
        tokio::task::spawn_blocking(move || users.remove_leftovers(&left_alone))
            .await
            .map_err(io::Error::other)??;
        Ok(leftovers)
    }

    fn ids_of(&self, task: &TaskId) -> Option<u32> {
        let first_id = self.runtime.holds(task.as_str()).ok()?.first_id?;
        self.users.keep(task, first_id);
        Some(first_id)
    }

    async fn remove_unrecorded(&self, task: &TaskId) -> Result<(), AgentError> {
        self.endpoint.forget(task);
        let (runtime, id) = (self.runtime.clone(), task.clone());
        let removed = tokio::task::spawn_blocking(move || {
            remove_leftovers(&runtime, |found| *found == id, |_| Ok(()))
        });
        let removed = removed.await.map_err(io::Error::other);
        let detached = self.networks.remove_leftovers(|found| found == task).await;
        removed??;
        Ok(detached?)
    }
}

/// A version that did not know of user namespaces wrote some records again without the ids of their tasks: what
/// containers were made with says which they have.
async fn with_ids(
    machine: &Machine,
    mut records: Vec<TaskRecord>,
) -> Result<Vec<TaskRecord>, AgentError> {
    let runtime = machine.runtime.clone();
    let read = tokio::task::spawn_blocking(move || {
        let holds = runtime.holds_of_all()?;
        for record in records.iter_mut().filter(|record| record.first_id.is_none()) {
            let held = holds.get(record.report.task.as_str());
            record.first_id = held.and_then(|holds| holds.first_id);
        }
        Ok::<_, RuntimeError>(records)
    });
    Ok(read.await.map_err(io::Error::other)??)
}

/// Keeps for what is not understood the layers of the images that its containers need.
async fn hold_layers(machine: &Machine, tasks: &[TaskId]) -> Result<(), AgentError> {
    for task in tasks {
        let (runtime, id) = (machine.runtime.clone(), task.clone());
        let holds = tokio::task::spawn_blocking(move || runtime.holds(id.as_str()));
        let holds = holds.await.map_err(io::Error::other)??;
        machine.images.hold_layers(task, holds.layers.as_deref());
    }
    Ok(())
}

/// Containers whose task has no record: nobody knows what they are for. Gives their tasks, each `mark`ed
/// before anything of it is removed: it has run here. What does not go, such as a process that is stuck in
/// the kernel, is tried again by the next start: it keeps no task from running.
pub(super) fn remove_leftovers(
    runtime: &Runtime,
    is_leftover: impl Fn(&TaskId) -> bool,
    mark: impl Fn(&TaskId) -> std::io::Result<()>,
) -> Result<HashSet<TaskId>, RuntimeError> {
    let mut leftovers = HashSet::new();
    for found in runtime.list()? {
        let task = TaskId::new(&found.task);
        if !is_leftover(&task) {
            continue;
        }
        let marked = mark(&task);
        leftovers.insert(task);
        let removed = marked.map_err(AgentError::from).and_then(|()| {
            Ok(match &found.container {
                Some(container) => runtime.remove(&found.task, container),
                None => runtime.remove_task_cgroup(&found.task),
            }?)
        });
        if let Err(error) = removed {
            tracing::error!(
                event = "task_remains_not_removed",
                task = found.task,
                container = found.container,
                %error,
                "cannot remove what is left of a task"
            );
        }
    }
    Ok(leftovers)
}

/// Needs root and control groups, as the agent does.
#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::sync::Mutex;

    use outport_container_runtime::RuntimeSettings;

    use super::super::equipment::own_program;
    use super::*;

    /// The directories of a runtime, with one in the way of a removal.
    struct Scratch {
        base: tempfile::TempDir,
        stuck: PathBuf,
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            nix::mount::umount(&self.stuck).unwrap();
        }
    }

    #[test]
    fn a_stranger_that_stays_keeps_no_other() {
        let base = tempfile::tempdir().unwrap();
        let cgroup_root = format!("outport-test-leftovers-{}", std::process::id());
        let runtime = Runtime::new(RuntimeSettings {
            root_dir: base.path().join("data"),
            run_dir: base.path().join("run"),
            cgroup_root,
            shim_binary: own_program(),
            shim_args: Vec::new(),
            allow_privileged: false,
        })
        .unwrap();
        let container = |task: &str| base.path().join("data/tasks").join(task).join("c/app");
        for task in ["a", "b", "c", "kept"] {
            fs::create_dir_all(container(task)).unwrap();
        }
        fs::create_dir_all(base.path().join("run/c/.x")).unwrap();
        let stuck = container("b");
        let none = None::<&str>;
        nix::mount::mount(none, &stuck, Some("tmpfs"), nix::mount::MsFlags::empty(), none).unwrap();
        let scratch = Scratch { base, stuck };
        let marked = Mutex::new(HashSet::new());
        let is_leftover = |task: &TaskId| task.as_str() != "kept";
        let leftovers = remove_leftovers(&runtime, is_leftover, |task| {
            marked.lock().unwrap().insert(task.clone());
            Ok(())
        });
        let expected: HashSet<TaskId> = ["a", "b", "c"].map(TaskId::new).into();
        assert_eq!(leftovers.unwrap(), expected);
        assert_eq!(marked.into_inner().unwrap(), expected);
        assert!(container_is_there(&scratch, "kept") && container_is_there(&scratch, "b"));
        assert!(!container_is_there(&scratch, "a") && !container_is_there(&scratch, "c"));
    }

    fn container_is_there(scratch: &Scratch, task: &str) -> bool {
        scratch.base.path().join("data/tasks").join(task).join("c/app").exists()
    }
}
