//! The kernel, what it counts with, the disk and the clock.
//!
//! **Invariant:** what is decided is decided of text and numbers that were read before.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use outport_free_space::{FreeSpace, Part, readable_bytes};
use rustix::mount::{FsOpenFlags, fsopen};

use super::{Seen, Subject, answer_of};

const OVERLAY: &str = "overlay";
/// From which on tasks have user namespaces, and rules an owner. Design notes 0010 and 0009.
const KERNEL_USER_NAMESPACES: (u32, u32) = (5, 19);
const KERNEL_OWNED_RULES: (u32, u32) = (6, 9);
/// 2026-01-01: a clock before this program was made is wrong.
const CLOCK_FIRST_SECOND: u64 = 1_767_225_600;

pub(super) fn lacks_root() -> Option<(&'static str, &'static str)> {
    let is_root = nix::unistd::geteuid().is_root();
    (!is_root).then_some(("outport must run as root to make containers", "run it with sudo"))
}

pub(super) fn root(_: &Subject<'_>) -> Result<Seen> {
    Ok(match lacks_root() {
        Some((what, fix)) => Seen::wrong(what, fix),
        None => Seen::fine("it is"),
    })
}

pub(super) fn overlayfs(_: &Subject<'_>) -> Result<Seen> {
    // Asked for one, the kernel loads its module, as for a mount: on a host that has just booted nobody else has. Who is not
    // root may not ask, and learns what is loaded by now.
    drop(fsopen(OVERLAY, FsOpenFlags::FSOPEN_CLOEXEC));
    let filesystems = std::fs::read_to_string("/proc/filesystems")?;
    let is_there = |line: &str| line.trim_start_matches("nodev").trim() == OVERLAY;
    Ok(match filesystems.lines().any(is_there) {
        true => Seen::fine("the kernel has it"),
        false => Seen::wrong(
            "this kernel has no overlayfs, which image layers need",
            "run `modprobe overlay`",
        ),
    })
}

pub(super) fn namespaces(_: &Subject<'_>) -> Result<Seen> {
    let needed = [("net", "CONFIG_NET_NS"), ("pid", "CONFIG_PID_NS"), ("ipc", "CONFIG_IPC_NS")];
    let missing =
        needed.iter().find(|(namespace, _)| !Path::new("/proc/self/ns").join(namespace).exists());
    Ok(match missing {
        Some((namespace, option)) => Seen::wrong(
            format!("this kernel has no {namespace} namespaces, which tasks need"),
            format!("use a kernel with {option}"),
        ),
        None => Seen::fine(needed.map(|(namespace, _)| namespace).join(", ")),
    })
}

pub(super) fn control_groups(_: &Subject<'_>) -> Result<Seen> {
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    let controllers = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers");
    Ok(memory_controller(&mounts, &controllers.unwrap_or_default()))
}

/// Under cgroup v1 and hybrid a mount of its own, under v2 a word in the root's list.
fn memory_controller(mounts: &str, controllers: &str) -> Seen {
    let is_v1 = mounts.lines().any(|line| {
        let mut fields = line.split(' ').skip(2);
        fields.next() == Some("cgroup")
            && fields.next().is_some_and(|options| options.split(',').any(|o| o == "memory"))
    });
    match (is_v1, controllers.split_whitespace().any(|controller| controller == "memory")) {
        (_, true) => Seen::fine("version 2, with memory"),
        (true, false) => Seen::fine("version 1, with memory"),
        (false, false) => Seen::wrong(
            "no memory control group is mounted, so limits could not be kept",
            "mount cgroup v2 at /sys/fs/cgroup, or enable the controller with cgroup_enable=memory on the \
             kernel's command line",
        ),
    }
}

pub(super) fn kernel(_: &Subject<'_>) -> Result<Seen> {
    Ok(kernel_of(std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim()))
}

fn kernel_of(release: &str) -> Seen {
    let mut numbers = release.split(['.', '-', '+']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let newer = |of: (u32, u32)| format!("use Linux {}.{} or newer", of.0, of.1);
    if version < KERNEL_USER_NAMESPACES {
        Seen::wrong(
            format!(
                "Linux {release} has no user namespaces for tasks: root in a container is root here"
            ),
            newer(KERNEL_USER_NAMESPACES),
        )
    } else if version < KERNEL_OWNED_RULES {
        Seen::wrong(
            format!(
                "Linux {release} lets `nft flush ruleset` take Outport's rules away for a moment each time"
            ),
            newer(KERNEL_OWNED_RULES),
        )
    } else {
        Seen::fine(format!("Linux {release}"))
    }
}

pub(super) fn user_namespaces(subject: &Subject<'_>) -> Result<Seen> {
    let limit = std::fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
    Ok(match (subject.node.no_user_namespaces, limit.trim().parse::<u64>().unwrap_or(0)) {
        (true, _) => Seen::fine("off: --no-user-namespaces"),
        (false, 0) => Seen::wrong(
            "tasks get no user namespaces here: root in a container is root of this host",
            "run `sysctl user.max_user_namespaces=65536`, and write it to /etc/sysctl.d",
        ),
        (false, limit) => Seen::fine(format!("up to {limit}")),
    })
}

pub(super) fn disk_space(subject: &Subject<'_>) -> Result<Seen> {
    // Before the first start there is only what the directory will be in.
    let there = subject.data_dir.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    Ok(space_of(&FreeSpace::of(there)?, there))
}

fn space_of(space: &FreeSpace, there: &Path) -> Seen {
    let free = format!("{} free at {}", readable_bytes(space.bytes_free), there.display());
    match space.is_low_for(Part::NewTasks) {
        true => {
            let floor = readable_bytes(Part::NewTasks.floor(space).bytes);
            Seen::wrong(
                format!("only {free}: no new task is taken below {floor}, or with too few inodes"),
                "remove what is not needed, or name a larger disk with --data-dir",
            )
        }
        false => Seen::fine(free),
    }
}

pub(super) fn clock(_: &Subject<'_>) -> Result<Seen> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let said = answer_of("timedatectl", &["show", "--property=NTPSynchronized", "--value"]);
    Ok(clock_of(now, said.filter(|(ended_well, _)| *ended_well).map(|(_, said)| said).as_deref()))
}

/// `said`: by systemd, whether the clock is set by others; `None` where it is not asked.
fn clock_of(now_s: u64, said: Option<&str>) -> Seen {
    const FIX: &str = "keep it right, with systemd-timesyncd or chrony: `timedatectl set-ntp true`";
    match said {
        _ if now_s < CLOCK_FIRST_SECOND => {
            Seen::wrong("the clock is years behind: signatures and certificates are refused", FIX)
        }
        Some("no") => Seen::wrong(
            "nobody keeps the clock right: signatures of clients that differ by 15 minutes are refused",
            FIX,
        ),
        Some("yes") => Seen::fine("kept right by others"),
        _ => Seen::fine("set; whether it is kept right cannot be told here"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn kernels() {
        check(&kernel_of("5.10.0-30-amd64"), "wrong: Linux 5.10.0-30-amd64 has no user namespaces");
        check(&kernel_of("6.1.0-21-amd64"), "Linux 6.9 or newer");
        check(&kernel_of("6.9"), "fine: Linux 6.9");
        check(&kernel_of("6.18.5+"), "fine");
        check(&kernel_of("7.0-rc1"), "fine");
    }

    #[test]
    fn control_groups_of_both_versions_have_to_count_memory() {
        let hybrid = "cgroup /sys/fs/cgroup/memory cgroup rw,nosuid,memory 0 0\n";
        check(&memory_controller(hybrid, ""), "fine: version 1");
        check(
            &memory_controller("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0", "cpu io memory\n"),
            "fine: version 2",
        );
        check(
            &memory_controller("cgroup2 /sys/fs/cgroup cgroup2 rw,memory 0 0", "cpu io\n"),
            "wrong: no memory",
        );
    }

    #[test]
    fn a_disk_that_is_nearly_full_takes_no_task() {
        let space = |bytes_free| FreeSpace {
            bytes_free,
            bytes_total: 100 << 30,
            inodes_free: 9,
            inodes_total: 0,
        };
        check(&space_of(&space(50 << 30), Path::new("/d")), "fine: 50.0 GiB free at /d");
        check(
            &space_of(&space(1 << 30), Path::new("/d")),
            "wrong: only 1.0 GiB free at /d: no new task",
        );
    }

    #[test]
    fn a_clock_is_right_if_others_keep_it_so() {
        check(&clock_of(0, Some("yes")), "wrong: the clock is years behind");
        check(&clock_of(CLOCK_FIRST_SECOND, Some("yes")), "fine: kept right");
        check(&clock_of(CLOCK_FIRST_SECOND, Some("no")), "timedatectl set-ntp true");
        check(&clock_of(CLOCK_FIRST_SECOND, None), "fine: set; whether");
    }
}
