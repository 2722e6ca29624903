//! Whether the journal's disk has room for new rows.
//!
//! **Invariant:** what changes or removes rows is never refused for space: it goes into what the journal has
//! already, so that on a full disk tasks are stopped, reports taken and old rows removed.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use outport_free_space::{FreeSpace, Part, readable_bytes};

use crate::error::{Fault, FaultKind};
use crate::journal::Change;

/// How long an answer of the kernel counts.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Asks the file system of a directory, now and then.
pub(crate) struct Room {
    directory: Option<PathBuf>,
    last: Mutex<Option<(Instant, Option<FreeSpace>)>>,
}

impl Room {
    pub(crate) fn new(directory: Option<PathBuf>) -> Self {
        Self { directory, last: Mutex::new(None) }
    }

    /// Refuses a write that leaves more rows than it found, while there is no room for them.
    pub(crate) fn check(&self, changes: &[Change]) -> Result<(), Fault> {
        let added = changes.iter().filter(|change| change.is_new).count();
        let removed = changes.iter().filter(|change| change.row.is_none()).count();
        if added <= removed {
            return Ok(());
        }
        match self.space() {
            Some(space) if space.is_low_for(Part::Journal) => Err(Fault::new(
                FaultKind::Full,
                format!(
                    "{} and {} inodes are left on the disk of the journal; only what changes or \
                     removes rows is accepted",
                    readable_bytes(space.bytes_free),
                    space.inodes_free
                ),
            )),
            _ => Ok(()),
        }
    }

    fn space(&self) -> Option<FreeSpace> {
        let directory = self.directory.as_ref()?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, space)) = *last
            && at.elapsed() < LOOK_INTERVAL
        {
            return space;
        }
        // A file system that does not say how full it is refuses by itself.
        let space = FreeSpace::of(directory).ok();
        *last = Some((Instant::now(), space));
        space
    }
}
