//! What a container can see and do, beside what Docker's default lets it.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;

use outport_container_runtime::{ContainerSpec, Ulimit};

use crate::host::{Host, is_unified};

fn status(host: &Host, name: &str, spec: ContainerSpec, field: &str) -> String {
    let (_, output) = host.run(name, spec);
    let line = output.lines().find(|line| line.starts_with(field)).unwrap_or_default();
    host.remove(name);
    line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

#[test]
fn capabilities_and_seccomp_as_docker() {
    let host = Host::new();
    let probe = || host.shell("cat /proc/self/status");
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(status(&host, "caps", probe(), set), "00000000a80425fb", "{set}");
    }
    assert_eq!(status(&host, "inherited", probe(), "CapInh"), "0000000000000000");
    assert_eq!(status(&host, "filter", probe(), "Seccomp"), "2");
    assert_eq!(status(&host, "nnp", probe(), "NoNewPrivs"), "0");
    let mut spec = probe();
    spec.no_new_privileges = true;
    assert_eq!(status(&host, "nnp", spec.clone(), "NoNewPrivs"), "1");
    assert_eq!(status(&host, "filter", spec, "Seccomp"), "2");
    let mut spec = probe();
    spec.capabilities.drop = vec!["ALL".into()];
    spec.capabilities.add = vec!["CAP_SYS_PTRACE".into()];
    assert_eq!(status(&host, "added", spec, "CapEff"), "0000000000080000");
    let mut spec = probe();
    spec.init_process_enabled = true;
    assert_eq!(status(&host, "init", spec.clone(), "CapEff"), "00000000a80425fb");
    assert_eq!(status(&host, "init", spec, "Seccomp"), "2");
}

#[test]
fn forbidden_operations_fail() {
    let host = Host::new();
    let check = |name: &str, script: &str| {
        let script = format!("({script}) >/dev/null 2>&1 && echo done || echo refused");
        assert_eq!(host.run(name, host.shell(&script)).1, "refused\n", "{script}");
        host.remove(name);
    };
    check("mount", "mount -t tmpfs none /tmp");
    check("unshare", "unshare -U true");
    check("hostname", "hostname other");
    check("kernel", "echo 1 > /proc/sys/kernel/printk");
    check("sysrq", "echo h > /proc/sysrq-trigger");
    check("sysfs", "mkdir /sys/fs/cgroup/x || touch /sys/kernel/x");
    check("cgroup-v1", "for f in /sys/fs/cgroup/*/*; do echo max > $f && exit 0; done; exit 1");
    check("cgroup-v2", "for f in /sys/fs/cgroup/*; do echo max > $f && exit 0; done; exit 1");
    check("cgroup-make", "mkdir /sys/fs/cgroup/*/x");
    check("disk", "mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk");
    check("memory", "mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem");
    check("kmsg", "mknod /tmp/kmsg c 1 11 && head -c 1 /tmp/kmsg");
    check("remount", "mount -o remount,rw /proc/sys");
    // And these work.
    let works = "mknod /tmp/pipe p && head -c 4 /dev/urandom | wc -c && touch /dev/mine && \
        chroot / true && test -c /dev/null && test -c /dev/tty && test -d /dev/shm && echo yes";
    assert_eq!(host.run("works", host.shell(works)).1, "4\nyes\n");
    // Devices are made in the host's user namespace only; those that are there are there in each.
    let made = "mknod /tmp/null c 1 3 2>/dev/null && echo x > /tmp/null && echo made || echo not";
    let expected = if host.user.is_some() { "not\n" } else { "made\n" };
    assert_eq!(host.run("mknod", host.shell(made)).1, expected);
}

#[test]
fn masked_and_read_only_paths() {
    let host = Host::new();
    let (_, output) = host.run(
        "masked",
        host.shell(
            "for f in /proc/kcore /proc/keys /proc/timer_list /proc/interrupts; do \
             test -e $f && test -s $f && echo seen $f; head -c 1 $f 2>/dev/null | wc -c; done; \
             ls /proc/scsi /sys/firmware 2>/dev/null | awk '!/:$/ && NF' ; \
             for d in /proc/sys /proc/bus /proc/irq /proc/fs /sys; do \
             test -e $d || continue; touch $d/x 2>/dev/null && echo wrote $d; done; echo end",
        ),
    );
    assert_eq!(output, "0\n0\n0\n0\nend\n");
}

#[test]
fn a_read_only_root() {
    let host = Host::new();
    let mut spec = host.shell(
        "touch /x 2>/dev/null || echo root denied; touch /tmp/x 2>/dev/null || echo tmp denied; \
         touch /scratch/x && touch /dev/shm/x && echo scratch",
    );
    spec.readonly_rootfs = true;
    spec.tmpfs = vec![outport_container_runtime::TmpfsMount {
        path: "/scratch".into(),
        size_mib: 1,
        options: vec![],
    }];
    assert_eq!(host.run("ro", spec).1, "root denied\ntmp denied\nscratch\n");
}

#[test]
fn no_option_makes_a_memory_file_system_larger() {
    let host = Host::new();
    let mut spec = host.shell("df -k /scratch | tail -1 | awk '{ print $2 }'");
    let options = ["size=64m", "nr_blocks=65536", "size=90%"].map(str::to_owned).to_vec();
    let path = "/scratch".to_owned();
    spec.tmpfs = vec![outport_container_runtime::TmpfsMount { path, size_mib: 1, options }];
    assert_eq!(host.run("scratch", spec).1, "1024\n");
}

#[test]
fn ulimits_and_kernel_parameters() {
    let host = Host::new();
    let mut spec = host.shell("ulimit -n; ulimit -Hn; cat /proc/sys/net/core/somaxconn");
    spec.ulimits = vec![Ulimit { name: "nofile".into(), soft: 2048, hard: 4096 }];
    spec.sysctls.insert("net.core.somaxconn".into(), "77".into());
    assert_eq!(host.run("limits", spec).1, "2048\n4096\n77\n");
}

/// No descriptor of the agent or of the shim is in the container, whatever the agent has open.
#[test]
fn no_descriptor_leaks() {
    let host = Host::new();
    let secret = fs::File::open("/etc/hostname").unwrap();
    // Even one that the agent forgot to close on exec.
    let inherited = nix::fcntl::fcntl(&secret, nix::fcntl::FcntlArg::F_DUPFD(100)).unwrap();
    assert!(inherited >= 100 && secret.as_raw_fd() > 2);
    let open = |pid: i32| -> Vec<String> {
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
        // A shim may close a connection meanwhile.
        let links = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
        links.map(|link| link.display().to_string()).collect()
    };
    let check = |pid: i32| {
        let files = open(pid);
        let expected = |file: &String| file == "/dev/null" || file.starts_with("pipe:");
        assert!(files.len() == 3 && files.iter().all(expected), "{files:?}");
    };
    for (name, with_init) in [("plain", false), ("init", true)] {
        let mut spec = host.spec(&["sleep", "1000"]);
        spec.init_process_enabled = with_init;
        let shim = host.start(name, spec);
        let pid = shim.pid();
        check(pid);
        if with_init {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
            check(children.trim().parse().unwrap());
        }
        let of_shim = open(shim.shim_pid());
        assert!(!of_shim.iter().any(|file| file.contains("hostname")), "{of_shim:?}");
        let nulls = of_shim.iter().filter(|file| file.ends_with("/null")).count();
        assert_eq!(nulls, 3, "{of_shim:?}");
        shim.kill().unwrap();
        crate::host::ended(&shim);
    }
    nix::unistd::close(inherited).unwrap();
}

/// The shapes of CVE-2019-5736 and CVE-2024-21626.
#[test]
fn the_hosts_binary_and_directories_are_out_of_reach() {
    let host = Host::new();
    let mut spec = host.shell(
        "readlink /proc/1/exe >/dev/null 2>&1 && echo link; \
         (echo x >> /proc/1/exe) 2>/dev/null && echo wrote; ls /proc/1/root/ >/dev/null 2>&1; \
         ls /proc/self/cwd/../../../.. | awk '/^layer$|^data$/'; echo end",
    );
    spec.init_process_enabled = true;
    assert_eq!(host.run("exe", spec.clone()).1, "end\n");
    host.remove("exe");
    // With the host's capability it may be looked at, and still not written.
    spec.capabilities.add = vec!["SYS_PTRACE".into()];
    let expected = if host.user.is_some() { "end\n" } else { "link\nend\n" };
    assert_eq!(host.run("ptrace", spec).1, expected);
    for number in 3..12 {
        let mut spec = host.shell("ls . | awk '/intent.json|shim.sock|upper/{print}'");
        spec.working_directory = format!("/proc/self/fd/{number}");
        let name = format!("cwd{number}");
        // Whether it can be entered or not, it is not the host's.
        if let Ok(shim) = host.runtime.create(crate::host::TASK, &name, spec) {
            shim.start().unwrap();
            crate::host::ended(&shim);
            assert_eq!(host.output(&name), "");
        }
        let _ = host.runtime.remove(crate::host::TASK, &name);
    }
}

/// An image whose mount points are links to the outside gets its mounts inside all the same.
#[test]
fn mount_points_that_are_links_stay_inside() {
    let host = Host::new();
    let outside = host.layer.parent().unwrap().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, host.layer.join("link")).unwrap();
    let mut spec = host.shell("mkdir -p /link/sub/deep; echo end");
    spec.tmpfs = vec![outport_container_runtime::TmpfsMount {
        path: "/link/sub".into(),
        size_mib: 1,
        options: vec![],
    }];
    spec.working_directory = "/link/cwd".into();
    if let Ok(shim) = host.runtime.create(crate::host::TASK, "link", spec) {
        shim.start().unwrap();
        crate::host::ended(&shim);
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn a_container_sees_its_own_cgroup() {
    let host = Host::new();
    let file = if is_unified() { "memory.max" } else { "memory/memory.limit_in_bytes" };
    let mut spec = host.shell(&format!("cat /sys/fs/cgroup/{file}; cat /proc/self/cgroup"));
    spec.limits.memory_bytes = Some(64 << 20);
    let (_, output) = host.run("cgroup", spec);
    assert!(output.starts_with("67108864\n"), "{output}");
    let names = output.lines().skip(1).filter(|line| line.contains("memory") || is_unified());
    assert!(names.into_iter().all(|line| line.ends_with(":/")), "{output}");
}
