//! One control group: the same path in every hierarchy.
//!
//! **Invariant:** every operation may be done again: making what is there and removing what is gone
//! both succeed, so that recovery after a crash is the same code as the first time.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::devices::DeviceRule;
use super::hierarchies::{CONTROLLERS_V2, Hierarchies, Hierarchy, Kind};
use super::quota::{self, LiftedQuota};
use super::{CgroupLimits, devices_v2, metadata};
use crate::error::RuntimeError;
use crate::private;
use crate::process::{hold, signal_held};

/// How long processes that were sent SIGKILL may take to leave their cgroup.
const EMPTY_DEADLINE: Duration = Duration::from_secs(10);
const EMPTY_POLL: Duration = Duration::from_millis(2);
/// How many processes are held at a time while they are killed.
const HELD_MAX: usize = 128;
/// A group with more is stopped before it is killed: it may be a fork bomb.
const FEW: usize = 32;
/// How long what was killed may take to go before it counts as stubborn.
const DYING: Duration = Duration::from_millis(100);
/// How long a group may take to stand still.
const FREEZE_DEADLINE: Duration = Duration::from_millis(500);

/// What a cgroup used so far and uses now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupUsage {
    /// CPU time of all its processes ever, nanoseconds.
    pub cpu_ns: u64,
    pub memory_bytes: u64,
    /// `None`: no limit.
    pub memory_limit_bytes: Option<u64>,
    pub pids: u64,
}

/// Where the calling process is in each hierarchy.
const OWN_PLACES: &str = "/proc/self/cgroup";

/// A cgroup by its path below the roots, such as `outport-1a2b/<task>/<container>`.
#[derive(Debug, Clone)]
pub struct Cgroup<'h> {
    pub(super) hierarchies: &'h Hierarchies,
    pub(super) path: PathBuf,
}

impl<'h> Cgroup<'h> {
    pub fn new(hierarchies: &'h Hierarchies, path: impl Into<PathBuf>) -> Cgroup<'h> {
        Cgroup { hierarchies, path: path.into() }
    }

    /// Makes it in every hierarchy that holds containers. Controllers are handed down on the way.
    ///
    /// # Errors
    /// When the kernel refuses; on version 2 also when a process sits in a group on the way.
    pub fn create(&self) -> Result<(), RuntimeError> {
        self.hierarchies
            .mounts
            .iter()
            .filter(|mount| mount.holds_containers())
            .try_for_each(|mount| create_in(mount, &self.path))
    }

    /// # Errors
    /// When a file of a limit is not there or the kernel refuses the value.
    pub fn limit(&self, limits: &CgroupLimits) -> Result<(), RuntimeError> {
        let v2 = |controller: &str| self.hierarchies.of(controller).is_some_and(|(_, v2)| v2);
        for limit in limits.writes(v2) {
            let (root, _) = self
                .hierarchies
                .of(limit.controller)
                .ok_or(RuntimeError::MissingKernelFeature(missing_controller(limit.controller)))?;
            let file = root.join(&self.path).join(limit.file);
            match write_file(&file, &limit.value) {
                Err(RuntimeError::Io { source, .. })
                    if limit.may_be_missing && source.kind() == ErrorKind::NotFound => {}
                done => done?,
            }
        }
        Ok(())
    }

    /// Allows only the devices of `rules`.
    ///
    /// # Errors
    /// When the kernel refuses; on version 2 also when it lacks device programs.
    pub fn allow_devices(&self, rules: &[DeviceRule]) -> Result<(), RuntimeError> {
        if let Some((root, _)) = self.hierarchies.of("devices") {
            let group = root.join(&self.path);
            write_file(&group.join("devices.deny"), "a")?;
            return rules
                .iter()
                .try_for_each(|rule| write_file(&group.join("devices.allow"), &rule.to_string()));
        }
        let unified = self.hierarchies.version_2();
        let unified = unified.ok_or(RuntimeError::MissingKernelFeature("device cgroups"))?;
        let group = unified.join(&self.path);
        devices_v2::attach(&group, rules)
            .map_err(RuntimeError::io("attach a device program to", group))
    }

    /// Keeps what is born in it, or joins it by [`Cgroup::join_version_2`] before it has sockets, from the instance
    /// metadata of this machine. It is made in version 2 for that, if it is not there.
    ///
    /// # Errors
    /// When this host has no version 2 hierarchy, or its kernel no such programs (4.10 and later have).
    pub fn keep_from_metadata(&self) -> Result<(), RuntimeError> {
        let group = self.create_in_version_2()?;
        let group = group.ok_or(RuntimeError::MissingKernelFeature("cgroup version 2"))?;
        metadata::keep_from(&group).map_err(RuntimeError::io("attach a packet program to", group))
    }

    /// Moves the calling process into the group of version 2 alone, where there is one.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn join_version_2(&self) -> Result<(), RuntimeError> {
        let mut mounts = self.hierarchies.mounts.iter();
        mounts
            .find(|mount| matches!(mount.kind, Kind::V2(_)))
            .map_or(Ok(()), |mount| join_in(mount, &self.path))
    }

    /// Makes it in the version 2 hierarchy, for a child that is to be born there; `None` without one.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn create_in_version_2(&self) -> Result<Option<PathBuf>, RuntimeError> {
        let mounts = &self.hierarchies.mounts;
        let Some(mount) = mounts.iter().find(|mount| matches!(mount.kind, Kind::V2(_))) else {
            return Ok(None);
        };
        create_in(mount, &self.path)?;
        Ok(Some(mount.path.join(&self.path)))
    }

    /// Moves the calling process, which must have one thread, into this cgroup of every hierarchy,
    /// also those that hold no containers: a service manager that ends a unit must not find it.
    /// `in_version_2`: it is there already.
    ///
    /// In the root of a version 1 hierarchy it stays: no limit holds there and no service manager looks
    /// there, and a move waits for every other one on the host.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn join_all(&self, in_version_2: bool) -> Result<(), RuntimeError> {
        let places =
            fs::read_to_string(OWN_PLACES).map_err(RuntimeError::io("read", OWN_PLACES))?;
        for mount in &self.hierarchies.mounts {
            if in_version_2 && matches!(mount.kind, Kind::V2(_)) || mount.has_in_root(&places) {
                continue;
            }
            create_in(mount, &self.path)?;
            join_in(mount, &self.path)?;
        }
        Ok(())
    }

    /// Like [`Cgroup::join_all`], only where containers have groups.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn join(&self, in_version_2: bool) -> Result<(), RuntimeError> {
        self.hierarchies
            .mounts
            .iter()
            .filter(|mount| mount.holds_containers())
            .filter(|mount| !(in_version_2 && matches!(mount.kind, Kind::V2(_))))
            .try_for_each(|mount| join_in(mount, &self.path))
    }

    /// How many of its processes the kernel killed for memory; 0 when it is gone.
    pub fn oom_kills(&self) -> u64 {
        let Some((root, v2)) = self.hierarchies.of("memory") else { return 0 };
        let file = if v2 { "memory.events" } else { "memory.oom_control" };
        let text = fs::read_to_string(root.join(&self.path).join(file)).unwrap_or_default();
        field(&text, "oom_kill").unwrap_or(0)
    }

    /// # Errors
    /// When the cgroup is not there.
    pub fn usage(&self) -> io::Result<CgroupUsage> {
        let mut usage = CgroupUsage::default();
        let read = |root: &Path, file: &str| fs::read_to_string(root.join(&self.path).join(file));
        if let Some((root, v2)) = self.hierarchies.of("memory") {
            let (now, max) = match v2 {
                true => ("memory.current", "memory.max"),
                false => ("memory.usage_in_bytes", "memory.limit_in_bytes"),
            };
            usage.memory_bytes = number(&read(root, now)?);
            usage.memory_limit_bytes = limit_of(&read(root, max)?);
        }
        if let Some((root, _)) = self.hierarchies.of("pids") {
            usage.pids = number(&read(root, "pids.current")?);
        }
        if let Some((root, true)) = self.hierarchies.of("cpu") {
            usage.cpu_ns = field(&read(root, "cpu.stat")?, "usage_usec").unwrap_or(0) * 1000;
        } else if let Some((root, _)) = self.hierarchies.of("cpuacct") {
            usage.cpu_ns = number(&read(root, "cpuacct.usage")?);
        }
        Ok(usage)
    }

    /// The processes in it and below it.
    pub fn pids(&self) -> Vec<i32> {
        let mut pids: Vec<i32> = self.places().iter().flat_map(|place| pids_below(place)).collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// The direct children by name.
    pub fn children(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .places()
            .iter()
            .flat_map(|place| directories(place))
            .filter_map(file_name)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether any hierarchy has it.
    pub fn exists(&self) -> bool {
        self.places().iter().any(|place| place.is_dir())
    }

    /// Kills everything in it and below it, and waits until it is empty.
    ///
    /// # Errors
    /// [`RuntimeError::Timeout`] when a process stays, stuck in the kernel, for 10 seconds.
    pub fn kill(&self) -> Result<(), RuntimeError> {
        let begun = Instant::now();
        let mut left = self.kill_once();
        let mut lifted = None;
        while left > 0 {
            if begun.elapsed() > EMPTY_DEADLINE {
                return Err(self.timeout(begun));
            }
            std::thread::sleep(EMPTY_POLL);
            if begun.elapsed() > DYING {
                lifted = lifted.or_else(|| self.hurry());
            }
            left = match begun.elapsed() > DYING {
                true if !self.pids().is_empty() => self.kill_stubborn(),
                _ => self.kill_once(),
            };
        }
        Ok(())
    }

    /// Sends SIGKILL to everything in it and below it, and gives how many processes there were.
    ///
    /// The kernel's own way ends a fork bomb at once. Version 1 and older kernels lack it: there a group of
    /// many is stopped first.
    pub fn kill_once(&self) -> usize {
        let pids = self.pids();
        let killed = |place: &PathBuf| private::set(&place.join("cgroup.kill"), "1").is_ok();
        if self.places().iter().filter(|place| place.is_dir()).all(killed) {
            return pids.len();
        }
        if pids.len() > FEW {
            return self.kill_stubborn();
        }
        self.kill_members(&pids);
        if !pids.is_empty() {
            self.thaw();
        }
        pids.len()
    }

    /// Lets what was killed go to its death, whoever froze it, or its task, or all of its instance. On version 2 a frozen
    /// process can be killed.
    fn thaw(&self) {
        let Some((freezer, false)) = self.hierarchies.of("freezer") else { return };
        let groups = self.path.ancestors().filter(|group| !group.as_os_str().is_empty());
        for group in groups.map(|group| freezer.join(group)) {
            let state = fs::read_to_string(group.join("freezer.state")).unwrap_or_default();
            if !matches!(state.trim(), "THAWED" | "") {
                thaw(&group);
            }
        }
    }

    /// For what does not go at a first kill: processes that fork faster than they are killed, that somebody
    /// froze, or that a limit gives hardly any time to die.
    fn kill_stubborn(&self) -> usize {
        if let Some((root, v2)) = self.hierarchies.of("cpu") {
            quota::lift(&root.join(&self.path), v2);
        }
        let Some((freezer, false)) = self.hierarchies.of("freezer") else {
            let pids = self.pids();
            pids.chunks(HELD_MAX).for_each(|some| self.kill_members(some));
            return pids.len();
        };
        let group = freezer.join(&self.path);
        freeze(&group);
        // Nothing that is frozen forks or ends, but some of it may not be frozen yet.
        let pids = self.pids();
        pids.chunks(HELD_MAX).for_each(|some| self.kill_members(some));
        thaw(&group);
        self.thaw();
        pids.len()
    }

    /// Lifts the quota of its task, which its processes would share for dying, until what is given is dropped: for so
    /// long the task's other containers may use more, too. `None` where few processes are left, or no quota is.
    pub(crate) fn hurry(&self) -> Option<LiftedQuota> {
        let task =
            self.path.parent().filter(|task| task.parent().is_some_and(|above| above != ""))?;
        let (root, v2) = self.hierarchies.of("cpu")?;
        if self.pids().len() > FEW { LiftedQuota::of(&root.join(task), v2) } else { None }
    }

    /// Of processes that come and go, a number may stand for another of the host's by now. A held process
    /// is the one that is killed; that its number is still in the cgroup says that it was the right one,
    /// or is dead.
    fn kill_members(&self, pids: &[i32]) {
        let held: Vec<(i32, OwnedFd)> =
            pids.iter().filter_map(|pid| Some((*pid, hold(*pid).ok()?))).collect();
        let members = self.pids();
        for (_, process) in held.iter().filter(|(pid, _)| members.binary_search(pid).is_ok()) {
            // One that is gone already is as good; one that stays is seen by those who wait.
            let _ = signal_held(process, libc::SIGKILL);
        }
    }

    /// Kills what is in it and removes it, with what the container made below it.
    ///
    /// # Errors
    /// When a process does not go or the kernel refuses.
    pub fn remove(&self) -> Result<(), RuntimeError> {
        // Mostly it is empty: then one call per hierarchy is all.
        let is_gone = |place: &PathBuf| match fs::remove_dir(place) {
            Ok(()) => true,
            Err(error) => error.kind() == ErrorKind::NotFound,
        };
        let left: Vec<PathBuf> =
            self.places().into_iter().filter(|place| !is_gone(place)).collect();
        if left.is_empty() {
            return Ok(());
        }
        self.kill()?;
        let begun = Instant::now();
        for place in left {
            loop {
                match remove_below(&place) {
                    Ok(()) => break,
                    // A process that is gone may count for a moment more.
                    Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
                    Err(error) => return Err(RuntimeError::io("remove", place)(error)),
                }
                if begun.elapsed() > EMPTY_DEADLINE {
                    return Err(self.timeout(begun));
                }
                std::thread::sleep(EMPTY_POLL);
            }
        }
        Ok(())
    }

    fn timeout(&self, begun: Instant) -> RuntimeError {
        let what = format!("cgroup {} with {} processes", self.path.display(), self.pids().len());
        RuntimeError::Timeout { what, waited_ms: begun.elapsed().as_millis() as u64 }
    }

    pub(super) fn places(&self) -> Vec<PathBuf> {
        self.hierarchies.mounts.iter().map(|mount| mount.path.join(&self.path)).collect()
    }
}

fn create_in(mount: &Hierarchy, path: &Path) -> Result<(), RuntimeError> {
    let group = mount.path.join(path);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let above = parent.map_or_else(|| mount.path.clone(), |parent| mount.path.join(parent));
    if let Kind::V2(available) = &mount.kind {
        if let Some(parent) = parent {
            create_in(mount, parent)?;
        }
        hand_down(&above, available)?;
    }
    let made = match (make_group(&group), parent) {
        (Err(error), Some(parent)) if error.kind() == ErrorKind::NotFound => {
            create_in(mount, parent)?;
            make_group(&group)
        }
        (made, _) => made,
    };
    match made {
        // A group's own file of the name is none of a group.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && group.is_dir() => {}
        done => done.map_err(RuntimeError::io("make cgroup", &group))?,
    }
    inherit_cpus(mount, path)
}

/// Version 1 begins with no CPU and no memory node, and takes no process then.
pub(super) fn inherit_cpus(mount: &Hierarchy, path: &Path) -> Result<(), RuntimeError> {
    if matches!(&mount.kind, Kind::V1(controllers) if controllers.iter().any(|c| c == "cpuset")) {
        inherit(&mount.path, path, "cpuset.cpus")?;
        inherit(&mount.path, path, "cpuset.mems")?;
    }
    Ok(())
}

/// A container's users read their limits in the group that is their root: a Java machine sizes its heap
/// by them.
pub(super) fn make_group(group: &Path) -> io::Result<()> {
    private::make_directory(group)?;
    fs::set_permissions(group, Permissions::from_mode(0o755))
}

fn hand_down(group: &Path, available: &[String]) -> Result<(), RuntimeError> {
    let file = group.join("cgroup.subtree_control");
    let on = fs::read_to_string(&file).map_err(RuntimeError::io("read", &file))?;
    let wanted: Vec<String> = CONTROLLERS_V2
        .iter()
        .filter(|name| available.iter().any(|one| one == *name))
        .filter(|name| !on.split_ascii_whitespace().any(|one| one == **name))
        .map(|name| format!("+{name}"))
        .collect();
    if wanted.is_empty() { Ok(()) } else { write_file(&file, &wanted.join(" ")) }
}

/// Whoever made the group above may not have come to its values yet: then they are set here.
fn inherit(root: &Path, path: &Path, file: &str) -> Result<(), RuntimeError> {
    let mine = root.join(path).join(file);
    let read = |path: &PathBuf| fs::read_to_string(path).map_err(RuntimeError::io("read", path));
    if !read(&mine)?.trim().is_empty() {
        return Ok(());
    }
    let Some(parent) = path.parent() else { return Ok(()) };
    inherit(root, parent, file)?;
    write_file(&mine, read(&root.join(parent).join(file))?.trim())
}

/// On version 1, a process that moves its own only thread through `tasks` spares the kernel the lock
/// over all forks, which costs a grace period of several milliseconds.
pub(super) fn join_in(mount: &Hierarchy, path: &Path) -> Result<(), RuntimeError> {
    let file = if matches!(mount.kind, Kind::V2(_)) { "cgroup.procs" } else { "tasks" };
    write_file(&mount.path.join(path).join(file), "0")
}

fn write_file(file: &Path, value: &str) -> Result<(), RuntimeError> {
    private::set(file, value).map_err(RuntimeError::io("write", file))
}

fn remove_below(place: &Path) -> io::Result<()> {
    directories(place).iter().try_for_each(|below| remove_below(below))?;
    match fs::remove_dir(place) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Stops every process of a version 1 group, as far as they can be in time.
fn freeze(group: &Path) {
    let begun = Instant::now();
    let state = group.join("freezer.state");
    while private::set(&state, "FROZEN").is_ok() && begun.elapsed() < FREEZE_DEADLINE {
        if fs::read_to_string(&state).is_ok_and(|now| now.trim() == "FROZEN") {
            return;
        }
        std::thread::sleep(EMPTY_POLL);
    }
}

/// Lets the processes of a version 1 group, and of those below it, go: to their death, if they were killed.
fn thaw(group: &Path) {
    // One that is gone has nothing to let go.
    let _ = private::set(&group.join("freezer.state"), "THAWED");
    directories(group).iter().for_each(|below| thaw(below));
}

pub(super) fn pids_below(place: &Path) -> Vec<i32> {
    let procs = fs::read_to_string(place.join("cgroup.procs")).unwrap_or_default();
    // A process that this namespace has no number for shows as 0, which to `kill` is its own group.
    let numbers = procs.lines().filter_map(|line| line.parse().ok());
    let mut pids: Vec<i32> = numbers.filter(|pid| *pid > 0).collect();
    directories(place).iter().for_each(|below| pids.extend(pids_below(below)));
    pids
}

fn directories(place: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

fn file_name(path: PathBuf) -> Option<String> {
    Some(path.file_name()?.to_str()?.to_owned())
}

fn field(text: &str, name: &str) -> Option<u64> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.find(|(key, _)| *key == name)?.1.trim().parse().ok()
}

fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or(0)
}

/// Version 2 says `max`, version 1 a number near 2^63, for no limit.
fn limit_of(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|bytes| *bytes < 1 << 60)
}

fn missing_controller(name: &'static str) -> &'static str {
    match name {
        "cpu" => "the cpu cgroup controller",
        "memory" => "the memory cgroup controller",
        _ => "the pids cgroup controller",
    }
}
