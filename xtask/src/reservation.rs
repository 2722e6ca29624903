//! Addresses and ports for one Outport of a chore: free on this host, and nobody else's.
//!
//! **Invariant**: numbers come from the same hundreds, and are held in the same way, as those of the
//! tests (`tests/support/reservation.py`, `crates/task-network/tests/support/reservation.rs`): tests
//! and chores run side by side.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::output;

const NUMBERS: Range<u8> = 16..200;
/// Below the ephemeral ports.
const FIRST_PORT: u16 = 20000;

/// `10.<number>.0.0/16` and the port that goes with it, for as long as this lives.
#[derive(Debug)]
pub struct Reservation {
    number: u8,
    /// Its abstract name is the reservation: what is only free when it is looked at may be somebody
    /// else's when it is used.
    _holder: UnixDatagram,
}

impl Reservation {
    pub fn new() -> Result<Self> {
        let taken = taken()?;
        NUMBERS
            .filter(|number| !taken.contains(number))
            .find_map(|number| {
                let name = format!("outport-tests-{number}");
                let name = UnixAddress::from_abstract_name(name).ok()?;
                let reservation = Self { number, _holder: UnixDatagram::bind_addr(&name).ok()? };
                TcpListener::bind(reservation.address()).ok()?;
                Some(reservation)
            })
            .context("no address range is left for another Outport")
    }

    /// For the API.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, FIRST_PORT + u16::from(self.number)).into()
    }

    pub fn vpc_cidr(&self) -> String {
        format!("10.{}.0.0/16", self.number)
    }
}

/// The second numbers of the 10.0.0.0/8 that addresses and routes of the host have.
fn taken() -> Result<Vec<u8>> {
    let addresses = output(Command::new("ip").args(["-4", "-o", "addr", "show"]))?;
    let routes = output(Command::new("ip").args(["-4", "route", "show", "table", "all"]))?;
    Ok(addresses
        .split_whitespace()
        .chain(routes.split_whitespace())
        .filter_map(|word| word.strip_prefix("10.")?.split('.').next()?.parse().ok())
        .collect())
}
