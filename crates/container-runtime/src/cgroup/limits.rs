//! The limits of a task or a container, and the files of each cgroup version that they go to.
//!
//! **Invariant:** the table is pure: it says what to write, [`super::Cgroup`] writes it.

use serde::{Deserialize, Serialize};

/// A container that sets no limit on processes gets this one (Docker and ECS set none, so one fork
/// bomb takes the host).
pub(crate) const PIDS_MAX_DEFAULT: u64 = 4096;

const CPU_PERIOD_US_DEFAULT: u64 = 100_000;

/// Limits of one cgroup. `None` leaves the kernel's default, which is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupLimits {
    /// Relative weight, 2 to 262144, 1024 for one vCPU (ECS `cpu`).
    #[serde(default)]
    pub cpu_shares: Option<u64>,
    /// CPU time per period, in microseconds: a hard limit.
    #[serde(default)]
    pub cpu_quota_us: Option<u64>,
    /// 100 ms if absent.
    #[serde(default)]
    pub cpu_period_us: Option<u64>,
    /// Hard limit; beyond it the kernel kills (ECS `memory`).
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Soft limit (ECS `memoryReservation`).
    #[serde(default)]
    pub memory_reservation_bytes: Option<u64>,
    /// Memory and swap together. Without it a container with a memory limit gets no swap.
    #[serde(default)]
    pub memory_and_swap_bytes: Option<u64>,
    /// 0 to 100; version 1 only, as in Docker.
    #[serde(default)]
    pub swappiness: Option<u64>,
    /// Processes and threads. A container without it gets 4096, with 0 no limit.
    #[serde(default)]
    pub pids_max: Option<u64>,
}

/// One write: which controller, which file, what, and whether a kernel may lack the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LimitWrite {
    pub controller: &'static str,
    pub file: &'static str,
    pub value: String,
    pub may_be_missing: bool,
}

impl CgroupLimits {
    /// What to write, in order. `v2` tells the version of the hierarchy a controller lives in.
    pub(crate) fn writes(&self, v2: impl Fn(&str) -> bool) -> Vec<LimitWrite> {
        let mut writes = Vec::new();
        let mut write = |controller, file, value: String, may_be_missing| {
            writes.push(LimitWrite { controller, file, value, may_be_missing });
        };
        let cpu_v2 = v2("cpu");
        if let Some(shares) = self.cpu_shares {
            let shares = shares.clamp(2, 262_144);
            match cpu_v2 {
                true => write("cpu", "cpu.weight", weight_of(shares).to_string(), false),
                false => write("cpu", "cpu.shares", shares.to_string(), false),
            }
        }
        if let Some(quota) = self.cpu_quota_us {
            let period = self.cpu_period_us.unwrap_or(CPU_PERIOD_US_DEFAULT);
            if cpu_v2 {
                write("cpu", "cpu.max", format!("{quota} {period}"), false);
            } else {
                write("cpu", "cpu.cfs_period_us", period.to_string(), false);
                write("cpu", "cpu.cfs_quota_us", quota.to_string(), false);
            }
        }
        let memory_v2 = v2("memory");
        if let Some(bytes) = self.memory_reservation_bytes {
            let file = if memory_v2 { "memory.low" } else { "memory.soft_limit_in_bytes" };
            write("memory", file, bytes.to_string(), false);
        }
        if let Some(bytes) = self.memory_bytes {
            let both = self.memory_and_swap_bytes.unwrap_or(bytes).max(bytes);
            if memory_v2 {
                write("memory", "memory.max", bytes.to_string(), false);
                write("memory", "memory.swap.max", (both - bytes).to_string(), true);
            } else {
                write("memory", "memory.limit_in_bytes", bytes.to_string(), false);
                write("memory", "memory.memsw.limit_in_bytes", both.to_string(), true);
            }
        }
        if let (Some(swappiness), false) = (self.swappiness, memory_v2) {
            write("memory", "memory.swappiness", swappiness.min(100).to_string(), false);
        }
        match self.pids_max {
            None => {}
            Some(0) => write("pids", "pids.max", "max".to_owned(), false),
            Some(max) => write("pids", "pids.max", max.to_string(), false),
        }
        writes
    }
}

/// The kernel's shares (2 to 262144) on the scale of `cpu.weight` (1 to 10000), as every OCI runtime
/// converts them.
fn weight_of(shares: u64) -> u64 {
    1 + (shares.saturating_sub(2) * 9999) / 262_142
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(limits: &CgroupLimits, v2: bool, expected: &[&str]) {
        let writes: Vec<String> = limits
            .writes(|_| v2)
            .iter()
            .map(|write| format!("{}={}", write.file, write.value))
            .collect();
        assert_eq!(writes, expected);
    }

    #[test]
    fn limits_of_both_versions() {
        let limits = CgroupLimits {
            cpu_shares: Some(1024),
            cpu_quota_us: Some(25_000),
            memory_bytes: Some(512 << 20),
            memory_reservation_bytes: Some(256 << 20),
            pids_max: Some(100),
            ..CgroupLimits::default()
        };
        check(
            &limits,
            false,
            &[
                "cpu.shares=1024",
                "cpu.cfs_period_us=100000",
                "cpu.cfs_quota_us=25000",
                "memory.soft_limit_in_bytes=268435456",
                "memory.limit_in_bytes=536870912",
                "memory.memsw.limit_in_bytes=536870912",
                "pids.max=100",
            ],
        );
        check(
            &limits,
            true,
            &[
                "cpu.weight=39",
                "cpu.max=25000 100000",
                "memory.low=268435456",
                "memory.max=536870912",
                "memory.swap.max=0",
                "pids.max=100",
            ],
        );
        check(&CgroupLimits::default(), true, &[]);
        let swap = CgroupLimits {
            memory_bytes: Some(10),
            memory_and_swap_bytes: Some(30),
            swappiness: Some(200),
            pids_max: Some(0),
            ..CgroupLimits::default()
        };
        check(&swap, true, &["memory.max=10", "memory.swap.max=20", "pids.max=max"]);
        check(
            &swap,
            false,
            &[
                "memory.limit_in_bytes=10",
                "memory.memsw.limit_in_bytes=30",
                "memory.swappiness=100",
                "pids.max=max",
            ],
        );
        assert_eq!((weight_of(2), weight_of(262_144)), (1, 10_000));
    }
}
