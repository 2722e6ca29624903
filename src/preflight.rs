//! What the host must offer: one list of checks. A start makes those that it cannot do without and stops at the first that
//! fails; `outport doctor` makes all of them.
//!
//! **Invariant:** a check changes nothing on the host, and says of what is missing what to do about it.

mod confinement;
mod firewall;
mod software;
mod system;

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::command_line::NodeOptions;

/// What a host is looked at for.
pub struct Subject<'s> {
    pub node: &'s NodeOptions,
    pub data_dir: &'s Path,
    /// The range of the VPC, if a start has fixed it.
    pub vpc_cidr: Option<&'s str>,
}

/// How much a check matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Nothing is started without it.
    Start,
    /// It starts, or is refused a moment later, and does not work.
    Essential,
    /// Something is less good than it could be.
    Advice,
}

/// What a check saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// What is there.
    Fine(String),
    Wrong {
        what: String,
        fix: String,
    },
}

impl Seen {
    fn fine(what: impl Into<String>) -> Self {
        Self::Fine(what.into())
    }

    fn wrong(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Wrong { what: what.into(), fix: fix.into() }
    }
}

/// One thing that is looked at.
pub struct Check {
    pub name: &'static str,
    pub weight: Weight,
    look: fn(&Subject<'_>) -> Result<Seen>,
}

impl Check {
    /// # Errors
    /// When the host does not let itself be looked at.
    pub fn look(&self, subject: &Subject<'_>) -> Result<Seen> {
        (self.look)(subject)
    }
}

/// In the order in which they are made and told.
pub const CHECKS: [Check; 17] = [
    Check { name: "root", weight: Weight::Start, look: system::root },
    Check { name: "OCI runtime", weight: Weight::Start, look: software::oci_runtime },
    Check { name: "overlayfs", weight: Weight::Start, look: system::overlayfs },
    Check { name: "namespaces", weight: Weight::Start, look: system::namespaces },
    Check { name: "control groups", weight: Weight::Start, look: system::control_groups },
    Check { name: "confinement", weight: Weight::Start, look: confinement::confinement },
    Check { name: "nft", weight: Weight::Start, look: software::nft },
    Check { name: "nftables", weight: Weight::Essential, look: firewall::nftables },
    Check { name: "task disks", weight: Weight::Essential, look: software::task_disks },
    Check { name: "disk space", weight: Weight::Essential, look: system::disk_space },
    Check { name: "kernel", weight: Weight::Advice, look: system::kernel },
    Check { name: "user namespaces", weight: Weight::Advice, look: system::user_namespaces },
    Check { name: "Docker", weight: Weight::Advice, look: firewall::docker },
    Check { name: "firewalld", weight: Weight::Advice, look: firewall::firewalld },
    Check { name: "clock", weight: Weight::Advice, look: system::clock },
    Check { name: "DNS", weight: Weight::Advice, look: software::name_servers },
    Check { name: "AWS CLI", weight: Weight::Advice, look: software::aws_cli },
];

/// Checks what running containers needs. Stops at the first thing that is missing.
pub fn check_node_host(options: &NodeOptions) -> Result<()> {
    let subject = Subject { node: options, data_dir: Path::new("/"), vpc_cidr: None };
    for check in CHECKS.iter().filter(|check| check.weight == Weight::Start) {
        if let Seen::Wrong { what, fix } = check.look(&subject)? {
            bail!("{what}: {fix}");
        }
    }
    Ok(())
}

/// Containers, links and control groups are root's.
pub fn check_root() -> Result<()> {
    if let Some((what, fix)) = system::lacks_root() {
        bail!("{what}: {fix}");
    }
    Ok(())
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into());
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// What a program says, of both streams, and whether it ended well. `None` when it is not there.
fn answer_of(program: &str, arguments: &[&str]) -> Option<(bool, String)> {
    let output =
        Command::new(program).args(arguments).stdin(std::process::Stdio::null()).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&text).trim().to_owned()))
}

/// For the tests of the checks.
#[cfg(test)]
#[track_caller]
fn check(seen: &Seen, expected: &str) {
    let text = match seen {
        Seen::Fine(what) => format!("fine: {what}"),
        Seen::Wrong { what, fix } => format!("wrong: {what}: {fix}"),
    };
    assert!(text.contains(expected), "{text}");
}
