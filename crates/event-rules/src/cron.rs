//! Cron lines as AWS has them: minutes, hours, day of month, month, day of week, year.
//!
//! ```text
//! minutes       0-59               , - * /
//! hours         0-23               , - * /
//! day of month  1-31               , - * ? / L W
//! month         1-12 or JAN-DEC    , - * /
//! day of week   1-7 or SUN-SAT     , - * ? L #
//! year          1970-2199          , - * /
//! ```
//!
//! One of the two days is `?`. Source: EventBridge user guide, "Cron expressions reference".

use crate::calendar::{DAY_MS, Day, MINUTE_MS};

const YEAR_MIN: i64 = 1970;
const YEAR_MAX: i64 = 2199;
const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// A cron line that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Cron {
    minutes: Vec<i64>,
    hours: Vec<i64>,
    months: Vec<i64>,
    years: Vec<i64>,
    days: Days,
}

/// Which days of a month.
#[derive(Clone, Debug, PartialEq)]
enum Days {
    OfMonth(Vec<i64>),
    LastOfMonth,
    LastWeekday,
    /// The weekday that is nearest to it, in the same month.
    NearestWeekday(i64),
    OfWeek(Vec<i64>),
    LastOfWeek(i64),
    /// The day of the week, and which of the month's: 1 to 5.
    NthOfWeek(i64, i64),
}

/// What the numbers of a field are.
struct Field {
    min: i64,
    max: i64,
    names: &'static [&'static str],
}

const DAY_OF_WEEK: Field = Field { min: 1, max: 7, names: &DAYS };
const DAY_OF_MONTH: Field = Field { min: 1, max: 31, names: &[] };

impl Cron {
    /// Reads what is between the brackets.
    pub(crate) fn read(inside: &str) -> Option<Self> {
        let fields: Vec<&str> = inside.split_ascii_whitespace().collect();
        let [minutes, hours, of_month, months, of_week, years] = fields.as_slice() else {
            return None;
        };
        Some(Self {
            minutes: Field { min: 0, max: 59, names: &[] }.read(minutes)?,
            hours: Field { min: 0, max: 23, names: &[] }.read(hours)?,
            months: Field { min: 1, max: 12, names: &MONTHS }.read(months)?,
            years: Field { min: YEAR_MIN, max: YEAR_MAX, names: &[] }.read(years)?,
            days: match (*of_month, *of_week) {
                ("?", "?") => return None,
                ("?", of_week) => days_of_week(of_week)?,
                (of_month, "?") => days_of_month(of_month)?,
                _ => return None,
            },
        })
    }

    /// When it fires next after `after_ms`; `None`: never again.
    pub(crate) fn next_after(&self, after_ms: i64) -> Option<i64> {
        let from = after_ms.div_euclid(MINUTE_MS) + 1;
        let first_day = (from * MINUTE_MS).div_euclid(DAY_MS);
        let mut days = first_day;
        loop {
            let day = Day::of(days);
            if day.year > *self.years.last()? {
                return None;
            }
            if !self.years.contains(&day.year) {
                days = Day { year: day.year + 1, month: 1, day: 1 }.days();
                continue;
            }
            if !self.months.contains(&day.month) {
                days += day.month_length() - day.day + 1;
                continue;
            }
            if self.days.contain(day) {
                let minute = if days == first_day { from - days * (DAY_MS / MINUTE_MS) } else { 0 };
                if let Some(minute) = self.time_from(minute) {
                    return Some(days * DAY_MS + minute * MINUTE_MS);
                }
            }
            days += 1;
        }
    }

    /// The first of its minutes of a day from this one on.
    fn time_from(&self, minute_of_day: i64) -> Option<i64> {
        let times = self.hours.iter().filter(|hour| **hour * 60 + 59 >= minute_of_day);
        times
            .flat_map(|hour| self.minutes.iter().map(move |minute| hour * 60 + minute))
            .find(|time| *time >= minute_of_day)
    }
}

impl Days {
    fn contain(&self, day: Day) -> bool {
        match self {
            Self::OfMonth(days) => days.contains(&day.day),
            Self::LastOfMonth => day.day == day.month_length(),
            Self::LastWeekday => day.day == nearest_weekday(day, day.month_length()),
            Self::NearestWeekday(wanted) => {
                *wanted <= day.month_length() && day.day == nearest_weekday(day, *wanted)
            }
            Self::OfWeek(days) => days.contains(&day.of_week()),
            Self::LastOfWeek(of_week) => {
                day.of_week() == *of_week && day.day + 7 > day.month_length()
            }
            Self::NthOfWeek(of_week, nth) => {
                day.of_week() == *of_week && (day.day - 1) / 7 + 1 == *nth
            }
        }
    }
}

/// The day from Monday to Friday that is nearest to `wanted`, in the month of `of`.
fn nearest_weekday(of: Day, wanted: i64) -> i64 {
    match (Day { day: wanted, ..of }).of_week() {
        1 if wanted == of.month_length() => wanted - 2,
        1 => wanted + 1,
        7 if wanted == 1 => wanted + 2,
        7 => wanted - 1,
        _ => wanted,
    }
}

fn days_of_month(text: &str) -> Option<Days> {
    if text == "L" {
        return Some(Days::LastOfMonth);
    }
    if text == "LW" {
        return Some(Days::LastWeekday);
    }
    match text.strip_suffix('W') {
        Some(day) => DAY_OF_MONTH.one(day).map(Days::NearestWeekday),
        None => DAY_OF_MONTH.read(text).map(Days::OfMonth),
    }
}

fn days_of_week(text: &str) -> Option<Days> {
    if text == "L" {
        return Some(Days::OfWeek(vec![DAY_OF_WEEK.max]));
    }
    if let Some(day) = text.strip_suffix('L') {
        return DAY_OF_WEEK.one(day).map(Days::LastOfWeek);
    }
    let Some((day, nth)) = text.split_once('#') else {
        return DAY_OF_WEEK.read(text).map(Days::OfWeek);
    };
    let nth = Field { min: 1, max: 5, names: &[] }.one(nth)?;
    DAY_OF_WEEK.one(day).map(|day| Days::NthOfWeek(day, nth))
}

impl Field {
    /// A list of numbers, ranges and steps; in order, each once.
    fn read(&self, text: &str) -> Option<Vec<i64>> {
        let mut numbers = Vec::new();
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, Some(number(step)?)),
                None => (part, None),
            };
            let (from, to) = match (range, range.split_once('-')) {
                ("*", _) => (self.min, self.max),
                (_, Some((from, to))) => (self.one(from)?, self.one(to)?),
                // A step from one number goes on to the end.
                (one, None) if step.is_some() => (self.one(one)?, self.max),
                (one, None) => (self.one(one)?, self.one(one)?),
            };
            let span = self.max - self.min + 1;
            // Over the end and on from the beginning: FRI-MON.
            let length = if from <= to { to - from } else { to - from + span };
            let step = step.unwrap_or(1);
            if !(1..=span).contains(&step) || (from > to && self.max == YEAR_MAX) {
                return None;
            }
            let steps = (0..=length).step_by(usize::try_from(step).ok()?);
            numbers.extend(steps.map(|ahead| (from - self.min + ahead) % span + self.min));
        }
        numbers.sort_unstable();
        numbers.dedup();
        Some(numbers)
    }

    fn one(&self, text: &str) -> Option<i64> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let value = match named {
            Some(at) => self.min + i64::try_from(at).ok()?,
            None => number(text)?,
        };
        (self.min..=self.max).contains(&value).then_some(value)
    }
}

/// Digits alone.
fn number(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
