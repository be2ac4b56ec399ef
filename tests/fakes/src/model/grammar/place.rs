//! Finds files in a clause: named, called, or meant by `it`.

use super::token::{Kind, Token};
use super::words::{ARTICLES, CONTENT_NOUNS, is_path};

/// What a clause can lean on.
pub(super) struct Context<'a> {
    pub(super) prompt: &'a str,
    pub(super) file: Option<&'a str>,
}

impl Context<'_> {
    /// The clause's own words, as written.
    pub(super) fn source(&self, tokens: &[Token]) -> String {
        match (tokens.first(), tokens.last()) {
            (Some(first), Some(last)) => {
                self.prompt.get(first.range.start..last.range.end).unwrap_or_default().trim().to_owned()
            }
            (None, _) | (_, None) => String::new(),
        }
    }
}

/// A file in a clause and where its words are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) path: String,
    pub(super) start: usize,
    pub(super) end: usize,
}

fn tidy(path: &str) -> String {
    path.strip_prefix("./").unwrap_or(path).to_owned()
}

/// The file at a position, after articles, `file`, `called`: how many tokens belong to it.
pub(super) fn file_at(context: &Context<'_>, tokens: &[Token], start: usize) -> Option<Found> {
    let mut named = false;
    for (index, token) in tokens.iter().enumerate().skip(start) {
        let word = token.word();
        if let Some(text) = token.text()
            && (is_path(text) || (named && is_name(text)))
        {
            let mut end = index + 1;
            while tokens.get(end).is_some_and(|t| matches!(t.word().as_str(), "file" | "module" | "script")) {
                end += 1;
            }
            return Some(Found { path: tidy(text), start, end });
        }
        let pronoun = matches!(word.as_str(), "it" | "there")
            || (word == "file" && index > start && !names(tokens, index + 1));
        if pronoun && let Some(file) = context.file {
            return Some(Found { path: file.to_owned(), start, end: index + 1 });
        }
        match word.as_str() {
            "file" | "files" | "script" | "module" | "document" => named = true,
            "called" | "named" | "path" | "name" => named = true,
            "with" | "at" if names(tokens, index + 1) => {}
            "end" | "bottom" | "top" | "start" | "beginning" | "of" | "to" | "markdown" | "shell"
            | "python" | "root" => {}
            _ if ARTICLES.contains(&word.as_str()) => {}
            _ if token.is_mark(':') && named => {}
            _ => return None,
        }
    }
    None
}

/// Whether a name follows: `named X`, `the name X`.
fn names(tokens: &[Token], at: usize) -> bool {
    let word = |index: usize| tokens.get(index).map(Token::word).unwrap_or_default();
    matches!(word(at).as_str(), "called" | "named" | "name" | "path")
        || (word(at) == "the" && matches!(word(at + 1).as_str(), "name" | "path"))
        || tokens.get(at).and_then(Token::text).is_some_and(is_path)
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() < 100
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
        && !ARTICLES.contains(&text.to_lowercase().as_str())
        && !CONTENT_NOUNS.contains(&text.to_lowercase().as_str())
        && ![
            "with",
            "containing",
            "that",
            "called",
            "named",
            "in",
            "to",
            "and",
            "which",
            "whose",
            "for",
            "has",
            "says",
            "at",
            "from",
            "into",
        ]
        .contains(&text.to_lowercase().as_str())
}

/// The first place of the clause: a preposition and a file behind it.
pub(super) fn place(context: &Context<'_>, tokens: &[Token], prepositions: &[&str]) -> Option<Found> {
    tokens.iter().enumerate().find_map(|(index, token)| {
        let is_preposition = prepositions.contains(&token.word().as_str());
        let found = is_preposition.then(|| file_at(context, tokens, index + 1)).flatten()?;
        Some(Found { start: index, ..found })
    })
}

/// Every path that the clause names.
pub(super) fn files(tokens: &[Token]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let called = index > 0
            && tokens
                .get(index - 1)
                .is_some_and(|t| matches!(t.word().as_str(), "called" | "named" | "file"));
        if let Some(text) = token.text()
            && (is_path(text) || (called && is_name(text) && matches!(token.kind, Kind::Literal(_))))
            && !found.contains(&tidy(text))
        {
            found.push(tidy(text));
        }
    }
    found
}

/// The clause without the words of a place.
pub(super) fn without(tokens: &[Token], found: &Found) -> Vec<Token> {
    let mut kept = tokens.get(..found.start).unwrap_or_default().to_vec();
    kept.extend(tokens.get(found.end..).unwrap_or_default().iter().cloned());
    kept
}
