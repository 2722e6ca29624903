//! Keys of the kernel.

use std::ffi::CStr;

use nix::errno::Errno;

use crate::host::Host;

const SESSION_KEYRING: i32 = -3;
/// All rights of who possesses the key, and of nobody else.
const POSSESSOR_ALL: u32 = 0x3f00_0000;

fn keyctl(operation: u32, first: u64, second: u64) -> i64 {
    // SAFETY: the arguments are numbers, or a C string that outlives the call.
    #[allow(unsafe_code)]
    let done = unsafe { libc::syscall(libc::SYS_keyctl, operation, first, second) };
    Errno::result(done).unwrap()
}

fn add_key(kind: &CStr, name: &CStr, payload: &[u8]) -> i64 {
    // SAFETY: names and payload outlive the call.
    #[allow(unsafe_code)]
    let added = unsafe {
        let payload = (payload.as_ptr(), payload.len());
        let (kind, name) = (kind.as_ptr(), name.as_ptr());
        libc::syscall(libc::SYS_add_key, kind, name, payload.0, payload.1, SESSION_KEYRING)
    };
    Errno::result(added).unwrap()
}

/// Nobody filters what a privileged container asks of the keys that its processes possess.
#[test]
fn the_agents_keys_are_not_the_containers() {
    if !std::path::Path::new("/proc/keys").exists() {
        return;
    }
    let host = Host::with(|settings| settings.allow_privileged = true);
    keyctl(libc::KEYCTL_JOIN_SESSION_KEYRING, c"agent".as_ptr() as u64, 0);
    let key = add_key(c"user", c"outport-secret", b"payload");
    keyctl(libc::KEYCTL_SETPERM, key as u64, POSSESSOR_ALL.into());
    assert!(std::fs::read_to_string("/proc/keys").unwrap().contains("outport-secret"));
    let mut spec = host.shell("cat /proc/keys | awk '/outport-secret/{print}'; echo end");
    spec.privileged = true;
    spec.user_namespace = None;
    assert_eq!(host.run("keys", spec).1, "end\n");
}
