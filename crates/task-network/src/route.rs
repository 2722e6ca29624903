//! rtnetlink: links, addresses, routes and neighbours of the namespace that the calling thread is in.

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope,
    RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use std::io;
use std::net::Ipv4Addr;

use crate::attachment::MacAddress;

const ENODEV: i32 = 19;
const EIO: i32 = 5;

/// One end of a link pair to make.
pub struct LinkEnd<'end> {
    pub name: &'end str,
    pub mac: MacAddress,
    /// A descriptor of the namespace that it goes to, if not this one.
    pub namespace: Option<i32>,
    /// Its index, if it must be a certain one.
    pub index: Option<u32>,
}

/// A route or an address of this namespace: where a range of addresses leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occupied {
    pub destination: Ipv4Addr,
    pub prefix_length: u8,
    pub link_index: u32,
}

/// A link as what decides about links needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    /// `None` for a device that nobody made: hardware, or what a hypervisor gives for it.
    pub kind: Option<InfoKind>,
    /// The index of the link that it is a port of.
    pub port_of: Option<u32>,
}

/// A connection to the kernel's routing tables. It belongs to the namespace it was opened in.
pub struct RouteSocket {
    socket: Socket,
    sequence: u32,
}

/// A request and its flags beyond REQUEST and ACK.
pub type Change = (RouteNetlinkMessage, u16);

impl RouteSocket {
    pub fn open() -> io::Result<RouteSocket> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(RouteSocket { socket, sequence: 0 })
    }

    /// Makes all changes, in order, in one call to the kernel. The first failure is returned; later changes were
    /// tried all the same.
    pub fn change(&mut self, changes: Vec<Change>) -> io::Result<()> {
        let first = self.sequence + 1;
        let mut buffer = Vec::new();
        for (message, flags) in changes {
            self.append(&mut buffer, message, NLM_F_REQUEST | NLM_F_ACK | flags);
        }
        self.socket.send(&buffer, 0)?;
        let mut failure = None;
        for _ in first..=self.sequence {
            if let Err(error) = self.acknowledgement() {
                failure.get_or_insert(error);
            }
        }
        failure.map_or(Ok(()), Err)
    }

    fn append(&mut self, buffer: &mut Vec<u8>, message: RouteNetlinkMessage, flags: u16) {
        self.sequence += 1;
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
        message.finalize();
        let start = buffer.len();
        buffer.resize(start + message.buffer_len().next_multiple_of(4), 0);
        message.serialize(&mut buffer[start..]);
    }

    fn acknowledgement(&mut self) -> io::Result<()> {
        match self.answer()? {
            NetlinkPayload::Error(error) => match error.code {
                None => Ok(()),
                Some(code) => Err(io::Error::from_raw_os_error(code.get().abs())),
            },
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "no acknowledgement")),
        }
    }

    fn answer(&mut self) -> io::Result<NetlinkPayload<RouteNetlinkMessage>> {
        let (bytes, _) = self.socket.recv_from_full()?;
        NetlinkMessage::<RouteNetlinkMessage>::deserialize(&bytes)
            .map(|message| message.payload)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// The index of a link of this namespace; `None` when there is none of that name.
    pub fn link_index(&mut self, name: &str) -> io::Result<Option<u32>> {
        Ok(self.link(name)?.map(|(index, _)| index))
    }

    /// Index and alias of a link of this namespace.
    pub fn link(&mut self, name: &str) -> io::Result<Option<(u32, Option<String>)>> {
        let mut request = LinkMessage::default();
        request.attributes.push(LinkAttribute::IfName(name.to_owned()));
        let mut buffer = Vec::new();
        self.append(&mut buffer, RouteNetlinkMessage::GetLink(request), NLM_F_REQUEST);
        self.socket.send(&buffer, 0)?;
        match self.answer()? {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => {
                let alias = link.attributes.iter().find_map(|attribute| match attribute {
                    LinkAttribute::IfAlias(alias) => Some(alias.clone()),
                    _ => None,
                });
                Ok(Some((link.header.index, alias)))
            }
            NetlinkPayload::Error(error) => match error.code.map(|code| code.get().abs()) {
                Some(ENODEV) => Ok(None),
                code => Err(io::Error::from_raw_os_error(code.unwrap_or(EIO))),
            },
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "no link")),
        }
    }

    /// All links of this namespace: index and name.
    pub fn links(&mut self) -> io::Result<Vec<(u32, String)>> {
        Ok(self.all_links()?.into_iter().map(|link| (link.index, link.name)).collect())
    }

    /// All links of this namespace.
    pub fn all_links(&mut self) -> io::Result<Vec<Link>> {
        let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let messages = self.dump(request)?;
        Ok(messages
            .into_iter()
            .filter_map(|message| match message {
                RouteNetlinkMessage::NewLink(link) => link_of(&link),
                _ => None,
            })
            .collect())
    }

    /// The indices of the links that an IPv4 default route of any table leads to.
    pub fn default_route_links(&mut self) -> io::Result<Vec<u32>> {
        let mut request = RouteMessage::default();
        request.header.address_family = AddressFamily::Inet;
        let mut indices = Vec::new();
        for message in self.dump(RouteNetlinkMessage::GetRoute(request))? {
            let RouteNetlinkMessage::NewRoute(route) = message else { continue };
            let RouteHeader { kind, destination_prefix_length, .. } = route.header;
            if kind != RouteType::Unicast || destination_prefix_length != 0 {
                continue;
            }
            for attribute in &route.attributes {
                match attribute {
                    RouteAttribute::Oif(index) => indices.push(*index),
                    RouteAttribute::MultiPath(hops) => {
                        indices.extend(hops.iter().map(|hop| hop.interface_index));
                    }
                    _ => {}
                }
            }
        }
        Ok(indices)
    }

    /// All IPv4 ranges that have a link: unicast routes of every table and the addresses of links.
    pub fn occupied(&mut self) -> io::Result<Vec<Occupied>> {
        let mut request = RouteMessage::default();
        request.header.address_family = AddressFamily::Inet;
        let mut occupied = Vec::new();
        for message in self.dump(RouteNetlinkMessage::GetRoute(request))? {
            let RouteNetlinkMessage::NewRoute(route) = message else { continue };
            let (mut destination, mut link_index) = (None, None);
            for attribute in &route.attributes {
                match attribute {
                    RouteAttribute::Destination(RouteAddress::Inet(address)) => {
                        destination = Some(*address);
                    }
                    RouteAttribute::Oif(index) => link_index = Some(*index),
                    _ => {}
                }
            }
            let kind = route.header.kind;
            if !matches!(kind, RouteType::Unicast | RouteType::Local) {
                continue;
            }
            if let (Some(destination), Some(link_index)) = (destination, link_index) {
                let prefix_length = route.header.destination_prefix_length;
                occupied.push(Occupied { destination, prefix_length, link_index });
            }
        }
        Ok(occupied)
    }

    fn dump(&mut self, request: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut buffer = Vec::new();
        self.append(&mut buffer, request, NLM_F_REQUEST | NLM_F_DUMP);
        self.socket.send(&buffer, 0)?;
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let mut messages = Vec::new();
        loop {
            let (bytes, _) = self.socket.recv_from_full()?;
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let message =
                    NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(invalid)?;
                let length = (message.header.length as usize).next_multiple_of(4);
                rest = rest.get(length.max(16)..).unwrap_or_default();
                match message.payload {
                    NetlinkPayload::InnerMessage(inner) => messages.push(inner),
                    NetlinkPayload::Done(_) => return Ok(messages),
                    NetlinkPayload::Error(error) => {
                        let code = error.code.map_or(EIO, |code| code.get().abs());
                        return Err(io::Error::from_raw_os_error(code));
                    }
                    _ => {}
                }
            }
        }
    }
}

fn link_of(link: &LinkMessage) -> Option<Link> {
    let (mut name, mut kind, mut port_of) = (None, None, None);
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text.clone()),
            LinkAttribute::Controller(index) => port_of = Some(*index),
            LinkAttribute::LinkInfo(parts) => {
                kind = parts.iter().find_map(|part| match part {
                    LinkInfo::Kind(kind) => Some(kind.clone()),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    Some(Link { index: link.header.index, name: name?, kind, port_of })
}

fn end_message(end: &LinkEnd<'_>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = end.index.unwrap_or(0);
    message.attributes.push(LinkAttribute::IfName(end.name.to_owned()));
    message.attributes.push(LinkAttribute::Address(end.mac.0.to_vec()));
    if let Some(descriptor) = end.namespace {
        message.attributes.push(LinkAttribute::NetNsFd(descriptor));
    }
    message
}

/// Makes a link pair, the near end up. The kernel takes no far end up that has no near end yet.
pub fn new_pair(near: &LinkEnd<'_>, far: &LinkEnd<'_>) -> Change {
    let mut message = end_message(near);
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    message.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(end_message(far)))),
    ]));
    (RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
}

/// Takes a link up and says in its alias whose it is.
pub fn up_as(index: u32, alias: &str) -> Change {
    let (mut message, flags) = up(index);
    if let RouteNetlinkMessage::SetLink(link) = &mut message {
        link.attributes.push(LinkAttribute::IfAlias(alias.to_owned()));
    }
    (message, flags)
}

/// Takes a link up.
pub fn up(index: u32) -> Change {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    (RouteNetlinkMessage::SetLink(message), 0)
}

/// Deletes a link (and so its other end).
pub fn delete_link(index: u32) -> Change {
    let mut message = LinkMessage::default();
    message.header.index = index;
    (RouteNetlinkMessage::DelLink(message), 0)
}

/// Puts a link into a device group.
pub fn set_group(index: u32, group: u32) -> Change {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes.push(LinkAttribute::Group(group));
    (RouteNetlinkMessage::SetLink(message), 0)
}

/// Deletes all links of a device group.
pub fn delete_group(group: u32) -> Change {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::Group(group));
    (RouteNetlinkMessage::DelLink(message), 0)
}

/// Gives a link an address, without a route for its network.
pub fn address(index: u32, address: Ipv4Addr, prefix_length: u8) -> Change {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = prefix_length;
    message.header.index = index;
    message.attributes.push(AddressAttribute::Local(address.into()));
    message.attributes.push(AddressAttribute::Address(address.into()));
    message.attributes.push(AddressAttribute::Flags(AddressFlags::Noprefixroute));
    (RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_REPLACE)
}

/// An entry in the neighbour table that is never asked for, and that no answer changes.
pub fn neighbour(index: u32, address: Ipv4Addr, mac: MacAddress) -> Change {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.ifindex = index;
    message.header.state = NeighbourState::Permanent;
    message.header.kind = RouteType::Unicast;
    message.attributes.push(NeighbourAttribute::Destination(NeighbourAddress::Inet(address)));
    message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()));
    (RouteNetlinkMessage::NewNeighbour(message), NLM_F_CREATE | NLM_F_REPLACE)
}

fn route(destination: Option<Ipv4Addr>, kind: RouteType, scope: RouteScope) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Static;
    message.header.kind = kind;
    message.header.scope = scope;
    if let Some(destination) = destination {
        message.header.destination_prefix_length = 32;
        let destination = RouteAddress::Inet(destination);
        message.attributes.push(RouteAttribute::Destination(destination));
    }
    message
}

/// One address behind a link, with the source that the host's own packets to it get.
pub fn host_route(index: u32, destination: Ipv4Addr, source: Ipv4Addr) -> Change {
    let mut message = route(Some(destination), RouteType::Unicast, RouteScope::Link);
    message.attributes.push(RouteAttribute::Oif(index));
    message.attributes.push(RouteAttribute::PrefSource(RouteAddress::Inet(source)));
    (RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_REPLACE)
}

/// Takes [`host_route`] away.
pub fn delete_host_route(index: u32, destination: Ipv4Addr) -> Change {
    let mut message = route(Some(destination), RouteType::Unicast, RouteScope::Link);
    message.attributes.push(RouteAttribute::Oif(index));
    (RouteNetlinkMessage::DelRoute(message), 0)
}

/// Everything else goes to the gateway, which need not be an address of the link's network.
pub fn default_route(index: u32, gateway: Ipv4Addr) -> Change {
    let mut message = route(None, RouteType::Unicast, RouteScope::Universe);
    message.header.flags = RouteFlags::Onlink;
    message.attributes.push(RouteAttribute::Oif(index));
    message.attributes.push(RouteAttribute::Gateway(RouteAddress::Inet(gateway)));
    (RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_REPLACE)
}

/// An address that nothing in this namespace can reach.
pub fn prohibit(destination: Ipv4Addr) -> Change {
    let message = route(Some(destination), RouteType::Prohibit, RouteScope::Universe);
    (RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_REPLACE)
}
