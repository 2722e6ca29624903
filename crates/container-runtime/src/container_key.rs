//! The name of a container: its task and its name within the task.
//!
//! **Invariant:** a key is safe as a file name, as a cgroup name and inside a path.

use std::fmt;

use serde::{Deserialize, Serialize};

/// ECS allows container names of 255 characters; a file name that holds task and name does not.
const NAME_IN_PATH_MAX: usize = 96;
const TASK_LEN_MAX: usize = 64;
const NAME_LEN_MAX: usize = 255;
/// Files of every version 1 control group whose names a container could have; all others have a dot.
const FILES_OF_GROUPS: [&str; 3] = ["tasks", "notify_on_release", "release_agent"];

/// A task id and a container name, both of letters, digits, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ContainerKey {
    task: String,
    name: String,
}

/// Why a task id or a container name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} is not 1 to {max} letters, digits, hyphens and underscores")]
pub struct InvalidKey {
    what: &'static str,
    value: String,
    max: usize,
}

impl ContainerKey {
    /// # Errors
    /// When either part has another character, is empty, or is too long (64 and 255).
    pub fn new(task: &str, name: &str) -> Result<ContainerKey, InvalidKey> {
        check_task(task)?;
        check_part("container name", name, NAME_LEN_MAX)?;
        Ok(ContainerKey { task: task.to_owned(), name: name.to_owned() })
    }

    pub fn task(&self) -> &str {
        &self.task
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name as it stands in directories and cgroups: long ones are cut and given a hash, as are those that a
    /// control group's own files have.
    pub(crate) fn path_name(&self) -> String {
        if self.name.len() <= NAME_IN_PATH_MAX && !FILES_OF_GROUPS.contains(&self.name.as_str()) {
            return self.name.clone();
        }
        let kept = self.name.len().min(NAME_IN_PATH_MAX - 17);
        format!("{}-{:016x}", &self.name[..kept], fnv1a(self.name.as_bytes()))
    }
}

impl fmt::Display for ContainerKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.task, self.name)
    }
}

/// Whether a task id is safe as a file name, as a cgroup name and inside a path.
///
/// # Errors
/// When it has another character than a letter, a digit, `-` and `_`, is empty, or has more than 64.
pub fn check_task(task: &str) -> Result<(), InvalidKey> {
    check_part("task id", task, TASK_LEN_MAX)
}

/// FNV-1a, 64 bits: stable across builds, which the file names of running containers need.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

fn check_part(what: &'static str, value: &str, max: usize) -> Result<(), InvalidKey> {
    let fits = (1..=max).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if fits { Ok(()) } else { Err(InvalidKey { what, value: value.to_owned(), max }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(task: &str, name: &str, path_name: Option<&str>) {
        let made = ContainerKey::new(task, name).ok().map(|key| key.path_name());
        assert_eq!(made.as_deref(), path_name, "{task:?} {name:?}");
    }

    #[test]
    fn names_are_safe_in_paths() {
        check("0123abcd", "web_1-a", Some("web_1-a"));
        check("", "web", None);
        check("t", "", None);
        check("t", "../x", None);
        check("a/b", "web", None);
        check(".", "web", None);
        check("t", "a.b", None);
        check("t", &"n".repeat(256), None);
        check("t", "tasks-1", Some("tasks-1"));
        for name in FILES_OF_GROUPS {
            let path_name = ContainerKey::new("t", name).unwrap().path_name();
            assert!(path_name.starts_with(name) && path_name.len() == name.len() + 17);
            assert!(ContainerKey::new("t", &path_name).is_ok());
        }
        let long = ContainerKey::new("t", &"n".repeat(255)).unwrap().path_name();
        assert_eq!(long.len(), NAME_IN_PATH_MAX);
        let other = ContainerKey::new("t", &format!("{}m", "n".repeat(254))).unwrap().path_name();
        assert_ne!(long, other);
    }
}
