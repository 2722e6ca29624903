//! Every capability that there is, on a node that gives containers no power over the host: it is refused,
//! or its holder stays inside.

use outport_container_runtime::{Namespace, RuntimeError};
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
    NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_CHROOT SYS_NICE \
    SYS_PACCT SYS_PTRACE SYS_TTY_CONFIG";

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
mknod /tmp/kmsg c 1 11; try kmsg opens /tmp/kmsg
mknod /tmp/fuse c 10 229; try fuse opens /tmp/fuse
mknod /tmp/tty1 c 4 1; try console opens /tmp/tty1
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

#[test]
fn a_node_that_allows_it_gives_everything() {
    let host = Host::with(|settings| settings.allow_privileged = true);
    let mut spec = host.shell(
        "awk '/^CapEff|^Seccomp:/{print $2}' /proc/self/status; \
                               ( : >> /proc/sys/kernel/core_pattern ) && echo writable",
    );
    spec.privileged = true;
    let all = std::fs::read_to_string("/proc/self/status").unwrap();
    let all = all.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap().trim().to_owned();
    assert_eq!(host.run("privileged", spec).1, format!("{all}\n0\nwritable\n"));
    let mut spec = host.shell("mount -t tmpfs none /tmp && echo mounted");
    spec.capabilities.add = vec!["SYS_ADMIN".to_owned()];
    assert_eq!(host.run("admin", spec).1, "mounted\n");
}
