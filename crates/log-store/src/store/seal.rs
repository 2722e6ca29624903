//! Sealing: a full journal becomes a segment.
//!
//! ```text
//! journal on disk -> segment on disk -> catalog knows it (one transaction) -> journal removed
//! ```
//!
//! **Invariant:** the transaction is the instant of change. Before it the journal counts and the
//! segment is a stray file; after it the segment counts and the journal is one.

use std::collections::HashMap;
use std::sync::PoisonError;

use super::LogStore;
use crate::catalog::streams::StreamRow;
use crate::catalog::{CatalogWrite, Mark};
use crate::error::LogStoreError;
use crate::event::{EventKey, StreamNumber};
use crate::journal::Journal;
use crate::journal::record::RawEvent;
use crate::segment::{BlockPlace, SegmentNumber, SegmentWriter};

impl LogStore {
    /// Called after every append: puts a full journal aside and has it sealed.
    pub(super) fn seal_when_full(&self) {
        match self.commit.rotate_if_full(|number| self.create_journal(number)) {
            Ok(false) => {}
            Ok(true) => self.start_sealing(),
            Err(error) => tracing::warn!(
                event = "log_journal_not_made",
                %error,
                "cannot make a new log journal: the full one is used on"
            ),
        }
    }

    /// Called before every append: sealing that failed before, on a full disk, is tried again.
    pub(super) fn seal_when_stuck(&self) {
        if self.commit.has_too_many_waiting() {
            self.start_sealing();
        }
    }

    /// Seals what waits, on another thread when the options say so.
    pub(super) fn start_sealing(&self) {
        if !self.commit.begin_sealing() {
            return;
        }
        if !self.options.seals_in_background {
            return self.seal_waiting();
        }
        let Some(store) = self.me.upgrade() else { return self.commit.end_sealing() };
        let thread = std::thread::Builder::new().name("log-seal".to_owned());
        if let Err(error) = thread.spawn(move || store.seal_waiting()) {
            tracing::warn!(
                event = "log_seal_thread_missing",
                %error,
                "cannot start a thread to seal log journals"
            );
            self.commit.end_sealing();
        }
    }

    fn seal_waiting(&self) {
        while let Some(journal) = self.commit.oldest_waiting() {
            if let Err(error) = self.seal(&journal) {
                tracing::error!(
                    event = "log_journal_not_sealed",
                    %error,
                    journal = journal.number,
                    "cannot seal a log journal"
                );
                break;
            }
        }
        self.commit.end_sealing();
    }

    fn seal(&self, journal: &Journal) -> Result<(), LogStoreError> {
        let _work = self.segment_work.lock().unwrap_or_else(PoisonError::into_inner);
        let streams = self.living_streams(journal)?;
        let number = self.catalog.read(|read| read.next_segment())?;
        let (blocks, bytes) = self.write_segment(journal, number, &streams)?;
        self.catalog.write(|write| {
            if !blocks.is_empty() {
                write.insert_segment(number, bytes)?;
            }
            add_to_catalog(write, journal, &blocks)
        })?;
        self.commit.sealed(journal.number);
        // When this fails the next start removes it.
        if let Err(error) = journal.remove() {
            tracing::warn!(
                event = "log_journal_not_removed",
                %error,
                "cannot remove a log journal that is sealed"
            );
        }
        Ok(())
    }

    /// The streams of a journal that were not deleted since, in the order of their numbers.
    fn living_streams(&self, journal: &Journal) -> Result<Vec<StreamNumber>, LogStoreError> {
        let mut streams: Vec<StreamNumber> = journal.index().batches.keys().copied().collect();
        streams.sort_unstable();
        self.catalog.read(|read| {
            let mut living = Vec::with_capacity(streams.len());
            for stream in streams {
                if read.stream_by_id(stream)?.is_some() {
                    living.push(stream);
                }
            }
            Ok(living)
        })
    }

    fn write_segment(
        &self,
        journal: &Journal,
        number: SegmentNumber,
        streams: &[StreamNumber],
    ) -> Result<(Vec<BlockPlace>, u64), LogStoreError> {
        if streams.is_empty() {
            return Ok((Vec::new(), 0));
        }
        let level = self.options.compression_level;
        let mut writer = SegmentWriter::create(&self.segments_directory(), number, level)?;
        for stream in streams {
            let events = StreamEvents::read(journal, *stream)?;
            writer.add_stream(*stream, &events.in_order())?;
        }
        let bytes = writer.bytes();
        Ok((writer.finish()?, bytes))
    }
}

/// All that a journal holds of one stream.
struct StreamEvents {
    messages: String,
    rows: Vec<(EventKey, i64, std::ops::Range<usize>)>,
}

impl StreamEvents {
    fn read(journal: &Journal, stream: StreamNumber) -> Result<Self, LogStoreError> {
        let places = journal.index().batches.get(&stream).cloned().unwrap_or_default();
        let mut events = Self { messages: String::new(), rows: Vec::new() };
        let mut buffer = Vec::new();
        for place in &places {
            journal.read_batch(place, &mut buffer, |event| {
                let start = events.messages.len();
                events.messages.push_str(event.message);
                let range = start..events.messages.len();
                events.rows.push((event.key, event.ingestion_ms, range));
            })?;
        }
        events.rows.sort_unstable_by_key(|(key, ..)| *key);
        Ok(events)
    }

    fn in_order(&self) -> Vec<RawEvent<'_>> {
        let rows = self.rows.iter().map(|(key, ingestion_ms, range)| RawEvent {
            key: *key,
            ingestion_ms: *ingestion_ms,
            message: &self.messages[range.clone()],
        });
        rows.collect()
    }
}

fn add_to_catalog(
    write: &CatalogWrite<'_>,
    journal: &Journal,
    blocks: &[BlockPlace],
) -> Result<(), LogStoreError> {
    let index = journal.index();
    // A stream may have been deleted while its blocks were written.
    let mut living: HashMap<StreamNumber, Option<StreamRow>> = HashMap::new();
    let touched = index.totals.keys().chain(index.cursors.keys().map(|(stream, _)| stream));
    for stream in touched {
        if !living.contains_key(stream) {
            living.insert(*stream, write.stream_by_id(*stream)?);
        }
    }
    let is_living = |stream: StreamNumber| matches!(living.get(&stream), Some(Some(_)));
    for block in blocks.iter().filter(|block| is_living(block.head.stream)) {
        write.insert_block(block)?;
    }
    for ((stream, source), cursor) in &index.cursors {
        if is_living(*stream) {
            write.put_cursor(*stream, source, *cursor)?;
        }
    }
    for (stream, totals) in &index.totals {
        if let Some(Some(row)) = living.get(stream) {
            write.add_totals(row.clone(), *totals)?;
        }
    }
    let next_sequence = index.next_sequence().max(write.mark(Mark::NextSequence)?);
    write.set_mark(Mark::NextSequence, next_sequence)?;
    write.set_mark(Mark::SealedJournal, journal.number)
}
