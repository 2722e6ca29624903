//! Notices that somebody changed the host's rules: the kernel tells of every transaction of nf_tables.

use super::socket::{HEADER_BYTES, NFNL_SUBSYS_NFTABLES, kind_and_length};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

const NFNLGRP_NFTABLES: u32 = 7;
const NFT_MSG_DELTABLE: u16 = 2;
const NFT_MSG_DELCHAIN: u16 = 5;
const NFT_MSG_DELRULE: u16 = 8;
const NFT_MSG_DELSET: u16 = 11;
const NFT_MSG_DELSETELEM: u16 = 14;
const NFT_MSG_NEWGEN: u16 = 15;
/// Of each message about a table, a chain, a rule, a set or elements.
const NFTA_TABLE: u16 = 1;
const NLA_TYPE_MASK: u16 = 0x3fff;
const ENOBUFS: i32 = 105;

/// What happened since the last look.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Noticed {
    /// Something of the instance's table was taken away, or more happened than the kernel could tell.
    pub own: bool,
    /// Something of another table changed.
    pub other: bool,
    /// The watch is to end.
    pub end: bool,
}

/// A subscription to what happens in the namespace that it was opened in.
pub struct Watch {
    socket: Socket,
    table: String,
    /// Whose changes are no news.
    own_port: u32,
    stop: UnixStream,
}

impl Watch {
    /// Closing the other end of `stop` ends the watch.
    pub fn open(table: &str, own_port: u32, stop: UnixStream) -> io::Result<Watch> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind(&SocketAddr::new(0, 0))?;
        socket.add_membership(NFNLGRP_NFTABLES)?;
        socket.set_non_blocking(true)?;
        Ok(Watch { socket, table: table.to_owned(), own_port, stop })
    }

    /// Waits until something happened, at most so long.
    pub fn wait(&self, patience: Option<Duration>) -> io::Result<Noticed> {
        let timeout = patience.map_or(PollTimeout::NONE, |patience| {
            PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX)
        });
        let mut sources = [
            PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.stop.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut sources, timeout) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let end = sources[1].revents().is_some_and(|events| !events.is_empty());
        let mut noticed = Noticed { end, ..Noticed::default() };
        loop {
            match self.socket.recv_from_full() {
                Ok((bytes, _)) => self.read(&bytes, &mut noticed),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(noticed),
                // More than the socket holds: whatever it was.
                Err(error) if error.raw_os_error() == Some(ENOBUFS) => {
                    (noticed.own, noticed.other) = (true, true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn read(&self, bytes: &[u8], noticed: &mut Noticed) {
        let mut rest = bytes;
        while let Some((kind, length)) = kind_and_length(rest) {
            let message = rest.get(..length).unwrap_or(rest);
            rest = rest.get(length..).unwrap_or_default();
            let is_own = message.get(12..HEADER_BYTES) == Some(&self.own_port.to_ne_bytes()[..]);
            if kind >> 8 != NFNL_SUBSYS_NFTABLES || kind & 0xff == NFT_MSG_NEWGEN || is_own {
                continue;
            }
            let takes_away = [
                NFT_MSG_DELTABLE,
                NFT_MSG_DELCHAIN,
                NFT_MSG_DELRULE,
                NFT_MSG_DELSET,
                NFT_MSG_DELSETELEM,
            ]
            .contains(&(kind & 0xff));
            match table_of(message) {
                Some(table) if table == self.table.as_bytes() => noticed.own |= takes_away,
                _ => noticed.other = true,
            }
        }
    }
}

/// The table that a message is about.
fn table_of(message: &[u8]) -> Option<&[u8]> {
    let mut rest = message.get(HEADER_BYTES + 4..)?;
    loop {
        let length = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?);
        if kind & NLA_TYPE_MASK == NFTA_TABLE {
            let name = rest.get(4..length)?;
            return Some(name.strip_suffix(&[0]).unwrap_or(name));
        }
        rest = rest.get(length.max(4).next_multiple_of(4)..)?;
    }
}
