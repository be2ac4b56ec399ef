//! What is withheld from every text of a capture: addresses of people, card numbers, keys and tokens. The same rules as in the
//! extension's `capture/redact.ts`, because the server believes no client; `extension/vectors/redacted.json` is run by both. Errs on the side of
//! withholding. Called by `read` and `address`; never fails.

use crate::pattern::{
    MANY, Piece, capital_or_digit, capital_or_space, digit, find_at, space, word, word_or, word_or_line,
};

/// Longer texts are looked at up to here, in UTF-16 code units.
const LOOKED_AT_MAX: usize = 4000;

struct Rule {
    pattern: &'static [Piece],
    label: &'static str,
}

const fn one_of(alternatives: &'static [&'static [Piece]]) -> Piece {
    Piece::Group(alternatives, 1, 1)
}

const fn maybe(alternatives: &'static [&'static [Piece]]) -> Piece {
    Piece::Group(alternatives, 0, 1)
}

use Piece::{AnyCase, Edge, Exactly, Group, Keep, Run};

const WORD_TOKENS: &[&[Piece]] = &[
    &[
        Exactly("gh"),
        Run(|unit| matches!(char::from_u32(unit.into()), Some('o' | 'p' | 's' | 'u' | 'r')), 1, 1),
        Exactly("_"),
    ],
    &[Exactly("github_pat_")],
    &[Exactly("glpat-")],
    &[Exactly("npm_")],
    &[Exactly("pypi-")],
    &[Exactly("xox"), Run(|unit| (0x61..=0x7a).contains(&unit), 1, 1), Exactly("-")],
    &[Exactly("hf_")],
    &[Exactly("shpat_")],
    &[Exactly("fhk_")],
];

/// Names in front of `=` or `:` whose value is nobody's business.
const SECRET_NAMES: &[&[Piece]] = &[
    &[AnyCase("pass"), maybe(&[&[AnyCase("word")], &[AnyCase("wd")], &[AnyCase("phrase")]])],
    &[AnyCase("secret")],
    &[AnyCase("token")],
    &[AnyCase("api"), Run(line_or_low_line, 0, 1), AnyCase("key")],
    &[AnyCase("access"), Run(line_or_low_line, 0, 1), AnyCase("key")],
    &[AnyCase("csrf"), Run(word, 0, 12)],
    &[AnyCase("pin")],
    &[AnyCase("otp")],
];

/// In the order in which they are applied.
const RULES: &[Rule] = &[
    Rule {
        pattern: &[
            Exactly("-----BEGIN "),
            Run(capital_or_space, 0, 40),
            Exactly("PRIVATE KEY-----"),
            Run(|unit| unit != 0x2d, 0, 4000),
            maybe(&[&[Exactly("-----END "), Run(capital_or_space, 0, 40), Exactly("-----")]]),
        ],
        label: "[key]",
    },
    Rule {
        pattern: &[
            Edge,
            Exactly("eyJ"),
            Run(word_or_line, 8, MANY),
            Exactly("."),
            Run(word_or_line, 4, MANY),
            maybe(&[&[Exactly("."), Run(word_or_line, 0, MANY)]]),
        ],
        label: "[token]",
    },
    Rule { pattern: &[Edge, one_of(WORD_TOKENS), Run(word_or_line, 8, MANY)], label: "[token]" },
    Rule {
        pattern: &[
            Edge,
            one_of(&[&[Exactly("sk")], &[Exactly("pk")], &[Exactly("rk")], &[Exactly("whsec")]]),
            Run(line_or_low_line, 1, 1),
            Run(word_or_line, 12, MANY),
        ],
        label: "[token]",
    },
    Rule {
        pattern: &[Edge, one_of(&[&[Exactly("AKIA")], &[Exactly("ASIA")]]), Run(capital_or_digit, 12, MANY)],
        label: "[token]",
    },
    Rule { pattern: &[Edge, Exactly("AIza"), Run(word_or_line, 20, MANY)], label: "[token]" },
    Rule { pattern: &[Edge, Exactly("ya29."), Run(word_or_line, 10, MANY)], label: "[token]" },
    Rule {
        pattern: &[
            Edge,
            one_of(&[&[AnyCase("Bearer")], &[AnyCase("Basic")]]),
            Keep,
            Run(space, 1, MANY),
            Run(|unit| word_or(unit, b".~+/=-"), 8, MANY),
        ],
        label: " [token]",
    },
    Rule {
        pattern: &[
            Edge,
            one_of(SECRET_NAMES),
            Run(space, 0, 2),
            Run(|unit| unit == 0x3d || unit == 0x3a, 1, 1),
            Run(space, 0, 2),
            Keep,
            Run(|unit| unit == 0x22 || unit == 0x27, 0, 1),
            Run(|unit| !space(unit) && !matches!(unit, 0x22 | 0x27 | 0x26 | 0x2c | 0x3b), 3, MANY),
        ],
        label: "[secret]",
    },
    Rule {
        pattern: &[
            Run(|unit| word_or(unit, b".+-"), 1, 64),
            Exactly("@"),
            Run(word_or_line, 1, 63),
            Group(&[&[Exactly("."), Run(word_or_line, 1, 63)]], 1, 4),
        ],
        label: "[email]",
    },
    Rule {
        pattern: &[
            Edge,
            Run(|unit| (0x41..=0x5a).contains(&unit), 2, 2),
            Run(digit, 2, 2),
            Group(&[&[Run(is_blank, 0, 1), Run(capital_or_digit, 4, 4)]], 3, 7),
            maybe(&[&[Run(is_blank, 0, 1), Run(capital_or_digit, 1, 4)]]),
            Edge,
        ],
        label: "[account]",
    },
];

const DIGITS: &[Piece] = &[
    Edge,
    Run(digit, 1, 1),
    Group(&[&[Run(|unit| unit == 0x20 || unit == 0x2d, 0, 1), Run(digit, 1, 1)]], 11, 18),
    Edge,
];
const SOCIAL_SECURITY: &[Piece] =
    &[Edge, Run(digit, 3, 3), Exactly("-"), Run(digit, 2, 2), Exactly("-"), Run(digit, 4, 4), Edge];
/// Long runs that are neither words nor numbers: hashes, session ids, encoded data.
const OPAQUE: &[Piece] = &[Run(|unit| word_or(unit, b"+-"), 28, MANY), Run(|unit| unit == 0x3d, 0, 2)];

fn line_or_low_line(unit: u16) -> bool {
    unit == 0x2d || unit == 0x5f
}

fn is_blank(unit: u16) -> bool {
    unit == 0x20
}

/// The text without anything that looks like a secret.
#[must_use]
pub fn redact_secrets(text: &str) -> String {
    let mut units: Vec<u16> = text.encode_utf16().collect();
    for rule in RULES {
        units = replace(units, rule.pattern, |_| Some(rule.label));
    }
    units = replace(units, DIGITS, |digits| is_card_number(digits).then_some("[card]"));
    units = replace(units, SOCIAL_SECURITY, |_| Some("[number]"));
    units = replace(units, OPAQUE, |run| is_opaque(run).then_some("[token]"));
    String::from_utf16_lossy(&units)
}

/// Replaces what is found and has a label, from left to right, each place once.
fn replace(text: Vec<u16>, pattern: &[Piece], label: impl Fn(&[u16]) -> Option<&'static str>) -> Vec<u16> {
    let mut clean = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(unit) = text.get(at) {
        let Some(found) = find_at(pattern, &text, at).filter(|found| found.end > at) else {
            clean.push(*unit);
            at += 1;
            continue;
        };
        let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
        match label(part(at..found.end)) {
            Some(label) => {
                clean.extend_from_slice(part(at..found.kept));
                clean.extend(label.encode_utf16());
            }
            None => clean.extend_from_slice(part(at..found.end)),
        }
        at = found.end;
    }
    clean
}

/// One line without secrets and without invisible characters, cut to so many UTF-16 code units.
#[must_use]
pub fn clean_text(text: &str, max: usize) -> String {
    let units: Vec<u16> = text.encode_utf16().take(LOOKED_AT_MAX + 1).collect();
    let looked = if units.len() > LOOKED_AT_MAX { whole_words(&units) } else { text.to_owned() };
    cut(&redact_secrets(&one_line(&looked)), max)
}

/// White space as single blanks, and nothing that nobody sees.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut in_space = false;
    for character in text.chars() {
        let is_space = u16::try_from(u32::from(character)).is_ok_and(space);
        if is_space {
            if !in_space {
                line.push(' ');
            }
        } else if !is_invisible(character) {
            line.push(character);
        }
        in_space = is_space;
    }
    line.trim_matches(' ').to_owned()
}

/// At most so many UTF-16 code units, the last of them `…` when something is missing.
pub(crate) fn cut(text: &str, max: usize) -> String {
    if text.encode_utf16().count() <= max {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut length = 1;
    for character in text.chars() {
        length += character.len_utf16();
        if length > max {
            break;
        }
        kept.push(character);
    }
    let kept = kept.trim_end_matches(|character| u16::try_from(u32::from(character)).is_ok_and(space));
    format!("{kept}…")
}

/// Without the last word, of which only a part may be there.
fn whole_words(units: &[u16]) -> String {
    let looked = units.get(..LOOKED_AT_MAX).unwrap_or(units);
    let end = looked.iter().rposition(|unit| space(*unit)).unwrap_or(0);
    String::from_utf16_lossy(looked.get(..end).unwrap_or_default())
}

/// Control and format characters and variation selectors (Unicode 16, general categories Cc and Cf, property Variation_Selector).
pub(crate) fn is_invisible(character: char) -> bool {
    matches!(u32::from(character),
        0x00..=0x1f | 0x7f..=0x9f | 0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x890..=0x891 | 0x8e2
        | 0x180b..=0x180f | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x2064 | 0x2066..=0x206f
        | 0xfe00..=0xfe0f | 0xfeff | 0xfff9..=0xfffb | 0x110bd | 0x110cd | 0x13430..=0x1343f
        | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0001 | 0xe0020..=0xe007f | 0xe0100..=0xe01ef)
}

/// Digits and letters mixed as no word has them.
pub(crate) fn is_opaque(run: &[u16]) -> bool {
    let bytes: Vec<u8> = run.iter().map(|unit| u8::try_from(*unit).unwrap_or(b'?')).collect();
    let is_line = |byte: &u8| matches!(byte, b'-' | b'_');
    let are_words =
        bytes.split(is_line).all(|word| !word.is_empty() && word.iter().all(u8::is_ascii_alphabetic));
    if are_words {
        // Words joined by lines, or one long word; letters alone are opaque only where upper and lower case change all the time.
        return !bytes.iter().any(is_line) && case_changes(&bytes) * 5 > bytes.len();
    }
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    digits >= 3 && digits < bytes.len() && changes(&bytes) >= 5
}

/// Places where a small letter is followed by a capital, or two capitals by a small one; none of them overlap.
fn case_changes(bytes: &[u8]) -> usize {
    let (mut at, mut count) = (0, 0);
    while at < bytes.len() {
        let taken = match bytes.get(at..).unwrap_or_default() {
            [a, b, ..] if a.is_ascii_lowercase() && b.is_ascii_uppercase() => 2,
            [a, b, c, ..] if a.is_ascii_uppercase() && b.is_ascii_uppercase() && c.is_ascii_lowercase() => 3,
            _ => 0,
        };
        count += usize::from(taken > 0);
        at += taken.max(1);
    }
    count
}

/// Places where letters and digits or small letters and capitals meet; none of them overlap.
fn changes(bytes: &[u8]) -> usize {
    let (mut at, mut count) = (0, 0);
    while let (Some(a), Some(b)) = (bytes.get(at), bytes.get(at + 1)) {
        let meet = (a.is_ascii_digit() && b.is_ascii_alphabetic())
            || (a.is_ascii_alphabetic() && b.is_ascii_digit())
            || (a.is_ascii_lowercase() && b.is_ascii_uppercase());
        count += usize::from(meet);
        at += if meet { 2 } else { 1 };
    }
    count
}

/// The check digit of payment cards (ISO/IEC 7812-1).
fn is_card_number(text: &[u16]) -> bool {
    let digits = text.iter().rev().filter_map(|unit| char::from_u32(u32::from(*unit))?.to_digit(10));
    let sum: u32 = digits
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit) {
            (0, digit) => digit,
            (_, digit) if digit * 2 > 9 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// The name of a file, as one line that ends no mark and hides nothing.
#[must_use]
pub fn clean_name(name: &str, max: usize) -> String {
    cut(&one_line(name).replace('`', "'"), max)
}
