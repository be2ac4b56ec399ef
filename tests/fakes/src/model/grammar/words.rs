//! The vocabulary of the demo model: verbs with their forms, fillers, and what looks like a path.

/// What an instruction asks for, as its verb says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// A file with a content, or content for a file.
    Create,
    /// Content to the end of a file.
    Append,
    /// Content to the beginning of a file.
    Prepend,
    /// One text for another.
    Replace,
    /// `use A instead of B`, or `use COMMAND`.
    Use,
    /// A file, or a text out of a file.
    Delete,
    /// A file to another place.
    Rename,
    /// A file to a second place.
    Copy,
    /// A command.
    Run,
    /// A command, when one is named.
    Check,
    /// A file's content.
    Read,
    /// The files.
    List,
    /// A text, without touching anything.
    Say,
    /// A commit.
    Commit,
    /// What Farhand does by itself: push, pull request.
    Publish,
}

const VERBS: &[(Verb, &[&str])] = &[
    (
        Verb::Create,
        &[
            "create", "make", "write", "add", "put", "save", "generate", "produce", "insert", "store",
            "touch", "place",
        ],
    ),
    (Verb::Append, &["append"]),
    (Verb::Prepend, &["prepend"]),
    (
        Verb::Replace,
        &[
            "replace",
            "change",
            "substitute",
            "swap",
            "update",
            "edit",
            "modify",
            "fix",
            "correct",
            "set",
            "turn",
            "adjust",
            "bump",
        ],
    ),
    (Verb::Use, &["use"]),
    (Verb::Delete, &["delete", "remove", "erase", "drop", "rm"]),
    (Verb::Rename, &["rename", "move"]),
    (Verb::Copy, &["copy", "duplicate"]),
    (Verb::Run, &["run", "execute", "invoke", "launch", "rerun", "re-run"]),
    (Verb::Check, &["check", "verify", "ensure", "confirm", "test", "try", "prove", "validate"]),
    (Verb::Read, &["read", "show", "print", "open", "cat", "display", "view", "inspect"]),
    (Verb::List, &["list", "ls"]),
    (Verb::Say, &["say", "answer", "reply", "respond", "greet"]),
    (Verb::Commit, &["commit"]),
    (Verb::Publish, &["push", "publish"]),
];

/// The verb of a word, also as `running`, `creates`.
pub(super) fn verb(word: &str) -> Option<Verb> {
    let find = |form: &str| VERBS.iter().find(|(_, forms)| forms.contains(&form)).map(|(verb, _)| *verb);
    find(word).or_else(|| gerund(word))
}

/// The verb of `replacing`, `putting`, `running`.
pub(super) fn gerund(word: &str) -> Option<Verb> {
    let find = |form: &str| VERBS.iter().find(|(_, forms)| forms.contains(&form)).map(|(verb, _)| *verb);
    let stem = word.strip_suffix("ing").filter(|stem| stem.len() > 1)?;
    let mut letters = stem.chars().rev();
    let doubled = letters.next() == letters.next();
    find(stem)
        .or_else(|| find(&format!("{stem}e")))
        .or_else(|| if doubled { find(stem.get(..stem.len() - 1)?) } else { None })
}

/// Words before the verb that carry no meaning here.
pub(super) const FILLERS: &[&str] = &[
    "please",
    "pls",
    "kindly",
    "now",
    "first",
    "firstly",
    "second",
    "secondly",
    "third",
    "next",
    "then",
    "also",
    "finally",
    "lastly",
    "afterwards",
    "after",
    "that",
    "and",
    "just",
    "simply",
    "could",
    "can",
    "would",
    "will",
    "you",
    "i",
    "we",
    "id",
    "i'd",
    "want",
    "like",
    "need",
    "to",
    "let's",
    "lets",
    "should",
    "must",
    "go",
    "ahead",
    "your",
    "task",
    "is",
    "hi",
    "hello",
    "hey",
    "ok",
    "okay",
    "additionally",
    "furthermore",
    "moreover",
    "remember",
    "by",
    "so",
    "it",
    "again",
    "quickly",
    "once",
    "done",
    "all",
    "there",
    "do",
    "the",
    "following",
    "here",
    "farhand",
    "again",
    "only",
    "be",
    "sure",
    "afterward",
    "subsequently",
    "too",
    "me",
    "for",
    "too",
];

/// Articles and determiners.
pub(super) const ARTICLES: &[&str] = &[
    "a",
    "an",
    "the",
    "this",
    "that",
    "its",
    "our",
    "my",
    "your",
    "one",
    "another",
    "new",
    "single",
    "empty",
    "small",
    "simple",
    "short",
    "text",
    "plain",
    "following",
    "exact",
    "literal",
    "extra",
    "last",
    "final",
    "first",
    "two",
    "three",
    "four",
    "some",
    "existing",
    "tiny",
];

/// Nouns that stand for content.
pub(super) const CONTENT_NOUNS: &[&str] = &[
    "line",
    "lines",
    "text",
    "content",
    "contents",
    "entry",
    "section",
    "heading",
    "note",
    "comment",
    "paragraph",
    "sentence",
    "word",
    "words",
    "string",
    "phrase",
    "code",
    "body",
    "value",
    "message",
    "bullet",
    "item",
    "row",
    "function",
    "title",
    "statement",
];

const WELL_KNOWN: &[&str] = &[
    "makefile",
    "dockerfile",
    "license",
    "readme",
    "changelog",
    "codeowners",
    "justfile",
    "procfile",
    "gemfile",
];

/// Whether this can be a path: an extension, a folder, or a well-known name.
pub(in crate::model) fn is_path(text: &str) -> bool {
    let allowed =
        |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '@' | '+' | '~' | '[' | ']');
    if text.is_empty() || text.len() > 200 || !text.chars().all(allowed) || text.starts_with('-') {
        return false;
    }
    let name = text.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    if WELL_KNOWN.contains(&name.to_lowercase().as_str())
        && name.chars().next().is_some_and(char::is_uppercase)
    {
        return true;
    }
    if text.contains('/') {
        let lower = text.to_lowercase();
        return !["and/or", "either/or", "n/a", "/"].contains(&lower.as_str())
            && text.chars().any(char::is_alphabetic);
    }
    match name.rsplit_once('.') {
        Some((stem, extension)) => {
            let short =
                (1..=10).contains(&extension.len()) && extension.chars().all(|c| c.is_ascii_alphanumeric());
            let abbreviation = ["e.g", "i.e", "a.m", "p.m", "u.s"].contains(&name.to_lowercase().as_str());
            let dotfile = stem.is_empty() && extension.len() > 1;
            short
                && !abbreviation
                && (dotfile || (!stem.is_empty() && extension.chars().any(|c| c.is_ascii_alphabetic())))
        }
        None => false,
    }
}
