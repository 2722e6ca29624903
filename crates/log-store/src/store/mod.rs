//! The log store: one directory, opened by one process.
//!
//! ```text
//! <directory>/lock                   held while the store is open
//! <directory>/catalog.sqlite         groups, streams, cursors, blocks
//! <directory>/catalog.acknowledged   how often its rows had changed when somebody was told
//! <directory>/journals/              what came in last: one file that grows, and full ones on their way out
//! <directory>/journals.acknowledged  how far each of them reached when somebody was told
//! <directory>/segments/              what came in before, compressed
//! ```
//!
//! **Invariant:** an event is either in a journal that the catalog does not know as sealed, or in a
//! segment that the catalog knows, at every instant and after every crash.

mod events;
mod filter;
mod freeze;
mod groups;
mod put;
mod query;
mod seal;
mod ship;
mod streams;
mod token;
mod upkeep;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use metrics::gauge;
use outport_model::Now;
use outport_model::clock::StepWatch;

pub use self::events::{EventPage, GetEvents};
pub use self::filter::{FilterEvents, FilteredPage, StreamSelection};
pub use self::put::{PutOutcome, RejectedEvents};
pub use self::ship::Shipment;
pub use self::streams::Missing;
pub use self::upkeep::Maintenance;

use crate::catalog::{Catalog, Mark};
use crate::clock::Clock;
use crate::commit::{AcknowledgedJournals, Commit};
use crate::disk::{Disk, RealDisk};
use crate::error::LogStoreError;
use crate::journal::Journal;
use crate::journal::frame::FILE_HEADER_BYTES;
use crate::limits::GROUPS_MAX;
use crate::room::Room;
use crate::segment;

/// How a store works. The default is right for a server.
#[derive(Clone, Debug)]
pub struct LogStoreOptions {
    /// A journal is sealed into a compressed segment when it has this many bytes.
    pub seal_bytes: u64,
    /// zstd's level, 1 to 19.
    pub compression_level: i32,
    /// Seal on a thread of its own, which ends when nothing is left to seal. Otherwise the appender
    /// that filled a journal seals it.
    pub seals_in_background: bool,
    /// Bytes that all events may take on disk; more are refused then.
    pub bytes_max: u64,
    /// Log groups of one account and region.
    pub groups_max: u64,
    /// Of groups that are made from now on and say nothing; one of [`crate::limits::RETENTION_DAYS`]. `None` keeps events
    /// for ever, as AWS does.
    pub retention_days: Option<i64>,
}

impl Default for LogStoreOptions {
    fn default() -> Self {
        Self {
            seal_bytes: 16 * 1024 * 1024,
            compression_level: 1,
            seals_in_background: true,
            bytes_max: u64::MAX,
            groups_max: GROUPS_MAX,
            retention_days: None,
        }
    }
}

/// The data plane of CloudWatch Logs. All calls are synchronous and may wait for the disk: call them
/// from `spawn_blocking` when in async code.
pub struct LogStore {
    me: Weak<Self>,
    directory: PathBuf,
    pub(crate) catalog: Catalog,
    commit: Commit,
    clock: Arc<dyn Clock>,
    steps: Mutex<StepWatch>,
    disk: Arc<dyn Disk>,
    options: LogStoreOptions,
    room: Room,
    /// Held by whoever writes segments, one at a time.
    segment_work: Mutex<()>,
    /// Held by who removes segments, and by who needs all that are there. Taken before `segment_work`.
    removal: Mutex<()>,
    /// Keeps the directory locked.
    _lock: File,
}

impl LogStore {
    /// Opens the store in `directory`, or makes one. Fails when another process has it open, when a
    /// newer version wrote it, and when what was acknowledged does not read back.
    pub fn open(
        directory: impl Into<PathBuf>,
        clock: Arc<dyn Clock>,
        options: LogStoreOptions,
    ) -> Result<Arc<Self>, LogStoreError> {
        Self::open_on(Arc::new(RealDisk), directory.into(), clock, options)
    }

    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        directory: PathBuf,
        clock: Arc<dyn Clock>,
        options: LogStoreOptions,
    ) -> Result<Arc<Self>, LogStoreError> {
        for needed in [directory.clone(), journals_in(&directory), segments_in(&directory)] {
            fs::create_dir_all(&needed).map_err(|source| disk_error(&needed, source))?;
        }
        let lock = lock_directory(&directory)?;
        let has_events = !files_in(&journals_in(&directory))?.is_empty()
            || !files_in(&segments_in(&directory))?.is_empty();
        let catalog = Catalog::open(&directory, has_events)?;
        let acknowledged = open_acknowledged(&directory)?;
        let (waiting, active) = open_journals(&*disk, &directory, &catalog, &acknowledged)?;
        // Last: a catalog that does not go with the journals may not know segments that it should.
        remove_unknown_segments(&directory, &catalog)?;
        let next_sequence = waiting
            .iter()
            .chain([&active])
            .map(|journal| journal.index().next_sequence())
            .chain([catalog.read(|read| read.mark(Mark::NextSequence))?])
            .max()
            .unwrap_or(0);
        let commit = Commit::new(active, waiting, acknowledged, next_sequence, options.seal_bytes);
        let room = Room::new(directory.clone(), options.bytes_max);
        let store = Arc::new_cyclic(|me| Self {
            me: me.clone(),
            room,
            directory,
            catalog,
            commit,
            steps: Mutex::new(StepWatch::new(clock.read())),
            clock,
            disk,
            options,
            segment_work: Mutex::new(()),
            removal: Mutex::new(()),
            _lock: lock,
        });
        store.start_sealing();
        Ok(store)
    }

    /// Counts writes of events: it has moved when there may be new ones to read.
    pub fn commit_number(&self) -> u64 {
        self.commit.number()
    }

    /// Takes no more events. What was taken is on disk already.
    pub fn close(&self) {
        self.commit.close();
    }

    /// The time for decisions on what has elapsed.
    fn now(&self) -> Now {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that readings come in their order.
        steps.look(self.clock.read())
    }

    /// Refuses events for which there is no room.
    fn check_room(&self) -> Result<(), LogStoreError> {
        self.room.check(|| self.bytes())
    }

    /// Bytes of all events on disk.
    fn bytes(&self) -> Result<u64, LogStoreError> {
        let journals = self.commit.journals();
        let waiting: u64 = journals.iter().map(|journal| journal.length()).sum();
        let segments = self.catalog.read(|read| read.segments())?;
        Ok(waiting + segments.iter().map(|segment| segment.bytes).sum::<u64>())
    }

    /// Sets the gauges of what there is. Reads the catalog.
    pub fn measure(&self) -> Result<(), LogStoreError> {
        gauge!("outport_logs_bytes").set(self.bytes()? as f64);
        Ok(())
    }

    fn journals_directory(&self) -> PathBuf {
        journals_in(&self.directory)
    }

    fn segments_directory(&self) -> PathBuf {
        segments_in(&self.directory)
    }

    fn create_journal(&self, number: u64) -> Result<Journal, LogStoreError> {
        Journal::create(&*self.disk, &self.journals_directory(), number)
    }
}

impl Drop for LogStore {
    fn drop(&mut self) {
        self.commit.close();
    }
}

fn journals_in(directory: &Path) -> PathBuf {
    directory.join("journals")
}

fn segments_in(directory: &Path) -> PathBuf {
    directory.join("segments")
}

fn disk_error(path: &Path, source: io::Error) -> LogStoreError {
    LogStoreError::Disk { path: path.to_owned(), source }
}

/// A process that was killed, or a store that was closed, may have a child that was just begun: it has the lock's file
/// until it executes a program or ends.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
const LOCK_POLL: Duration = Duration::from_millis(5);

fn lock_directory(directory: &Path) -> Result<File, LogStoreError> {
    let path = directory.join("lock");
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|source| disk_error(&path, source))?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(source)) => return Err(disk_error(&path, source)),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(LOCK_POLL),
            Err(TryLockError::WouldBlock) => {
                let source =
                    io::Error::new(io::ErrorKind::ResourceBusy, "another process has it open");
                return Err(disk_error(&path, source));
            }
        }
    }
}

fn files_in(directory: &Path) -> Result<Vec<PathBuf>, LogStoreError> {
    let entries = fs::read_dir(directory).map_err(|source| disk_error(directory, source))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    paths.collect::<io::Result<_>>().map_err(|source| disk_error(directory, source))
}

/// A crash leaves a segment that the catalog does not know: its events are still in their journal.
fn remove_unknown_segments(directory: &Path, catalog: &Catalog) -> Result<(), LogStoreError> {
    let known = catalog.read(|read| read.segments())?;
    for path in files_in(&segments_in(directory))? {
        let number = segment::number_of(&path);
        if !number.is_some_and(|number| known.iter().any(|segment| segment.number == number)) {
            fs::remove_file(&path).map_err(|source| disk_error(&path, source))?;
        }
    }
    Ok(())
}

fn open_acknowledged(directory: &Path) -> Result<AcknowledgedJournals, LogStoreError> {
    let path = directory.join("journals.acknowledged");
    AcknowledgedJournals::open(&path).map_err(|source| disk_error(&path, source))
}

/// The full journals, oldest first, and the one that appends go on with.
fn open_journals(
    disk: &dyn Disk,
    directory: &Path,
    catalog: &Catalog,
    acknowledged: &AcknowledgedJournals,
) -> Result<(Vec<Journal>, Journal), LogStoreError> {
    let sealed = catalog.read(|read| read.mark(Mark::SealedJournal))?;
    let journals = journals_in(directory);
    let mut numbers = Vec::new();
    for path in files_in(&journals)? {
        match Journal::number_of(&path) {
            Some(number) if number <= sealed => {
                fs::remove_file(&path).map_err(|source| disk_error(&path, source))?;
            }
            Some(number) => numbers.push(number),
            None => {}
        }
    }
    numbers.sort_unstable();
    let told = acknowledged.numbers().unwrap_or_default();
    let told: HashMap<u64, u64> = told.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    for (number, bytes) in &told {
        // A sealed one is in the catalog, and one that is empty is no loss.
        if *number > sealed && *bytes > FILE_HEADER_BYTES && !numbers.contains(number) {
            let path = Journal::path_of(&journals, *number);
            let what = "the file is gone".into();
            return Err(LogStoreError::Damaged { path, offset: None, what });
        }
    }
    let last = numbers.last().copied();
    let mut opened = Vec::new();
    for number in numbers {
        let told = told.get(&number).copied().unwrap_or(0);
        opened.push(Journal::open(disk, &journals, number, Some(number) == last, told)?);
    }
    let active = match opened.pop() {
        Some(journal) => journal,
        None => Journal::create(disk, &journals, sealed + 1)?,
    };
    Ok((opened, active))
}
