//! Which time is asked about: read from what a client wrote, checked, and cut into days, weeks or months of a time zone.

use crate::calendar::{DAY_MS, Date, Moment, Step, Zone, parse_moment};

/// Parts of a period that one answer has at most.
pub const PARTS_MAX: usize = 400;
/// The longest period, in days.
pub const DAYS_MAX: i64 = 3_660;
/// What is meant where nothing is said: so many days, today included.
const DAYS_DEFAULT: i64 = 30;

/// What a client wrote. Nothing written means what is usual.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// First moment: a date, or a moment as in RFC 3339.
    pub from: Option<&'a str>,
    /// First moment that does not belong to it, likewise.
    pub to: Option<&'a str>,
    /// `day`, `week` or `month`.
    pub step: Option<&'a str>,
}

/// A checked period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    /// First moment.
    pub from: Moment,
    /// First moment after it.
    pub to: Moment,
    /// How long its parts are.
    pub step: Step,
    /// Where its parts begin, and at last its end.
    pub borders: Vec<Moment>,
}

/// Why a period is none; for whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// `from` cannot be read.
    #[error("`from` must be a date such as 2026-11-01, or a moment such as 2026-11-01T00:00:00Z")]
    From,
    /// `to` cannot be read.
    #[error(
        "`to` must be a date such as 2026-12-01, or a moment such as 2026-12-01T00:00:00Z; it is the first that does not count"
    )]
    To,
    /// `step` cannot be read.
    #[error("`step` must be day, week or month")]
    Step,
    /// Nothing is between the two.
    #[error("`from` must be before `to`, which is the first moment that does not count")]
    Empty,
    /// Too much is between the two.
    #[error("a period has at most {DAYS_MAX} days; ask for less")]
    Long,
    /// Its parts are too many.
    #[error("the period has more than {PARTS_MAX} parts; ask for a wider `step`, or for less")]
    Fine,
}

impl Period {
    /// Reads a period. `now` is for what was not written.
    pub fn read(asked: Asked<'_>, now: Moment, zone: Zone<'_>) -> Result<Self, PeriodError> {
        let read = |text: &str| parse_moment(text, zone);
        let to = match asked.to {
            Some(text) => read(text).ok_or(PeriodError::To)?,
            None => Date::at(now, zone).next(Step::Day).begin(zone),
        };
        let from = match asked.from {
            Some(text) => read(text).ok_or(PeriodError::From)?,
            None => Date(Date::at(to - 1, zone).0 + 1 - DAYS_DEFAULT).begin(zone),
        };
        if from >= to {
            return Err(PeriodError::Empty);
        }
        if to - from > DAYS_MAX * DAY_MS {
            return Err(PeriodError::Long);
        }
        let step = match asked.step {
            Some(word) => Step::parse(word).ok_or(PeriodError::Step)?,
            None => usual_step(to - from),
        };
        Ok(Self { from, to, step, borders: cut(from, to, step, zone)? })
    }
}

/// As many parts as a plot shows well.
fn usual_step(length: i64) -> Step {
    match length / DAY_MS {
        ..=92 => Step::Day,
        93..=730 => Step::Week,
        _ => Step::Month,
    }
}

fn cut(from: Moment, to: Moment, step: Step, zone: Zone<'_>) -> Result<Vec<Moment>, PeriodError> {
    let mut borders = vec![from];
    let mut date = Date::at(from, zone);
    loop {
        date = date.next(step);
        let begin = date.begin(zone);
        if begin >= to {
            borders.push(to);
            return Ok(borders);
        }
        if borders.len() >= PARTS_MAX {
            return Err(PeriodError::Fine);
        }
        // A part that begins twice, where clocks are put back over midnight, begins the first time.
        if borders.last().is_some_and(|last| *last < begin) {
            borders.push(begin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = 1_795_211_318_000; // 2026-11-20T21:48:38Z
    const HOUR: i64 = 3_600_000;

    fn read(from: &str, to: &str, step: &str) -> Result<Period, PeriodError> {
        fn word(text: &str) -> Option<&str> {
            (!text.is_empty()).then_some(text)
        }
        Period::read(Asked { from: word(from), to: word(to), step: word(step) }, NOW, &|_| 3 * HOUR)
    }

    #[test]
    fn nothing_said_is_thirty_days_with_today() {
        let period = read("", "", "").unwrap();
        let today = Date::of(2026, 11, 21).unwrap().begin(&|_| 3 * HOUR);
        assert_eq!(
            (period.to - today, period.to - period.from, period.step),
            (DAY_MS, 30 * DAY_MS, Step::Day)
        );
        assert_eq!(period.borders.len(), 31);
        let before = read("", "2026-11-01", "").unwrap();
        assert_eq!(before.borders.len(), 31);
    }

    #[test]
    fn parts_lie_side_by_side_and_fill_the_period() {
        let period = read("2026-01-15T12:00:00Z", "2026-11-20", "month").unwrap();
        assert_eq!((period.borders.first(), period.borders.last()), (Some(&period.from), Some(&period.to)));
        assert!(period.borders.is_sorted_by(|a, b| a < b));
        assert_eq!(period.borders.len(), 12);
        assert_eq!(read("2026-11-16", "2026-11-30", "week").unwrap().borders.len(), 3);
        assert_eq!(read("2026-11-15", "2026-11-30", "week").unwrap().borders.len(), 4);
    }

    #[test]
    fn what_cannot_be_answered_is_refused_with_its_reason() {
        for (from, to, step, expected) in [
            ("yesterday", "", "", PeriodError::From),
            ("", "2026-13-01", "", PeriodError::To),
            ("", "", "hour", PeriodError::Step),
            ("2026-11-02", "2026-11-02", "", PeriodError::Empty),
            ("2026-11-03", "2026-11-02", "", PeriodError::Empty),
            ("2015-01-01", "2026-01-01", "", PeriodError::Long),
            ("2024-01-01", "2026-01-01", "day", PeriodError::Fine),
        ] {
            assert_eq!(read(from, to, step).unwrap_err(), expected, "{from} {to} {step}");
        }
    }
}
