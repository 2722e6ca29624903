//! Taking a namespace apart: cut off at once, the rest by the reaper.

use super::{DETACHED_PREFIX, HostNetwork, State};
use crate::attachment::AttachedNamespace;
use crate::error::NetworkError;
use crate::instance::NamespaceName;
use crate::reaper::Remains;
use crate::route::{self, RouteSocket};
use std::fs;
use std::io;
use std::sync::atomic::Ordering;

const ESRCH: i32 = 3;

impl HostNetwork {
    /// Cuts a namespace off and hands the rest to the reaper.
    pub(super) fn take_apart(&self, name: &NamespaceName) -> Result<(), NetworkError> {
        let directory = self.namespaces.join(name.as_str());
        let attached = self.read(name)?;
        let link_index = match &attached {
            Some(attached) => self.own_link_index(attached)?,
            None => None,
        };
        let number = self.detached.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        let aside = self.namespaces.join(format!("{DETACHED_PREFIX}{process}-{number}"));
        let moved =
            self.rules.delete(attached.as_ref(), || match fs::rename(&directory, &aside) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(NetworkError::file(&directory)(error)),
            })?;
        let address = attached.as_ref().and_then(|attached| attached.address);
        let cut = match (link_index, address) {
            (Some(index), Some(address)) => RouteSocket::open().and_then(|mut socket| {
                socket.change(vec![route::delete_host_route(index, address)])
            }),
            _ => Ok(()),
        };
        self.give_back(name);
        if moved {
            self.reaper.reap(Remains { directory: aside, link_index });
        }
        match cut {
            Err(error) if error.raw_os_error() != Some(ESRCH) => {
                Err(NetworkError::kernel("delete a route")(error))
            }
            _ => Ok(()),
        }
    }

    /// By the books, not by the record: of a namespace whose making failed early there is none.
    fn give_back(&self, name: &NamespaceName) {
        let mut state = self.state();
        let State { ports, published, links, addresses, bridge, .. } = &mut *state;
        ports.remove(name);
        published.retain(|_, held| held.owner != *name);
        links.retain(|_, owner| owner != name);
        for (address, _) in addresses.extract_if(|_, owner| owner == name) {
            bridge.give_back(address);
        }
    }

    /// Whether the host's end is there and was set up to its end.
    pub(super) fn has_link(&self, attached: &AttachedNamespace) -> Result<bool, NetworkError> {
        if attached.address.is_none() {
            return Ok(true);
        }
        self.own_link_index(attached).map(|index| index.is_some())
    }

    /// The namespace's link; `None` when there is none, or the link of that name is another's.
    fn own_link_index(&self, attached: &AttachedNamespace) -> Result<Option<u32>, NetworkError> {
        let Some((index, alias)) = self.link(&self.settings.link_of(attached))? else {
            return Ok(None);
        };
        let is_own = match (&alias, &attached.link) {
            (Some(alias), _) => *alias == self.settings.instance.link_alias(&attached.name),
            // A version that recorded no link wrote no alias either.
            (None, recorded) => recorded.is_none(),
        };
        Ok(is_own.then_some(index))
    }

    fn link(&self, link: &str) -> Result<Option<(u32, Option<String>)>, NetworkError> {
        RouteSocket::open()
            .and_then(|mut socket| socket.link(link))
            .map_err(NetworkError::kernel("look up a link"))
    }

    /// Deletes a link that says that it is the namespace's; `false` when it is another's.
    pub(super) fn delete_own_link(
        &self,
        link: &str,
        name: &NamespaceName,
    ) -> Result<bool, NetworkError> {
        let own = self.settings.instance.link_alias(name);
        let Some((index, alias)) = self.link(link)? else { return Ok(true) };
        if alias.is_none_or(|alias| alias != own) {
            return Ok(false);
        }
        RouteSocket::open()
            .and_then(|mut socket| socket.change(vec![route::delete_link(index)]))
            .map_err(NetworkError::kernel("delete a link"))?;
        Ok(true)
    }
}
