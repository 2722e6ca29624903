//! Which range the default VPC of a start gets: what is stored, what is asked for, or one that is free.
//!
//! **Invariant:** what is chosen overlaps nothing that this host routes, asks for names, or has given to another Outport.

use std::fmt::Display;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use nix::fcntl::{Flock, FlockArg};
use outport_model::network::Ipv4Cidr;
use outport_service_ec2::default_vpc::DEFAULT_CIDR;

use crate::control_plane::OwnNode;
use crate::instances;

/// In memory, beside the locks of the instances.
const TURN: &str = "/run/outport/first-start.lock";
const TURN_PATIENCE: Duration = Duration::from_secs(30);
const TURN_POLL: Duration = Duration::from_millis(10);

/// Tried in this order: AWS's own first, then what is seldom used by hosts. Docker takes its networks from 172.17.0.0 on
/// upwards, so of these the last first.
const CANDIDATES: [&str; 24] = [
    DEFAULT_CIDR,
    "172.30.0.0/16",
    "172.29.0.0/16",
    "172.28.0.0/16",
    "172.27.0.0/16",
    "172.26.0.0/16",
    "172.25.0.0/16",
    "172.24.0.0/16",
    "172.23.0.0/16",
    "172.22.0.0/16",
    "172.21.0.0/16",
    "172.20.0.0/16",
    "172.19.0.0/16",
    "172.18.0.0/16",
    "172.16.0.0/16",
    "10.231.0.0/16",
    "10.197.0.0/16",
    "10.163.0.0/16",
    "10.131.0.0/16",
    "10.97.0.0/16",
    "10.63.0.0/16",
    "192.168.224.0/20",
    "192.168.160.0/20",
    "192.168.96.0/20",
];

/// A range, and why it is not the usual one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    pub cidr: Ipv4Cidr,
    /// What is wrong with the first candidate; `None` when it was taken.
    pub instead: Option<String>,
}

/// The first candidate that is free. `look` says what a range clashes with, `None` for nothing.
///
/// # Errors
/// When none is free, or `look` cannot tell.
pub fn choose<C: Display>(
    name_servers: &[IpAddr],
    look: impl Fn(Ipv4Cidr) -> Result<Option<C>>,
) -> Result<Chosen> {
    let mut instead = None;
    for text in CANDIDATES {
        let cidr = Ipv4Cidr::parse(text).context("a candidate is no range")?;
        let asked = name_servers.iter().find(|server| match server {
            IpAddr::V4(server) => cidr.contains(*server),
            IpAddr::V6(_) => false,
        });
        let clash = match asked {
            Some(server) => Some(format!("the name server {server} of this host is in {cidr}")),
            None => look(cidr)?.map(|clash| clash.to_string()),
        };
        match clash {
            None => return Ok(Chosen { cidr, instead }),
            Some(clash) => {
                instead.get_or_insert(clash);
            }
        }
    }
    let first = instead.unwrap_or_default();
    Err(anyhow!(
        "none of {} address ranges is free on this host, the usual one because {first}: give a free one with \
         --default-vpc-cidr",
        CANDIDATES.len()
    ))
}

/// The range of the default VPC: a free one if nobody said any. Where the tasks of this host are to be in it, it is
/// looked at before it is written down for good.
///
/// # Errors
/// When it is in use on this host; the line says what to do.
pub fn range_for(
    settled: Option<Ipv4Cidr>,
    is_stored: bool,
    own_node: Option<&OwnNode>,
) -> Result<Ipv4Cidr> {
    let usual = Ipv4Cidr::parse(DEFAULT_CIDR).context("no usual range");
    let Some(OwnNode { instance, .. }) = own_node else { return settled.map_or(usual, Ok) };
    let check = |cidr: Ipv4Cidr| outport_node_agent::check_addresses(instance, &cidr.to_string());
    if let Some(cidr) = settled {
        return match check(cidr) {
            Ok(()) => Ok(cidr),
            // Another one is no way out.
            Err(error) if is_stored && error.is_address_clash() => {
                let advice = clash_of_stored_range(error.clashing_instance());
                Err(anyhow!(error)).context(advice)
            }
            Err(error) if error.is_address_clash() => Err(anyhow!(error)).context(
                "the range that was asked for is in use here: leave --default-vpc-cidr away, and a free range is taken, or give \
                 another one",
            ),
            Err(error) => Err(error.into()),
        };
    }
    let chosen = choose(&outport_node_agent::host_name_servers(), |cidr| match check(cidr) {
        Ok(()) => Ok(None),
        Err(error) if error.is_address_clash() => Ok(Some(error)),
        Err(error) => Err(error.into()),
    })?;
    if let Some(clash) = chosen.instead {
        tracing::info!(
            event = "vpc_range_chosen",
            cidr = %chosen.cidr,
            clash,
            "the usual range of a default VPC is in use here; this installation takes another one for good"
        );
    }
    Ok(chosen.cidr)
}

/// What to do where the range of a data directory is in use on this host; `instance`: the Outport that has it.
fn clash_of_stored_range(instance: Option<&str>) -> String {
    let free = match instance.map(|instance| (instance, instances::process_of(instance))) {
        Some((_, Some(process))) => format!("stop the other Outport with `kill {process}`"),
        Some((instance, None)) => {
            format!(
                "if the other Outport does not run any more, `outport cleanup --instance {instance}` frees it"
            )
        }
        None => "free it on this host".to_owned(),
    };
    format!(
        "the range of this data directory is fixed: {free}, or start with another data directory, which takes a free range: \
         `outport up --data-dir DIR`"
    )
}

/// A first start's turn to choose. Until its node has the range nothing on the host tells another one that it is taken.
pub struct Turn {
    _lock: Option<Flock<File>>,
}

impl Turn {
    /// Waits until no other first start on this host is about it; one that is stuck is waited for half a minute.
    pub async fn take() -> Self {
        let deadline = Instant::now() + TURN_PATIENCE;
        loop {
            match lock(Path::new(TURN)) {
                Err(error)
                    if error.kind() == ErrorKind::WouldBlock && Instant::now() < deadline =>
                {
                    tokio::time::sleep(TURN_POLL).await;
                }
                // Without a turn it is only less likely that the range is still free in the end, and that is looked at.
                lock => return Self { _lock: lock.ok() },
            }
        }
    }
}

fn lock(path: &Path) -> std::io::Result<Flock<File>> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno.into())
}

#[cfg(test)]
mod tests {
    use outport_service_ec2::default_vpc::{PREFIX_MAX, PREFIX_MIN};

    use super::*;

    /// With networks of the host that begin with these letters.
    #[track_caller]
    fn check(taken: &[&str], name_server: &str, expected: &str) {
        let servers: Vec<IpAddr> = name_server.parse().into_iter().collect();
        let chosen = choose(&servers, |cidr| {
            let text = cidr.to_string();
            Ok(taken
                .iter()
                .find(|taken| text.starts_with(**taken))
                .map(|taken| format!("{taken} is there")))
        });
        let chosen = match chosen {
            Ok(Chosen { cidr, instead: None }) => cidr.to_string(),
            Ok(Chosen { cidr, instead: Some(clash) }) => format!("{cidr}: {clash}"),
            Err(error) => error.to_string(),
        };
        assert!(chosen.contains(expected), "{chosen}");
    }

    #[test]
    fn the_first_free_one_is_taken_and_why_not_the_usual_is_said() {
        check(&[], "", "172.31.0.0/16");
        check(&["172.31", "172.30"], "", "172.29.0.0/16: 172.31 is there");
        check(&["172."], "", "10.231.0.0/16: 172. is there");
        check(&["172.", "10."], "", "192.168.224.0/20");
        check(&[], "172.31.0.2", "172.30.0.0/16: the name server 172.31.0.2 of this host is in");
        check(&[], "8.8.8.8", "172.31.0.0/16");
        check(&["172.", "10.", "192."], "", "the usual one because 172. is there: give a free one");
    }

    #[test]
    fn what_cannot_be_told_ends_the_search() {
        let asked = choose(&[], |_| -> Result<Option<&str>> { anyhow::bail!("no netlink") });
        assert_eq!(asked.unwrap_err().to_string(), "no netlink");
    }

    #[test]
    fn every_candidate_can_be_a_default_vpc_and_none_overlaps_another() {
        let all: Vec<Ipv4Cidr> =
            CANDIDATES.iter().filter_map(|text| Ipv4Cidr::parse(text)).collect();
        assert_eq!(all.len(), CANDIDATES.len());
        for (index, one) in all.iter().enumerate() {
            assert!((PREFIX_MIN..=PREFIX_MAX).contains(&one.prefix), "{one}");
            for other in &all[index + 1..] {
                assert!(
                    !one.contains(other.address) && !other.contains(one.address),
                    "{one} {other}"
                );
            }
        }
    }
}
