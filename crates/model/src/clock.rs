//! Time as decisions see it: the wall clock for what is written down and shown, a steady clock for what
//! has elapsed.
//!
//! ```text
//! Reading    both clocks at one moment, as whoever has clocks hands them in
//! StepWatch  compares readings: the wall clock steps when it moves otherwise than the steady one
//! Now        the moment of a decision: how old a stamp of a row is, whatever the wall clock did
//! ```
//!
//! Rows keep wall time: they outlive the process and the boot, and users read them. How old a stamp is
//! cannot be told by subtraction alone, though: after a step forward of a year every stamp would look a
//! year old and everything kept would be forgotten at once; after a step back nothing would grow old
//! for a year.
//!
//! **Invariant:** a step of the wall clock makes nothing older. It gives every stamp from before a
//! fresh allowance: it is as old as the step, at most, and begins to age again at once.

use crate::TimestampMs;

/// Milliseconds since some moment that stays the same while the machine is up. They never step, and
/// count while the machine sleeps (`CLOCK_BOOTTIME`).
pub type SteadyMs = i64;

/// The wall clock steps when it moved this much more or less than the steady one between two readings.
/// Slewing, as NTP does it, stays far below: 500 ppm are 30 ms a minute.
pub const STEP_MS_MIN: i64 = 10_000;

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    pub wall_ms: TimestampMs,
    pub steady_ms: SteadyMs,
}

/// Notices steps of the wall clock. It is shown a reading for each [`Now`], and at least every few
/// seconds by the controllers.
#[derive(Clone, Debug)]
pub struct StepWatch {
    last: Reading,
    /// When the wall clock was first believed: the first reading, or the last step.
    believed_from_ms: SteadyMs,
    has_stepped: bool,
}

impl StepWatch {
    pub fn new(first: Reading) -> Self {
        Self { last: first, believed_from_ms: first.steady_ms, has_stepped: false }
    }

    /// Takes a reading in.
    pub fn look(&mut self, reading: Reading) -> Now {
        // Two threads may come in another order than they read the clocks.
        let reading = Reading { steady_ms: reading.steady_ms.max(self.last.steady_ms), ..reading };
        let wall_moved_ms = reading.wall_ms.saturating_sub(self.last.wall_ms);
        let elapsed_ms = reading.steady_ms - self.last.steady_ms;
        if wall_moved_ms.saturating_sub(elapsed_ms).saturating_abs() >= STEP_MS_MIN {
            self.believed_from_ms = reading.steady_ms;
            self.has_stepped = true;
        }
        self.last = reading;
        Now {
            wall_ms: reading.wall_ms,
            steady_ms: reading.steady_ms,
            believed_for_ms: reading.steady_ms - self.believed_from_ms,
            has_stepped: self.has_stepped,
        }
    }
}

/// The moment of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    pub wall_ms: TimestampMs,
    pub steady_ms: SteadyMs,
    /// How long the wall clock has gone without a step, as far as this process has seen it.
    believed_for_ms: i64,
    has_stepped: bool,
}

/// Which stamps are of something that is over: those until `until_ms` and, left by a clock that went
/// back since, those beyond `beyond_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    pub until_ms: TimestampMs,
    pub beyond_ms: TimestampMs,
}

impl Now {
    /// A moment on a wall clock that has never stepped, for tests.
    pub fn steady_at(wall_ms: TimestampMs) -> Self {
        Self { wall_ms, steady_ms: wall_ms, believed_for_ms: wall_ms, has_stepped: false }
    }

    /// How long ago the wall clock said `stamp_ms`, in milliseconds; never negative.
    ///
    /// A stamp of the future was made before the clock went back; it is as old as the step, or as this
    /// process when that happened before it began.
    pub fn age_ms(&self, stamp_ms: TimestampMs) -> i64 {
        let by_wall_ms = self.wall_ms.saturating_sub(stamp_ms);
        if by_wall_ms < -STEP_MS_MIN {
            self.believed_for_ms
        } else if self.has_stepped {
            by_wall_ms.min(self.believed_for_ms).max(0)
        } else {
            by_wall_ms.max(0)
        }
    }

    /// Whether something that lasts `life_ms` from `stamp_ms` on is over.
    pub fn is_over(&self, stamp_ms: TimestampMs, life_ms: i64) -> bool {
        self.age_ms(stamp_ms) >= life_ms
    }

    /// The stamps for which [`Self::is_over`] is true, for searches in what is sorted by them.
    /// `life_ms` is above 0.
    pub fn over(&self, life_ms: i64) -> Over {
        let long_enough = self.believed_for_ms >= life_ms;
        let until_ms = if self.has_stepped && !long_enough {
            TimestampMs::MIN
        } else {
            self.wall_ms.saturating_sub(life_ms)
        };
        let beyond_ms =
            if long_enough { self.wall_ms.saturating_add(STEP_MS_MIN) } else { TimestampMs::MAX };
        Over { until_ms, beyond_ms }
    }

    /// When, on the wall clock as it goes now, something that lasts `life_ms` from `stamp_ms` on will be
    /// over.
    pub fn over_at_ms(&self, stamp_ms: TimestampMs, life_ms: i64) -> TimestampMs {
        self.wall_ms.saturating_add(life_ms.saturating_sub(self.age_ms(stamp_ms)))
    }
}

impl Over {
    pub fn contains(&self, stamp_ms: TimestampMs) -> bool {
        stamp_ms <= self.until_ms || stamp_ms > self.beyond_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: i64 = 60_000;
    const HOUR_MS: i64 = 60 * MINUTE_MS;
    const YEAR_MS: i64 = 365 * 24 * HOUR_MS;
    const START_MS: i64 = 1_700_000_000_000;

    /// A day without a step, then one of `step_ms`, then `after_ms`; how old a stamp is that was made
    /// an hour before the step.
    #[track_caller]
    fn check(step_ms: i64, after_ms: i64, expected_age_ms: i64) {
        let at = |elapsed_ms: i64, stepped_ms: i64| Reading {
            wall_ms: START_MS + elapsed_ms + stepped_ms,
            steady_ms: 5 + elapsed_ms,
        };
        let day_ms = 24 * HOUR_MS;
        let mut watch = StepWatch::new(at(0, 0));
        watch.look(at(day_ms, 0));
        watch.look(at(day_ms, step_ms));
        let now = watch.look(at(day_ms + after_ms, step_ms));
        let stamp_ms = START_MS + day_ms - HOUR_MS;
        assert_eq!(now.age_ms(stamp_ms), expected_age_ms);
        for life_ms in [1, MINUTE_MS, HOUR_MS, 30 * HOUR_MS, 2 * YEAR_MS] {
            let is_over = now.is_over(stamp_ms, life_ms);
            assert_eq!(now.over(life_ms).contains(stamp_ms), is_over, "a life of {life_ms}");
        }
    }

    #[test]
    fn without_a_step_the_wall_clock_tells_the_age() {
        check(0, 0, HOUR_MS);
        check(0, MINUTE_MS, HOUR_MS + MINUTE_MS);
        check(STEP_MS_MIN - 1, 0, HOUR_MS + STEP_MS_MIN - 1);
    }

    #[test]
    fn a_step_makes_nothing_older_and_stops_no_ageing() {
        for step_ms in [HOUR_MS, YEAR_MS, -2 * HOUR_MS, -YEAR_MS] {
            check(step_ms, 0, 0);
            check(step_ms, MINUTE_MS, MINUTE_MS);
        }
        check(HOUR_MS, 3 * HOUR_MS, 3 * HOUR_MS);
        check(-YEAR_MS, 3 * HOUR_MS, 3 * HOUR_MS);
    }

    #[test]
    fn a_stamp_of_a_clock_that_went_back_before_the_start_is_as_old_as_the_process() {
        let mut watch = StepWatch::new(Reading { wall_ms: START_MS, steady_ms: 0 });
        let later = Reading { wall_ms: START_MS + HOUR_MS, steady_ms: HOUR_MS };
        assert_eq!(watch.look(later).age_ms(START_MS + YEAR_MS), HOUR_MS);
    }

    #[test]
    fn a_stamp_that_is_a_little_ahead_is_new() {
        let mut watch = StepWatch::new(Reading { wall_ms: START_MS, steady_ms: 0 });
        let now = watch.look(Reading { wall_ms: START_MS + YEAR_MS, steady_ms: YEAR_MS });
        assert_eq!(now.age_ms(now.wall_ms + 3), 0);
        assert!(!now.over(1).contains(now.wall_ms + 3));
    }
}
