//! Elements of the table's sets, as nf_tables encodes them: the fields of a concatenated key are padded to four bytes
//! each, addresses and ports in network order.

use super::socket::{attribute, terminated};
use crate::attachment::{PortMapping, TransportProtocol};
use std::collections::HashSet;
use std::net::Ipv4Addr;

const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
const NFTA_SET_ELEM_LIST_SET: u16 = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_DATA: u16 = 2;
const NFTA_DATA_VALUE: u16 = 1;
const NLA_F_NESTED: u16 = 0x8000;
const IFNAME_BYTES: usize = 16;

/// One element of one of the table's sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Element {
    /// `sources`: this link may send from this address.
    Source { link: String, address: Ipv4Addr },
    /// `hairpin`: this address may reach itself through a published port.
    Hairpin { address: Ipv4Addr },
    /// `served`: tasks reach this port of the host, where a task without a namespace of its own serves.
    Served { protocol: TransportProtocol, port: u16 },
    /// `ports`: this host port leads to this address.
    Port { mapping: PortMapping, address: Ipv4Addr },
    /// `loopback`: this port of 127.0.0.1 leads to this address.
    Loopback { mapping: PortMapping, address: Ipv4Addr },
    /// `outward`: this bridge leads to the outside.
    Outward { link: String },
}

/// All sets and maps of the table.
const SETS: [(&str, &str); 6] = [
    ("set", "sources"),
    ("set", "hairpin"),
    ("set", "served"),
    ("set", "outward"),
    ("map", "ports"),
    ("map", "loopback"),
];

/// Commands that make these all the elements that the sets have, for the transaction that writes the rules: what a task
/// left that ended while nobody looked is gone with it. Of two with one key the first counts.
pub fn elements_text(table: &str, elements: &[Element]) -> String {
    let mut text = String::new();
    for (kind, set) in SETS {
        text += &format!("flush {kind} inet {table} {set}\n");
    }
    let mut known = HashSet::new();
    for element in elements.iter().filter(|one| known.insert((one.set(), one.key()))) {
        if let Some(words) = element.words() {
            text += &format!("add element inet {table} {} {{ {words} }}\n", element.set());
        }
    }
    text
}

impl Element {
    fn set(&self) -> &'static str {
        match self {
            Element::Source { .. } => "sources",
            Element::Hairpin { .. } => "hairpin",
            Element::Served { .. } => "served",
            Element::Port { .. } => "ports",
            Element::Loopback { .. } => "loopback",
            Element::Outward { .. } => "outward",
        }
    }

    /// As `nft` writes it; `None` for a name of a link that is no plain word: it goes into a script.
    fn words(&self) -> Option<String> {
        let quoted = |link: &str| is_plain(link).then(|| format!("\"{link}\""));
        Some(match self {
            Element::Source { link, address } => format!("{} . {address}", quoted(link)?),
            Element::Hairpin { address } => format!("{address} . {address}"),
            Element::Served { protocol, port } => format!("{protocol} . {port}"),
            Element::Port { mapping, address } | Element::Loopback { mapping, address } => {
                let PortMapping { protocol, host_port, container_port } = mapping;
                format!("{protocol} . {host_port} : {address} . {container_port}")
            }
            Element::Outward { link } => quoted(link)?,
        })
    }

    fn key(&self) -> Vec<u8> {
        match self {
            Element::Source { link, address } => {
                let mut key = name_of_link(link);
                key.extend_from_slice(&address.octets());
                key
            }
            Element::Outward { link } => name_of_link(link),
            Element::Hairpin { address } => [address.octets(), address.octets()].concat(),
            Element::Served { protocol, port } => protocol_and_port(*protocol, *port),
            Element::Port { mapping, .. } | Element::Loopback { mapping, .. } => {
                protocol_and_port(mapping.protocol, mapping.host_port)
            }
        }
    }

    fn mapped(&self) -> Option<Vec<u8>> {
        match self {
            Element::Port { mapping, address } | Element::Loopback { mapping, address } => {
                let [high, low] = mapping.container_port.to_be_bytes();
                let mut mapped = address.octets().to_vec();
                mapped.extend_from_slice(&[high, low, 0, 0]);
                Some(mapped)
            }
            _ => None,
        }
    }
}

fn name_of_link(link: &str) -> Vec<u8> {
    let length = link.len().min(IFNAME_BYTES - 1);
    let mut name = vec![0; IFNAME_BYTES];
    name[..length].copy_from_slice(&link.as_bytes()[..length]);
    name
}

/// Whether a link's name means nothing else in a script.
pub fn is_plain(link: &str) -> bool {
    link.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@:".contains(&byte))
}

fn protocol_and_port(protocol: TransportProtocol, port: u16) -> Vec<u8> {
    let protocol = match protocol {
        TransportProtocol::Tcp => 6,
        TransportProtocol::Udp => 17,
    };
    let [high, low] = port.to_be_bytes();
    vec![protocol, 0, 0, 0, high, low, 0, 0]
}

/// The attributes of a request about one element.
pub(super) fn list(table: &str, element: &Element) -> Vec<u8> {
    let mut entry =
        attribute(NFTA_SET_ELEM_KEY | NLA_F_NESTED, &attribute(NFTA_DATA_VALUE, &element.key()));
    if let Some(mapped) = element.mapped() {
        let value = attribute(NFTA_DATA_VALUE, &mapped);
        entry.extend(attribute(NFTA_SET_ELEM_DATA | NLA_F_NESTED, &value));
    }
    let mut body = attribute(NFTA_SET_ELEM_LIST_TABLE, &terminated(table));
    body.extend(attribute(NFTA_SET_ELEM_LIST_SET, &terminated(element.set())));
    body.extend(attribute(
        NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED,
        &attribute(NFTA_LIST_ELEM | NLA_F_NESTED, &entry),
    ));
    body
}
