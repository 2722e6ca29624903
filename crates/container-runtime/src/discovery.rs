//! Finding the shim of a container by its process, when its directory in `/run` is gone: cleaners of
//! temporary files take sockets, locks and records away from under what runs.
//!
//! **Invariant:** only a process of this instance's own group of shims counts, never one that a container
//! has started, whatever that calls itself: what is found here is signalled and believed.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::cgroup::Cgroup;
use crate::layout::Place;
use crate::protocol::LOWEST;
use crate::record::{RECORD_VERSION, ShimRecord, boot_id, start_ticks};
use crate::runtime::Runtime;

impl Runtime {
    /// The shim that keeps the container at `place`, with the container's first process; `None` when none
    /// does.
    pub(crate) fn find_shim(&self, place: &Place) -> Option<ShimRecord> {
        let run_dir = self.layout.container_run_dir(place);
        let shims = Cgroup::new(&self.hierarchies, self.layout.shims_cgroup()).pids();
        let is_shim = |pid: &i32| is_told(*pid, &run_dir) && !self.is_in_a_task(*pid);
        let candidates: Vec<i32> = shims.into_iter().filter(is_shim).collect();
        // A container's process that waits for its start is a copy of its shim.
        let shim_pid = *candidates
            .iter()
            .find(|pid| parent_of(**pid).is_none_or(|parent| !candidates.contains(&parent)))?;
        let container = Cgroup::new(&self.hierarchies, self.layout.container_cgroup(place));
        let children = container.pids().into_iter().filter(|pid| parent_of(*pid) == Some(shim_pid));
        let first = children.filter_map(|pid| Some((start_ticks(pid).ok()?, pid))).min();
        // A container that is over leaves a shim that is about to go.
        let (container_start_ticks, container_pid) = first.unwrap_or_default();
        Some(ShimRecord {
            version: RECORD_VERSION,
            boot_id: boot_id().ok()?,
            shim_pid,
            shim_start_ticks: start_ticks(shim_pid).ok()?,
            container_pid,
            container_start_ticks,
            // It has not said more, and every shim speaks it.
            protocol: LOWEST,
        })
    }

    /// Whether any hierarchy has the process in the group of one of this instance's tasks. On a hybrid host
    /// the processes of containers are in the group of their shims, too, in version 2.
    fn is_in_a_task(&self, pid: i32) -> bool {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let own = format!("/{}/", self.layout.cgroup_root);
        let shims = self.layout.shims_cgroup();
        let shims = shims.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        groups
            .lines()
            .filter_map(|line| line.splitn(3, ':').nth(2)?.split_once(own.as_str()))
            .any(|(_, below)| below.split('/').next() != Some(shims))
    }
}

/// Whether the last argument of a process is `run_dir`.
pub(crate) fn is_told(pid: i32, run_dir: &Path) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut arguments = line.split(|byte| *byte == 0).filter(|argument| !argument.is_empty());
    arguments.next_back() == Some(run_dir.as_os_str().as_bytes())
}

/// Field 4 of `/proc/<pid>/stat`.
fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Whether any thread of a process has started another one that is still there.
pub(crate) fn has_children(pid: i32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .any(|children| !children.trim().is_empty())
}
