//! What a task sends first, however early, arrives. On a host of its own, with root, `nft` and `ip`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a test says what it left out")]
#![allow(dead_code, reason = "shared with the other tests of the network")]

mod support;

use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Child, Command, Stdio};
use support::{Fixture, PATIENCE, ScratchHost, in_namespace, interface, name, run};

const TASKS: usize = 100;

/// Since this release the kernel opens a link at once when it is asked about it.
fn opens_at_once() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(8))
}

/// Keeps a machine busy, processors and links: the kernel opens links when it has time.
struct Load(Vec<Child>);

impl Load {
    fn new() -> Load {
        let links = "unshare -n ip link add veth0 up type veth peer name veth1 up";
        let works = [links, links, links, ":", ":"];
        Load(works.map(|work| forever(work).spawn().unwrap()).into())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.0 {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

fn forever(work: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("while :; do {work}; done")]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn a_tasks_first_packet_arrives() {
    if !opens_at_once() {
        eprintln!("left out: this kernel is older than 6.8");
        return;
    }
    let fixture = Fixture::new("first");
    let host = ScratchHost::new("first");
    let _load = Load::new();
    in_namespace(host.path(), move || {
        assert!(run("ip link set lo up && ip addr add 192.0.2.77/32 dev lo"));
        let network = fixture.open();
        // As a name server, which tasks reach.
        let server = UdpSocket::bind((Ipv4Addr::new(192, 0, 2, 77), 53)).unwrap();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        for number in 0..TASKS {
            let task = network.attach(&name("t"), &interface(&fixture, 5)).unwrap();
            in_namespace(&task.path, || {
                let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
                socket.send_to(b"first", "192.0.2.77:53").unwrap();
            });
            let arrived = server.recv_from(&mut [0; 16]);
            assert!(arrived.is_ok(), "the first packet of task {number}: {arrived:?}");
            network.detach(&name("t")).unwrap();
            network.settle();
        }
        fixture.close(network);
    });
}
