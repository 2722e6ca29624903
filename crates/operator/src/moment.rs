//! Times as people write and read them.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Of this machine's clock, milliseconds since 1970.
pub fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.ok().and_then(|now| i64::try_from(now.as_millis()).ok()).unwrap_or_default()
}

/// An age in its largest unit that is at least 2, or 1 s: `45s`, `3m`, `26h`, `9d`.
pub fn age(ms: i64) -> String {
    let ms = ms.max(0);
    for (unit, name) in [(DAY_MS, "d"), (HOUR_MS, "h"), (MINUTE_MS, "m")] {
        if ms >= 2 * unit {
            return format!("{}{name}", ms / unit);
        }
    }
    format!("{}s", ms / SECOND_MS)
}

/// `2026-01-31 23:59:59`, in UTC.
pub fn clock(ms: i64) -> String {
    match OffsetDateTime::from_unix_timestamp(ms.div_euclid(SECOND_MS)) {
        Ok(at) => format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second()
        ),
        Err(_) => ms.to_string(),
    }
}

/// Since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// So many milliseconds ago.
    Ago(i64),
    /// Milliseconds since 1970.
    At(i64),
}

impl Since {
    /// In milliseconds since 1970.
    pub(crate) fn begin_ms(self, now_ms: i64) -> i64 {
        match self {
            Self::Ago(ms) => now_ms - ms,
            Self::At(ms) => ms,
        }
    }
}

/// How long ago, such as `90s`, `10m`, `2h` or `1d`, or a time of RFC 3339, such as `2026-01-31T23:59:59Z`.
///
/// # Errors
/// Says how it is written.
pub fn parse_since(text: &str) -> Result<Since, String> {
    if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
        let ms = at.unix_timestamp_nanos().div_euclid(1_000_000);
        return i64::try_from(ms).map(Since::At).map_err(|_| format!("{text:?} is no time"));
    }
    let wrong = || {
        format!(
            "{text:?} is no length of time and no time: give a number with s, m, h or d, such as 10m, or one with its zone, such as \
             2026-01-31T23:59:59Z"
        )
    };
    let last = text.chars().next_back().ok_or_else(wrong)?;
    let unit_ms = match last {
        's' => SECOND_MS,
        'm' => MINUTE_MS,
        'h' => HOUR_MS,
        'd' => DAY_MS,
        _ => return Err(wrong()),
    };
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    Ok(Since::Ago(i64::from(number) * unit_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let check = |ms, expected: &str| assert_eq!(age(ms), expected, "{ms}");
        check(-5, "0s");
        check(999, "0s");
        check(119_999, "119s");
        check(120_000, "2m");
        check(2 * HOUR_MS - 1, "119m");
        check(26 * HOUR_MS, "26h");
        check(9 * DAY_MS + 5, "9d");
    }

    #[test]
    fn times_are_of_utc() {
        assert_eq!(clock(0), "1970-01-01 00:00:00");
        assert_eq!(clock(1_700_000_000_999), "2023-11-14 22:13:20");
        assert_eq!(clock(-1), "1969-12-31 23:59:59");
    }

    #[test]
    fn lengths_of_time_are_read() {
        assert_eq!(parse_since("90s"), Ok(Since::Ago(90_000)));
        assert_eq!(parse_since("10m"), Ok(Since::Ago(600_000)));
        assert_eq!(parse_since("1d"), Ok(Since::Ago(86_400_000)));
        for wrong in ["", "m", "10", "-1m", "1w", "1.5h", "é", "2026-01-31", "2026-01-31T10:00:00"]
        {
            assert!(parse_since(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_read_with_their_zone() {
        assert_eq!(parse_since("1970-01-01T00:00:01.5Z"), Ok(Since::At(1_500)));
        assert_eq!(parse_since("2023-11-14T23:13:20+01:00"), Ok(Since::At(1_700_000_000_000)));
        assert_eq!(Since::At(5).begin_ms(9), 5);
        assert_eq!(Since::Ago(5).begin_ms(9), 4);
    }
}
