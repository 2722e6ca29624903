//! The user namespaces of this node's tasks: root in their containers is nobody here.
//!
//! | a task | has |
//! |---|---|
//! | of network mode `awsvpc`, `bridge` or `none` | one of its own, which its network belongs to |
//! | of network mode `host` | the host's: a port below 1024 of the host's network is for root of the host |
//! | with a privileged container, or one that adds a capability that only counts on the host | the host's |
//! | that was started by a node without them | the host's, until it ends |
//!
//! **Invariant:** a task has one or none for its whole life: which range it has is in its record before anything of
//! it is made, and is given to nobody else until nothing of it is left.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use outport_container_runtime::{
    UserNamespace, UserNamespaceTrialError, private, try_user_namespaces,
};
use outport_model::TaskId;
use outport_model::linux_capability::is_void_in_a_user_namespace;
use outport_node_protocol::{TaskAssignment, TaskNetwork};
use outport_user_namespace::{
    IdRange, IdRanges, RangeError, SubordinateIds, UserNamespaceError, create, is_pinned, pin,
    unpin,
};

/// Where they are pinned, by the task's id, in the instance's run directory.
const PINS: &str = "users";
/// Whom the range belongs to with which it is tried whether this host has user namespaces. No task's id.
const TRIAL: &str = ".trial";

/// Why a task has no user namespace.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    #[error(transparent)]
    Range(#[from] RangeError),
    #[error(transparent)]
    Namespace(#[from] UserNamespaceError),
    #[error("cannot make {}: {source}", path.display())]
    Directory { path: PathBuf, source: std::io::Error },
}

pub struct UserNamespaces {
    /// Whether new tasks get one.
    is_on: bool,
    ranges: IdRanges,
    pins: PathBuf,
}

impl UserNamespaces {
    /// Tries whether this host has them, unless the operator does not want them. `trial`: a directory to be made
    /// where the layers of images lie. One that has none gets its tasks without, and says so once, here. Where that
    /// cannot be found out now, tasks get one, or do not start: what only lacks for a moment makes nobody root here.
    pub fn open(
        run_dir: &Path,
        ids: SubordinateIds,
        wanted: Result<(), &str>,
        trial: &Path,
    ) -> Self {
        let (ranges, pins) = (IdRanges::new(ids, run_dir), run_dir.join(PINS));
        let mut users = Self { is_on: false, ranges, pins };
        let none = |reason: &str| {
            tracing::warn!(
                event = "user_namespaces_off",
                reason,
                "root in a container is root of this host: tasks have no user namespaces"
            );
        };
        match wanted.map(|()| users.try_one(trial)) {
            Err(reason) => none(reason),
            Ok(Ok(())) => users.is_on = true,
            Ok(Err(UserNamespaceTrialError::NotOnThisHost(reason))) => none(&reason),
            Ok(Err(UserNamespaceTrialError::Inconclusive(reason))) => {
                users.is_on = true;
                tracing::warn!(
                    event = "user_namespaces_not_tried",
                    reason,
                    "cannot try now whether this host has user namespaces: tasks that get none will not start \
                     (--no-user-namespaces starts them without)"
                );
            }
        }
        users
    }

    fn try_one(&self, trial: &Path) -> Result<(), UserNamespaceTrialError> {
        let failed = |error: RangeError| UserNamespaceTrialError::Inconclusive(error.to_string());
        let range = self.ranges.take(TRIAL).map_err(failed)?;
        let tried = try_user_namespaces(trial, range);
        let given_back = self.ranges.give_back(TRIAL).map_err(failed);
        tried.and(given_back)
    }

    /// The first of a task's ids on the host, for its record; `None`: it has the host's own.
    ///
    /// # Errors
    /// When no range is left.
    pub fn reserve(&self, task: &TaskAssignment) -> Result<Option<u32>, UserError> {
        if !self.is_on || !has_its_own(task) {
            return Ok(None);
        }
        Ok(Some(self.ranges.take(task.task.as_str())?.first()))
    }

    /// What the record of a task says that an earlier agent started.
    pub fn keep(&self, task: &TaskId, first_id: u32) {
        let Some(range) = IdRange::beginning(first_id) else {
            tracing::error!(
                event = "task_ids_invalid",
                %task,
                first_id,
                "the record of a task has ids of the host that no task can have"
            );
            return;
        };
        if let Err(error) = self.ranges.keep(task.as_str(), range) {
            tracing::error!(
                event = "task_ids_not_published",
                %task,
                %error,
                "cannot write which ids of the host a task has: other instances of this host do not see them"
            );
        }
    }

    /// Lets go of what an earlier agent left of tasks that are not kept. Of those that are `left_alone` nobody knows which
    /// ids they have: where there are any, all that were written down stay taken.
    ///
    /// # Errors
    /// When something of it stays.
    pub fn remove_leftovers(&self, left_alone: &[TaskId]) -> Result<(), UserError> {
        if !left_alone.is_empty() {
            self.ranges.keep_all_written();
        }
        for name in names(&self.pins) {
            let is_left_alone = left_alone.iter().any(|task| task.as_str() == name);
            if !is_left_alone && self.ranges.of(&name).is_none() {
                unpin(&self.pins.join(name))?;
            }
        }
        Ok(self.ranges.restore()?)
    }

    /// Writes down again what tasks have, after somebody has cleaned `/run`.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn restore(&self) -> Result<(), RangeError> {
        self.ranges.restore()
    }

    /// Makes the namespace of a task that has a range; repeating it finds it.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn attach(&self, task: &TaskId) -> Result<(), UserError> {
        let Some(range) = self.ranges.of(task.as_str()) else { return Ok(()) };
        let path = self.pins.join(task.as_str());
        if is_pinned(&path) {
            return Ok(());
        }
        private::make_directories(&self.pins)
            .map_err(|source| UserError::Directory { path: self.pins.clone(), source })?;
        Ok(pin(&create(range)?, &path)?)
    }

    /// What a shim needs to know of it.
    pub fn of(&self, task: &TaskId) -> Option<UserNamespace> {
        let range = self.ranges.of(task.as_str())?;
        Some(UserNamespace { path: self.pins.join(task.as_str()), first_id: range.first() })
    }

    /// Lets go of the namespace of a task that is over. Its range stays the task's.
    ///
    /// # Errors
    /// When it stays.
    pub fn unpin(&self, task: &TaskId) -> Result<(), UserError> {
        Ok(unpin(&self.pins.join(task.as_str()))?)
    }

    /// Gives back what a task has, of which no process and no file is left.
    ///
    /// # Errors
    /// When something stays.
    pub fn forget(&self, task: &TaskId) -> Result<(), UserError> {
        self.unpin(task)?;
        Ok(self.ranges.give_back(task.as_str())?)
    }
}

/// Lets go of everything that an instance has pinned, with nobody running.
///
/// # Errors
/// When something stays.
pub fn remove_user_namespaces(run_dir: &Path) -> Result<(), UserNamespaceError> {
    let pins = run_dir.join(PINS);
    names(&pins).iter().try_for_each(|name| unpin(&pins.join(name)))
}

/// Whether a task can have one: nothing of it needs the host's.
fn has_its_own(task: &TaskAssignment) -> bool {
    task.network != TaskNetwork::Host
        && task.containers.iter().all(|container| {
            let mut added = container.definition.linux.capabilities_add.iter();
            !container.definition.privileged && !added.any(|name| is_void_in_a_user_namespace(name))
        })
}

/// Of a directory that may not be there.
fn names(directory: &Path) -> Vec<String> {
    match fs::read_dir(directory) {
        Ok(entries) => {
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
        }
        Err(error) => {
            if error.kind() != ErrorKind::NotFound {
                tracing::error!(
                    event = "directory_not_listed",
                    directory = %directory.display(),
                    %error,
                    "cannot list a directory of the run directory"
                );
            }
            Vec::new()
        }
    }
}

/// Real namespaces: needs root, as the agent does.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::runner_test::assignment;

    fn task(name: &str, change: impl FnOnce(&mut TaskAssignment)) -> TaskAssignment {
        let mut task = assignment(&["app", "side"]);
        task.task = TaskId::new(name);
        change(&mut task);
        task
    }

    fn open(directory: &Path, wanted: Result<(), &str>) -> UserNamespaces {
        let run_dir = directory.join("run/0123abcd");
        private::make_directories(&run_dir).unwrap();
        let ids = "3400000000:655360".parse().unwrap();
        let users = UserNamespaces::open(&run_dir, ids, wanted, &directory.join("trial"));
        assert!(!directory.join("trial").exists());
        users
    }

    #[test]
    fn who_has_one() {
        let check = |expected: bool, change: &dyn Fn(&mut TaskAssignment)| {
            let task = task("t1", change);
            assert_eq!(has_its_own(&task), expected, "{task:?}");
        };
        check(true, &|_| {});
        check(true, &|task| task.network = TaskNetwork::Bridge);
        check(false, &|task| task.network = TaskNetwork::Host);
        check(false, &|task| task.containers[1].definition.privileged = true);
        let add = |names: &'static str| {
            move |task: &mut TaskAssignment| {
                task.containers[1].definition.linux.capabilities_add = vec![names.to_owned()];
            }
        };
        check(true, &add("NET_ADMIN"));
        check(true, &add("SYS_PTRACE"));
        check(false, &add("IPC_LOCK"));
        check(false, &add("SYS_ADMIN"));
    }

    #[test]
    fn a_task_keeps_its_ids_over_a_restart_and_gives_them_back() {
        let scratch = tempfile::tempdir().unwrap();
        let users = open(scratch.path(), Ok(()));
        let [one, two, three] = ["one", "two", "three"].map(|name| task(name, |_| {}));
        let first = users.reserve(&one).unwrap().unwrap();
        assert_eq!(users.reserve(&one).unwrap(), Some(first));
        let other = users.reserve(&two).unwrap().unwrap();
        assert!(first.abs_diff(other) >= 65_536);
        for task in [&one, &two, &one] {
            users.attach(&task.task).unwrap();
        }
        let pinned = users.of(&one.task).unwrap();
        assert!(pinned.first_id == first && is_pinned(&pinned.path));
        drop(users);

        // Of the second there is no record; the operator does not want any more of them.
        let users = open(scratch.path(), Err("not wanted"));
        users.keep(&one.task, first);
        users.remove_leftovers(&[]).unwrap();
        assert_eq!(users.of(&one.task), Some(pinned.clone()));
        assert!(is_pinned(&pinned.path) && !scratch.path().join("run/0123abcd/users/two").exists());
        assert_eq!(users.reserve(&three).unwrap(), None);
        users.attach(&three.task).unwrap();
        assert_eq!(users.of(&three.task), None);
        users.forget(&three.task).unwrap();
        users.forget(&one.task).unwrap();
        assert!(users.of(&one.task).is_none() && !pinned.path.exists());
        assert_eq!(fs::read_dir(scratch.path().join("run/0123abcd/ids")).unwrap().count(), 0);
    }

    #[test]
    fn what_belongs_to_a_task_that_is_not_understood_stays_taken() {
        let scratch = tempfile::tempdir().unwrap();
        let users = open(scratch.path(), Ok(()));
        let [one, two] = ["one", "two"].map(|name| task(name, |_| {}));
        let firsts = [&one, &two].map(|task| users.reserve(task).unwrap().unwrap());
        [&one, &two].iter().for_each(|task| users.attach(&task.task).unwrap());
        let pins = [&one, &two].map(|task| users.of(&task.task).unwrap().path);
        drop(users);
        let users = open(scratch.path(), Ok(()));
        users.remove_leftovers(std::slice::from_ref(&two.task)).unwrap();
        assert!(!pins[0].exists() && is_pinned(&pins[1]), "only its own namespace");
        for number in 0..8 {
            let reserved = users.reserve(&task(&format!("new{number}"), |_| {})).unwrap().unwrap();
            assert!(!firsts.contains(&reserved), "{reserved} is taken");
        }
        remove_user_namespaces(&scratch.path().join("run/0123abcd")).unwrap();
    }

    /// Whatever a start runs into, only a host that has none is one without.
    #[test]
    fn what_only_lacks_at_the_start_makes_nobody_root_of_the_host() {
        let scratch = tempfile::tempdir().unwrap();
        let run_dir = scratch.path().join("run/0123abcd");
        private::make_directories(&run_dir).unwrap();
        // Where a directory cannot be made: a file is in the way.
        fs::write(scratch.path().join("file"), "").unwrap();
        let one_range: SubordinateIds = "3400000000:65536".parse().unwrap();
        let blocked = scratch.path().join("file/trial");
        let users = UserNamespaces::open(&run_dir, one_range, Ok(()), &blocked);
        assert!(users.reserve(&task("one", |_| {})).unwrap().is_some());
        // No range for the trial, none for a task: it does not start.
        let other = scratch.path().join("run/4567abcd");
        private::make_directories(&other).unwrap();
        let users = UserNamespaces::open(&other, one_range, Ok(()), &scratch.path().join("trial"));
        assert!(users.reserve(&task("two", |_| {})).is_err());
    }

    #[test]
    fn everything_of_an_instance_goes() {
        let scratch = tempfile::tempdir().unwrap();
        let users = open(scratch.path(), Ok(()));
        let one = task("one", |_| {});
        users.reserve(&one).unwrap();
        users.attach(&one.task).unwrap();
        let run_dir = scratch.path().join("run/0123abcd");
        remove_user_namespaces(&run_dir).unwrap();
        remove_user_namespaces(&run_dir).unwrap();
        fs::remove_dir_all(run_dir).unwrap();
    }
}
