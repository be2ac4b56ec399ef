//! A matcher for the few patterns of `redact`: tables, tried from left to right with backtracking, as the extension's regular
//! expressions are. A library for those would be more than the rest of the Wasm module's reading of captures.
//!
//! Text is UTF-16, because the extension counts that way. Every repetition is of one class of characters or has a small limit, so no
//! text makes a pattern slow.

use std::cell::Cell;

/// Whether a code unit belongs to a class.
pub(crate) type Class = fn(u16) -> bool;

/// One piece of a pattern.
pub(crate) enum Piece {
    /// `\b`: between a word character and something else.
    Edge,
    /// These ASCII characters.
    Exactly(&'static str),
    /// The same, in any case.
    AnyCase(&'static str),
    /// So many of a class; as many as there are first.
    Run(Class, usize, usize),
    /// So many times one of these; as often as possible first.
    Group(&'static [&'static [Piece]], usize, usize),
    /// What was matched up to here stays.
    Keep,
}

/// Without an upper limit.
pub(crate) const MANY: usize = usize::MAX;

/// Where a pattern was found.
pub(crate) struct Found {
    pub(crate) end: usize,
    /// Where what stays ends; the start where nothing does.
    pub(crate) kept: usize,
}

/// Matches at `start` exactly.
pub(crate) fn find_at(pattern: &[Piece], text: &[u16], start: usize) -> Option<Found> {
    let matcher = Matcher { text, kept: Cell::new(start) };
    let end = matcher.run(pattern, start, &mut Some)?;
    Some(Found { end, kept: matcher.kept.get() })
}

/// What follows a piece: where the whole match ends, if it does.
type Then<'a> = &'a mut dyn FnMut(usize) -> Option<usize>;

struct Matcher<'a> {
    text: &'a [u16],
    kept: Cell<usize>,
}

impl Matcher<'_> {
    fn run(&self, pieces: &[Piece], at: usize, then: Then<'_>) -> Option<usize> {
        let Some((piece, rest)) = pieces.split_first() else { return then(at) };
        match piece {
            Piece::Edge => {
                let before = at.checked_sub(1).and_then(|before| self.text.get(before));
                let is_word = |unit: Option<&u16>| unit.is_some_and(|unit| word(*unit));
                if is_word(before) == is_word(self.text.get(at)) { None } else { self.run(rest, at, then) }
            }
            Piece::Exactly(letters) => self.letters(letters, at, |a, b| a == b, rest, then),
            Piece::AnyCase(letters) => {
                self.letters(letters, at, |a, b| a.eq_ignore_ascii_case(&b), rest, then)
            }
            Piece::Run(class, min, max) => {
                let units = self.text.get(at..).unwrap_or_default();
                let found = units.iter().take(*max).take_while(|unit| class(**unit)).count();
                (*min..=found).rev().find_map(|count| self.run(rest, at + count, then))
            }
            Piece::Group(alternatives, min, max) => self.group(alternatives, (*min, *max), at, rest, then),
            Piece::Keep => {
                self.kept.set(at);
                self.run(rest, at, then)
            }
        }
    }

    fn letters(
        &self,
        letters: &str,
        at: usize,
        is_same: impl Fn(u8, u8) -> bool,
        rest: &[Piece],
        then: Then<'_>,
    ) -> Option<usize> {
        let units = self.text.get(at..at + letters.len())?;
        let same = |(unit, letter): (&u16, u8)| u8::try_from(*unit).is_ok_and(|unit| is_same(unit, letter));
        if units.iter().zip(letters.bytes()).all(same) {
            self.run(rest, at + letters.len(), then)
        } else {
            None
        }
    }

    fn group(
        &self,
        alternatives: &[&[Piece]],
        (min, max): (usize, usize),
        at: usize,
        rest: &[Piece],
        then: Then<'_>,
    ) -> Option<usize> {
        if max > 0 {
            for alternative in alternatives {
                let once_more = &mut |next: usize| {
                    // A round that takes nothing would be taken for ever.
                    if next == at && min == 0 {
                        return None;
                    }
                    self.group(alternatives, (min.saturating_sub(1), max - 1), next, rest, then)
                };
                if let Some(end) = self.run(alternative, at, once_more) {
                    return Some(end);
                }
            }
        }
        if min == 0 { self.run(rest, at, then) } else { None }
    }
}

fn ascii(unit: u16) -> Option<u8> {
    u8::try_from(unit).ok().filter(u8::is_ascii)
}

/// `\w`.
pub(crate) fn word(unit: u16) -> bool {
    ascii(unit).is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `[\w-]`.
pub(crate) fn word_or_line(unit: u16) -> bool {
    word(unit) || unit == u16::from(b'-')
}

/// `\d`.
pub(crate) fn digit(unit: u16) -> bool {
    ascii(unit).is_some_and(|byte| byte.is_ascii_digit())
}

/// `[A-Z0-9]`.
pub(crate) fn capital_or_digit(unit: u16) -> bool {
    ascii(unit).is_some_and(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// `[A-Z ]`.
pub(crate) fn capital_or_space(unit: u16) -> bool {
    ascii(unit).is_some_and(|byte| byte.is_ascii_uppercase() || byte == b' ')
}

/// A word character, or one of a few others.
pub(crate) fn word_or(unit: u16, others: &[u8]) -> bool {
    word(unit) || ascii(unit).is_some_and(|byte| others.contains(&byte))
}

/// `\s` (ECMA-262 §22.2.2.9, WhiteSpace and LineTerminator).
pub(crate) fn space(unit: u16) -> bool {
    matches!(
        unit,
        0x09..=0x0d | 0x20 | 0xa0 | 0x1680 | 0x2000..=0x200a | 0x2028 | 0x2029 | 0x202f | 0x205f | 0x3000 | 0xfeff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &[Piece], text: &str, expected: Option<(usize, usize)>) {
        let units: Vec<u16> = text.encode_utf16().collect();
        let found = find_at(pattern, &units, 0).map(|found| (found.kept, found.end));
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn repetitions_give_back_what_the_rest_needs() {
        const DIGITS_THEN_ONE: &[Piece] = &[Piece::Run(digit, 1, MANY), Piece::Keep, Piece::Exactly("1")];
        check(DIGITS_THEN_ONE, "0111x", Some((3, 4)));
        check(DIGITS_THEN_ONE, "1", None);
        const PAIRS: &[Piece] =
            &[Piece::Group(&[&[Piece::Exactly("ab")], &[Piece::Exactly("a")]], 2, 3), Piece::Edge];
        check(PAIRS, "abaab c", Some((0, 5)));
        check(PAIRS, "ab", None);
    }

    #[test]
    fn an_empty_round_is_not_taken_for_ever() {
        const EMPTY: &[Piece] =
            &[Piece::Group(&[&[Piece::Run(digit, 0, MANY)]], 0, MANY), Piece::Exactly("x")];
        check(EMPTY, "12x", Some((0, 3)));
        check(EMPTY, "y", None);
    }
}
