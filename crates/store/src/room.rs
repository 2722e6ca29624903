//! Whether there is room for new rows: on the journal's disk, and in the memory that all rows may take.
//!
//! The bound of the bytes is for what callers may fill ([`crate::Store::is_full`]; who answers them asks). What
//! is no caller's, such as the next task of a service or a node that joins, may take a quarter more, and then
//! is refused here as on a full disk. What waits for its commit is not counted yet: callers wait with it.
//!
//! **Invariant:** what changes or removes rows is never refused here: it goes into what the journal has
//! already, so that on a full disk tasks are stopped, reports taken and old rows removed.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use outport_free_space::{FreeSpace, Part, readable_bytes};

use crate::error::{Fault, FaultKind};
use crate::journal::{Change, rows_added};

/// Bytes of rows where nobody says another number. Twice that is what they may take of the memory. AWS's quotas
/// alone allow a million revisions of 64 KiB in each of any number of families.
pub const BYTES_MAX_DEFAULT: u64 = 512 << 20;

/// How long an answer of the kernel counts.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Asks the file system of a directory, now and then.
pub(crate) struct Room {
    directory: Option<PathBuf>,
    last: Mutex<Option<(Instant, Option<FreeSpace>)>>,
    /// Of all rows that are durable.
    bytes: AtomicU64,
    bytes_max: AtomicU64,
}

impl Room {
    pub(crate) fn new(directory: Option<PathBuf>, bytes: u64) -> Self {
        let (bytes, bytes_max) = (AtomicU64::new(bytes), AtomicU64::new(BYTES_MAX_DEFAULT));
        Self { directory, last: Mutex::new(None), bytes, bytes_max }
    }

    pub(crate) fn limit_bytes(&self, bytes_max: u64) {
        self.bytes_max.store(bytes_max, Ordering::Relaxed);
    }

    pub(crate) fn set_bytes(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes() >= self.bytes_max.load(Ordering::Relaxed)
    }

    /// Refuses a write that leaves more rows than it found, while there is no room for them.
    pub(crate) fn check(&self, changes: &[Change]) -> Result<(), Fault> {
        if rows_added(changes) <= 0 {
            return Ok(());
        }
        self.check_bytes()?;
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

    fn check_bytes(&self) -> Result<(), Fault> {
        let bytes_max = self.bytes_max.load(Ordering::Relaxed);
        let bytes = self.bytes();
        if bytes < bytes_max.saturating_add(bytes_max / 4) {
            return Ok(());
        }
        let (bytes, max) = (readable_bytes(bytes), readable_bytes(bytes_max));
        Err(Fault::new(
            FaultKind::Full,
            format!("all rows together are {bytes}, of {max} for callers"),
        ))
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
