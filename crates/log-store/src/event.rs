//! Log events, and where each stands in the order of all events.

use std::fmt;

use outport_model::TimestampMs;

use crate::limits::EVENT_OVERHEAD_BYTES;
use crate::names::LogStreamName;

/// The number of a stream in this store; never given twice.
pub(crate) type StreamNumber = i64;

/// The latest time that an event may have: 15 decimal digits, the year 33658.
pub(crate) const TIMESTAMP_MS_MAX: TimestampMs = 999_999_999_999_999;

/// The place of an event in the order in which events are answered: time first, then the order in
/// which they came in. No two events of a store have the same `sequence`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EventKey {
    pub timestamp_ms: TimestampMs,
    pub sequence: u64,
}

impl EventKey {
    pub const FIRST: Self = Self { timestamp_ms: 0, sequence: 0 };
    pub const LAST: Self = Self { timestamp_ms: TIMESTAMP_MS_MAX, sequence: u64::MAX };

    /// The first place at `timestamp_ms`.
    pub fn at(timestamp_ms: TimestampMs) -> Self {
        Self { timestamp_ms: timestamp_ms.clamp(0, TIMESTAMP_MS_MAX), sequence: 0 }
    }

    /// The place right after this one.
    pub fn next(self) -> Self {
        match self.sequence.checked_add(1) {
            Some(sequence) => Self { sequence, ..self },
            None => Self { timestamp_ms: self.timestamp_ms + 1, sequence: 0 },
        }
    }
}

/// An event as a caller of `PutLogEvents` gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputLogEvent {
    pub timestamp_ms: TimestampMs,
    pub message: String,
}

/// An event as a node ships it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeLogEvent {
    pub timestamp_ms: TimestampMs,
    pub message: String,
    /// The cursor of the source right after this event. Rises from event to event.
    pub end_cursor: u64,
}

/// An event as it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEvent {
    pub event_id: EventId,
    pub timestamp_ms: TimestampMs,
    pub ingestion_ms: TimestampMs,
    pub message: String,
}

/// An event as `FilterLogEvents` answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilteredLogEvent {
    pub stream: LogStreamName,
    pub event: LogEvent,
}

/// The name of one event for ever: 56 decimal digits, like those of AWS. Sorts as events do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    pub(crate) key: EventKey,
    pub(crate) stream: StreamNumber,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Digits(self.key, self.stream))
    }
}

/// 56 digits for a place in a stream: a 3 (ids and tokens of AWS start so), 15 for the time, 20
/// for the sequence, 20 for the stream.
pub(crate) struct Digits(pub EventKey, pub StreamNumber);

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "3{:015}{:020}{:020}", self.0.timestamp_ms, self.0.sequence, self.1)
    }
}

impl Digits {
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('3')?;
        if digits.len() != 55 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let timestamp_ms = digits[..15].parse().ok()?;
        let sequence = digits[15..35].parse().ok()?;
        Some(Self(EventKey { timestamp_ms, sequence }, digits[35..].parse().ok()?))
    }
}

/// What AWS counts for an event: its UTF-8 bytes and 26 more.
pub(crate) fn counted_bytes(message: &str) -> usize {
    message.len() + EVENT_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_id_has_56_digits_that_read_back_and_sort() {
        let ids: Vec<String> = [(0, 0, 1), (0, 7, 2), (1_700_000_000_000, 3, 1)]
            .map(|(timestamp_ms, sequence, stream)| {
                let id = EventId { key: EventKey { timestamp_ms, sequence }, stream };
                let text = id.to_string();
                let Digits(key, number) = Digits::parse(&text).unwrap();
                assert_eq!((key, number), (id.key, id.stream));
                text
            })
            .to_vec();
        assert!(ids.iter().all(|id| id.len() == 56) && ids.is_sorted());
    }

    #[test]
    fn other_digits_are_refused() {
        for text in ["", "3", &"3".repeat(57), &"4".repeat(56), &format!("3{}x", "1".repeat(54))] {
            assert!(Digits::parse(text).is_none(), "{text}");
        }
        assert!(
            Digits::parse(&EventId { key: EventKey::LAST, stream: i64::MAX }.to_string()).is_some()
        );
    }
}
