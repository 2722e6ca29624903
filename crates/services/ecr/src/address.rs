//! Where clients reach the registry: where they reached us.
//!
//! **Invariant:** no host is told but one that nodes, too, take for this registry.

use outport_identity::Call;
use outport_model::own_registry::OwnRegistry;

/// The registry's host as the clients of a call know it.
#[derive(Clone, Debug)]
pub struct RegistryAddress {
    own: OwnRegistry,
}

impl RegistryAddress {
    /// `own.host` is told to whoever came by a name that is none of its own.
    pub fn new(own: OwnRegistry) -> Self {
        Self { own }
    }

    /// What stands in front of a repository's name: the host by which the client came, so that it works for that
    /// client; a host that we do not go by would be taken for a foreign registry by nodes.
    pub(crate) fn host<'a>(&'a self, call: &'a Call) -> &'a str {
        call.host.as_deref().filter(|host| self.own.answers_to(host)).unwrap_or(&self.own.host)
    }

    /// As the client came.
    pub(crate) fn scheme(&self, call: &Call) -> &'static str {
        if call.secure_transport { "https" } else { "http" }
    }
}
