//! The two ways in which a signed request writes its time.

/// A time of a signed request in whole seconds, with the text that the string to sign carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AmzTimestamp {
    unix_seconds: i64,
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl AmzTimestamp {
    /// From unix time in milliseconds; the fraction is dropped.
    pub fn from_unix_ms(unix_ms: i64) -> Self {
        AmzTimestamp { unix_seconds: unix_ms.div_euclid(1000) }
    }

    /// Unix time in milliseconds.
    pub fn unix_ms(self) -> i64 {
        self.unix_seconds * 1000
    }

    /// Reads ISO-8601 basic format, `20150830T123600Z`.
    pub fn parse_basic(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
            return None;
        }
        Self::from_civil(
            number(&bytes[0..4])?,
            number(&bytes[4..6])?,
            number(&bytes[6..8])?,
            [number(&bytes[9..11])?, number(&bytes[11..13])?, number(&bytes[13..15])?],
        )
    }

    /// Reads an HTTP date in its one current form, `Sun, 30 Aug 2015 12:36:00 GMT` (RFC 9110).
    pub fn parse_http(text: &str) -> Option<Self> {
        let (_, rest) = text.split_once(", ")?;
        let bytes = rest.as_bytes();
        if bytes.len() != 24 || !rest.is_ascii() || !rest.ends_with(" GMT") {
            return None;
        }
        let separators = [(2, b' '), (6, b' '), (11, b' '), (14, b':'), (17, b':')];
        if separators.iter().any(|(at, expected)| bytes[*at] != *expected) {
            return None;
        }
        let month = MONTHS.iter().position(|month| month.as_bytes() == &bytes[3..6])?;
        Self::from_civil(
            number(&bytes[7..11])?,
            i64::try_from(month).ok()? + 1,
            number(&bytes[0..2])?,
            [number(&bytes[12..14])?, number(&bytes[15..17])?, number(&bytes[18..20])?],
        )
    }

    /// `20150830T123600Z`.
    pub fn basic(self) -> String {
        let (year, month, day) = civil_from_days(self.unix_seconds.div_euclid(86_400));
        let second_of_day = self.unix_seconds.rem_euclid(86_400);
        format!(
            "{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z",
            second_of_day / 3600,
            second_of_day / 60 % 60,
            second_of_day % 60
        )
    }

    /// `20150830`: the date of the credential scope.
    pub fn date(self) -> String {
        let mut text = self.basic();
        text.truncate(8);
        text
    }

    fn from_civil(year: i64, month: i64, day: i64, time: [i64; 3]) -> Option<Self> {
        let [hour, minute, second] = time;
        // Second 60 is a leap second: AWS and HTTP allow it to be written.
        if hour > 23 || minute > 59 || second > 60 || !(1970..=9999).contains(&year) {
            return None;
        }
        let days = days_from_civil(year, month, day);
        if civil_from_days(days) != (year, month, day) {
            return None;
        }
        let unix_seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
        Some(AmzTimestamp { unix_seconds })
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0'))
    })
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar. A year is counted from
/// March, so that the leap day is its last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9).rem_euclid(12);
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected_unix_seconds: Option<i64>) {
        let parsed = AmzTimestamp::parse_basic(text).or_else(|| AmzTimestamp::parse_http(text));
        assert_eq!(parsed.map(|time| time.unix_seconds), expected_unix_seconds, "{text}");
    }

    #[test]
    fn reads_both_forms() {
        check("20150830T123600Z", Some(1_440_938_160));
        check("Sun, 30 Aug 2015 12:36:00 GMT", Some(1_440_938_160));
        check("19700101T000000Z", Some(0));
        check("20000229T235959Z", Some(951_868_799));
        check("20240229T000000Z", Some(1_709_164_800));
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            "20150830",
            "20150830T123600",
            "20150830T123600z",
            "20150830 123600Z",
            "20150230T000000Z",
            "20230229T000000Z",
            "20150030T000000Z",
            "20151330T000000Z",
            "20150830T240000Z",
            "20150830T126000Z",
            "2015-08-30T12:36:00Z",
            "2015083éT12360Z",
            "Sun, 30 Aug 2015 12:36:00 CET",
            "Sun, 30 aug 2015 12:36:00 GMT",
            "Sunday, 30-Aug-15 12:36:00 GMT",
            "Sun, 30 Aug 2015 12:36:0é GMT",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn writes_what_it_reads_for_every_day_of_four_centuries() {
        for day in (0..146_097_i64).step_by(7) {
            let time = AmzTimestamp::from_unix_ms(day * 86_400_000 + 45_296_789);
            assert_eq!(AmzTimestamp::parse_basic(&time.basic()), Some(time));
            assert_eq!(time.date(), time.basic()[..8]);
        }
    }
}
