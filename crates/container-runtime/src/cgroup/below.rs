//! A group below a container's own, for processes that come and go while the container runs.
//!
//! **Invariant:** what is in it counts to the container and is under its limits: it is joined in every hierarchy in which the
//! container has a group, or not at all.

use std::io::ErrorKind;
use std::path::PathBuf;

use super::group::{Cgroup, inherit_cpus, join_in, make_group, pids_below};
use super::hierarchies::Kind;
use crate::error::RuntimeError;

impl<'h> Cgroup<'h> {
    /// Makes a group below it in every hierarchy that has it, and gives that. Controllers are not handed down, which
    /// version 2 does not do while processes are in it: what the group uses counts to this one.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn create_below(&self, name: &str) -> Result<Cgroup<'h>, RuntimeError> {
        let below = Cgroup::new(self.hierarchies, self.path.join(name));
        for mount in &self.hierarchies.mounts {
            if !mount.path.join(&self.path).is_dir() {
                continue;
            }
            let group = mount.path.join(&below.path);
            match make_group(&group) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                made => made.map_err(RuntimeError::io("make cgroup", &group))?,
            }
            inherit_cpus(mount, &below.path)?;
        }
        Ok(below)
    }

    /// Its directory in the version 2 hierarchy, if it has one.
    pub fn in_version_2(&self) -> Option<PathBuf> {
        let group = self.hierarchies.version_2()?.join(&self.path);
        group.is_dir().then_some(group)
    }

    /// Like [`Cgroup::join`], for a group that [`Cgroup::create_below`] has made.
    ///
    /// # Errors
    /// When the kernel refuses, or it is not there.
    pub fn join_below(&self, in_version_2: bool) -> Result<(), RuntimeError> {
        for mount in &self.hierarchies.mounts {
            if in_version_2 && matches!(mount.kind, Kind::V2(_)) {
                continue;
            }
            match join_in(mount, &self.path) {
                Err(RuntimeError::Io { source, .. })
                    if source.kind() == ErrorKind::NotFound && !mount.holds_containers() => {}
                joined => joined?,
            }
        }
        Ok(())
    }

    /// Kills what is in it, without waiting for that; whether there was nothing. What is in it is in every hierarchy, of
    /// which there may be a dozen: one is asked.
    pub fn kill_if_any(&self) -> bool {
        let place = self.places().into_iter().find(|place| place.is_dir());
        let is_empty = place.is_none_or(|place| pids_below(&place).is_empty());
        if !is_empty {
            self.kill_once();
        }
        is_empty
    }
}
