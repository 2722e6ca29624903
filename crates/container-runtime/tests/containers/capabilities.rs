//! Every capability that there is, on a node that gives containers no power over the host: it is refused,
//! or its holder stays inside.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use outport_container_runtime::{
    BindMount, ContainerSpec, HostDevice, Namespace, RuntimeError, SeccompProfile, Ulimit,
};
use outport_model::linux_capability::is_of_the_host;

use crate::host::{Host, TASK, ended};

/// By the kernel's numbers, 0 to 40.
const CAPABILITIES: &str = "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP \
    LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE \
    SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME \
    SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG \
    WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE";
const KNOWN: usize = 41;
/// What may be added without the operator's leave. A change of this list is a change of what a container
/// may do to its host: it needs a probe below that fails.
const ADDABLE: &str = "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE MKNOD \
    NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_CHROOT SYS_PACCT \
    SYS_PTRACE SYS_TTY_CONFIG";

/// The ways out of a container that root without walls has. Files of the host are opened to be written,
/// and not written. Each that works is printed.
const PROBES: &str = r#"
try() { what="$1"; shift; if "$@" >/dev/null 2>&1; then echo "escaped: $what"; fi; }
opens() { ( : >> "$1" ); }
reads() { test "$(head -c 1 "$1" | wc -c)" -gt 0; }
try remount mount -o remount,rw /proc/sys
try core_pattern opens /proc/sys/kernel/core_pattern
try modprobe opens /proc/sys/kernel/modprobe
try sysrq opens /proc/sysrq-trigger
try kcore reads /proc/kcore
try uevent_helper opens /sys/kernel/uevent_helper
for agent in /sys/fs/cgroup/release_agent /sys/fs/cgroup/*/release_agent; do
    try "$agent" opens "$agent"
done
mkdir -p /tmp/m
try proc mount -t proc proc /tmp/m
try sysfs mount -t sysfs sysfs /tmp/m
try cgroup mount -t cgroup -o memory cgroup /tmp/m
try cgroup2 mount -t cgroup2 cgroup2 /tmp/m
try bind mount -o bind /proc /tmp/m
awk '$1 ~ /^[0-9]+$/ { print $1, $2, $4 }' /proc/partitions | while read major minor name; do
    mknod "/tmp/$name" b "$major" "$minor"
    try "disk $name" reads "/tmp/$name"
    try "mount $name" mount "/tmp/$name" /tmp/m
done
mknod /tmp/mem c 1 1; try mem reads /tmp/mem
# Where no device can be made there would be a file of that name afterwards.
mknod /tmp/kmsg c 1 11 && try kmsg opens /tmp/kmsg
mknod /tmp/fuse c 10 229 && try fuse opens /tmp/fuse
mknod /tmp/tty1 c 4 1 && try console opens /tmp/tty1
try unshare unshare -m true
try 'other processes' test "$(ls -d /proc/[0-9]*/ | wc -l)" -gt 5
try 'root of another' test "$(stat -c %i /proc/1/root/bin)" != "$(stat -c %i /bin)"
"#;

/// Runs the probes with one more capability; what they print, or what is refused.
fn with(
    host: &Host,
    number: usize,
    capability: &str,
    script: &str,
) -> Result<String, RuntimeError> {
    let name = format!("cap{number}");
    let mut spec = host.shell(script);
    spec.capabilities.add = vec![capability.to_owned()];
    let shim = host.runtime.create(TASK, &name, spec)?;
    shim.start()?;
    assert_eq!(ended(&shim).exit_code, Some(0), "{capability}: the probes did not run");
    let printed = host.output(&name);
    host.remove(&name);
    Ok(printed)
}

#[test]
fn each_is_refused_or_its_holder_stays_inside() {
    let host = Host::new();
    let capabilities: Vec<&str> = CAPABILITIES.split_whitespace().collect();
    assert_eq!(capabilities.len(), KNOWN);
    let script = format!("{PROBES}\necho probed");
    let mut addable = Vec::new();
    for (number, capability) in capabilities.iter().chain(&["ALL", "cap_all"]).enumerate() {
        match with(&host, number, capability, &script) {
            Ok(printed) => {
                assert_eq!(printed, "probed\n", "{capability}");
                addable.push(*capability);
            }
            Err(RuntimeError::PrivilegedNotAllowed(what)) => {
                assert_eq!(what, format!("the capability {capability}"));
                assert!(is_of_the_host(capability, false));
            }
            Err(other) => panic!("{capability}: {other:?}"),
        }
    }
    addable.sort_unstable();
    assert_eq!(addable, ADDABLE.split_whitespace().collect::<Vec<_>>());
}

/// The calls that act on the host, past every file: none is left to a holder of what may be added.
#[cfg(target_arch = "x86_64")]
#[test]
fn no_call_that_acts_on_the_host_is_left() {
    use crate::system_calls::{Call, NATIVE, number, place};
    let calls: Vec<Call> = [
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_fsopen,
        libc::SYS_open_tree,
        libc::SYS_move_mount,
        libc::SYS_setns,
        libc::SYS_open_by_handle_at,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_kexec_load,
        libc::SYS_kexec_file_load,
        libc::SYS_reboot,
        libc::SYS_settimeofday,
        libc::SYS_clock_settime,
        libc::SYS_iopl,
        libc::SYS_ioperm,
        libc::SYS_swapon,
        libc::SYS_swapoff,
        libc::SYS_quotactl,
        libc::SYS_syslog,
        libc::SYS_sethostname,
        libc::SYS_add_key,
        libc::SYS_keyctl,
        libc::SYS_userfaultfd,
        libc::SYS_io_uring_setup,
        libc::SYS_fanotify_init,
    ]
    .map(|call| [NATIVE, number(call), 3, 0, 0])
    .to_vec();
    let host = Host::new();
    place(&host, "calls", &calls);
    for (index, capability) in ADDABLE.split_whitespace().enumerate() {
        let notes = with(&host, index, capability, "calls").unwrap();
        let left: Vec<u64> = notes
            .trim()
            .bytes()
            .zip(&calls)
            .filter(|(note, _)| *note == b'.')
            .map(|(_, call)| call[1])
            .collect();
        assert_eq!(notes.trim().len(), calls.len(), "{capability}: {notes:?}");
        assert_eq!(left, Vec::<u64>::new(), "{capability}: calls that are not refused");
    }
}

/// In the host's network namespace the administrator of the network is the host's.
#[test]
fn the_hosts_network_is_not_administered() {
    let host = Host::new();
    for capability in ["NET_ADMIN", "cap_net_admin"] {
        let mut spec = host.spec(&["true"]);
        spec.namespaces.network = Namespace::Host;
        spec.capabilities.add = vec![capability.to_owned()];
        let refused = host.runtime.create(TASK, "net", spec);
        assert!(matches!(refused, Err(RuntimeError::PrivilegedNotAllowed(_))), "{refused:?}");
    }
}

/// Puts something into a specification.
type Ask = fn(&mut ContainerSpec);

/// Whatever else in a specification leads to root on the host, or to what keeps its tasks apart.
#[test]
fn what_reaches_out_of_a_container_is_refused() {
    let host = Host::new();
    let asks: [(&str, Ask); 9] = [
        ("privileged", |spec| spec.privileged = true),
        ("no system call filter", |spec| spec.seccomp = SeccompProfile::Unconfined),
        ("devices of the host", |spec| {
            let (host_path, container_path) = ("/dev/kmsg".into(), "/dev/kmsg".into());
            spec.devices = vec![HostDevice { host_path, container_path, permissions: "r".into() }];
        }),
        ("files of the host", |spec| {
            let (source, target) = ("/etc".into(), "/x".into());
            spec.bind_mounts = vec![BindMount { source, target, readonly: true }];
        }),
        ("the host's processes", |spec| spec.namespaces.pid = Namespace::Host),
        ("the host's shared memory", |spec| spec.namespaces.ipc = Namespace::Host),
        ("the capability SYS_PTRACE among processes of others", |spec| {
            spec.namespaces.pid = Namespace::Path("/proc/self/ns/pid".into());
            spec.capabilities.add = vec!["cap_sys_ptrace".into()];
        }),
        ("the limit rtprio", |spec| spec.ulimits = vec![limit("rtprio", 99)]),
        ("the limit nice", |spec| spec.ulimits = vec![limit("nice", 40)]),
    ];
    for (words, ask) in asks {
        let mut spec = host.spec(&["true"]);
        ask(&mut spec);
        match host.runtime.create(TASK, "asks", spec) {
            Err(RuntimeError::PrivilegedNotAllowed(what)) => assert_eq!(what, words),
            other => panic!("{words}: {other:?}"),
        }
    }
}

fn limit(name: &str, both: u64) -> Ulimit {
    Ulimit { name: name.into(), soft: both, hard: both }
}

/// A process of real-time priority gets up to 95 % of every core, whatever its control group says. What this
/// program was started with, such as by a service manager, is not handed on.
#[test]
fn no_container_raises_its_priority() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_RTPRIO).unwrap();
    if let Err(error) = setrlimit(Resource::RLIMIT_RTPRIO, hard.max(10), hard.max(10)) {
        println!("whether more is handed on is not seen: this host gives no more ({error})");
    }
    let host = Host::new();
    let script = "awk '/priority/ { print $(NF-1), $NF }' /proc/self/limits";
    assert_eq!(host.run("plain", host.shell(script)).1, "0 0\n0 0\n");
    let mut spec = host.shell(script);
    spec.ulimits = vec![limit("rtprio", 0), limit("nice", 0)];
    assert_eq!(host.run("none", spec).1, "0 0\n0 0\n");
    // Other tests of this process compare their limits with its own.
    setrlimit(Resource::RLIMIT_RTPRIO, soft, hard).unwrap();
}

/// The same, asked of the kernel.
#[cfg(target_arch = "x86_64")]
#[test]
fn no_container_schedules_in_real_time() {
    use crate::system_calls::{Call, NATIVE, VERSION_ADDRESS, number, place};
    let host = Host::new();
    let first_in_first_out = libc::SCHED_FIFO as u64;
    // The priority is where the program's header says 1.
    let calls: [Call; 1] =
        [[NATIVE, number(libc::SYS_sched_setscheduler), 0, first_in_first_out, VERSION_ADDRESS]];
    place(&host, "fifo", &calls);
    assert_eq!(host.run("fifo", host.spec(&["fifo"])).1, "P\n");
}

#[test]
fn a_node_that_allows_it_gives_everything() {
    let host = Host::that_gives_power();
    let mut spec = host.shell(
        "awk '/^CapEff|^Seccomp:/{print $2}' /proc/self/status; \
                               ( : >> /proc/sys/kernel/core_pattern ) && echo writable",
    );
    spec.privileged = true;
    spec.user_namespace = None;
    let all = std::fs::read_to_string("/proc/self/status").unwrap();
    let all = all.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap().trim().to_owned();
    assert_eq!(host.run("privileged", spec).1, format!("{all}\n0\nwritable\n"));
    let mut spec = host.shell("mount -t tmpfs none /tmp && echo mounted");
    spec.capabilities.add = vec!["SYS_ADMIN".to_owned()];
    spec.user_namespace = None;
    assert_eq!(host.run("admin", spec).1, "mounted\n");
}
