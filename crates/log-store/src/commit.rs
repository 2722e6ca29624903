//! Group commit: many appenders, one write and one fdatasync at a time. Whoever comes while a write
//! is under way joins the next one; the first of them leads it for all.
//!
//! ```text
//! append: decide under the lock -> join the waiting frame -> (lead: write, sync, show) -> answer
//! ```
//!
//! How far the journals reach is written beside them ([`Acknowledged`]) between the sync and the answer: so a journal that
//! was cut later, even between two frames, is known to have lost something.
//!
//! **Invariant:** an append answers `Ok` only after its bytes are on disk and visible; a failed write
//! fails every append that it, or an append waiting behind it, was part of, and leaves nothing.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use outport_acknowledged::Acknowledged;
use outport_model::TimestampMs;

use crate::error::LogStoreError;
use crate::event::StreamNumber;
use crate::journal::frame::FRAME_HEADER_BYTES;
use crate::journal::index::IndexEntry;
use crate::journal::record::{CursorMove, RecordHead};
use crate::journal::{Journal, push_record};
use crate::limits::{
    JOURNAL_BATCHES_MAX, JOURNALS_COUNTED, JOURNALS_WAITING_MAX, PENDING_BYTES_MAX,
};

/// What an append wants to write, decided with the newest cursor of its source at hand.
pub(crate) struct Append<'a> {
    /// Where the source's cursor goes, together with the messages.
    pub to_cursor: Option<u64>,
    pub messages: Vec<(TimestampMs, &'a str)>,
}

/// Who appends, and when.
pub(crate) struct Appender<'a> {
    pub stream: StreamNumber,
    pub ingestion_ms: TimestampMs,
    pub source: Option<&'a str>,
}

/// Of each journal its number and how many bytes of it were acknowledged; the newest last, 0 where there are fewer.
pub(crate) type AcknowledgedJournals = Acknowledged<{ 2 * JOURNALS_COUNTED }>;

type SourceKey = (StreamNumber, String);

pub(crate) struct Commit {
    state: Mutex<State>,
    changed: Condvar,
    seal_bytes: u64,
}

struct State {
    acknowledged: AcknowledgedJournals,
    active: Arc<Journal>,
    /// Full journals, oldest first, that are not in the catalog yet.
    waiting: Vec<Arc<Journal>>,
    /// The next frame: room for its header, then records.
    frame: Vec<u8>,
    entries: Vec<IndexEntry>,
    group: Arc<Group>,
    is_writing: bool,
    next_sequence: u64,
    /// Cursors of records that are not on disk yet.
    assigned: HashMap<SourceKey, (u64, Arc<Group>)>,
    commits: u64,
    is_sealing: bool,
    is_closed: bool,
}

/// The appends of one frame and how it went.
#[derive(Default)]
struct Group {
    outcome: OnceLock<Result<(), String>>,
}

impl Commit {
    pub fn new(
        active: Journal,
        waiting: Vec<Journal>,
        acknowledged: AcknowledgedJournals,
        next_sequence: u64,
        seal_bytes: u64,
    ) -> Self {
        let mut state = State {
            acknowledged,
            active: Arc::new(active),
            waiting: waiting.into_iter().map(Arc::new).collect(),
            frame: empty_frame(),
            entries: Vec::new(),
            group: Arc::default(),
            is_writing: false,
            next_sequence,
            assigned: HashMap::new(),
            commits: 0,
            is_sealing: false,
            is_closed: false,
        };
        state.acknowledge();
        Self { state: Mutex::new(state), changed: Condvar::new(), seal_bytes }
    }

    /// Asks `decide` what to append, with the cursor that the source has (asked of `in_catalog` when
    /// no journal knows it), and returns when that, or whatever made it needless, is on disk. `None`
    /// from `decide` appends nothing.
    pub fn append<'a>(
        &self,
        appender: &Appender<'_>,
        in_catalog: impl FnOnce(&str) -> Result<Option<u64>, LogStoreError>,
        decide: impl FnOnce(Option<u64>) -> Result<Option<Append<'a>>, LogStoreError>,
    ) -> Result<(), LogStoreError> {
        let mut state = self.wait_for_room()?;
        let key = appender.source.map(|source| (appender.stream, source.to_owned()));
        let cursor = match &key {
            Some(key) => match state.cursor(key) {
                Some(cursor) => Some(cursor),
                None => in_catalog(&key.1)?,
            },
            None => None,
        };
        let group = match decide(cursor)? {
            Some(append) => state.push(appender, key, append),
            // The answer tells of a cursor: it must be on disk like any other answer.
            None => match key.and_then(|key| state.assigned.get(&key)) {
                Some((_, group)) => group.clone(),
                None => return Ok(()),
            },
        };
        self.finish(state, &group)
    }

    fn wait_for_room(&self) -> Result<MutexGuard<'_, State>, LogStoreError> {
        let mut state = self.lock();
        loop {
            if state.is_closed {
                return Err(LogStoreError::Closed);
            }
            let journals_full = state.waiting.len() > JOURNALS_WAITING_MAX;
            if journals_full && !state.is_sealing {
                let why = "full journals could not be sealed into segments";
                return Err(LogStoreError::WriteFailed(why.to_owned()));
            }
            if !journals_full && state.frame.len() <= PENDING_BYTES_MAX {
                return Ok(state);
            }
            state = self.wait(state);
        }
    }

    fn finish<'s>(
        &'s self,
        mut state: MutexGuard<'s, State>,
        group: &Group,
    ) -> Result<(), LogStoreError> {
        loop {
            if let Some(outcome) = group.outcome.get() {
                return outcome.clone().map_err(LogStoreError::WriteFailed);
            }
            state = if state.is_writing { self.wait(state) } else { self.lead(state) };
        }
    }

    /// Writes the waiting frame for everyone in it.
    fn lead<'s>(&'s self, mut state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        state.is_writing = true;
        let mut frame = std::mem::replace(&mut state.frame, empty_frame());
        let entries = std::mem::take(&mut state.entries);
        let group = std::mem::take(&mut state.group);
        let journal = state.active.clone();
        drop(state);

        let offset = journal.length();
        let written = journal.append(&mut frame);
        if written.is_ok() {
            journal.show(entries.into_iter().map(|mut entry| {
                entry.place.offset += offset;
                entry
            }));
        }

        let mut state = self.lock();
        match written {
            Ok(()) => {
                state.acknowledge();
                let _ = group.outcome.set(Ok(()));
                state.assigned.retain(|_, (_, assigned_by)| !Arc::ptr_eq(assigned_by, &group));
                state.commits += 1;
            }
            Err(error) => state.fail(&group, &error.to_string()),
        }
        state.is_writing = false;
        self.changed.notify_all();
        state
    }

    /// Puts a full journal aside for sealing, with a new one made by `create`. Answers whether one
    /// waits to be sealed now.
    pub fn rotate_if_full(
        &self,
        create: impl FnOnce(u64) -> Result<Journal, LogStoreError>,
    ) -> Result<bool, LogStoreError> {
        let mut state = self.lock();
        while self.is_full(&state.active) && state.is_writing {
            state = self.wait(state);
        }
        if self.is_full(&state.active) {
            // Appenders wait for these few milliseconds.
            state.rotate(create)?;
        }
        Ok(!state.waiting.is_empty())
    }

    /// Puts the active journal aside if anything is in it.
    pub fn rotate_if_used(
        &self,
        create: impl FnOnce(u64) -> Result<Journal, LogStoreError>,
    ) -> Result<(), LogStoreError> {
        let mut state = self.lock();
        while state.is_writing {
            state = self.wait(state);
        }
        if !state.active.index().batches.is_empty() {
            state.rotate(create)?;
        }
        Ok(())
    }

    fn is_full(&self, journal: &Journal) -> bool {
        journal.length() >= self.seal_bytes || journal.index().batch_count >= JOURNAL_BATCHES_MAX
    }

    /// Appends wait, or fail when nobody seals.
    pub fn has_too_many_waiting(&self) -> bool {
        self.lock().waiting.len() > JOURNALS_WAITING_MAX
    }

    /// The oldest journal that waits to be sealed.
    pub fn oldest_waiting(&self) -> Option<Arc<Journal>> {
        self.lock().waiting.first().cloned()
    }

    /// Forgets a journal whose events are in the catalog now.
    pub fn sealed(&self, number: u64) {
        self.lock().waiting.retain(|journal| journal.number != number);
        self.changed.notify_all();
    }

    /// Takes the right to seal; false when another has it or nothing waits.
    pub fn begin_sealing(&self) -> bool {
        let mut state = self.lock();
        let may = !state.is_sealing && !state.waiting.is_empty();
        state.is_sealing |= may;
        may
    }

    pub fn end_sealing(&self) {
        self.lock().is_sealing = false;
        self.changed.notify_all();
    }

    /// Everything that is not in the catalog yet. Take this first and the catalog's state second,
    /// and leave out what the catalog has of these journals: then each event is seen once.
    pub fn journals(&self) -> Vec<Arc<Journal>> {
        let state = self.lock();
        state.waiting.iter().chain([&state.active]).cloned().collect()
    }

    /// Counts successful writes.
    pub fn number(&self) -> u64 {
        self.lock().commits
    }

    /// Takes no more appends and marks the end of the active journal, so that damage to its last
    /// frame cannot pass for a torn end.
    pub fn close(&self) {
        let mut state = self.lock();
        if std::mem::replace(&mut state.is_closed, true) {
            return;
        }
        self.changed.notify_all();
        while state.is_writing || !state.entries.is_empty() {
            state = if state.is_writing { self.wait(state) } else { self.lead(state) };
        }
        if !state.active.is_empty()
            && let Err(error) = state.active.append(&mut empty_frame())
        {
            tracing::warn!(
                event = "log_journal_end_not_written",
                %error,
                "cannot write the end mark of a log journal"
            );
        }
        state.acknowledge();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&'s self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Everything that is in the journals now may be told of: it is on disk.
    fn acknowledge(&mut self) {
        let journals: Vec<&Arc<Journal>> = self.waiting.iter().chain([&self.active]).collect();
        let newest = &journals[journals.len().saturating_sub(JOURNALS_COUNTED)..];
        let mut numbers = [0; 2 * JOURNALS_COUNTED];
        for (pair, journal) in numbers.chunks_exact_mut(2).zip(newest) {
            pair.copy_from_slice(&[journal.number, journal.length()]);
        }
        self.acknowledged.set(numbers);
    }

    fn cursor(&self, key: &SourceKey) -> Option<u64> {
        let assigned = self.assigned.get(key).map(|(cursor, _)| *cursor);
        assigned.or_else(|| {
            let newest_first = [&self.active].into_iter().chain(self.waiting.iter().rev());
            newest_first.map(|journal| journal.index().cursors.get(key).copied()).find_map(|c| c)
        })
    }

    fn push(
        &mut self,
        appender: &Appender<'_>,
        key: Option<SourceKey>,
        append: Append<'_>,
    ) -> Arc<Group> {
        let cursor = match (key, append.to_cursor) {
            (Some(key), Some(to_cursor)) => {
                let source = key.1.clone();
                self.assigned.insert(key, (to_cursor, self.group.clone()));
                Some(CursorMove { source, to_cursor })
            }
            _ => None,
        };
        let head = RecordHead {
            stream: appender.stream,
            ingestion_ms: appender.ingestion_ms,
            first_sequence: self.next_sequence,
            cursor,
            events: append.messages.len() as u32,
        };
        self.next_sequence += append.messages.len() as u64;
        self.entries.push(push_record(&mut self.frame, head, append.messages.into_iter()));
        self.group.clone()
    }

    fn rotate(
        &mut self,
        create: impl FnOnce(u64) -> Result<Journal, LogStoreError>,
    ) -> Result<(), LogStoreError> {
        self.active.settle()?;
        let next = create(self.active.number + 1)?;
        self.waiting.push(std::mem::replace(&mut self.active, Arc::new(next)));
        Ok(())
    }

    /// Fails a group, and the one that gathers now, which may build on its cursors.
    fn fail(&mut self, group: &Group, why: &str) {
        let _ = group.outcome.set(Err(why.to_owned()));
        if !self.entries.is_empty() {
            let gathering = std::mem::take(&mut self.group);
            let _ = gathering.outcome.set(Err(why.to_owned()));
            self.frame = empty_frame();
            self.entries.clear();
        }
        self.assigned.clear();
    }
}

fn empty_frame() -> Vec<u8> {
    vec![0; FRAME_HEADER_BYTES]
}
