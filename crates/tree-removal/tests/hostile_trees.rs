//! Trees that were made to outlast their removal. Needs root (mounts, devices).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::Path;

use outport_tree_removal::{Removal, remove_tree, remove_tree_while};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};

/// Makes a chain of directories below `top` and returns the last one, open.
fn chain(top: &Path, depth: usize, fill: impl Fn(&OwnedFd, usize)) -> OwnedFd {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut directory = rustix::fs::open(top, flags, Mode::empty()).unwrap();
    for level in 0..depth {
        fill(&directory, level);
        rustix::fs::mkdirat(&directory, "d", Mode::RWXU).unwrap();
        directory = rustix::fs::openat(&directory, "d", flags, Mode::empty()).unwrap();
    }
    directory
}

fn file(directory: &OwnedFd, name: &str) {
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::RUSR).unwrap();
}

/// Every branch is deeper than what is held open: a listing that began anew for each would be read a
/// million times.
#[test]
fn a_wide_tree_of_deep_branches_goes() {
    let scratch = tempfile::tempdir().unwrap();
    let top = scratch.path().join("top");
    fs::create_dir(&top).unwrap();
    for branch in 0..60 {
        let branch = top.join(format!("branch{branch}"));
        fs::create_dir(&branch).unwrap();
        drop(chain(&branch, 80, |directory, _| file(directory, "f")));
    }
    let mut removed = 0;
    let done = remove_tree_while(&top, |count| {
        removed = count;
        true
    });
    assert_eq!(done.unwrap(), Removal::Whole);
    assert_eq!(removed, 60 * (1 + 80 * 2), "each entry was counted once");
    assert!(!top.exists());
}

#[test]
fn an_interrupted_removal_is_gone_on_with() {
    let scratch = tempfile::tempdir().unwrap();
    let top = scratch.path().join("top");
    fs::create_dir(&top).unwrap();
    drop(chain(&top, 500, |directory, _| file(directory, "f")));
    let mut rounds = 0;
    while remove_tree_while(&top, |removed| removed < 100).unwrap() == Removal::Interrupted {
        rounds += 1;
        assert!(rounds <= 20, "a round removes a hundred");
    }
    assert!((8..=11).contains(&rounds), "{rounds} rounds");
    assert!(!top.exists());
}

#[test]
fn links_devices_and_odd_names_go_and_what_they_name_stays() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    fs::create_dir_all(at("canary/d")).unwrap();
    fs::write(at("canary/d/f"), "canary").unwrap();
    fs::create_dir_all(at("top/sub")).unwrap();
    symlink(at("canary"), at("top/link")).unwrap();
    symlink("..", at("top/sub/up")).unwrap();
    fs::hard_link(at("canary/d/f"), at("top/hard")).unwrap();
    let top = File::open(at("top")).unwrap();
    let node = |name: &str, kind: FileType, device: u64| {
        rustix::fs::mknodat(&top, name, kind, Mode::RUSR, device).unwrap();
    };
    node("fifo", FileType::Fifo, 0);
    node("disk", FileType::BlockDevice, rustix::fs::makedev(7, 250));
    node("whiteout", FileType::CharacterDevice, 0);
    file(&top.as_fd().try_clone_to_owned().unwrap(), "new\nline\u{7f}");
    remove_tree(&at("top")).unwrap();
    assert!(!at("top").exists());
    assert_eq!(fs::read_to_string(at("canary/d/f")).unwrap(), "canary");
    // The top itself may be a link or a file: it goes, and not what it names.
    symlink(at("canary"), at("top")).unwrap();
    remove_tree(&at("top")).unwrap();
    fs::write(at("top"), "file").unwrap();
    remove_tree(&at("top")).unwrap();
    remove_tree(&at("top")).unwrap();
    remove_tree(&at("no/such/parent")).unwrap();
    assert_eq!(fs::read_to_string(at("canary/d/f")).unwrap(), "canary");
}

#[test]
fn another_mount_is_not_entered() {
    use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    fs::create_dir_all(at("top/mounted")).unwrap();
    fs::create_dir_all(at("canary")).unwrap();
    fs::write(at("canary/f"), "canary").unwrap();
    let refused = |what: &str| {
        let error = remove_tree(&at("top")).unwrap_err();
        assert!(
            [Some(16), Some(18)].contains(&error.raw_os_error()),
            "{what}: {error} is neither EBUSY nor EXDEV"
        );
    };
    mount("tmpfs", at("top/mounted"), "tmpfs", MountFlags::empty(), None).unwrap();
    fs::write(at("top/mounted/f"), "canary").unwrap();
    refused("another file system");
    assert!(at("top/mounted/f").exists());
    unmount(at("top/mounted"), UnmountFlags::DETACH).unwrap();
    mount_bind(at("canary"), at("top/mounted")).unwrap();
    refused("the same file system");
    unmount(at("top/mounted"), UnmountFlags::DETACH).unwrap();
    assert_eq!(fs::read_to_string(at("canary/f")).unwrap(), "canary");
    remove_tree(&at("top")).unwrap();
}

#[test]
fn immutable_entries_go() {
    let scratch = tempfile::tempdir().unwrap();
    let top = scratch.path().join("top");
    fs::create_dir_all(top.join("closed")).unwrap();
    fs::write(top.join("closed/f"), "x").unwrap();
    let set = |path: &Path, flag: rustix::fs::IFlags| {
        let opened = File::open(path).unwrap();
        let flags = rustix::fs::ioctl_getflags(&opened)?;
        rustix::fs::ioctl_setflags(&opened, flags | flag)
    };
    let immutable = set(&top.join("closed/f"), rustix::fs::IFlags::IMMUTABLE);
    let append = set(&top.join("closed"), rustix::fs::IFlags::APPEND);
    let none = AtFlags::empty();
    let refused = rustix::fs::unlinkat(rustix::fs::CWD, top.join("closed/f"), none).is_err();
    // A file system without attributes has none to take away.
    assert_eq!(refused, immutable.is_ok() || append.is_ok());
    remove_tree(&top).unwrap();
    assert!(!top.exists());
}

/// As when a pull that failed and a sweep empty the same trash.
#[test]
fn two_removals_of_one_tree_do_not_disturb_each_other() {
    let scratch = tempfile::tempdir().unwrap();
    let top = scratch.path().join("top");
    for round in 0..5 {
        fs::create_dir(&top).unwrap();
        for branch in 0..10 {
            let branch = top.join(format!("branch{branch}"));
            fs::create_dir(&branch).unwrap();
            drop(chain(&branch, 50, |directory, _| file(directory, "f")));
        }
        std::thread::scope(|scope| {
            let removals: Vec<_> = (0..3).map(|_| scope.spawn(|| remove_tree(&top))).collect();
            for removal in removals {
                removal.join().unwrap().unwrap_or_else(|error| panic!("round {round}: {error}"));
            }
        });
        assert!(!top.exists());
    }
}
