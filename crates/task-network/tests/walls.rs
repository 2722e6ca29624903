//! What keeps tasks in, and what keeps that: on hosts of their own, with root, `nft` and `ip`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test says what it left out")]
#![allow(dead_code, reason = "shared with the other tests of the network")]

mod support;

use outport_task_network::{
    AttachedNamespace, Attachment, HostAccess, HostNetwork, PortMapping, TransportProtocol,
};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};
use support::{Fixture, PATIENCE, ScratchHost, in_namespace, interface, name, output, run};

/// For what must not come: long enough for a machine that is not asleep.
const IN_VAIN: Duration = Duration::from_millis(700);
/// How often two instances are let run against each other.
const ROUNDS: u64 = 30;
const LAN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 77);

/// A host with a link to a network of its own, in whose namespace `work` runs.
fn on_a_host(label: &'static str, work: impl FnOnce(Fixture) + Send + 'static) {
    let fixture = Fixture::new(label);
    let host = ScratchHost::new(label);
    in_namespace(host.path(), move || {
        assert!(run("ip link set lo up && ip link add lan0 type veth peer name lan1"));
        assert!(run(&format!(
            "ip addr add {LAN}/24 dev lan0 && ip link set lan0 up && ip link set lan1 up"
        )));
        work(fixture);
    });
}

/// Listens on all addresses of the namespace that this thread is in, until the test ends.
fn serve(port: u16) {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // The client may have gone again.
            let _ = stream.write_all(b"host");
        }
    });
}

fn answers(address: Ipv4Addr, port: u16, within: Duration) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&(address, port).into(), within) else {
        return false;
    };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).is_ok() && text == "host"
}

/// Whether what should come comes, on a slow machine too: a first packet that was lost is sent again after a second.
fn task_reaches(task: &AttachedNamespace, address: Ipv4Addr, port: u16) -> bool {
    in_namespace(&task.path, move || answers(address, port, PATIENCE))
}

/// Whether what should not come does not.
fn is_kept_from(task: &AttachedNamespace, address: Ipv4Addr, port: u16) -> bool {
    !in_namespace(&task.path, move || answers(address, port, IN_VAIN))
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn tcp(port: u16) -> PortMapping {
    PortMapping { protocol: TransportProtocol::Tcp, host_port: port, container_port: port }
}

#[test]
fn a_task_reaches_name_servers_and_what_is_opened_on_its_host_and_no_more() {
    on_a_host("reach", |fixture| {
        let mut settings = fixture.settings();
        settings.host_access = HostAccess::Ports(vec![(TransportProtocol::Tcp, 7001)]);
        let network = HostNetwork::open(settings).unwrap();
        let task = network.attach(&name("t"), &interface(&fixture, 5)).unwrap();
        let bridged = network.attach(&name("b"), &Attachment::Bridge { ports: vec![] }).unwrap();
        for port in [53, 7001, 7002, 7003] {
            serve(port);
        }
        let router = network.router_address();
        network.serve(&name("h"), vec![tcp(7003)]).unwrap();
        for (who, gateway) in [(&task, router), (&bridged, fixture.bridge_gateway())] {
            for host in [LAN, router, gateway] {
                for port in [53, 7001, 7003] {
                    assert!(task_reaches(who, host, port), "{} {host}:{port}", who.name);
                }
                assert!(is_kept_from(who, host, 7002), "{} {host}", who.name);
            }
            assert!(in_namespace(&who.path, move || run(&format!(
                "busybox ping -c 5 -i 0.2 -W 5 {LAN}"
            ))));
        }
        network.detach(&name("h")).unwrap();
        assert!(is_kept_from(&task, LAN, 7003), "the task that served it is gone");
        // The host reaches its tasks, and their answers come back.
        let listener = in_namespace(&task.path, || TcpListener::bind("0.0.0.0:8000").unwrap());
        let address = fixture.address(5);
        let client = TcpStream::connect_timeout(&(address, 8000).into(), PATIENCE).unwrap();
        listener.accept().unwrap().0.write_all(b"x").unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!((&client).read(&mut [0; 1]).unwrap(), 1);
        fixture.close(network);
    });
}

#[test]
fn an_operator_may_open_everything() {
    on_a_host("open", |fixture| {
        let mut settings = fixture.settings();
        settings.host_access = HostAccess::Everything;
        let network = HostNetwork::open(settings).unwrap();
        let task = network.attach(&name("t"), &interface(&fixture, 5)).unwrap();
        serve(7002);
        assert!(task_reaches(&task, LAN, 7002));
        fixture.close(network);
    });
}

#[test]
fn metadata_services_of_clouds_are_name_servers_at_most() {
    on_a_host("clouds", |fixture| {
        let services = ["169.254.169.254", "168.63.129.16", "100.100.100.200", "169.254.1.1"];
        let services = services.map(|text| text.parse::<Ipv4Addr>().unwrap());
        let allowed = Ipv4Addr::new(169, 254, 169, 253);
        for service in services.iter().chain([&allowed]) {
            assert!(run(&format!("ip addr add {service}/32 dev lo")));
        }
        let mut settings = fixture.settings();
        // Everything of the host's, and still not these.
        settings.host_access = HostAccess::Everything;
        settings.name_servers = vec![services[1]];
        let network = HostNetwork::open(settings).unwrap();
        let task = network.attach(&name("t"), &interface(&fixture, 5)).unwrap();
        serve(80);
        serve(53);
        let gateway = fixture.address(1);
        let routes = in_namespace(&task.path, || output("ip route show"));
        assert!(routes.contains("prohibit 169.254.169.254"), "{routes}");
        assert!(!routes.contains("prohibit 168.63.129.16"), "a name server: {routes}");
        for service in services {
            // Also when the task takes its own prohibit route away.
            in_namespace(&task.path, move || {
                run(&format!("ip route del prohibit {service} 2> /dev/null"));
                assert!(run(&format!("ip route add {service} via {gateway} dev eth0 onlink")));
            });
            assert!(is_kept_from(&task, service, 80), "{service}");
            assert!(task_reaches(&task, service, 53), "{service} as a name server");
        }
        assert!(task_reaches(&task, allowed, 80), "the VPC's name server of AWS");
        fixture.close(network);
    });
}

/// What no rule is needed for.
#[test]
fn a_links_own_settings_hold_without_rules() {
    on_a_host("links", |fixture| {
        let network = fixture.open();
        let task = network.attach(&name("t"), &interface(&fixture, 5)).unwrap();
        let published = Attachment::Bridge { ports: vec![tcp(7001)] };
        let web = network.attach(&name("web"), &published).unwrap();
        let quiet = network.attach(&name("q"), &Attachment::Bridge { ports: vec![] }).unwrap();
        for (attached, localnet) in [(&task, "0"), (&quiet, "0"), (&web, "1")] {
            let link = attached.link.as_ref().unwrap();
            let read = |parameter: &str| {
                let text = fs::read_to_string(format!("/proc/sys/net/{parameter}"));
                text.unwrap_or_default().trim().to_owned()
            };
            assert_eq!(read(&format!("ipv4/conf/{link}/rp_filter")), "1");
            assert_eq!(read(&format!("ipv4/conf/{link}/route_localnet")), localnet, "{link}");
            if fs::exists("/proc/sys/net/ipv6/conf").unwrap() {
                assert_eq!(read(&format!("ipv6/conf/{link}/disable_ipv6")), "1");
            }
        }
        fixture.close(network);
    });
}

/// The rules as somebody else leaves them when he flushes all that he may.
fn check_flush(label: &'static str, before: &'static str) {
    on_a_host(label, move |fixture| {
        let table = fixture.instance().table();
        assert!(run(&before.replace("TABLE", &table)), "{before}");
        let network = fixture.open();
        let task = network.attach(&name("t"), &interface(&fixture, 5)).unwrap();
        let address = fixture.address(5).to_string();
        serve(7002);
        let victim = UdpSocket::bind((LAN, 53)).unwrap();
        victim.set_read_timeout(Some(IN_VAIN)).unwrap();
        let is_whole = || {
            let shown = output(&format!("nft list table inet {table} 2> /dev/null"));
            shown.contains(&address)
                && shown.contains("jump task_source")
                && shown.contains("masquerade")
        };
        assert!(is_whole());
        for vandal in [
            "nft flush ruleset",
            "nft delete table inet TABLE",
            "nft flush chain inet TABLE from_tasks",
            "nft flush set inet TABLE sources",
            "nft add table ip strangers",
        ] {
            run(&format!("{} 2> /dev/null", vandal.replace("TABLE", &table)));
            until(vandal, is_whole);
            assert!(is_kept_from(&task, LAN, 7002), "after {vandal}");
            let stolen = fixture.address(7);
            in_namespace(&task.path, move || {
                assert!(run(&format!("ip addr replace {stolen}/32 dev eth0")));
                let socket = UdpSocket::bind((stolen, 0)).unwrap();
                // Sending may be refused at once, which is as good.
                let _ = socket.send_to(b"spoofed", (LAN, 53));
            });
            assert!(victim.recv_from(&mut [0; 16]).is_err(), "a foreign source after {vandal}");
        }
        // A task that comes and goes is in the table, and is not.
        network.detach(&name("t")).unwrap();
        network.settle();
        let shown = output(&format!("nft list table inet {table}"));
        assert!(!shown.contains(&address), "{shown}");
        fixture.close(network);
    });
}

#[test]
fn flushed_rules_are_still_there_or_there_again() {
    check_flush("flush", "true");
    // A table of an earlier version, or an older kernel: nobody can own it.
    check_flush("unowned", "nft add table inet TABLE");
}

#[test]
fn the_table_outlives_its_process_and_is_taken_by_the_next() {
    on_a_host("orphan", |fixture| {
        let network = fixture.open();
        let task = network.attach(&name("t"), &interface(&fixture, 5)).unwrap();
        drop(network);
        let table = fixture.instance().table();
        let shown = output(&format!("nft list table inet {table}"));
        assert!(shown.contains(&fixture.address(5).to_string()), "{shown}");
        let network = fixture.open();
        assert_eq!(network.list().unwrap(), [task]);
        // An agent that stops for good has its network still open when it removes the instance.
        network.detach(&name("t")).unwrap();
        network.settle();
        network.release().unwrap();
        let runtime_directory = fixture.settings().runtime_directory;
        HostNetwork::remove_everything(fixture.instance(), &runtime_directory).unwrap();
        let tables = output("nft list tables");
        assert!(!tables.contains(&table), "{tables}");
        drop(network);
        let tables = output("nft list tables");
        assert!(!tables.contains(&table), "somebody put it back: {tables}");
    });
}

#[test]
fn a_link_that_is_anothers_is_left_alone() {
    on_a_host("clash", |fixture| {
        let network = fixture.open();
        let attach = || network.attach(&name("t"), &interface(&fixture, 5)).unwrap();
        let first = attach().link.unwrap();
        network.detach(&name("t")).unwrap();
        network.settle();
        assert!(run(&format!(
            "ip link add {first} type veth peer name other && ip link set {first} up"
        )));
        let task = attach();
        let second = task.link.clone().unwrap();
        assert_ne!(first, second);
        network.detach(&name("t")).unwrap();
        network.settle();
        assert!(run(&format!("ip link show {first}")), "the link of another is gone");
        assert!(!run(&format!("ip link show {second} 2> /dev/null")));
        // What a crash left of its own is in nobody's way.
        assert!(run(&format!("ip link del {first}")));
        let task = attach();
        let alias = fs::read_to_string(format!("/sys/class/net/{first}/ifalias"));
        assert_eq!(task.link.as_deref(), Some(first.as_str()), "{alias:?}");
        fixture.close(network);
    });
}

#[test]
fn a_host_that_was_no_router_becomes_none_for_others() {
    on_a_host("router", |fixture| {
        let forwards = || fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
        fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        let network = fixture.open();
        assert_eq!(forwards(), "1\n");
        let table = fixture.instance().table();
        let closed = || {
            let shown = output(&format!("nft list chain inet {table} forward"));
            let line = shown.lines().find(|line| line.contains("lan0") && line.contains("drop"));
            line.map(str::to_owned).unwrap_or_default()
        };
        assert!(closed().contains("lan1"), "{:?}", closed());
        // The next process knows it too.
        drop(network);
        let network = fixture.open();
        assert!(closed().contains("lan1"), "{:?}", closed());
        fixture.close(network);
        assert_eq!(forwards(), "0\n");

        // Another that starts while this one stops, sooner or later.
        let is_emulated = std::env::var_os("OUTPORT_TEST_EMULATED").is_some();
        for round in 0..if is_emulated { 3 } else { ROUNDS } {
            fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
            let network = fixture.open();
            let rival = Fixture::new("router2");
            let opened = std::thread::scope(|scope| {
                let opening = scope.spawn(|| {
                    std::thread::sleep(Duration::from_millis(2 * round));
                    rival.open()
                });
                network.close().unwrap();
                opening.join().unwrap()
            });
            assert_eq!(forwards(), "1\n");
            rival.close(opened);
        }
        fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();

        // Somebody else came to use it meanwhile.
        let network = fixture.open();
        assert!(run("ip link add docker9 type veth peer name docker9p"));
        assert!(!closed().contains("docker9"));
        fixture.close(network);
        assert_eq!(forwards(), "1\n");
        // Who finds it on closes nothing.
        let network = fixture.open();
        assert_eq!(closed(), "");
        fixture.close(network);
    });
}
