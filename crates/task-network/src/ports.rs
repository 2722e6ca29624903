//! Host ports of published containers: found busy before they are promised, and held while they are.
//!
//! A held socket is bound and does not listen. Packets never reach it, because the address is translated before; it
//! makes another program's bind fail, as with a container engine's proxy.

use crate::attachment::{PortMapping, TransportProtocol};
use crate::error::NetworkError;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, socket};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};

/// The host ports of one namespace.
#[derive(Debug, Default)]
pub struct HeldPorts(#[allow(dead_code, reason = "held for their Drop")] Vec<OwnedFd>);

impl HeldPorts {
    /// Takes all of the ports or none.
    pub fn take(mappings: &[PortMapping]) -> Result<HeldPorts, NetworkError> {
        mappings.iter().map(take).collect::<Result<Vec<OwnedFd>, NetworkError>>().map(HeldPorts)
    }

    /// Takes those that are free: for ports that are published already.
    pub fn take_free(mappings: &[PortMapping]) -> HeldPorts {
        HeldPorts(mappings.iter().filter_map(|mapping| take(mapping).ok()).collect())
    }
}

fn take(mapping: &PortMapping) -> Result<OwnedFd, NetworkError> {
    hold(mapping.protocol, Ipv4Addr::UNSPECIFIED, mapping.host_port)
}

/// A socket that is bound there.
///
/// # Errors
/// [`NetworkError::PortBusy`] when somebody has the port.
pub fn hold(
    protocol: TransportProtocol,
    address: Ipv4Addr,
    port: u16,
) -> Result<OwnedFd, NetworkError> {
    let kind = match protocol {
        TransportProtocol::Tcp => SockType::Stream,
        TransportProtocol::Udp => SockType::Datagram,
    };
    let kernel =
        |errno: nix::Error| NetworkError::kernel("hold a host port")(io::Error::from(errno));
    let held = socket(AddressFamily::Inet, kind, SockFlag::SOCK_CLOEXEC, None).map_err(kernel)?;
    // Without SO_REUSEADDR: a listener on the port is in the way, on any address if `address` is none of them.
    let address = SockaddrIn::from(SocketAddrV4::new(address, port));
    match bind(held.as_raw_fd(), &address) {
        Ok(()) => Ok(held),
        Err(nix::Error::EADDRINUSE) => Err(NetworkError::PortBusy { protocol, port }),
        Err(errno) => Err(kernel(errno)),
    }
}
