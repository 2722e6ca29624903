//! What containers use, in the JSON of Docker's stats.
//!
//! Sources: Docker Engine API, "Get container stats based on resource usage"; the Amazon ECS agent for `null` where nothing is
//! known. What control groups say is there; block devices and network interfaces are not.
//!
//! **Invariant:** `precpu_stats` and `preread` are of the request before: Docker, which looks once a second, has those of a second before.

use std::fs;

use outport_container_runtime::CgroupUsage;
use outport_model::TimestampMs;
use serde_json::{Map, Value, json};

use super::metadata::time;

/// Of the times in `/proc/stat`: a hundredth of a second, on every architecture that we run on.
const TICK_NS: u64 = 10_000_000;
/// user, nice, system, idle, iowait, irq, softirq, steal: guests are counted in user.
const TIMES: usize = 8;

/// One look at a container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    pub read_ms: TimestampMs,
    pub usage: CgroupUsage,
    pub host: HostCpu,
}

/// The host's processors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostCpu {
    /// Time of all of them since the boot, idle too; nanoseconds.
    pub total_ns: u64,
    pub count: u64,
}

impl HostCpu {
    /// Zeros where the kernel says nothing: who divides by them has no number either.
    pub fn read() -> Self {
        fs::read_to_string("/proc/stat").map(|text| Self::parse(&text)).unwrap_or_default()
    }

    fn parse(text: &str) -> Self {
        let is_one = |line: &&str| {
            line.strip_prefix("cpu")
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let count = u64::try_from(text.lines().filter(is_one).count()).unwrap_or_default();
        let times = text.lines().next().unwrap_or_default().split_whitespace().skip(1);
        let ticks: u64 = times.take(TIMES).filter_map(|one| one.parse::<u64>().ok()).sum();
        Self { total_ns: ticks.saturating_mul(TICK_NS), count }
    }
}

/// `id` and `name` are Docker's.
pub fn container(id: &str, name: &str, now: &Sample, before: Option<&Sample>) -> Value {
    let none = Sample::default();
    let before = before.unwrap_or(&none);
    let mut memory = Map::from_iter([("usage".to_owned(), json!(now.usage.memory_bytes))]);
    if let Some(limit) = now.usage.memory_limit_bytes {
        memory.insert("limit".to_owned(), json!(limit));
    }
    json!({
        "id": id,
        "name": format!("/{name}"),
        "read": time(now.read_ms),
        "preread": time(before.read_ms),
        "pids_stats": { "current": now.usage.pids },
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": cpu(now),
        "precpu_stats": cpu(before),
        "memory_stats": memory,
    })
}

fn cpu(sample: &Sample) -> Value {
    json!({
        "cpu_usage": { "total_usage": sample.usage.cpu_ns },
        "system_cpu_usage": sample.host.total_ns,
        "online_cpus": sample.host.count,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_time_is_all_of_it_but_guests() {
        let text = "cpu  1 2 3 4 5 6 7 8 100 100\ncpu0 1 2 3 4 5 6 7 8 0 0\ncpu1 0 0 0 0 0 0 0 0 0 0\nintr 9\ncpufreq 1\n";
        assert_eq!(HostCpu::parse(text), HostCpu { total_ns: 360_000_000, count: 2 });
        assert_eq!(HostCpu::parse(""), HostCpu::default());
        assert!(HostCpu::read().count > 0);
    }

    #[test]
    fn a_share_of_the_processors_follows_from_two_looks() {
        let sample = |read_ms, cpu_ns, total_ns| Sample {
            read_ms,
            usage: CgroupUsage { cpu_ns, memory_bytes: 7, memory_limit_bytes: Some(9), pids: 2 },
            host: HostCpu { total_ns, count: 2 },
        };
        let (first, second) = (sample(1_000, 10, 100), sample(2_000, 30, 200));
        let stats = container("1f", "web", &second, Some(&first));
        let used = |member: &str| stats[member]["cpu_usage"]["total_usage"].as_u64().unwrap();
        assert_eq!(used("cpu_stats") - used("precpu_stats"), 20);
        assert_eq!(stats["precpu_stats"]["system_cpu_usage"], 100);
        assert_eq!(stats["preread"], "1970-01-01T00:00:01Z");
        assert_eq!(stats["memory_stats"], json!({ "usage": 7, "limit": 9 }));
        assert_eq!((&stats["name"], &stats["pids_stats"]["current"]), (&json!("/web"), &json!(2)));
        let alone = container("1f", "web", &second, None);
        assert_eq!(alone["precpu_stats"]["cpu_usage"]["total_usage"], 0);
    }
}
