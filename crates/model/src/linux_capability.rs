//! Linux capabilities that a task definition adds: which of them reach out of a container.
//!
//! A container has a user namespace in common with the host, so that a capability is the host's own, and
//! only the other walls (namespaces, read-only mounts, the device list, seccomp) keep its holder in.
//! Each one is on one side of this table:
//!
//! | side | capabilities | why |
//! |---|---|---|
//! | the container's | Docker's 14 by default | all probes of escape fail |
//! | | IPC_LOCK, IPC_OWNER, LEASE, NET_BROADCAST, SYS_NICE, SYS_PACCT, SYS_PTRACE, SYS_TTY_CONFIG | they act on what its namespaces and its control group hold |
//! | | NET_ADMIN | acts on its own network namespace; the host's rules are outside of it |
//! | the host's | DAC_READ_SEARCH, SYS_ADMIN, SYS_MODULE, SYS_RAWIO, SYS_BOOT, BPF, PERFMON, SYSLOG, CHECKPOINT_RESTORE | root on the host, or its memory, or a way to either |
//! | | SYS_TIME, MAC_ADMIN, MAC_OVERRIDE, AUDIT_CONTROL, AUDIT_READ, WAKE_ALARM, BLOCK_SUSPEND | they act on things of which a host has one |
//! | | SYS_RESOURCE, LINUX_IMMUTABLE | round the limits of disk and files, and files that the node cannot remove |
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
const OF_THE_CONTAINER: [&str; 23] = [
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
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_TTY_CONFIG",
];

/// Whether adding the capability gives power over the host. Upper or lower case, with or without `CAP_`.
/// `host_network`: the container has no network namespace of its own.
pub fn is_of_the_host(name: &str, host_network: bool) -> bool {
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
    !OF_THE_CONTAINER.contains(&short) || (host_network && short == "NET_ADMIN")
}

/// What a container asks of the host, in words for its owner: `privileged`, or the first capability that is
/// the host's. `None` when it can run on every node.
pub fn asked_of_the_host(container: &ContainerDefinition, mode: NetworkMode) -> Option<String> {
    if container.privileged {
        return Some("privileged".to_owned());
    }
    let added = container.linux.capabilities_add.iter();
    let host_network = mode == NetworkMode::Host;
    let mut of_the_host = added.filter(|name| is_of_the_host(name, host_network));
    of_the_host.next().map(|name| format!("the capability {name}"))
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
    fn what_is_not_known_to_stay_inside_is_the_hosts() {
        check("CHOWN net_raw CAP_SYS_PTRACE SYS_NICE NET_ADMIN", false, false);
        check("SYS_ADMIN sys_admin CAP_BPF ALL all CAP_ALL NOPE '' DAC_READ_SEARCH", false, true);
        check("SYS_MODULE SYS_RAWIO SYS_BOOT PERFMON SYS_TIME MAC_ADMIN MAC_OVERRIDE", false, true);
        check(
            "SYSLOG WAKE_ALARM SYS_RESOURCE LINUX_IMMUTABLE AUDIT_CONTROL AUDIT_READ",
            false,
            true,
        );
        check("NET_ADMIN cap_net_admin", true, true);
        check("NET_RAW SYS_PTRACE", true, false);
    }
}
