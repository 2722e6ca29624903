//! The host as a router: IPv4 forwarding, and making room in a FORWARD policy of DROP (Docker's, a firewall's).
//!
//! **Invariant:** a host that was no router becomes none for others: between the links that it had, nothing is forwarded.

use crate::error::NetworkError;
use crate::firewall::{complaint, is_plain};
use crate::instance::PREFIX_DIGITS;
use crate::route::RouteSocket;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";
/// In the runtime directory, which a boot empties as it turns forwarding off: the links of [`Forwarding::closed_links`].
const RECORD: &str = "forwarding.json";
/// Most copies of a rule that a removal takes away.
const RULE_COPIES_MAX: usize = 8;

/// What is to be done so that the host forwards the packets of tasks, and no others.
#[derive(Debug)]
pub struct Forwarding {
    /// The links that the host had when forwarding was off: between these nothing is forwarded for as long as the
    /// instance has its table. Links that came later, such as Docker's, are not our affair.
    pub closed_links: Vec<String>,
    is_on: bool,
}

impl Forwarding {
    /// Looks at the host. Who turns forwarding on writes down first what it was closed between, so that the next
    /// process of the instance knows it too.
    pub fn plan(runtime_directory: &Path) -> Result<Forwarding, NetworkError> {
        let is_on = is_on()?;
        let record = runtime_directory.join(RECORD);
        let closed_links = match fs::read(&record) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_on => Vec::new(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let links = foreign_links()?;
                let write = || fs::write(&record, serde_json::to_vec(&links)?);
                write().map_err(NetworkError::file(&record))?;
                links
            }
            Err(error) => return Err(NetworkError::file(&record)(error)),
        };
        Ok(Forwarding { closed_links, is_on })
    }

    /// Lets the host forward IPv4 packets. `false`: it was on and is off by now, as another instance that stopped has
    /// left it; then the plan is another. Our table is there, so that nobody turns it off from now on.
    pub fn turn_on(self) -> Result<bool, NetworkError> {
        if self.is_on {
            return is_on();
        }
        write_forwarding("1")?;
        tracing::info!(
            event = "ip_forwarding_turned_on",
            between = self.closed_links.join(" "),
            "IPv4 forwarding was off on this host and is on now, but not between these links"
        );
        Ok(true)
    }
}

/// Turns forwarding off again, if this instance turned it on and nobody seems to use it: no other Outport, no link that
/// came later. After the table is gone.
pub fn turn_off(runtime_directory: &Path) -> Result<(), NetworkError> {
    let record = runtime_directory.join(RECORD);
    let closed_links: Vec<String> = match fs::read(&record) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(NetworkError::file(&record)(error)),
    };
    let came_later = foreign_links()?.iter().any(|link| !closed_links.contains(link));
    let mut is_in_use = came_later || other_outports()?;
    if !is_in_use {
        write_forwarding("0")?;
        // One that has started since, and saw it on.
        is_in_use = other_outports()?;
        if is_in_use {
            write_forwarding("1")?;
        }
    }
    if is_in_use {
        tracing::warn!(
            event = "ip_forwarding_left_on",
            "IPv4 forwarding, which was off before, stays on: others on this host may use it"
        );
    }
    fs::remove_file(&record).map_err(NetworkError::file(&record))
}

fn is_on() -> Result<bool, NetworkError> {
    let path = Path::new(IP_FORWARD);
    let value = fs::read_to_string(path).map_err(NetworkError::file(path))?;
    Ok(value.trim() == "1")
}

fn write_forwarding(value: &str) -> Result<(), NetworkError> {
    let path = Path::new(IP_FORWARD);
    fs::write(path, value).map_err(NetworkError::file(path))
}

/// Every link but loopback and Outports'. A name that is no plain word is left out: it goes into a script. So is one
/// that an Outport might have given: `op` and five hexadecimal digits, and more.
fn foreign_links() -> Result<Vec<String>, NetworkError> {
    let links = RouteSocket::open().and_then(|mut socket| socket.links());
    let links = links.map_err(NetworkError::kernel("list the host's links"))?;
    let names = links.into_iter().map(|(_, name)| name);
    Ok(names.filter(|name| name != "lo" && !is_outports(name) && is_plain(name)).collect())
}

fn is_outports(link: &str) -> bool {
    let digits = link.strip_prefix("op").and_then(|rest| rest.as_bytes().get(..PREFIX_DIGITS));
    let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    digits.is_some_and(|digits| digits.iter().all(is_digit)) && link.len() > 2 + PREFIX_DIGITS
}

fn other_outports() -> Result<bool, NetworkError> {
    let failed = |reason: String| NetworkError::Program { program: "nft", reason };
    let listed = Command::new("nft").args(["list", "tables"]).output();
    let listed = listed.map_err(|error| failed(error.to_string()))?;
    Ok(String::from_utf8_lossy(&listed.stdout).contains("inet outport_"))
}

/// Lets this instance's packets pass where iptables drops what it does not know. Docker leaves the chain DOCKER-USER
/// for that; without it, FORWARD itself is used. No iptables on the host, or a policy of ACCEPT: nothing to do.
///
/// That passes by what Docker keeps others out of its containers with, too. Our own table does it in its place: a `drop`
/// there counts whatever others accept, see [`crate::outward`].
pub fn accept_in_iptables(link_prefix: &str) -> Result<(), NetworkError> {
    let Some(chain) = dropping_chain()? else { return Ok(()) };
    for rule in rules(link_prefix) {
        let rule: Vec<&str> = rule.iter().map(String::as_str).collect();
        if !iptables(&[&["-C", chain], rule.as_slice()].concat())?.0 {
            let (inserted, words) = iptables(&[&["-I", chain], rule.as_slice()].concat())?;
            if !inserted {
                return Err(NetworkError::Program { program: "iptables", reason: words });
            }
        }
    }
    Ok(())
}

/// Takes away what [`accept_in_iptables`] put in, wherever it went.
pub fn remove_from_iptables(link_prefix: &str) -> Result<(), NetworkError> {
    for chain in ["DOCKER-USER", "FORWARD"] {
        for rule in rules(link_prefix) {
            let rule: Vec<&str> = rule.iter().map(String::as_str).collect();
            for _ in 0..RULE_COPIES_MAX {
                match iptables(&[&["-D", chain], rule.as_slice()].concat()) {
                    Ok((true, _)) => {}
                    Ok((false, _)) => break,
                    // No iptables here: nothing was put in.
                    Err(_) => return Ok(()),
                }
            }
        }
    }
    Ok(())
}

fn rules(link_prefix: &str) -> [Vec<String>; 2] {
    ["-i", "-o"].map(|direction| {
        [
            direction,
            &format!("{link_prefix}+"),
            "-m",
            "comment",
            "--comment",
            "outport",
            "-j",
            "ACCEPT",
        ]
        .map(str::to_owned)
        .to_vec()
    })
}

/// The chain in which to accept; `None` when nothing drops.
fn dropping_chain() -> Result<Option<&'static str>, NetworkError> {
    let Ok((true, listed)) = iptables(&["-S", "FORWARD"]) else { return Ok(None) };
    if listed.lines().any(|line| line.ends_with("-j DOCKER-USER")) {
        return Ok(Some("DOCKER-USER"));
    }
    Ok(listed.lines().any(|line| line == "-P FORWARD DROP").then_some("FORWARD"))
}

/// Whether it succeeded, and its output or complaint.
fn iptables(arguments: &[&str]) -> Result<(bool, String), NetworkError> {
    // Waits for the lock that Docker and others take as well.
    let output = Command::new("iptables").args(["-w", "5"]).args(arguments).output();
    let output = output.map_err(|error| NetworkError::Program {
        program: "iptables",
        reason: error.to_string(),
    })?;
    if output.status.success() {
        return Ok((true, String::from_utf8_lossy(&output.stdout).into_owned()));
    }
    Ok((false, complaint(&output.stderr)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_an_outport_gives_are_an_outports() {
        for own in ["op1a2b3router", "op00000routerp", "opfffff1z9kq2m3"] {
            assert!(is_outports(own), "{own}");
        }
        for foreign in
            ["eth0", "opt0", "op", "openvpn0", "op1a2b3", "opABCDEx", "opvpn12345", "ovs0"]
        {
            assert!(!is_outports(foreign), "{foreign}");
        }
    }
}
