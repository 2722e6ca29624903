//! A shim that is stopped, killed or cut off from its directory does not keep its container from ending,
//! from being stopped, or from being found again.

use std::fs;
use std::path::Path;
use std::time::Instant;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use outport_container_runtime::{
    Adopted, CgroupLimits, ContainerSpec, ContainerState, Runtime, ShimHandle,
};

use crate::host::{Host, TASK, cgroup_roots, ended, until};

fn stop(shim: &ShimHandle) {
    kill(Pid::from_raw(shim.shim_pid()), Signal::SIGSTOP).unwrap();
}

fn is_dead(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
}

#[test]
fn a_container_whose_shim_is_stopped_is_killed_and_reported() {
    let host = Host::new();
    let shim = host.start("wedged", host.shell("sleep 1000 & sleep 1000"));
    stop(&shim);
    shim.kill().unwrap();
    until("it is dead", || is_dead(shim.pid()));
    let record = shim.conclude().unwrap();
    assert_eq!((record.exit_code, record.oom_killed), (Some(137), false));
    let Adopted::Exited(again) = host.runtime.adopt(TASK, "wedged").unwrap() else { panic!() };
    assert_eq!(again, record);
    host.remove("wedged");
    host.check_nothing_left();
}

#[test]
fn a_signal_comes_through_past_a_stopped_shim_and_the_exit_code_back() {
    let host = Host::new();
    let script = "trap 'exit 7' TERM; echo ready; while true; do sleep 0.05; done";
    let shim = host.start("polite", host.shell(script));
    until("it is ready", || host.lines_so_far("polite") > 0);
    stop(&shim);
    assert_eq!(shim.state().unwrap(), ContainerState::Running);
    shim.signal(libc::SIGTERM).unwrap();
    until("it has ended", || is_dead(shim.pid()));
    assert_eq!(shim.conclude().unwrap().exit_code, Some(7));
    host.remove("polite");
    host.check_nothing_left();
}

#[test]
fn a_restarted_agent_takes_on_what_a_stopped_shim_keeps() {
    let host = Host::new();
    let runs = host.start("runs", host.spec(&["sleep", "1000"]));
    let waits = host.create("waits", host.shell("exit 0"));
    for shim in [&runs, &waits] {
        stop(shim);
    }
    let again = Runtime::new(host.settings.clone()).unwrap();
    let check = |name: &str, expected| {
        let Adopted::Running(shim) = again.adopt(TASK, name).unwrap() else { panic!("{name}") };
        assert_eq!(shim.state().unwrap(), expected, "{name}");
    };
    check("runs", ContainerState::Running);
    check("waits", ContainerState::Created);
    for name in ["runs", "waits"] {
        host.remove(name);
    }
    host.check_nothing_left();
}

/// Its shim was killed: nobody reads what it writes, and nobody would learn of its end.
#[test]
fn a_container_without_a_shim_is_ended() {
    let host = Host::new();
    let shim = host.start("alone", host.spec(&["sleep", "1000"]));
    kill(Pid::from_raw(shim.shim_pid()), Signal::SIGKILL).unwrap();
    let record = shim.conclude().unwrap();
    assert!(is_dead(shim.pid()));
    assert!(record.kill_requested);
    host.remove("alone");
    host.check_nothing_left();
}

#[test]
fn a_cleaned_run_directory_costs_nothing_that_runs() {
    let host = Host::new();
    let script = "trap 'exit 7' TERM; echo ready; while true; do sleep 0.05; done";
    let shim = host.start("polite", host.shell(script));
    host.start("killed", host.spec(&["sleep", "1000"]));
    host.create("waits", host.shell("exit 8"));
    let ends = host.start("ends", host.shell("sleep 3; exit 9"));
    until("it is ready", || host.lines_so_far("polite") > 0);
    fs::remove_dir_all(&host.settings.run_dir).unwrap();

    // The agent that is there, and new containers.
    assert_eq!(shim.state().unwrap(), ContainerState::Running);
    assert_eq!(host.run("new", host.shell("exit 4")).0.exit_code, Some(4));
    assert_eq!(ended(&ends).exit_code, Some(9));
    fs::remove_dir_all(&host.settings.run_dir).unwrap();

    // And the next one.
    let again = Runtime::new(host.settings.clone()).unwrap();
    let adopt = |name: &str| match again.adopt(TASK, name).unwrap() {
        Adopted::Running(shim) => shim,
        other => panic!("{name} {other:?}"),
    };
    let polite = adopt("polite");
    polite.signal(libc::SIGTERM).unwrap();
    assert_eq!(ended(&polite).exit_code, Some(7));
    let killed = adopt("killed");
    killed.kill().unwrap();
    assert_eq!(ended(&killed).exit_code, Some(137));
    let waits = adopt("waits");
    assert_eq!(waits.state().unwrap(), ContainerState::Created);
    waits.start().unwrap();
    assert_eq!(ended(&waits).exit_code, Some(8));
    let Adopted::Exited(record) = again.adopt(TASK, "ends").unwrap() else { panic!() };
    assert_eq!(record.exit_code, Some(9));
    for name in ["polite", "killed", "waits", "ends", "new"] {
        again.remove(TASK, name).unwrap();
    }
    host.check_nothing_left();
}

#[test]
fn what_runs_without_its_directory_is_removed_with_its_shim() {
    let host = Host::new();
    let shim = host.start("cut", host.spec(&["sleep", "1000"]));
    stop(&shim);
    fs::remove_dir_all(&host.settings.run_dir).unwrap();
    host.remove("cut");
    assert!(is_dead(shim.pid()) && is_dead(shim.shim_pid()));
    host.check_nothing_left();
}

/// As what runs in a container may call itself: its command line is its own to choose.
#[test]
fn a_container_cannot_pass_for_a_shim() {
    let host = Host::new();
    let told = host.settings.run_dir.join("c").join(format!("{TASK}.other"));
    let script = format!("exec -a shim sleep 1000 {0} || sleep 1000; : {0}", told.display());
    host.start("liar", host.spec(&["sh", "-c", &script, "shim", told.to_str().unwrap()]));
    fs::create_dir_all(host.settings.root_dir.join("tasks").join(TASK).join("c/other")).unwrap();
    assert!(matches!(host.runtime.adopt(TASK, "other").unwrap(), Adopted::Lost));
    for name in ["liar", "other"] {
        host.remove(name);
    }
    host.check_nothing_left();
}

#[test]
fn an_exit_code_is_known_on_a_full_disk() {
    let disk = tempfile::tempdir().unwrap();
    let small = Some("size=2m,mode=700");
    mount(Some("small"), disk.path(), Some("tmpfs"), MsFlags::empty(), small).unwrap();
    let host = Host::with(|settings| settings.root_dir = disk.path().join("data"));
    let shim = host.start("fills", host.shell("cat /dev/zero > /fill; sleep 0.2; exit 5"));
    // Nobody asks before it is over, as when the agent is dead.
    let shim_process = format!("/proc/{}", shim.shim_pid());
    until("the shim has gone", || !Path::new(&shim_process).exists());
    let on_disk = host.settings.root_dir.join("tasks").join(TASK).join("c/fills/exit");
    assert!(fs::read(on_disk).unwrap_or_default().is_empty(), "the disk was not full");
    let again = Runtime::new(host.settings.clone()).unwrap();
    let Adopted::Exited(record) = again.adopt(TASK, "fills").unwrap() else { panic!("lost") };
    assert_eq!(record.exit_code, Some(5));
    host.remove("fills");
    host.check_nothing_left();
    drop(host);
    // A shim that another test just starts has a copy of every descriptor for a moment.
    umount2(disk.path(), MntFlags::MNT_DETACH).unwrap();
}

/// Tests of its end, not of its speed: every process of the bomb has to die once, whatever it forks.
#[test]
fn a_fork_bomb_under_a_processor_limit_ends() {
    let host = Host::new();
    let mut spec = bomb(&host);
    spec.limits = CgroupLimits { pids_max: spec.limits.pids_max, ..tenth_of_a_processor() };
    explode(&host, spec);
    host.check_nothing_left();
}

#[test]
fn a_fork_bomb_under_its_tasks_processor_limit_ends_and_the_limit_stays() {
    let host = Host::new();
    host.runtime.create_task_cgroup(TASK, &tenth_of_a_processor()).unwrap();
    let quotas = || -> Vec<String> {
        let group = format!("{}/{TASK}", host.settings.cgroup_root);
        let files = ["cpu.max", "cpu.cfs_quota_us"];
        let places = cgroup_roots().into_iter().map(|root| root.join(&group));
        let files = places.flat_map(|place| files.map(|file| place.join(file)));
        files.filter_map(|file| fs::read_to_string(file).ok()).collect()
    };
    let before = quotas();
    assert!(before.iter().any(|quota| quota.starts_with("10000")), "{before:?}");
    explode(&host, bomb(&host));
    assert_eq!(quotas(), before);
    host.runtime.remove_task_cgroup(TASK).unwrap();
    host.check_nothing_left();
}

fn tenth_of_a_processor() -> CgroupLimits {
    CgroupLimits {
        cpu_period_us: Some(100_000),
        cpu_quota_us: Some(10_000),
        ..CgroupLimits::default()
    }
}

fn bomb(host: &Host) -> ContainerSpec {
    let mut spec = host.shell("trap '' TERM; b() { b | b & }; b; b; sleep 1000");
    // With a tenth of a slow machine's processor it takes a while to become many.
    spec.limits.pids_max = Some(400);
    spec
}

fn explode(host: &Host, spec: ContainerSpec) {
    let shim = host.start("bomb", spec);
    until("it is many", || host.runtime.container_stats(TASK, "bomb").unwrap().pids > 200);
    let begun = Instant::now();
    shim.kill().unwrap();
    assert_eq!(ended(&shim).exit_code, Some(137));
    println!("a fork bomb was over after {:?}", begun.elapsed());
    host.remove("bomb");
}

/// Frozen by somebody else: the container, its task, or all of its instance, shims included.
#[test]
fn what_is_frozen_is_killed_and_ends() {
    let host = Host::new();
    let root = host.settings.cgroup_root.clone();
    for group in [format!("{root}/{TASK}/frozen"), format!("{root}/{TASK}"), root] {
        let shim = host.start("frozen", host.shell("sleep 1000 & sleep 1000"));
        let places = cgroup_roots().into_iter().map(|root| root.join(&group));
        let files = places.flat_map(|place| {
            [(place.join("freezer.state"), "FROZEN"), (place.join("cgroup.freeze"), "1")]
        });
        let frozen = files.filter(|(file, word)| file.exists() && fs::write(file, word).is_ok());
        let frozen: Vec<_> = frozen.map(|(file, _)| file).collect();
        assert!(!frozen.is_empty(), "{group}");
        shim.kill().unwrap();
        // On version 2 the shim itself is not thawed by anybody: what is left is ended without it.
        let record = match group.contains('/') {
            true => ended(&shim),
            false => shim.conclude().unwrap(),
        };
        assert_eq!(record.exit_code, Some(137), "{group}");
        for file in &frozen {
            let word = if file.ends_with("cgroup.freeze") { "0" } else { "THAWED" };
            // What the last process left is removed at any time, between a look and a write too.
            let thawed = fs::write(file, word);
            assert!(thawed.is_ok() || !file.exists(), "{}: {thawed:?}", file.display());
        }
        host.remove("frozen");
    }
    host.check_nothing_left();
}

#[test]
fn a_running_container_keeps_no_mount_of_the_host_busy() {
    let host = Host::new();
    let extra = tempfile::tempdir().unwrap();
    mount(Some("extra"), extra.path(), Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    let shims = [
        host.start("runs", host.spec(&["sleep", "1000"])),
        host.create("waits", host.shell("exit 0")),
    ];
    let path = extra.path().to_str().unwrap();
    // In the host's own namespace, or in one that has it not.
    let own = fs::read_link("/proc/self/ns/mnt").unwrap();
    let holds = |pid: i32| {
        fs::read_link(format!("/proc/{pid}/ns/mnt")).unwrap() != own
            && fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap().contains(path)
    };
    for shim in &shims {
        until("the shim lets go", || !holds(shim.shim_pid()));
        assert!(!holds(shim.pid()), "the container has it");
    }
    umount2(extra.path(), MntFlags::MNT_DETACH).unwrap();
    shims[1].start().unwrap();
    assert_eq!(ended(&shims[1]).exit_code, Some(0));
    for name in ["runs", "waits"] {
        host.remove(name);
    }
    host.check_nothing_left();
}

#[test]
fn files_that_an_agent_had_no_time_to_remove_are_removed_by_the_next() {
    let host = Host::new();
    host.run("many", host.shell("mkdir /d; for i in $(seq 200); do : > /d/$i; done"));
    host.runtime.interrupt_removals();
    host.remove("many");
    assert!(host.runtime.has_trash());
    assert!(!host.runtime.has(TASK, "many").unwrap(), "its name is free");
    let again = Runtime::new(host.settings.clone()).unwrap();
    again.empty_trash().unwrap();
    assert!(!again.has_trash());
    host.check_nothing_left();
}
