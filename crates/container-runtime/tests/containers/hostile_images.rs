//! Images and mounts that try to bend what the runtime does by name: nothing is left unmasked, nothing
//! of the host is read or written.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use outport_container_runtime::{
    BindMount, ContainerSpec, FailureKind, Rootfs, RuntimeError, TmpfsMount,
};

use crate::host::{Host, TASK, ended};

/// Prints what should be masked or read-only and is not.
const OPEN_PATHS: &str = "\
    for f in keys timer_list kcore interrupts; do \
    test -e /proc/$f && test ! -c /proc/$f && echo seen $f; done; \
    for f in sys/kernel/printk sysrq-trigger irq/default_smp_affinity; do \
    test -e /proc/$f && (: >> /proc/$f) 2>/dev/null && echo writable $f; done; \
    ls /sys/firmware 2>/dev/null; echo end";

/// A container of the usual image and a layer more, which `fill` fills.
fn with_layer(host: &Host, script: &str, fill: impl FnOnce(&Path)) -> ContainerSpec {
    let above = host.layer.with_file_name("above");
    let _ = fs::remove_dir_all(&above);
    fs::create_dir(&above).unwrap();
    fill(&above);
    let mut spec = host.shell(script);
    spec.rootfs = Rootfs::Layers(vec![host.layer.clone(), above]);
    spec
}

/// The container does not start, or all is masked in it.
#[track_caller]
fn masked_or_refused(host: &Host, case: &str, spec: ContainerSpec) {
    match host.runtime.create(TASK, "masked", spec) {
        Err(RuntimeError::Start(_)) => {}
        Err(other) => panic!("{case}: {other}"),
        Ok(shim) => {
            shim.start().unwrap();
            ended(&shim);
            assert_eq!(host.output("masked"), "end\n", "{case}");
            host.remove("masked");
        }
    }
}

fn tmpfs(path: &str) -> Vec<TmpfsMount> {
    vec![TmpfsMount { path: path.to_owned(), size_mib: 1, options: Vec::new() }]
}

#[test]
fn no_mount_of_the_task_lifts_a_mask() {
    let host = Host::new();
    for path in ["/proc/1/fd", "/proc/self/fd", "/proc/sys", "/proc"] {
        let mut spec = host.shell("true");
        spec.tmpfs = tmpfs(path);
        let refused = host.runtime.create(TASK, "refused", spec).unwrap_err().to_string();
        assert!(refused.contains("because it is inside /proc"), "{path}: {refused}");
    }
    for path in ["/sys", "/dev"] {
        let mut spec = host.shell(OPEN_PATHS);
        spec.tmpfs = tmpfs(path);
        masked_or_refused(&host, path, spec);
    }
    let link = |layer: &Path| symlink("/proc/1/fd", layer.join("link")).unwrap();
    let mut spec = with_layer(&host, OPEN_PATHS, link);
    spec.tmpfs = tmpfs("/link");
    masked_or_refused(&host, "a link of the image to it", spec);
    host.check_nothing_left();
}

#[test]
fn no_link_of_the_image_lifts_a_mask() {
    let host = Host::new();
    for (name, target) in [
        ("dev", "/proc/1"),
        ("dev", "../proc/self/fd"),
        ("proc", "/tmp"),
        ("proc", "proc"),
        ("proc", "nowhere"),
        ("sys", "/proc/self/root/sys"),
    ] {
        let link = |layer: &Path| symlink(target, layer.join(name)).unwrap();
        let spec = with_layer(&host, OPEN_PATHS, link);
        masked_or_refused(&host, &format!("/{name} -> {target}"), spec);
    }
    for name in ["dev", "proc", "sys"] {
        let file = |layer: &Path| fs::write(layer.join(name), "").unwrap();
        let spec = with_layer(&host, OPEN_PATHS, file);
        masked_or_refused(&host, &format!("/{name} is a file"), spec);
    }
    host.check_nothing_left();
}

/// The agent's files come to lie where the image's links lead inside of it, or the container is refused.
#[test]
fn the_agents_files_reach_the_image_and_nothing_else() {
    const TEXT: &str = "nameserver 192.0.2.1\n";
    let host = Host::that_gives_power();
    let file = host.layer.with_file_name("resolv.conf");
    fs::write(&file, TEXT).unwrap();
    let check = |target: &str, may_be_refused: bool| {
        let mut spec = with_layer(&host, "cat /etc/resolv.conf", |layer| {
            fs::create_dir(layer.join("etc")).unwrap();
            symlink(target, layer.join("etc/resolv.conf")).unwrap();
        });
        let target_path = "/etc/resolv.conf".to_owned();
        spec.bind_mounts =
            vec![BindMount { source: file.clone(), target: target_path, readonly: true }];
        match host.runtime.create(TASK, "files", spec) {
            Err(RuntimeError::Start(failure)) if may_be_refused => {
                assert_eq!(failure.kind, FailureKind::Mount, "{failure:?}");
            }
            Err(other) => panic!("{target}: {other}"),
            Ok(shim) => {
                shim.start().unwrap();
                ended(&shim);
                assert_eq!(host.output("files"), TEXT, "{target}");
                host.remove("files");
            }
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), TEXT);
    };
    check("../../../../../../etc/group", false);
    check("../run/resolve/stub-resolv.conf", false);
    check("resolv.conf", false);
    check("/proc/self/fd/1", false);
    check("/proc/sys/kernel/core_pattern", true);
    check("/etc", true);
    host.check_nothing_left();
}

/// Whatever an image says of its accounts, it is not the host's and costs little.
#[test]
fn account_files_of_any_kind_and_size() {
    let host = Host::new();
    let passwd = host.layer.join("etc/passwd");
    let fails = |user: &str, kind: FailureKind| {
        let mut spec = host.shell("id -u");
        spec.user = user.to_owned();
        match host.runtime.create(TASK, "accounts", spec) {
            Err(RuntimeError::Start(failure)) => assert_eq!(failure.kind, kind, "{failure:?}"),
            other => panic!("{other:?}"),
        }
    };
    fs::write(&passwd, ":".repeat(8 << 20)).unwrap();
    fails("app", FailureKind::NoSuchUser);
    fs::File::create(&passwd).unwrap().set_len(1 << 40).unwrap();
    fails("app", FailureKind::NoSuchUser);
    fs::remove_file(&passwd).unwrap();
    symlink("/proc/self/root/etc/passwd", &passwd).unwrap();
    fails("root", FailureKind::NoSuchUser);
    fs::remove_file(&passwd).unwrap();
    fs::create_dir(&passwd).unwrap();
    fails("", FailureKind::Rootfs);
    fs::remove_dir(&passwd).unwrap();
    let zero = nix::sys::stat::makedev(1, 5);
    let (kind, mode) = (nix::sys::stat::SFlag::S_IFCHR, nix::sys::stat::Mode::S_IRUSR);
    nix::sys::stat::mknod(&passwd, kind, mode, zero).unwrap();
    fails("", FailureKind::Rootfs);
}
