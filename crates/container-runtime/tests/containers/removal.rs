//! What a container leaves behind is removed, whatever it is.

use std::fs::{self, File, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};

use crate::host::{Host, TASK};

/// Deeper than a path can say, and than [`STACK_BYTES`] have room for, one call within another.
const DEPTH: usize = 2500;
const STACK_BYTES: usize = 256 << 10;

#[test]
fn a_tree_without_a_bottom_is_removed() {
    let host = Host::new();
    host.run("deep", host.shell("exit 0"));
    let upper = host.settings.root_dir.join("tasks").join(TASK).join("c/deep/upper");
    let kept = host.layer.parent().unwrap().join("kept");
    fs::create_dir(&kept).unwrap();
    fs::write(kept.join("file"), "").unwrap();
    let mut at = OwnedFd::from(File::open(&upper).unwrap());
    for _ in 0..DEPTH {
        mkdirat(&at, "d", Mode::S_IRWXU).unwrap();
        at = openat(&at, "d", OFlag::O_DIRECTORY, Mode::empty()).unwrap();
    }
    // And what else may lie there: links out, a directory without rights, many names.
    symlink(&kept, upper.join("link")).unwrap();
    fs::create_dir(upper.join("closed")).unwrap();
    fs::set_permissions(upper.join("closed"), Permissions::from_mode(0o000)).unwrap();
    for number in 0..100 {
        fs::create_dir_all(upper.join(format!("wide/{number}/sub"))).unwrap();
        fs::write(upper.join(format!("wide/{number}/file")), "").unwrap();
    }
    std::thread::scope(|scope| {
        let small = std::thread::Builder::new().stack_size(STACK_BYTES);
        small.spawn_scoped(scope, || host.remove("deep")).unwrap().join().unwrap();
    });
    assert!(!upper.exists());
    assert!(kept.join("file").exists(), "what a link leads to stays");
    host.check_nothing_left();
}

/// Names that no container of ours has: an empty one would stand for all tasks, a dot for the directory itself.
#[test]
fn what_others_left_is_not_taken_for_containers() {
    let host = Host::new();
    host.run("own", host.shell("exit 0"));
    let (run, tasks) = (host.settings.run_dir.join("c"), host.settings.root_dir.join("tasks"));
    let strays = ["c/.x", "c/.", "c/task.", "c/a b.c", "c/t.a.b"].map(|name| {
        let stray = host.settings.run_dir.join(name);
        fs::create_dir_all(&stray).unwrap();
        stray
    });
    let hidden = tasks.join(".hidden/c/name");
    fs::create_dir_all(&hidden).unwrap();
    fs::create_dir_all(tasks.join("t1/c/.name")).unwrap();
    let found = host.runtime.list().unwrap();
    assert!(found.iter().all(|found| found.task == TASK), "{found:?}");
    for task in ["", ".", "..", "../tasks", ".hidden"] {
        assert!(host.runtime.remove(task, "name").is_err(), "{task:?}");
        assert!(host.runtime.remove_task_cgroup(task).is_err(), "{task:?}");
    }
    host.runtime.remove_all().unwrap();
    assert!(run.is_dir() && hidden.is_dir() && strays.iter().all(|stray| stray.is_dir()));
}
