//! Log streams of the store.

use std::collections::HashMap;
use std::sync::Arc;

use outport_model::Scope;

use super::LogStore;
use crate::catalog::streams::StreamRow;
use crate::catalog::{CatalogRead, Mark};
use crate::error::LogStoreError;
use crate::event::StreamNumber;
use crate::group::NewLogGroup;
use crate::journal::Journal;
use crate::journal::index::StreamTotals;
use crate::names::LogStreamName;
use crate::seen_group::GroupNamed;
use crate::stream::{LogStream, StreamOrder, StreamPage, StreamPlace, StreamQuery};

/// What is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Group,
    Stream,
}

impl LogStore {
    /// Makes a stream; on disk on return.
    pub fn create_stream(
        &self,
        scope: &Scope,
        group: &dyn GroupNamed,
        name: &LogStreamName,
    ) -> Result<(), LogStoreError> {
        let created_ms = self.clock.now_ms();
        self.catalog.write(|write| {
            let group = write.group(scope, group)?;
            write.insert_stream(&group, name, created_ms).map(drop)
        })
    }

    /// What of a stream is not there yet; `None`: it is there.
    pub fn missing(
        &self,
        scope: &Scope,
        group: &dyn GroupNamed,
        name: &LogStreamName,
    ) -> Result<Option<Missing>, LogStoreError> {
        let there = self.catalog.read(|read| {
            let group = read.group(scope, group)?;
            read.stream(&group, name)
        });
        match there {
            Ok(_) => Ok(None),
            Err(LogStoreError::GroupNotFound) => Ok(Some(Missing::Group)),
            Err(LogStoreError::StreamNotFound) => Ok(Some(Missing::Stream)),
            Err(error) => Err(error),
        }
    }

    /// Makes a stream unless it is there; its group too when `create_group` says so.
    pub fn ensure_stream(
        &self,
        scope: &Scope,
        group: &dyn GroupNamed,
        name: &LogStreamName,
        create_group: bool,
    ) -> Result<(), LogStoreError> {
        let there = self.catalog.read(|read| {
            let group = read.group(scope, group)?;
            read.stream(&group, name)
        });
        match there {
            Ok(_) => return Ok(()),
            Err(LogStoreError::GroupNotFound) if create_group => {}
            Err(LogStoreError::StreamNotFound) => {}
            Err(other) => return Err(other),
        }
        let groups_max = self.options.groups_max;
        let created_ms = self.clock.now_ms();
        self.catalog.write(|write| {
            let group = match write.group(scope, group) {
                Err(LogStoreError::GroupNotFound) if create_group => write.insert_group(
                    scope,
                    NewLogGroup::named(group.name().clone()),
                    created_ms,
                    groups_max,
                )?,
                found => found?,
            };
            match write.insert_stream(&group, name, created_ms) {
                Err(LogStoreError::StreamExists) => Ok(()),
                made => made.map(drop),
            }
        })
    }

    /// Deletes a stream with all that is in it.
    pub fn delete_stream(
        &self,
        scope: &Scope,
        group: &dyn GroupNamed,
        name: &LogStreamName,
    ) -> Result<(), LogStoreError> {
        self.catalog.write(|write| {
            let group = write.group(scope, group)?;
            let stream = write.stream(&group, name)?;
            write.delete_stream(stream.id)
        })
    }

    pub fn stream(
        &self,
        scope: &Scope,
        group: &dyn GroupNamed,
        name: &LogStreamName,
    ) -> Result<LogStream, LogStoreError> {
        let journals = self.commit.journals();
        self.catalog.read(|read| {
            let group = read.group(scope, group)?;
            let row = read.stream(&group, name)?;
            Ok(stream_of(row, &unsealed_totals(&journals, read)?))
        })
    }

    /// The first `limit` streams of a query, in its order.
    pub fn describe_streams(
        &self,
        scope: &Scope,
        group: &dyn GroupNamed,
        query: &StreamQuery,
        limit: usize,
    ) -> Result<StreamPage, LogStoreError> {
        let journals = self.commit.journals();
        let mut streams = self.catalog.read(|read| {
            let group = read.group(scope, group)?;
            let unsealed = unsealed_totals(&journals, read)?;
            let mut streams = Vec::new();
            let by_name = query.order == StreamOrder::Name && !query.descending;
            let from = match &query.after {
                Some(place) if by_name => place.name.as_str(),
                _ => "",
            };
            read.streams_from(&group, query.prefix.as_deref().unwrap_or(""), from, |row| {
                let stream = stream_of(row, &unsealed);
                if is_behind(query, &stream) {
                    streams.push(stream);
                }
                !(by_name && streams.len() > limit)
            })?;
            Ok(streams)
        })?;
        streams.sort_by_cached_key(|stream| place_in(query, stream));
        if query.descending {
            streams.reverse();
        }
        let more = streams.len() > limit;
        streams.truncate(limit);
        Ok(StreamPage { streams, more })
    }
}

/// What `journals` add to streams, beyond what the catalog has in this state. They must have been
/// asked for before the catalog was.
pub(super) fn unsealed_totals(
    journals: &[Arc<Journal>],
    read: &CatalogRead<'_>,
) -> Result<HashMap<StreamNumber, StreamTotals>, LogStoreError> {
    let sealed = read.mark(Mark::SealedJournal)?;
    let mut joined: HashMap<StreamNumber, StreamTotals> = HashMap::new();
    for journal in journals.iter().filter(|journal| journal.number > sealed) {
        for (stream, totals) in &journal.index().totals {
            let before = joined.get(stream).copied();
            if let Some(sum) = StreamTotals::join(before, Some(*totals)) {
                joined.insert(*stream, sum);
            }
        }
    }
    Ok(joined)
}

fn stream_of(row: StreamRow, unsealed: &HashMap<StreamNumber, StreamTotals>) -> LogStream {
    let totals = StreamTotals::join(row.sealed, unsealed.get(&row.id).copied());
    LogStream {
        created_ms: row.created_ms,
        first_event_ms: totals.map(|totals| totals.earliest_ms),
        last_event_ms: totals.map(|totals| totals.latest_ms),
        last_ingestion_ms: totals.map(|totals| totals.last_ingestion_ms),
        upload_sequence_token: sequence_token(row.id, 0),
        name: row.name,
    }
}

/// 56 digits, as AWS's sequence tokens have. Nobody compares them any more.
pub(super) fn sequence_token(stream: StreamNumber, number: u64) -> String {
    format!("49{stream:034}{number:020}")
}

fn place_in(query: &StreamQuery, stream: &LogStream) -> StreamPlace {
    let mut place = StreamPlace::behind(stream);
    if query.order == StreamOrder::Name {
        place.last_event_ms = None;
    }
    place
}

fn is_behind(query: &StreamQuery, stream: &LogStream) -> bool {
    let Some(after) = &query.after else { return true };
    let mut after = after.clone();
    if query.order == StreamOrder::Name {
        after.last_event_ms = None;
    }
    let place = place_in(query, stream);
    if query.descending { place < after } else { place > after }
}
