//! Whether more events may be taken: all of them have a size that they may not exceed, and the disk a floor
//! that is higher than the one of the control plane's journal.
//!
//! **Invariant:** nothing is thrown away to make room; a group's retention says what goes.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use outport_free_space::{FreeSpace, Part, readable_bytes};

use crate::error::LogStoreError;

/// How long an answer counts. A fast disk takes some hundred megabytes meanwhile.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

pub(crate) struct Room {
    directory: PathBuf,
    bytes_max: u64,
    last: Mutex<Option<(Instant, Option<String>)>>,
}

impl Room {
    pub fn new(directory: PathBuf, bytes_max: u64) -> Self {
        Self { directory, bytes_max, last: Mutex::new(None) }
    }

    /// Refuses when there is none. `taken`: the bytes of all events.
    pub fn check(
        &self,
        taken: impl FnOnce() -> Result<u64, LogStoreError>,
    ) -> Result<(), LogStoreError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_none_or(|(at, _)| at.elapsed() >= LOOK_INTERVAL) {
            *last = Some((Instant::now(), self.why_full(taken()?)));
        }
        match last.as_ref().and_then(|(_, why)| why.clone()) {
            Some(why) => Err(LogStoreError::Full(why)),
            None => Ok(()),
        }
    }

    fn why_full(&self, taken: u64) -> Option<String> {
        if taken >= self.bytes_max {
            let (taken, max) = (readable_bytes(taken), readable_bytes(self.bytes_max));
            return Some(format!(
                "log events take {taken} of {max}: set a retention, delete log groups, or give them \
                 more with --logs-gib"
            ));
        }
        let space = FreeSpace::of(&self.directory).ok()?;
        space.is_low_for(Part::DataPlanes).then(|| {
            let free = readable_bytes(space.bytes_free);
            format!("{free} and {} inodes are left on the disk of the logs", space.inodes_free)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_their_share_and_again_when_something_went() {
        let directory = tempfile::tempdir().unwrap();
        let room = Room::new(directory.path().to_owned(), 10 << 20);
        room.check(|| Ok(9 << 20)).unwrap();
        let room = Room::new(directory.path().to_owned(), 10 << 20);
        let refused = room.check(|| Ok(10 << 20)).unwrap_err();
        assert!(refused.is_fault(), "it is tried again");
        assert!(refused.to_string().contains("10 MiB of 10 MiB"), "{refused}");
        let begun = Instant::now();
        while room.check(|| Ok(0)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "still refused");
        }
    }
}
