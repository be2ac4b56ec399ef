//! Cuts a prompt into words, punctuation and literals (quoted text, code spans, fenced blocks).
//!
//! Literals are cut out first, so that nothing inside them is ever read as an instruction.

use std::ops::Range;

/// One piece of a prompt, with its place in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) range: Range<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Anything between white space that is none of the others.
    Word(String),
    /// Text in quotes or a code span.
    Literal(String),
    /// A fenced block.
    Block(String),
    /// `. , ; : ! ?` at the end of a word.
    Mark(char),
    /// End of a line; `blank` when an empty line follows.
    Break { blank: bool },
    /// A list item begins.
    Bullet,
}

impl Token {
    /// The word in lower case; empty for everything else.
    pub(super) fn word(&self) -> String {
        match &self.kind {
            Kind::Word(word) => word.to_lowercase(),
            Kind::Literal(_) | Kind::Block(_) | Kind::Mark(_) | Kind::Break { .. } | Kind::Bullet => {
                String::new()
            }
        }
    }

    /// The text of a literal or a block.
    pub(super) fn literal(&self) -> Option<&str> {
        match &self.kind {
            Kind::Literal(text) | Kind::Block(text) => Some(text),
            Kind::Word(_) | Kind::Mark(_) | Kind::Break { .. } | Kind::Bullet => None,
        }
    }

    /// The text of a word or a literal: what a path can be.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Literal(text) | Kind::Word(text) => Some(text),
            Kind::Block(_) | Kind::Mark(_) | Kind::Break { .. } | Kind::Bullet => None,
        }
    }

    pub(super) fn is_mark(&self, mark: char) -> bool {
        self.kind == Kind::Mark(mark)
    }

    pub(super) fn is_break(&self) -> bool {
        matches!(self.kind, Kind::Break { .. })
    }
}

/// Cuts `source` into tokens.
pub(super) fn tokenize(source: &str) -> Vec<Token> {
    let mut reader = Reader { source, at: 0, tokens: Vec::new(), line_start: true };
    while reader.at < source.len() {
        reader.step();
    }
    reader.tokens
}

struct Reader<'a> {
    source: &'a str,
    at: usize,
    tokens: Vec<Token>,
    line_start: bool,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn push(&mut self, kind: Kind, length: usize) {
        let range = self.at..self.at + length;
        self.at += length;
        self.line_start = false;
        self.tokens.push(Token { kind, range });
    }

    fn step(&mut self) {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return };
        if first == '\n' {
            let after = rest.get(1..).unwrap_or_default();
            let next_line = after.split('\n').next().unwrap_or_default();
            let blank = next_line.trim().is_empty();
            self.push(Kind::Break { blank }, 1);
            self.line_start = true;
            return;
        }
        if first.is_whitespace() {
            self.at += first.len_utf8();
            return;
        }
        if self.line_start {
            if let Some((text, length)) = fenced(rest) {
                self.push(Kind::Block(text), length);
                return;
            }
            if let Some(length) = bullet(rest) {
                self.push(Kind::Bullet, length);
                return;
            }
        }
        let before = self.source.get(..self.at).and_then(|text| text.chars().next_back());
        if let Some((text, length)) = quoted(rest, before) {
            self.push(Kind::Literal(text), length);
            return;
        }
        self.word();
    }

    fn word(&mut self) {
        let rest = self.rest();
        let mut end = rest.len();
        let mut before = None;
        for (index, c) in rest.char_indices() {
            let opens = index > 0
                && matches!(c, '`' | '"' | '“')
                && before.is_some_and(|b| matches!(b, ':' | '(' | '=' | ','));
            if c.is_whitespace() || opens {
                end = index;
                break;
            }
            before = Some(c);
        }
        let text = rest.get(..end).unwrap_or_default();
        let stripped = text.trim_end_matches(['.', ',', ';', ':', '!', '?']);
        let (word, marks) = text.split_at(stripped.len());
        let (word, marks) = (word.to_owned(), marks.to_owned());
        if !word.is_empty() {
            let length = word.len();
            let mut inner = word.trim_start_matches('(');
            if !inner.contains('(') {
                inner = inner.trim_end_matches(')');
            }
            let inner = inner.to_owned();
            if inner.is_empty() {
                self.at += length;
            } else {
                self.push(Kind::Word(inner), length);
            }
        }
        for mark in marks.chars() {
            self.push(Kind::Mark(mark), mark.len_utf8());
        }
    }
}

/// A fenced block: its content, and how long it is with its fences.
fn fenced(rest: &str) -> Option<(String, usize)> {
    let fence = ["```", "~~~"].into_iter().find(|fence| rest.starts_with(fence))?;
    let body_start = rest.find('\n')? + 1;
    // A second fence on the same line makes it a code span.
    if rest.get(3..body_start)?.contains(fence) {
        return None;
    }
    let body = rest.get(body_start..)?;
    let mut length = 0;
    for line in body.split_inclusive('\n') {
        if line.trim() == fence {
            let closing = line.trim_end_matches('\n').len();
            return Some((body.get(..length)?.to_owned(), body_start + length + closing));
        }
        length += line.len();
    }
    Some((body.to_owned(), rest.len()))
}

/// Length of a list mark at a line's start.
fn bullet(rest: &str) -> Option<usize> {
    for mark in ["- [ ] ", "- [x] ", "- ", "* ", "• ", "+ ", "– "] {
        if rest.starts_with(mark) {
            return Some(mark.len());
        }
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let after = rest.get(digits..)?;
    if (1..=3).contains(&digits)
        && (after.starts_with(". ") || after.starts_with(") ") || after.starts_with(": "))
    {
        return Some(digits + 2);
    }
    let lower = rest.get(..5)?.to_lowercase();
    if lower == "step " {
        let digits = rest.get(5..)?.bytes().take_while(u8::is_ascii_digit).count();
        let after = rest.get(5 + digits..)?;
        if digits > 0 && after.starts_with([':', '.', ')']) {
            return Some(5 + digits + 1);
        }
    }
    None
}

/// A quoted text or code span: its content, and how long it is with its quotes.
fn quoted(rest: &str, before: Option<char>) -> Option<(String, usize)> {
    if rest.starts_with('`') {
        let ticks = rest.bytes().take_while(|b| *b == b'`').count();
        let close = "`".repeat(ticks);
        let body = rest.get(ticks..)?;
        let length = body.find(&close)?;
        let inner = body.get(..length)?;
        // One space inside double ticks is there to allow a tick at the edge.
        let inner = if ticks > 1 {
            inner.strip_prefix(' ').and_then(|t| t.strip_suffix(' ')).unwrap_or(inner)
        } else {
            inner
        };
        return Some((inner.to_owned(), ticks + length + ticks));
    }
    let first = rest.chars().next()?;
    let close = match first {
        '"' => '"',
        '\'' => '\'',
        '“' | '„' => '”',
        '‘' => '’',
        '«' => '»',
        _ => return None,
    };
    if before.is_some_and(char::is_alphanumeric) {
        return None;
    }
    let start = first.len_utf8();
    let body = rest.get(start..)?;
    let mut escaped = false;
    let mut text = String::new();
    for (index, c) in body.char_indices() {
        if escaped {
            text.push(if c == close { c } else { '\\' });
            if c != close {
                text.push(c);
            }
            escaped = false;
            continue;
        }
        if c == '\\' && close.is_ascii() {
            escaped = true;
            continue;
        }
        let end = index + c.len_utf8();
        let closes = c == close || (first == '„' && c == '“');
        if closes && !body.get(end..)?.chars().next().is_some_and(char::is_alphanumeric) {
            return Some((text, start + end));
        }
        if c == '\n' && close == '\'' {
            return None;
        }
        text.push(c);
    }
    None
}
