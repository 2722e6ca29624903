//! Dates as conditions write them: ISO 8601 in the forms of W3C, or seconds since 1970. In unix milliseconds.

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Years that IAM takes. Source: the years that a Java `long` of milliseconds reaches, which moto's tests of IAM found.
const YEARS: std::ops::RangeInclusive<i64> = -292_275_054..=292_278_993;

/// `2026-01-02T03:04:05.678Z`, in parts of it too, or `1767323045`. `None` for anything else. A time without zone is UTC.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let text = text.to_ascii_lowercase();
    if !text.contains('t') && !text.contains('-') {
        let seconds: i64 = digits(&text)?;
        return Some(seconds.saturating_mul(1000));
    }
    let (date, time) = text.split_once('t').unwrap_or((&text, ""));
    let days = parse_days(date)?;
    let in_day_ms = if time.is_empty() { 0 } else { parse_time(time)? };
    Some(days.saturating_mul(DAY_MS).saturating_add(in_day_ms))
}

/// `2026-01-02T03:04:05Z`, as a condition key of type Date is in a text.
pub(crate) fn iso(milliseconds: i64) -> String {
    let (days, in_day) = (milliseconds.div_euclid(DAY_MS), milliseconds.rem_euclid(DAY_MS) / 1000);
    let (year, month, day) = date_of(days);
    let (hours, minutes, seconds) = (in_day / 3600, in_day / 60 % 60, in_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}Z")
}

/// Days since 1970 of `2026-01-02`, `2026-01` or `2026`.
fn parse_days(date: &str) -> Option<i64> {
    let (sign, date) = match date.strip_prefix('-') {
        Some(date) => (-1, date),
        None => (1, date),
    };
    let mut parts = date.split('-');
    let year = sign * digits::<i64>(parts.next()?)?;
    let month = parts.next().map_or(Some(1), digits)?;
    let day = parts.next().map_or(Some(1), digits)?;
    let is_date = YEARS.contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    (is_date && parts.next().is_none()).then(|| days_of(year, month, day))
}

/// Milliseconds of `03:04:05.678+01:00`, `03:04:05Z`, `03:04` or `03`.
fn parse_time(time: &str) -> Option<i64> {
    let (time, offset_minutes) = match time.find(['z', '+', '-']) {
        None => (time, 0),
        Some(at) if time[at..].starts_with('z') => {
            (time.strip_suffix('z').filter(|time| time.len() == at)?, 0)
        }
        Some(at) => {
            let sign = if time[at..].starts_with('+') { 1 } else { -1 };
            (&time[..at], sign * parse_offset(&time[at + 1..])?)
        }
    };
    let mut parts = time.split(':');
    let hours: i64 = digits(parts.next()?)?;
    let minutes: i64 = parts.next().map_or(Some(0), digits)?;
    let milliseconds = parts.next().map_or(Some(0), parse_seconds)?;
    if hours > 23 || minutes > 59 || parts.next().is_some() {
        return None;
    }
    Some((hours * 60 + minutes - offset_minutes) * 60_000 + milliseconds)
}

/// Minutes of `01:00` or `01`.
fn parse_offset(offset: &str) -> Option<i64> {
    let (hours, minutes) = offset.split_once(':').unwrap_or((offset, "00"));
    let (hours_number, minutes_number): (i64, i64) = (digits(hours)?, digits(minutes)?);
    let is_offset =
        hours.len() == 2 && minutes.len() == 2 && hours_number <= 23 && minutes_number <= 59;
    is_offset.then_some(hours_number * 60 + minutes_number)
}

/// Milliseconds of `05.678`, with up to nine digits.
fn parse_seconds(seconds: &str) -> Option<i64> {
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let whole: i64 = digits(whole)?;
    digits::<i64>(fraction).filter(|_| fraction.len() <= 9)?;
    let milliseconds: i64 = digits(&format!("{fraction:0<3}")[..3])?;
    (whole <= 59).then_some(whole * 1000 + milliseconds)
}

/// A number of digits only.
fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// Days since 1970 of a date of the Gregorian calendar, by eras of 400 years that begin in March.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Its inverse.
fn date_of(days: i64) -> (i64, i64, i64) {
    let (era, day_of_era) =
        ((days + 719_468).div_euclid(146_097), (days + 719_468).rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_of_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_of_march + 2) / 5 + 1;
    let month = if month_of_march < 10 { month_of_march + 3 } else { month_of_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(parse(text).map(iso).as_deref(), expected, "{text}");
    }

    #[test]
    fn forms_of_a_date() {
        check("2026-01-02T03:04:05Z", Some("2026-01-02T03:04:05Z"));
        check("2026-01-02t03:04:05z", Some("2026-01-02T03:04:05Z"));
        check("2026-01-02T03:04:05.678+01:30", Some("2026-01-02T01:34:05Z"));
        check("2026-01-02T23:04-01:00", Some("2026-01-03T00:04:00Z"));
        check("2024-02-29", Some("2024-02-29T00:00:00Z"));
        check("2026-05", Some("2026-05-01T00:00:00Z"));
        check("1767323045", Some("2026-01-02T03:04:05Z"));
        check("0", Some("1970-01-01T00:00:00Z"));
        check("1969-12-31T23:59:59Z", Some("1969-12-31T23:59:59Z"));
        check("01T", Some("0001-01-01T00:00:00Z"));
    }

    #[test]
    fn what_is_no_date() {
        for text in [
            "",
            "t",
            "-",
            "b",
            "sdfdsf",
            "234-13",
            "2026-02-00",
            "2026-1-1-1",
            "1.5",
            "+5",
            "2016-12-13t2:00:00.593194+1",
            "2016-12-13t2:00:00.1999999999+10:59",
            "2026-01-02T24:00",
            "2026-01-02T03:60",
            "2026-01-02T03:04:60",
            "2026-01-02T03:04:05Zx",
            "2026-01-02T03:04:05.Z",
            "9223372036854775808",
            "292278994-01-01",
            "2026-01-02T+01:00",
        ] {
            check(text, None);
        }
    }

    /// Far dates are as far as a number reaches, not around the corner.
    #[test]
    fn far_dates_do_not_wrap() {
        assert_eq!(parse("9223372036854775807"), Some(i64::MAX));
        assert!(parse("292278993-12-31").unwrap() > parse("2026-01-01").unwrap());
        assert!(parse("-292275054-01-01").unwrap() < parse("1970-01-01").unwrap());
    }
}
