//! What a container that asks for nothing is, to the last bit, seen from the host: Docker's.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use nix::sys::stat::{major, minor};
use nix::sys::statvfs::statvfs;

use crate::host::{Host, ended, is_unified};

/// A container that sleeps, and its directory in `/proc`.
fn with_container(host: &Host, look: impl FnOnce(&Path)) {
    let shim = host.start("default", host.spec(&["sleep", "1000"]));
    look(Path::new(&format!("/proc/{}", shim.pid())));
    shim.kill().unwrap();
    ended(&shim);
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn the_process_has_nothing_of_the_agents() {
    ignore_signals();
    let host = Host::new();
    with_container(&host, |proc| {
        let status = read(proc.join("status"));
        let field = |name: &str| -> Vec<&str> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_else(|| panic!("no {name}")).split_whitespace().collect()
        };
        for set in ["CapInh", "CapAmb", "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt"] {
            assert_eq!(field(set), ["0000000000000000"], "{set}");
        }
        for set in ["CapPrm", "CapEff", "CapBnd"] {
            assert_eq!(field(set), ["00000000a80425fb"], "{set}");
        }
        assert_eq!((field("NoNewPrivs"), field("Seccomp")), (vec!["0"], vec!["2"]));
        assert_eq!(
            (field("Umask"), field("Threads"), field("TracerPid")),
            (vec!["0022"], vec!["1"], vec!["0"])
        );
        let root = host.root_id().to_string();
        assert_eq!((field("Uid"), field("Gid")), (vec![&*root; 4], vec![&*root; 4]));
        assert_eq!(field("Groups"), [root]);
        for id in ["NSpid", "NStgid", "NSpgid", "NSsid"] {
            assert_eq!(field(id).last(), Some(&"1"), "{id}");
        }
        let stat = read(proc.join("stat"));
        let after_name = stat.rsplit_once(") ").unwrap().1;
        assert_eq!(after_name.split(' ').nth(4), Some("0"), "no controlling terminal: {stat}");
        assert_eq!(read(proc.join("oom_score_adj")).trim(), "0");
        assert_eq!(read(proc.join("personality")).trim(), "00000000");
        // But for those of its priority, which are never handed on.
        let handed_on = |limits: String| -> Vec<String> {
            let lines = limits.lines().filter(|line| !line.contains("priority"));
            lines.map(str::to_owned).collect()
        };
        assert_eq!(handed_on(read(proc.join("limits"))), handed_on(read("/proc/self/limits")));
        let environment = read(proc.join("environ"));
        let names: Vec<&str> = environment
            .split('\0')
            .filter_map(|variable| Some(variable.split_once('=')?.0))
            .collect();
        assert_eq!(names, ["PATH", "HOME"]);
    });
}

/// As an agent may have inherited them, or a runtime have left them.
fn ignore_signals() {
    for signal in [libc::SIGUSR2, libc::SIGPIPE, libc::SIGRTMIN() + 7, libc::SIGRTMAX()] {
        // SAFETY: no handler is installed, and no test waits for one of these.
        #[allow(unsafe_code)]
        unsafe {
            libc::signal(signal, libc::SIG_IGN)
        };
    }
}

#[test]
fn namespaces_are_its_own() {
    let host = Host::new();
    with_container(&host, |proc| {
        let is_own = |name: &str| {
            let of = |process: &Path| fs::read_link(process.join("ns").join(name)).unwrap();
            of(proc) != of(Path::new("/proc/self"))
        };
        for name in ["cgroup", "ipc", "mnt", "net", "pid", "uts"] {
            assert!(is_own(name), "{name}");
        }
        assert_eq!(is_own("user"), host.user.is_some());
        let inside = read(proc.join("net/dev"));
        assert_eq!(inside.lines().count(), 3, "a loopback link and nothing else: {inside}");
    });
}

#[test]
fn devices_are_dockers_and_no_others() {
    let host = Host::new();
    with_container(&host, |proc| {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(proc.join("root/dev")).unwrap() {
            let entry = entry.unwrap();
            let metadata = fs::symlink_metadata(entry.path()).unwrap();
            let kind = metadata.file_type();
            let what = if kind.is_symlink() {
                fs::read_link(entry.path()).unwrap().display().to_string()
            } else if kind.is_dir() {
                "directory".to_owned()
            } else {
                assert!(kind.is_char_device(), "{entry:?}");
                let number = metadata.rdev();
                format!("{}:{} {:o}", major(number), minor(number), metadata.mode() & 0o7777)
            };
            found.insert(entry.file_name().into_string().unwrap(), what);
        }
        let found: Vec<(&str, &str)> =
            found.iter().map(|(name, what)| (name.as_str(), what.as_str())).collect();
        let expected = [
            ("core", "/proc/kcore"),
            ("fd", "/proc/self/fd"),
            ("full", "1:7 666"),
            ("mqueue", "directory"),
            ("null", "1:3 666"),
            ("ptmx", "pts/ptmx"),
            ("pts", "directory"),
            ("random", "1:8 666"),
            ("shm", "directory"),
            ("stderr", "/proc/self/fd/2"),
            ("stdin", "/proc/self/fd/0"),
            ("stdout", "/proc/self/fd/1"),
            ("tty", "5:0 666"),
            ("urandom", "1:9 666"),
            ("zero", "1:5 666"),
        ];
        assert_eq!(found, expected);
        let memory = statvfs(&proc.join("root/dev/shm")).unwrap();
        assert_eq!(memory.blocks() * memory.fragment_size(), 64 << 20);
    });
}

#[test]
fn mounts_are_dockers_and_no_others() {
    const MASKED: [&str; 12] = [
        "/proc/acpi",
        "/proc/asound",
        "/proc/interrupts",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/sched_debug",
        "/proc/scsi",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/sys/devices/virtual/powercap",
        "/sys/firmware",
    ];
    const READ_ONLY: [&str; 5] =
        ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
    let mut expected: BTreeMap<String, String> = BTreeMap::new();
    let mut expect = |point: &str, what: &str| expected.insert(point.to_owned(), what.to_owned());
    expect("/", "overlay rw");
    expect("/proc", "proc rw,nosuid,nodev,noexec");
    expect("/dev", "tmpfs rw,nosuid");
    expect("/dev/pts", "devpts rw,nosuid,noexec");
    expect("/dev/mqueue", "mqueue rw,nosuid,nodev,noexec");
    expect("/dev/shm", "tmpfs rw,nosuid,nodev,noexec");
    expect("/sys", "sysfs ro,nosuid,nodev,noexec");
    let exists = |path: &&&str| Path::new(path).exists();
    for path in READ_ONLY.iter().filter(exists) {
        expect(path, "proc ro,nosuid,nodev,noexec");
    }
    for path in MASKED.iter().filter(exists) {
        let is_directory = Path::new(path).is_dir();
        expect(path, if is_directory { "tmpfs ro,nosuid,nodev,noexec" } else { "tmpfs rw,nosuid" });
    }
    let (kind, below) = if is_unified() { ("cgroup2", 0) } else { ("tmpfs", 1) };
    expect("/sys/fs/cgroup", &format!("{kind} ro,nosuid,nodev,noexec"));
    let host = Host::new();
    with_container(&host, |proc| {
        let mut hierarchies = 0;
        for line in read(proc.join("mountinfo")).lines() {
            let (place, source) = line.split_once(" - ").unwrap();
            let place: Vec<&str> = place.split(' ').collect();
            let kind = source.split(' ').next().unwrap();
            let options: Vec<&str> =
                place[5].split(',').filter(|option| *option != "relatime").collect();
            let what = format!("{kind} {}", options.join(","));
            // A field more would be a mount that is shared with others.
            assert_eq!(place.len(), 6, "{line}");
            if kind == "cgroup" {
                assert_eq!(what, "cgroup ro,nosuid,nodev,noexec");
                assert!(place[3].ends_with("/default"), "its own part of the hierarchy: {line}");
                hierarchies += 1;
                continue;
            }
            assert_eq!(expected.remove(place[4]), Some(what), "{line}");
        }
        assert!(expected.is_empty(), "{expected:?}");
        assert!(hierarchies >= below);
    });
}
