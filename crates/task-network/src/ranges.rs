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
    // One that goes away meanwhile, or an older one that wrote none, is left to the routes.
    let text = fs::read_to_string(directory.join(RANGES)).unwrap_or_default();
    for other in text.lines().filter_map(|line| line.parse::<Ipv4Net>().ok()) {
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
    fn ranges_that_overlap_either_way_are_refused_and_the_first_starts_again() {
        check_second("10.2.0.0/16", "100.64.8.0/22", true);
        check_second("10.1.5.0/24", "100.64.8.0/22", false);
        check_second("10.0.0.0/8", "100.64.8.0/22", false);
        check_second("10.1.0.0/16", "100.64.8.0/22", false);
        check_second("10.2.0.0/16", "100.64.4.0/22", false);
        check_second("100.64.0.0/16", "100.65.0.0/22", false);
    }
}
