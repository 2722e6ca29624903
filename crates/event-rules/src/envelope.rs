//! The whole of an event, as EventBridge hands it on.
//!
//! Source: EventBridge user guide, "AWS service event metadata".

use serde_json::{Value, json};

use crate::calendar::{DAY_MS, Day};

/// What an event says beside its detail.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    pub id: &'a str,
    pub detail_type: &'a str,
    pub source: &'a str,
    pub account: &'a str,
    pub region: &'a str,
    /// Milliseconds since 1970.
    pub time_ms: i64,
    pub resources: &'a [String],
}

impl Envelope<'_> {
    pub fn with(self, detail: Value) -> Value {
        json!({
            "version": "0",
            "id": self.id,
            "detail-type": self.detail_type,
            "source": self.source,
            "account": self.account,
            "time": time_text(self.time_ms),
            "region": self.region,
            "resources": self.resources,
            "detail": detail,
        })
    }
}

/// `2026-12-01T14:00:00Z`, of milliseconds since 1970.
pub fn time_text(time_ms: i64) -> String {
    let Day { year, month, day } = Day::of(time_ms.div_euclid(DAY_MS));
    let seconds = time_ms.rem_euclid(DAY_MS) / 1_000;
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The same with milliseconds, as ECS writes times within its events.
pub fn precise_time_text(time_ms: i64) -> String {
    let whole = time_text(time_ms);
    format!("{}.{:03}Z", whole.trim_end_matches('Z'), time_ms.rem_euclid(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_in_utc() {
        assert_eq!(time_text(0), "1970-01-01T00:00:00Z");
        assert_eq!(time_text(1_796_133_599_999), "2026-12-01T13:59:59Z");
        assert_eq!(precise_time_text(1_796_133_599_009), "2026-12-01T13:59:59.009Z");
    }
}
