//! The processor time that a group may use, lifted while its processes die.
//!
//! Thousands of processes that share a part of a core take minutes to die. What they did not finish they do not need
//! to be slow at.

use std::fs;
use std::path::{Path, PathBuf};

use crate::private;

/// The file of a group that has its quota, and what stands there for none.
fn place(group: &Path, v2: bool) -> (PathBuf, &'static str) {
    let (file, none) = if v2 { ("cpu.max", "max") } else { ("cpu.cfs_quota_us", "-1") };
    (group.join(file), none)
}

/// Lifts it for good: of a group whose processes all die.
pub fn lift(group: &Path, v2: bool) {
    let (file, none) = place(group, v2);
    // A group that has none, or is gone, is as good.
    let _ = private::set(&file, none);
}

/// A quota that does not hold while this lives. Whoever ends without dropping it leaves the group without one.
#[derive(Debug)]
pub struct LiftedQuota {
    file: PathBuf,
    quota: String,
}

impl LiftedQuota {
    /// `None` for a group without a quota.
    pub fn of(group: &Path, v2: bool) -> Option<LiftedQuota> {
        let (file, none) = place(group, v2);
        let quota = fs::read_to_string(&file).ok()?.trim().to_owned();
        if quota.split_ascii_whitespace().next()? == none {
            return None;
        }
        private::set(&file, none).ok()?;
        Some(LiftedQuota { file, quota })
    }
}

impl Drop for LiftedQuota {
    fn drop(&mut self) {
        // A group that is gone needs none.
        let _ = private::set(&self.file, &self.quota);
    }
}
