//! Slack's own text, both ways: what people wrote becomes plain text, and what agents, repositories and people wrote becomes text that is
//! shown and does nothing.
//!
//! Escaping `&`, `<` and `>` is what takes all power from a text (docs.slack.dev, "Formatting text for app surfaces": mentions, links and
//! broadcasts need angle brackets). Cuts never fall into an escape or a character.

/// Stands for what was left out.
const MARK: &str = "…";

/// A text without power over Slack.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// At most `chars` characters, the last one an ellipsis where something was left out.
#[must_use]
pub fn cut(text: &str, chars: usize) -> String {
    if text.chars().count() <= chars {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(chars.saturating_sub(1)).collect();
    kept.truncate(kept.trim_end().len());
    kept + MARK
}

/// A text without power, at most `chars` characters long as Slack counts it: after escaping.
#[must_use]
pub fn escape_within(text: &str, chars: usize) -> String {
    let escaped = escape(text);
    if escaped.chars().count() <= chars {
        return escaped;
    }
    let mut kept = String::new();
    let mut length = MARK.chars().count();
    for character in text.chars() {
        let piece = escape(character.encode_utf8(&mut [0; 4]));
        length += piece.chars().count();
        if length > chars {
            break;
        }
        kept.push_str(&piece);
    }
    kept.truncate(kept.trim_end().len());
    kept + MARK
}

/// A text between backticks: one that has backticks itself is shown without them.
#[must_use]
pub fn code(text: &str, chars: usize) -> String {
    format!("`{}`", escape_within(&text.replace(['`', '\n'], "'"), chars.saturating_sub(2)))
}

/// An address as a link; as plain text where it is none. Only http and https lead somewhere.
#[must_use]
pub fn link(url: &str, label: &str, chars: usize) -> String {
    let is_address = (url.starts_with("https://") || url.starts_with("http://"))
        && url.len() < 1000
        && !url.contains(['<', '>', '|', ' ', '\n', '"']);
    if is_address {
        return format!("<{}|{}>", url.replace('&', "&amp;"), escape_within(&label.replace('|', "/"), chars));
    }
    escape_within(label, chars)
}

/// What somebody wrote, as plain text: mentions of the bot are left out, other references get their names, escapes are undone.
#[must_use]
pub fn parse(text: &str, bot: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        plain.push_str(before);
        let Some((inside, behind)) = after.split_once('>') else {
            rest = after;
            continue;
        };
        plain.push_str(&reference(inside, bot));
        rest = behind;
    }
    plain.push_str(rest);
    let plain = plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    plain.trim().to_owned()
}

/// What stands between angle brackets.
fn reference(inside: &str, bot: &str) -> String {
    let (target, label) = match inside.split_once('|') {
        Some((target, label)) => (target, Some(label)),
        None => (inside, None),
    };
    if let Some(user) = target.strip_prefix('@') {
        return if user == bot { String::new() } else { format!("@{}", label.unwrap_or(user)) };
    }
    if let Some(channel) = target.strip_prefix('#') {
        return format!("#{}", label.unwrap_or(channel));
    }
    if let Some(special) = target.strip_prefix('!') {
        let name = label.unwrap_or_else(|| special.split('^').next().unwrap_or_default());
        return format!("@{}", name.trim_start_matches('@'));
    }
    match label {
        Some(label) if label != target && !target.ends_with(label) => format!("{label} ({target})"),
        Some(_) | None => target.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Whether Slack would find something to act on.
    fn has_power(text: &str) -> bool {
        text.contains('<') || text.contains('>')
    }

    #[test]
    fn references_get_their_names() {
        for (sent, read) in [
            ("<@UBOT> fix the <#C1|shop-dev> page", "fix the #shop-dev page"),
            (
                "<@UBOT|farhand>: look at <https://x.example/a?b=1&amp;c=2|this>",
                ": look at this (https://x.example/a?b=1&c=2)",
            ),
            ("<@U2> says <!channel> &lt;b&gt; <mailto:a@b.c|a@b.c>", "@U2 says @channel <b> mailto:a@b.c"),
            ("<!subteam^S1|@team> <https://x.example>", "@team https://x.example"),
            ("a < b", "a  b"),
        ] {
            assert_eq!(parse(sent, "UBOT"), read);
        }
    }

    #[test]
    fn a39_what_is_escaped_cannot_ping_or_link() {
        for hostile in
            ["<!channel>", "<@U1>", "<https://evil.example|safe>", "a & b <!here|x>", "&lt;!channel&gt;"]
        {
            let escaped = escape(hostile);
            assert!(!has_power(&escaped), "{escaped}");
            assert_eq!(parse(&escaped, "UBOT"), hostile, "it is shown as it was written");
        }
        assert_eq!(code("a`<!channel>`", 100), "`a'&lt;!channel&gt;'`");
        assert_eq!(link("javascript:alert(1)", "x", 10), "x");
        assert_eq!(link("https://x.example/|<!channel>", "x", 10), "x");
        assert_eq!(link("https://x.example/a?b&c", "a|<b>", 40), "<https://x.example/a?b&amp;c|a/&lt;b&gt;>");
    }

    proptest! {
        #[test]
        fn a39_cuts_never_fall_into_an_escape(text in "[a<>&é😀 ]{0,60}", chars in 1usize..70) {
            let kept = escape_within(&text, chars);
            prop_assert!(kept.chars().count() <= chars);
            prop_assert!(!has_power(&kept));
            let plain = kept.trim_end_matches('…').replace("&amp;", "").replace("&lt;", "").replace("&gt;", "");
            prop_assert!(!plain.contains('&'), "{kept}");
        }

        #[test]
        fn reading_never_fails(text in ".*") {
            prop_assert!(parse(&text, "UBOT").len() <= text.len() + 3);
        }
    }
}
