//! Dates against a count of days, and beginnings of days against a search through every minute, in zones whose clocks change at all hours.

use super::*;
use proptest::prelude::*;

const HOUR: i64 = 3_600_000;
const MINUTE: i64 = 60_000;

fn utc(_: Moment) -> i64 {
    0
}

/// A zone whose clocks are put on by `change` at `on` and back at `back`.
fn changing(standard: i64, change: i64, on: Moment, back: Moment) -> impl Fn(Moment) -> i64 {
    move |moment| if (on..back).contains(&moment) { standard + change } else { standard }
}

#[test]
fn dates_follow_one_another() {
    let mut date = Date(0);
    assert_eq!(date.numbers(), (1970, 1, 1));
    let lengths = |year: i64| {
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    };
    for year in 1970..2110 {
        for (month, length) in (1..).zip(lengths(year)) {
            for day in 1..=length {
                assert_eq!((date.numbers(), Date::of(year, month, day)), ((year, month, day), Some(date)));
                date = date.next(Step::Day);
            }
            assert_eq!(Date::of(year, month, length + 1), None);
        }
    }
}

#[test]
fn weeks_begin_on_mondays_and_months_on_the_first() {
    let of = |year, month, day| Date::of(year, month, day).unwrap();
    for day in 16..23 {
        assert_eq!(of(2026, 11, day).next(Step::Week), of(2026, 11, 23));
    }
    for day in 1..=31 {
        assert_eq!(of(2026, 12, day).next(Step::Month), of(2027, 1, 1));
    }
    assert_eq!(of(2024, 2, 29).next(Step::Month), of(2024, 3, 1));
}

#[test]
fn moments_are_read() {
    let berlin = |_| HOUR;
    for (text, expected) in [
        ("1970-01-01", Some(-HOUR)),
        ("2026-11-20", Some(1_795_132_800_000 - HOUR)),
        ("2026-11-20T00:00:00Z", Some(1_795_132_800_000)),
        (
            "2026-11-20T12:30:15+05:45",
            Some(1_795_132_800_000 + 12 * HOUR + 30 * MINUTE + 15_000 - 345 * MINUTE),
        ),
        ("2026-11-20T12:00:00-03:00", Some(1_795_132_800_000 + 15 * HOUR)),
        ("2026-02-29", None),
        ("2026-11-20T24:00:00Z", None),
        ("2026-11-20T12:00:00", None),
        ("2026-11-20T12:00Z", None),
        ("2026-11-20T12:00:00+24:00", None),
        ("2026-11-2", None),
        ("+026-11-20", None),
        ("1969-12-31", None),
        ("1795132800000", None),
        ("", None),
    ] {
        assert_eq!(parse_moment(text, &berlin), expected, "{text}");
    }
}

#[test]
fn moments_are_written_as_they_are_read() {
    for text in ["1970-01-01T00:00:00Z", "2024-02-29T23:59:59Z", "2026-11-20T21:48:38Z"] {
        assert_eq!(write_moment(parse_moment(text, &utc).unwrap()), text);
    }
}

#[test]
fn offsets_are_read_as_the_runtime_writes_them() {
    for (written, minutes) in [
        ("11/20/2026, GMT", 0),
        ("11/20/2026, GMT+01:00", 60),
        ("11/20/2026, GMT-03:30", -210),
        ("11/20/2026, GMT+12:45", 765),
        ("", 0),
    ] {
        assert_eq!(parse_offset(written), minutes * MINUTE, "{written}");
    }
}

#[test]
fn a_day_that_clocks_change_in_has_another_length() {
    // Berlin, 2026: on at 01:00 UTC of 29 March, back at 01:00 UTC of 25 October.
    let on = Date::of(2026, 3, 29).unwrap().begin(&utc) + HOUR;
    let back = Date::of(2026, 10, 25).unwrap().begin(&utc) + HOUR;
    let berlin = changing(HOUR, HOUR, on, back);
    let hours = |year, month, day| {
        let date = Date::of(year, month, day).unwrap();
        (date.next(Step::Day).begin(&berlin) - date.begin(&berlin)) / HOUR
    };
    assert_eq!(
        [hours(2026, 3, 28), hours(2026, 3, 29), hours(2026, 10, 25), hours(2026, 10, 26)],
        [24, 23, 25, 24]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn a_day_begins_where_calendars_first_show_it(
        standard in -48_i64..=56, change in -4_i64..=4, day in 20_000_i64..20_010, minutes in -2_000_i64..2_000, length in 1_i64..4_000,
    ) {
        let (standard, change) = (standard * 15 * MINUTE, change * 15 * MINUTE);
        let on = day * DAY_MS + minutes * MINUTE;
        let zone = changing(standard, change, on, on + (length + 2_880) * MINUTE);
        let begin = Date(day).begin(&zone);
        let searched = (0..).map(|minute| day * DAY_MS - 16 * HOUR + minute * MINUTE).find(|moment| Date::at(*moment, &zone) >= Date(day));
        prop_assert_eq!(Some(begin), searched);
    }
}
