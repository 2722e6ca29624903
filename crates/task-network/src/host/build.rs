//! Making a namespace and connecting it: both sides of the link pair, and its set elements.

use super::{HOST_MAC, HostNetwork, INSTANCE_METADATA_ADDRESS, RECORD, first_address, write_rules};
use crate::attachment::{AttachedNamespace, Attachment, MacAddress, TaskInterface};
use crate::error::NetworkError;
use crate::firewall::Element;
use crate::instance::NamespaceName;
use crate::namespace;
use crate::ports::HeldPorts;
use crate::route::{self, LinkEnd, RouteSocket};
use ipnet::Ipv4Net;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

/// The only link of a namespace besides loopback.
const TASK_LINK: &str = "eth0";
/// Its index, chosen so that it need not be asked for.
const TASK_LINK_INDEX: u32 = 2;
const EEXIST: i32 = 17;

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
        Ok(AttachedNamespace {
            name: name.clone(),
            path: self.namespaces.join(name.as_str()).join("net"),
            attachment: attachment.clone(),
            address,
        })
    }

    /// The record first: what is not recorded is not found after a crash.
    pub(super) fn build(&self, attached: &AttachedNamespace) -> Result<(), NetworkError> {
        let directory = self.namespaces.join(attached.name.as_str());
        fs::create_dir_all(&directory).map_err(NetworkError::file(&directory))?;
        write_record(&directory, attached)?;
        let (interface, link) = match (&attached.attachment, attached.address) {
            (Attachment::Interface(interface), _) => {
                (interface.clone(), self.settings.instance.link(&attached.name))
            }
            (Attachment::Bridge { .. }, Some(address)) => {
                (self.bridge_interface(address), self.settings.instance.link(&attached.name))
            }
            _ => return namespace::create(&attached.path, Vec::new()),
        };
        match namespace::create(&attached.path, self.task_changes(&interface, &link)) {
            Err(NetworkError::Kernel { source, .. }) if source.raw_os_error() == Some(EEXIST) => {
                // A link of that name outlived its namespace.
                self.delete_link(&link)?;
                namespace::create(&attached.path, self.task_changes(&interface, &link))?;
            }
            result => result?,
        }
        self.connect_host(
            &interface,
            &link,
            matches!(attached.attachment, Attachment::Bridge { .. }),
        )?;
        self.add_elements(attached)
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
        vec![
            route::new_pair(&near, &far),
            route::address(index, *address, *prefix_length),
            route::neighbour(index, *gateway, HOST_MAC),
            route::default_route(index, *gateway),
            route::prohibit(INSTANCE_METADATA_ADDRESS),
        ]
    }

    /// What happens on the host's side of the pair.
    fn connect_host(
        &self,
        interface: &TaskInterface,
        link: &str,
        published: bool,
    ) -> Result<(), NetworkError> {
        let kernel = || NetworkError::kernel("connect a task to the host");
        let mut socket = RouteSocket::open().map_err(kernel())?;
        let index = socket.link_index(link).map_err(kernel())?;
        let index = index.ok_or_else(|| kernel()(io::Error::from(io::ErrorKind::NotFound)))?;
        if published {
            // For 127.0.0.1:<host port>. The raw chain keeps the task from the host's loopback.
            let path = PathBuf::from(format!("/proc/sys/net/ipv4/conf/{link}/route_localnet"));
            fs::write(&path, "1").map_err(NetworkError::file(&path))?;
        }
        let changes = vec![
            route::up(index),
            route::host_route(index, interface.address, self.router),
            route::neighbour(index, interface.address, interface.mac),
        ];
        socket.change(changes).map_err(kernel())
    }

    /// Adds the namespace's elements. A table that somebody flushed away is made again first.
    pub(super) fn add_elements(&self, attached: &AttachedNamespace) -> Result<(), NetworkError> {
        let elements = self.elements_of(attached);
        let add = || {
            let mut socket = self.elements.lock().unwrap_or_else(PoisonError::into_inner);
            socket.add(&self.table, &elements)
        };
        let added = match add() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                write_rules(&self.settings)?;
                add()
            }
            result => result,
        };
        added.map_err(NetworkError::kernel("add elements to nf_tables"))
    }

    pub(super) fn elements_of(&self, attached: &AttachedNamespace) -> Vec<Element> {
        let Some(address) = attached.address else { return Vec::new() };
        let link = self.settings.instance.link(&attached.name);
        let mut elements = vec![Element::Source { link, address }];
        if let Attachment::Bridge { ports } = &attached.attachment {
            elements.push(Element::Hairpin { address });
            let ports = ports.iter();
            elements.extend(ports.map(|mapping| Element::Port { mapping: *mapping, address }));
        }
        elements
    }
}

pub(super) fn write_record(
    directory: &Path,
    attached: &AttachedNamespace,
) -> Result<(), NetworkError> {
    let path = directory.join(RECORD);
    let write = || fs::write(&path, serde_json::to_vec(attached)?);
    write().map_err(NetworkError::file(&path))
}
