//! Reading: the first so many events of some streams in a range, from either end.
//!
//! Pieces (a block of a segment or a batch of a journal) are taken in the order of their nearest
//! possible event. A selection keeps the nearest events only, so memory holds one page and one
//! piece, whatever the size of the store.
//!
//! **Invariant:** the answer is exactly the nearest events that match: a piece is left out only when
//! it cannot have a nearer one than the last that is answered.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::ops::Range;
use std::sync::Arc;

use super::LogStore;
use super::token::Direction;
use crate::catalog::{CatalogRead, Mark};
use crate::error::LogStoreError;
use crate::event::{EventId, EventKey, LogEvent, StreamNumber, counted_bytes};
use crate::journal::Journal;
use crate::journal::index::BatchPlace;
use crate::journal::record::RawEvent;
use crate::limits::{PAGE_BYTES_MAX, SCAN_BYTES_PER_PAGE};
use crate::pattern::FilterPattern;
use crate::segment::{BlockPlace, SegmentFile, SegmentNumber};

/// A query whose segments are rewritten under it is asked again so many times.
const MOVED_RETRIES_MAX: usize = 5;

/// What to read.
pub(super) struct Query<'a> {
    pub range: Range<EventKey>,
    pub direction: Direction,
    pub limit: usize,
    pub pattern: &'a FilterPattern,
}

/// Events in ascending order.
pub(super) struct Answer {
    pub events: Vec<LogEvent>,
    /// There may be more from this place on, in the direction of the query.
    pub more_from: Option<EventKey>,
}

/// Distance from the end at which a query starts.
type Rank = u128;

impl Query<'_> {
    fn rank(&self, key: EventKey) -> Rank {
        let rank = (key.timestamp_ms as u128) << 64 | u128::from(key.sequence);
        match self.direction {
            Direction::Forward => rank,
            Direction::Backward => !rank,
        }
    }

    fn key(&self, rank: Rank) -> EventKey {
        let rank = match self.direction {
            Direction::Forward => rank,
            Direction::Backward => !rank,
        };
        EventKey { timestamp_ms: (rank >> 64) as i64, sequence: rank as u64 }
    }
}

/// Where events are.
enum Piece {
    Block(BlockPlace),
    Batch(Arc<Journal>, StreamNumber, BatchPlace),
}

impl Piece {
    fn ends(&self) -> (EventKey, EventKey) {
        match self {
            Self::Block(block) => (block.head.first, block.head.last),
            Self::Batch(_, _, batch) => (batch.first_key(), batch.last_key()),
        }
    }
}

impl LogStore {
    /// Runs `read` on a consistent view: journals first, then a state of the catalog. Starts over
    /// when a segment of that state was rewritten before it was opened.
    pub(super) fn with_view<T>(
        &self,
        mut read: impl FnMut(&View) -> Result<T, LogStoreError>,
    ) -> Result<T, LogStoreError> {
        for _ in 0..MOVED_RETRIES_MAX {
            match read(&View { journals: self.commit.journals() }) {
                Err(LogStoreError::Disk { source, .. }) if source.kind() == ErrorKind::NotFound => {
                }
                answer => return answer,
            }
        }
        read(&View { journals: self.commit.journals() }).map_err(|error| match error {
            // Of a segment that the catalog knows: nobody has moved it.
            LogStoreError::Disk { path, source } if source.kind() == ErrorKind::NotFound => {
                LogStoreError::Damaged { path, offset: None, what: "the file is gone".into() }
            }
            other => other,
        })
    }
}

pub(super) struct View {
    pub journals: Vec<Arc<Journal>>,
}

impl View {
    /// The pieces of `streams` that may have events in `range`.
    fn pieces(
        &self,
        read: &CatalogRead<'_>,
        streams: &[StreamNumber],
        range: &Range<EventKey>,
    ) -> Result<Vec<Piece>, LogStoreError> {
        let sealed = read.mark(Mark::SealedJournal)?;
        let mut blocks = Vec::new();
        for stream in streams {
            read.blocks(*stream, range.start, range.end, &mut blocks)?;
        }
        let mut pieces: Vec<Piece> = blocks.into_iter().map(Piece::Block).collect();
        for journal in self.journals.iter().filter(|journal| journal.number > sealed) {
            let index = journal.index();
            for stream in streams {
                let batches = index.batches.get(stream).into_iter().flatten();
                let batch = |place: &BatchPlace| Piece::Batch(journal.clone(), *stream, *place);
                pieces.extend(batches.map(batch));
            }
        }
        pieces.retain(|piece| {
            let (first, last) = piece.ends();
            first < range.end && last >= range.start
        });
        Ok(pieces)
    }

    /// Answers a query over `streams`, which `read` has just been asked for.
    pub fn answer(
        &self,
        read: &CatalogRead<'_>,
        streams: &[StreamNumber],
        query: &Query<'_>,
    ) -> Result<Plan, LogStoreError> {
        let pieces = self.pieces(read, streams, &query.range)?;
        let mut ranked: Vec<(Rank, Piece)> = pieces
            .into_iter()
            .map(|piece| {
                let (first, last) = piece.ends();
                let nearest = match query.direction {
                    Direction::Forward => first.max(query.range.start),
                    Direction::Backward => last.min(query.range.end),
                };
                (query.rank(nearest), piece)
            })
            .collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        Ok(Plan { pieces: ranked })
    }
}

/// The pieces to read, nearest first. Made in a read of the catalog and run after it, so that
/// reading segments holds nobody up.
pub(super) struct Plan {
    pieces: Vec<(Rank, Piece)>,
}

impl Plan {
    pub fn run(self, store: &LogStore, query: &Query<'_>) -> Result<Answer, LogStoreError> {
        let mut selection = Selection::new(query);
        let mut files: HashMap<SegmentNumber, SegmentFile> = HashMap::new();
        let mut buffer = Vec::new();
        let mut nearest_of_all = None;
        let mut scanned_from = None;
        for (nearest, piece) in &self.pieces {
            if selection.bound.is_some_and(|bound| *nearest >= bound) {
                break;
            }
            // Progress is certain: everything before this piece's first event has been read.
            if selection.scanned > SCAN_BYTES_PER_PAGE && nearest_of_all < Some(*nearest) {
                selection.cut(*nearest);
                scanned_from = Some(*nearest);
                break;
            }
            nearest_of_all = nearest_of_all.or(Some(*nearest));
            match piece {
                Piece::Block(place) => {
                    let file = match files.entry(place.segment) {
                        Entry::Occupied(open) => open.into_mut(),
                        Entry::Vacant(new) => {
                            let directory = store.segments_directory();
                            new.insert(SegmentFile::open(&directory, place.segment)?)
                        }
                    };
                    read_block(file, place, &mut selection)?;
                }
                Piece::Batch(journal, stream, place) => {
                    journal
                        .read_batch(place, &mut buffer, |event| selection.offer(*stream, event))?;
                }
            }
        }
        let more = selection.bound.is_some();
        let events = selection.into_events();
        let behind = match query.direction {
            Direction::Forward => events.last().map(|event| event.event_id.key.next()),
            Direction::Backward => events.first().map(|event| event.event_id.key),
        };
        let more_from = scanned_from.map(|rank| query.key(rank)).or(behind).filter(|_| more);
        Ok(Answer { events, more_from })
    }
}

fn read_block(
    file: &SegmentFile,
    place: &BlockPlace,
    selection: &mut Selection<'_>,
) -> Result<(), LogStoreError> {
    let front = file.front(place)?;
    let pattern = selection.query.pattern;
    if pattern.could_match(|term| front.filter.may_contain(term.as_bytes())) {
        let events = file.events(place, &front)?;
        events.iter().for_each(|event| selection.offer(place.head.stream, event));
    }
    Ok(())
}

/// The nearest matching events seen so far, one page of them.
struct Selection<'a> {
    query: &'a Query<'a>,
    events: BTreeMap<Rank, LogEvent>,
    bytes: usize,
    /// Events at this rank or behind it are not in the page.
    bound: Option<Rank>,
    scanned: usize,
}

impl<'a> Selection<'a> {
    fn new(query: &'a Query<'a>) -> Self {
        Self { query, events: BTreeMap::new(), bytes: 0, bound: None, scanned: 0 }
    }

    fn offer(&mut self, stream: StreamNumber, event: RawEvent<'_>) {
        self.scanned += event.message.len();
        if !self.query.range.contains(&event.key) {
            return;
        }
        let rank = self.query.rank(event.key);
        if self.bound.is_some_and(|bound| rank >= bound)
            || !self.query.pattern.matches(event.message)
        {
            return;
        }
        self.bytes += counted_bytes(event.message);
        let selected = LogEvent {
            event_id: EventId { key: event.key, stream },
            timestamp_ms: event.key.timestamp_ms,
            ingestion_ms: event.ingestion_ms,
            message: event.message.to_owned(),
        };
        self.events.insert(rank, selected);
        while self.events.len() > self.query.limit
            || (self.bytes > PAGE_BYTES_MAX && self.events.len() > 1)
        {
            let Some((rank, event)) = self.events.pop_last() else { break };
            self.bytes -= counted_bytes(&event.message);
            self.bound = Some(rank);
        }
    }

    /// Leaves out what is at `rank` or behind it.
    fn cut(&mut self, rank: Rank) {
        self.events.split_off(&rank);
        self.bound = Some(rank);
    }

    fn into_events(self) -> Vec<LogEvent> {
        let mut events: Vec<LogEvent> = self.events.into_values().collect();
        if self.query.direction == Direction::Backward {
            events.reverse();
        }
        events
    }
}
