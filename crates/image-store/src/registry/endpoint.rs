//! Where a repository is served, and as whom to ask.

use crate::reference::ImageReference;
use std::fmt;

/// A user and password for a registry. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// For example `AWS`.
    pub username: String,
    /// For example a sealed authorization token.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// One repository of one registry, as it can be reached from this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryEndpoint {
    pub(crate) https: bool,
    /// Reached as [`OwnRegistry`](super::OwnRegistry) says.
    pub(crate) own: bool,
    pub(crate) authority: String,
    pub(crate) repository: String,
    pub(crate) credentials: Option<Credentials>,
}

impl RegistryEndpoint {
    /// A repository over plain HTTP, as on a loopback host.
    pub fn http(authority: &str, repository: &str, credentials: Option<Credentials>) -> Self {
        RegistryEndpoint {
            https: false,
            own: false,
            authority: authority.to_owned(),
            repository: repository.to_owned(),
            credentials,
        }
    }

    /// A repository of this installation's own registry, at the address of the control plane.
    pub fn own(authority: &str, repository: &str, credentials: Option<Credentials>) -> Self {
        RegistryEndpoint { own: true, ..Self::https(authority, repository, credentials) }
    }

    /// A repository over HTTPS.
    pub fn https(authority: &str, repository: &str, credentials: Option<Credentials>) -> Self {
        RegistryEndpoint { https: true, ..Self::http(authority, repository, credentials) }
    }

    /// Where a reference points when nobody says otherwise: HTTPS, but plain HTTP on a loopback host as
    /// container engines do; Docker Hub under its API's name.
    pub fn of(reference: &ImageReference, credentials: Option<Credentials>) -> Self {
        let host = reference.host();
        let authority = if host == "docker.io" { "registry-1.docker.io" } else { host };
        RegistryEndpoint {
            https: !is_loopback(host),
            ..Self::http(authority, reference.repository(), credentials)
        }
    }

    /// Registry and repository, as one text that names no other.
    pub(crate) fn place(&self) -> String {
        format!("{}{}", self.registry(), self.repository)
    }

    /// The part of [`place`](Self::place) that is the registry.
    pub(crate) fn registry(&self) -> String {
        let whose = if self.own { "own+" } else { "" };
        format!("{whose}{}://{}/", self.scheme(), self.authority)
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }
}

fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost"
        || name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}
