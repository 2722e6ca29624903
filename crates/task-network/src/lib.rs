//! Per-task network namespaces on a Linux host: routed veth pairs, one static nftables table, no bridge.
//!
//! ```text
//! task: eth0 172.31.3.7/20 ── veth ── op<instance><task> :host── forward hook ── other tasks, the outside (masquerade)
//!       default via 172.31.0.1 (permanent neighbour: no ARP)      └ route 172.31.3.7/32, source 172.31.0.1
//! ```
//!
//! Everything made on the host carries the instance: table `inet outport_<instance>`, links `op<hash>…`, namespaces
//! below the instance's runtime directory. Per task there is one link pair, one route and set elements; rules never
//! change.
//!
//! **Invariant:** the calling thread's network namespace is never changed: namespaces are made by a thread that ends
//! with its work. No packet leaves a task with a source address that is not its own, and none of a task's packets
//! reaches the host's loopback, unless it answers what came from there to a published port, a cloud's metadata service, a bridge
//! of other containers or machines, or anything of the host but name servers, an answer to a ping, the task's metadata and
//! what the operator opened. All calls block for milliseconds; none needs an async
//! runtime.

mod attachment;
mod bridge;
mod clash;
mod error;
mod files;
mod firewall;
mod forwarding;
mod host;
mod instance;
mod namespace;
mod outward;
mod ports;
mod published;
mod ranges;
mod reaper;
mod route;

pub use attachment::{
    AttachedNamespace, Attachment, MacAddress, PortMapping, TaskInterface, TransportProtocol,
};
pub use error::NetworkError;
pub use files::{
    hostname_file, hosts_file, hosts_file_of_host, nameservers, private_dns_name, resolv_conf_file,
};
pub use firewall::HostAccess;
pub use host::{HostNetwork, HostNetworkSettings};
pub use instance::{InstanceId, InvalidName, NamespaceName};
pub use ipnet::Ipv4Net;
pub use published::{Publication, PublishScope, Published, WantedPort};
pub use ranges::bridge_range;
