//! The ways out of a container that were found in other runtimes, tried on this one.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use nix::sys::statvfs::{FsFlags, statvfs};
use outport_container_runtime::{FailureKind, Namespace, RuntimeError};

use crate::host::{Host, TASK, ended, shim_binary};

/// CVE-2019-5736: what runs before the exec, and a first process of ours for good, is the shim's program.
#[test]
fn the_program_of_the_shim_cannot_be_written() {
    // By the agent's read-only mount, and without it: env executes the shim from where it lies.
    let from_agent = Host::new();
    let by_itself = Host::with(|settings| {
        settings.shim_args = vec!["env".into(), settings.shim_binary.display().to_string()];
        settings.shim_binary = crate::host::busybox();
    });
    for host in [from_agent, by_itself] {
        let mut spec = host.spec(&["sleep", "1000"]);
        spec.init_process_enabled = true;
        let shim = host.create("exe", spec);
        let program = format!("/proc/{}/exe", shim.pid());
        let check = || {
            assert!(statvfs(program.as_str()).unwrap().flags().contains(FsFlags::ST_RDONLY));
            // A write would be refused as long as the program runs; this is refused for ever.
            let changed = fs::set_permissions(&program, fs::Permissions::from_mode(0o755));
            assert_eq!(changed.unwrap_err().raw_os_error(), Some(libc::EROFS));
        };
        check();
        shim.start().unwrap();
        check();
        shim.kill().unwrap();
        ended(&shim);
    }
}

/// The same through the command: the program or its interpreter is a link to what executes it.
#[test]
fn a_command_that_is_its_own_executor_changes_nothing() {
    let host = Host::new();
    let script = host.layer.join("bin/itself");
    fs::write(&script, "#!/proc/self/exe\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let identity = |_| {
        let seen = fs::metadata(shim_binary()).unwrap();
        (seen.ino(), seen.len(), seen.mtime_nsec(), seen.ctime_nsec())
    };
    let before = identity(());
    for program in ["/proc/self/exe", "/proc/1/exe", "/bin/itself"] {
        let shim = host.runtime.create(TASK, "itself", host.spec(&[program, "/"])).unwrap();
        if shim.start().is_ok() {
            assert_ne!(ended(&shim).exit_code, Some(0), "{program}");
        }
        host.remove("itself");
    }
    assert_eq!(identity(()), before);
}

/// Until the exec the process has parts of the shim in its memory: only the host may look.
#[test]
fn the_waiting_process_is_closed_to_its_user() {
    let host = Host::new();
    let mut spec = host.spec(&["sleep", "1000"]);
    spec.user = "app".into();
    let shim = host.create("waiting", spec);
    let proc = format!("/proc/{}", shim.pid());
    let status = fs::read_to_string(format!("{proc}/status")).unwrap();
    let app = host.root_id() + 1000;
    assert!(status.contains(&format!("\nUid:\t{app}\t{app}\t{app}\t{app}\n")), "{status}");
    // A process that may be traced belongs to its user.
    assert_eq!(fs::metadata(format!("{proc}/mem")).unwrap().uid(), 0);
    let mut open: Vec<String> = fs::read_dir(format!("{proc}/fd"))
        .unwrap()
        .map(|entry| fs::read_link(entry.unwrap().path()).unwrap().display().to_string())
        .map(|target| target.split(':').next().unwrap().to_owned())
        .collect();
    open.sort();
    // Standard streams, the pipe of failures and the socket to the shim; the exec closes the last two.
    assert_eq!(open, ["/dev/null", "pipe", "pipe", "pipe", "socket"]);
    assert_eq!(fs::read_link(format!("{proc}/cwd")).unwrap().to_str(), Some("/"));
    // Of the host's mounts none is left: the first is the container's root.
    let mounts = fs::read_to_string(format!("{proc}/mountinfo")).unwrap();
    let points: Vec<&str> = mounts.lines().filter_map(|line| line.split(' ').nth(4)).collect();
    assert_eq!(points.iter().filter(|point| **point == "/").count(), 1, "{mounts}");
    assert!(points.iter().all(|point| {
        ["/dev", "/proc", "/sys"].iter().any(|top| point.starts_with(top)) || *point == "/"
    }));
    shim.kill().unwrap();
    ended(&shim);
}

/// CVE-2025-52881, and what needs no trick: a parameter that is not the container's own is the host's.
#[test]
fn kernel_parameters_of_the_host_are_not_set() {
    let host = Host::new();
    let check = |name: &str, network: Namespace| {
        let file = Path::new("/proc/sys").join(name.replace('.', "/"));
        let mut spec = host.spec(&["true"]);
        spec.namespaces.network = network;
        // What is there already: a failure of this test changes nothing.
        let value = fs::read_to_string(file).unwrap().trim().to_owned();
        spec.sysctls.insert(name.to_owned(), value);
        match host.runtime.create(TASK, "sysctl", spec) {
            Err(RuntimeError::Start(failure)) => {
                assert_eq!(failure.kind, FailureKind::InvalidSpec, "{failure:?}");
            }
            other => panic!("{name}: {other:?}"),
        }
    };
    check("kernel.core_pattern", Namespace::New);
    check("vm.swappiness", Namespace::New);
    check("fs.file-max", Namespace::New);
    check("net.ipv4.ip_forward", Namespace::Host);
}

/// On a host that others log in to, a program that a container made run as root stays out of reach.
#[test]
fn the_files_of_containers_are_closed_to_other_users() {
    let host = Host::new();
    let tasks = host.settings.root_dir.join("tasks");
    assert_eq!(fs::metadata(tasks).unwrap().mode() & 0o7777, 0o700);
}
