//! Tasks beside other engines' firewalls and networks: on hosts of their own, with root, `nft`, `iptables` and `ip`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test says what it left out")]
#![allow(dead_code, reason = "shared with the other tests of the network")]

mod support;

use std::net::Ipv4Addr;
use support::{Fixture, fetch, fetch_in_vain, in_namespace, interface, name, run, serve};

/// In a host of its own: a policy of DROP would be in the way of everybody else.
#[track_caller]
fn check_drop_policy(instance: &'static str, rules: &'static str) {
    let fixture = Fixture::new(instance);
    let host = support::ScratchHost::new(instance);
    in_namespace(host.path(), move || {
        assert!(run("ip link set lo up"));
        assert!(run(rules), "{rules}");
        let network = fixture.open();
        let one = network.attach(&name("one"), &interface(&fixture, 5)).unwrap();
        let two = network.attach(&name("two"), &interface(&fixture, 6)).unwrap();
        serve(&two.path, 8000, "two");
        let target = fixture.address(6);
        let answer = in_namespace(&one.path, move || fetch(target, 8000));
        assert!(answer.is_ok(), "{rules}: {answer:?}");
        network.restore_rules().unwrap();
        assert_eq!(support::output("iptables -S").matches("outport").count(), 2);
        network.close().unwrap();
        assert_eq!(support::output("iptables -S").matches("outport").count(), 0);
    });
}

#[test]
fn tasks_pass_a_forward_policy_of_drop() {
    check_drop_policy("drop", "iptables -P FORWARD DROP");
    check_drop_policy(
        "docker",
        "iptables -P FORWARD DROP && iptables -N DOCKER-USER && iptables -A FORWARD -j DOCKER-USER",
    );
}

/// Another engine's network on a host of its own: a bridge with a container behind it, which its firewall opens to nobody
/// but by what is published; and a bridge that leads to the outside.
#[test]
fn tasks_do_not_reach_into_the_networks_of_other_engines() {
    const PORT: u16 = 5432;
    let (container, neighbour) = (Ipv4Addr::new(198, 51, 100, 2), Ipv4Addr::new(203, 0, 113, 2));
    let fixture = Fixture::new("foreign");
    let host = support::ScratchHost::new("foreign");
    let inner = support::ScratchHost::new("foreign-c");
    let outer = support::ScratchHost::new("foreign-o");
    let join = |bridge: &str, path: &std::path::Path, address: Ipv4Addr, gateway: &str| {
        let namespace = path.file_name().unwrap().to_str().unwrap();
        format!(
            "ip link add {bridge} type bridge && ip addr add {gateway}/24 dev {bridge} && \
             ip link set {bridge} up && ip link add {bridge}p type veth peer name eth0 netns {namespace} && \
             ip link set {bridge}p master {bridge} up && ip -n {namespace} link set eth0 up && \
             ip -n {namespace} addr add {address}/24 dev eth0 && \
             ip -n {namespace} route add default via {gateway}"
        )
    };
    let bridges = [
        join("br-foreign", inner.path(), container, "198.51.100.1"),
        join("br-uplink", outer.path(), neighbour, "203.0.113.1"),
    ];
    in_namespace(host.path(), move || {
        assert!(run("ip link set lo up"));
        for command in &bridges {
            assert!(run(command), "{command}");
        }
        // As Docker has it, and as it publishes a port.
        assert!(run("iptables -P FORWARD DROP && iptables -N DOCKER-USER && \
                     iptables -A FORWARD -j DOCKER-USER && \
                     iptables -A FORWARD -d 198.51.100.2 -p tcp --dport 5433 -j ACCEPT && \
                     iptables -t nat -A PREROUTING -p tcp -m addrtype --dst-type LOCAL --dport 8088 \
                     -j DNAT --to-destination 198.51.100.2:5433"));
        assert!(run("ip route add default via 203.0.113.2"));
        let network = fixture.open();
        let task = network.attach(&name("t"), &interface(&fixture, 5)).unwrap();
        serve(inner.path(), PORT, "private");
        serve(inner.path(), PORT + 1, "published");
        serve(outer.path(), PORT, "outside");
        let reach = |address: Ipv4Addr, port: u16| {
            let text = in_namespace(&task.path, move || fetch(address, port)).unwrap();
            text.split(' ').next().unwrap().to_owned()
        };
        let is_kept_from = |address: Ipv4Addr, port: u16| {
            let refused = in_namespace(&task.path, move || fetch_in_vain(address, port));
            assert!(refused.is_err(), "{address}:{port} answered {refused:?}");
        };
        assert_eq!(reach(neighbour, PORT), "outside", "a bridge is the way out");
        assert_eq!(reach(network.router_address(), 8088), "published");
        // A private port of another engine's container.
        is_kept_from(container, PORT);

        // Later the way out is another.
        assert!(run("ip route replace default via 198.51.100.2"));
        network.restore_rules().unwrap();
        assert_eq!(reach(container, PORT), "private");
        is_kept_from(neighbour, PORT);
        network.close().unwrap();
    });
}
