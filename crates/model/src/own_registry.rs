//! Which image hosts mean the registry of this installation.

use std::net::IpAddr;

use crate::Scope;
use crate::ecr_registry::ecr_registry;
use crate::host_name::{matches, split_port};

/// What a registry without a port in its name is reached at: over TLS.
const PORT_DEFAULT: u16 = 443;

/// The registry under all of its hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnRegistry {
    /// Host and port as clients are told that came by no name of ours, such as `127.0.0.1:4566`.
    pub host: String,
    /// Further hosts, each with its port unless that is 443: names (a leading `*.` stands for one label) and
    /// addresses, those of IPv6 in brackets.
    pub names: Vec<String>,
}

impl OwnRegistry {
    /// Whether an image's host is this registry, for a task of this account and region: one of its hosts, or
    /// AWS's name of the account's registry.
    pub fn is(&self, host: &str, scope: &Scope) -> bool {
        self.answers_to(host) || ecr_registry(host).is_some_and(|meant| meant == *scope)
    }

    /// The same without AWS's names: where a client may have come by.
    pub fn answers_to(&self, host: &str) -> bool {
        std::iter::once(&self.host).chain(&self.names).any(|own| is_same(own, host))
    }
}

fn is_same(own: &str, host: &str) -> bool {
    let ((own, own_port), (name, port)) = (split_port(own), split_port(host));
    let same_name = match (own.parse::<IpAddr>(), name.parse::<IpAddr>()) {
        (Ok(own), Ok(address)) => own == address,
        _ => matches(own, name),
    };
    same_name && own_port.unwrap_or(PORT_DEFAULT) == port.unwrap_or(PORT_DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccountId, Region};

    #[track_caller]
    fn check(host: &str, expected: bool) {
        let names = [
            "localhost:4566",
            "*.outport.internal:4566",
            "10.0.0.7:4566",
            "[::1]:4566",
            "ecs.example.org:443",
        ];
        let registry = OwnRegistry {
            host: "127.0.0.1:4566".to_owned(),
            names: names.map(str::to_owned).to_vec(),
        };
        let scope = Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"));
        assert_eq!(registry.is(host, &scope), expected, "{host}");
    }

    #[test]
    fn a_registry_has_many_hosts() {
        check("127.0.0.1:4566", true);
        check("localhost:4566", true);
        check("LOCALHOST:4566", true);
        check("10.0.0.7:4566", true);
        check("[::1]:4566", true);
        check("[0:0:0:0:0:0:0:1]:4566", true);
        check("ecr.outport.internal:4566", true);
        check("ecs.example.org", true);
        check("ecs.example.org:443", true);
        check("000000000000.dkr.ecr.us-east-1.amazonaws.com", true);
        check("ecs.example.org:4566", false);
        check("localhost:5000", false);
        check("localhost:443", false);
        check("localhost", false);
        check("a.b.outport.internal:4566", false);
        check("10.0.0.8:4566", false);
        check("docker.io", false);
        check("", false);
        check("111111111111.dkr.ecr.us-east-1.amazonaws.com", false);
        check("000000000000.dkr.ecr.eu-west-1.amazonaws.com", false);
    }
}
