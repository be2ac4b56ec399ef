//! Instructions that bring content: create, write, add, append, prepend, say.

use super::Instruction;
use super::place::{Context, Found, file_at, place};
use super::token::{Kind, Token};
use super::words::{ARTICLES, CONTENT_NOUNS, is_path};

const MARKERS: &[&str] = &[
    "with",
    "containing",
    "contains",
    "contain",
    "says",
    "saying",
    "say",
    "reading",
    "reads",
    "read",
    "having",
    "has",
    "have",
    "holding",
    "holds",
    "including",
    "includes",
    "include",
    "whose",
    "is",
    "be",
    "equal",
    "prints",
];
const INTO: &[&str] = &["to", "into", "in", "inside", "onto", "at", "as", "under"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Whole,
    End,
    Beginning,
}

fn instruction(at: At, path: String, content: String) -> Instruction {
    match at {
        At::Whole => Instruction::Write { path, content },
        At::End => Instruction::Append { path, content },
        At::Beginning => Instruction::Prepend { path, content },
    }
}

/// `create`, `write`, `add`, `put`, …
pub(super) fn create(context: &Context<'_>, word: &str, rest: &[Token]) -> Vec<Instruction> {
    if let Some(found) = folder(rest) {
        return found;
    }
    let adds = matches!(word, "add" | "insert" | "put" | "place");
    let first_is_file = file_at(context, rest, 0)
        .filter(|found| Some(found.path.as_str()) != context.file || names_file(rest, found));
    if let Some(target) = place(context, rest, INTO)
        && first_is_file.as_ref().is_none_or(|first| quoted_content(rest, first, &target))
    {
        let at = position(rest, if adds && word != "put" && word != "place" { At::End } else { At::Whole });
        let at = if matches!(word, "put" | "place") && mentions(rest, &["line", "entry", "end", "bottom"]) {
            position(rest, At::End)
        } else {
            at
        };
        return placed(context, rest, target, at);
    }
    match first_is_file {
        Some(first) => created(context, rest, first),
        None => Vec::new(),
    }
}

fn names_file(rest: &[Token], found: &Found) -> bool {
    rest.get(found.start..found.end)
        .unwrap_or_default()
        .iter()
        .filter_map(Token::text)
        .any(|text| text.ends_with(&found.path))
}

/// `write "v1.2" to version.txt`: the quoted first part is content although it could be a path.
fn quoted_content(rest: &[Token], first: &Found, target: &Found) -> bool {
    let direct = rest.first().is_some_and(|t| matches!(t.kind, Kind::Literal(_)));
    direct
        && first.end <= target.start + 1
        && first.path != target.path
        && rest.get(first.end).is_none_or(|t| INTO.contains(&t.word().as_str()))
}

fn mentions(rest: &[Token], words: &[&str]) -> bool {
    rest.iter().any(|token| words.contains(&token.word().as_str()))
}

fn position(rest: &[Token], default: At) -> At {
    let has = |words: &[&str]| {
        rest.windows(2).any(|pair| {
            pair.first().is_some_and(|t| matches!(t.word().as_str(), "the" | "at" | "very"))
                && pair.get(1).is_some_and(|t| words.contains(&t.word().as_str()))
        })
    };
    if has(&["top", "start", "beginning", "front"]) {
        At::Beginning
    } else if has(&["end", "bottom"]) {
        At::End
    } else {
        default
    }
}

/// `add CONTENT to FILE`, or `add a line to FILE saying CONTENT`.
fn placed(context: &Context<'_>, rest: &[Token], target: Found, at: At) -> Vec<Instruction> {
    let before = rest.get(..target.start).unwrap_or_default();
    let after = rest.get(target.end..).unwrap_or_default();
    let content = content(context, after, Need::Marker).or_else(|| content(context, before, Need::Nothing));
    match content {
        Some(content) => vec![instruction(at, target.path, content)],
        None => Vec::new(),
    }
}

/// `create FILE [in FOLDER] [with CONTENT]`, also for several files.
fn created(context: &Context<'_>, rest: &[Token], first: Found) -> Vec<Instruction> {
    let mut files = vec![first];
    let mut found = Vec::new();
    loop {
        let end = files.last().map_or(0, |file| file.end);
        let joins = |index: usize| rest.get(index).is_some_and(|t| t.is_mark(',') || t.word() == "and");
        let mut next = end;
        while joins(next) {
            next += 1;
        }
        let Some(file) = (next > end).then(|| file_at(context, rest, next)).flatten() else { break };
        files.push(file);
    }
    let end = files.last().map_or(0, |file| file.end);
    let (directory, end) = in_folder(rest, end);
    let after = rest.get(end..).unwrap_or_default();
    let (own, beyond) = match next_file(context, after) {
        Some(split) => (after.get(..split).unwrap_or_default(), after.get(split..).unwrap_or_default()),
        None => (after, [].as_slice()),
    };
    let text = content(context, own, Need::Nothing).unwrap_or_default();
    for file in files {
        let path = match &directory {
            Some(directory) => format!("{}/{}", directory.trim_end_matches('/'), file.path),
            None => file.path,
        };
        found.push(Instruction::Write { path, content: text.clone() });
    }
    if !beyond.is_empty() {
        let skip = beyond.iter().take_while(|t| t.is_mark(',') || t.word() == "and").count();
        let beyond = beyond.get(skip..).unwrap_or_default();
        if let Some(first) = file_at(context, beyond, 0) {
            found.extend(created(context, beyond, first));
        }
    }
    found
}

/// `… and b.txt with "2"`: where the next file of the list begins.
fn next_file(context: &Context<'_>, after: &[Token]) -> Option<usize> {
    after.iter().enumerate().find_map(|(index, token)| {
        let joins = token.is_mark(',') || token.word() == "and";
        let skip = usize::from(after.get(index + 1).is_some_and(|t| t.word() == "and"));
        let file = joins.then(|| file_at(context, after, index + 1 + skip)).flatten()?;
        let marked =
            after.get(file.end).is_some_and(|t| MARKERS.contains(&t.word().as_str()) || t.is_mark(':'));
        (marked && index > 0).then_some(index)
    })
}

fn in_folder(rest: &[Token], end: usize) -> (Option<String>, usize) {
    if !rest.get(end).is_some_and(|t| ["in", "inside", "under", "into"].contains(&t.word().as_str())) {
        return (None, end);
    }
    let mut at = end + 1;
    let mut folder = None;
    while let Some(token) = rest.get(at) {
        let word = token.word();
        if ARTICLES.contains(&word.as_str())
            || ["directory", "folder", "called", "named"].contains(&word.as_str())
        {
            at += 1;
            continue;
        }
        match token.text() {
            Some(text) if folder.is_none() && !MARKERS.contains(&word.as_str()) => {
                folder = Some(text.to_owned());
                at += 1;
            }
            Some(_) | None => break,
        }
    }
    let root = ["root", "repository", "repo", "project", "workspace"];
    match folder {
        Some(folder) if root.contains(&folder.to_lowercase().as_str()) => {
            while rest
                .get(at)
                .is_some_and(|t| ["of", "the", "repository", "repo", "project"].contains(&t.word().as_str()))
            {
                at += 1;
            }
            (None, at)
        }
        other => (other, at),
    }
}

/// `create a folder X`.
fn folder(rest: &[Token]) -> Option<Vec<Instruction>> {
    let at = rest.iter().take(4).position(|t| matches!(t.word().as_str(), "folder" | "directory"))?;
    if rest.get(..at)?.iter().any(|t| t.text().is_some_and(is_path)) {
        return None;
    }
    let name = rest
        .get(at + 1..)?
        .iter()
        .find(|t| t.text().is_some() && !["called", "named"].contains(&t.word().as_str()))
        .and_then(Token::text)?;
    Some(vec![Instruction::Run { command: format!("mkdir -p {}", super::command::quote(name)) }])
}

/// `append CONTENT to FILE`, `append to FILE: CONTENT`.
pub(super) fn append(context: &Context<'_>, rest: &[Token]) -> Vec<Instruction> {
    joined(context, rest, At::End)
}

/// `prepend CONTENT to FILE`.
pub(super) fn prepend(context: &Context<'_>, rest: &[Token]) -> Vec<Instruction> {
    joined(context, rest, At::Beginning)
}

fn joined(context: &Context<'_>, rest: &[Token], at: At) -> Vec<Instruction> {
    if let Some(target) = place(context, rest, INTO) {
        let before = rest.get(..target.start).unwrap_or_default();
        let after = rest.get(target.end..).unwrap_or_default();
        let found =
            content(context, before, Need::Nothing).or_else(|| content(context, after, Need::Nothing));
        return found.map(|content| vec![instruction(at, target.path, content)]).unwrap_or_default();
    }
    match (context.file, content(context, rest, Need::Nothing)) {
        (Some(file), Some(content)) => vec![instruction(at, file.to_owned(), content)],
        (None, _) | (_, None) => Vec::new(),
    }
}

/// `say CONTENT`.
pub(super) fn say(context: &Context<'_>, rest: &[Token]) -> Vec<Instruction> {
    let skip = rest
        .iter()
        .take_while(|t| t.is_mark(':') || ["with", "to", "me", "only", "just"].contains(&t.word().as_str()))
        .count();
    let rest = rest.get(skip..).unwrap_or_default();
    let text = match rest.first().and_then(Token::literal) {
        Some(text) => text.to_owned(),
        None => context.source(rest),
    };
    if text.trim().is_empty() { Vec::new() } else { vec![Instruction::Say { text }] }
}

/// `FILE:` and a block; `it should contain CONTENT`.
pub(super) fn described(context: &Context<'_>, rest: &[Token]) -> Vec<Instruction> {
    if let (Some(file), Some(block)) = (file_at(context, rest, 0), rest.last())
        && let Kind::Block(text) = &block.kind
        && rest.len() <= file.end + 3
    {
        return vec![Instruction::Write { path: file.path, content: text.clone() }];
    }
    let words: Vec<String> = rest.iter().map(Token::word).collect();
    let subject =
        words.iter().take(4).any(|w| matches!(w.as_str(), "it" | "its" | "file" | "content" | "contents"))
            || rest.first().and_then(Token::text).is_some_and(is_path);
    let modal = words.iter().position(|w| matches!(w.as_str(), "should" | "must" | "shall" | "needs"));
    if let (true, Some(modal)) = (subject, modal)
        && words.get(modal + 1).is_some_and(|w| MARKERS.contains(&w.as_str()))
        && let Some(path) =
            file_at(context, rest, 0).map(|f| f.path).or_else(|| context.file.map(str::to_owned))
        && let Some(content) = content(context, rest.get(modal + 1..).unwrap_or_default(), Need::Marker)
    {
        return vec![Instruction::Write { path, content }];
    }
    Vec::new()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Content only behind `with`, `saying`, `:`.
    Marker,
    /// Content even when it just stands there.
    Nothing,
}

/// The content that a part of a clause names, with its line end.
fn content(context: &Context<'_>, tokens: &[Token], need: Need) -> Option<String> {
    let raw_newline = !(mentions(tokens, &["newline"]) && mentions(tokens, &["without", "no"]));
    let mut rest = tokens;
    let mut marked = false;
    let mut verbatim = false;
    while let Some((token, after)) = rest.split_first() {
        let word = token.word();
        let next_is_content = after.first().is_some_and(|t| t.literal().is_some());
        if token.literal().is_some() {
            break;
        }
        let marker = MARKERS.contains(&word.as_str())
            || token.is_mark(':')
            || matches!(word.as_str(), "that" | "which" | "should" | "it" | "in" | "each" | "both");
        let filler = CONTENT_NOUNS.contains(&word.as_str())
            || token.is_mark(',')
            || matches!(
                word.as_str(),
                "of" | "just" | "only" | "exactly" | "inside" | "as" | "its" | "markdown" | "comment"
            );
        let article = ARTICLES.contains(&word.as_str())
            && (next_is_content || after.iter().take(3).any(|t| CONTENT_NOUNS.contains(&t.word().as_str())));
        // Behind a colon every word is content, but for a noun that leads to a literal.
        if verbatim && !(filler && next_is_content) {
            break;
        }
        if !marker && !filler && !article {
            break;
        }
        marked |= MARKERS.contains(&word.as_str()) || token.is_mark(':');
        verbatim |= token.is_mark(':');
        rest = after;
    }
    if need == Need::Marker && !marked && rest.first().is_none_or(|t| t.literal().is_none()) {
        return None;
    }
    let text = literals(rest).unwrap_or_else(|| context.source(rest));
    let text = text.trim_end_matches([' ', ',']).to_owned();
    if text.is_empty() {
        return None;
    }
    Some(if raw_newline && !text.ends_with('\n') { format!("{text}\n") } else { text })
}

/// One literal, or several joined by `and`: a line each.
fn literals(tokens: &[Token]) -> Option<String> {
    tokens.first()?.literal()?;
    let mut lines = Vec::new();
    for token in tokens {
        match token.literal() {
            Some(text) => lines.push(text.trim_end_matches('\n')),
            None if token.is_mark(',') || token.word() == "and" => {}
            None => break,
        }
    }
    Some(match tokens.first().map(|t| &t.kind) {
        Some(Kind::Block(text)) if lines.len() == 1 => text.clone(),
        _ => lines.join("\n"),
    })
}
