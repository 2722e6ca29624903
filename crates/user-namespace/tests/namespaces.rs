//! Real namespaces: needs root, as the node does.

#![allow(clippy::unwrap_used, reason = "a step of a test that fails ends the test")]

use std::fs::{self, File};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use outport_user_namespace::{IdRange, create, create_network, is_pinned, pin, unpin};

fn range() -> IdRange {
    IdRange::beginning(3_000_000_000).unwrap()
}

fn inode(namespace: &OwnedFd) -> u64 {
    File::from(namespace.try_clone().unwrap()).metadata().unwrap().ino()
}

/// `NS_GET_USERNS` and `NS_GET_OWNER_UID` of `linux/nsfs.h`.
const GET_USER_NAMESPACE: libc::c_ulong = 0xb701;
const GET_OWNER: libc::c_ulong = 0xb704;

#[test]
fn its_maps_are_the_ranges_and_its_owner_is_nobody_of_the_host() {
    let namespace = create(range()).unwrap();
    let path = format!("/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd());
    let entered = Command::new("nsenter")
        .args([
            format!("--user={path}").as_str(),
            "cat",
            "/proc/self/uid_map",
            "/proc/self/gid_map",
        ])
        .args(["/proc/self/setgroups"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&entered.stdout);
    let words: Vec<&str> = text.split_whitespace().collect();
    let map = ["0", "3000000000", "65536"];
    assert_eq!(words, [&map[..], &map[..], &["allow"]].concat(), "{entered:?}");
    let mut owner = 0_u32;
    // SAFETY: the kernel writes one number, which outlives the call.
    #[allow(unsafe_code)]
    let asked = unsafe { libc::ioctl(namespace.as_raw_fd(), GET_OWNER as _, &mut owner) };
    assert_eq!((asked, owner), (0, 3_000_000_000));
}

#[test]
fn a_network_belongs_to_its_user_namespace() {
    let user = create(range()).unwrap();
    let (one, two) = (create_network(&user).unwrap(), create_network(&user).unwrap());
    assert_ne!(inode(&one), inode(&two));
    for network in [one, two] {
        // SAFETY: a call that gives a new descriptor.
        #[allow(unsafe_code)]
        let owner = unsafe {
            let owner = libc::ioctl(network.as_raw_fd(), GET_USER_NAMESPACE as _);
            assert!(owner >= 0);
            OwnedFd::from_raw_fd(owner)
        };
        assert_eq!(inode(&owner), inode(&user));
    }
}

#[test]
fn a_pin_keeps_it_and_goes() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("user");
    let namespace = create(range()).unwrap();
    let wanted = inode(&namespace);
    pin(&namespace, &path).unwrap();
    drop(namespace);
    assert!(is_pinned(&path));
    assert_eq!(fs::metadata(&path).unwrap().ino(), wanted);
    unpin(&path).unwrap();
    assert!(!is_pinned(&path) && !path.exists());
    unpin(&path).unwrap();
}

#[test]
fn what_is_no_namespace_is_refused() {
    let null: OwnedFd = File::open("/dev/null").unwrap().into();
    let refused = create_network(&null).unwrap_err();
    assert_eq!(refused.source.raw_os_error(), Some(libc::EINVAL), "{refused}");
}
