//! Taking a namespace apart: cut off at once, the rest by the reaper.

use super::{DETACHED_PREFIX, HostNetwork};
use crate::attachment::AttachedNamespace;
use crate::error::NetworkError;
use crate::instance::NamespaceName;
use crate::reaper::Remains;
use crate::route::{self, RouteSocket};
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

const ESRCH: i32 = 3;

impl HostNetwork {
    /// Cuts a namespace off and hands the rest to the reaper.
    pub(super) fn take_apart(&self, name: &NamespaceName) -> Result<(), NetworkError> {
        let directory = self.namespaces.join(name.as_str());
        let attached = self.read(name)?;
        let link = self.settings.instance.link(name);
        let link_index = self.link_index(&link)?;
        if let Some(attached) = &attached {
            let mut socket = self.elements.lock().unwrap_or_else(PoisonError::into_inner);
            socket
                .delete(&self.table, &self.elements_of(attached))
                .map_err(NetworkError::kernel("delete elements of nf_tables"))?;
        }
        let address = attached.as_ref().and_then(|attached| attached.address);
        if let (Some(index), Some(address)) = (link_index, address) {
            let cut = RouteSocket::open().and_then(|mut socket| {
                socket.change(vec![route::delete_host_route(index, address)])
            });
            match cut {
                Err(error) if error.raw_os_error() != Some(ESRCH) => {
                    return Err(NetworkError::kernel("delete a route")(error));
                }
                _ => {}
            }
        }
        self.give_back(name, address);
        let number = self.detached.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        let aside = self.namespaces.join(format!("{DETACHED_PREFIX}{process}-{number}"));
        match fs::rename(&directory, &aside) {
            Ok(()) => self.reaper.reap(Remains { directory: aside, link_index }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(NetworkError::file(&directory)(error)),
        }
        Ok(())
    }

    fn give_back(&self, name: &NamespaceName, address: Option<Ipv4Addr>) {
        let mut state = self.state();
        state.ports.remove(name);
        if let Some(address) = address
            && state.addresses.get(&address) == Some(name)
        {
            state.addresses.remove(&address);
            state.bridge.give_back(address);
        }
    }

    pub(super) fn has_link(&self, attached: &AttachedNamespace) -> Result<bool, NetworkError> {
        if attached.address.is_none() {
            return Ok(true);
        }
        let link = self.settings.instance.link(&attached.name);
        self.link_index(&link).map(|index| index.is_some())
    }

    fn link_index(&self, link: &str) -> Result<Option<u32>, NetworkError> {
        RouteSocket::open()
            .and_then(|mut socket| socket.link_index(link))
            .map_err(NetworkError::kernel("look up a link"))
    }

    pub(super) fn delete_link(&self, link: &str) -> Result<(), NetworkError> {
        let Some(index) = self.link_index(link)? else { return Ok(()) };
        RouteSocket::open()
            .and_then(|mut socket| socket.change(vec![route::delete_link(index)]))
            .map_err(NetworkError::kernel("delete a link"))
    }
}
