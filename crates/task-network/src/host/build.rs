//! Making a namespace and connecting it: both sides of the link pair, and its set elements.

use super::{HOST_MAC, HostNetwork, METADATA_SERVICES, State, first_address, records};
use crate::attachment::{AttachedNamespace, Attachment, MacAddress, TaskInterface};
use crate::error::NetworkError;
use crate::instance::{InstanceId, NamespaceName};
use crate::namespace;
use crate::ports::HeldPorts;
use crate::route::{self, LinkEnd, RouteSocket};
use ipnet::Ipv4Net;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::path::Path;

/// The only link of a namespace besides loopback.
const TASK_LINK: &str = "eth0";
/// Its index, chosen so that it need not be asked for.
const TASK_LINK_INDEX: u32 = 2;
const EEXIST: i32 = 17;
/// How often another name is tried for a link whose name is taken.
const LINK_ATTEMPTS_MAX: u8 = 4;
const NETWORK_PARAMETERS: &str = "/proc/sys/net";

impl HostNetwork {
    pub(super) fn check_addresses(&self, attachment: &Attachment) -> Result<(), NetworkError> {
        let Attachment::Interface(interface) = attachment else { return Ok(()) };
        let network = self.settings.vpc_cidr;
        let TaskInterface { address, gateway, prefix_length, .. } = interface;
        let outside = |address: Ipv4Addr| NetworkError::AddressOutside { address, network };
        if !network.contains(address) || *address == self.router || address == gateway {
            return Err(outside(*address));
        }
        match Ipv4Net::new(*address, *prefix_length) {
            Ok(subnet) if subnet.contains(gateway) => Ok(()),
            _ => Err(outside(*gateway)),
        }
    }

    /// Takes address and ports, in the books only.
    pub(super) fn promise(
        &self,
        name: &NamespaceName,
        attachment: &Attachment,
    ) -> Result<AttachedNamespace, NetworkError> {
        let mut state = self.state();
        let address = match attachment {
            Attachment::None => None,
            Attachment::Interface(interface) => Some(interface.address),
            Attachment::Bridge { ports } => {
                let held = HeldPorts::take(ports)?;
                let taken = state.bridge.take();
                let full = NetworkError::BridgeFull(self.settings.bridge_cidr);
                let address = taken.ok_or(full)?;
                state.ports.insert(name.clone(), held);
                Some(address)
            }
        };
        if let Some(address) = address {
            match state.addresses.get(&address) {
                Some(owner) if owner != name => {
                    let owner = owner.to_string();
                    return Err(NetworkError::AddressInUse { address, owner });
                }
                _ => state.addresses.insert(address, name.clone()),
            };
        }
        let link = match address {
            Some(_) => Some(state.take_link(&self.settings.instance, name, 0)?),
            None => None,
        };
        Ok(AttachedNamespace {
            name: name.clone(),
            path: self.namespaces.join(name.as_str()).join("net"),
            attachment: attachment.clone(),
            address,
            link,
            published: None,
        })
    }

    /// The record first: what is not recorded is not found after a crash.
    pub(super) fn build(
        &self,
        mut attached: AttachedNamespace,
        owner: Option<&Path>,
    ) -> Result<AttachedNamespace, NetworkError> {
        let directory = self.namespaces.join(attached.name.as_str());
        fs::create_dir_all(&directory).map_err(NetworkError::file(&directory))?;
        records::write(&self.namespaces, &attached)?;
        let interface = match (&attached.attachment, attached.address) {
            (Attachment::Interface(interface), _) => interface.clone(),
            (Attachment::Bridge { .. }, Some(address)) => self.bridge_interface(address),
            _ => {
                namespace::create(&attached.path, owner, Vec::new())?;
                return Ok(attached);
            }
        };
        for attempt in 1..=LINK_ATTEMPTS_MAX {
            let link = self.settings.link_of(&attached);
            let changes = self.task_changes(&interface, &link);
            match namespace::create(&attached.path, owner, changes) {
                Err(NetworkError::Kernel { source, .. })
                    if source.raw_os_error() == Some(EEXIST) =>
                {
                    // One that outlived its namespace is deleted; another's is left alone.
                    if !self.delete_own_link(&link, &attached.name)? {
                        tracing::warn!(
                            event = "network_link_taken",
                            link,
                            namespace = %attached.name,
                            "there is a link of that name which is not Outport's; another name is tried"
                        );
                        let mut state = self.state();
                        state.links.remove(&link);
                        let instance = &self.settings.instance;
                        attached.link = Some(state.take_link(instance, &attached.name, attempt)?);
                        drop(state);
                        records::write(&self.namespaces, &attached)?;
                    }
                }
                made => {
                    let mut inside = made?;
                    self.connect_host(&attached, &interface, &link)?;
                    open_for_packets(&mut inside)?;
                    self.rules.add(&attached)?;
                    return Ok(attached);
                }
            }
        }
        Err(NetworkError::NoLinkName(attached.name.to_string()))
    }

    fn bridge_interface(&self, address: Ipv4Addr) -> TaskInterface {
        TaskInterface {
            address,
            prefix_length: self.settings.bridge_cidr.prefix_len(),
            gateway: first_address(self.settings.bridge_cidr),
            mac: MacAddress::of(address),
        }
    }

    /// What happens inside the new namespace.
    fn task_changes(&self, interface: &TaskInterface, link: &str) -> Vec<route::Change> {
        let TaskInterface { address, prefix_length, gateway, mac } = interface;
        let index = TASK_LINK_INDEX;
        let near = LinkEnd { name: TASK_LINK, mac: *mac, namespace: None, index: Some(index) };
        let descriptor = Some(self.host_namespace.as_raw_fd());
        let far = LinkEnd { name: link, mac: HOST_MAC, namespace: descriptor, index: None };
        let mut changes = vec![
            route::new_pair(&near, &far),
            route::address(index, *address, *prefix_length),
            route::neighbour(index, *gateway, HOST_MAC),
            route::default_route(index, *gateway),
        ];
        // The host drops the same; so a program is told at once instead of waiting in vain.
        let name_servers = &self.settings.name_servers;
        let closed = METADATA_SERVICES.iter().filter(|service| !name_servers.contains(service));
        changes.extend(closed.map(|service| route::prohibit(*service)));
        changes
    }

    /// What happens on the host's side of the pair. Its settings hold also while there are no rules: no source but the
    /// one that is routed here, no IPv6.
    fn connect_host(
        &self,
        attached: &AttachedNamespace,
        interface: &TaskInterface,
        link: &str,
    ) -> Result<(), NetworkError> {
        let kernel = || NetworkError::kernel("connect a task to the host");
        let mut socket = RouteSocket::open().map_err(kernel())?;
        let index = socket.link_index(link).map_err(kernel())?;
        let index = index.ok_or_else(|| kernel()(io::Error::from(io::ErrorKind::NotFound)))?;
        set(&format!("ipv4/conf/{link}/rp_filter"), "1")?;
        let ipv6 = format!("ipv6/conf/{link}/disable_ipv6");
        if Path::new(NETWORK_PARAMETERS).join(&ipv6).exists() {
            set(&ipv6, "1")?;
        }
        if matches!(&attached.attachment, Attachment::Bridge { ports } if !ports.is_empty()) {
            // For 127.0.0.1:<host port>. The raw chain keeps the task from the host's loopback.
            set(&format!("ipv4/conf/{link}/route_localnet"), "1")?;
        }
        let changes = vec![
            route::up_as(index, &self.settings.instance.link_alias(&attached.name)),
            route::host_route(index, interface.address, self.router),
            route::neighbour(index, interface.address, interface.mac),
        ];
        socket.change(changes).map_err(kernel())
    }
}

impl State {
    /// Takes a link name that no other namespace of the instance has, from the so manieth on.
    fn take_link(
        &mut self,
        instance: &InstanceId,
        name: &NamespaceName,
        from: u8,
    ) -> Result<String, NetworkError> {
        let mut names = (from..=LINK_ATTEMPTS_MAX).map(|attempt| instance.link(name, attempt));
        let is_free = |link: &String| self.links.get(link).is_none_or(|owner| owner == name);
        let link = names.find(is_free).ok_or_else(|| NetworkError::NoLinkName(name.to_string()))?;
        self.links.insert(link.clone(), name.clone());
        Ok(link)
    }
}

/// The kernel lets packets onto a link some time after its other end came up, and drops until then what is sent: a
/// task's first packet, which a program sends again after a second. Asked about the link, it does so first (Linux 6.8
/// and newer, `rtnl_getlink` in net/core/rtnetlink.c).
fn open_for_packets(inside: &mut RouteSocket) -> Result<(), NetworkError> {
    inside.link_index(TASK_LINK).map_err(NetworkError::kernel("look at a task's link"))?;
    Ok(())
}

/// Sets a parameter of the network namespace that this thread is in.
pub(super) fn set(parameter: &str, value: &str) -> Result<(), NetworkError> {
    let path = Path::new(NETWORK_PARAMETERS).join(parameter);
    fs::write(&path, value).map_err(NetworkError::file(&path))
}
