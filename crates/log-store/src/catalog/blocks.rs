//! Blocks and segments in the catalog.

use outport_model::TimestampMs;
use rusqlite::Row;

use super::groups::GroupNumber;
use super::row_check::RowCheck;
use super::{CatalogRead, CatalogWrite};
use crate::error::LogStoreError;
use crate::event::{EventKey, StreamNumber};
use crate::limits::EVENT_OVERHEAD_BYTES;
use crate::segment::block::{BLOCK_HEADER_BYTES, BlockHead};
use crate::segment::{BlockPlace, SegmentNumber};

const COLUMNS: &str = "segment, offset, log_stream, first_ms, first_sequence, last_ms, \
                       last_sequence, events, message_bytes, filter_bytes, packed_bytes, row_check";

fn check(place: &BlockPlace) -> i64 {
    let head = &place.head;
    [
        place.segment,
        place.offset as i64,
        head.stream,
        head.first.timestamp_ms,
        head.first.sequence as i64,
        head.last.timestamp_ms,
        head.last.sequence as i64,
        i64::from(head.events),
        i64::from(head.message_bytes),
        i64::from(head.filter_bytes),
        i64::from(head.packed_bytes),
    ]
    .into_iter()
    .fold(RowCheck::of("block"), RowCheck::number)
    .sum()
}

/// A segment and how much of it still counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentUse {
    pub number: SegmentNumber,
    pub bytes: u64,
    pub live_bytes: u64,
}

impl CatalogRead<'_> {
    /// Blocks of a stream that may hold events from `from` to `to`.
    pub fn blocks(
        &self,
        stream: StreamNumber,
        from: EventKey,
        to: EventKey,
        out: &mut Vec<BlockPlace>,
    ) -> Result<(), LogStoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM block WHERE log_stream = ?1 AND last_ms >= ?2 AND first_ms <= ?3"
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let mut rows = statement.query((stream, from.timestamp_ms, to.timestamp_ms))?;
        while let Some(row) = rows.next()? {
            let place = self.block_of(row)?;
            if place.head.stream != stream {
                return Err(self.damaged("an index of blocks leads to another stream"));
            }
            out.push(place);
        }
        Ok(())
    }

    pub fn blocks_of_segment(
        &self,
        segment: SegmentNumber,
    ) -> Result<Vec<BlockPlace>, LogStoreError> {
        let sql = format!("SELECT {COLUMNS} FROM block WHERE segment = ?1 ORDER BY offset");
        let mut statement = self.db.prepare_cached(&sql)?;
        let mut rows = statement.query([segment])?;
        let mut blocks = Vec::new();
        while let Some(row) = rows.next()? {
            blocks.push(self.block_of(row)?);
        }
        Ok(blocks)
    }

    fn block_of(&self, row: &Row<'_>) -> Result<BlockPlace, LogStoreError> {
        let key = |ms: usize, sequence: usize| -> rusqlite::Result<EventKey> {
            let sequence: i64 = row.get(sequence)?;
            Ok(EventKey { timestamp_ms: row.get(ms)?, sequence: sequence as u64 })
        };
        let head = BlockHead {
            stream: row.get(2)?,
            first: key(3, 4)?,
            last: key(5, 6)?,
            events: row.get(7)?,
            message_bytes: row.get(8)?,
            filter_bytes: row.get(9)?,
            packed_bytes: row.get(10)?,
        };
        let offset: i64 = row.get(1)?;
        let place = BlockPlace { segment: row.get(0)?, offset: offset as u64, head };
        if check(&place) != row.get::<_, i64>(11)? {
            return Err(self.damaged("a block does not match its checksum"));
        }
        Ok(place)
    }

    /// Messages and 26 bytes for each event in the segments, for a group.
    pub fn sealed_bytes(&self, group: GroupNumber) -> Result<u64, LogStoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT COALESCE(SUM(message_bytes), 0), COALESCE(SUM(events), 0) FROM block \
             JOIN log_stream ON log_stream.id = block.log_stream WHERE log_stream.log_group = ?1",
        )?;
        let (bytes, events): (i64, i64) =
            statement.query_row([group], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(bytes as u64 + events as u64 * EVENT_OVERHEAD_BYTES as u64)
    }

    /// The number of the segment that is written next.
    pub fn next_segment(&self) -> Result<SegmentNumber, LogStoreError> {
        self.next_id("segment")
    }

    pub fn segments(&self) -> Result<Vec<SegmentUse>, LogStoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT number, bytes, (SELECT COALESCE(SUM(?1 + filter_bytes + packed_bytes), 0) \
             FROM block WHERE block.segment = segment.number) FROM segment ORDER BY number",
        )?;
        let rows = statement.query_map([BLOCK_HEADER_BYTES as i64], |row| {
            let (bytes, live_bytes): (i64, i64) = (row.get(1)?, row.get(2)?);
            Ok(SegmentUse {
                number: row.get(0)?,
                bytes: bytes as u64,
                live_bytes: live_bytes as u64,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl CatalogWrite<'_> {
    pub fn insert_segment(&self, number: SegmentNumber, bytes: u64) -> Result<(), LogStoreError> {
        self.db
            .prepare_cached("INSERT INTO segment (number, bytes) VALUES (?1, ?2)")?
            .execute((number, bytes as i64))?;
        Ok(())
    }

    pub fn delete_segment(&self, number: SegmentNumber) -> Result<(), LogStoreError> {
        self.db.prepare_cached("DELETE FROM block WHERE segment = ?1")?.execute([number])?;
        self.db.prepare_cached("DELETE FROM segment WHERE number = ?1")?.execute([number])?;
        Ok(())
    }

    pub fn insert_block(&self, place: &BlockPlace) -> Result<(), LogStoreError> {
        let sql = format!(
            "INSERT INTO block ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
        );
        let head = &place.head;
        self.db.prepare_cached(&sql)?.execute((
            place.segment,
            place.offset as i64,
            head.stream,
            head.first.timestamp_ms,
            head.first.sequence as i64,
            head.last.timestamp_ms,
            head.last.sequence as i64,
            head.events,
            head.message_bytes,
            head.filter_bytes,
            head.packed_bytes,
            check(place),
        ))?;
        Ok(())
    }

    /// Forgets the blocks of a group whose last event is before `before_ms`.
    pub fn delete_blocks_before(
        &self,
        group: GroupNumber,
        before_ms: TimestampMs,
    ) -> Result<usize, LogStoreError> {
        let mut statement = self.db.prepare_cached(
            "DELETE FROM block WHERE last_ms < ?2 AND log_stream IN \
             (SELECT id FROM log_stream WHERE log_group = ?1)",
        )?;
        Ok(statement.execute((group, before_ms))?)
    }
}
