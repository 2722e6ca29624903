//! Create, start, signals, exit codes, removal.

use std::fs;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use outport_container_runtime::{
    Adopted, BindMount, ContainerState, Driver, FailureKind, Namespace, RuntimeError, TmpfsMount,
};

use crate::host::{DEADLINE, Host, TASK, ended, until};

#[test]
fn exit_codes_as_docker_counts() {
    let host = Host::new();
    let check = |name: &str, script: &str, code: i32, signal: Option<i32>| {
        let (record, _) = host.run(name, host.shell(script));
        assert_eq!((record.exit_code, record.signal), (Some(code), signal), "{script}");
        assert!(!record.oom_killed && record.started_at_ms.unwrap() <= record.finished_at_ms);
        host.remove(name);
    };
    check("true", "exit 0", 0, None);
    check("three", "exit 3", 3, None);
    check("killed-child", "sh -c 'kill -9 $$'; exit $?", 137, None);
    host.check_nothing_left();
}

#[test]
fn a_created_container_waits_and_then_runs_in_order() {
    let host = Host::new();
    let first = host.create("first", host.shell("echo one; sleep 1000"));
    let second = host.create("second", host.shell("exit 7"));
    assert_eq!(first.state().unwrap(), ContainerState::Created);
    assert_eq!(host.output("first"), "");
    assert!(second.wait(Duration::from_millis(50)).unwrap().is_none());
    first.start().unwrap();
    assert_eq!(first.state().unwrap(), ContainerState::Running);
    second.start().unwrap();
    assert_eq!(ended(&second).exit_code, Some(7));
    until("the first line is logged", || host.output("first") == "one\n");
    first.kill().unwrap();
    let record = ended(&first);
    assert_eq!(
        (record.exit_code, record.signal, record.kill_requested),
        (Some(137), Some(9), true)
    );
    host.remove("first");
    host.remove("second");
    host.check_nothing_left();
}

#[test]
fn signals_reach_the_first_process() {
    let host = Host::new();
    let spec =
        host.shell("trap 'echo term; exit 5' TERM; echo ready; while :; do sleep 0.01; done");
    let shim = host.start("trap", spec);
    until("the trap is set", || host.output("trap") == "ready\n");
    shim.signal(libc::SIGTERM).unwrap();
    assert_eq!(ended(&shim).exit_code, Some(5));
    assert_eq!(host.output("trap"), "ready\nterm\n");
    // Over: a signal is no error.
    shim.signal(libc::SIGTERM).unwrap();
    shim.kill().unwrap();

    // Without a handler the first process of a pid namespace ignores it, as in Docker.
    let shim = host.start("deaf", host.spec(&["sleep", "1000"]));
    shim.signal(libc::SIGTERM).unwrap();
    assert!(shim.wait(Duration::from_millis(100)).unwrap().is_none());
    let refused = shim.signal(77);
    assert!(matches!(refused, Err(RuntimeError::Protocol { .. })), "{refused:?}");
    shim.kill().unwrap();
    assert_eq!(ended(&shim).signal, Some(libc::SIGKILL));
}

#[test]
fn an_init_process_forwards_and_reaps() {
    let host = Host::new();
    // Without init `sleep` would ignore SIGTERM.
    let mut spec = host.spec(&["sleep", "1000"]);
    spec.init_process_enabled = true;
    let shim = host.start("init", spec);
    until("the child runs and ends", || {
        shim.signal(libc::SIGTERM).unwrap();
        shim.wait(Duration::from_millis(20)).unwrap().is_some()
    });
    assert_eq!(ended(&shim).exit_code, Some(143));

    let mut spec = host.shell(
        "(sleep 0.01 & echo $! > /tmp/orphan); read orphan < /tmp/orphan; \
         for turn in $(seq 1000); do test -e /proc/$orphan || break; sleep 0.01; done; \
         test -e /proc/$orphan && echo left; exit 9",
    );
    spec.init_process_enabled = true;
    let (record, output) = host.run("zombies", spec);
    assert_eq!((record.exit_code, output.as_str()), (Some(9), ""));
}

#[test]
fn the_descriptors_for_event_loops_become_readable() {
    let host = Host::new();
    let shim = host.create("fds", host.shell("sleep 0.1; exit 4"));
    let pid_fd = shim.pid_fd().unwrap();
    let wait = shim.exit_wait().unwrap();
    let mut polled = [PollFd::new(wait.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut polled, PollTimeout::ZERO).unwrap(), 0);
    shim.start().unwrap();
    let deadline = PollTimeout::try_from(DEADLINE).unwrap();
    assert_eq!(poll(&mut polled, deadline).unwrap(), 1);
    assert_eq!(wait.take().unwrap().exit_code, Some(4));
    let mut polled = [PollFd::new(pid_fd.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut polled, deadline).unwrap(), 1);
    until("the shim is gone", || shim.state().is_err());
    // Waiting for what is over is answered from disk.
    assert_eq!(shim.exit_wait().unwrap().take().unwrap().exit_code, Some(4));
    assert_eq!(shim.exit().unwrap().unwrap().exit_code, Some(4));
}

#[test]
fn a_container_killed_before_its_start_says_so() {
    let host = Host::new();
    let shim = host.create("unborn", host.shell("echo never"));
    shim.kill().unwrap();
    let record = ended(&shim);
    assert_eq!((record.exit_code, record.started_at_ms), (None, None));
    assert_eq!(record.start_failure.unwrap().kind, FailureKind::Killed);
    assert_eq!(host.output("unborn"), "");
    assert!(shim.start().is_err());
    host.remove("unborn");
    host.check_nothing_left();
}

/// Names that files of a control group have, too.
#[test]
fn a_container_may_have_the_name_of_a_file_of_its_group() {
    let host = Host::new();
    for name in ["tasks", "notify_on_release", "release_agent"] {
        let mut spec = host.shell("echo ran; sleep 1000");
        spec.limits.pids_max = Some(77);
        let shim = host.start(name, spec);
        until("it runs", || host.lines_so_far(name) == 1);
        let groups = fs::read_to_string(format!("/proc/{}/cgroup", shim.pid())).unwrap();
        assert!(groups.lines().any(|line| line.contains(&format!("/{name}-"))), "{groups}");
        assert!(host.runtime.has(TASK, name).unwrap());
        shim.kill().unwrap();
        ended(&shim);
        host.remove(name);
    }
    host.check_nothing_left();
}

#[test]
fn environment_directory_and_mounts() {
    let host = Host::that_gives_power();
    let source = host.layer.parent().unwrap().join("hosts");
    fs::write(&source, "10.0.0.1 peer\n").unwrap();
    let volume = host.layer.parent().unwrap().join("volume");
    fs::create_dir(&volume).unwrap();
    let mut spec = host.shell(
        "pwd; echo $A; echo $HOME; hostname; cat /etc/hosts; echo v > /srv/volume/file; \
         echo x > /etc/hosts 2>/dev/null || echo denied; stat -f -c %T /scratch; \
         awk '$2==\"/dev/shm\"{print $4}' /proc/mounts | tr , '\\n' | awk '/size/'; id -u",
    );
    spec.env = vec![("A".into(), "1 = 2".into())];
    spec.working_directory = "/not/yet/there".into();
    spec.hostname = Some("web-1".into());
    spec.shared_memory_size_mib = 32;
    spec.tmpfs = vec![TmpfsMount { path: "/scratch".into(), size_mib: 8, options: vec![] }];
    spec.bind_mounts = vec![
        BindMount { source, target: "/etc/hosts".into(), readonly: true },
        BindMount { source: volume.clone(), target: "/srv/volume".into(), readonly: false },
    ];
    let (record, output) = host.run("all", spec);
    assert_eq!(record.exit_code, Some(0));
    let expected = "/not/yet/there\n1 = 2\n/root\nweb-1\n10.0.0.1 peer\ndenied\ntmpfs\n\
        size=32768k\n0\n";
    assert_eq!(output, expected);
    assert_eq!(fs::read_to_string(volume.join("file")).unwrap(), "v\n");
}

#[test]
fn layers_are_stacked_and_left_as_they_were() {
    let host = Host::new();
    let base = host.layer.parent().unwrap();
    let (upper, empty) = (base.join("upper,with:marks"), base.join("empty"));
    fs::create_dir_all(upper.join("etc")).unwrap();
    fs::create_dir_all(&empty).unwrap();
    fs::write(upper.join("etc/from"), "upper\n").unwrap();
    fs::create_dir_all(host.layer.join("etc")).unwrap();
    fs::write(host.layer.join("etc/from"), "lower\n").unwrap();
    let mut spec = host.shell("cat /etc/from; echo mine > /etc/from; cat /etc/from; stat -c %a /");
    let layers = vec![empty.clone(), host.layer.clone(), empty.clone(), upper.clone(), empty];
    spec.rootfs = outport_container_runtime::Rootfs::Layers(layers);
    let (_, output) = host.run("stack", spec);
    assert_eq!(output, "upper\nmine\n755\n");
    assert_eq!(fs::read_to_string(upper.join("etc/from")).unwrap(), "upper\n");
}

#[test]
fn many_layers_can_be_stacked() {
    let host = Host::new();
    let mut layers = vec![host.layer.clone()];
    for number in 0..120 {
        let layer = host.layer.parent().unwrap().join(format!("{number:0>64}"));
        fs::create_dir(&layer).unwrap();
        fs::write(layer.join(format!("n{number}")), "").unwrap();
        layers.push(layer);
    }
    let mut spec = host.shell("ls / | awk '/^n[0-9]/{n++} END{print n}'");
    spec.rootfs = outport_container_runtime::Rootfs::Layers(layers);
    assert_eq!(host.run("many", spec).1, "120\n");
}

#[test]
fn a_network_of_its_own_has_loopback_and_host_has_the_hosts() {
    let host = Host::new();
    let links = "ls /sys/class/net | tr '\\n' ' '; cat /sys/class/net/lo/operstate; \
        ip addr show lo | awk '/127.0.0.1/{print $2}'";
    let (_, output) = host.run("own", host.shell(links));
    assert_eq!(output, "lo unknown\n127.0.0.1/8\n");
    let mut spec = host.shell("readlink /proc/self/ns/net");
    spec.namespaces.network = Namespace::Host;
    spec.user_namespace = None;
    let mine = fs::read_link("/proc/self/ns/net").unwrap();
    assert_eq!(host.run("host", spec).1.trim(), mine.to_str().unwrap());
}

#[test]
fn names_are_checked_and_taken_once() {
    let host = Host::new();
    let spec = || host.shell("exit 0");
    let bad = host.runtime.create(TASK, "../x", spec());
    assert!(matches!(bad, Err(RuntimeError::InvalidKey(_))));
    let long = "n".repeat(255);
    assert_eq!(host.run(&long, spec()).0.exit_code, Some(0));
    let again = host.runtime.create(TASK, &long, spec());
    assert!(matches!(again, Err(RuntimeError::AlreadyExists(_))));
    let found = host.runtime.list().unwrap();
    assert!(found.iter().any(|one| one.container.as_deref() == Some(long.as_str())), "{found:?}");
    host.remove(&long);
    host.remove(&long);
    host.check_nothing_left();
}

#[test]
fn an_oci_runtime_makes_the_same_container() {
    let runc = PathBuf::from("/usr/sbin/runc");
    if !runc.exists() {
        eprintln!("no runc on this host: the second driver is not run");
        return;
    }
    let host = Host::new();
    let with = |mut spec: outport_container_runtime::ContainerSpec| {
        spec.driver = Driver::Oci(runc.clone());
        spec.user_namespace = None;
        spec
    };
    let (record, output) = host.run(
        "oci",
        with(host.shell("echo out; awk '/^Seccomp:|^CapBnd/{print $2}' /proc/self/status; exit 6")),
    );
    assert_eq!((record.exit_code, output.as_str()), (Some(6), "out\n00000000a80425fb\n2\n"));
    let missing = host.runtime.create(TASK, "missing", with(host.spec(&["/no/such"])));
    let Err(RuntimeError::Start(failure)) = missing else { panic!("{missing:?}") };
    assert_eq!(failure.kind, FailureKind::ExecutableNotFound, "{failure}");
    let shim = host.start("sleep", with(host.spec(&["sleep", "1000"])));
    assert!(matches!(host.runtime.adopt(TASK, "sleep"), Ok(Adopted::Running(_))));
    shim.kill().unwrap();
    assert_eq!(ended(&shim).exit_code, Some(137));
    host.remove("oci");
    host.remove("sleep");
    host.check_nothing_left();
}
