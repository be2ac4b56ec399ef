//! Times as GitHub writes them, `2026-11-20T12:00:00Z` (RFC 3339 in UTC). Pure; no calendar beyond that.

use protocol::time::Timestamp;

/// Reads a time; `None` for what is none. A fraction of a second is left out.
pub(crate) fn parse_time(text: &str) -> Option<Timestamp> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let time = time.split_once('.').map_or(time, |(whole, _)| whole);
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let is_valid = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    if !is_valid {
        return None;
    }
    // Days since 1 March of year 0, so that the leap day ends a year.
    let (shifted_year, shifted_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = shifted_year * 365 + shifted_year / 4 - shifted_year / 100
        + shifted_year / 400
        + (153 * shifted_month + 2) / 5
        + day
        - 1;
    let seconds = (days.checked_sub(719_468)?) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(Timestamp(seconds * 1000))
}

fn numbers(text: &str, separator: char) -> Option<[u64; 3]> {
    let mut parts = text.split(separator);
    let mut next = || parts.next().filter(|part| part.bytes().all(|b| b.is_ascii_digit()))?.parse().ok();
    let read = [next()?, next()?, next()?];
    parts.next().is_none().then_some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T00:00:00Z", Some(951_782_400_000)),
            ("2026-11-20T21:48:38Z", Some(1_795_211_318_000)),
            ("2026-11-20T21:48:38.922Z", Some(1_795_211_318_000)),
            ("2026-11-20T21:48:38", None),
            ("2026-13-20T21:48:38Z", None),
            ("2026-11-20", None),
            ("-2026-11-20T21:48:38Z", None),
            ("", None),
        ] {
            assert_eq!(parse_time(text), expected.map(Timestamp), "{text}");
        }
    }
}
