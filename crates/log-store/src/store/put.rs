//! `PutLogEvents`: a batch from a caller of the API.

use outport_model::{Scope, TimestampMs};

use super::LogStore;
use super::streams::sequence_token;
use crate::commit::{Append, Appender};
use crate::error::{BatchRefusal, LogStoreError};
use crate::event::{InputLogEvent, TIMESTAMP_MS_MAX, counted_bytes};
use crate::limits::{
    EVENT_AGE_MS_MAX, EVENT_AHEAD_MS_MAX, EVENT_BYTES_MAX, PUT_BATCH_BYTES_MAX,
    PUT_BATCH_EVENTS_MAX, PUT_BATCH_SPAN_MS_MAX,
};
use crate::names::LogStreamName;
use crate::seen_group::GroupNamed;

/// Events of a batch that were not kept, as AWS's `rejectedLogEventsInfo` counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RejectedEvents {
    /// This event and all behind it are more than two hours ahead.
    pub too_new_start: Option<usize>,
    /// All events before this one are more than 14 days old.
    pub too_old_end: Option<usize>,
    /// All events before this one are past the retention of the group.
    pub expired_end: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutOutcome {
    pub rejected: Option<RejectedEvents>,
    pub next_sequence_token: String,
}

impl LogStore {
    /// Appends a batch; what was not rejected is on disk and can be read on return.
    pub fn put_events(
        &self,
        scope: &Scope,
        group: &dyn GroupNamed,
        stream: &LogStreamName,
        events: &[InputLogEvent],
    ) -> Result<PutOutcome, LogStoreError> {
        check_batch(events)?;
        let (group, stream) = self.catalog.read(|read| {
            let group = read.group(scope, group)?;
            let stream = read.stream(&group, stream)?;
            Ok((group, stream))
        })?;
        let now = self.now();
        let now_ms = now.wall_ms;
        let (kept, rejected) = split_by_age(events, now_ms, group.kept_from_ms(&now));
        if !kept.is_empty() {
            self.check_room()?;
            let appender = Appender { stream: stream.id, ingestion_ms: now_ms, source: None };
            let messages =
                kept.iter().map(|event| (event.timestamp_ms, event.message.as_str())).collect();
            let append = Append { to_cursor: None, messages };
            self.seal_when_stuck();
            self.commit.append(&appender, |_| Ok(None), |_| Ok(Some(append)))?;
            self.seal_when_full();
        }
        let next_sequence_token = sequence_token(stream.id, self.commit_number());
        Ok(PutOutcome { rejected, next_sequence_token })
    }
}

/// AWS's limits on a batch as a whole.
fn check_batch(events: &[InputLogEvent]) -> Result<(), BatchRefusal> {
    let (Some(first), Some(last)) = (events.first(), events.last()) else {
        return Err(BatchRefusal::Empty);
    };
    if events.len() > PUT_BATCH_EVENTS_MAX {
        let max = PUT_BATCH_EVENTS_MAX;
        return Err(BatchRefusal::TooManyEvents { events: events.len(), max });
    }
    let in_time = |event: &&InputLogEvent| (0..=TIMESTAMP_MS_MAX).contains(&event.timestamp_ms);
    if let Some(event) = events.iter().find(|event| !in_time(event)) {
        return Err(BatchRefusal::InvalidTimestamp { timestamp_ms: event.timestamp_ms });
    }
    let sizes = events.iter().map(|event| counted_bytes(&event.message));
    if let Some(bytes) = sizes.clone().find(|bytes| *bytes > EVENT_BYTES_MAX) {
        return Err(BatchRefusal::EventTooLarge { bytes, max: EVENT_BYTES_MAX });
    }
    let bytes: usize = sizes.sum();
    if bytes > PUT_BATCH_BYTES_MAX {
        return Err(BatchRefusal::TooManyBytes { bytes, max: PUT_BATCH_BYTES_MAX });
    }
    if !events.is_sorted_by_key(|event| event.timestamp_ms) {
        return Err(BatchRefusal::NotChronological);
    }
    if last.timestamp_ms - first.timestamp_ms > PUT_BATCH_SPAN_MS_MAX {
        return Err(BatchRefusal::SpanTooLong);
    }
    Ok(())
}

/// The events, which are in order, that are neither too old nor expired nor too new.
fn split_by_age(
    events: &[InputLogEvent],
    now_ms: TimestampMs,
    kept_from_ms: TimestampMs,
) -> (&[InputLogEvent], Option<RejectedEvents>) {
    let before =
        |limit_ms: TimestampMs| events.partition_point(|event| event.timestamp_ms < limit_ms);
    let too_old = before(now_ms - EVENT_AGE_MS_MAX);
    let expired = before(kept_from_ms);
    let first_too_new = before(now_ms + EVENT_AHEAD_MS_MAX + 1);
    let rejected = RejectedEvents {
        too_new_start: (first_too_new < events.len()).then_some(first_too_new),
        too_old_end: (too_old > 0).then_some(too_old),
        expired_end: (expired > too_old).then_some(expired),
    };
    let start = too_old.max(expired).min(first_too_new);
    (&events[start..first_too_new], (rejected != RejectedEvents::default()).then_some(rejected))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 60 * 60 * 1000;
    const NOW: i64 = 1_700_000_000_000;

    fn events(times: &[i64]) -> Vec<InputLogEvent> {
        let event = |at: &i64| InputLogEvent { timestamp_ms: *at, message: "m".to_owned() };
        times.iter().map(event).collect()
    }

    fn check_ages(
        times: &[i64],
        kept_from_ms: i64,
        kept: std::ops::Range<usize>,
        rejected: RejectedEvents,
    ) {
        let events = events(times);
        let (taken, said) = split_by_age(&events, NOW, kept_from_ms);
        assert_eq!(taken, &events[kept], "{times:?}");
        assert_eq!(said.unwrap_or_default(), rejected, "{times:?}");
    }

    #[test]
    fn events_are_rejected_by_age_as_aws_counts_them() {
        let none = RejectedEvents::default();
        check_ages(&[NOW - 14 * DAY, NOW, NOW + 7_200_000], 0, 0..3, none);
        let too_old = RejectedEvents { too_old_end: Some(2), ..none };
        check_ages(&[1, NOW - 14 * DAY - 1, NOW], 0, 2..3, too_old);
        let too_new = RejectedEvents { too_new_start: Some(1), ..none };
        check_ages(&[NOW, NOW + 7_200_001, NOW + 7_200_002], 0, 0..1, too_new);
        let both = RejectedEvents { too_old_end: Some(1), expired_end: Some(2), ..none };
        check_ages(&[NOW - 15 * DAY, NOW - 2 * DAY, NOW - DAY], NOW - DAY, 2..3, both);
        let all = RejectedEvents { too_old_end: Some(1), too_new_start: Some(1), ..none };
        check_ages(&[1, NOW + 2 * DAY], 0, 1..1, all);
    }

    fn check_refused(events: &[InputLogEvent], refusal: BatchRefusal) {
        assert_eq!(check_batch(events), Err(refusal));
    }

    #[test]
    fn batches_over_the_limits_of_aws_are_refused() {
        assert_eq!(check_batch(&events(&[NOW, NOW, NOW + DAY])), Ok(()));
        check_refused(&[], BatchRefusal::Empty);
        check_refused(&events(&[NOW, NOW - 1]), BatchRefusal::NotChronological);
        check_refused(&events(&[NOW, NOW + DAY + 1]), BatchRefusal::SpanTooLong);
        check_refused(&events(&[-1]), BatchRefusal::InvalidTimestamp { timestamp_ms: -1 });
        check_refused(
            &events(&[NOW; 10_001]),
            BatchRefusal::TooManyEvents { events: 10_001, max: 10_000 },
        );
        let sized = |bytes: usize| InputLogEvent { timestamp_ms: NOW, message: "m".repeat(bytes) };
        assert_eq!(check_batch(&[sized(1_048_576 - 26)]), Ok(()));
        let max = 1_048_576;
        check_refused(&[sized(max - 25)], BatchRefusal::EventTooLarge { bytes: max + 1, max });
        check_refused(
            &[sized(max / 2), sized(max / 2 - 51)],
            BatchRefusal::TooManyBytes { bytes: max + 1, max },
        );
    }
}
