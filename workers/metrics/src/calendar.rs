//! Days, weeks and months in a time zone, as moments. A zone is a function from a moment to its offset, so that this knows no table of zones.

/// Milliseconds of a day that no clock is changed in.
pub const DAY_MS: i64 = 86_400_000;

/// A moment: milliseconds since the Unix epoch.
pub type Moment = i64;

/// By how many milliseconds the clocks of a zone are ahead of UTC at a moment.
pub type Zone<'a> = &'a dyn Fn(Moment) -> i64;

/// A date of the Gregorian calendar: days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(pub i64);

/// How long the parts of a period are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday.
    Week,
    /// From the first to the first.
    Month,
}

impl Step {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// What a word stands for.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Day, Self::Week, Self::Month].into_iter().find(|step| step.as_str() == word)
    }
}

impl Date {
    /// A date by its numbers; `None` where there is no such day.
    #[must_use]
    pub fn of(year: i64, month: i64, day: i64) -> Option<Self> {
        if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || day < 1 {
            return None;
        }
        // Counted from 1 March, so that the leap day ends a year (Howard Hinnant, "chrono-compatible low-level date algorithms").
        let (shifted_year, shifted_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
        let leap_days = shifted_year / 4 - shifted_year / 100 + shifted_year / 400;
        let date = Self(shifted_year * 365 + leap_days + day_of_year - 719_468);
        (date.numbers() == (year, month, day)).then_some(date)
    }

    /// Year, month and day.
    #[must_use]
    pub fn numbers(self) -> (i64, i64, i64) {
        let days = self.0 + 719_468;
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        (year_of_era + era * 400 + i64::from(month <= 2), month, day)
    }

    /// The date that calendars of a zone show at a moment.
    #[must_use]
    pub fn at(moment: Moment, zone: Zone<'_>) -> Self {
        Self((moment + zone(moment)).div_euclid(DAY_MS))
    }

    /// The first moment of this date in a zone. Where clocks are put back over midnight, the day begins the first time; where they skip
    /// it, with the first moment after that.
    #[must_use]
    pub fn begin(self, zone: Zone<'_>) -> Moment {
        let midnight = self.0 * DAY_MS;
        let offsets = [zone(midnight - DAY_MS), zone(midnight + DAY_MS)];
        let candidates = offsets.map(|offset| midnight - offset);
        let shows_midnight = |moment: &Moment| moment + zone(*moment) == midnight;
        if let Some(first) = candidates.into_iter().filter(shows_midnight).min() {
            return first;
        }
        let [mut before, mut after] = [candidates[0].min(candidates[1]), candidates[0].max(candidates[1])];
        while after - before > 1 {
            let middle = before + (after - before) / 2;
            if middle + zone(middle) < midnight {
                before = middle;
            } else {
                after = middle;
            }
        }
        after
    }

    /// The first date after this one that begins a day, week or month.
    #[must_use]
    pub fn next(self, step: Step) -> Self {
        match step {
            Step::Day => Self(self.0 + 1),
            // 1970-01-01 was a Thursday.
            Step::Week => Self(self.0 + 7 - (self.0 + 3).rem_euclid(7)),
            Step::Month => {
                let (year, month, _) = self.numbers();
                let (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
                Self::of(year, month, 1).unwrap_or(Self(self.0 + 28))
            }
        }
    }
}

/// Reads `2026-11-20`, or a moment as RFC 3339 writes it (`2026-11-20T12:00:00Z`, `…+01:00`); a date is where it begins in the zone.
#[must_use]
pub fn parse_moment(text: &str, zone: Zone<'_>) -> Option<Moment> {
    let Some((date, time)) = text.split_once('T') else { return Some(parse_date(text)?.begin(zone)) };
    let date = parse_date(date)?;
    let (clock, offset) = match time.strip_suffix('Z') {
        Some(clock) => (clock, 0),
        None => {
            let place = time.rfind(['+', '-'])?;
            let (clock, offset) = time.split_at_checked(place)?;
            let [hours, minutes] = numbers(offset.get(1..)?, ':')?;
            let ms = (hours * 60 + minutes) * 60_000;
            let is_offset = hours < 24 && minutes < 60;
            (clock, is_offset.then_some(if offset.starts_with('-') { -ms } else { ms })?)
        }
    };
    let [hour, minute, second] = numbers(clock, ':')?;
    let is_time = hour < 24 && minute < 60 && second < 60;
    is_time.then(|| date.0 * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000 - offset)
}

/// A moment as RFC 3339 writes it, in UTC and whole seconds.
#[must_use]
pub fn write_moment(moment: Moment) -> String {
    let (year, month, day) = Date(moment.div_euclid(DAY_MS)).numbers();
    let seconds = moment.rem_euclid(DAY_MS) / 1000;
    let [hour, minute, second] = [seconds / 3600, seconds / 60 % 60, seconds % 60];
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Reads what `Intl.DateTimeFormat` writes for `longOffset`: a text that ends in `GMT`, `GMT+05:45` or `GMT-03:30`. In milliseconds.
#[must_use]
pub fn parse_offset(written: &str) -> i64 {
    let offset = written.rsplit_once("GMT").map_or("", |(_, offset)| offset);
    let Some(clock) = offset.get(1..) else { return 0 };
    let Some([hours, minutes]) = numbers(clock, ':') else { return 0 };
    let ms = (hours * 60 + minutes) * 60_000;
    if offset.starts_with('-') { -ms } else { ms }
}

fn parse_date(text: &str) -> Option<Date> {
    let [year, month, day] = numbers(text, '-')?;
    Date::of(year, month, day)
}

/// Reads exactly so many numbers, each of two digits or four.
fn numbers<const COUNT: usize>(text: &str, separator: char) -> Option<[i64; COUNT]> {
    let mut read = [0; COUNT];
    let mut parts = text.split(separator);
    for slot in &mut read {
        let part = parts.next().filter(|part| matches!(part.len(), 2 | 4))?;
        *slot = part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())??;
    }
    parts.next().is_none().then_some(read)
}

#[cfg(test)]
mod tests;
