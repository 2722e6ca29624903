//! The text of the instance's table.
//!
//! | chain | hook | what |
//! |---|---|---|
//! | `from_tasks` | prerouting, raw | anti-spoofing; the host's loopback, metadata services of clouds and IPv6 are dropped |
//! | `published`, `published_here` | prerouting and output, nat | published ports, from outside and from the host itself; what is published on loopback only, from the host itself |
//! | `input` | input, filter | what a task reaches on the host itself |
//! | `forward` | forward, filter | who may reach a task |
//! | `to_others` | from `forward` | where a task may go beside other tasks: not to bridges of other containers |
//! | `security_groups` | from `forward` | between tasks of the VPC: the place of the rules of security groups |
//! | `leaving` | postrouting, nat | masquerade to the outside; published ports from loopback and hairpin |
//!
//! **Invariant:** what a task may reach on the host is listed here, in `to_host`; everything else that is the host's
//! is dropped, on whichever of its addresses.

use crate::attachment::TransportProtocol;
use crate::instance::{InvalidName, invalid};
use ipnet::Ipv4Net;
use std::fmt::Write;
use std::net::Ipv4Addr;

/// Where clouds keep credentials and data of the machine: link-local addresses but the two that AWS gives to tasks
/// (169.254.170.2, task metadata; 169.254.169.253, the VPC's name server), Azure's 168.63.129.16 and Alibaba's
/// 100.100.100.200. Some of them are name servers too, and only that to tasks.
/// Sources: "Amazon ECS task metadata endpoint", "Amazon DNS server", "What is IP address 168.63.129.16?" of Azure,
/// "View instance metadata" of Alibaba Cloud.
const METADATA: &str = "169.254.0.0-169.254.169.252, 169.254.169.254-169.254.170.1, \
                        169.254.170.3-169.254.255.255, 168.63.129.16, 100.100.100.200";

/// What the table depends on.
#[derive(Debug, Clone)]
pub struct Ruleset {
    /// The table's name.
    pub table: String,
    /// What the instance's links begin with.
    pub link_prefix: String,
    /// Addresses of `awsvpc` tasks.
    pub vpc_cidr: Ipv4Net,
    /// Addresses of `bridge` containers.
    pub bridge_cidr: Ipv4Net,
    /// The host's own address in the VPC.
    pub router: Ipv4Addr,
    /// Where 169.254.170.2:80 leads, on that address.
    pub metadata_port: Option<u16>,
    /// What else tasks may reach on the host.
    pub host_access: HostAccess,
    /// Links between which nothing was forwarded before this instance turned forwarding on.
    pub closed_links: Vec<String>,
}

/// What tasks may reach on the host beside name servers, an answer to a ping and their metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostAccess {
    /// These ports.
    Ports(Vec<(TransportProtocol, u16)>),
    /// Everything that listens on an address other than loopback.
    Everything,
}

impl HostAccess {
    /// From the words of a command line: `8080` or `tcp/8080`, `udp/514`, and `all`.
    ///
    /// # Errors
    /// The word that is none of these.
    pub fn parse(words: &[String]) -> Result<HostAccess, InvalidName> {
        if words.iter().any(|word| word == "all") {
            return Ok(HostAccess::Everything);
        }
        let port = |word: &String| {
            let (protocol, port) = word.split_once('/').unwrap_or(("tcp", word));
            let protocol = match protocol {
                "tcp" => TransportProtocol::Tcp,
                "udp" => TransportProtocol::Udp,
                _ => return Err(invalid(word)),
            };
            match port.parse() {
                Ok(port) if port > 0 => Ok((protocol, port)),
                _ => Err(invalid(word)),
            }
        };
        words.iter().map(port).collect::<Result<Vec<_>, _>>().map(HostAccess::Ports)
    }

    /// Opens one port more.
    #[must_use]
    pub fn with(self, protocol: TransportProtocol, port: u16) -> HostAccess {
        match self {
            HostAccess::Ports(mut ports) => {
                ports.push((protocol, port));
                HostAccess::Ports(ports)
            }
            HostAccess::Everything => HostAccess::Everything,
        }
    }
}

/// A script that makes the chains and rules of a table that is there, and keeps its elements.
pub fn ruleset_text(ruleset: &Ruleset) -> String {
    let Ruleset {
        table,
        link_prefix,
        vpc_cidr,
        bridge_cidr,
        router,
        metadata_port,
        host_access,
        ..
    } = ruleset;
    let tasks = format!("\"{link_prefix}*\"");
    let metadata = metadata_port.map_or_else(String::new, |port| {
        format!(
            "iifname {tasks} ip daddr 169.254.170.2 tcp dport 80 dnat ip to 169.254.170.2:{port}"
        )
    });
    let mut script = Script { table, text: format!("flush table inet {table}\n") };
    script.set("set", "sources", "type ifname . ipv4_addr;");
    script.set("set", "hairpin", "type ipv4_addr . ipv4_addr;");
    script.set("set", "served", "type inet_proto . inet_service;");
    script.set("set", "outward", "type ifname;");
    for map in ["ports", "loopback"] {
        script.set("map", map, "type inet_proto . inet_service : ipv4_addr . inet_service;");
    }
    script.chain("cloud_metadata", "", &["meta l4proto { tcp, udp } th dport 53 return", "drop"]);
    script.chain(
        "task_source",
        "",
        &[
            "meta nfproto ipv6 drop",
            "iifname . ip saddr != @sources drop",
            "ip daddr 127.0.0.0/8 drop",
            &format!("ip daddr {{ {METADATA} }} jump cloud_metadata"),
        ],
    );
    script.chain(
        "from_tasks",
        "type filter hook prerouting priority raw; policy accept;",
        &[&format!("iifname {tasks} jump task_source")],
    );
    let to_published = "fib daddr type local dnat ip to meta l4proto . th dport map @ports";
    script.chain(
        "published",
        "type nat hook prerouting priority dstnat; policy accept;",
        &[&metadata, to_published],
    );
    script.chain(
        "published_here",
        "type nat hook output priority -100; policy accept;",
        // What is published on loopback only is for who sends from this host, and found by nobody else.
        &[to_published, "ip daddr 127.0.0.1 dnat ip to meta l4proto . th dport map @loopback"],
    );
    let host_access: Vec<String> = match host_access {
        HostAccess::Everything => vec!["accept".to_owned()],
        HostAccess::Ports(ports) => {
            let accept = |(protocol, port): &_| format!("{protocol} dport {port} accept");
            ports.iter().map(accept).chain(["drop".to_owned()]).collect()
        }
    };
    let mut to_host = vec![
        "ct state established,related accept",
        "ip daddr 169.254.170.2 ct status dnat accept",
        "ip daddr 169.254.170.2 drop",
        "meta l4proto { tcp, udp } th dport 53 accept",
        "icmp type echo-request accept",
        "meta l4proto . th dport @served accept",
    ];
    to_host.extend(host_access.iter().map(String::as_str));
    script.chain("to_host", "", &to_host);
    script.chain(
        "input",
        "type filter hook input priority filter; policy accept;",
        &[&format!("iifname {tasks} jump to_host")],
    );
    forwarded(&mut script, &tasks, ruleset);
    script.chain(
        "leaving",
        "type nat hook postrouting priority srcnat; policy accept;",
        &[
            &format!("oifname {tasks} ip saddr . ip daddr @hairpin snat ip to {router}"),
            &format!("oifname {tasks} ip saddr 127.0.0.0/8 snat ip to {router}"),
            &format!(
                "ip saddr {{ {vpc_cidr}, {bridge_cidr} }} ip saddr != {router} oifname != {tasks} oifname != \"lo\" masquerade"
            ),
        ],
    );
    script.text
}

fn forwarded(script: &mut Script<'_>, tasks: &str, ruleset: &Ruleset) {
    let Ruleset { vpc_cidr, bridge_cidr, closed_links, .. } = ruleset;
    script.chain("security_groups", "", &["accept"]);
    script.chain(
        "between_tasks",
        "",
        &[
            &format!("ip saddr {vpc_cidr} ip daddr {vpc_cidr} jump security_groups"),
            &format!("ip saddr {bridge_cidr} ip daddr {bridge_cidr} accept"),
            "ct status dnat accept",
            "drop",
        ],
    );
    script.chain(
        "to_tasks",
        "",
        &[&format!("iifname {tasks} jump between_tasks"), "ct status dnat accept", "drop"],
    );
    // What is published there is reached as from anywhere: its address was translated by who published it.
    script.chain(
        "to_others",
        "",
        &["ct status dnat accept", "oifname @outward accept", "meta oifkind \"bridge\" drop"],
    );
    let closed: Vec<String> = closed_links.iter().map(|link| format!("\"{link}\"")).collect();
    let closed = closed.join(", ");
    let closed = match closed.as_str() {
        "" => String::new(),
        links => format!("iifname {{ {links} }} oifname {{ {links} }} drop"),
    };
    script.chain(
        "forward",
        "type filter hook forward priority filter; policy accept;",
        &[
            &closed,
            "ct state established,related accept",
            &format!("oifname {tasks} jump to_tasks"),
            &format!("iifname {tasks} jump to_others"),
        ],
    );
}

/// Flat commands: a block would name the table's flags, which are not nft's to set.
struct Script<'s> {
    table: &'s str,
    text: String,
}

impl Script<'_> {
    fn set(&mut self, kind: &str, name: &str, definition: &str) {
        let table = self.table;
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "add {kind} inet {table} {name} {{ {definition} }}");
    }

    fn chain(&mut self, name: &str, hook: &str, rules: &[&str]) {
        let table = self.table;
        let hook = if hook.is_empty() { String::new() } else { format!(" {{ {hook} }}") };
        let _ = writeln!(self.text, "add chain inet {table} {name}{hook}");
        for rule in rules.iter().filter(|rule| !rule.is_empty()) {
            let _ = writeln!(self.text, "add rule inet {table} {name} {rule}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &str, expected: Option<HostAccess>) {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        assert_eq!(HostAccess::parse(&words).ok(), expected, "{words:?}");
    }

    #[test]
    fn ports_are_opened_by_words_that_are_no_rules() {
        use TransportProtocol::{Tcp, Udp};
        check("", Some(HostAccess::Ports(Vec::new())));
        check("8080 udp/514", Some(HostAccess::Ports(vec![(Tcp, 8080), (Udp, 514)])));
        check("tcp/1 all", Some(HostAccess::Everything));
        for word in ["0", "65536", "sctp/1", "tcp/", "/1", "tcp/1;flush", "ALL"] {
            check(word, None);
        }
        let opened = HostAccess::Ports(Vec::new()).with(Tcp, 4566);
        assert_eq!(opened, HostAccess::Ports(vec![(Tcp, 4566)]));
    }
}
