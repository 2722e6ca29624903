//! Where to listen: the forms of `--listen`, and what to do about an address that cannot be had.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

/// Reads `4566` (loopback), `:4566` (every address of this machine), `HOST:4566`. A name is looked up, and IPv4 taken
/// before IPv6; `localhost` is 127.0.0.1 and asks nobody.
///
/// # Errors
/// What is wrong with it, for whoever wrote it.
pub fn parse(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address);
    }
    if text.parse::<IpAddr>().is_ok() {
        return Err(format!("the port is missing: say {text}:4566, or [{text}]:4566 for IPv6"));
    }
    let (host, port) =
        text.rsplit_once(':').map_or((None, text), |(host, port)| (Some(host), port));
    let port: u16 = port.parse().map_err(|_| {
        "an address is a port such as 4566 (this machine only), :4566 (all addresses of this machine), \
         or host:4566"
            .to_owned()
    })?;
    match host {
        None | Some("localhost") => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        Some("") => Ok(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
        Some(host) => {
            let found: Vec<SocketAddr> = (host, port)
                .to_socket_addrs()
                .map_err(|error| format!("no address is known of {host:?}: {error}"))?
                .collect();
            let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
            first.copied().ok_or_else(|| format!("{host:?} has no address"))
        }
    }
}

/// What to do when nobody can listen there.
pub fn advice(error: ErrorKind) -> &'static str {
    match error {
        ErrorKind::AddrInUse => "stop what uses it, or choose another address with --listen",
        ErrorKind::AddrNotAvailable => {
            "this machine does not have that address; give one that `ip -brief address` shows with --listen, \
             or --listen :PORT for all of them"
        }
        ErrorKind::PermissionDenied => {
            "ports below 1024 are root's: run it as root, or choose a higher port with --listen"
        }
        _ => "choose another address with --listen",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let parsed = match parse(text) {
            Ok(address) => address.to_string(),
            Err(error) => error,
        };
        assert!(parsed.contains(expected), "{text}: {parsed}");
    }

    #[test]
    fn a_port_alone_is_this_machine_and_a_colon_before_it_everybody() {
        check("4566", "127.0.0.1:4566");
        check(":4566", "0.0.0.0:4566");
        check("localhost:4566", "127.0.0.1:4566");
        check("10.0.0.1:80", "10.0.0.1:80");
        check("[::1]:4566", "[::1]:4566");
        check("[::]:4566", "[::]:4566");
    }

    #[test]
    fn what_is_no_address_says_the_forms() {
        for text in ["", "here", "here:", "70000", ":70000", "-1"] {
            check(text, "a port such as 4566");
        }
        check("10.0.0.1", "the port is missing: say 10.0.0.1:4566");
        check("::1", "the port is missing");
        let nobody = "x".repeat(300);
        check(&format!("{nobody}:4566"), &format!("no address is known of {nobody:?}"));
    }
}
