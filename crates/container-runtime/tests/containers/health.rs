//! Health checks: what they run as, what becomes of them and of all that they start, and what they say.

use std::fs;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use outport_container_runtime::{Adopted, ContainerSpec, Driver, Health, HealthCheck, ShimHandle};
use outport_model::task::HealthStatus;

use crate::host::{DEADLINE, Host, TASK, cgroup_roots, ended, until};

const GROUP: &str = "outport-health-check";
const FOREVER: &str = "trap 'exit 0' TERM; while true; do sleep 0.05; done";

/// Every second, the first after one; a check of the API has five at least.
fn check(script: &str) -> HealthCheck {
    HealthCheck {
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        interval_s: 1,
        timeout_s: 30,
        retries: 1,
        start_period_s: 0,
    }
}

fn with(host: &Host, health_check: HealthCheck) -> ContainerSpec {
    ContainerSpec { health_check: Some(health_check), ..host.shell(FOREVER) }
}

/// The health after as many changes; `None` at the end of the container.
fn next(shim: &ShimHandle, seen: u64) -> Option<Health> {
    let wait = shim.health_wait(seen).unwrap().expect("it knows of health checks");
    let mut polled = [PollFd::new(wait.as_fd(), PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(DEADLINE).unwrap();
    assert_eq!(poll(&mut polled, timeout).unwrap(), 1, "it is told in time");
    wait.take().ok()
}

/// What is in the control group of a container's checks, of any hierarchy.
fn members(host: &Host, name: &str) -> Vec<String> {
    let path = format!("{}/{TASK}/{name}/{GROUP}/cgroup.procs", host.settings.cgroup_root);
    let texts = cgroup_roots().into_iter().map(|root| fs::read_to_string(root.join(&path)));
    texts.flatten().flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn stop(host: &Host, shim: &ShimHandle, name: &str) {
    shim.kill().unwrap();
    ended(shim);
    host.remove(name);
    host.check_nothing_left();
}

/// The exit code and the output of the first check, trimmed.
fn first_result(host: &Host, spec: ContainerSpec) -> (HealthStatus, i32, String) {
    let shim = host.start("app", spec);
    let health = next(&shim, 0).unwrap();
    let last = health.last.unwrap();
    until("nothing of the check is left", || members(host, "app").is_empty());
    stop(host, &shim, "app");
    (health.status, last.exit_code, last.output.trim().to_owned())
}

#[test]
fn a_check_passes_or_fails_by_its_exit_code() {
    let host = Host::new();
    let run = |script: &str| first_result(&host, with(&host, check(script)));
    let (healthy, unhealthy) = (HealthStatus::Healthy, HealthStatus::Unhealthy);
    assert_eq!(run("echo fine"), (healthy, 0, "fine".to_owned()));
    assert_eq!(run("echo bad >&2; exit 3"), (unhealthy, 3, "bad".to_owned()));
    assert_eq!(run("kill -15 $$"), (unhealthy, 143, String::new()));
    assert_eq!(run("kill -9 $$"), (unhealthy, 137, String::new()));
    let mut missing = check("");
    missing.command = vec!["/no/such".to_owned()];
    let said = "exec: \"/no/such\": stat /no/such: no such file or directory".to_owned();
    assert_eq!(first_result(&host, with(&host, missing)), (unhealthy, 127, said));
    // All of what it says is taken, 4 KiB are kept.
    let (status, code, output) = run("yes | head -n 200000");
    assert_eq!((status, code, output.len()), (healthy, 0, 4095), "without the last new line");
}

#[test]
fn a_check_is_in_all_that_its_container_is_in() {
    let host = Host::new();
    let script = "for n in ipc mnt net pid uts user cgroup; do readlink /proc/self/ns/$n; done; \
        id; pwd; echo $A $HOME; hostname; ulimit -n; \
        awk '/^(Cap|NoNewPrivs|Seccomp:|Umask)/' /proc/self/status; cat /proc/self/oom_score_adj; \
        ls /proc/self/fd | wc -l; echo x > /dev/stderr; head -c 1 | wc -c";
    let prepare = |mut spec: ContainerSpec| {
        spec.env = vec![("A".to_owned(), "b".to_owned())];
        spec.user = "app".to_owned();
        spec.working_directory = "/home/app".to_owned();
        spec.hostname = Some("h".to_owned());
        spec.no_new_privileges = true;
        spec.ulimits =
            vec![outport_container_runtime::Ulimit { name: "nofile".into(), soft: 77, hard: 99 }];
        spec
    };
    let first = format!("({script}) 2>&1; {FOREVER}");
    let mut spec = prepare(with(&host, check(&format!("({script}) 2>&1"))));
    spec.args = ["sh", "-c", &first].map(str::to_owned).to_vec();
    let shim = host.start("app", spec);
    let health = next(&shim, 0).unwrap();
    assert_eq!(health.status, HealthStatus::Healthy, "{health:?}");
    let said = health.last.unwrap().output;
    until("the first process has said as much", || {
        host.output("app").lines().count() >= said.lines().count()
    });
    assert_eq!(said, host.output("app"));
    assert!(said.contains("uid=1000(app) gid=1001(app)"), "{said}");
    assert!(said.contains("\nNoNewPrivs:\t1\nSeccomp:\t2\n"), "{said}");
    stop(&host, &shim, "app");
}

#[test]
fn nothing_of_a_check_outlives_it() {
    let host = Host::new();
    // It daemonizes as thoroughly as it can, and holds its output open.
    let daemons = "for i in 1 2 3; do (trap '' TERM HUP; sleep 4711 & sleep 4711) & done; \
        (sh -c 'exec sleep 4711 </dev/null >/dev/null 2>&1 &'); ";
    let of_a_check = || {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let lines = entries.map(|entry| fs::read(entry.path().join("cmdline")));
        lines.filter(|line| line.as_ref().is_ok_and(|line| line == b"sleep\x004711\x00")).count()
    };
    for (script, timeout_s, expected) in [
        (format!("{daemons} exit 0"), 30, (HealthStatus::Healthy, 0)),
        (format!("{daemons} sleep 4711"), 2, (HealthStatus::Unhealthy, -1)),
    ] {
        let mut health_check = check(&script);
        (health_check.timeout_s, health_check.interval_s) = (timeout_s, 2);
        let shim = host.start("app", with(&host, health_check));
        let health = next(&shim, 0).unwrap();
        let last = health.last.unwrap();
        assert_eq!((health.status, last.exit_code), expected, "{last:?}");
        if timeout_s == 2 {
            assert!(last.output.starts_with("Health check exceeded timeout (2s)"), "{last:?}");
        }
        until("no process is left of it", || of_a_check() == 0);
        until("nothing is in its control group", || members(&host, "app").is_empty());
        stop(&host, &shim, "app");
    }
}

/// A container whose first process waits for nobody's children keeps them as the dead that they are, as with Docker.
#[test]
fn a_container_with_an_init_process_has_no_dead_of_its_checks() {
    let host = Host::new();
    let mut spec = with(&host, check("(sleep 4712 &); exit 0"));
    spec.init_process_enabled = true;
    spec.args = ["sh", "-c", "while sleep 0.1; do ps -o pid,stat,comm; echo .; done"]
        .map(str::to_owned)
        .to_vec();
    let shim = host.start("app", spec);
    next(&shim, 0).unwrap();
    until("nothing of the check is left", || members(&host, "app").is_empty());
    let lines = host.lines("app").len();
    until("the container has looked again", || {
        let all = host.lines("app");
        let new = all[lines..].iter().map(|(_, line)| line.as_str());
        let listings: Vec<&str> = new.collect();
        listings.join("\n").split("\n.\n").skip(1).any(|one| !one.contains("Z "))
    });
    stop(&host, &shim, "app");
}

#[test]
fn failures_count_by_the_rules_and_health_returns() {
    let host = Host::new();
    // Fails twice within the start period, then passes, fails, and passes for good.
    let script = "n=$(cat /tmp/n 2>/dev/null || echo 0); n=$((n+1)); echo $n > /tmp/n; \
        case $n in 3|6|7) exit 0;; *) exit 1;; esac";
    let mut health_check = check(script);
    (health_check.retries, health_check.start_period_s) = (2, 60);
    let shim = host.start("app", with(&host, health_check));
    let told: Vec<(HealthStatus, u64, u32)> = (0..3)
        .map(|seen| next(&shim, seen).unwrap())
        .map(|health| (health.status, health.changes, health.failures))
        .collect();
    assert_eq!(
        told,
        [
            (HealthStatus::Healthy, 1, 0),
            (HealthStatus::Unhealthy, 2, 2),
            (HealthStatus::Healthy, 3, 0)
        ]
    );
    // Another agent is told at once what it is by now.
    let Adopted::Running(found) = host.runtime.adopt(TASK, "app").unwrap() else { panic!() };
    assert_eq!(next(&found, 0).unwrap().status, HealthStatus::Healthy);
    stop(&host, &shim, "app");
}

#[test]
fn the_end_of_a_container_ends_its_check_and_says_nothing() {
    let host = Host::new();
    for (end, spec) in [
        (
            "by itself",
            ContainerSpec {
                args: vec!["sleep".into(), "3".into()],
                ..with(&host, check("touch /tmp/runs; sleep 4713"))
            },
        ),
        ("killed", with(&host, check("sleep 4713"))),
        ("signalled", with(&host, check("sleep 4713"))),
    ] {
        let shim = host.start("app", spec);
        until("a check runs", || !members(&host, "app").is_empty());
        match end {
            "killed" => shim.kill().unwrap(),
            "signalled" => shim.signal(libc::SIGTERM).unwrap(),
            _ => {}
        }
        let begun = Instant::now();
        assert_eq!(next(&shim, 0), None, "{end}: the health of what is over does not change");
        let record = ended(&shim);
        assert_eq!(record.kill_requested, end == "killed");
        assert!(begun.elapsed() < DEADLINE, "{end}");
        host.remove("app");
        host.check_nothing_left();
    }
}

#[test]
fn what_a_check_uses_its_container_uses() {
    let host = Host::new();
    let mut health_check = check("head -c 200m /dev/zero | tail; echo $?");
    health_check.command = ["sh", "-c", "exec dd if=/dev/zero of=/dev/null bs=200M count=1"]
        .map(str::to_owned)
        .to_vec();
    let mut spec = with(&host, health_check);
    spec.limits.memory_bytes = Some(64 << 20);
    let (status, code, _) = first_result(&host, spec);
    assert_eq!((status, code), (HealthStatus::Unhealthy, 137), "killed for memory");
    // And its processes.
    let mut spec = with(&host, check("for i in $(seq 40); do sleep 3 & done; wait"));
    spec.limits.pids_max = Some(16);
    let (status, code, output) = first_result(&host, spec);
    assert_eq!(status, HealthStatus::Unhealthy);
    assert!(code != 0 && output.contains("can't fork"), "{code} {output}");
}

#[test]
fn a_shim_answers_all_else_while_a_check_runs() {
    let host = Host::new();
    let shim = host.start("app", with(&host, check("yes & sleep 4714")));
    until("a check runs", || !members(&host, "app").is_empty());
    let begun = Instant::now();
    for _ in 0..50 {
        shim.state().unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    stop(&host, &shim, "app");
}

#[test]
fn what_cannot_be_checked_is_refused() {
    let host = Host::new();
    let refused =
        |spec: ContainerSpec| host.runtime.create(TASK, "app", spec).unwrap_err().to_string();
    let mut empty = check("");
    empty.command.clear();
    assert!(refused(with(&host, empty)).contains("no command specified for the health check"));
    let mut other = with(&host, check("true"));
    (other.driver, other.user_namespace) = (Driver::Oci("/bin/false".into()), None);
    assert!(refused(other).contains("another OCI runtime"));
    // Whoever may trace it while it is root of the host would be that.
    let tracing = |user_namespace| {
        let mut spec = with(&host, check("true"));
        spec.capabilities.add = vec!["CAP_SYS_PTRACE".to_owned()];
        spec.user_namespace = user_namespace;
        spec
    };
    assert!(refused(tracing(None)).contains("SYS_PTRACE beside a health check"));
    if host.user.is_some() {
        let shim = host.start("app", tracing(host.user.clone()));
        assert_eq!(next(&shim, 0).unwrap().status, HealthStatus::Healthy);
        stop(&host, &shim, "app");
    }
    let shim = host.start("app", host.shell(FOREVER));
    assert_eq!(next(&shim, 0), None, "it has no health check");
    stop(&host, &shim, "app");
}
