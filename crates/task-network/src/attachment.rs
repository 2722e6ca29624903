//! What a namespace is attached to, and the record of it beside the namespace.

use crate::instance::NamespaceName;
use crate::published::Published;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// How a namespace is connected: the network modes of a task definition, but `host`, which needs no namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attachment {
    /// `awsvpc`: an elastic network interface of a subnet.
    Interface(TaskInterface),
    /// `bridge`: a private address of this host, reached through published ports.
    Bridge {
        /// The published ports.
        ports: Vec<PortMapping>,
    },
    /// `none`: loopback only.
    None,
}

/// The network interface of an `awsvpc` task, as the control plane made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskInterface {
    /// The private address.
    pub address: Ipv4Addr,
    /// The subnet's prefix length.
    pub prefix_length: u8,
    /// The subnet's router, its first address.
    pub gateway: Ipv4Addr,
    /// The interface's address on the wire.
    pub mac: MacAddress,
}

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// The address that belongs to an IPv4 address: locally administered, the same every time.
    pub fn of(address: Ipv4Addr) -> MacAddress {
        let [a, b, c, d] = address.octets();
        MacAddress([0x0a, 0x58, a, b, c, d])
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

/// `tcp` or `udp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TransportProtocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for TransportProtocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            TransportProtocol::Tcp => "tcp",
            TransportProtocol::Udp => "udp",
        })
    }
}

/// A port of the host that leads to a port of a container, on all of the host's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    /// The protocol.
    pub protocol: TransportProtocol,
    /// The port of the host; the caller chose it, also when it is dynamic.
    pub host_port: u16,
    /// The port in the container.
    pub container_port: u16,
}

/// A namespace that is ready for processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedNamespace {
    /// Its name.
    pub name: NamespaceName,
    /// The pinned namespace, to be entered with `setns` or named in an OCI bundle.
    pub path: PathBuf,
    /// What was asked for.
    pub attachment: Attachment,
    /// Its address on the outside link: the interface's, or the one that the bridge network gave it.
    pub address: Option<Ipv4Addr>,
    /// The host's end of its link pair. Versions before it was recorded made it of the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The ports of the host that lead to it beside those of its attachment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Published>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_the_first_version_is_read() {
        let old = r#"{"name":"t1","path":"/run/outport/a/ns/t1/net","attachment":{"Bridge":{"ports":[
            {"protocol":"Tcp","host_port":80,"container_port":8000}]}},"address":"100.64.0.2"}"#;
        let read: AttachedNamespace = serde_json::from_str(old).unwrap();
        assert_eq!((read.name.as_str(), read.link), ("t1", None));
        assert_eq!(read.address, Some(Ipv4Addr::new(100, 64, 0, 2)));
    }
}
