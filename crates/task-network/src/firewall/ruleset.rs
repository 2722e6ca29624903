//! The text of the instance's table.
//!
//! | chain | hook | what |
//! |---|---|---|
//! | `from_tasks` | prerouting, raw | anti-spoofing; 169.254.169.254, the host's loopback and IPv6 are dropped |
//! | `published`, `published_here` | prerouting and output, nat | published ports, from outside and from the host itself |
//! | `input` | input, filter | 169.254.170.2 answers on its own port only |
//! | `forward` | forward, filter | who may reach a task |
//! | `security_groups` | from `forward` | between tasks of the VPC: the place of the rules of security groups |
//! | `leaving` | postrouting, nat | masquerade to the outside; published ports from loopback and hairpin |

use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

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
}

/// A script that makes the table, or renews its rules and keeps its elements.
pub fn ruleset_text(ruleset: &Ruleset) -> String {
    let Ruleset { table, link_prefix, vpc_cidr, bridge_cidr, router, metadata_port } = ruleset;
    let tasks = format!("\"{link_prefix}*\"");
    let metadata = metadata_port.map_or_else(String::new, |port| {
        format!(
            "iifname {tasks} ip daddr 169.254.170.2 tcp dport 80 dnat ip to 169.254.170.2:{port}"
        )
    });
    format!(
        r#"add table inet {table}
flush table inet {table}
table inet {table} {{
    set sources {{ type ifname . ipv4_addr; }}
    set hairpin {{ type ipv4_addr . ipv4_addr; }}
    map ports {{ type inet_proto . inet_service : ipv4_addr . inet_service; }}

    chain task_source {{
        meta nfproto ipv6 drop
        iifname . ip saddr != @sources drop
        ip daddr {{ 127.0.0.0/8, 169.254.169.254 }} drop
    }}
    chain from_tasks {{
        type filter hook prerouting priority raw; policy accept;
        iifname {tasks} jump task_source
    }}
    chain published {{
        type nat hook prerouting priority dstnat; policy accept;
        {metadata}
        fib daddr type local dnat ip to meta l4proto . th dport map @ports
    }}
    chain published_here {{
        type nat hook output priority -100; policy accept;
        fib daddr type local dnat ip to meta l4proto . th dport map @ports
    }}
    chain input {{
        type filter hook input priority filter; policy accept;
        iifname {tasks} ip daddr 169.254.170.2 ct status dnat accept
        iifname {tasks} ip daddr 169.254.170.2 drop
    }}
    chain security_groups {{
        accept
    }}
    chain between_tasks {{
        ip saddr {vpc_cidr} ip daddr {vpc_cidr} jump security_groups
        ip saddr {bridge_cidr} ip daddr {bridge_cidr} accept
        ct status dnat accept
        drop
    }}
    chain to_tasks {{
        iifname {tasks} jump between_tasks
        ct status dnat accept
        drop
    }}
    chain forward {{
        type filter hook forward priority filter; policy accept;
        ct state established,related accept
        oifname {tasks} jump to_tasks
    }}
    chain leaving {{
        type nat hook postrouting priority srcnat; policy accept;
        oifname {tasks} ip saddr . ip daddr @hairpin snat ip to {router}
        oifname {tasks} ip saddr 127.0.0.0/8 snat ip to {router}
        ip saddr {{ {vpc_cidr}, {bridge_cidr} }} ip saddr != {router} oifname != {tasks} oifname != "lo" masquerade
    }}
}}
"#
    )
}
