//! What a task definition asks for that reaches out of a container: Linux capabilities, and resource limits that
//! stand for one.
//!
//! A container may have a user namespace in common with the host (network mode `host`, a node without them), so that
//! a capability is the host's own, and only the other walls (namespaces, read-only mounts, the device list, seccomp)
//! keep its holder in.
//! Each one is on one side of this table:
//!
//! | side | capabilities | why |
//! |---|---|---|
//! | the container's | Docker's 14 by default | all probes of escape fail |
//! | | IPC_LOCK, IPC_OWNER, LEASE, NET_BROADCAST, SYS_PACCT, SYS_PTRACE, SYS_TTY_CONFIG | they act on what its namespaces and its control group hold |
//! | | NET_ADMIN | acts on its own network namespace; the host's rules are outside of it |
//! | the host's | DAC_READ_SEARCH, SYS_ADMIN, SYS_MODULE, SYS_RAWIO, SYS_BOOT, BPF, PERFMON, SYSLOG, CHECKPOINT_RESTORE | root on the host, or its memory, or a way to either |
//! | | SYS_TIME, MAC_ADMIN, MAC_OVERRIDE, AUDIT_CONTROL, AUDIT_READ, WAKE_ALARM, BLOCK_SUSPEND | they act on things of which a host has one |
//! | | SYS_RESOURCE, LINUX_IMMUTABLE | round the limits of disk and files, and files that the node cannot remove |
//! | | SYS_NICE, and the limits `rtprio` and `nice`, which give a part of it | a process of real-time priority gets up to 95 % of every core, whatever the control groups say |
//! | | NET_ADMIN in network mode `host` | the host's own network |
//! | | ALL, and a name that is not known | all of the above, or who knows |
//!
//! The host's need a node whose operator allows them, as `privileged` does.
//!
//! **Invariant:** what is not known to stay inside is the host's.

use crate::task_definition::{ContainerDefinition, NetworkMode};

/// The container instance attribute of a node that takes privileged containers.
/// Source: "Container instance attributes" and the ECS agent's `ECS_DISABLE_PRIVILEGED`.
pub const PRIVILEGED_ATTRIBUTE: &str = "com.amazonaws.ecs.capability.privileged-container";

/// What an unprivileged container may hold. Docker's default set first.
const OF_THE_CONTAINER: [&str; 22] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
    "IPC_LOCK",
    "IPC_OWNER",
    "LEASE",
    "NET_ADMIN",
    "NET_BROADCAST",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_TTY_CONFIG",
];

/// The limits, by ECS's names, up to which a process may raise its own priority: 0 without the capability.
pub const PRIORITY_LIMITS: [&str; 2] = ["nice", "rtprio"];

/// What the kernel asks of the host's user namespace only: in another one it is held and does nothing.
/// Source: the kernel's `capable()`, beside `ns_capable()`; IPC_OWNER, because IPC namespaces are the host's. Those that
/// every container has anyway (AUDIT_WRITE, MKNOD) are not here: adding them once more asks for nothing.
const VOID_IN_A_USER_NAMESPACE: [&str; 5] =
    ["IPC_LOCK", "IPC_OWNER", "LEASE", "SYS_PACCT", "SYS_TTY_CONFIG"];

/// Whether a container that adds the capability needs the host's user namespace for it. Names as in
/// [`is_of_the_host`].
pub fn is_void_in_a_user_namespace(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
    is_of_the_host(short, false) || VOID_IN_A_USER_NAMESPACE.contains(&short)
}

/// Whether adding the capability gives power over the host. Upper or lower case, with or without `CAP_`.
/// `host_network`: the container has no network namespace of its own.
pub fn is_of_the_host(name: &str, host_network: bool) -> bool {
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
    !OF_THE_CONTAINER.contains(&short) || (host_network && short == "NET_ADMIN")
}

/// What a container asks of the host, in words for its owner: `privileged`, the first capability that is the
/// host's, or the first limit. `None` when it can run on every node.
pub fn asked_of_the_host(container: &ContainerDefinition, mode: NetworkMode) -> Option<String> {
    if container.privileged {
        return Some("privileged".to_owned());
    }
    let limits = container.ulimits.iter().map(|limit| (limit.name.as_str(), limit.hard != 0));
    let host_network = mode == NetworkMode::Host;
    capability_of_the_host(&container.linux.capabilities_add, host_network)
        .or_else(|| limit_of_the_host(limits))
}

/// The first capability that is the host's, in words.
pub fn capability_of_the_host(added: &[String], host_network: bool) -> Option<String> {
    let of_the_host = added.iter().find(|name| is_of_the_host(name, host_network));
    of_the_host.map(|name| format!("the capability {name}"))
}

/// The first limit that is the host's, in words. `limits`: the names, and whether each is more than nothing.
pub fn limit_of_the_host<'a>(limits: impl IntoIterator<Item = (&'a str, bool)>) -> Option<String> {
    let mut limits = limits.into_iter();
    let raised = limits.find(|(name, is_raised)| *is_raised && PRIORITY_LIMITS.contains(name));
    raised.map(|(name, _)| format!("the limit {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(names: &str, host_network: bool, expected: bool) {
        for name in names.split_whitespace() {
            assert_eq!(is_of_the_host(name, host_network), expected, "{name}");
        }
    }

    #[test]
    fn what_a_user_namespace_would_make_void() {
        for name in ["IPC_LOCK", "cap_sys_nice", "SYS_ADMIN", "ALL", "NOPE"] {
            assert!(is_void_in_a_user_namespace(name), "{name}");
        }
        for name in ["NET_ADMIN", "NET_RAW", "CAP_SYS_PTRACE", "CHOWN", "MKNOD", "AUDIT_WRITE"] {
            assert!(!is_void_in_a_user_namespace(name), "{name}");
        }
    }

    #[test]
    fn what_is_not_known_to_stay_inside_is_the_hosts() {
        check("CHOWN net_raw CAP_SYS_PTRACE NET_ADMIN", false, false);
        check("SYS_ADMIN sys_admin CAP_BPF ALL all CAP_ALL NOPE '' DAC_READ_SEARCH", false, true);
        check("SYS_MODULE SYS_RAWIO SYS_BOOT PERFMON SYS_TIME MAC_ADMIN MAC_OVERRIDE", false, true);
        check(
            "SYS_NICE cap_sys_nice SYSLOG WAKE_ALARM SYS_RESOURCE LINUX_IMMUTABLE AUDIT_CONTROL AUDIT_READ",
            false,
            true,
        );
        check("NET_ADMIN cap_net_admin", true, true);
        check("NET_RAW SYS_PTRACE", true, false);
    }

    #[test]
    fn priority_is_the_hosts() {
        let asked = |name: &str, raised| limit_of_the_host([("nofile", true), (name, raised)]);
        assert_eq!(asked("rtprio", true).as_deref(), Some("the limit rtprio"));
        assert_eq!(asked("nice", true).as_deref(), Some("the limit nice"));
        assert_eq!(asked("rtprio", false), None);
        assert_eq!(asked("memlock", true), None);
    }
}
