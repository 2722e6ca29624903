//! Addresses and ports for one instance under test: free on this host, and no other test's.
//!
//! `tests/support/reservation.py` reserves from the same numbers in the same way.

use std::net::Ipv4Addr;
use std::ops::Range;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use outport_task_network::Ipv4Net;

const NUMBERS: Range<u8> = 16..200;
/// Below the ephemeral ports.
const FIRST_HOST_PORT: u16 = 21_000;
const HOST_PORTS: u16 = 32;

/// `10.<number>.0.0/16` and the ports that go with it.
pub struct Reservation {
    number: u8,
    /// What is only free when it is looked at may be somebody else's when it is used: a socket's name holds it.
    _holder: UnixDatagram,
}

impl Reservation {
    /// Until this process ends: a test's servers go on listening after it.
    pub fn forever() -> &'static Reservation {
        let taken = taken();
        let mut free = NUMBERS.filter_map(|number| {
            let name = format!("outport-tests-{number}");
            let holder = SocketAddr::from_abstract_name(name).unwrap();
            let holder = UnixDatagram::bind_addr(&holder).ok()?;
            let reservation = Reservation { number, _holder: holder };
            let net = reservation.net(0, 16);
            let overlaps = |other: &Ipv4Net| other.contains(&net) || net.contains(other);
            (!taken.iter().any(overlaps)).then_some(reservation)
        });
        Box::leak(Box::new(free.next().expect("a range is left for another instance")))
    }

    pub fn address(&self, third_octet: u8, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, self.number, third_octet, last)
    }

    pub fn net(&self, third_octet: u8, prefix: u8) -> Ipv4Net {
        Ipv4Net::new(self.address(third_octet, 0), prefix).unwrap()
    }

    pub fn host_port(&self, index: u16) -> u16 {
        assert!(index < HOST_PORTS);
        FIRST_HOST_PORT + u16::from(self.number) * HOST_PORTS + index
    }
}

/// What the host's addresses and routes lead to, but for the default route.
fn taken() -> Vec<Ipv4Net> {
    let shown = super::output("ip -4 -o addr show; ip -4 route show table all");
    let net = |word: &str| -> Option<Ipv4Net> {
        word.parse().ok().or_else(|| Some(Ipv4Net::from(word.parse::<Ipv4Addr>().ok()?)))
    };
    shown.split_whitespace().filter_map(net).filter(|net| net.prefix_len() > 0).collect()
}
