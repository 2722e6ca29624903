//! The agent dies: containers, logs and exit codes do not.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use outport_container_runtime::{Adopted, ContainerState, FailureKind, Runtime};

use crate::host::{Host, TASK, ended, until};

/// Set for a run of this binary as an agent that is killed.
const AGENT: &str = "OUTPORT_TEST_AGENT";

#[test]
fn a_new_runtime_finds_what_runs_what_ended_and_what_is_lost() {
    let host = Host::new();
    host.start("runs", host.spec(&["sleep", "1000"]));
    host.create("waits", host.shell("exit 8"));
    host.run("ended", host.shell("exit 3"));
    let lost = host.start("lost", host.spec(&["sleep", "1000"]));
    let pid = nix::unistd::Pid::from_raw(lost.shim_pid());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();

    let again = Runtime::new(host.settings.clone()).unwrap();
    let names: Vec<String> =
        again.list().unwrap().into_iter().filter_map(|found| found.container).collect();
    assert_eq!(names, ["ended", "lost", "runs", "waits"]);
    assert!(names.iter().all(|name| again.has(TASK, name).unwrap()));
    assert!(!again.has(TASK, "run").unwrap());
    let Adopted::Running(runs) = again.adopt(TASK, "runs").unwrap() else { panic!("not running") };
    assert_eq!(runs.state().unwrap(), ContainerState::Running);
    let Adopted::Running(waits) = again.adopt(TASK, "waits").unwrap() else { panic!("not there") };
    assert_eq!(waits.state().unwrap(), ContainerState::Created);
    waits.start().unwrap();
    assert_eq!(ended(&waits).exit_code, Some(8));
    let Adopted::Exited(record) = again.adopt(TASK, "ended").unwrap() else { panic!("not ended") };
    assert_eq!(record.exit_code, Some(3));
    let container = lost.pid();
    assert!(matches!(again.adopt(TASK, "lost").unwrap(), Adopted::Lost));
    until("the lost container's process is dead", || {
        fs::read_to_string(format!("/proc/{container}/stat")).is_err()
    });
    assert!(matches!(again.adopt(TASK, "never").unwrap(), Adopted::Lost));
    for name in ["runs", "waits", "ended", "lost"] {
        again.remove(TASK, name).unwrap();
        assert!(!again.has(TASK, name).unwrap(), "{name}");
    }
    host.check_nothing_left();
}

/// A shim that dies before the start leaves a process that waits for ever: it must not look alive.
#[test]
fn a_container_whose_shim_died_before_the_start_is_lost() {
    let host = Host::new();
    let shim = host.create("unborn", host.shell("exit 0"));
    let pid = nix::unistd::Pid::from_raw(shim.shim_pid());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    until("it is lost", || matches!(host.runtime.adopt(TASK, "unborn").unwrap(), Adopted::Lost));
    host.remove("unborn");
    host.check_nothing_left();
}

#[test]
fn removing_ends_what_runs() {
    let host = Host::new();
    host.start("runs", host.shell("sleep 1000 & sleep 1000"));
    host.create("waits", host.shell("exit 0"));
    host.runtime.remove_all().unwrap();
    host.check_nothing_left();
}

#[test]
fn an_agent_killed_among_log_lines_loses_none() {
    if std::env::var_os(AGENT).is_some() {
        return agent();
    }
    let mut agent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "adoption::an_agent_killed_among_log_lines_loses_none", "--nocapture"])
        .env(AGENT, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(agent.stdout.take().unwrap()).lines();
    let settings = loop {
        let line = lines.next().unwrap().unwrap();
        if let Some((_, settings)) = line.split_once("settings ") {
            break settings.to_owned();
        }
    };
    let (root, run, cgroup) = {
        let mut parts = settings.split(' ').map(str::to_owned);
        (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap())
    };
    let host = Host::with(|settings| {
        settings.root_dir = root.clone().into();
        settings.run_dir = run.into();
        settings.cgroup_root = cgroup;
    });
    until("some lines are written", || host.lines_so_far("lines") > 1000);
    agent.kill().unwrap();
    agent.wait().unwrap();
    let record = match host.runtime.adopt(TASK, "lines").unwrap() {
        Adopted::Running(shim) => ended(&shim),
        Adopted::Exited(record) => record,
        Adopted::Lost => panic!("lost"),
    };
    assert_eq!((record.exit_code, record.dropped_log_lines), (Some(42), 0));
    let lines: Vec<String> = host.lines("lines").into_iter().map(|(_, line)| line).collect();
    assert_eq!(lines.len(), 300_000);
    let wrong = lines.iter().enumerate().find(|(at, line)| **line != (at + 1).to_string());
    assert_eq!(wrong, None);
    host.remove("lines");
    host.check_nothing_left();
    let base = std::path::Path::new(&root).parent().unwrap().to_owned();
    fs::remove_dir_all(base).unwrap();
}

/// The agent that is killed: starts the container and waits.
fn agent() {
    let host = Host::new();
    let mut spec = host.shell("seq 1 300000; exit 42");
    spec.log.mode =
        outport_container_runtime::LogMode::NonBlocking { unshipped_bytes_max: 1 << 30 };
    spec.log.segment_bytes_max = 1 << 20;
    let shim = host.start("lines", spec);
    let settings = &host.settings;
    println!(
        "settings {} {} {}",
        settings.root_dir.display(),
        settings.run_dir.display(),
        settings.cgroup_root
    );
    ended(&shim);
    // Killed before the end, or just after it: never cleaning up.
    loop {
        std::thread::park();
    }
}

#[test]
fn a_failure_of_the_exec_is_found_by_the_next_agent() {
    let host = Host::new();
    let script = host.layer.join("bin/bad");
    fs::write(&script, "#!/no/such\n").unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let shim = host.create("bad", host.spec(&["/bin/bad"]));
    assert!(shim.start().is_err());
    ended(&shim);
    let adopted = host.runtime.adopt(TASK, "bad").unwrap();
    let Adopted::Exited(record) = adopted else { panic!("{adopted:?}") };
    assert_eq!(record.start_failure.unwrap().kind, FailureKind::ExecutableNotFound);
}
