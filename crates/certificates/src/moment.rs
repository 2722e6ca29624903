//! Times as certificates have them: whole seconds.

use outport_model::TimestampMs;
use time::OffsetDateTime;

/// For the fields of a certificate; times beyond the calendar become its end.
pub(crate) fn date_time(at_ms: TimestampMs) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at_ms.div_euclid(1000))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// `2026-11-28 16:14:52 UTC`, for people.
pub fn spoken(at_ms: TimestampMs) -> String {
    let at = date_time(at_ms);
    let (date, (hour, minute, second)) = (at.date(), at.to_hms());
    format!("{date} {hour:02}:{minute:02}:{second:02} UTC")
}
