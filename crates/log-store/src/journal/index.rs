//! What is in a journal, in memory: where each batch stands, and what the batches add to the totals
//! of their streams and to the cursors of their sources.

use std::collections::HashMap;

use outport_model::TimestampMs;

use super::record::RecordHead;
use crate::event::{EventKey, StreamNumber};

/// Where a batch stands in its journal, and what it spans.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchPlace {
    pub offset: u64,
    pub length: u32,
    pub crc: u32,
    pub message_bytes: u32,
    pub events: u32,
    pub first_sequence: u64,
    pub earliest_ms: TimestampMs,
    pub latest_ms: TimestampMs,
}

impl BatchPlace {
    /// No event of the batch is before this place.
    pub fn first_key(&self) -> EventKey {
        EventKey { timestamp_ms: self.earliest_ms, sequence: self.first_sequence }
    }

    /// No event of the batch is behind this place.
    pub fn last_key(&self) -> EventKey {
        let sequence = self.first_sequence.saturating_add(u64::from(self.events));
        EventKey { timestamp_ms: self.latest_ms, sequence }
    }
}

/// What some batches add to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamTotals {
    pub earliest_ms: TimestampMs,
    pub latest_ms: TimestampMs,
    pub last_ingestion_ms: TimestampMs,
    /// Messages and 26 bytes for each event.
    pub bytes: u64,
}

impl StreamTotals {
    pub fn join(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) => Some(Self {
                earliest_ms: a.earliest_ms.min(b.earliest_ms),
                latest_ms: a.latest_ms.max(b.latest_ms),
                last_ingestion_ms: a.last_ingestion_ms.max(b.last_ingestion_ms),
                bytes: a.bytes + b.bytes,
            }),
            (a, b) => a.or(b),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct JournalIndex {
    pub batches: HashMap<StreamNumber, Vec<BatchPlace>>,
    pub totals: HashMap<StreamNumber, StreamTotals>,
    pub cursors: HashMap<(StreamNumber, String), u64>,
    pub batch_count: usize,
}

/// A record on its way into an index: its head, its place, and its sum for the totals.
#[derive(Clone, Debug)]
pub(crate) struct IndexEntry {
    pub head: RecordHead,
    pub place: BatchPlace,
}

impl JournalIndex {
    pub fn add(&mut self, entry: IndexEntry) {
        let IndexEntry { head, place } = entry;
        if let Some(cursor) = head.cursor {
            self.cursors.insert((head.stream, cursor.source), cursor.to_cursor);
        }
        // A record that only moves a cursor takes room too, or a journal of them would never end.
        self.batch_count += 1;
        if head.events == 0 {
            return;
        }
        let overhead = u64::from(head.events) * crate::limits::EVENT_OVERHEAD_BYTES as u64;
        let added = StreamTotals {
            earliest_ms: place.earliest_ms,
            latest_ms: place.latest_ms,
            last_ingestion_ms: head.ingestion_ms,
            bytes: u64::from(place.message_bytes) + overhead,
        };
        let totals = self.totals.entry(head.stream).or_insert(StreamTotals { bytes: 0, ..added });
        *totals = StreamTotals::join(Some(*totals), Some(added)).unwrap_or(added);
        self.batches.entry(head.stream).or_default().push(place);
    }

    /// The latest ingestion time and the sequence behind the last event.
    pub fn next_sequence(&self) -> u64 {
        let last = |place: &BatchPlace| place.first_sequence + u64::from(place.events);
        self.batches.values().flatten().map(last).max().unwrap_or(0)
    }
}
