//! `FilterLogEvents`: the events of some streams of a group that match a pattern, by time.

use std::collections::HashMap;

use outport_model::{Scope, TimestampMs};

use super::LogStore;
use super::query::{Query, View};
use super::streams::unsealed_totals;
use super::token::{Direction, filter_token, parse_filter_token};
use crate::catalog::CatalogRead;
use crate::catalog::groups::GroupRow;
use crate::catalog::streams::StreamRow;
use crate::error::LogStoreError;
use crate::event::{EventKey, FilteredLogEvent, StreamNumber};
use crate::journal::index::StreamTotals;
use crate::limits::PAGE_EVENTS_MAX;
use crate::names::LogStreamName;
use crate::pattern::FilterPattern;
use crate::seen_group::GroupNamed;

/// Which streams of a group are searched.
#[derive(Clone, Debug, Default)]
pub enum StreamSelection {
    #[default]
    All,
    /// Each must exist.
    Named(Vec<LogStreamName>),
    Prefix(String),
}

/// What to search.
#[derive(Clone, Debug)]
pub struct FilterEvents {
    pub streams: StreamSelection,
    /// The first time that counts.
    pub start_ms: Option<TimestampMs>,
    /// The last time that counts.
    pub end_ms: Option<TimestampMs>,
    pub pattern: FilterPattern,
    /// `None` and anything too large: as many as AWS answers.
    pub limit: Option<usize>,
    /// From an earlier page.
    pub token: Option<String>,
}

/// One page, by time and then in the order in which the events came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilteredPage {
    pub events: Vec<FilteredLogEvent>,
    /// There may be more. A page may be empty and still have a token: so much was read without a
    /// match (AWS).
    pub next_token: Option<String>,
}

impl LogStore {
    pub fn filter_events(
        &self,
        scope: &Scope,
        group: &dyn GroupNamed,
        request: &FilterEvents,
    ) -> Result<FilteredPage, LogStoreError> {
        let now = self.now();
        self.with_view(|view| {
            let (plan, query, mut names, group) = self.catalog.read(|read| {
                let group = read.group(scope, group)?;
                let kept_from = EventKey::at(group.kept_from_ms(&now));
                let start = EventKey::at(request.start_ms.unwrap_or(0)).max(kept_from);
                let end = request
                    .end_ms
                    .map_or(EventKey::LAST, |end_ms| EventKey::at(end_ms.saturating_add(1)));
                let token = request.token.as_deref();
                let token = token.map(|token| parse_filter_token(token, group.id)).transpose()?;
                let query = Query {
                    range: start.max(token.unwrap_or(EventKey::FIRST))..end,
                    direction: Direction::Forward,
                    limit: request.limit.unwrap_or(PAGE_EVENTS_MAX).clamp(1, PAGE_EVENTS_MAX),
                    pattern: &request.pattern,
                };
                let names = selected_streams(view, read, &group, &request.streams, &query)?;
                let numbers: Vec<StreamNumber> = names.keys().copied().collect();
                Ok((view.answer(read, &numbers, &query)?, query, names, group.id))
            })?;
            let answer = plan.run(self, &query)?;
            names.shrink_to_fit();
            let events = answer.events.into_iter().filter_map(|event| {
                let stream = names.get(&event.event_id.stream)?.clone();
                Some(FilteredLogEvent { stream, event })
            });
            Ok(FilteredPage {
                events: events.collect(),
                next_token: answer.more_from.map(|key| filter_token(key, group)),
            })
        })
    }
}

/// The streams of a selection that can have events in the range of the query.
fn selected_streams(
    view: &View,
    read: &CatalogRead<'_>,
    group: &GroupRow,
    selection: &StreamSelection,
    query: &Query<'_>,
) -> Result<HashMap<StreamNumber, LogStreamName>, LogStoreError> {
    let unsealed = unsealed_totals(&view.journals, read)?;
    let (from_ms, to_ms) = (query.range.start.timestamp_ms, query.range.end.timestamp_ms);
    let mut streams = HashMap::new();
    let mut add = |row: StreamRow| {
        let totals = StreamTotals::join(row.sealed, unsealed.get(&row.id).copied());
        if totals.is_some_and(|t| t.latest_ms >= from_ms && t.earliest_ms <= to_ms) {
            streams.insert(row.id, row.name);
        }
    };
    match selection {
        StreamSelection::Named(names) => {
            for name in names {
                add(read.stream(group, name)?);
            }
        }
        StreamSelection::All => read.streams_from(group, "", "", |row| {
            add(row);
            true
        })?,
        StreamSelection::Prefix(prefix) => read.streams_from(group, prefix, "", |row| {
            add(row);
            true
        })?,
    }
    Ok(streams)
}
