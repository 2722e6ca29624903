//! Which versions of this protocol a program speaks, and which one two programs speak with each other.
//!
//! **Invariant:** `join`, `certificate` and `register` are at [`DOOR_VERSION`] for ever: by them two programs of any
//! versions meet. Every other call is at the version that `register` answered.
//!
//! | version | what changed |
//! |---|---|
//! | 1 | |
//! | 2 | an assignment has sections: `assignment` takes `AssignmentRequest` for `AssignmentRequestV1`, and answers an `Assignment` for its one section |

use std::fmt;

use serde::{Deserialize, Serialize};

/// The version of the calls by which a node comes in.
pub const DOOR_VERSION: u32 = 1;
/// The first version in which an assignment has sections.
pub const SECTIONS_VERSION: u32 = 2;

/// All versions from the lowest to the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtocolVersions {
    pub lowest: u32,
    pub highest: u32,
}

impl ProtocolVersions {
    /// What this build speaks.
    pub const SPOKEN: Self = Self { lowest: 1, highest: 2 };

    /// The version that both speak, the highest of them; `None` when there is none.
    pub fn common(self, other: Self) -> Option<u32> {
        let version = self.highest.min(other.highest);
        (version >= self.lowest.max(other.lowest)).then_some(version)
    }

    pub fn include(self, version: u32) -> bool {
        (self.lowest..=self.highest).contains(&version)
    }
}

/// What a program speaks that does not say it: it is of the time before it was asked.
impl Default for ProtocolVersions {
    fn default() -> Self {
        Self { lowest: 1, highest: 1 }
    }
}

impl fmt::Display for ProtocolVersions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lowest == self.highest {
            true => write!(f, "version {}", self.lowest),
            false => write!(f, "versions {} to {}", self.lowest, self.highest),
        }
    }
}

/// Where a call is on the control plane's address.
pub fn call_path(version: u32, call: &str) -> String {
    format!("/_outport/node/v{version}/{call}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(one: (u32, u32), other: (u32, u32), expected: Option<u32>) {
        let [one, other] =
            [one, other].map(|(lowest, highest)| ProtocolVersions { lowest, highest });
        assert_eq!(one.common(other), expected, "{one}, {other}");
        assert_eq!(other.common(one), expected, "{other}, {one}");
    }

    #[test]
    fn two_programs_speak_the_highest_version_that_both_know() {
        check((1, 1), (1, 1), Some(1));
        check((1, 1), (1, 7), Some(1));
        check((1, 5), (2, 7), Some(5));
        check((3, 4), (1, 7), Some(4));
        check((1, 1), (2, 2), None);
        check((1, 3), (4, 9), None);
        // One that says nonsense speaks nothing.
        check((9, 1), (1, 9), None);
    }

    #[test]
    fn versions_are_said_in_words() {
        assert_eq!(ProtocolVersions { lowest: 2, highest: 4 }.to_string(), "versions 2 to 4");
        assert_eq!(ProtocolVersions::default().to_string(), "version 1");
    }
}
