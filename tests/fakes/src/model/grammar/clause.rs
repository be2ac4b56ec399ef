//! Cuts a prompt's tokens into clauses, each with at most one instruction.
//!
//! A clause ends with a sentence, a list item, or before a connecting word that a verb follows (`… and run …`, `… by replacing …`).

use super::token::{Kind, Token, tokenize};
use super::words::{FILLERS, Verb, gerund, verb};

/// One clause: its verb when it begins with one, and what follows.
#[derive(Clone, Debug)]
pub(super) struct Clause {
    pub(super) verb: Option<(Verb, String)>,
    pub(super) negated: bool,
    /// Without verb and fillers.
    pub(super) rest: Vec<Token>,
    /// As written.
    pub(super) source: String,
}

/// Cuts a prompt into clauses.
pub(super) fn clauses(prompt: &str) -> Vec<Clause> {
    let tokens = join_content(prompt, tokenize(prompt));
    let mut found = Vec::new();
    let mut open: Vec<Token> = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let next = tokens.get(index + 1..).unwrap_or_default();
        match &token.kind {
            Kind::Mark('.' | '!' | '?' | ';') => close(prompt, &mut open, &mut found),
            Kind::Bullet => close(prompt, &mut open, &mut found),
            Kind::Break { blank } => {
                let attached = matches!(next.first().map(|t| &t.kind), Some(Kind::Block(_)))
                    || (*blank && matches!(next.get(1).map(|t| &t.kind), Some(Kind::Block(_))));
                let goes_on = next
                    .first()
                    .is_some_and(|t| ["with", "by", "to", "in", "into"].contains(&t.word().as_str()));
                let block = matches!(open.last().map(|t| &t.kind), Some(Kind::Block(_)));
                let ended = open.last().is_some_and(|t| t.is_mark(':')) || (block && !goes_on);
                if !attached && (*blank || ended || starts_instruction(next)) {
                    close(prompt, &mut open, &mut found);
                }
            }
            Kind::Word(_) if !open.is_empty() && connects(token, next, &open) => {
                close(prompt, &mut open, &mut found)
            }
            Kind::Mark(',' | ':')
                if !open.is_empty() && !awaits_content(&open) && starts_instruction(next) =>
            {
                close(prompt, &mut open, &mut found);
            }
            Kind::Word(_) | Kind::Literal(_) | Kind::Block(_) | Kind::Mark(_) => open.push(token.clone()),
        }
    }
    close(prompt, &mut open, &mut found);
    found
}

/// Unquoted lines under `…containing:` are one literal, up to the next empty line.
fn join_content(prompt: &str, tokens: Vec<Token>) -> Vec<Token> {
    let mut joined: Vec<Token> = Vec::new();
    let mut rest = tokens.as_slice();
    while let Some((token, after)) = rest.split_first() {
        rest = after;
        let colon = joined.last().is_some_and(|t| t.is_mark(':'));
        let plain = matches!(after.first().map(|t| &t.kind), Some(Kind::Word(_)));
        let asks = asks_for_content(&joined);
        joined.push(token.clone());
        if !(token.kind == Kind::Break { blank: false } && colon && asks && plain)
            || starts_instruction(after)
        {
            continue;
        }
        let count = after.iter().position(|t| t.kind == Kind::Break { blank: true }).unwrap_or(after.len());
        let (content, beyond) = after.split_at(count);
        if let (Some(first), Some(last)) = (content.first(), content.last()) {
            let range = first.range.start..last.range.end;
            let text = format!("{}\n", prompt.get(range.clone()).unwrap_or_default());
            joined.pop();
            joined.push(Token { kind: Kind::Block(text), range });
        }
        rest = beyond;
    }
    joined
}

/// Whether the open sentence speaks of a content that has not come yet.
fn asks_for_content(tokens: &[Token]) -> bool {
    let sentence = tokens.iter().rev().take_while(|t| !t.is_break()).map(Token::word);
    let words: Vec<String> = sentence.collect();
    words.iter().any(|w| matches!(verb(w), Some(Verb::Create | Verb::Append | Verb::Prepend)))
}

/// `create a.txt with content:` waits for what is behind its colon.
fn awaits_content(open: &[Token]) -> bool {
    let last = open.last().map(Token::word).unwrap_or_default();
    [
        "content",
        "contents",
        "text",
        "line",
        "lines",
        "containing",
        "saying",
        "with",
        "says",
        "say",
        "reply",
        "answer",
    ]
    .contains(&last.as_str())
}

/// Whether an instruction begins here, perhaps after fillers.
fn starts_instruction(tokens: &[Token]) -> bool {
    for (index, token) in tokens.iter().enumerate().take(8) {
        let word = token.word();
        if matches!(token.kind, Kind::Bullet) {
            return true;
        }
        if word.is_empty() {
            return false;
        }
        if is_verb_at(tokens, index) || matches!(word.as_str(), "don't" | "dont" | "never") {
            return true;
        }
        if !FILLERS.contains(&word.as_str()) || matches!(word.as_str(), "the" | "it" | "that" | "for" | "all")
        {
            return false;
        }
    }
    false
}

/// A word is the verb of an instruction when what follows can be its object.
fn is_verb_at(tokens: &[Token], index: usize) -> bool {
    let Some(word) = tokens.get(index).map(Token::word) else { return false };
    let Some(found) = verb(&word) else { return false };
    let next = tokens.get(index + 1);
    let next_word = next.map(Token::word).unwrap_or_default();
    match found {
        // `test passes`, `changes are`, `copy of`: nouns.
        Verb::Check
        | Verb::Copy
        | Verb::List
        | Verb::Read
        | Verb::Use
        | Verb::Create
        | Verb::Replace
        | Verb::Run
        | Verb::Delete => !matches!(
            next_word.as_str(),
            "is" | "are" | "was" | "of" | "fails" | "passes" | "should" | "must" | "suite" | "has" | "and"
        ),
        Verb::Append | Verb::Prepend | Verb::Rename | Verb::Say | Verb::Commit | Verb::Publish => true,
    }
}

/// `and`, `then`, `by`, `to` and the like end a clause when a verb follows.
fn connects(token: &Token, next: &[Token], open: &[Token]) -> bool {
    let word = token.word();
    let follows = |skip: usize| is_verb_at(next, skip);
    let next_word = next.first().map(Token::word).unwrap_or_default();
    match word.as_str() {
        "then" | "afterwards" | "finally" | "lastly" => starts_instruction(next),
        "and" | "&" => {
            follows(0)
                || (["then", "also", "finally", "please", "afterwards"].contains(&next_word.as_str())
                    && follows(1))
        }
        "by" => gerund(&next_word).is_some(),
        // `edit FILE to replace A with B`, but not `write A to FILE` or `run A to check B`.
        "to" => {
            let first = open.iter().map(Token::word).find_map(|w| verb(&w));
            follows(0)
                && matches!(first, Some(Verb::Replace))
                && !matches!(next_word.as_str(), "read" | "say" | "show" | "print" | "use")
        }
        _ => false,
    }
}

fn close(prompt: &str, open: &mut Vec<Token>, found: &mut Vec<Clause>) {
    let tokens = std::mem::take(open);
    let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { return };
    let source = prompt.get(first.range.start..last.range.end).unwrap_or_default().to_owned();
    found.push(read(tokens, source));
}

/// Finds the verb behind the fillers; a place before it (`in FILE replace …`) stays in front of the rest.
fn read(tokens: Vec<Token>, source: String) -> Clause {
    let mut negated = false;
    let opens_with_place = tokens
        .first()
        .is_some_and(|t| ["in", "inside", "within", "to", "at", "from"].contains(&t.word().as_str()));
    for (index, token) in tokens.iter().enumerate() {
        let word = token.word();
        negated = negated || ["don't", "dont", "not", "never", "without", "avoid"].contains(&word.as_str());
        if is_verb_at(&tokens, index)
            && let Some(found) = verb(&word)
        {
            // `make sure that COMMAND passes`
            let sure = tokens.get(index + 1).is_some_and(|t| matches!(t.word().as_str(), "sure" | "certain"));
            let found = if sure { Verb::Check } else { found };
            let mut rest: Vec<Token> = tokens.get(index + 1..).unwrap_or_default().to_vec();
            if opens_with_place {
                rest.extend(tokens.get(..index).unwrap_or_default().iter().cloned());
            }
            return Clause { verb: Some((found, base(&word))), negated, rest, source };
        }
        let skippable = FILLERS.contains(&word.as_str()) || negated || opens_with_place || token.is_mark(',');
        if !skippable {
            break;
        }
    }
    Clause { verb: None, negated, rest: tokens, source }
}

/// `adding` → `add`, where the grammar asks for the very word.
fn base(word: &str) -> String {
    match word {
        "adding" => "add".to_owned(),
        "substituting" => "substitute".to_owned(),
        other => other.to_owned(),
    }
}
