//! Points in time as AWS's APIs hold them: milliseconds since 1970, UTC.

use std::fmt;

use crate::schema::TimestampFormat;

const MS_PER_SECOND: i64 = 1000;
const SECONDS_PER_DAY: i64 = 86_400;
/// Year 9999: no API accepts or prints a later one.
const LATEST_MS: i64 = 253_402_300_799_999;
/// Year 1.
const EARLIEST_MS: i64 = -62_135_596_800_000;

const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A point in time with the precision that AWS keeps, one millisecond. Years 1 to 9999.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    millisecond: i64,
    weekday: i64,
}

impl Timestamp {
    /// From milliseconds since 1970; values out of range become the first or last instant that can be written.
    pub const fn from_millis(ms: i64) -> Self {
        if ms > LATEST_MS {
            Self(LATEST_MS)
        } else if ms < EARLIEST_MS {
            Self(EARLIEST_MS)
        } else {
            Self(ms)
        }
    }

    /// Milliseconds since 1970.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// From seconds since 1970, rounded to milliseconds. `None` when not finite or out of range.
    pub fn from_epoch_seconds(seconds: f64) -> Option<Self> {
        let ms = (seconds * MS_PER_SECOND as f64).round();
        let in_range = ms >= EARLIEST_MS as f64 && ms <= LATEST_MS as f64;
        in_range.then_some(Self(ms as i64))
    }

    /// Seconds since 1970. Exact to the millisecond for every year that can be written.
    pub fn epoch_seconds(self) -> f64 {
        self.0 as f64 / MS_PER_SECOND as f64
    }

    /// Reads ISO 8601 (`2026-01-02T03:04:05[.678](Z|+01:00)`), an HTTP date, or epoch seconds in digits.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        parse_iso(text).or_else(|| parse_http_date(text)).or_else(|| {
            let seconds: f64 = text.parse().ok()?;
            Self::from_epoch_seconds(seconds)
        })
    }

    pub fn format(self, format: TimestampFormat) -> String {
        match format {
            TimestampFormat::EpochSeconds => {
                let mut text = String::new();
                // Writing into a text does not fail.
                let _ = self.write_epoch(&mut text);
                text
            }
            TimestampFormat::Iso8601 => self.to_string(),
            TimestampFormat::HttpDate => {
                let civil = self.civil();
                format!(
                    "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
                    WEEKDAYS[civil.weekday as usize],
                    civil.day,
                    MONTHS[(civil.month - 1) as usize],
                    civil.year,
                    civil.hour,
                    civil.minute,
                    civil.second
                )
            }
        }
    }

    /// Seconds with as many decimals as needed, at most three; never in exponent form.
    ///
    /// # Errors
    /// Those of `out`.
    pub(crate) fn write_epoch(self, out: &mut impl fmt::Write) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (seconds, ms) = (self.0.abs() / MS_PER_SECOND, self.0.abs() % MS_PER_SECOND);
        write!(out, "{sign}{seconds}")?;
        match ms {
            0 => Ok(()),
            _ if ms % 100 == 0 => write!(out, ".{}", ms / 100),
            _ if ms % 10 == 0 => write!(out, ".{:02}", ms / 10),
            _ => write!(out, ".{ms:03}"),
        }
    }

    /// Days to civil date: Howard Hinnant's `civil_from_days`, public domain.
    fn civil(self) -> Civil {
        let (seconds, millisecond) =
            (self.0.div_euclid(MS_PER_SECOND), self.0.rem_euclid(MS_PER_SECOND));
        let (days, rest) =
            (seconds.div_euclid(SECONDS_PER_DAY), seconds.rem_euclid(SECONDS_PER_DAY));
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        Civil {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * shifted_month + 2) / 5 + 1,
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: rest % 60,
            millisecond,
            weekday: days.rem_euclid(7),
        }
    }
}

/// ISO 8601 in UTC, with milliseconds only when there are some.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.civil();
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            at.year, at.month, at.day, at.hour, at.minute, at.second
        )?;
        if at.millisecond != 0 {
            write!(f, ".{:03}", at.millisecond)?;
        }
        f.write_str("Z")
    }
}

fn parse_iso(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.split_at_checked(10)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    if rest.is_empty() {
        return instant(year, month, day, [0, 0, 0], 0, 0);
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let clock = numbers(clock, ':', [2, 2, 2])?;
    let (millisecond, zone) = match rest.strip_prefix('.') {
        None => (0, rest),
        Some(fraction) => {
            let end = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
            (fraction_ms(&fraction[..end])?, &fraction[end..])
        }
    };
    instant(year, month, day, clock, millisecond, zone_offset_s(zone)?)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, also with a fraction of a second.
fn parse_http_date(text: &str) -> Option<Timestamp> {
    let (_, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let day = number(words.next()?)?;
    let month_name = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month_name)? as i64 + 1;
    let year = number(words.next()?)?;
    let (clock, millisecond) = match words.next()?.split_once('.') {
        None => (rest.split(' ').nth(3)?, 0),
        Some((clock, fraction)) => (clock, fraction_ms(fraction)?),
    };
    let clock = numbers(clock, ':', [2, 2, 2])?;
    (words.next() == Some("GMT")).then_some(())?;
    instant(year, month, day, clock, millisecond, 0)
}

fn instant(
    year: i64,
    month: i64,
    day: i64,
    [hour, minute, second]: [i64; 3],
    millisecond: i64,
    offset_s: i64,
) -> Option<Timestamp> {
    let valid = (1..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && (0..=23).contains(&hour)
        && (0..=59).contains(&minute)
        && (0..=60).contains(&second);
    if !valid {
        return None;
    }
    let seconds =
        days_from_civil(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second
            - offset_s;
    let ms = seconds * MS_PER_SECOND + millisecond;
    (EARLIEST_MS..=LATEST_MS).contains(&ms).then_some(Timestamp(ms))
}

/// `Z`, nothing (UTC), `+01:00`, `-0530`.
fn zone_offset_s(zone: &str) -> Option<i64> {
    if matches!(zone, "" | "Z" | "z") {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits: String = zone[1..].chars().filter(|c| *c != ':').collect();
    if digits.len() != 4 {
        return None;
    }
    let (hours, minutes) = (number(&digits[..2])?, number(&digits[2..])?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

fn fraction_ms(digits: &str) -> Option<i64> {
    if digits.is_empty() {
        return None;
    }
    let padded: String = digits.chars().chain("000".chars()).take(3).collect();
    number(&padded)
}

fn numbers(text: &str, separator: char, widths: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(separator);
    let mut values = [0; 3];
    for (value, width) in values.iter_mut().zip(widths) {
        let part = parts.next().filter(|part| part.len() == width)?;
        *value = number(part)?;
    }
    parts.next().is_none().then_some(values)
}

fn number(digits: &str) -> Option<i64> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits { digits.parse().ok() } else { None }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Howard Hinnant's `days_from_civil`, public domain.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, ms: i64, iso: &str, epoch: &str) {
        let at = Timestamp::parse(text).unwrap_or_else(|| panic!("{text} does not parse"));
        assert_eq!(at.as_millis(), ms, "{text}");
        assert_eq!(at.to_string(), iso, "{text}");
        assert_eq!(at.format(TimestampFormat::EpochSeconds), epoch, "{text}");
        assert_eq!(Timestamp::parse(&at.to_string()), Some(at));
        assert_eq!(Timestamp::from_epoch_seconds(at.epoch_seconds()), Some(at));
    }

    #[test]
    fn every_form_is_read_and_written() {
        check("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z", "0");
        check(
            "2026-01-02T03:04:05.678Z",
            1_767_323_045_678,
            "2026-01-02T03:04:05.678Z",
            "1767323045.678",
        );
        check(
            "2000-02-29T23:59:59.5+01:00",
            951_865_199_500,
            "2000-02-29T22:59:59.500Z",
            "951865199.5",
        );
        check(
            "Tue, 29 Apr 2014 18:30:38 GMT",
            1_398_796_238_000,
            "2014-04-29T18:30:38Z",
            "1398796238",
        );
        check(
            "Sun, 02 Jan 2000 20:34:56.000 GMT",
            946_845_296_000,
            "2000-01-02T20:34:56Z",
            "946845296",
        );
        check("1398796238.5", 1_398_796_238_500, "2014-04-29T18:30:38.500Z", "1398796238.5");
        check("1969-12-31T23:59:59.9Z", -100, "1969-12-31T23:59:59.900Z", "-0.1");
    }

    #[test]
    fn an_http_date_is_written() {
        let at = Timestamp::from_millis(1_398_796_238_000);
        assert_eq!(at.format(TimestampFormat::HttpDate), "Tue, 29 Apr 2014 18:30:38 GMT");
    }

    #[test]
    fn nonsense_is_refused() {
        let long = "9".repeat(400);
        for text in [
            "",
            "NaN",
            "inf",
            "2026-13-01T00:00:00Z",
            "2026-02-30T00:00:00Z",
            "2026-01-01T25:00:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+99:99",
            "é026-01-01T00:00:00Z",
            &long,
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }
}
