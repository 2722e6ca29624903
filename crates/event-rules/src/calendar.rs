//! The Gregorian calendar, in UTC and days.
//!
//! Source of the arithmetic: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".

/// Milliseconds of a day.
pub(crate) const DAY_MS: i64 = 86_400_000;
pub(crate) const MINUTE_MS: i64 = 60_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Day {
    pub(crate) year: i64,
    /// 1 to 12.
    pub(crate) month: i64,
    /// 1 to 31.
    pub(crate) day: i64,
}

impl Day {
    /// `days`: since 1970-01-01.
    pub(crate) fn of(days: i64) -> Self {
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self { year, month, day }
    }

    /// Days since 1970-01-01.
    pub(crate) fn days(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let of_era = year.rem_euclid(400);
        let from_march = if self.month > 2 { self.month - 3 } else { self.month + 9 };
        let of_year = (153 * from_march + 2) / 5 + self.day - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
    }

    /// The last day of its month.
    pub(crate) fn month_length(self) -> i64 {
        let (year, month) =
            if self.month == 12 { (self.year + 1, 1) } else { (self.year, self.month + 1) };
        Self { year, month, day: 1 }.days() - Self { day: 1, ..self }.days()
    }

    /// 1 for a Sunday to 7 for a Saturday, as cron lines of AWS count them.
    pub(crate) fn of_week(self) -> i64 {
        (self.days() + 4).rem_euclid(7) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_as_the_calendar_has_them() {
        let check = |days: i64, (year, month, day): (i64, i64, i64), of_week, length| {
            let expected = Day { year, month, day };
            assert_eq!(Day::of(days), expected);
            assert_eq!(expected.days(), days);
            assert_eq!((expected.of_week(), expected.month_length()), (of_week, length), "{days}");
        };
        check(0, (1970, 1, 1), 5, 31);
        check(11_016, (2000, 2, 29), 3, 29);
        check(20_788, (2026, 12, 1), 3, 31);
        check(47_541, (2100, 3, 1), 2, 31);
        assert_eq!(Day { year: 2100, month: 2, day: 1 }.month_length(), 28);
        for days in -1_000..100_000 {
            assert_eq!(Day::of(days).days(), days);
        }
    }
}
