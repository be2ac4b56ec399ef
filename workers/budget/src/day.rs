//! Days and months of budgets, UTC, counted from 1970.

use protocol::time::Timestamp;

const DAY_MS: u64 = 86_400_000;

/// The day of a moment.
#[must_use]
pub fn of(at: Timestamp) -> u64 {
    at.0 / DAY_MS
}

/// The first day of a day's month. By Howard Hinnant's `civil_from_days`, as far as a day's place in its month goes.
#[must_use]
pub fn first_of_month(day: u64) -> u64 {
    // From 0000-03-01, in eras of 400 years.
    let of_era = (day + 719_468) % 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5;
    day.saturating_sub(of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_on_their_first_day() {
        // Lengths of months from January 1970 on, through a leap year and a century that is one.
        let (mut first, mut year, mut month) = (0, 1970, 1);
        while year < 2110 {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            for day in first..first + length {
                assert_eq!(first_of_month(day), first, "{year}-{month}");
            }
            first += length;
            (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        }
        assert_eq!(of(Timestamp(DAY_MS - 1)), 0);
        assert_eq!(of(Timestamp(DAY_MS)), 1);
    }
}
