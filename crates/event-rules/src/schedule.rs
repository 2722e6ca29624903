//! Schedule expressions: `rate(5 minutes)` and `cron(0 3 * * ? *)`, in UTC, to the minute.
//!
//! Source: EventBridge user guide, "Setting a schedule pattern for scheduled rules". That a rate fires first when one period is over is a
//! guess: the guide says that it starts when the rule is created.

use crate::calendar::MINUTE_MS;
use crate::cron::Cron;

/// The longest period, in its unit. AWS names no limit.
const RATE_MAX: i64 = 1_000_000;

/// A schedule that was read.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    Rate { period_ms: i64 },
    Cron(Box<Cron>),
}

impl Schedule {
    /// `None`: it is none, or of a form that AWS does not take. Whether it ever fires is for [`Schedule::next_after`] to say.
    pub fn read(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once('(')?;
        let inside = rest.strip_suffix(')')?;
        match kind {
            "rate" => rate(inside).map(|period_ms| Self::Rate { period_ms }),
            "cron" => Cron::read(inside).map(|cron| Self::Cron(Box::new(cron))),
            _ => None,
        }
    }

    /// Whether a rule that is to fire at `due_at_ms` would wait too long: a clock has gone back since that was said.
    pub fn is_too_late(&self, due_at_ms: i64, now_ms: i64) -> bool {
        self.next_after(now_ms, now_ms).is_some_and(|next_ms| due_at_ms > next_ms)
    }

    /// When it fires next after `after_ms`, a rate counted from `since_ms`, when the rule was made or enabled; milliseconds since 1970.
    /// `None`: never again.
    pub fn next_after(&self, after_ms: i64, since_ms: i64) -> Option<i64> {
        match self {
            Self::Rate { period_ms } => {
                let periods = (after_ms - since_ms).max(0) / period_ms + 1;
                periods.checked_mul(*period_ms)?.checked_add(since_ms)
            }
            Self::Cron(cron) => cron.next_after(after_ms),
        }
    }
}

fn rate(inside: &str) -> Option<i64> {
    let mut words = inside.split_ascii_whitespace();
    let (value, unit) = (words.next()?, words.next()?);
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let value =
        value.parse::<i64>().ok().filter(|value| digits && (1..=RATE_MAX).contains(value))?;
    let unit_ms = match (unit, value) {
        ("minute", 1) | ("minutes", 2..) => MINUTE_MS,
        ("hour", 1) | ("hours", 2..) => 60 * MINUTE_MS,
        ("day", 1) | ("days", 2..) => 24 * 60 * MINUTE_MS,
        _ => return None,
    };
    words.next().is_none().then_some(value * unit_ms)
}

#[cfg(test)]
#[path = "schedule_test.rs"]
mod tests;
