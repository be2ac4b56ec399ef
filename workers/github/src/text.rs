//! Making foreign text harmless in GitHub Markdown: no mentions, no references to issues, no hidden or active HTML, bounded size.

use std::borrow::Cow;

/// Breaks what GitHub would act on, and shows as nothing.
const BREAK: char = '\u{200B}';
/// Words that close an issue when a reference follows.
const CLOSING_WORDS: [&str; 9] =
    ["close", "closed", "closes", "fix", "fixed", "fixes", "resolve", "resolved", "resolves"];

/// At most `bytes_max` bytes of `text`, ending in `…` and at a character's border when something was left out.
pub(crate) fn cut(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return Cow::Borrowed(text);
    }
    let mut end = bytes_max.saturating_sub('…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let (kept, _) = text.split_at(end);
    Cow::Owned(format!("{}…", kept.trim_end()))
}

/// All white space and control characters as single spaces.
pub(crate) fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The same text for the eye, in which GitHub finds nobody to notify, nothing to close, no HTML and no image to load.
pub(crate) fn neutralise(text: &str) -> String {
    // A URL of an issue must stay a working link, so there the closing word is broken.
    let has_issue_url = ["/issues/", "/pull/"].iter().any(|part| text.contains(part));
    let mut safe = String::with_capacity(text.len() + 16);
    let mut word = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_alphanumeric() {
            word.push(c);
            continue;
        }
        let next = chars.peek().copied();
        let issue_prefix = c == '-' && word.eq_ignore_ascii_case("gh");
        push_word(&mut safe, &mut word, has_issue_url);
        if c.is_control() && !matches!(c, '\n' | '\t') {
            continue;
        }
        safe.push(c);
        let active = next.is_some_and(|next| match c {
            '@' => next.is_alphanumeric(),
            '#' => next.is_ascii_digit(),
            '<' => next.is_ascii_alphabetic() || matches!(next, '!' | '/' | '?'),
            '!' => next == '[',
            '-' => issue_prefix && next.is_ascii_digit(),
            _ => false,
        });
        if active {
            safe.push(BREAK);
        }
    }
    push_word(&mut safe, &mut word, has_issue_url);
    safe
}

fn push_word(safe: &mut String, word: &mut String, break_closing_words: bool) {
    let closing =
        break_closing_words && CLOSING_WORDS.iter().any(|closing| word.eq_ignore_ascii_case(closing));
    let mut chars = word.chars();
    if closing && let Some(first) = chars.next() {
        safe.push(first);
        safe.push(BREAK);
    }
    safe.extend(chars);
    word.clear();
}

/// Ends a code block that `text` leaves open, so that it cannot swallow what follows.
pub(crate) fn close_code_block(text: &mut String) {
    let mut open: Option<(char, usize)> = None;
    for line in text.lines() {
        let indented = line.len() - line.trim_start_matches(' ').len();
        let line = line.trim_start_matches(' ');
        let Some(mark @ ('`' | '~')) = line.chars().next() else { continue };
        let length = line.chars().take_while(|c| *c == mark).count();
        let rest = line.trim_start_matches(mark);
        if indented > 3 || length < 3 {
            continue;
        }
        open = match open {
            None if mark == '`' && rest.contains('`') => None,
            None => Some((mark, length)),
            Some((opened, opened_length))
                if opened == mark && length >= opened_length && rest.trim().is_empty() =>
            {
                None
            }
            Some(still) => Some(still),
        };
    }
    if let Some((mark, length)) = open {
        text.push('\n');
        text.extend(std::iter::repeat_n(mark, length));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(neutralise(text).replace(BREAK, "·"), expected);
    }

    #[test]
    fn mentions_references_and_html_are_broken() {
        check("ask @octocat or @acme/team, not a@b", "ask @·octocat or @·acme/team, not a@·b");
        check(
            "Fixes #12, closes acme/shop#3, resolves GH-4",
            "Fixes #·12, closes acme/shop#·3, resolves GH-·4",
        );
        check("FIXES: https://code.example/a/b/issues/7", "F·IXES: https://code.example/a/b/issues/7");
        check("it fixes the sum", "it fixes the sum");
        check("<!-- hidden --> <img src=x> a < b", "<·!-- hidden --> <·img src=x> a < b");
        check("![pixel](https://tracker.example/x.png)", "!·[pixel](https://tracker.example/x.png)");
        check("a\u{1b}[31mred\u{0}\nnext", "a[31mred\nnext");
        check("# heading, #topic, gh-pages", "# heading, #topic, gh-pages");
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        for bytes_max in 3..20 {
            let cut = cut("äöüßäöüßäöüß", bytes_max);
            assert!(cut.len() <= bytes_max && cut.ends_with('…'), "{bytes_max}: {cut}");
        }
        assert_eq!(cut("short", 5), "short");
    }

    #[test]
    fn an_open_code_block_is_closed() {
        let check = |text: &str, expected: &str| {
            let mut text = text.to_owned();
            close_code_block(&mut text);
            assert_eq!(text, expected);
        };
        check("a\n```rust\nb", "a\n```rust\nb\n```");
        check("```\na\n```\nb", "```\na\n```\nb");
        check("~~~~\n```\n~~~", "~~~~\n```\n~~~\n~~~~");
        check("```inline``` code", "```inline``` code");
        check("    ```", "    ```");
    }
}
