//! Which Outports have anything on this host, by the names of what they made.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Below it each instance has its directory.
const RUN: &str = "/run/outport";
const CGROUPS: &str = "/sys/fs/cgroup";
/// An instance's id: so many lower-case hexadecimal digits.
const ID_LENGTH: usize = 8;

/// The instances that have a run directory, a control group or a firewall table. What cannot be read
/// counts for nothing: the list is for people, and for what they then ask to be removed.
pub fn instances_on_host() -> BTreeSet<String> {
    let mut found: BTreeSet<String> =
        names(Path::new(RUN)).into_iter().filter(|name| is_id(name)).collect();
    // Of version 2 right there, of version 1 below each controller.
    let controllers = names(Path::new(CGROUPS));
    let below = controllers.iter().flat_map(|name| names(&Path::new(CGROUPS).join(name)));
    let groups = controllers.iter().cloned().chain(below);
    found.extend(groups.filter_map(|name| id_after("outport-", &name)));
    found.extend(tables().iter().filter_map(|name| id_after("outport_", name)));
    found
}

fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let directories =
        entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Of the family `inet`.
fn tables() -> Vec<String> {
    let listed = Command::new("nft").args(["list", "tables", "inet"]).output();
    let text = listed.map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().filter_map(|line| line.split(' ').next_back()).map(str::to_owned).collect()
}

fn id_after(prefix: &str, name: &str) -> Option<String> {
    name.strip_prefix(prefix).filter(|id| is_id(id)).map(str::to_owned)
}

fn is_id(text: &str) -> bool {
    text.len() == ID_LENGTH && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_instances_make_are_taken_for_theirs() {
        assert_eq!(id_after("outport-", "outport-0123abcd").as_deref(), Some("0123abcd"));
        for name in ["outport-", "outport-0123abc", "outport-0123abcd.slice", "docker-0123abcd"] {
            assert_eq!(id_after("outport-", name), None, "{name}");
        }
    }
}
