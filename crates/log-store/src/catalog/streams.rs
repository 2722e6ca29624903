//! Log streams in the catalog.

use outport_model::TimestampMs;
use rusqlite::{OptionalExtension, Row};

use super::groups::{GroupNumber, GroupRow};
use super::row_check::RowCheck;
use super::{CatalogRead, CatalogWrite};
use crate::error::LogStoreError;
use crate::event::StreamNumber;
use crate::journal::index::StreamTotals;
use crate::names::LogStreamName;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamRow {
    pub id: StreamNumber,
    pub group: GroupNumber,
    pub name: LogStreamName,
    pub created_ms: TimestampMs,
    /// Of the events in segments. Bytes are not kept here but summed over the blocks.
    pub sealed: Option<StreamTotals>,
}

impl StreamRow {
    fn check(&self) -> i64 {
        RowCheck::of("log_stream")
            .number(self.id)
            .number(self.group)
            .text(self.name.as_str())
            .number(self.created_ms)
            .maybe_number(self.sealed.map(|totals| totals.earliest_ms))
            .maybe_number(self.sealed.map(|totals| totals.latest_ms))
            .maybe_number(self.sealed.map(|totals| totals.last_ingestion_ms))
            .sum()
    }
}

const COLUMNS: &str =
    "id, log_group, name, created_ms, earliest_ms, latest_ms, last_ingestion_ms, row_check";

impl CatalogRead<'_> {
    pub fn stream(
        &self,
        group: &GroupRow,
        name: &LogStreamName,
    ) -> Result<StreamRow, LogStoreError> {
        let sql = format!("SELECT {COLUMNS} FROM log_stream WHERE log_group = ?1 AND name = ?2");
        let mut statement = self.db.prepare_cached(&sql)?;
        let row = statement
            .query_row((group.id, name.as_str()), |row| Ok(self.stream_of(row)))
            .optional()?;
        let stream = row.ok_or(LogStoreError::StreamNotFound)??;
        if stream.group != group.id || stream.name != *name {
            return Err(self.damaged("an index of log streams leads to another stream"));
        }
        Ok(stream)
    }

    pub fn stream_by_id(&self, id: StreamNumber) -> Result<Option<StreamRow>, LogStoreError> {
        let sql = format!("SELECT {COLUMNS} FROM log_stream WHERE id = ?1");
        let mut statement = self.db.prepare_cached(&sql)?;
        let row = statement.query_row([id], |row| Ok(self.stream_of(row))).optional()?;
        row.transpose()
    }

    /// Streams of a group whose names start with `prefix`, in the order of their names, from `from`
    /// on. `each` says whether to go on.
    pub fn streams_from(
        &self,
        group: &GroupRow,
        prefix: &str,
        from: &str,
        mut each: impl FnMut(StreamRow) -> bool,
    ) -> Result<(), LogStoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM log_stream WHERE log_group = ?1 AND name >= ?2 ORDER BY name"
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let mut rows = statement.query((group.id, from.max(prefix)))?;
        while let Some(row) = rows.next()? {
            let stream = self.stream_of(row)?;
            if !stream.name.as_str().starts_with(prefix) || !each(stream) {
                break;
            }
        }
        Ok(())
    }

    fn stream_of(&self, row: &Row<'_>) -> Result<StreamRow, LogStoreError> {
        let times: (Option<i64>, Option<i64>, Option<i64>) =
            (row.get(4)?, row.get(5)?, row.get(6)?);
        let sealed = match times {
            (Some(earliest_ms), Some(latest_ms), Some(last_ingestion_ms)) => {
                Some(StreamTotals { earliest_ms, latest_ms, last_ingestion_ms, bytes: 0 })
            }
            _ => None,
        };
        let stream = StreamRow {
            id: row.get(0)?,
            group: row.get(1)?,
            name: LogStreamName::stored(row.get(2)?),
            created_ms: row.get(3)?,
            sealed,
        };
        if stream.check() != row.get::<_, i64>(7)? {
            return Err(self.damaged("a log stream does not match its checksum"));
        }
        Ok(stream)
    }
}

impl CatalogWrite<'_> {
    pub fn insert_stream(
        &self,
        group: &GroupRow,
        name: &LogStreamName,
        created_ms: TimestampMs,
    ) -> Result<StreamRow, LogStoreError> {
        match self.stream(group, name) {
            Ok(_) => return Err(LogStoreError::StreamExists),
            Err(LogStoreError::StreamNotFound) => {}
            Err(other) => return Err(other),
        }
        let stream = StreamRow {
            id: self.next_id("log_stream")?,
            group: group.id,
            name: name.clone(),
            created_ms,
            sealed: None,
        };
        let sql = format!(
            "INSERT INTO log_stream ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, NULL, NULL, NULL, ?5)"
        );
        self.db.prepare_cached(&sql)?.execute((
            stream.id,
            stream.group,
            stream.name.as_str(),
            stream.created_ms,
            stream.check(),
        ))?;
        Ok(stream)
    }

    /// Joins what a sealed journal held to the totals of a stream.
    pub fn add_totals(
        &self,
        mut stream: StreamRow,
        added: StreamTotals,
    ) -> Result<(), LogStoreError> {
        stream.sealed = StreamTotals::join(stream.sealed, Some(StreamTotals { bytes: 0, ..added }));
        let totals = stream.sealed.unwrap_or(added);
        self.db
            .prepare_cached(
                "UPDATE log_stream SET earliest_ms = ?2, latest_ms = ?3, last_ingestion_ms = ?4, \
                 row_check = ?5 WHERE id = ?1",
            )?
            .execute((
                stream.id,
                totals.earliest_ms,
                totals.latest_ms,
                totals.last_ingestion_ms,
                stream.check(),
            ))?;
        Ok(())
    }

    /// Deletes a stream with its sources and blocks.
    pub fn delete_stream(&self, id: StreamNumber) -> Result<(), LogStoreError> {
        self.db.prepare_cached("DELETE FROM log_stream WHERE id = ?1")?.execute([id])?;
        Ok(())
    }
}
