//! Containers in a network where the instance metadata of the machine answers.

use crate::host::Host;

/// Makes the address the container's own, serves on it and asks; prints what came. A packet that may not leave is lost:
/// nobody answers, as where a firewall drops it.
fn script(address: &str, port: u16) -> String {
    format!(
        "ip link set lo up; ip addr add {address}/32 dev lo; ip route replace local {address} dev lo src 127.0.0.1 table local; \
         echo credentials | nc -l -p {port} & \
         for turn in 1 2 3 4 5 6 7 8 9 10; do \
           netstat -ltn | grep -q ':{port} ' && break; sleep 0.2; \
         done; \
         nc -w 2 {address} {port} </dev/null 2>&1; echo asked"
    )
}

#[track_caller]
fn check(address: &str, kept: bool, port: u16, expected: &str) {
    let host = Host::new();
    let mut spec = host.shell(&script(address, port));
    spec.capabilities.add = vec!["NET_ADMIN".to_owned()];
    spec.kept_from_metadata = kept;
    let (record, output) = host.run("asks", spec);
    assert_eq!(output.trim(), expected, "{address}:{port} kept: {kept} {record:?}");
}

#[test]
fn a_container_that_is_kept_from_metadata_does_not_reach_it() {
    check("169.254.169.254", true, 80, "nc: timed out\nasked");
    check("100.100.100.200", true, 80, "nc: timed out\nasked");
    check("169.254.169.254", false, 80, "credentials\nasked");
}

#[test]
fn it_reaches_all_else() {
    check("169.254.170.2", true, 80, "credentials\nasked");
    check("169.254.169.254", true, 53, "credentials\nasked");
    check("127.0.0.1", true, 80, "credentials\nasked");
}

/// The kernel asks nobody about frames that a process makes itself.
#[test]
fn it_has_no_sockets_for_frames() {
    let host = Host::new();
    for kept in [true, false] {
        // The one program of busybox that makes frames.
        let mut spec = host.shell("ip link set lo up; arping -c 1 -w 1 -I lo 127.0.0.1 2>&1");
        spec.capabilities.add = vec!["NET_ADMIN".to_owned()];
        spec.kept_from_metadata = kept;
        let (_, output) = host.run(if kept { "kept" } else { "free" }, spec);
        assert_eq!(output.contains("Operation not permitted"), kept, "{output}");
    }
}
