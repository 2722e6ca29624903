//! Host ports of published containers: found busy before they are promised, and held while they are.
//!
//! A held socket is bound and does not listen. Packets never reach it, because the address is translated before; it
//! makes another program's bind fail, as with a container engine's proxy.

use crate::attachment::{PortMapping, TransportProtocol};
use crate::error::NetworkError;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, socket};
use std::io;
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
    let kind = match mapping.protocol {
        TransportProtocol::Tcp => SockType::Stream,
        TransportProtocol::Udp => SockType::Datagram,
    };
    let kernel =
        |errno: nix::Error| NetworkError::kernel("hold a host port")(io::Error::from(errno));
    let held = socket(AddressFamily::Inet, kind, SockFlag::SOCK_CLOEXEC, None).map_err(kernel)?;
    // Without SO_REUSEADDR: a listener anywhere on the port is in the way.
    let everywhere = SockaddrIn::new(0, 0, 0, 0, mapping.host_port);
    match bind(held.as_raw_fd(), &everywhere) {
        Ok(()) => Ok(held),
        Err(nix::Error::EADDRINUSE) => {
            Err(NetworkError::PortBusy { protocol: mapping.protocol, port: mapping.host_port })
        }
        Err(errno) => Err(kernel(errno)),
    }
}
