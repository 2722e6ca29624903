//! What a container takes from a program in it, although it is root there: and the option of `docker run` that gives
//! it back.
//!
//! **Invariant:** only what would fail is named, so that a host on which Outport works is never refused.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Result;
use nix::sys::statvfs::{FsFlags, statvfs};

use super::{Seen, Subject, system};

/// Bits of Linux's capabilities that no container can be made without; `linux/capability.h`.
const CAPABILITIES: [(u32, &str); 2] = [(12, "CAP_NET_ADMIN"), (21, "CAP_SYS_ADMIN")];
/// For the user namespaces of tasks.
const SYS_PTRACE: (u32, &str) = (19, "CAP_SYS_PTRACE");
/// What docker, podman and kubernetes leave in their containers.
const MARKS: [&str; 3] =
    ["/.dockerenv", "/run/.containerenv", "/var/run/secrets/kubernetes.io/serviceaccount"];
const SYSCTL: &str = "/proc/sys/net/ipv4/ip_forward";
const LOOP_CONTROL: &str = "/dev/loop-control";
const PRIVILEGED: &str = "--privileged";
const CGROUPS: &str = "--cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup";

pub(super) fn confinement(subject: &Subject<'_>) -> Result<Seen> {
    if system::lacks_root().is_some() {
        return Ok(Seen::fine("is looked at as root"));
    }
    let node = subject.node;
    let wants_user_namespaces = !node.no_user_namespaces && node.oci_runtime.is_none();
    let found = Confinement::read(wants_user_namespaces, !node.unlimited_task_storage);
    Ok(match found.complaint() {
        Some((what, fix)) => Seen::wrong(what, fix),
        None => Seen::fine("nothing that root needs is held back"),
    })
}

/// How this process is held, as far as it matters.
#[derive(Debug, Default, PartialEq, Eq)]
struct Confinement {
    is_container: bool,
    /// As `/proc/self/status` has them.
    capabilities: u64,
    wants_user_namespaces: bool,
    /// Of an AppArmor profile that forbids things.
    profile: Option<String>,
    cgroups: Cgroups,
    is_sysctl_read_only: bool,
    /// `None`: there is one that opens, or none is wanted.
    loop_devices: Option<ErrorKind>,
}

/// What limits are kept with.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Cgroups {
    #[default]
    Usable,
    ReadOnly,
    /// Only a part of the hierarchy is to be seen.
    Part,
    /// The root of a namespace with processes in it: version 2 hands nothing down there.
    Occupied,
}

impl Confinement {
    /// What this process is given.
    fn read(wants_user_namespaces: bool, wants_loop_devices: bool) -> Confinement {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let open = || fs::File::options().read(true).write(true).open(LOOP_CONTROL);
        Confinement {
            is_container: MARKS.iter().any(|mark| Path::new(mark).exists()),
            // Of a kernel that does not say them none is missed.
            capabilities: effective(&text("/proc/self/status")).unwrap_or(u64::MAX),
            wants_user_namespaces,
            profile: enforced(&text("/proc/self/attr/current")),
            cgroups: cgroups(&text("/proc/self/mountinfo")),
            is_sysctl_read_only: is_read_only(Path::new(SYSCTL)),
            loop_devices: if wants_loop_devices { open().err().map(|e| e.kind()) } else { None },
        }
    }

    /// What is missing and what gives it; `None` when nothing is.
    fn complaint(&self) -> Option<(String, String)> {
        let lacks = self.lacks();
        if lacks.is_empty() {
            return None;
        }
        let (mut what, mut options) = (Vec::new(), Vec::new());
        for (lack, option) in lacks {
            what.push(lack);
            if !options.contains(&option) {
                options.push(option);
            }
        }
        let what = what.join("; ");
        Some(if self.is_container {
            (
                format!("this container may not make containers: {what}"),
                format!(
                    "start it with docker run {} (docs/guide/install.md has the whole command)",
                    options.join(" ")
                ),
            )
        } else {
            let fix = "start outport without what takes that from it, such as a unit's \
                       CapabilityBoundingSet= or ProtectControlGroups=";
            (format!("root may not make containers here: {what}"), fix.to_owned())
        })
    }

    fn lacks(&self) -> Vec<(String, &'static str)> {
        let mut lacks = Vec::new();
        let namespaces = self.wants_user_namespaces.then_some(SYS_PTRACE);
        let capabilities = CAPABILITIES.into_iter().chain(namespaces);
        let missing: Vec<&str> = capabilities
            .filter(|(bit, _)| self.capabilities & (1 << bit) == 0)
            .map(|(_, name)| name)
            .collect();
        if !missing.is_empty() {
            lacks.push((format!("it lacks {}", missing.join(", ")), PRIVILEGED));
        }
        if let Some(profile) = &self.profile {
            lacks.push((
                format!("the AppArmor profile {profile} keeps it from mounting"),
                PRIVILEGED,
            ));
        }
        if self.is_sysctl_read_only {
            lacks.push(("/proc/sys is read-only".to_owned(), PRIVILEGED));
        }
        let cgroups = match self.cgroups {
            Cgroups::Usable => None,
            Cgroups::ReadOnly => Some("the control groups are read-only"),
            Cgroups::Part => Some("it sees a part of the host's control groups"),
            Cgroups::Occupied => {
                Some("it has a control group namespace, whose root hands nothing down")
            }
        };
        lacks.extend(cgroups.map(|lack| (lack.to_owned(), CGROUPS)));
        match self.loop_devices {
            None => {}
            Some(ErrorKind::PermissionDenied) => {
                lacks.push((format!("{LOOP_CONTROL} is closed to it"), PRIVILEGED));
            }
            // Of a host it is said later, with what else may be wrong.
            Some(_) if self.is_container => lacks.push((
                format!("it has no {LOOP_CONTROL}, for the disks of tasks"),
                "-v /dev:/dev",
            )),
            Some(_) => {}
        }
        lacks
    }
}

/// The effective capabilities of `/proc/self/status`.
fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// From `docker-default (enforce)`; what SELinux writes there is no such thing. Only Docker's and podman's own are
/// known to forbid mounts.
fn enforced(attribute: &str) -> Option<String> {
    let profile = attribute.trim_end_matches(['\0', '\n']).strip_suffix(" (enforce)")?;
    (profile == "docker-default" || profile.starts_with("containers-default"))
        .then(|| profile.to_owned())
}

/// Of the hierarchy that limits memory. Where none is mounted, others say so.
fn cgroups(mountinfo: &str) -> Cgroups {
    let found: Vec<Mount> = mountinfo.lines().filter_map(memory_mount).collect();
    let whole = found.iter().find(|mount| !mount.is_part);
    let Some(mount) = whole else {
        return if found.is_empty() { Cgroups::Usable } else { Cgroups::Part };
    };
    if is_read_only(Path::new(mount.path)) {
        return Cgroups::ReadOnly;
    }
    let text = |file| fs::read_to_string(Path::new(mount.path).join(file)).unwrap_or_default();
    // The root of the machine has no type.
    let is_of_namespace = mount.is_version_2 && !text("cgroup.type").is_empty();
    let hands_down = text("cgroup.subtree_control").split_whitespace().any(|one| one == "memory");
    if is_of_namespace && !hands_down && !text("cgroup.procs").is_empty() {
        return Cgroups::Occupied;
    }
    Cgroups::Usable
}

#[derive(Debug, PartialEq, Eq)]
struct Mount<'a> {
    path: &'a str,
    is_part: bool,
    is_version_2: bool,
}

/// A line of `/proc/self/mountinfo`, if it is of a hierarchy that limits memory, or of version 2.
fn memory_mount(line: &str) -> Option<Mount<'_>> {
    let (place, kind) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (root, path) = (place.next()?, place.next()?);
    let mut kind = kind.split(' ');
    let (name, options) = (kind.next()?, kind.nth(1)?);
    let is_version_2 = match name {
        "cgroup" if options.split(',').any(|option| option == "memory") => false,
        // That of a hybrid host has no memory and is not looked at.
        "cgroup2" if has_memory(path) => true,
        _ => return None,
    };
    Some(Mount { path, is_part: root != "/" && !root.starts_with("/.."), is_version_2 })
}

fn has_memory(version_2: &str) -> bool {
    let file = Path::new(version_2).join("cgroup.controllers");
    fs::read_to_string(file).is_ok_and(|all| all.split_whitespace().any(|one| one == "memory"))
}

fn is_read_only(path: &Path) -> bool {
    statvfs(path).is_ok_and(|found| found.flags().contains(FsFlags::ST_RDONLY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(confinement: Confinement, expected: &[&str]) {
        let said = confinement.complaint();
        let Some((what, fix)) = said else {
            return assert!(expected.is_empty(), "{confinement:?}");
        };
        let said = format!("{what}: {fix}");
        assert!(!expected.is_empty(), "{said}");
        for part in expected {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert_eq!(said.lines().count(), 1, "{said}");
    }

    fn free() -> Confinement {
        Confinement { is_container: true, capabilities: u64::MAX, ..Confinement::default() }
    }

    #[test]
    fn each_thing_that_is_missing_is_named_with_its_option() {
        check(free(), &[]);
        // Docker's default.
        let docker = Confinement {
            capabilities: 0xa804_25fb,
            wants_user_namespaces: true,
            profile: Some("docker-default".into()),
            cgroups: Cgroups::ReadOnly,
            is_sysctl_read_only: true,
            loop_devices: Some(ErrorKind::NotFound),
            ..free()
        };
        check(
            docker,
            &[
                "it lacks CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_SYS_PTRACE; ",
                "docker run --privileged --cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup -v /dev:/dev (",
            ],
        );
        let bit = |bit: u32| !(1_u64 << bit);
        check(Confinement { capabilities: bit(19), ..free() }, &[]);
        let namespaces =
            Confinement { capabilities: bit(19), wants_user_namespaces: true, ..free() };
        check(namespaces, &["CAP_SYS_PTRACE", "docker run --privileged ("]);
        for cgroups in [Cgroups::Part, Cgroups::ReadOnly, Cgroups::Occupied] {
            let cgroups = Confinement { cgroups, ..free() };
            check(cgroups, &["docker run --cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup ("]);
        }
        let closed = Some(ErrorKind::PermissionDenied);
        check(Confinement { loop_devices: closed, ..free() }, &["docker run --privileged ("]);
    }

    #[test]
    fn a_host_is_told_of_its_service_manager() {
        let host = Confinement { is_container: false, ..free() };
        check(Confinement { loop_devices: Some(ErrorKind::NotFound), ..host }, &[]);
        let host = Confinement { capabilities: 0, is_container: false, ..free() };
        check(host, &["root may not", "CAP_SYS_ADMIN", "CapabilityBoundingSet="]);
    }

    #[test]
    fn what_the_kernel_says_is_read() {
        assert_eq!(effective("Name:\tx\nCapEff:\t00000000a80425fb\n"), Some(0xa804_25fb));
        assert_eq!(effective("Name:\tx\n"), None);
        assert_eq!(enforced("docker-default (enforce)\n").as_deref(), Some("docker-default"));
        assert_eq!(enforced("unconfined\n"), None);
        assert_eq!(enforced("system_u:system_r:container_t:s0:c1,c2\0"), None);
        let line =
            "32 30 0:28 /docker/1a /sys/fs/cgroup/memory ro,relatime - cgroup cgroup rw,memory";
        let part = Mount { path: "/sys/fs/cgroup/memory", is_part: true, is_version_2: false };
        assert_eq!(memory_mount(line), Some(part));
        assert_eq!(memory_mount("31 30 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu"), None);
    }
}
