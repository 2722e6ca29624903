//! Elements of the table's sets, as nf_tables encodes them: the fields of a concatenated key are padded to four bytes
//! each, addresses and ports in network order.

use super::socket::{attribute, terminated};
use crate::attachment::{PortMapping, TransportProtocol};
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
}

impl Element {
    fn set(&self) -> &'static str {
        match self {
            Element::Source { .. } => "sources",
            Element::Hairpin { .. } => "hairpin",
            Element::Served { .. } => "served",
            Element::Port { .. } => "ports",
        }
    }

    fn key(&self) -> Vec<u8> {
        match self {
            Element::Source { link, address } => {
                let mut key = vec![0; IFNAME_BYTES];
                key[..link.len().min(IFNAME_BYTES - 1)]
                    .copy_from_slice(&link.as_bytes()[..link.len().min(IFNAME_BYTES - 1)]);
                key.extend_from_slice(&address.octets());
                key
            }
            Element::Hairpin { address } => [address.octets(), address.octets()].concat(),
            Element::Served { protocol, port } => protocol_and_port(*protocol, *port),
            Element::Port { mapping, .. } => protocol_and_port(mapping.protocol, mapping.host_port),
        }
    }

    fn mapped(&self) -> Option<Vec<u8>> {
        match self {
            Element::Port { mapping, address } => {
                let [high, low] = mapping.container_port.to_be_bytes();
                let mut mapped = address.octets().to_vec();
                mapped.extend_from_slice(&[high, low, 0, 0]);
                Some(mapped)
            }
            _ => None,
        }
    }
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
