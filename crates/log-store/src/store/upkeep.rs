//! Upkeep: what retention and deletions leave behind is freed.

use std::fs;
use std::sync::{PoisonError, TryLockError};

use super::{LogStore, disk_error};
use crate::catalog::blocks::SegmentUse;
use crate::error::LogStoreError;
use crate::limits::DAY_MS;
use crate::segment::{SegmentFile, SegmentWriter, path_of};

/// What one round of upkeep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// Blocks whose last event was past its group's retention.
    pub expired_blocks: usize,
    /// Segments in which nothing was left.
    pub removed_segments: usize,
    /// Segments of which the living half, or less, was written anew.
    pub rewritten_segments: usize,
}

impl LogStore {
    /// Frees the space of expired and deleted events, checks the catalog, and seals a journal whose
    /// events have waited for a day. Meant to be called every few minutes; cheap when there is
    /// nothing to do.
    pub fn maintain(&self) -> Result<Maintenance, LogStoreError> {
        self.seal_what_is_old()?;
        self.catalog.check()?;
        let now = self.now();
        let mut done = Maintenance {
            expired_blocks: self.catalog.write(|write| {
                let mut expired = 0;
                for group in write.groups_with_retention()? {
                    expired += write.delete_blocks_before(group.id, group.kept_from_ms(&now))?;
                }
                Ok(expired)
            })?,
            ..Maintenance::default()
        };
        let _removal = match self.removal.try_lock() {
            Ok(removal) => removal,
            Err(TryLockError::Poisoned(removal)) => removal.into_inner(),
            // Somebody needs all that is there: the next round comes soon.
            Err(TryLockError::WouldBlock) => return Ok(done),
        };
        let _work = self.segment_work.lock().unwrap_or_else(PoisonError::into_inner);
        for segment in self.catalog.read(|read| read.segments())? {
            if segment.live_bytes == 0 {
                self.catalog.write(|write| write.delete_segment(segment.number))?;
                self.remove_segment_file(&segment)?;
                done.removed_segments += 1;
            } else if segment.live_bytes < segment.bytes / 2 {
                self.rewrite(&segment)?;
                done.rewritten_segments += 1;
            }
        }
        Ok(done)
    }

    /// Events in a journal are never freed, so none may stay there for long.
    fn seal_what_is_old(&self) -> Result<(), LogStoreError> {
        let now = self.now();
        let is_old = self.commit.journals().iter().any(|journal| {
            let is_old = |ingestion_ms| now.age_ms(ingestion_ms) > DAY_MS;
            journal.index().totals.values().any(|totals| is_old(totals.last_ingestion_ms))
        });
        if is_old {
            self.commit.rotate_if_used(|number| self.create_journal(number))?;
        }
        self.start_sealing();
        Ok(())
    }

    /// Copies the living blocks of a segment into a new one.
    fn rewrite(&self, old: &SegmentUse) -> Result<(), LogStoreError> {
        let directory = self.segments_directory();
        let (number, blocks) = self
            .catalog
            .read(|read| Ok((read.next_segment()?, read.blocks_of_segment(old.number)?)))?;
        let file = SegmentFile::open(&directory, old.number)?;
        let level = self.options.compression_level;
        let mut writer = SegmentWriter::create(&directory, number, level)?;
        for block in &blocks {
            writer.copy_block(&file, block)?;
        }
        let bytes = writer.bytes();
        let copied = writer.finish()?;
        self.catalog.write(|write| {
            // What was deleted since stays deleted.
            let living = write.blocks_of_segment(old.number)?;
            write.delete_segment(old.number)?;
            write.insert_segment(number, bytes)?;
            for (before, after) in blocks.iter().zip(&copied) {
                if living.contains(before) {
                    write.insert_block(after)?;
                }
            }
            Ok(())
        })?;
        self.remove_segment_file(old)
    }

    fn remove_segment_file(&self, segment: &SegmentUse) -> Result<(), LogStoreError> {
        let path = path_of(&self.segments_directory(), segment.number);
        fs::remove_file(&path).map_err(|source| disk_error(&path, source))
    }
}
