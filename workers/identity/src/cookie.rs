//! Reading one cookie out of a `cookie` header (RFC 6265 §4.2).

/// The value of the cookie `name`.
///
/// `None` also when the header has it more than once with different values: a neighbouring host can add a cookie of the same name,
/// and whose comes first is up to the browser.
#[must_use]
pub fn cookie_value<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let mut values = header
        .split(';')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim().trim_matches('"'));
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_or_none() {
        for (header, expected) in [
            ("", None),
            ("a", None),
            ("a=1", Some("1")),
            ("b=2; a=1; c=3", Some("1")),
            ("b=2;a=1", Some("1")),
            ("a=\"1\"", Some("1")),
            ("a=x=y", Some("x=y")),
            ("aa=1; xa=2; A=3", None),
            ("a=1; a=1", Some("1")),
            ("a=1; a=2", None),
        ] {
            assert_eq!(cookie_value(header, "a"), expected, "{header:?}");
        }
    }
}
