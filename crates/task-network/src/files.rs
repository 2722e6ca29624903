//! The files of a task that belong to its network: `/etc/hosts`, `/etc/resolv.conf`, `/etc/hostname`. Pure text.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

/// glibc reads three name servers.
const NAMESERVERS_MAX: usize = 3;

/// The name that EC2 gives a private address: `ip-172-31-0-9.ec2.internal` in us-east-1, elsewhere
/// `ip-172-31-0-9.<region>.compute.internal`.
pub fn private_dns_name(address: Ipv4Addr, region: &str) -> String {
    let [a, b, c, d] = address.octets();
    format!("ip-{a}-{b}-{c}-{d}.{}", private_dns_domain(region))
}

fn private_dns_domain(region: &str) -> String {
    match region {
        "us-east-1" => "ec2.internal".to_owned(),
        region => format!("{region}.compute.internal"),
    }
}

/// `/etc/hosts`: loopback, the task's own name, then extra hosts (`extraHosts`) as `(name, address)`.
pub fn hosts_file(own: Option<(Ipv4Addr, &str)>, extra_hosts: &[(String, IpAddr)]) -> String {
    let mut text = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n".to_owned();
    let own = own.map(|(address, name)| (name.to_owned(), IpAddr::V4(address)));
    for (name, address) in own.iter().chain(extra_hosts) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{address} {name}");
    }
    text
}

/// `/etc/hosts` of a task on the host's own network: the host's, then extra hosts. As Docker makes it.
pub fn hosts_file_of_host(host: &str, extra_hosts: &[(String, IpAddr)]) -> String {
    if host.trim().is_empty() {
        return hosts_file(None, extra_hosts);
    }
    let mut text = host.trim_end().to_owned();
    text.push('\n');
    for (name, address) in extra_hosts {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{address} {name}");
    }
    text
}

/// `/etc/hostname`.
pub fn hostname_file(hostname: &str) -> String {
    format!("{hostname}\n")
}

/// `/etc/resolv.conf`. At most three servers are written.
pub fn resolv_conf_file(servers: &[IpAddr], search: &[String], options: &[String]) -> String {
    let mut text = String::new();
    if !search.is_empty() {
        let _ = writeln!(text, "search {}", search.join(" "));
    }
    for server in servers.iter().take(NAMESERVERS_MAX) {
        let _ = writeln!(text, "nameserver {server}");
    }
    if !options.is_empty() {
        let _ = writeln!(text, "options {}", options.join(" "));
    }
    text
}

/// The IPv4 name servers that a task can reach, out of the host's resolv.conf files in order of preference (the host's
/// own, then systemd-resolved's `/run/systemd/resolve/resolv.conf`). Servers on the host's loopback are left out: they
/// do not exist in a namespace. Empty when there is none.
pub fn nameservers(resolv_confs: &[&str]) -> Vec<IpAddr> {
    let usable = |text: &&str| -> Vec<IpAddr> {
        text.lines()
            .filter_map(|line| line.strip_prefix("nameserver")?.trim().parse::<Ipv4Addr>().ok())
            .filter(|address| !address.is_loopback() && !address.is_unspecified())
            .take(NAMESERVERS_MAX)
            .map(IpAddr::V4)
            .collect()
    };
    resolv_confs.iter().map(usable).find(|servers| !servers.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_knows_its_own_name() {
        let address = Ipv4Addr::new(172, 31, 0, 9);
        let name = private_dns_name(address, "us-east-1");
        assert_eq!(name, "ip-172-31-0-9.ec2.internal");
        assert_eq!(
            private_dns_name(address, "eu-west-1"),
            "ip-172-31-0-9.eu-west-1.compute.internal"
        );
        let extra = [("db".to_owned(), "10.0.0.1".parse().unwrap())];
        assert_eq!(
            hosts_file(Some((address, &name)), &extra),
            "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n\
             172.31.0.9 ip-172-31-0-9.ec2.internal\n10.0.0.1 db\n"
        );
        assert_eq!(hostname_file(&name), "ip-172-31-0-9.ec2.internal\n");
    }

    #[test]
    fn a_task_on_the_hosts_network_has_the_hosts_names() {
        let extra = [("db".to_owned(), "10.0.0.1".parse().unwrap())];
        assert_eq!(
            hosts_file_of_host("127.0.0.1 localhost\n192.0.2.2 box", &extra),
            "127.0.0.1 localhost\n192.0.2.2 box\n10.0.0.1 db\n"
        );
        assert_eq!(hosts_file_of_host(" \n", &extra), hosts_file(None, &extra));
    }

    #[track_caller]
    fn check(resolv_confs: &[&str], expected: &[&str]) {
        let expected: Vec<IpAddr> = expected.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(nameservers(resolv_confs), expected, "{resolv_confs:?}");
    }

    #[test]
    fn name_servers_on_loopback_are_passed_over() {
        check(&["nameserver 8.8.8.8\nnameserver 1.1.1.1\n"], &["8.8.8.8", "1.1.1.1"]);
        check(&["# x\nnameserver 127.0.0.53\n", "nameserver 10.0.0.2\n"], &["10.0.0.2"]);
        check(&["nameserver ::1\nnameserver 127.0.0.1"], &[]);
        check(&[], &[]);
        check(&["nameserver 1.1.1.1\n".repeat(9).as_str()], &["1.1.1.1"; 3]);
    }

    #[test]
    fn a_resolv_conf_has_only_what_there_is() {
        let servers = ["10.0.0.2".parse().unwrap()];
        let search = ["ec2.internal".to_owned()];
        assert_eq!(
            resolv_conf_file(&servers, &search, &["ndots:2".to_owned()]),
            "search ec2.internal\nnameserver 10.0.0.2\noptions ndots:2\n"
        );
        assert_eq!(resolv_conf_file(&[], &[], &[]), "");
    }
}
