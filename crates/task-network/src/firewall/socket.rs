//! nf_tables over netlink: tables and set elements. A transaction costs microseconds where the `nft` program costs
//! milliseconds, and only a socket can own a table.
//!
//! The encoding is nf_tables' own: a batch of messages between BEGIN and END, attributes as (length, type, value)
//! padded to four bytes.
//!
//! **Invariant:** what this socket owns, nobody else changes: `nft flush ruleset`, a restarted firewall and an
//! administrator's slip pass the table by. When the process ends, however it ends, the table stays, as an orphan that
//! the next process takes. Needs Linux 6.9; on older kernels there is no owner, and [`super::Watch`] has to do.

use super::elements::{Element, list};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use std::io;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_CREATE: u16 = 0x400;
const NLMSG_ERROR: u16 = 0x2;
const NLMSG_DONE: u16 = 0x3;
pub(super) const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NFT_MSG_NEWTABLE: u16 = 0;
const NFT_MSG_DELTABLE: u16 = 2;
const NFT_MSG_NEWRULE: u16 = 6;
const NFT_MSG_GETRULE: u16 = 7;
const NFT_MSG_NEWSETELEM: u16 = 12;
const NFT_MSG_DELSETELEM: u16 = 14;
const NFTA_TABLE_NAME: u16 = 1;
const NFTA_TABLE_FLAGS: u16 = 2;
const NFTA_RULE_TABLE: u16 = 1;
const NFT_TABLE_F_OWNER: u32 = 0x2;
const NFT_TABLE_F_PERSIST: u32 = 0x4;
const NFPROTO_INET: u8 = 1;
const NFPROTO_UNSPEC: u8 = 0;
pub(super) const HEADER_BYTES: usize = 16;
const ENOENT: i32 = 2;
const EIO: i32 = 5;
const EOPNOTSUPP: i32 = 95;

/// Whose a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// This socket's: it is as this socket left it.
    Ours,
    /// Anybody's.
    Nobodys,
    /// There is no such table.
    Absent,
}

/// A connection to nf_tables of the namespace that it was opened in.
pub struct TableSocket {
    socket: Socket,
    sequence: u32,
}

/// A message of a batch: its kind, its flags, its attributes.
type Request = (u16, u16, Vec<u8>);

impl TableSocket {
    pub fn open() -> io::Result<TableSocket> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(TableSocket { socket, sequence: 0 })
    }

    /// The kernel's name for this socket, by which others see who changed something.
    pub fn port(&self) -> io::Result<u32> {
        let mut address = SocketAddr::new(0, 0);
        self.socket.get_address(&mut address)?;
        Ok(address.port_number())
    }

    /// Makes a table that can be owned, or finds one that an earlier process left. `false`: this kernel has no owners
    /// that a table outlives, or an earlier version made the table; nothing was made then.
    pub fn make_table(&mut self, table: &str) -> io::Result<bool> {
        let body = table_body(table, NFT_TABLE_F_PERSIST);
        match self.transaction(vec![(NFT_MSG_NEWTABLE, NLM_F_CREATE, body)]) {
            Err(error) if error.raw_os_error() == Some(EOPNOTSUPP) => Ok(false),
            result => result.map(|()| true),
        }
    }

    /// Takes a table that nobody owns; asks whose it is otherwise.
    pub fn own_table(&mut self, table: &str) -> io::Result<Ownership> {
        let body = table_body(table, NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST);
        match self.transaction(vec![(NFT_MSG_NEWTABLE, 0, body)]) {
            Ok(()) => Ok(Ownership::Ours),
            Err(error) => match error.raw_os_error() {
                Some(ENOENT) => Ok(Ownership::Absent),
                Some(EOPNOTSUPP) => Ok(Ownership::Nobodys),
                _ => Err(error),
            },
        }
    }

    /// Deletes a table with everything in it; none there is fine.
    pub fn delete_table(&mut self, table: &str) -> io::Result<()> {
        let body = attribute(NFTA_TABLE_NAME, &terminated(table));
        match self.transaction(vec![(NFT_MSG_DELTABLE, 0, body)]) {
            Err(error) if error.raw_os_error() == Some(ENOENT) => Ok(()),
            result => result,
        }
    }

    /// How many rules the table has.
    pub fn count_rules(&mut self, table: &str) -> io::Result<usize> {
        let mut buffer = Vec::new();
        let body = attribute(NFTA_RULE_TABLE, &terminated(table));
        let kind = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETRULE;
        self.message(&mut buffer, kind, NLM_F_DUMP, NFPROTO_INET, 0, &body);
        self.socket.send(&buffer, 0)?;
        let mut rules = 0;
        loop {
            let (bytes, _) = self.socket.recv_from_full()?;
            let mut rest = bytes.as_slice();
            while let Some((kind, length)) = kind_and_length(rest) {
                match kind {
                    NLMSG_DONE => return Ok(rules),
                    NLMSG_ERROR => {
                        let code = acknowledgement(rest).map_or(EIO, |(_, code, _)| code.abs());
                        return Err(io::Error::from_raw_os_error(code));
                    }
                    kind if kind & 0xff == NFT_MSG_NEWRULE => rules += 1,
                    _ => {}
                }
                rest = rest.get(length..).unwrap_or_default();
            }
        }
    }

    /// Adds all elements in one transaction. Elements that are there already, with the same value, are fine.
    pub fn add(&mut self, table: &str, elements: &[Element]) -> io::Result<()> {
        let request = |element| (NFT_MSG_NEWSETELEM, NLM_F_CREATE, list(table, element));
        self.transaction(elements.iter().map(request).collect())
    }

    /// Deletes all elements. Elements that are not there are fine.
    pub fn delete(&mut self, table: &str, elements: &[Element]) -> io::Result<()> {
        let request = |element| (NFT_MSG_DELSETELEM, 0, list(table, element));
        match self.transaction(elements.iter().map(request).collect()) {
            Err(error) if error.raw_os_error() == Some(ENOENT) => {}
            result => return result,
        }
        // One is missing, which fails the whole: each by itself then.
        for element in elements {
            match self.transaction(vec![request(element)]) {
                Err(error) if error.raw_os_error() != Some(ENOENT) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn transaction(&mut self, requests: Vec<Request>) -> io::Result<()> {
        if requests.is_empty() {
            return Ok(());
        }
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
        for (kind, flags, body) in requests {
            let kind = NFNL_SUBSYS_NFTABLES << 8 | kind;
            self.message(&mut buffer, kind, flags | NLM_F_ACK, NFPROTO_INET, 0, &body);
        }
        let last = self.sequence;
        self.message(&mut buffer, NFNL_MSG_BATCH_END, 0, NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES, &[]);
        self.socket.send(&buffer, 0)?;
        self.acknowledged(first, last)
    }

    fn acknowledged(&mut self, first: u32, last: u32) -> io::Result<()> {
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

fn table_body(table: &str, flags: u32) -> Vec<u8> {
    let mut body = attribute(NFTA_TABLE_NAME, &terminated(table));
    body.extend(attribute(NFTA_TABLE_FLAGS, &flags.to_be_bytes()));
    body
}

/// The kind and padded length of the message at the start.
pub(super) fn kind_and_length(bytes: &[u8]) -> Option<(u16, usize)> {
    let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    Some((kind, length.max(HEADER_BYTES).next_multiple_of(4)))
}

/// The sequence number, error code and padded length of the error message (or acknowledgement) at the start.
fn acknowledgement(bytes: &[u8]) -> Option<(u32, i32, usize)> {
    let word = |at: usize| bytes.get(at..at + 4)?.try_into().ok();
    let (kind, length) = kind_and_length(bytes)?;
    let sequence = u32::from_ne_bytes(word(8)?);
    let code = if kind == NLMSG_ERROR { i32::from_ne_bytes(word(HEADER_BYTES)?) } else { -EIO };
    Some((sequence, code, length))
}

pub(super) fn terminated(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = (4 + value.len()) as u16;
    let mut bytes = Vec::with_capacity(usize::from(length).next_multiple_of(4));
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
