//! What can go wrong on the host's network.

use crate::attachment::TransportProtocol;
use ipnet::Ipv4Net;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// Why the host's network could not be set up, or a task not attached.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The addresses that tasks are to get are in use on this host already.
    #[error(
        "the address range {cidr} overlaps {other} on link {link} of this host; stop what uses it, or make another installation: the first start of its control plane takes --default-vpc-cidr, later ones and nodes cannot change it"
    )]
    AddressClash {
        /// The range asked for.
        cidr: Ipv4Net,
        /// The host's route or address.
        other: Ipv4Net,
        /// The host's link.
        link: String,
    },
    /// Another Outport of this host has the addresses.
    #[error(
        "the address range {cidr} overlaps {other} of the Outport instance {instance} on this host; stop that one, or make another installation (the first start of its control plane takes --default-vpc-cidr, later ones and nodes cannot change it), or, if that instance does not run any more, remove what it left: outport cleanup --instance {instance}"
    )]
    InstanceClash {
        /// The range asked for.
        cidr: Ipv4Net,
        /// The other instance's.
        other: Ipv4Net,
        /// Its id.
        instance: String,
    },
    /// A program that is needed is missing or refused.
    #[error("{program} failed: {reason}")]
    Program {
        /// `nft` or `iptables`.
        program: &'static str,
        /// Its words, or why it did not start.
        reason: String,
    },
    /// Something listens on a host port already.
    #[error("host port {port}/{protocol} is already in use")]
    PortBusy {
        /// `tcp` or `udp`.
        protocol: TransportProtocol,
        /// The port.
        port: u16,
    },
    /// All addresses of the bridge network are taken.
    #[error("no free address in the bridge network {0}")]
    BridgeFull(Ipv4Net),
    /// A namespace of that name exists with another attachment.
    #[error("network namespace {0} exists with a different attachment")]
    AttachedDifferently(String),
    /// There is no namespace of that name with an address.
    #[error("network namespace {0} is not attached")]
    NotAttached(String),
    /// An address belongs to another namespace already.
    #[error("address {address} is in use by network namespace {owner}")]
    AddressInUse {
        /// The address.
        address: Ipv4Addr,
        /// Who has it.
        owner: String,
    },
    /// The address or gateway is outside of the network that it must be in.
    #[error("address {address} is not a usable address of {network}")]
    AddressOutside {
        /// The address.
        address: Ipv4Addr,
        /// The network.
        network: Ipv4Net,
    },
    /// Something else takes away what tasks need of the host.
    #[error("IPv4 forwarding was turned off on this host again and again while it was turned on")]
    ForwardingOff,
    /// Every name for its link is another's.
    #[error("no free name for the link of network namespace {0}")]
    NoLinkName(String),
    /// The kernel refused a request about links, addresses or routes.
    #[error("{action}: {source}")]
    Kernel {
        /// What was asked for.
        action: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
    /// The task's user namespace has no network.
    #[error(transparent)]
    UserNamespace(outport_user_namespace::UserNamespaceError),
    /// A file or directory of the runtime directory.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
}

impl NetworkError {
    /// Whether addresses are in use on this host already: another range may do.
    pub fn is_address_clash(&self) -> bool {
        matches!(self, Self::AddressClash { .. } | Self::InstanceClash { .. })
    }

    /// Which Outport of this host has the addresses, if one has them.
    pub fn clashing_instance(&self) -> Option<&str> {
        match self {
            Self::InstanceClash { instance, .. } => Some(instance),
            _ => None,
        }
    }

    pub(crate) fn kernel(action: &'static str) -> impl FnOnce(io::Error) -> NetworkError {
        move |source| NetworkError::Kernel { action, source }
    }

    pub(crate) fn file(path: &std::path::Path) -> impl FnOnce(io::Error) -> NetworkError + '_ {
        move |source| NetworkError::File { path: path.to_owned(), source }
    }
}
