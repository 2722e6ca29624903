//! Arguments that are more than text: versions and dates.

use outport_model::TimestampMs;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// The numbers of a version, as `1.14.5`; what is behind them, as `-rc1`, does not count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(Vec<u64>);

impl Version {
    /// `None` for a text that does not begin with a number.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let numbers = text[..end].split('.').map(|number| number.parse().ok());
        let mut numbers = numbers.collect::<Option<Vec<u64>>>()?;
        // 1.0 is 1.
        while numbers.len() > 1 && numbers.last() == Some(&0) {
            numbers.pop();
        }
        Some(Self(numbers))
    }
}

/// `2018-06-18`, with or without `T22:28:28`, with or without `Z` or `+00:00` behind that.
pub(super) fn date_ms(text: &str) -> Option<TimestampMs> {
    let (date, time) = text.split_once('T').unwrap_or((text, ""));
    let [year, month, day] = numbers(date, '-')?;
    let days = days_from_civil(year, month, day)?;
    let (time, offset) = match time.find(['Z', '+', '-']) {
        Some(at) => (&time[..at], &time[at..]),
        None => (time, ""),
    };
    let seconds = match (time, text.contains('T')) {
        ("", false) => 0,
        _ => {
            let [hours, minutes, seconds] = numbers(time, ':')?;
            let is_time = hours < 24 && minutes < 60 && seconds < 60;
            is_time.then_some(hours * 3_600 + minutes * 60 + seconds)?
        }
    };
    Some(days * DAY_MS + (seconds - offset_s(offset)?) * 1_000)
}

fn offset_s(text: &str) -> Option<i64> {
    let sign = match text.get(..1) {
        None => return Some(0),
        Some("Z") => return (text.len() == 1).then_some(0),
        Some("-") => -1,
        Some(_) => 1,
    };
    let [hours, minutes] = numbers(&text[1..], ':')?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

/// So many numbers of digits alone, of at most four.
fn numbers<const COUNT: usize>(text: &str, between: char) -> Option<[i64; COUNT]> {
    let is_number =
        |part: &str| matches!(part.len(), 2..=4) && part.bytes().all(|b| b.is_ascii_digit());
    let parts = text.split(between).map(|part| is_number(part).then(|| part.parse().ok())?);
    parts.collect::<Option<Vec<i64>>>()?.try_into().ok()
}

/// Days since 1970-01-01, of a day that there is.
fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(is_leap),
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=last).contains(&day) {
        return None;
    }
    // Years that begin in March: the leap day is their last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days_of_year = (153 * month + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Some(year * 365 + leap_days + days_of_year - 719_468)
}
