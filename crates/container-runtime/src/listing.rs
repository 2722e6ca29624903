//! Everything of this instance that is found on disk, in the run directory and in cgroups.
//!
//! **Invariant:** a container is found if any one of its traces is there. What lies there under a name that no
//! container can have is none of ours: it is neither found nor removed.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::cgroup::Cgroup;
use crate::container_key::{ContainerKey, check_task};
use crate::error::RuntimeError;
use crate::layout::{INTENT_FILE, Layout, Place};
use crate::record::read_whole;
use crate::runtime::{Intent, Runtime};

/// A trace of a task or of one of its containers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    pub task: String,
    /// `None`: only a cgroup of the task.
    pub container: Option<String>,
}

impl Runtime {
    /// All tasks and containers of this instance, by name, for adoption and cleaning up. A long
    /// container name whose intent is lost is given as it stands on disk, and is removed by it too.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn list(&self) -> Result<Vec<Found>, RuntimeError> {
        let mut found = BTreeSet::new();
        for place in self.places()? {
            let intent = self.layout.container_run_dir(&place).join(INTENT_FILE);
            let known: Option<Intent> = read_whole(&intent).ok().flatten();
            let name = known.map_or(place.path_name, |intent| intent.key.name().to_owned());
            found.insert(Found { task: place.task, container: Some(name) });
        }
        for task in Cgroup::new(&self.hierarchies, &self.layout.cgroup_root).children() {
            if Layout::is_task_cgroup(&task) && check_task(&task).is_ok() {
                found.insert(Found { task, container: None });
            }
        }
        Ok(found.into_iter().collect())
    }

    /// Whether [`Runtime::list`] has a container, without a look at all the others.
    ///
    /// # Errors
    /// When the names are not valid.
    pub fn has(&self, task: &str, name: &str) -> Result<bool, RuntimeError> {
        let place = Place::from(&ContainerKey::new(task, name)?);
        Ok(self.layout.container_dir(&place).is_dir()
            || self.layout.container_run_dir(&place).is_dir()
            || Cgroup::new(&self.hierarchies, self.layout.container_cgroup(&place)).exists())
    }

    /// Those of one task, without a look at all the others.
    pub(crate) fn places_of(&self, task: &str) -> Result<BTreeSet<Place>, RuntimeError> {
        let mut path_names = names(&self.layout.task_containers_dir(task))?;
        path_names.extend(Cgroup::new(&self.hierarchies, self.layout.task_cgroup(task)).children());
        for run in names(&self.layout.runs_dir())? {
            let of_task = run.split_once('.').filter(|(of, _)| *of == task);
            path_names.extend(of_task.map(|(_, name)| name.to_owned()));
        }
        let place = |path_name| Place { task: task.to_owned(), path_name };
        let mut places: BTreeSet<Place> = path_names.into_iter().map(place).collect();
        places.retain(|place| ContainerKey::new(&place.task, &place.path_name).is_ok());
        Ok(places)
    }

    pub(crate) fn places(&self) -> Result<BTreeSet<Place>, RuntimeError> {
        let mut places = BTreeSet::new();
        for task in names(&self.layout.tasks_dir())? {
            for path_name in names(&self.layout.task_containers_dir(&task))? {
                places.insert(Place { task: task.clone(), path_name });
            }
        }
        for run in names(&self.layout.runs_dir())? {
            if let Some((task, name)) = run.split_once('.') {
                places.insert(Place { task: task.to_owned(), path_name: name.to_owned() });
            }
        }
        for task in Cgroup::new(&self.hierarchies, &self.layout.cgroup_root).children() {
            if !Layout::is_task_cgroup(&task) {
                continue;
            }
            for path_name in
                Cgroup::new(&self.hierarchies, self.layout.task_cgroup(&task)).children()
            {
                places.insert(Place { task: task.clone(), path_name });
            }
        }
        places.retain(|place| ContainerKey::new(&place.task, &place.path_name).is_ok());
        Ok(places)
    }
}

fn names(directory: &Path) -> Result<Vec<String>, RuntimeError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(RuntimeError::io("read", directory))?,
    };
    Ok(entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect())
}
