//! What is here of tasks that nobody knows.
//!
//! **Invariant:** a task is marked before anything of it is removed: it has run here, and is not started again.

use std::collections::HashSet;

use outport_container_runtime::{Runtime, RuntimeError};
use outport_model::TaskId;

use super::AgentError;

/// Containers whose task has no record: nobody knows what they are for. Gives their tasks, each `mark`ed
/// before anything of it is removed: it has run here. What does not go, such as a process that is stuck in
/// the kernel, is tried again by the next start: it keeps no task from running.
pub(super) fn remove_strangers(
    runtime: &Runtime,
    is_stranger: impl Fn(&TaskId) -> bool,
    mark: impl Fn(&TaskId) -> std::io::Result<()>,
) -> Result<HashSet<TaskId>, RuntimeError> {
    let mut strangers = HashSet::new();
    for found in runtime.list()? {
        let task = TaskId::new(&found.task);
        if !is_stranger(&task) {
            continue;
        }
        let marked = mark(&task);
        strangers.insert(task);
        let removed = marked.map_err(AgentError::from).and_then(|()| {
            Ok(match &found.container {
                Some(container) => runtime.remove(&found.task, container),
                None => runtime.remove_task_cgroup(&found.task),
            }?)
        });
        if let Err(error) = removed {
            tracing::error!(
                task = found.task,
                container = found.container,
                %error,
                "what is left of a task without a record cannot be removed yet"
            );
        }
    }
    Ok(strangers)
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
        let cgroup_root = format!("outport-test-strangers-{}", std::process::id());
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
        let is_stranger = |task: &TaskId| task.as_str() != "kept";
        let strangers = remove_strangers(&runtime, is_stranger, |task| {
            marked.lock().unwrap().insert(task.clone());
            Ok(())
        });
        let expected: HashSet<TaskId> = ["a", "b", "c"].map(TaskId::new).into();
        assert_eq!(strangers.unwrap(), expected);
        assert_eq!(marked.into_inner().unwrap(), expected);
        assert!(container_is_there(&scratch, "kept") && container_is_there(&scratch, "b"));
        assert!(!container_is_there(&scratch, "a") && !container_is_there(&scratch, "c"));
    }

    fn container_is_there(scratch: &Scratch, task: &str) -> bool {
        scratch.base.path().join("data/tasks").join(task).join("c/app").exists()
    }
}
