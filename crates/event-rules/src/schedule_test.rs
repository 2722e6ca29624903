use proptest::prelude::*;

use super::*;
use crate::calendar::Day;

/// `2026-12-01 14:00`, in UTC.
fn at(text: &str) -> i64 {
    let numbers: Vec<i64> = text.split([' ', '-', ':']).map(|part| part.parse().unwrap()).collect();
    let [year, month, day, hour, minute] = numbers[..] else { panic!("{text}") };
    Day { year, month, day }.days() * 86_400_000 + (hour * 60 + minute) * MINUTE_MS
}

fn fires(text: &str, after: &str, expected: &[&str]) {
    let schedule = Schedule::read(text).unwrap_or_else(|| panic!("{text} is a schedule"));
    let mut now = at(after);
    for expected in expected {
        let next = schedule.next_after(now, at(after));
        assert_eq!(next, Some(at(expected)), "{text} after {now}, expected {expected}");
        now = at(expected);
    }
}

fn is_refused(text: &str) {
    assert_eq!(Schedule::read(text), None, "{text}");
}

fn never_fires(text: &str, after: &str) {
    let schedule = Schedule::read(text).unwrap_or_else(|| panic!("{text} is a schedule"));
    assert_eq!(schedule.next_after(at(after), at(after)), None, "{text}");
}

#[test]
fn a_rate_fires_each_time_a_period_is_over() {
    fires("rate(1 minute)", "2026-12-01 14:00", &["2026-12-01 14:01", "2026-12-01 14:02"]);
    fires("rate(5 minutes)", "2026-12-01 14:03", &["2026-12-01 14:08", "2026-12-01 14:13"]);
    fires("rate(1 hour)", "2026-12-31 23:30", &["2027-01-01 00:30"]);
    fires("rate(7 days)", "2026-12-01 14:00", &["2026-12-08 14:00"]);
    let rate = Schedule::read("rate(1 hour)").unwrap();
    // Counted from when it began, whenever it is asked.
    assert_eq!(
        rate.next_after(at("2026-12-05 10:59"), at("2026-12-01 00:20")),
        Some(at("2026-12-05 11:20"))
    );
    assert_eq!(
        rate.next_after(at("2026-12-01 00:00"), at("2026-12-01 00:20")),
        Some(at("2026-12-01 01:20"))
    );
}

#[test]
fn a_rate_has_a_number_and_its_unit() {
    for text in [
        "rate(5 minute)",
        "rate(1 minutes)",
        "rate(0 minutes)",
        "rate(-1 minutes)",
        "rate(+5 minutes)",
        "rate(1.5 hours)",
        "rate(5 seconds)",
        "rate(5)",
        "rate()",
        "rate(5 minutes",
        "rate 5 minutes",
        "Rate(5 minutes)",
        "rate(5 minutes 3)",
        "rate(99999999999999 days)",
        "at(2026-12-01T00:00:00)",
        "",
    ] {
        is_refused(text);
    }
}

/// The examples of the user guide, and each wildcard.
#[test]
fn a_cron_line_fires_when_it_says() {
    let now = "2026-12-01 14:00";
    fires("cron(0 10 * * ? *)", now, &["2026-12-02 10:00", "2026-12-03 10:00"]);
    fires("cron(15 12 * * ? *)", now, &["2026-12-02 12:15"]);
    fires(
        "cron(0 18 ? * MON-FRI *)",
        now,
        &[
            "2026-12-01 18:00",
            "2026-12-02 18:00",
            "2026-12-03 18:00",
            "2026-12-04 18:00",
            "2026-12-07 18:00",
        ],
    );
    fires("cron(0 8 1 * ? *)", now, &["2027-01-01 08:00", "2027-02-01 08:00"]);
    fires(
        "cron(0/15 * * * ? *)",
        now,
        &["2026-12-01 14:15", "2026-12-01 14:30", "2026-12-01 14:45", "2026-12-01 15:00"],
    );
    fires("cron(0/10 * ? * MON-FRI *)", "2026-12-04 23:50", &["2026-12-07 00:00"]);
    fires(
        "cron(0/5 8-17 ? * MON-FRI *)",
        "2026-12-01 17:54",
        &["2026-12-01 17:55", "2026-12-02 08:00"],
    );
    fires("cron(0 9 ? * 2#1 *)", now, &["2026-12-07 09:00", "2027-01-04 09:00"]);
    fires("cron(15 10 ? * 6L 2026-2027)", now, &["2026-12-25 10:15", "2027-01-29 10:15"]);
    fires("cron(0 0 L * ? *)", now, &["2026-12-31 00:00", "2027-01-31 00:00", "2027-02-28 00:00"]);
    fires("cron(0 0 29 2 ? *)", now, &["2028-02-29 00:00", "2032-02-29 00:00"]);
    // 2027-05-01 is a Saturday, 2026-12-13 a Sunday, 2027-01-31 one at the end of its month.
    fires("cron(0 0 1W 5 ? *)", now, &["2027-05-03 00:00"]);
    fires("cron(0 0 13W * ? *)", now, &["2026-12-14 00:00"]);
    fires(
        "cron(0 0 31W * ? *)",
        now,
        &["2026-12-31 00:00", "2027-01-29 00:00", "2027-03-31 00:00"],
    );
    fires("cron(0 0 LW * ? *)", now, &["2026-12-31 00:00", "2027-01-29 00:00", "2027-02-26 00:00"]);
    fires("cron(0 0 ? * L *)", now, &["2026-12-05 00:00", "2026-12-12 00:00"]);
    fires(
        "cron(0 0 ? * FRI-SUN *)",
        now,
        &["2026-12-04 00:00", "2026-12-05 00:00", "2026-12-06 00:00", "2026-12-11 00:00"],
    );
    fires(
        "cron(0 0 1,15 jan,JUL ? *)",
        now,
        &["2027-01-01 00:00", "2027-01-15 00:00", "2027-07-01 00:00"],
    );
    fires(
        "cron(0 22-2 * * ? *)",
        now,
        &[
            "2026-12-01 22:00",
            "2026-12-01 23:00",
            "2026-12-02 00:00",
            "2026-12-02 01:00",
            "2026-12-02 02:00",
            "2026-12-02 22:00",
        ],
    );
    fires("cron(0 0 ? 2 2#5 *)", now, &["2044-02-29 00:00"]);
    fires("cron( 1  2 3 4 ? 2199 )", now, &["2199-04-03 02:01"]);
    // Not the minute that has begun.
    fires("cron(0 14 * * ? *)", now, &["2026-12-02 14:00"]);
}

#[test]
fn a_clock_that_went_back_is_noticed() {
    let check = |text: &str, due: &str, now: &str, expected| {
        assert_eq!(Schedule::read(text).unwrap().is_too_late(at(due), at(now)), expected, "{text}");
    };
    check("rate(1 hour)", "2026-12-01 15:00", "2026-12-01 14:00", false);
    check("rate(1 hour)", "2026-12-01 14:10", "2026-12-01 14:00", false);
    check("rate(1 hour)", "2026-12-01 15:00", "2026-12-01 13:59", true);
    check("cron(0 3 * * ? *)", "2026-12-02 03:00", "2026-12-01 14:00", false);
    check("cron(0 3 * * ? *)", "2026-12-02 03:00", "2025-12-01 14:00", true);
}

#[test]
fn a_cron_line_has_six_fields_of_its_forms() {
    for inside in [
        "0 10 * * ?",
        "0 10 * * ? * *",
        "0 10 * * * *",
        "0 10 ? * ? *",
        "0 10 1 * MON *",
        "60 10 * * ? *",
        "0 24 * * ? *",
        "0 0 0 * ? *",
        "0 0 32 * ? *",
        "0 0 1 13 ? *",
        "0 0 ? * 8 *",
        "0 0 ? * 0 *",
        "0 0 1 * ? 1969",
        "0 0 1 * ? 2200",
        "0 0 1 * ? 2030-2020",
        "? 0 1 * ? *",
        "0 0 1 ? ? *",
        "0 0 1 * ? ?",
        "0/0 * * * ? *",
        "0/61 * * * ? *",
        "/5 * * * ? *",
        "0 0 ? * 3#6 *",
        "0 0 ? * 3#1,6#3 *",
        "0 0 ? * MONDAY *",
        "0 0 W * ? *",
        "0 0 L,15 * ? *",
        "0 0 L-3 * ? *",
        "0 0 ? * 2W *",
        "0 0 * L ? *",
        "a * * * ? *",
        "0, * * * ? *",
        "-5 * * * ? *",
        "+5 * * * ? *",
        "",
    ] {
        is_refused(&format!("cron({inside})"));
    }
}

#[test]
fn what_is_over_never_fires() {
    never_fires("cron(0 0 30 2 ? *)", "2026-12-01 14:00");
    never_fires("cron(0 0 31 4,6,9,11 ? *)", "2026-12-01 14:00");
    never_fires("cron(0 0 1 1 ? 2026)", "2026-12-01 14:00");
    never_fires("cron(0 0 * * ? 1970-2025)", "2026-12-01 14:00");
    never_fires("cron(0 0 31 12 ? 2026)", "2026-12-31 00:00");
    never_fires("cron(0 0 ? 2 2#5 2100)", "2026-12-01 14:00");
}

fn line() -> impl Strategy<Value = String> {
    let minutes = prop_oneof!["[0-5]?[0-9]", "[0-5][0-9]/[1-9]", Just("*".to_owned())];
    let hours = prop_oneof!["1?[0-9]", Just("*".to_owned()), Just("8-17".to_owned())];
    let days = prop_oneof![
        "[1-9] [1-9] [?]",
        Just("L * ?".to_owned()),
        Just("15W * ?".to_owned()),
        "[?] [*] [1-7]#[1-4]",
        "[?] [*] [1-7]L",
        Just("? * MON-FRI".to_owned()),
    ];
    (minutes, hours, days)
        .prop_map(|(minutes, hours, days)| format!("cron({minutes} {hours} {days} *)"))
}

proptest! {
    /// The next time is the earliest: no minute between is one, seen from the minute before it.
    #[test]
    fn no_time_is_left_out(line in line(), after in 1_700_000_000_000_i64..2_500_000_000_000, part in 0.0..1.0_f64) {
        let schedule = Schedule::read(&line).unwrap();
        let next = schedule.next_after(after, 0).unwrap();
        prop_assert!(next > after && next % MINUTE_MS == 0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
        let between = after + ((next - after - 1) as f64 * part) as i64;
        prop_assert_eq!(schedule.next_after(between, 0), Some(next));
        prop_assert!(schedule.next_after(next, 0).unwrap() > next);
    }

    #[test]
    fn no_text_panics(text in "(rate|cron)\\([0-9A-Z*?/#,LW -]{0,30}\\)", after in 0_i64..7_000_000_000_000) {
        if let Some(schedule) = Schedule::read(&text) {
            prop_assert!(schedule.next_after(after, after).is_none_or(|next| next > after));
        }
    }
}
