//! One test, alone in its process: it lowers the limit of open descriptors.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use outport_tree_removal::remove_tree;
use rustix::fs::{Mode, OFlags};

/// Deeper than any path can be spelled, and than a stack takes a recursion.
const DEPTH: usize = 5000;
/// Far more than the removal holds open, far fewer than the levels of a tree.
const DESCRIPTORS: u64 = 64;

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

/// Runs on a thread whose stack has room for a loop and not for a recursion.
fn on_a_small_stack(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(128 << 10);
        thread.spawn_scoped(scope, work).unwrap().join().unwrap();
    });
}

#[test]
fn a_deep_tree_goes_on_a_small_stack_with_few_descriptors() {
    let scratch = tempfile::tempdir().unwrap();
    let top = scratch.path().join("top");
    fs::create_dir(&top).unwrap();
    // Entries before and after the way down, so that listings are taken up again in their middle.
    drop(chain(&top, DEPTH, |directory, level| {
        if level % 7 == 0 {
            file(directory, "a");
            file(directory, "z");
            rustix::fs::mkdirat(directory, "e", Mode::RWXU).unwrap();
        }
    }));
    let resource = rustix::process::Resource::Nofile;
    let before = rustix::process::getrlimit(resource);
    let few = rustix::process::Rlimit { current: Some(DESCRIPTORS), ..before };
    rustix::process::setrlimit(resource, few).unwrap();
    on_a_small_stack(|| remove_tree(&top).unwrap());
    rustix::process::setrlimit(resource, before).unwrap();
    assert!(!top.exists());
}
