//! Cursors of sources in the catalog: those whose journal is sealed. Newer ones are in journals.

use rusqlite::OptionalExtension;

use super::row_check::RowCheck;
use super::{CatalogRead, CatalogWrite};
use crate::error::LogStoreError;
use crate::event::StreamNumber;

fn check(stream: StreamNumber, source: &str, cursor: i64) -> i64 {
    RowCheck::of("source").number(stream).text(source).number(cursor).sum()
}

impl CatalogRead<'_> {
    pub fn cursor(&self, stream: StreamNumber, source: &str) -> Result<Option<u64>, LogStoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT cursor, row_check FROM source WHERE log_stream = ?1 AND source = ?2",
        )?;
        let row: Option<(i64, i64)> = statement
            .query_row((stream, source), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        match row {
            None => Ok(None),
            Some((cursor, sum)) if sum == check(stream, source, cursor) => Ok(Some(cursor as u64)),
            Some(_) => Err(self.damaged("a cursor does not match its checksum")),
        }
    }
}

impl CatalogWrite<'_> {
    pub fn put_cursor(
        &self,
        stream: StreamNumber,
        source: &str,
        cursor: u64,
    ) -> Result<(), LogStoreError> {
        let cursor = cursor as i64;
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO source (log_stream, source, cursor, row_check) \
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute((stream, source, cursor, check(stream, source, cursor)))?;
        Ok(())
    }
}
