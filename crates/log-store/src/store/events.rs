//! `GetLogEvents`: the events of one stream, page by page in either direction.

use outport_model::{Scope, TimestampMs};

use super::LogStore;
use super::query::Query;
use super::token::{Direction, page_token, parse_page_token};
use crate::error::LogStoreError;
use crate::event::{EventKey, LogEvent};
use crate::limits::PAGE_EVENTS_MAX;
use crate::names::LogStreamName;
use crate::pattern::FilterPattern;
use crate::seen_group::GroupNamed;

/// What to read of a stream.
#[derive(Clone, Debug, Default)]
pub struct GetEvents {
    /// The first time that counts.
    pub start_ms: Option<TimestampMs>,
    /// The first time that does not count any more.
    pub end_ms: Option<TimestampMs>,
    /// Without a token: the oldest events instead of the newest.
    pub start_from_head: bool,
    /// `None` and anything too large: as many as AWS answers.
    pub limit: Option<usize>,
    /// From an earlier page; it also gives the direction.
    pub token: Option<String>,
}

/// One page, oldest event first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    pub events: Vec<LogEvent>,
    /// For the events behind the page. At the end of the stream this is the token that was given
    /// (AWS), and it goes on working when more events come.
    pub next_forward_token: String,
    /// For the events before the page.
    pub next_backward_token: String,
}

impl LogStore {
    pub fn get_events(
        &self,
        scope: &Scope,
        group: &dyn GroupNamed,
        stream: &LogStreamName,
        request: &GetEvents,
    ) -> Result<EventPage, LogStoreError> {
        let now = self.now();
        self.with_view(|view| {
            let everything = FilterPattern::everything();
            let (plan, query, stream, place) = self.catalog.read(|read| {
                let group = read.group(scope, group)?;
                let stream = read.stream(&group, stream)?.id;
                let kept_from = EventKey::at(group.kept_from_ms(&now));
                let start = EventKey::at(request.start_ms.unwrap_or(0)).max(kept_from);
                let end = request.end_ms.map_or(EventKey::LAST, EventKey::at);
                let token = request.token.as_deref();
                let token = token.map(|token| parse_page_token(token, stream)).transpose()?;
                let (direction, range) = match token {
                    Some((Direction::Forward, key)) => (Direction::Forward, start.max(key)..end),
                    Some((Direction::Backward, key)) => (Direction::Backward, start..end.min(key)),
                    None if request.start_from_head => (Direction::Forward, start..end),
                    None => (Direction::Backward, start..end),
                };
                let limit = request.limit.unwrap_or(PAGE_EVENTS_MAX).clamp(1, PAGE_EVENTS_MAX);
                let query = Query { range, direction, limit, pattern: &everything };
                let place = token.map_or(start, |(_, key)| key);
                Ok((view.answer(read, &[stream], &query)?, query, stream, place))
            })?;
            let events = plan.run(self, &query)?.events;
            let forward = events.last().map_or(place, |event| event.event_id.key.next());
            let backward = events.first().map_or(place, |event| event.event_id.key);
            Ok(EventPage {
                events,
                next_forward_token: page_token(Direction::Forward, forward, stream),
                next_backward_token: page_token(Direction::Backward, backward, stream),
            })
        })
    }
}
