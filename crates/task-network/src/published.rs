//! Ports of the host that lead to the ports of a task with an address of its own: what is asked for, and which they are.
//!
//! They are a convenience, so they fit in between what is there: one is looked for that nobody has, and one that a task has
//! a claim to (network modes `bridge` and `host`) is given up.
//!
//! | the task's port | the host's port |
//! |---|---|
//! | one that asks for a port of the host | that one, if nobody has it; before all others are given theirs |
//! | 1024 to 32767 | the same one, if nobody has it |
//! | any other, and where somebody has it | 10000 + the port (modulo 10,000), or the first behind it up to 19999, and round |
//!
//! **Invariant:** a port that was chosen stays the task's as long as it can be held, whatever becomes free meanwhile; but one that
//! the task asks for is taken as soon as it is free.

use crate::attachment::{PortMapping, TransportProtocol};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// The task's ports that are looked for under their own number. Those below are for who administers the host, those above
/// are given to programs that ask for any.
const SAME_NUMBER: RangeInclusive<u16> = 1_024..=32_767;
/// Where the others are looked for: the number of the task's port can still be read in them.
const OTHERS_FIRST: u16 = 10_000;
const OTHERS_COUNT: u16 = 10_000;

/// On which of the host's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PublishScope {
    /// 127.0.0.1 only: for programs of the host itself.
    Loopback,
    /// All of them, as the ports of a `bridge` container.
    Everywhere,
}

/// What is to be published of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Where.
    pub scope: PublishScope,
    /// The ports in the namespace; none takes back what is published.
    pub ports: Vec<WantedPort>,
}

/// A port in a namespace that is to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedPort {
    /// Its protocol.
    pub protocol: TransportProtocol,
    /// The port in the namespace.
    pub container_port: u16,
    /// The port of the host that is tried before others; a wish, as all of them.
    pub host_port: Option<u16>,
}

/// What is published of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Where.
    pub scope: PublishScope,
    /// Which ports of the host lead to which of the namespace.
    pub ports: Vec<PortMapping>,
}

/// A port of the host for each port that is wanted: the one that it asks for, else the one of `before` if it can still be had,
/// else the next that can. What finds none is left out. `can_have` may be asked for the same one twice.
pub fn plan(
    wanted: &[WantedPort],
    before: &[PortMapping],
    mut can_have: impl FnMut(TransportProtocol, u16) -> bool,
) -> Vec<PortMapping> {
    let mut ports: Vec<PortMapping> = Vec::with_capacity(wanted.len());
    // Each once; the first that asks counts.
    let mut asked: BTreeMap<(TransportProtocol, u16), Option<u16>> = BTreeMap::new();
    for one in wanted {
        let asks = asked.entry((one.protocol, one.container_port)).or_default();
        *asks = asks.or(one.host_port);
    }
    for mapping in before {
        let protocol = mapping.protocol;
        let Some(asks) = asked.get(&(protocol, mapping.container_port)) else { continue };
        // Not in place of another port of the task's own.
        let is_anothers = |port: u16| {
            before.iter().any(|other| (other.protocol, other.host_port) == (protocol, port))
        };
        match asks.filter(|port| !is_anothers(*port) && can_have(protocol, *port)) {
            Some(host_port) => ports.push(PortMapping { host_port, ..*mapping }),
            None if can_have(protocol, mapping.host_port) => ports.push(*mapping),
            None => {}
        }
    }
    let (asking, others): (Vec<_>, Vec<_>) =
        asked.into_iter().partition(|(_, host_port)| host_port.is_some());
    for ((protocol, container_port), host_port) in asking.into_iter().chain(others) {
        let is_kept =
            |one: &PortMapping| (one.protocol, one.container_port) == (protocol, container_port);
        if ports.iter().any(is_kept) {
            continue;
        }
        let is_given =
            |port: u16| ports.iter().any(|one| (one.protocol, one.host_port) == (protocol, port));
        let chosen = candidates(container_port, host_port)
            .find(|port| !is_given(*port) && can_have(protocol, *port));
        ports.extend(chosen.map(|host_port| PortMapping { protocol, host_port, container_port }));
    }
    ports
}

fn candidates(container_port: u16, asked: Option<u16>) -> impl Iterator<Item = u16> {
    let same = Some(container_port).filter(|port| SAME_NUMBER.contains(port));
    let others = (0..OTHERS_COUNT)
        .map(move |step| OTHERS_FIRST + (container_port % OTHERS_COUNT + step) % OTHERS_COUNT);
    asked.into_iter().chain(same).chain(others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use TransportProtocol::{Tcp, Udp};

    /// What is wanted, `80 53/udp` or with what it asks for, `8080:80`; what was before, `host:container`; the ports that cannot be had -> `host:container`.
    #[track_caller]
    fn check(wanted: &str, before: &str, taken: impl Fn(u16) -> bool, expected: &str) {
        let protocol_of = |text: &str| if text.ends_with("/udp") { Udp } else { Tcp };
        let number = |text: &str| text.trim_end_matches("/udp").parse().unwrap();
        let wanted: Vec<_> = wanted
            .split_whitespace()
            .map(|text| {
                let (asked, port) =
                    text.split_once(':').map_or((None, text), |(asked, port)| (Some(asked), port));
                let host_port = asked.map(number);
                WantedPort { protocol: protocol_of(text), container_port: number(port), host_port }
            })
            .collect();
        let before: Vec<PortMapping> = before
            .split_whitespace()
            .map(|text| {
                let (host, container) = text.split_once(':').unwrap();
                let (host_port, container_port) = (number(host), number(container));
                PortMapping { protocol: protocol_of(text), host_port, container_port }
            })
            .collect();
        let planned = plan(&wanted, &before, |_, port| !taken(port));
        let words = planned.iter().map(|one| {
            let udp = if one.protocol == Udp { "/udp" } else { "" };
            format!("{}:{}{udp}", one.host_port, one.container_port)
        });
        assert_eq!(words.collect::<Vec<_>>().join(" "), expected);
    }

    #[test]
    fn a_port_keeps_its_number_where_it_can_and_shows_it_where_it_cannot() {
        check("8080 80", "", |_| false, "10080:80 8080:8080");
        check("8080", "", |port| port == 8080, "18080:8080");
        check("8080", "", |port| [8080, 18080, 18081].contains(&port), "18082:8080");
        check(
            "1023 1024 32767 32768",
            "",
            |_| false,
            "11023:1023 1024:1024 32767:32767 12768:32768",
        );
        check("9999", "", |port| [9999, 19_999].contains(&port), "10000:9999");
    }

    #[test]
    fn a_task_keeps_its_ports_though_better_ones_are_free_by_now() {
        check("8080", "18080:8080", |_| false, "18080:8080");
        check("8080", "18080:8080", |port| port == 18080, "8080:8080");
        check("8080 8081", "8080:8081", |_| false, "8080:8081 18080:8080");
        check("8080", "8080:8080 8081:8081", |_| false, "8080:8080");
    }

    #[test]
    fn protocols_have_ports_of_their_own_and_nothing_is_given_twice() {
        check("53 53/udp", "", |_| false, "10053:53 10053:53/udp");
        check("10080 80", "", |_| false, "10080:80 10081:10080");
        check("80 80", "", |_| false, "10080:80");
    }

    #[test]
    fn who_asks_for_a_port_comes_first_and_takes_another_if_it_is_taken() {
        check("8080:80", "", |_| false, "8080:80");
        check("80:80 443:8443", "", |_| false, "80:80 443:8443");
        check("80 40000:8080", "", |_| false, "40000:8080 10080:80");
        check("8080 8080:80", "", |_| false, "8080:80 18080:8080");
        check("8080:80", "", |port| port == 8080, "10080:80");
        check("8080:80", "10080:80", |_| false, "8080:80");
        check("8080:80", "10080:80", |port| port == 8080, "10080:80");
        check("8080:80 8080", "10080:80 8080:8080", |_| false, "10080:80 8080:8080");
        check("80 8080:80 9090:80", "", |_| false, "8080:80");
        check("53:5353/udp 53:5353", "", |_| false, "53:5353 53:5353/udp");
    }

    #[test]
    fn what_finds_no_port_is_left_out() {
        check("80 8080", "", |port| port != 8080, "8080:8080");
        check("80", "", |_| true, "");
        check("", "8080:8080", |_| false, "");
    }
}
