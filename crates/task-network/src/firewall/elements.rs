//! Set elements over netlink: a transaction costs microseconds where the `nft` program costs milliseconds.
//!
//! The encoding is nf_tables' own: a batch of messages between BEGIN and END, attributes as (length, type, value)
//! padded to four bytes; the fields of a concatenated key are padded to four bytes each, addresses and ports in
//! network order.

use crate::attachment::{PortMapping, TransportProtocol};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use std::io;
use std::net::Ipv4Addr;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_CREATE: u16 = 0x400;
const NLMSG_ERROR: u16 = 0x2;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NFT_MSG_NEWSETELEM: u16 = 12;
const NFT_MSG_DELSETELEM: u16 = 14;
const NFPROTO_INET: u8 = 1;
const NFPROTO_UNSPEC: u8 = 0;
const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
const NFTA_SET_ELEM_LIST_SET: u16 = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_DATA: u16 = 2;
const NFTA_DATA_VALUE: u16 = 1;
const NLA_F_NESTED: u16 = 0x8000;
const HEADER_BYTES: usize = 16;
const IFNAME_BYTES: usize = 16;
const ENOENT: i32 = 2;
const EIO: i32 = 5;

/// One element of one of the table's sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Element {
    /// `sources`: this link may send from this address.
    Source { link: String, address: Ipv4Addr },
    /// `hairpin`: this address may reach itself through a published port.
    Hairpin { address: Ipv4Addr },
    /// `ports`: this host port leads to this address.
    Port { mapping: PortMapping, address: Ipv4Addr },
}

impl Element {
    fn set(&self) -> &'static str {
        match self {
            Element::Source { .. } => "sources",
            Element::Hairpin { .. } => "hairpin",
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
            Element::Port { mapping, .. } => {
                let protocol = match mapping.protocol {
                    TransportProtocol::Tcp => 6,
                    TransportProtocol::Udp => 17,
                };
                let [high, low] = mapping.host_port.to_be_bytes();
                vec![protocol, 0, 0, 0, high, low, 0, 0]
            }
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

/// A connection to nf_tables of the namespace that it was opened in.
pub struct ElementSocket {
    socket: Socket,
    sequence: u32,
}

impl ElementSocket {
    pub fn open() -> io::Result<ElementSocket> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(ElementSocket { socket, sequence: 0 })
    }

    /// Adds all elements in one transaction. Elements that are there already, with the same value, are fine.
    pub fn add(&mut self, table: &str, elements: &[Element]) -> io::Result<()> {
        if elements.is_empty() {
            return Ok(());
        }
        self.transaction(NFT_MSG_NEWSETELEM, NLM_F_CREATE, table, elements)
    }

    /// Deletes all elements. Elements that are not there are fine.
    pub fn delete(&mut self, table: &str, elements: &[Element]) -> io::Result<()> {
        if elements.is_empty() {
            return Ok(());
        }
        match self.transaction(NFT_MSG_DELSETELEM, 0, table, elements) {
            Err(error) if error.raw_os_error() == Some(ENOENT) => {}
            result => return result,
        }
        // One is missing, which fails the whole: each by itself then.
        for element in elements {
            let alone = std::slice::from_ref(element);
            match self.transaction(NFT_MSG_DELSETELEM, 0, table, alone) {
                Err(error) if error.raw_os_error() != Some(ENOENT) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn transaction(
        &mut self,
        kind: u16,
        flags: u16,
        table: &str,
        elements: &[Element],
    ) -> io::Result<()> {
        let mut buffer = Vec::new();
        self.message(
            &mut buffer,
            NFNL_MSG_BATCH_BEGIN,
            0,
            NFPROTO_UNSPEC,
            NFNL_SUBSYS_NFTABLES,
            &[],
        );
        let first = self.sequence + 1;
        for element in elements {
            let body = list(table, element);
            let kind = NFNL_SUBSYS_NFTABLES << 8 | kind;
            self.message(&mut buffer, kind, flags | NLM_F_ACK, NFPROTO_INET, 0, &body);
        }
        let last = self.sequence;
        self.message(&mut buffer, NFNL_MSG_BATCH_END, 0, NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES, &[]);
        self.socket.send(&buffer, 0)?;
        let mut failure = None;
        let mut outstanding = last + 1 - first;
        while outstanding > 0 {
            let (bytes, _) = self.socket.recv_from_full()?;
            let mut rest = bytes.as_slice();
            while let Some((sequence, code, length)) = acknowledgement(rest) {
                rest = rest.get(length..).unwrap_or_default();
                if code != 0 {
                    failure.get_or_insert_with(|| io::Error::from_raw_os_error(code.abs()));
                }
                if (first..=last).contains(&sequence) {
                    outstanding = outstanding.saturating_sub(1);
                } else if code != 0 && sequence + 1 >= first {
                    // The batch as a whole was refused (not root, no nf_tables): nothing else will be answered.
                    outstanding = 0;
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }

    fn message(
        &mut self,
        buffer: &mut Vec<u8>,
        kind: u16,
        flags: u16,
        family: u8,
        resource: u16,
        body: &[u8],
    ) {
        self.sequence += 1;
        // Padded: every body is a list of padded attributes, and the two headers are 20 bytes.
        let length = (HEADER_BYTES + 4 + body.len()) as u32;
        buffer.extend_from_slice(&length.to_ne_bytes());
        buffer.extend_from_slice(&kind.to_ne_bytes());
        buffer.extend_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        buffer.extend_from_slice(&self.sequence.to_ne_bytes());
        buffer.extend_from_slice(&0_u32.to_ne_bytes());
        buffer.extend_from_slice(&[family, 0]);
        buffer.extend_from_slice(&resource.to_be_bytes());
        buffer.extend_from_slice(body);
    }
}

/// The sequence number, error code and padded length of the error message (or acknowledgement) at the start.
fn acknowledgement(bytes: &[u8]) -> Option<(u32, i32, usize)> {
    let word = |at: usize| bytes.get(at..at + 4)?.try_into().ok();
    let length = u32::from_ne_bytes(word(0)?) as usize;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let sequence = u32::from_ne_bytes(word(8)?);
    let code = if kind == NLMSG_ERROR { i32::from_ne_bytes(word(HEADER_BYTES)?) } else { -EIO };
    Some((sequence, code, length.max(HEADER_BYTES).next_multiple_of(4)))
}

fn list(table: &str, element: &Element) -> Vec<u8> {
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

fn terminated(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = (4 + value.len()) as u16;
    let mut bytes = Vec::with_capacity(usize::from(length).next_multiple_of(4));
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
