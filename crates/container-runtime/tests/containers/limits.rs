//! Limits bite, are seen, and a death for memory is told from any other.

use std::time::Duration;

use outport_container_runtime::CgroupLimits;

use crate::host::{Host, TASK, ended, until};

const MIB: u64 = 1 << 20;

#[test]
fn a_first_process_killed_for_memory() {
    let host = Host::new();
    let mut spec = host.spec(&["tail", "/dev/zero"]);
    spec.limits.memory_bytes = Some(16 * MIB);
    let (record, _) = host.run("main", spec);
    assert_eq!((record.exit_code, record.signal), (Some(137), Some(9)));
    assert!(record.oom_killed && record.oom_kill_count >= 1, "{record:?}");
    // A shell that reports its child's death as its own.
    let mut spec = host.shell("tail /dev/zero; exit $?");
    spec.limits.memory_bytes = Some(16 * MIB);
    let (record, _) = host.run("shell", spec);
    assert_eq!((record.exit_code, record.signal, record.oom_killed), (Some(137), None, true));
}

#[test]
fn a_child_killed_for_memory_is_not_the_containers_end() {
    let host = Host::new();
    let mut spec = host.shell("tail /dev/zero; echo alive; exit 0");
    spec.limits.memory_bytes = Some(16 * MIB);
    let (record, output) = host.run("child", spec);
    assert_eq!((record.exit_code, output.as_str()), (Some(0), "alive\n"));
    assert!(!record.oom_killed && record.oom_kill_count >= 1, "{record:?}");
}

#[test]
fn the_tasks_limit_holds_for_all_its_containers() {
    let host = Host::new();
    let limits = CgroupLimits { memory_bytes: Some(24 * MIB), ..CgroupLimits::default() };
    host.runtime.create_task_cgroup(TASK, &limits).unwrap();
    host.runtime.create_task_cgroup(TASK, &limits).unwrap();
    let record = ended(&host.start("eater", host.spec(&["tail", "/dev/zero"])));
    assert_eq!((record.exit_code, record.oom_killed), (Some(137), true));
    let stats = host.runtime.stats(TASK).unwrap();
    assert_eq!(stats.memory_limit_bytes, Some(24 * MIB));
    assert!(stats.cpu_ns > 0);
    host.remove("eater");
    host.check_nothing_left();
}

#[test]
fn a_fork_bomb_stays_in() {
    let host = Host::new();
    let mut spec = host.shell(
        "n=0; while [ $n -lt 64 ]; do sleep 1000 & n=$((n+1)); done 2>/dev/null; echo through; wait",
    );
    spec.limits.pids_max = Some(20);
    let shim = host.start("forks", spec);
    until("the limit is reached", || {
        host.runtime.container_stats(TASK, "forks").map_or(true, |stats| stats.pids >= 19)
            || shim.exit().unwrap().is_some()
    });
    assert!(!host.output("forks").contains("through"));
    shim.kill().unwrap();
    ended(&shim);
    // The default limit, and none.
    let read = "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null";
    assert_eq!(host.run("default", host.shell(read)).1, "4096\n");
    let mut spec = host.shell(read);
    spec.limits.pids_max = Some(0);
    assert_eq!(host.run("none", spec).1, "max\n");
    for name in ["forks", "default", "none"] {
        host.remove(name);
    }
    host.check_nothing_left();
}

#[test]
fn a_cpu_quota_bites() {
    let host = Host::new();
    let mut spec = host.shell("while :; do :; done");
    spec.limits.cpu_quota_us = Some(10_000);
    let shim = host.start("spin", spec);
    let used = || host.runtime.container_stats(TASK, "spin").unwrap().cpu_ns;
    until("it has run", || used() > 20_000_000);
    let (begun, before) = (std::time::Instant::now(), used());
    until("a second has passed", || begun.elapsed() > Duration::from_secs(1));
    let share = (used() - before) as f64 / begun.elapsed().as_nanos() as f64;
    assert!(share < 0.15, "a tenth of a CPU, not {share}");
    shim.kill().unwrap();
    ended(&shim);
}

#[test]
fn a_soft_limit_and_shares_are_set() {
    let host = Host::new();
    let mut spec = host.shell(
        "cd /sys/fs/cgroup; cat memory/memory.soft_limit_in_bytes memory.low 2>/dev/null; \
         cat cpu/cpu.shares cpu,cpuacct/cpu.shares cpu.weight 2>/dev/null | head -1",
    );
    spec.limits.memory_reservation_bytes = Some(32 * MIB);
    spec.limits.cpu_shares = Some(512);
    let (_, output) = host.run("soft", spec);
    let shares = if crate::host::is_unified() { "20" } else { "512" };
    assert_eq!(output, format!("{}\n{shares}\n", 32 * MIB));
}

/// Where processors are short, the shims of all containers count as one small task.
#[test]
fn shims_have_the_weight_of_a_small_task() {
    let host = Host::new();
    host.runtime.weigh_shims().unwrap();
    let shim = host.start("weighed", host.spec(&["sleep", "1000"]));
    let group = format!("{}/shims.group", host.settings.cgroup_root);
    let places = std::fs::read_to_string(format!("/proc/{}/cgroup", shim.shim_pid())).unwrap();
    assert!(places.contains(&group), "{places}");
    let weights: Vec<String> = crate::host::cgroup_roots()
        .iter()
        .flat_map(|root| ["cpu.shares", "cpu.weight"].map(|file| root.join(&group).join(file)))
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .collect();
    let expected = if crate::host::is_unified() { "10\n" } else { "256\n" };
    assert_eq!(weights, [expected]);
    shim.kill().unwrap();
    ended(&shim);
    host.remove("weighed");
    host.check_nothing_left();
}
