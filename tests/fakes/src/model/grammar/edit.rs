//! Instructions on what is there: replace, delete, rename, copy, read.

use super::Instruction;
use super::place::{Context, Found, file_at, files, place, without};
use super::token::{Kind, Token};
use super::words::{ARTICLES, CONTENT_NOUNS, is_path};

const IN: &[&str] = &["in", "inside", "within", "of", "from", "at"];
const SEPARATORS: &[&str] =
    &["with", "by", "to", "for", "into", "->", "→", "=>", "instead", "not", "rather", "should", "as"];

/// `replace A with B in FILE` and its kin.
pub(super) fn replace(context: &Context<'_>, word: &str, rest: &[Token]) -> Vec<Instruction> {
    let found = place(context, rest, IN).or_else(|| leading_file(context, rest));
    let path = found.as_ref().map(|found| found.path.clone()).or_else(|| context.file.map(str::to_owned));
    let tokens = found.as_ref().map_or_else(|| rest.to_vec(), |found| without(rest, found));
    let Some((first, second, separator)) = pair(context, &tokens) else { return Vec::new() };
    // `substitute B for A`, `use B instead of A`: the new one comes first.
    let reversed = (word == "substitute" && separator == "for")
        || matches!(separator.as_str(), "instead" | "not" | "rather");
    if word == "use" && !reversed {
        return Vec::new();
    }
    let (old, new) = if reversed { (second, first) } else { (first, second) };
    if old.is_empty() || old == new {
        return Vec::new();
    }
    vec![Instruction::Replace { path, old, new, all: all(rest), line: false }]
}

fn all(rest: &[Token]) -> bool {
    rest.iter().any(|t| matches!(t.word().as_str(), "all" | "every" | "each" | "everywhere" | "occurrences"))
}

/// `update FILE: A -> B`, `edit FILE, A to B`.
fn leading_file(context: &Context<'_>, rest: &[Token]) -> Option<Found> {
    let found = file_at(&Context { prompt: context.prompt, file: None }, rest, 0)?;
    rest.get(found.end).filter(|t| t.is_mark(':') || t.is_mark(','))?;
    Some(found)
}

/// Two texts and the word between them.
fn pair(context: &Context<'_>, tokens: &[Token]) -> Option<(String, String, String)> {
    let at = tokens.iter().position(|t| t.literal().is_some());
    if let Some(at) = at
        && let Some(next) =
            tokens.iter().skip(at + 1).position(|t| t.literal().is_some()).map(|offset| at + 1 + offset)
    {
        let between = tokens.get(at + 1..next)?;
        let separator = between.iter().map(Token::word).find(|w| SEPARATORS.contains(&w.as_str()));
        let reversed =
            between.iter().map(Token::word).find(|w| matches!(w.as_str(), "instead" | "not" | "rather"));
        let first = tokens.get(at)?.literal()?.trim_end_matches('\n').to_owned();
        let second = tokens.get(next)?.literal()?.trim_end_matches('\n').to_owned();
        return Some((first, second, reversed.or(separator)?));
    }
    let separators = ["with", "by", "to", "->", "→", "=>", "into", "for"];
    let split = tokens.iter().position(|t| separators.contains(&t.word().as_str()))?;
    let before = tokens.get(..split)?;
    let skip = before.iter().take_while(|t| is_determiner(t)).count();
    let old = text(context, before.get(skip..)?);
    let after = tokens.get(split + 1..)?;
    let new = text(context, after);
    let separator = tokens.get(split)?.word();
    (!old.is_empty() && !new.is_empty() && old.split_whitespace().count() <= 6)
        .then_some((old, new, separator))
}

fn is_determiner(token: &Token) -> bool {
    let word = token.word();
    token.is_mark(',')
        || ARTICLES.contains(&word.as_str())
        || CONTENT_NOUNS.contains(&word.as_str())
        || matches!(
            word.as_str(),
            "all"
                | "every"
                | "each"
                | "occurrence"
                | "occurrences"
                | "of"
                | "variable"
                | "name"
                | "from"
                | "number"
        )
}

fn text(context: &Context<'_>, tokens: &[Token]) -> String {
    match tokens.first().and_then(Token::literal) {
        Some(literal) => literal.to_owned(),
        None => context.source(tokens).trim_end_matches([',', ' ', ':']).to_owned(),
    }
}

/// `A -> B in FILE`, `in FILE, A should be B`.
pub(super) fn described(context: &Context<'_>, rest: &[Token]) -> Vec<Instruction> {
    let arrow = rest.iter().any(|t| matches!(t.word().as_str(), "->" | "→" | "=>"));
    let should = rest.windows(2).any(|pair| {
        pair.first().is_some_and(|t| matches!(t.word().as_str(), "should" | "must"))
            && pair.get(1).is_some_and(|t| matches!(t.word().as_str(), "be" | "become" | "read" | "say"))
    });
    let literals = rest.iter().filter(|t| matches!(t.kind, Kind::Literal(_))).count();
    if (arrow || should) && literals >= 2 { replace(context, "change", rest) } else { Vec::new() }
}

/// `delete FILE`, `remove A from FILE`.
pub(super) fn delete(context: &Context<'_>, rest: &[Token]) -> Vec<Instruction> {
    if let Some(found) = place(context, rest, &["from", "in", "of"])
        && let Some(Kind::Literal(old)) =
            rest.get(..found.start).and_then(|t| t.iter().find(|t| t.literal().is_some())).map(|t| &t.kind)
    {
        let line =
            rest.iter().any(|t| matches!(t.word().as_str(), "line" | "lines" | "entry" | "bullet" | "row"));
        let replace = Instruction::Replace {
            path: Some(found.path),
            old: old.clone(),
            new: String::new(),
            all: all(rest),
            line,
        };
        return vec![replace];
    }
    let mut paths = files(rest);
    if paths.is_empty() {
        let named = rest.iter().position(|t| matches!(t.word().as_str(), "folder" | "directory" | "file"));
        let name = named
            .and_then(|at| rest.get(at + 1).or_else(|| rest.get(at.checked_sub(1)?)))
            .and_then(Token::text);
        paths
            .extend(name.filter(|name| !ARTICLES.contains(&name.to_lowercase().as_str())).map(str::to_owned));
    }
    if paths.is_empty() && rest.iter().take(2).any(|t| t.word() == "it") {
        paths.extend(context.file.map(str::to_owned));
    }
    paths.into_iter().map(|path| Instruction::Delete { path }).collect()
}

/// `rename FILE to FILE`; `rename NAME to NAME in FILE` is a replacement everywhere in it.
pub(super) fn rename(context: &Context<'_>, rest: &[Token]) -> Vec<Instruction> {
    match two_paths(rest) {
        Some((from, to)) => vec![Instruction::Rename { from, to }],
        None => {
            let mut found = replace(context, "rename", rest);
            for instruction in &mut found {
                if let Instruction::Replace { all, .. } = instruction {
                    *all = true;
                }
            }
            found
        }
    }
}

/// `copy FILE to FILE`.
pub(super) fn copy(rest: &[Token]) -> Vec<Instruction> {
    two_paths(rest).map(|(from, to)| vec![Instruction::Copy { from, to }]).unwrap_or_default()
}

fn two_paths(rest: &[Token]) -> Option<(String, String)> {
    let at = rest.iter().position(|t| matches!(t.word().as_str(), "to" | "into" | "as" | "->" | "→"))?;
    let from = files(rest.get(..at)?).into_iter().next()?;
    let after = rest.get(at + 1..)?;
    let to = files(after).into_iter().next().or_else(|| {
        let names_folder = after.iter().any(|t| matches!(t.word().as_str(), "folder" | "directory"));
        let word =
            after.iter().find(|t| t.text().is_some() && !ARTICLES.contains(&t.word().as_str()))?.text()?;
        Some(if names_folder { format!("{word}/") } else { word.to_owned() })
    })?;
    Some((from, to))
}

/// `read FILE`, `show me FILE`.
pub(super) fn read(context: &Context<'_>, rest: &[Token]) -> Vec<Instruction> {
    let mut paths: Vec<String> =
        rest.iter().filter_map(Token::text).filter(|text| is_path(text)).map(str::to_owned).collect();
    if paths.is_empty() && rest.first().is_some_and(|t| t.word() == "it") {
        paths.extend(context.file.map(str::to_owned));
    }
    paths.into_iter().map(|path| Instruction::Read { path }).collect()
}
