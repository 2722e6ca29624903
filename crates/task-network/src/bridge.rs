//! Addresses of the bridge network: which are taken, which is next.

use ipnet::Ipv4Net;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// The bridge network's addresses. The first belongs to the host.
#[derive(Debug)]
pub struct BridgeAddresses {
    cidr: Ipv4Net,
    taken: BTreeSet<u32>,
    /// Addresses are handed out in a circle, so that one that was just given back is not reused at once.
    last: u32,
}

impl BridgeAddresses {
    pub fn new(cidr: Ipv4Net) -> BridgeAddresses {
        let first = u32::from(cidr.network()) + 1;
        BridgeAddresses { cidr, taken: BTreeSet::new(), last: first }
    }

    /// The host's address: the gateway of every container.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.cidr.network()) + 1)
    }

    /// Takes the next free address.
    pub fn take(&mut self) -> Option<Ipv4Addr> {
        let first = u32::from(self.gateway()) + 1;
        let end = u32::from(self.cidr.broadcast());
        let after = (self.last + 1).max(first);
        let free =
            (after..end).chain(first..after).find(|address| !self.taken.contains(address))?;
        self.taken.insert(free);
        self.last = free;
        Some(free.into())
    }

    /// Notes an address that is taken already.
    pub fn note(&mut self, address: Ipv4Addr) {
        self.taken.insert(address.into());
    }

    pub fn give_back(&mut self, address: Ipv4Addr) {
        self.taken.remove(&u32::from(address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_go_round_and_run_out() {
        let mut addresses = BridgeAddresses::new("10.9.0.0/29".parse().unwrap());
        assert_eq!(addresses.gateway().to_string(), "10.9.0.1");
        addresses.note("10.9.0.3".parse().unwrap());
        let mut taken = Vec::new();
        while let Some(address) = addresses.take() {
            taken.push(address.to_string());
        }
        assert_eq!(taken, ["10.9.0.2", "10.9.0.4", "10.9.0.5", "10.9.0.6"]);
        addresses.give_back("10.9.0.2".parse().unwrap());
        addresses.give_back("10.9.0.6".parse().unwrap());
        assert_eq!(addresses.take().unwrap().to_string(), "10.9.0.2");
        assert_eq!(addresses.take().unwrap().to_string(), "10.9.0.6");
        assert_eq!(addresses.take(), None);
    }
}
