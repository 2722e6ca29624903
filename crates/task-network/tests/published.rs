//! Ports of the host that lead to tasks with addresses of their own, on a real kernel: needs root, `nft`, `ip`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a test says what it left behind")]
#![allow(dead_code, reason = "shared with the other tests of the network")]

mod support;

use TransportProtocol::{Tcp, Udp};
use outport_task_network::{
    Attachment, HostNetwork, PortMapping, Publication, PublishScope, TransportProtocol, WantedPort,
};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::time::{Duration, Instant};
use support::{
    Fixture, Outside, PATIENCE, fetch, fetch_in_vain, in_namespace, interface, name, run, serve,
};

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// One that no other test listens at on the host: the kernel remembers connections there for a minute.
fn port_of(fixture: &Fixture, number: u16) -> u16 {
    fixture.host_port(16 + number)
}

/// On a port that was let go of: a program that is being started has what this process had, until it is another program.
fn listen_soon(address: Ipv4Addr, port: u16) -> TcpListener {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match TcpListener::bind((address, port)) {
            Ok(listener) => return listener,
            Err(error) => assert!(Instant::now() < deadline, "{address}:{port}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn wanted(scope: PublishScope, ports: &[u16]) -> Publication {
    Publication { scope, ports: ports.iter().map(|port| any(Tcp, *port)).collect() }
}

fn any(protocol: TransportProtocol, container_port: u16) -> WantedPort {
    WantedPort { protocol, container_port, host_port: None }
}

/// Attaches and publishes on loopback; the ports of the host.
fn publish(
    fixture: &Fixture,
    network: &HostNetwork,
    task: &str,
    last: u8,
    ports: &[u16],
) -> Vec<u16> {
    network.attach(&name(task), &interface(fixture, last)).unwrap();
    let attached =
        network.publish(&name(task), &wanted(PublishScope::Loopback, ports)).unwrap().published;
    attached.map_or_else(Vec::new, |published| {
        published.ports.iter().map(|one| one.host_port).collect()
    })
}

fn serve_in(network: &HostNetwork, task: &str, port: u16, greeting: &'static str) {
    let listed = network.list().unwrap();
    let attached = listed.iter().find(|attached| attached.name == name(task)).unwrap();
    serve(&attached.path, port, greeting);
}

#[test]
fn tasks_answer_on_loopback_and_to_the_host_only() {
    let fixture = Fixture::new("near");
    let network = fixture.open();
    let outside = Outside::new(&fixture);
    let port = port_of(&fixture, 0);
    let first = publish(&fixture, &network, "one", 5, &[port]);
    let second = publish(&fixture, &network, "two", 6, &[port]);
    assert_eq!(first, [port], "nobody has the task's own port");
    assert_eq!(second, [10_000 + port % 10_000]);
    serve_in(&network, "one", port, "one");
    serve_in(&network, "two", port, "two");
    let router = network.router_address();
    assert_eq!(fetch(LOOPBACK, port).unwrap(), format!("one {router}"));
    assert_eq!(fetch(LOOPBACK, second[0]).unwrap(), format!("two {router}"));

    // Another program cannot take it by mistake; a task and a stranger find nothing there.
    assert!(TcpListener::bind((LOOPBACK, port)).is_err());
    let path = network.list().unwrap()[0].path.clone();
    let (host, there) = (outside.host_address(), second[0]);
    for address in [router, host, LOOPBACK] {
        let found = in_namespace(&path, move || fetch_in_vain(address, there));
        assert!(found.is_err(), "a task reached {address}: {found:?}");
        let found = in_namespace(outside.path(), move || fetch_in_vain(address, there));
        assert!(found.is_err(), "a stranger reached {address}: {found:?}");
    }

    network.detach(&name("one")).unwrap();
    assert!(fetch_in_vain(LOOPBACK, port).is_err());
    drop(listen_soon(LOOPBACK, port));
    assert_eq!(publish(&fixture, &network, "two", 6, &[port]), second, "it does not move");
    drop(outside);
    fixture.close(network);
}

#[test]
fn a_port_that_is_asked_for_is_taken_once_nobody_has_it() {
    let fixture = Fixture::new("asked");
    let network = fixture.open();
    let (port, other) = (port_of(&fixture, 2), port_of(&fixture, 3));
    assert_eq!(publish(&fixture, &network, "t", 5, &[port]), [port]);
    network.attach(&name("u"), &interface(&fixture, 6)).unwrap();
    let asked = WantedPort { protocol: Tcp, container_port: other, host_port: Some(port) };
    let asked = Publication { scope: PublishScope::Loopback, ports: vec![asked] };
    let ports = || {
        let published = network.publish(&name("u"), &asked).unwrap().published.unwrap();
        published.ports.iter().map(|one| one.host_port).collect::<Vec<_>>()
    };
    assert_eq!(ports(), [other]);
    serve_in(&network, "u", other, "u");
    network.detach(&name("t")).unwrap();
    assert_eq!(ports(), [port]);
    let router = network.router_address();
    assert_eq!(fetch(LOOPBACK, port).unwrap(), format!("u {router}"));
    // What it had is anybody's.
    drop(listen_soon(LOOPBACK, other));
    fixture.close(network);
}

#[test]
fn datagrams_are_published_too() {
    let fixture = Fixture::new("datagrams");
    let network = fixture.open();
    let port = port_of(&fixture, 0);
    let task = network.attach(&name("t"), &interface(&fixture, 5)).unwrap();
    let both =
        Publication { scope: PublishScope::Loopback, ports: vec![any(Tcp, port), any(Udp, port)] };
    let published = network.publish(&name("t"), &both).unwrap().published.unwrap();
    assert_eq!(published.ports.iter().map(|one| one.host_port).collect::<Vec<_>>(), [port, port]);
    let inside = in_namespace(&task.path, move || UdpSocket::bind(("0.0.0.0", port)).unwrap());
    let near = UdpSocket::bind((LOOPBACK, 0)).unwrap();
    for socket in [&inside, &near] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    near.connect((LOOPBACK, port)).unwrap();
    near.send(b"there").unwrap();
    let mut buffer = [0; 16];
    let (length, from) = inside.recv_from(&mut buffer).unwrap();
    inside.send_to(&buffer[..length], from).unwrap();
    assert_eq!(near.recv(&mut buffer).unwrap(), 5);
    fixture.close(network);
}

#[test]
fn an_agent_that_was_killed_finds_the_ports_and_moves_those_that_somebody_took() {
    let fixture = Fixture::new("again");
    let network = fixture.open();
    let ports = [port_of(&fixture, 0), port_of(&fixture, 1)];
    assert_eq!(publish(&fixture, &network, "t", 5, &ports), ports);
    for port in ports {
        serve_in(&network, "t", port, "t");
    }
    drop(network);
    assert!(fetch(LOOPBACK, ports[0]).is_ok(), "they lead there while nobody looks after them");
    let listed = HostNetwork::list_published(fixture.directory().as_ref()).unwrap();
    assert_eq!(listed.len(), 1);

    let network = fixture.open();
    // Before the task is taken over: the next one to ask does not get them.
    assert!(TcpListener::bind((LOOPBACK, ports[0])).is_err());
    assert_eq!(publish(&fixture, &network, "t", 5, &ports), ports);
    drop(network);
    let _taken = listen_soon(Ipv4Addr::UNSPECIFIED, ports[0]);
    let network = fixture.open();
    let mut moved = publish(&fixture, &network, "t", 5, &ports);
    moved.sort_unstable();
    let mut expected = [10_000 + ports[0] % 10_000, ports[1]];
    expected.sort_unstable();
    assert_eq!(moved, expected);
    assert!(fetch(LOOPBACK, 10_000 + ports[0] % 10_000).unwrap().starts_with("t "));
    fixture.close(network);
}

#[test]
fn a_port_that_is_anothers_by_its_definition_is_given_up() {
    let fixture = Fixture::new("way");
    let network = fixture.open();
    let (bridge_port, host_port) = (port_of(&fixture, 0), port_of(&fixture, 1));
    let ports = [bridge_port, host_port];
    assert_eq!(publish(&fixture, &network, "t", 5, &ports), ports);
    for port in ports {
        serve_in(&network, "t", port, "t");
    }
    let mapping = |host_port| PortMapping { protocol: Tcp, host_port, container_port: 80 };
    let attachment = Attachment::Bridge { ports: vec![mapping(bridge_port)] };
    let web = network.attach(&name("web"), &attachment).unwrap();
    serve(&web.path, 80, "web");
    assert!(fetch(LOOPBACK, bridge_port).unwrap().starts_with("web "));
    assert!(fetch(LOOPBACK, 10_000 + bridge_port % 10_000).unwrap().starts_with("t "));

    network.serve(&name("host"), vec![mapping(host_port)]).unwrap();
    // It listens when it has started.
    let listener = listen_soon(LOOPBACK, host_port);
    assert!(fetch(LOOPBACK, 10_000 + host_port % 10_000).unwrap().starts_with("t "));
    let late = publish(&fixture, &network, "late", 6, &[host_port]);
    assert_eq!(late, [10_001 + host_port % 10_000]);
    drop(listener);
    fixture.close(network);
}

#[test]
fn what_is_published_everywhere_is_reached_from_elsewhere_until_it_is_taken_back() {
    let fixture = Fixture::new("everywhere");
    let network = fixture.open();
    let outside = Outside::new(&fixture);
    let port = port_of(&fixture, 0);
    let task = network.attach(&name("t"), &interface(&fixture, 5)).unwrap();
    serve(&task.path, port, "t");
    let publish =
        |scope, ports: &[u16]| network.publish(&name("t"), &wanted(scope, ports)).unwrap();
    let (near, far) = (outside.host_address(), outside.address());
    let from_outside = || in_namespace(outside.path(), move || fetch_in_vain(near, port));

    let published = publish(PublishScope::Everywhere, &[port]).published.unwrap();
    assert_eq!(published.ports[0].host_port, port);
    let reached = in_namespace(outside.path(), move || fetch(near, port));
    assert_eq!(reached.unwrap(), format!("t {far}"));
    assert!(fetch(LOOPBACK, port).is_ok());
    let itself = in_namespace(&task.path, move || fetch(near, port)).unwrap();
    assert_eq!(itself, format!("t {}", network.router_address()));

    publish(PublishScope::Loopback, &[port]);
    assert!(from_outside().is_err() && fetch(LOOPBACK, port).is_ok());
    assert_eq!(publish(PublishScope::Loopback, &[]).published, None);
    assert!(from_outside().is_err() && fetch_in_vain(LOOPBACK, port).is_err());
    drop(listen_soon(Ipv4Addr::UNSPECIFIED, port));
    assert_eq!(network.list().unwrap(), [task], "nothing of it is left");
    drop(outside);
    fixture.close(network);
}

#[test]
fn a_published_task_cannot_reach_the_hosts_loopback() {
    let fixture = Fixture::new("nearwall");
    let network = fixture.open();
    let private_port = port_of(&fixture, 1);
    publish(&fixture, &network, "t", 5, &[port_of(&fixture, 0)]);
    let host = UdpSocket::bind((LOOPBACK, private_port)).unwrap();
    host.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let gateway = fixture.address(1);
    in_namespace(&network.list().unwrap()[0].path, move || {
        assert!(run(
            "sysctl -qw net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.eth0.route_localnet=1"
        ));
        assert!(run("ip addr del 127.0.0.1/8 dev lo && ip route flush table local"));
        assert!(run(&format!("ip route add 127.0.0.0/8 via {gateway} dev eth0 onlink")));
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        // Sending may be refused at once, which is as good.
        let _ = socket.send_to(b"x", (LOOPBACK, private_port));
    });
    assert!(host.recv_from(&mut [0; 8]).is_err(), "a packet reached the host's loopback");
    fixture.close(network);
}
