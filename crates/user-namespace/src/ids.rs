//! Ids of the host that tasks have instead of their own.
//!
//! **Invariant:** a range lies above the ids that a host's accounts have, and ends below the kernel's -1.

use std::fmt;
use std::str::FromStr;

/// As many as an image's files and users have, of which nearly all have ids below 65,536.
pub const IDS_PER_TASK: u32 = 65_536;

/// Behind what SSSD makes of the accounts of a Windows domain (to 2,000,200,000) and above shadow's subordinate ids
/// (to 600,100,000); below 2^31, where some programs take an id for a negative number. Sources: sssd-ldap(5)
/// `ldap_idmap_range_max`, login.defs(5) `SUB_UID_MAX`, systemd's UIDS-GIDS, which keeps nothing from 1,879,048,192
/// to 2,147,352,575.
const FIRST_DEFAULT: u32 = 2_000_224_256;
/// As many tasks at a time on one host.
const RANGES_DEFAULT: u32 = 2_245;

/// The ids of the host that are for tasks, as a line of `/etc/subuid` says them: users and groups alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubordinateIds {
    first: u32,
    ranges: u32,
}

/// The text is no range for tasks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid ids {0:?}: FIRST:COUNT, from {IDS_PER_TASK} on, of which each task gets {IDS_PER_TASK}"
)]
pub struct InvalidIds(String);

impl Default for SubordinateIds {
    fn default() -> Self {
        Self { first: FIRST_DEFAULT, ranges: RANGES_DEFAULT }
    }
}

impl FromStr for SubordinateIds {
    type Err = InvalidIds;

    fn from_str(text: &str) -> Result<Self, InvalidIds> {
        let read = || {
            let (first, count) = text.split_once(':')?;
            let (first, count) = (first.parse::<u32>().ok()?, count.parse::<u32>().ok()?);
            // -1 is nobody's id.
            first.checked_add(count)?;
            let ranges = count / IDS_PER_TASK;
            (first >= IDS_PER_TASK && ranges > 0).then_some(Self { first, ranges })
        };
        read().ok_or_else(|| InvalidIds(text.chars().take(40).collect()))
    }
}

impl fmt::Display for SubordinateIds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.first, u64::from(self.ranges) * u64::from(IDS_PER_TASK))
    }
}

impl SubordinateIds {
    /// How many tasks can have a range at a time.
    pub fn ranges(self) -> u32 {
        self.ranges
    }

    pub(crate) fn range(self, number: u32) -> IdRange {
        IdRange { first: self.first + number % self.ranges * IDS_PER_TASK }
    }
}

/// The host's ids of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdRange {
    first: u32,
}

impl IdRange {
    /// The range that begins there; `None` where no task has one.
    pub fn beginning(first: u32) -> Option<Self> {
        first.checked_add(IDS_PER_TASK)?;
        (first >= IDS_PER_TASK).then_some(Self { first })
    }

    /// What the host has for the task's root.
    pub fn first(self) -> u32 {
        self.first
    }

    /// What the host has for an id of the task; `None` for one that a task cannot have.
    pub fn on_the_host(self, id: u32) -> Option<u32> {
        (id < IDS_PER_TASK).then(|| self.first + id)
    }

    pub(crate) fn meets(self, other: Self) -> bool {
        self.first.abs_diff(other.first) < IDS_PER_TASK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_said_as_in_subuid() {
        let check = |text: &str, expected: Option<u32>| {
            let read = text.parse::<SubordinateIds>().map(SubordinateIds::ranges);
            assert_eq!(read.ok(), expected, "{text}");
        };
        check("100000:65536", Some(1));
        check("65536:655360", Some(10));
        check("100000:100000", Some(1));
        check("4294901759:65536", Some(1));
        for text in ["", "100000", "0:65536", "65535:65536", "100000:65535", "a:65536", "1:2:3"] {
            check(text, None);
        }
        check("4294901760:65536", None);
        check("4294967295:65536", None);
        let default = SubordinateIds::default();
        assert_eq!(default.to_string().parse(), Ok(default));
        assert!(default.range(default.ranges() - 1).first() < i32::MAX as u32 - 2 * IDS_PER_TASK);
    }

    #[test]
    fn an_id_has_its_place_in_the_range() {
        let range = IdRange::beginning(200_000).unwrap();
        assert_eq!(range.on_the_host(0), Some(200_000));
        assert_eq!(range.on_the_host(65_535), Some(265_535));
        assert_eq!(range.on_the_host(65_536), None);
        assert_eq!(IdRange::beginning(1000), None);
        assert_eq!(IdRange::beginning(u32::MAX - 65_535), None);
        let meets = |first| range.meets(IdRange::beginning(first).unwrap());
        assert!(meets(200_000) && meets(265_535) && meets(134_465));
        assert!(!meets(265_536) && !meets(134_464));
    }
}
