//! Images and mounts that try to bend what the runtime does by name: nothing is left unmasked, nothing
//! of the host is read or written.

use std::fs;
use std::os::unix::fs::symlink;

use outport_container_runtime::{ContainerSpec, RuntimeError, TmpfsMount};

use crate::host::{Host, TASK, ended};

/// Prints what should be masked or read-only and is not.
const OPEN_PATHS: &str = "\
    for f in keys timer_list kcore interrupts; do \
    test -e /proc/$f && test ! -c /proc/$f && echo seen $f; done; \
    for f in sys/kernel/printk sysrq-trigger irq/default_smp_affinity; do \
    test -e /proc/$f && (: >> /proc/$f) 2>/dev/null && echo writable $f; done; \
    ls /sys/firmware 2>/dev/null; echo end";

/// The container does not start, or all is masked in it.
#[track_caller]
fn masked_or_refused(case: &str, change: impl FnOnce(&Host, &mut ContainerSpec)) {
    let host = Host::new();
    let mut spec = host.shell(OPEN_PATHS);
    change(&host, &mut spec);
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
    host.check_nothing_left();
}

fn tmpfs(path: &str) -> TmpfsMount {
    TmpfsMount { path: path.to_owned(), size_mib: 1, options: Vec::new() }
}

#[test]
fn no_mount_of_the_task_lifts_a_mask() {
    for path in ["/proc/1/fd", "/proc/self/fd", "/proc/sys", "/proc"] {
        let host = Host::new();
        let mut spec = host.shell("true");
        spec.tmpfs = vec![tmpfs(path)];
        let refused = host.runtime.create(TASK, "refused", spec).unwrap_err().to_string();
        assert!(refused.contains("because it is inside /proc"), "{path}: {refused}");
    }
    for path in ["/sys", "/dev"] {
        masked_or_refused(path, |_, spec| spec.tmpfs = vec![tmpfs(path)]);
    }
    masked_or_refused("a link of the image to it", |host, spec| {
        symlink("/proc/1/fd", host.layer.join("link")).unwrap();
        spec.tmpfs = vec![tmpfs("/link")];
    });
}

#[test]
fn no_link_of_the_image_lifts_a_mask() {
    let links = [
        ("dev", "/proc/1"),
        ("dev", "../proc/self/fd"),
        ("proc", "/tmp"),
        ("proc", "proc"),
        ("proc", "nowhere"),
        ("sys", "/proc/self/root/sys"),
    ];
    for (name, target) in links {
        masked_or_refused(&format!("/{name} -> {target}"), |host, _| {
            let path = host.layer.join(name);
            let _ = fs::remove_dir(&path);
            symlink(target, path).unwrap();
        });
    }
    for name in ["dev", "proc", "sys"] {
        masked_or_refused(&format!("/{name} is a file"), |host, _| {
            let path = host.layer.join(name);
            let _ = fs::remove_dir(&path);
            fs::write(path, "").unwrap();
        });
    }
}
