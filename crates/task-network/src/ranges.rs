//! The address ranges of the Outports of this host: each writes its own down where the others look.
//!
//! Routes alone do not tell: an instance has an address and one route a task, so that a range inside of
//! its own looks free, and the two meet when the first starts again.
//!
//! **Invariant:** a range is looked for and written down under one lock, so that of two instances that
//! start at once one sees the other.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

use ipnet::Ipv4Net;

use crate::error::NetworkError;
use crate::host::HostNetworkSettings;
use crate::instance::InstanceId;

/// In the instance's directory below `/run/outport`; a range a line.
const RANGES: &str = "ranges";

/// The range for an instance's bridge: the one that it has, or else `first` or the next of its size in `within` that no
/// other instance of this host has. `first` when all are taken: then [`claim`] says by whom.
pub fn bridge_range(runtime_directory: &Path, within: Ipv4Net, first: Ipv4Net) -> Ipv4Net {
    if let Some(own) = written(runtime_directory).get(1) {
        return *own;
    }
    let entries = runtime_directory.parent().map(fs::read_dir);
    let others = entries.into_iter().flatten().flatten().flatten().map(|entry| entry.path());
    let taken: Vec<Ipv4Net> = others.flat_map(|other| written(&other)).collect();
    let is_free = |range: &Ipv4Net| {
        !taken
            .iter()
            .any(|other| range.contains(&other.network()) || other.contains(&range.network()))
    };
    let (mut before, mut from_first) = (Vec::new(), Vec::new());
    for range in within.subnets(first.prefix_len()).into_iter().flatten() {
        if range < first { before.push(range) } else { from_first.push(range) }
    }
    from_first.into_iter().chain(before).find(is_free).unwrap_or(first)
}

/// What an instance wrote down: its VPC's range, its bridge's. One that goes away meanwhile, or an older one, has none.
fn written(directory: &Path) -> Vec<Ipv4Net> {
    let text = fs::read_to_string(directory.join(RANGES)).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Fails when another instance of this host has a range that overlaps one of ours, either way.
pub fn check(settings: &HostNetworkSettings) -> Result<(), NetworkError> {
    let Some(instances) = settings.runtime_directory.parent() else { return Ok(()) };
    let entries = match fs::read_dir(instances) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(NetworkError::file(instances))?,
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(instance) = name.to_str().and_then(|name| name.parse::<InstanceId>().ok()) else {
            continue;
        };
        if entry.path() != settings.runtime_directory {
            check_against(settings, &instance, &entry.path())?;
        }
    }
    Ok(())
}

fn check_against(
    settings: &HostNetworkSettings,
    instance: &InstanceId,
    directory: &Path,
) -> Result<(), NetworkError> {
    for other in written(directory) {
        for cidr in [settings.vpc_cidr, settings.bridge_cidr] {
            if cidr.contains(&other.network()) || other.contains(&cidr.network()) {
                let instance = instance.to_string();
                return Err(NetworkError::InstanceClash { cidr, other, instance });
            }
        }
    }
    Ok(())
}

/// Writes ours down, whole or not at all, after [`check`].
pub fn claim(settings: &HostNetworkSettings) -> Result<(), NetworkError> {
    let directory = &settings.runtime_directory;
    fs::create_dir_all(directory).map_err(NetworkError::file(directory))?;
    let parent = directory.parent().unwrap_or(directory);
    let turn = File::open(parent).map_err(NetworkError::file(parent))?;
    turn.lock().map_err(NetworkError::file(parent))?;
    check(settings)?;
    let (path, unfinished) = (directory.join(RANGES), directory.join("ranges.new"));
    let text = format!("{}\n{}\n", settings.vpc_cidr, settings.bridge_cidr);
    fs::write(&unfinished, text).map_err(NetworkError::file(&unfinished))?;
    fs::rename(&unfinished, &path).map_err(NetworkError::file(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(
        run: &Path,
        instance: &str,
        vpc_cidr: &str,
        bridge_cidr: &str,
    ) -> HostNetworkSettings {
        HostNetworkSettings {
            instance: instance.parse().unwrap(),
            runtime_directory: run.join(instance),
            vpc_cidr: vpc_cidr.parse().unwrap(),
            bridge_cidr: bridge_cidr.parse().unwrap(),
            metadata_port: None,
            host_access: crate::HostAccess::Ports(Vec::new()),
            name_servers: Vec::new(),
        }
    }

    /// Whether a second instance may have `vpc` and `bridge` beside 10.1.0.0/16 and 100.64.4.0/22.
    #[track_caller]
    fn check_second(vpc: &str, bridge: &str, expected: bool) {
        let run = tempfile::tempdir().unwrap();
        let first = settings(run.path(), "0000aaaa", "10.1.0.0/16", "100.64.4.0/22");
        claim(&first).unwrap();
        let claimed = claim(&settings(run.path(), "0000bbbb", vpc, bridge));
        assert_eq!(claimed.is_ok(), expected, "{vpc} and {bridge}: {claimed:?}");
        // Its own ranges are no clash: it can start again.
        claim(&first).unwrap();
    }

    #[test]
    fn a_bridge_gets_a_range_that_nobody_has_and_keeps_it() {
        let run = tempfile::tempdir().unwrap();
        let within: Ipv4Net = "100.64.0.0/20".parse().unwrap();
        let first: Ipv4Net = "100.64.8.0/22".parse().unwrap();
        let mut given = Vec::new();
        for number in 1..=5 {
            let instance = format!("0000000{number}");
            let directory = run.path().join(&instance);
            let range = bridge_range(&directory, within, first);
            given.push(range.to_string());
            let own = settings(
                run.path(),
                &instance,
                &format!("10.{number}.0.0/16"),
                &given[given.len() - 1],
            );
            if claim(&own).is_ok() {
                assert_eq!(
                    bridge_range(&directory, within, "100.64.4.0/22".parse().unwrap()),
                    range
                );
            }
        }
        let all =
            ["100.64.8.0/22", "100.64.12.0/22", "100.64.0.0/22", "100.64.4.0/22", "100.64.8.0/22"];
        assert_eq!(given, all, "the last has none left");
    }

    #[test]
    fn ranges_that_overlap_either_way_are_refused_and_the_first_starts_again() {
        check_second("10.2.0.0/16", "100.64.8.0/22", true);
        check_second("10.1.5.0/24", "100.64.8.0/22", false);
        check_second("10.0.0.0/8", "100.64.8.0/22", false);
        check_second("10.1.0.0/16", "100.64.8.0/22", false);
        check_second("10.2.0.0/16", "100.64.4.0/22", false);
        check_second("100.64.0.0/16", "100.65.0.0/22", false);
    }
}
