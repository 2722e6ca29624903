//! A runtime of its own for each test, a busybox image, and the check that nothing is left.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use outport_container_runtime::cgroup::Hierarchies;
use outport_container_runtime::{
    ContainerSpec, ExitRecord, LogContent, LogCursor, LogReader, LogStream, Rootfs, Runtime,
    RuntimeSettings, ShimHandle, UserNamespace, try_user_namespaces,
};
use outport_user_namespace::{IDS_PER_TASK, IdRange, create};

/// An emulated guest is slow; a wait ends as soon as its condition holds.
pub const DEADLINE: Duration = Duration::from_secs(240);

pub const TASK: &str = "0123456789abcdef0123456789abcdef";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Whether the containers of this program have a user namespace, as those of a node have: the same tests run as
/// two programs.
const IN_USER_NAMESPACES: bool =
    matches!(env!("CARGO_CRATE_NAME").as_bytes(), b"containers" | b"disks");
/// A range for each host of a test; other programs of tests have others.
const FIRST_ID: u32 = 2_500_000_000;

pub struct Host {
    pub runtime: Runtime,
    /// That of the containers.
    pub user: Option<UserNamespace>,
    pub layer: PathBuf,
    pub settings: RuntimeSettings,
    base: PathBuf,
    /// The user namespace itself.
    _held: Option<OwnedFd>,
}

impl Host {
    pub fn new() -> Host {
        Host::with(|_| {})
    }

    /// One whose operator gives containers power over it.
    pub fn that_gives_power() -> Host {
        Host::with(|settings| settings.allow_privileged = true)
    }

    pub fn with(change: impl FnOnce(&mut RuntimeSettings)) -> Host {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("outport-test-{}-{number:03}", std::process::id());
        let base = std::env::temp_dir().join(&name);
        fs::create_dir_all(&base).unwrap();
        let mut settings = RuntimeSettings {
            root_dir: base.join("data"),
            run_dir: PathBuf::from("/run").join(&name),
            cgroup_root: name,
            shim_binary: shim_binary(),
            shim_args: Vec::new(),
            allow_privileged: false,
        };
        change(&mut settings);
        let layer = base.join("layer");
        make_layer(&layer);
        let runtime = Runtime::new(settings.clone()).unwrap();
        let made =
            IN_USER_NAMESPACES.then(|| user_namespace(number, &base.join("trial"))).flatten();
        let (held, user) = made.unzip();
        Host { runtime, user, layer, settings, base, _held: held }
    }

    pub fn spec(&self, args: &[&str]) -> ContainerSpec {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut spec = ContainerSpec::new(Rootfs::Layers(vec![self.layer.clone()]), args);
        spec.user_namespace = self.user.clone();
        spec
    }

    pub fn shell(&self, script: &str) -> ContainerSpec {
        self.spec(&["sh", "-c", script])
    }

    pub fn create(&self, name: &str, spec: ContainerSpec) -> ShimHandle {
        self.runtime.create(TASK, name, spec).unwrap()
    }

    pub fn start(&self, name: &str, spec: ContainerSpec) -> ShimHandle {
        let shim = self.create(name, spec);
        shim.start().unwrap();
        shim
    }

    /// The host's id of root in the containers.
    pub fn root_id(&self) -> u32 {
        self.user.as_ref().map_or(0, |user| user.first_id)
    }

    /// Runs a container to its end; gives the record and what it wrote to standard output.
    pub fn run(&self, name: &str, spec: ContainerSpec) -> (ExitRecord, String) {
        let record = ended(&self.start(name, spec));
        (record, self.output(name))
    }

    /// Everything a container wrote to standard output, lines joined.
    pub fn output(&self, name: &str) -> String {
        self.lines(name).into_iter().filter(|(stream, _)| *stream == LogStream::Stdout).fold(
            String::new(),
            |mut all, (_, line)| {
                all.push_str(&line);
                all.push('\n');
                all
            },
        )
    }

    /// Whole lines, pieces joined.
    pub fn lines(&self, name: &str) -> Vec<(LogStream, String)> {
        let mut reader = self.reader(name);
        reader.set_ended();
        let mut lines: Vec<(LogStream, String)> = Vec::new();
        let mut open: [bool; 3] = [false; 3];
        while let Some(frame) = reader.next().unwrap() {
            assert!(!matches!(frame.content, LogContent::Damaged { .. }), "{frame:?}");
            if let LogContent::Line { stream, partial, bytes } = frame.content {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                if open[stream as usize] {
                    let last = lines.iter_mut().rev().find(|(of, _)| *of == stream).unwrap();
                    last.1.push_str(&text);
                } else {
                    lines.push((stream, text));
                }
                open[stream as usize] = partial;
            }
        }
        lines
    }

    /// How many frames there are by now.
    pub fn lines_so_far(&self, name: &str) -> usize {
        let mut reader = self.reader(name);
        let mut count = 0;
        while reader.next().unwrap().is_some() {
            count += 1;
        }
        count
    }

    pub fn reader(&self, name: &str) -> LogReader {
        let dir = self.runtime.log_dir(TASK, name).unwrap();
        LogReader::new(&dir, LogCursor::default())
    }

    pub fn remove(&self, name: &str) {
        self.runtime.remove(TASK, name).unwrap();
    }

    /// Fails if anything of this host's containers is left.
    #[track_caller]
    pub fn check_nothing_left(&self) {
        self.runtime.remove_task_cgroup(TASK).unwrap();
        assert_eq!(self.runtime.list().unwrap(), []);
        let name = &self.settings.cgroup_root;
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(name.as_str()), "mounts left");
        until("no process is left", || processes_of(name).is_empty());
        self.runtime.remove_all().unwrap();
        for root in cgroup_roots() {
            assert!(!root.join(name).exists(), "cgroup left in {}", root.display());
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let removed = self.runtime.remove_all();
        let _ = fs::remove_dir_all(&self.settings.run_dir);
        let _ = fs::remove_dir_all(&self.base);
        if !std::thread::panicking() {
            removed.unwrap();
        }
    }
}

/// The namespace goes with this process, however that ends: what the shims open is its descriptor. `None` on a host
/// that has none, such as a guest of an older kernel on a memory file system, and only there.
#[allow(clippy::print_stderr, reason = "a test says what it left out")]
fn user_namespace(number: u32, trial: &Path) -> Option<(OwnedFd, UserNamespace)> {
    let process = std::process::id();
    let first_id = FIRST_ID + (process % 200 * 100 + number) * IDS_PER_TASK;
    let range = IdRange::beginning(first_id).unwrap();
    if let Err(reason) = try_user_namespaces(trial, range) {
        assert!(!has_mapped_layers(), "{reason}");
        eprintln!("no user namespaces on this host: {reason}");
        return None;
    }
    let namespace = create(range).unwrap();
    let path = format!("/proc/{process}/fd/{}", namespace.as_raw_fd()).into();
    Some((namespace, UserNamespace { path, first_id }))
}

/// Memory file systems, the last of the kernel's to be mapped, since 6.3.
fn has_mapped_layers() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).filter_map(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(3))
}

/// Waits for the end of a container.
#[track_caller]
pub fn ended(shim: &ShimHandle) -> ExitRecord {
    shim.wait(DEADLINE).unwrap().expect("the container ends in time")
}

/// Waits until `condition` holds.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < DEADLINE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Processes whose command line names this host's directories.
pub fn processes_of(name: &str) -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| *pid != std::process::id() as i32)
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(name) || groups.contains(name)
        })
        .collect()
}

/// Where cgroup hierarchies are mounted.
pub fn cgroup_roots() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let lines = mounts.lines().filter(|line| line.contains(" - cgroup"));
    lines.map(|line| PathBuf::from(line.split(' ').nth(4).unwrap())).collect()
}

pub fn is_unified() -> bool {
    Hierarchies::read().unwrap().is_unified()
}

pub fn shim_binary() -> PathBuf {
    let built = env!("CARGO_BIN_EXE_container-runtime-shim");
    std::env::var_os("OUTPORT_TEST_SHIM").map_or_else(|| built.into(), PathBuf::from)
}

pub fn busybox() -> PathBuf {
    let chosen = std::env::var_os("OUTPORT_TEST_BUSYBOX");
    chosen.map_or_else(|| PathBuf::from("/bin/busybox"), PathBuf::from)
}

fn make_layer(layer: &Path) {
    let busybox = busybox();
    for directory in ["bin", "etc", "home/app", "proc", "root", "sys", "tmp"] {
        fs::create_dir_all(layer.join(directory)).unwrap();
    }
    fs::copy(&busybox, layer.join("bin/busybox"))
        .expect("a static busybox (Debian: busybox-static)");
    for applet in [
        "awk", "cat", "chmod", "chroot", "date", "dd", "echo", "env", "false", "head", "hostname",
        "id", "ip", "kill", "ln", "ls", "mkdir", "mknod", "mount", "od", "ps", "pwd", "readlink",
        "seq", "sh", "sleep", "stat", "tail", "test", "touch", "tr", "true", "umount", "unshare",
        "wc", "yes",
    ] {
        symlink("busybox", layer.join("bin").join(applet)).unwrap();
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n";
    fs::write(layer.join("etc/passwd"), passwd).unwrap();
    fs::write(layer.join("etc/group"), "root:x:0:\napp:x:1001:\nstaff:x:50:app\n").unwrap();
}
