//! The names that the server's certificate is good for.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::str::FromStr;

use outport_model::{Scope, host_name};

/// What a name in `/etc/hosts` or a private zone may point here: `logs.outport.internal`, and with the
/// prefixes that SDKs put before it `stream-logs.outport.internal`.
pub const OWN_DOMAIN: &str = "outport.internal";
/// The same on this host alone: resolvers that know `localhost` take every name below it for loopback.
pub const OWN_LOCAL_DOMAIN: &str = "outport.localhost";
/// The name by which nodes ask for their control plane, whatever address they reach it by. Only the
/// installation's own authority signs for it.
pub const NODE_LINK_NAME: &str = "control-plane.outport.internal";
/// More names than this are left out: a host with hundreds of addresses has some that are not for us.
const NAMES_MAX: usize = 200;

/// Host names (a leading `*.` stands for one label) and addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerNames {
    names: BTreeSet<String>,
    addresses: BTreeSet<IpAddr>,
}

/// What the operator asks for, or the host goes by: a name or an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerName {
    Name(String),
    Address(IpAddr),
}

/// The text is neither a host name nor an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a host name nor an address")]
pub struct InvalidServerName(String);

impl FromStr for ServerName {
    type Err = InvalidServerName;

    fn from_str(text: &str) -> Result<Self, InvalidServerName> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        match bare.parse() {
            Ok(address) => Ok(Self::Address(address)),
            Err(_) if host_name::is_name(text) => Ok(Self::Name(text.to_ascii_lowercase())),
            Err(_) => Err(InvalidServerName(text.chars().take(300).collect())),
        }
    }
}

impl ServerNames {
    /// Of an installation on this host: loopback, our own domain, the registry of the account, what the
    /// host goes by, and what the operator gave. Each name comes with a wildcard below it, for the
    /// prefixes that SDKs put before an endpoint's name; below a name without a dot only Go's clients and
    /// browsers take one, so there is one below `outport.localhost` too.
    pub fn wanted(scope: &Scope, host: &[ServerName], given: &[ServerName]) -> Self {
        let mut wanted = Self::default();
        let loopback = [IpAddr::from([127, 0, 0, 1]), std::net::Ipv6Addr::LOCALHOST.into()];
        wanted.addresses.extend(loopback);
        for name in ["localhost", OWN_LOCAL_DOMAIN, OWN_DOMAIN] {
            wanted.add_name(name);
        }
        let (account, region) = (&scope.account, &scope.region);
        wanted.names.insert(format!("{account}.dkr.ecr.{region}.amazonaws.com"));
        for name in given.iter().chain(host) {
            match name {
                _ if wanted.names.len() + wanted.addresses.len() >= NAMES_MAX => break,
                ServerName::Name(name) => wanted.add_name(name),
                ServerName::Address(address) => {
                    wanted.addresses.insert(*address);
                }
            }
        }
        wanted
    }

    fn add_name(&mut self, name: &str) {
        if !name.starts_with("*.") {
            self.names.insert(format!("*.{name}"));
        }
        self.names.insert(name.to_owned());
    }

    pub(crate) fn from_parts(names: BTreeSet<String>, addresses: BTreeSet<IpAddr>) -> Self {
        Self { names, addresses }
    }

    pub(crate) fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    pub(crate) fn addresses(&self) -> &BTreeSet<IpAddr> {
        &self.addresses
    }

    /// As texts: names, patterns and addresses.
    pub fn texts(&self) -> Vec<String> {
        let addresses = self.addresses.iter().map(IpAddr::to_string);
        self.names.iter().cloned().chain(addresses).collect()
    }

    /// Whether a host, without its port, is one of these.
    pub fn covers(&self, host: &str) -> bool {
        match host.parse::<IpAddr>() {
            Ok(address) => self.addresses.contains(&address),
            Err(_) => self.names.iter().any(|pattern| host_name::matches(pattern, host)),
        }
    }

    /// One that is here and not there. What is there and not here harms nobody: addresses come and go.
    pub fn missing_in(&self, there: &Self) -> Option<String> {
        let name = self.names.difference(&there.names).next().cloned();
        name.or_else(|| self.addresses.difference(&there.addresses).next().map(IpAddr::to_string))
    }
}

#[cfg(test)]
mod tests {
    use outport_model::{AccountId, Region};

    use super::*;

    fn wanted(given: &[&str]) -> ServerNames {
        let scope = Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"));
        let given: Vec<ServerName> = given.iter().map(|text| text.parse().unwrap()).collect();
        let host = ["box".parse().unwrap(), "10.1.2.3".parse().unwrap()];
        ServerNames::wanted(&scope, &host, &given)
    }

    #[track_caller]
    fn check(host: &str, expected: bool) {
        assert_eq!(wanted(&["ecs.example.org", "fd00::7"]).covers(host), expected, "{host}");
    }

    #[test]
    fn every_way_to_this_host_is_covered() {
        for host in [
            "localhost",
            "logs.localhost",
            "stream-logs.outport.localhost",
            "127.0.0.1",
            "::1",
            "box",
            "10.1.2.3",
            "ecs.example.org",
            "data-x.ecs.example.org",
            "fd00::7",
            "000000000000.dkr.ecr.us-east-1.amazonaws.com",
            NODE_LINK_NAME,
        ] {
            check(host, true);
        }
        for host in
            ["example.org", "a.b.localhost", "127.0.0.2", "ecs.us-east-1.amazonaws.com", "", "*"]
        {
            check(host, false);
        }
    }

    #[test]
    fn only_names_that_are_missing_count() {
        let (few, many) = (wanted(&[]), wanted(&["ecs.example.org"]));
        assert_eq!(few.missing_in(&many), None);
        assert_eq!(many.missing_in(&few).as_deref(), Some("*.ecs.example.org"));
        assert!("no name".parse::<ServerName>().is_err());
    }

    #[test]
    fn there_are_never_more_than_fit() {
        let given: Vec<String> =
            (0..1000).map(|n| format!("10.0.{}.{}", n / 256, n % 256)).collect();
        let given: Vec<&str> = given.iter().map(String::as_str).collect();
        assert!(wanted(&given).texts().len() <= NAMES_MAX + 1);
    }
}
