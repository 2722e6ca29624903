//! Publishing ports of namespaces with an interface of their own, and giving way with them.

use super::build::set;
use super::{HeldPort, HostNetwork, records};
use crate::attachment::{AttachedNamespace, Attachment, PortMapping, TransportProtocol};
use crate::error::NetworkError;
use crate::instance::NamespaceName;
use crate::ports::hold;
use crate::published::{Publication, PublishScope, Published, WantedPort, plan};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

/// How often and how long a port that was let go of is waited for.
const FREED_LOOKS_MAX: u8 = 100;
const FREED_LOOK: Duration = Duration::from_millis(10);

impl HostNetwork {
    /// Has ports of the host lead to those of an attached namespace. Calling it again changes what changed; a port
    /// stays as long as it can be held. What finds no port on the host is left out.
    ///
    /// # Errors
    /// When nothing of that name is attached, or the kernel refuses.
    pub fn publish(
        &self,
        name: &NamespaceName,
        wanted: &Publication,
    ) -> Result<AttachedNamespace, NetworkError> {
        let turn = self.turn(name);
        let _mine = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let attached = self.read(name)?.filter(|attached| attached.address.is_some());
        let attached = attached.ok_or_else(|| NetworkError::NotAttached(name.to_string()))?;
        self.publish_in_turn(attached, wanted)
    }

    /// What is published of all namespaces below a runtime directory, whether or not its instance runs.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn list_published(
        runtime_directory: &Path,
    ) -> Result<Vec<(NamespaceName, Published)>, NetworkError> {
        let listed = records::list(&runtime_directory.join("ns"))?.into_iter();
        Ok(listed.filter_map(|attached| Some((attached.name, attached.published?))).collect())
    }

    fn publish_in_turn(
        &self,
        before: AttachedNamespace,
        wanted: &Publication,
    ) -> Result<AttachedNamespace, NetworkError> {
        let ports = self.take_published(&before, wanted);
        let published = (!ports.is_empty()).then_some(Published { scope: wanted.scope, ports });
        let after = AttachedNamespace { published, ..before.clone() };
        // Before the elements, so that the first packet passes.
        let link = self.settings.link_of(&after);
        if after.published.is_some() != before.published.is_some() {
            let is_open = if after.published.is_some() { "1" } else { "0" };
            set(&format!("ipv4/conf/{link}/route_localnet"), is_open)?;
        }
        if after.published != before.published {
            self.rules.replace(&before, &after, || records::write(&self.namespaces, &after))?;
        }
        Ok(after)
    }

    /// Takes the ports in the books, holds them, and lets go of the others that the namespace had.
    fn take_published(
        &self,
        attached: &AttachedNamespace,
        wanted: &Publication,
    ) -> Vec<PortMapping> {
        let name = &attached.name;
        let before = attached.published.as_ref().map_or(&[][..], |published| &published.ports);
        let mut state = self.state();
        let published = &mut state.published;
        // A socket of the other scope is on the wrong address.
        published.retain(|_, held| held.owner != *name || held.scope == wanted.scope);
        let ports = plan(&wanted.ports, before, |protocol, port| {
            match published.get(&(protocol, port)) {
                Some(held) => held.owner == *name,
                // A task of network mode `host` may not listen yet.
                None if self.rules.is_served(protocol, port) => false,
                None => match HeldPort::take(name, wanted.scope, protocol, port) {
                    Some(held) => published.insert((protocol, port), held).is_none(),
                    None => false,
                },
            }
        });
        let is_kept = |key: &(TransportProtocol, u16)| {
            ports.iter().any(|mapping| (mapping.protocol, mapping.host_port) == *key)
        };
        published.retain(|key, held| held.owner != *name || is_kept(key));
        ports
    }

    /// Holds again what an earlier process published; what somebody else has taken meanwhile is found out when the
    /// namespace is published again.
    pub(super) fn note_published(&self, attached: &AttachedNamespace) {
        let Some(Published { scope, ports }) = &attached.published else { return };
        let mut state = self.state();
        for PortMapping { protocol, host_port, .. } in ports {
            if let Some(held) = HeldPort::take(&attached.name, *scope, *protocol, *host_port) {
                state.published.insert((*protocol, *host_port), held);
            }
        }
    }

    /// Without published ports that gave way since.
    pub(super) fn with_held_ports(&self, attached: &AttachedNamespace) -> AttachedNamespace {
        let state = self.state();
        let is_held = |mapping: &PortMapping| {
            let held = state.published.get(&(mapping.protocol, mapping.host_port));
            held.is_some_and(|held| held.owner == attached.name)
        };
        let mut attached = attached.clone();
        if let Some(published) = &mut attached.published {
            published.ports.retain(is_held);
        }
        attached
    }

    /// Lets go of published ports that are another task's by its definition; whose they were.
    pub(super) fn give_way(&self, claimed: &[PortMapping]) -> Vec<NamespaceName> {
        let published = &mut self.state().published;
        let keys = claimed.iter().map(|mapping| (mapping.protocol, mapping.host_port));
        keys.filter_map(|key| published.remove(&key)).map(|held| held.owner).collect()
    }

    /// [`HostNetwork::promise`], before which published ports give way.
    pub(super) fn promise_and_move(
        &self,
        name: &NamespaceName,
        attachment: &Attachment,
    ) -> Result<AttachedNamespace, NetworkError> {
        let Attachment::Bridge { ports } = attachment else {
            return self.promise(name, attachment);
        };
        let gave_way = self.give_way(ports);
        let mut promised = self.promise(name, attachment);
        if !gave_way.is_empty() {
            // A program that is being started has what this process has, until it is another program.
            for _ in 0..FREED_LOOKS_MAX {
                if !matches!(promised, Err(NetworkError::PortBusy { .. })) {
                    break;
                }
                std::thread::sleep(FREED_LOOK);
                promised = self.promise(name, attachment);
            }
            self.publish_elsewhere(gave_way);
        }
        promised
    }

    /// Finds other ports for who gave way. Its task runs on whatever comes of it.
    pub(super) fn publish_elsewhere(&self, owners: Vec<NamespaceName>) {
        for name in owners {
            let turn = self.turn(&name);
            let _its = turn.lock().unwrap_or_else(PoisonError::into_inner);
            let moved = self.read(&name).and_then(|attached| {
                let Some(attached) = attached else { return Ok(None) };
                let Some(Published { scope, ports }) = attached.published.clone() else {
                    return Ok(None);
                };
                // What it asked for it has had.
                let ports = ports.iter().map(|one| WantedPort {
                    protocol: one.protocol,
                    container_port: one.container_port,
                    host_port: None,
                });
                let ports = ports.collect();
                self.publish_in_turn(attached, &Publication { scope, ports }).map(Some)
            });
            match moved {
                Ok(None) => {}
                Ok(Some(moved)) => tracing::info!(
                    event = "published_ports_moved",
                    %name,
                    ports = %shown(&moved),
                    "a port of this host that led to a task is another task's by its definition; another one leads there now"
                ),
                Err(error) => tracing::warn!(
                    event = "published_ports_not_moved",
                    %name,
                    %error,
                    "a port of this host that led to a task is another task's by its definition; none leads there now"
                ),
            }
        }
    }
}

fn shown(attached: &AttachedNamespace) -> String {
    let ports = attached.published.iter().flat_map(|published| &published.ports);
    let words =
        ports.map(|one| format!("{}/{} for {}", one.host_port, one.protocol, one.container_port));
    words.collect::<Vec<_>>().join(", ")
}

impl HeldPort {
    fn take(
        owner: &NamespaceName,
        scope: PublishScope,
        protocol: TransportProtocol,
        port: u16,
    ) -> Option<HeldPort> {
        let address = match scope {
            PublishScope::Loopback => Ipv4Addr::LOCALHOST,
            PublishScope::Everywhere => Ipv4Addr::UNSPECIFIED,
        };
        let socket = hold(protocol, address, port).ok()?;
        Some(HeldPort { owner: owner.clone(), scope, _socket: socket })
    }
}
