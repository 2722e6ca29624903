//! Which capabilities a container has.
//!
//! **Invariant:** a name that the kernel does not know is refused, never passed over.

use crate::error::{FailureKind, StartFailure};
use crate::spec::ContainerSpec;

/// By the kernel's numbers, without `CAP_`.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What Docker gives.
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

const ALL: u64 = u64::MAX;

/// A set, one bit for each of the kernel's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Capabilities(pub u64);

impl Capabilities {
    pub const NONE: Capabilities = Capabilities(0);

    /// All that there are to give: what a kernel older than the table does not know, and what a service
    /// manager or a container around this program has taken away, the kernel would refuse.
    pub fn all() -> Capabilities {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
        let bounding = bounding.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
        Capabilities(bounding.unwrap_or(u64::MAX) & ((1 << NAMES.len()) - 1))
    }

    /// The bounding set of a container, as Docker makes it: all that are added but those that are dropped by name;
    /// or, where all are dropped, those that are added; or the default set with both, where the added ones count more.
    /// Source: moby, `daemon/pkg/oci/caps`, `TweakCapabilities`.
    pub fn of(spec: &ContainerSpec) -> Result<Capabilities, StartFailure> {
        if spec.privileged {
            return Ok(Capabilities::all());
        }
        let of = |names: &[String]| -> Result<(u64, bool), StartFailure> {
            let sets: Vec<u64> = names.iter().map(|name| parse(name)).collect::<Result<_, _>>()?;
            let one_by_one = sets.iter().filter(|set| **set != ALL).fold(0, |all, set| all | set);
            Ok((one_by_one, sets.contains(&ALL)))
        };
        let ((added, adds_all), (dropped, drops_all)) =
            (of(&spec.capabilities.add)?, of(&spec.capabilities.drop)?);
        let default = DEFAULT.iter().fold(0, |set, name| set | bit(name).unwrap_or(0));
        let set = match (adds_all, drops_all) {
            (true, _) => ALL & !dropped,
            (false, true) => added,
            (false, false) => default & !dropped | added,
        };
        Ok(Capabilities(set & Capabilities::all().0))
    }

    pub fn has(self, name: &str) -> bool {
        bit(name).is_some_and(|bit| self.0 & bit != 0)
    }

    pub fn with(self, name: &str) -> Capabilities {
        Capabilities(self.0 | bit(name).unwrap_or(0))
    }

    /// As the OCI document names them.
    pub fn names(self) -> Vec<String> {
        let held = NAMES.iter().enumerate().filter(|(number, _)| self.0 >> number & 1 == 1);
        held.map(|(_, name)| format!("CAP_{name}")).collect()
    }
}

fn parse(name: &str) -> Result<u64, StartFailure> {
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if short == "ALL" {
        return Ok(ALL);
    }
    bit(short).ok_or_else(|| {
        StartFailure::new(FailureKind::Capability, format!("invalid capability: {name:?}"))
    })
}

fn bit(short: &str) -> Option<u64> {
    NAMES.iter().position(|name| *name == short).map(|number| 1 << number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Rootfs;

    #[track_caller]
    fn check(add: &[&str], drop: &[&str], expected: Option<u64>) {
        let mut spec = ContainerSpec::new(Rootfs::Layers(Vec::new()), Vec::new());
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        (spec.capabilities.add, spec.capabilities.drop) = (owned(add), owned(drop));
        let found = Capabilities::of(&spec).ok().map(|set| set.0);
        assert_eq!(found, expected, "add {add:?} drop {drop:?}");
    }

    #[test]
    fn sets_as_docker_makes_them() {
        check(&[], &[], Some(0xa804_25fb));
        check(&["CAP_SYS_PTRACE"], &[], Some(0xa804_25fb | 1 << 19));
        check(&[], &["net_raw", "MKNOD"], Some(0xa804_25fb & !(1 << 13) & !(1 << 27)));
        check(&["CHOWN"], &["ALL"], Some(1));
        let all = Capabilities::all().0;
        check(&["ALL"], &["NET_RAW", "cap_mknod"], Some(all & !(1 << 13) & !(1 << 27)));
        check(&["all", "MKNOD"], &["MKNOD"], Some(all & !(1 << 27)));
        check(&["CAP_ALL"], &["ALL"], Some(all));
        check(&["CHOWN"], &["ALL", "CHOWN"], Some(1));
        check(&["CHOWN"], &["CHOWN"], Some(0xa804_25fb));
        check(&["NOPE"], &[], None);
        check(&[], &["NOPE"], None);
        assert_eq!(Capabilities(1 | 1 << 21).names(), ["CAP_CHOWN", "CAP_SYS_ADMIN"]);
    }
}
