//! Namespaces on a real kernel: needs root, `nft`, `ip`. Every test has an instance, ranges and names of its own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test says what it left out")]

mod support;

use outport_task_network::{
    Attachment, HostAccess, HostNetwork, NetworkError, PortMapping, TransportProtocol,
};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::time::{Duration, Instant};
use support::{Fixture, PATIENCE, fetch, fetch_in_vain, in_namespace, interface, name, run, serve};

/// In it the root of the task may do what root may in a network; who has another user namespace may not.
#[test]
fn a_namespace_belongs_to_the_user_namespace_of_its_task() {
    let fixture = Fixture::new("owner");
    let network = fixture.open();
    let scratch = tempfile::tempdir().unwrap();
    let [own, other] = [3_300_000_000, 3_300_065_536].map(|first| {
        let range = outport_user_namespace::IdRange::beginning(first).unwrap();
        let path = scratch.path().join(first.to_string());
        outport_user_namespace::pin(&outport_user_namespace::create(range).unwrap(), &path)
            .unwrap();
        path
    });
    let ports = vec![PortMapping {
        protocol: TransportProtocol::Tcp,
        host_port: fixture.host_port(0),
        container_port: 80,
    }];
    for (one, attachment) in
        [("vpc", interface(&fixture, 5)), ("bridge", Attachment::Bridge { ports })]
    {
        let attached = network.attach_in(&name(one), &attachment, Some(&own)).unwrap();
        assert_eq!(network.attach_in(&name(one), &attachment, Some(&own)).unwrap(), attached);
        let down = |user: &std::path::Path| {
            let entered = std::process::Command::new("nsenter")
                .arg(format!("--net={}", attached.path.display()))
                .args(["nsenter", &format!("--user={}", user.display())])
                .args(["ip", "link", "set", "eth0", "down"])
                .output()
                .unwrap();
            entered.status.success()
        };
        assert!(!down(&other), "{one}");
        assert!(down(&own), "{one}");
    }
    for path in [own, other] {
        outport_user_namespace::unpin(&path).unwrap();
    }
    fixture.close(network);
}

#[test]
fn tasks_reach_each_other_and_the_host_reaches_them() {
    let fixture = Fixture::new("reach");
    let network = fixture.open();
    let (first, second) = (fixture.address(5), fixture.address(6));
    let one = network.attach(&name("one"), &interface(&fixture, 5)).unwrap();
    let two = network.attach(&name("two"), &interface(&fixture, 6)).unwrap();
    serve(&two.path, 8000, "two");
    serve(&one.path, 8000, "one");

    assert_eq!(fetch(second, 8000).unwrap(), format!("two {}", network.router_address()));
    assert_eq!(
        in_namespace(&one.path, move || fetch(second, 8000)).unwrap(),
        format!("two {first}")
    );
    assert_eq!(
        in_namespace(&two.path, move || fetch(first, 8000)).unwrap(),
        format!("one {second}")
    );
    let loopback = Ipv4Addr::LOCALHOST;
    assert_eq!(in_namespace(&one.path, move || fetch(loopback, 8000)).unwrap(), "one 127.0.0.1");
    fixture.close(network);
}

#[test]
fn the_inside_looks_as_a_task_on_aws_sees_it() {
    let fixture = Fixture::new("inside");
    let network = fixture.open();
    let task = network.attach(&name("t"), &interface(&fixture, 9)).unwrap();
    let show = in_namespace(&task.path, || {
        support::output("ip -o addr show eth0; ip route show; ip -o link show eth0")
    });
    let (address, gateway) = (fixture.address(9), fixture.address(1));
    assert!(show.contains(&format!("{address}/20")), "{show}");
    assert!(show.contains(&format!("default via {gateway} dev eth0")), "{show}");
    assert!(show.contains("prohibit 169.254.169.254"), "{show}");
    assert!(show.contains("0a:58:"), "{show}");
    fixture.close(network);
}

#[test]
fn the_outside_is_reached_by_masquerade_and_does_not_reach_in() {
    let fixture = Fixture::new("outside");
    let network = fixture.open();
    let outside = support::Outside::new(&fixture);
    let task = network.attach(&name("t"), &interface(&fixture, 5)).unwrap();
    serve(&task.path, 8000, "task");
    serve(outside.path(), 9000, "outside");

    let remote = outside.address();
    let seen = in_namespace(&task.path, move || fetch(remote, 9000)).unwrap();
    assert_eq!(seen, format!("outside {}", outside.host_address()), "masqueraded");
    let address = fixture.address(5);
    let refused = in_namespace(outside.path(), move || fetch_in_vain(address, 8000));
    assert!(refused.is_err(), "the outside reached a private address: {refused:?}");
    drop(outside);
    fixture.close(network);
}

#[test]
fn a_task_sends_from_its_own_address_only() {
    let fixture = Fixture::new("spoof");
    let network = fixture.open();
    let task = network.attach(&name("t"), &interface(&fixture, 5)).unwrap();
    let other = network.attach(&name("o"), &interface(&fixture, 6)).unwrap();
    let target = fixture.address(6);
    let listener = in_namespace(&other.path, || UdpSocket::bind("0.0.0.0:7000").unwrap());
    listener.set_read_timeout(Some(PATIENCE)).unwrap();
    let (own, stolen) = (fixture.address(5), fixture.address(7));
    let send = move |from: Ipv4Addr| {
        assert!(run(&format!("ip addr replace {from}/32 dev eth0")));
        let socket = UdpSocket::bind((from, 0)).unwrap();
        socket.send_to(from.to_string().as_bytes(), (target, 7000)).unwrap();
    };
    in_namespace(&task.path, move || {
        send(stolen);
        send(own);
    });
    let mut buffer = [0; 64];
    let (length, from) = listener.recv_from(&mut buffer).unwrap();
    assert_eq!(from.ip(), own, "the spoofed packet arrived");
    assert_eq!(&buffer[..length], own.to_string().as_bytes());
    listener.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    assert!(listener.recv_from(&mut buffer).is_err(), "a second packet arrived");
    fixture.close(network);
}

/// In a host of its own, which can answer on the address.
#[test]
fn instance_metadata_and_the_hosts_loopback_are_out_of_reach() {
    let fixture = Fixture::new("imds");
    let host = support::ScratchHost::new("imds");
    in_namespace(host.path(), move || {
        assert!(run("ip link set lo up && ip addr add 169.254.169.254/32 dev lo"));
        let network = fixture.open();
        let task = network.attach(&name("t"), &interface(&fixture, 5)).unwrap();
        let _server = TcpListener::bind(("169.254.169.254", 8080)).unwrap();
        let metadata = Ipv4Addr::new(169, 254, 169, 254);
        let gateway = fixture.address(1);
        let prohibited = in_namespace(&task.path, move || fetch_in_vain(metadata, 8080));
        // Even when the task takes its own prohibit route away.
        let dropped = in_namespace(&task.path, move || {
            assert!(run("ip route del prohibit 169.254.169.254"));
            assert!(run(&format!("ip route add 169.254.169.254 via {gateway} dev eth0 onlink")));
            fetch_in_vain(metadata, 8080)
        });
        assert!(prohibited.is_err() && dropped.is_err(), "{prohibited:?} {dropped:?}");
        fixture.close(network);
    });
}

#[test]
fn published_ports_answer_on_every_address_of_the_host() {
    let fixture = Fixture::new("ports");
    let network = fixture.open();
    let (host_port, second_port) = (fixture.host_port(0), fixture.host_port(1));
    let mapping =
        |host_port| PortMapping { protocol: TransportProtocol::Tcp, host_port, container_port: 80 };
    let attachment = Attachment::Bridge { ports: vec![mapping(host_port)] };
    let web = network.attach(&name("web"), &attachment).unwrap();
    let client = network.attach(&name("client"), &Attachment::Bridge { ports: vec![] }).unwrap();
    serve(&web.path, 80, "web");
    let router = network.router_address();

    assert!(fetch(Ipv4Addr::LOCALHOST, host_port).unwrap().starts_with("web "));
    assert!(fetch(router, host_port).unwrap().starts_with("web "));
    assert!(fetch(web.address.unwrap(), 80).unwrap().starts_with("web "));
    let from_neighbour = in_namespace(&client.path, move || fetch(router, host_port)).unwrap();
    assert_eq!(from_neighbour, format!("web {}", client.address.unwrap()));
    let hairpin = in_namespace(&web.path, move || fetch(router, host_port)).unwrap();
    assert_eq!(hairpin, format!("web {router}"));

    let busy = network.attach(&name("late"), &attachment);
    assert!(
        matches!(busy, Err(NetworkError::PortBusy { port, .. }) if port == host_port),
        "{busy:?}"
    );
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, second_port)).unwrap();
    let busy =
        network.attach(&name("late"), &Attachment::Bridge { ports: vec![mapping(second_port)] });
    assert!(matches!(busy, Err(NetworkError::PortBusy { port, .. }) if port == second_port));
    drop(listener);

    network.detach(&name("web")).unwrap();
    assert!(fetch_in_vain(Ipv4Addr::LOCALHOST, host_port).is_err());
    TcpListener::bind((Ipv4Addr::LOCALHOST, host_port)).unwrap();
    fixture.close(network);
}

#[test]
fn a_published_container_cannot_reach_the_hosts_loopback() {
    let fixture = Fixture::new("localnet");
    let network = fixture.open();
    let (host_port, private_port) = (fixture.host_port(0), fixture.host_port(1));
    let ports =
        vec![PortMapping { protocol: TransportProtocol::Udp, host_port, container_port: 80 }];
    let web = network.attach(&name("web"), &Attachment::Bridge { ports }).unwrap();
    let host = UdpSocket::bind((Ipv4Addr::LOCALHOST, private_port)).unwrap();
    host.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let gateway = fixture.bridge_gateway();
    in_namespace(&web.path, move || {
        assert!(run(
            "sysctl -qw net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.eth0.route_localnet=1"
        ));
        assert!(run("ip addr del 127.0.0.1/8 dev lo"));
        assert!(run("ip route flush table local"));
        assert!(run(&format!("ip route add 127.0.0.0/8 via {gateway} dev eth0 onlink")));
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        // Sending may be refused at once, which is as good.
        let _ = socket.send_to(b"x", (Ipv4Addr::LOCALHOST, private_port));
    });
    assert!(host.recv_from(&mut [0; 8]).is_err(), "a packet reached the host's loopback");
    fixture.close(network);
}

#[test]
fn attaching_twice_is_attaching_once() {
    let fixture = Fixture::new("twice");
    let network = fixture.open();
    let first = network.attach(&name("t"), &interface(&fixture, 5)).unwrap();
    let inode = support::inode(&first.path);
    let again = network.attach(&name("t"), &interface(&fixture, 5)).unwrap();
    assert_eq!((again, support::inode(&first.path)), (first.clone(), inode));
    let other = network.attach(&name("t"), &interface(&fixture, 6));
    assert!(matches!(other, Err(NetworkError::AttachedDifferently(_))), "{other:?}");
    let stolen = network.attach(&name("u"), &interface(&fixture, 5));
    assert!(matches!(stolen, Err(NetworkError::AddressInUse { .. })), "{stolen:?}");

    // An agent that was killed: everything is found again, and works.
    drop(network);
    let port = fixture.host_port(0);
    let mut settings = fixture.settings();
    settings.host_access = HostAccess::Ports(vec![(TransportProtocol::Tcp, port)]);
    let network = HostNetwork::open(settings).unwrap();
    assert_eq!(network.list().unwrap(), std::slice::from_ref(&first));
    let stolen = network.attach(&name("u"), &interface(&fixture, 5));
    assert!(matches!(stolen, Err(NetworkError::AddressInUse { .. })), "{stolen:?}");
    assert_eq!(network.attach(&name("t"), &interface(&fixture, 5)).unwrap(), first);
    assert_eq!(support::inode(&first.path), inode);
    serve(&first.path, 8000, "t");
    assert!(fetch(fixture.address(5), 8000).is_ok());

    // Somebody takes the rules away, or tries to.
    run(&format!("nft delete table inet {} 2> /dev/null", fixture.instance().table()));
    network.restore_rules().unwrap();
    let remote = network.router_address();
    serve_on_host(remote, port);
    assert_eq!(
        in_namespace(&first.path, move || fetch(remote, port)).unwrap(),
        format!("host {}", fixture.address(5))
    );
    fixture.close(network);
}

fn serve_on_host(address: Ipv4Addr, port: u16) {
    let listener = TcpListener::bind((address, port)).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let peer = stream.peer_addr().unwrap();
            // The client may have gone again.
            let _ = write!(stream, "host {}", peer.ip());
        }
    });
}

#[test]
fn detaching_leaves_nothing_and_the_address_is_free_again() {
    let fixture = Fixture::new("detach");
    let network = fixture.open();
    network.detach(&name("never")).unwrap();
    for round in 0..3 {
        let task = network.attach(&name(&format!("t{round}")), &interface(&fixture, 5)).unwrap();
        serve(&task.path, 8000, "t");
        assert!(fetch(fixture.address(5), 8000).is_ok(), "round {round}");
        network.detach(&task.name).unwrap();
        network.detach(&task.name).unwrap();
    }
    network.attach(&name("none"), &Attachment::None).unwrap();
    network.detach(&name("none")).unwrap();
    network.settle();
    assert_eq!(network.list().unwrap(), []);
    assert_eq!(fixture.links(), ["router", "routerp"], "links left");
    assert!(!support::output("cat /proc/self/mountinfo").contains(fixture.directory()));
    let rules = support::output(&format!("nft list table inet {}", fixture.instance().table()));
    assert!(!rules.contains(&fixture.address(5).to_string()), "{rules}");
    fixture.close(network);
}

#[test]
fn without_a_network_there_is_loopback_only() {
    let fixture = Fixture::new("none");
    let network = fixture.open();
    let task = network.attach(&name("t"), &Attachment::None).unwrap();
    assert_eq!(task.address, None);
    let shown = in_namespace(&task.path, || support::output("ip -o link show; ip -o addr show"));
    assert!(shown.contains("127.0.0.1/8") && !shown.contains("eth0"), "{shown}");
    fixture.close(network);
}

#[test]
fn fifty_tasks_at_once() {
    let fixture = Fixture::new("fifty");
    let network = fixture.open();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for number in 0..50_u8 {
            let (network, fixture) = (&network, &fixture);
            scope.spawn(move || {
                let task = name(&format!("t{number}"));
                network.attach(&task, &interface(fixture, number + 10)).unwrap();
            });
        }
    });
    let attached = start.elapsed();
    let tasks = network.list().unwrap();
    assert_eq!(tasks.len(), 50);
    for task in &tasks {
        serve(&task.path, 8000, "t");
        assert!(fetch(task.address.unwrap(), 8000).is_ok(), "{}", task.name);
    }
    let start = Instant::now();
    for task in &tasks {
        network.detach(&task.name).unwrap();
    }
    let detached = start.elapsed();
    network.settle();
    println!(
        "50 attached in {attached:?}, detached in {detached:?}, gone after {:?}",
        start.elapsed()
    );
    fixture.close(network);
}

#[test]
fn two_instances_live_side_by_side() {
    let (one, two) = (Fixture::new("side_a"), Fixture::new("side_b"));
    let (first, second) = (one.open(), two.open());
    let a = first.attach(&name("same"), &interface(&one, 5)).unwrap();
    let b = second.attach(&name("same"), &interface(&two, 5)).unwrap();
    serve(&a.path, 8000, "a");
    serve(&b.path, 8000, "b");
    assert!(fetch(one.address(5), 8000).unwrap().starts_with("a "));
    assert!(fetch(two.address(5), 8000).unwrap().starts_with("b "));
    let target = two.address(5);
    let crossed = in_namespace(&a.path, move || fetch_in_vain(target, 8000));
    assert!(crossed.is_err(), "a task reached another instance: {crossed:?}");
    one.close(first);
    assert!(fetch(two.address(5), 8000).unwrap().starts_with("b "), "the other was disturbed");
    two.close(second);
}

#[test]
fn an_address_range_that_the_host_uses_is_refused() {
    let one = Fixture::new("clash_a");
    let two = one.rival("clash_b");
    let network = one.open();
    let refused = HostNetwork::open(two.settings());
    let Err(NetworkError::AddressClash { link, .. }) = &refused.as_ref().map(|_| ()) else {
        panic!("opened over another instance's addresses")
    };
    assert!(link.ends_with("router"), "{link}");
    let outside = network.attach(&name("t"), &interface(&one, 1));
    assert!(matches!(outside, Err(NetworkError::AddressOutside { .. })), "{outside:?}");
    one.close(network);
}

#[test]
fn the_metadata_address_leads_to_the_agents_port_only() {
    let fixture = Fixture::new("metadata");
    let mut settings = fixture.settings();
    let (metadata_port, other_port) = (fixture.host_port(0), fixture.host_port(1));
    settings.metadata_port = Some(metadata_port);
    let network = HostNetwork::open(settings).unwrap();
    let task = network.attach(&name("t"), &interface(&fixture, 5)).unwrap();
    let metadata = Ipv4Addr::new(169, 254, 170, 2);
    serve_on_host(metadata, metadata_port);
    serve_on_host(metadata, other_port);
    let answer = in_namespace(&task.path, move || fetch(metadata, 80)).unwrap();
    assert_eq!(answer, format!("host {}", fixture.address(5)));
    let other = in_namespace(&task.path, move || fetch_in_vain(metadata, other_port));
    assert!(other.is_err(), "{other:?}");
    fixture.close(network);
}

fn elements(fixture: &Fixture, set: &str) -> String {
    let kind = if set == "ports" { "map" } else { "set" };
    let listed =
        support::output(&format!("nft list {kind} inet {} {set}", fixture.instance().table()));
    let elements = listed.split_once("elements = {").map_or("", |(_, rest)| rest);
    elements.split('}').next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An agent that is away when a task ends learns nothing of it from the table.
#[test]
fn what_is_open_is_what_is_recorded() {
    let fixture = Fixture::new("stale");
    let network = fixture.open();
    let port = |number| fixture.host_port(number);
    let serves =
        |host_port| PortMapping { protocol: TransportProtocol::Tcp, host_port, container_port: 1 };
    let attachment = Attachment::Bridge { ports: vec![serves(port(0))] };
    let web = network.attach(&name("web"), &attachment).unwrap();
    network.serve(&name("first"), vec![serves(port(1)), serves(port(2))]).unwrap();
    network.serve(&name("second"), vec![serves(port(2))]).unwrap();
    drop(network);
    let table = fixture.instance().table();
    // What some process was about to take away, or an older version left.
    let own = elements(&fixture, "sources");
    for (set, element) in [
        ("sources", "\"opforeign\" . 192.0.2.9"),
        ("hairpin", "192.0.2.9 . 192.0.2.9"),
        ("served", "tcp . 9"),
        ("ports", "tcp . 9 : 192.0.2.9 . 9"),
        ("outward", "\"br-gone\""),
    ] {
        assert!(run(&format!("nft 'add element inet {table} {set} {{ {element} }}'")), "{set}");
    }

    let network = fixture.open();
    assert_eq!(elements(&fixture, "sources"), own);
    assert!(own.contains(&web.address.unwrap().to_string()), "{own}");
    for set in ["hairpin", "served", "ports", "outward"] {
        let found = elements(&fixture, set);
        assert!(!found.contains("192.0.2.9") && !found.contains("tcp . 9"), "{set}: {found}");
        assert!(!found.contains("br-gone"), "{set}: {found}");
    }
    assert!(elements(&fixture, "ports").contains(&port(0).to_string()));
    // As `tcp . 21545`, or `6 . 21545` where nobody knows the names of protocols.
    let served = |number| elements(&fixture, "served").contains(&format!(" . {}", port(number)));
    assert!(served(1) && served(2), "who serves is remembered");
    let names: Vec<String> =
        network.names().unwrap().iter().map(|name| name.as_str().to_owned()).collect();
    assert!(names.contains(&"first".to_owned()) && names.contains(&"second".to_owned()));

    network.detach(&name("first")).unwrap();
    assert!(!served(1) && served(2), "a port stays open until nobody serves on it");
    network.detach(&name("second")).unwrap();
    assert!(!served(2));
    drop(network);
    let network = fixture.open();
    assert_eq!(elements(&fixture, "served"), "");
    fixture.close(network);
}

/// A process that dies between two steps leaves a pin, and the next one pins over it.
#[test]
fn a_namespace_that_is_pinned_twice_goes_like_another() {
    let fixture = Fixture::new("pins");
    let network = fixture.open();
    let twice = network.attach(&name("twice"), &interface(&fixture, 5)).unwrap();
    let other = network.attach(&name("other"), &interface(&fixture, 6)).unwrap();
    let pin = twice.path.to_str().unwrap().to_owned();
    assert!(run(&format!("mount --bind {pin} {pin}")));
    network.detach(&twice.name).unwrap();
    network.detach(&other.name).unwrap();
    network.settle();
    assert!(!support::output("cat /proc/self/mountinfo").contains(fixture.directory()));
    fixture.close(network);
}
