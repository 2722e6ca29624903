//! The host as a router: IPv4 forwarding, and making room in a FORWARD policy of DROP (Docker's, a firewall's).
//!
//! Forwarding stays on after the instance is gone: others on the host may have come to depend on it meanwhile, and
//! who turned it on first cannot be told apart.

use crate::error::NetworkError;
use crate::firewall::complaint;
use std::fs;
use std::path::Path;
use std::process::Command;

const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";
/// Most copies of a rule that a removal takes away.
const RULE_COPIES_MAX: usize = 8;

/// Lets the host forward IPv4 packets.
pub fn enable() -> Result<(), NetworkError> {
    let path = Path::new(IP_FORWARD);
    let value = fs::read_to_string(path).map_err(NetworkError::file(path))?;
    if value.trim() != "1" {
        fs::write(path, "1").map_err(NetworkError::file(path))?;
        tracing::info!("IPv4 forwarding was off on this host and is on now");
    }
    Ok(())
}

/// Lets this instance's packets pass where iptables drops what it does not know. Docker leaves the chain DOCKER-USER
/// for that; without it, FORWARD itself is used. No iptables on the host, or a policy of ACCEPT: nothing to do.
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
