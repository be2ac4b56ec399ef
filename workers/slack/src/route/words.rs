//! The fallback without a model: how many rare words a message has in common with a repository's name, hints and description.
//!
//! Deterministic. A word counts the less the more repositories have it, and once for each repository however often it stands there, so that
//! a description full of words wins nothing by its length.

use super::{Candidate, Question};
use protocol::id::RepositoryId;
use std::collections::BTreeMap;

/// From this confidence on it is acted on; chosen on the tuning half of the labelled set.
pub const CONFIDENCE_MIN: f64 = 0.62;
/// Weights of where a word stands.
const NAME: f64 = 3.0;
const HINT: f64 = 2.5;
const DESCRIPTION: f64 = 1.0;
/// Of a word in the channel's name, and of one that was said before.
const CHANNEL: f64 = 0.8;
const BEFORE: f64 = 0.4;
/// Less than this in common is too little to be sure.
const SCORE_SURE: f64 = 2.0;
/// Different words of a description that count.
const DESCRIPTION_WORDS_MAX: usize = 40;

const STOP: &[&str] = &[
    "the",
    "a",
    "an",
    "and",
    "or",
    "of",
    "to",
    "in",
    "on",
    "for",
    "with",
    "is",
    "are",
    "was",
    "be",
    "it",
    "its",
    "this",
    "that",
    "these",
    "we",
    "our",
    "you",
    "your",
    "i",
    "my",
    "me",
    "can",
    "could",
    "please",
    "should",
    "would",
    "when",
    "where",
    "what",
    "why",
    "how",
    "not",
    "no",
    "do",
    "does",
    "don",
    "t",
    "s",
    "have",
    "has",
    "had",
    "at",
    "as",
    "by",
    "from",
    "into",
    "if",
    "so",
    "but",
    "all",
    "any",
    "some",
    "there",
    "they",
    "them",
    "up",
    "out",
    "get",
    "fix",
    "add",
    "make",
    "change",
    "update",
    "remove",
    "use",
    "new",
    "need",
    "want",
    "after",
    "before",
    "still",
    "just",
    "again",
    "one",
    "more",
    "than",
    "also",
    "bug",
    "issue",
    "broken",
    "wrong",
    "work",
    "works",
    "working",
    "look",
    "help",
    "app",
    "code",
    "acme",
    "service",
    "repo",
    "repository",
    "instead",
    "every",
    "only",
    "about",
    "over",
    "now",
    "then",
    "while",
    "let",
    "show",
    "shows",
];

/// Candidates that have something in common with the message, the likeliest first, each with how sure that is from 0 to 1.
#[must_use]
pub fn score(question: &Question<'_>, candidates: &[Candidate]) -> Vec<(RepositoryId, f64)> {
    let documents: Vec<BTreeMap<String, f64>> = candidates.iter().map(document).collect();
    let mut asked: BTreeMap<String, f64> = BTreeMap::new();
    let mut weigh = |text: &str, weight: f64| {
        for word in words(text) {
            let known = asked.entry(word).or_insert(0.0);
            *known = known.max(weight);
        }
    };
    weigh(question.text, 1.0);
    weigh(question.channel, CHANNEL);
    for said in question.before {
        weigh(said, BEFORE);
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of repositories")]
    let count = |number: usize| number as f64;
    let mut scores: Vec<(RepositoryId, f64)> = Vec::new();
    for (candidate, document) in candidates.iter().zip(&documents) {
        let mut sum = 0.0;
        for (word, weight) in &asked {
            if let Some(found) = weight_of(document, word) {
                let having = documents.iter().filter(|document| weight_of(document, word).is_some()).count();
                let rarity =
                    (1.0 + count(documents.len()) / count(having)).ln() / (1.0 + count(documents.len())).ln();
                sum += weight * found * rarity * rarity;
            }
        }
        if sum > 0.0 {
            scores.push((candidate.id.clone(), sum));
        }
    }
    scores.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
    let best = scores.first().map_or(0.0, |(_, score)| *score);
    let second = scores.get(1).map_or(0.0, |(_, score)| *score);
    let enough = (best / SCORE_SURE).min(1.0);
    for (place, (_, score)) in scores.iter_mut().enumerate() {
        let rival = if place == 0 { second } else { best };
        *score = enough * *score / (*score + rival);
    }
    scores
}

fn document(candidate: &Candidate) -> BTreeMap<String, f64> {
    let mut document = BTreeMap::new();
    let mut put = |word: String, weight: f64| {
        let known = document.entry(word).or_insert(0.0);
        *known = f64::max(*known, weight);
    };
    let id = candidate.id.as_str();
    words(id.split_once('/').map_or(id, |(_, name)| name)).into_iter().for_each(|word| put(word, NAME));
    for hint in &candidate.hints {
        words(hint).into_iter().for_each(|word| put(word, HINT));
    }
    words(&candidate.description)
        .into_iter()
        .take(DESCRIPTION_WORDS_MAX)
        .for_each(|word| put(word, DESCRIPTION));
    document
}

/// The word itself, or a longer or shorter form of it.
fn weight_of(document: &BTreeMap<String, f64>, word: &str) -> Option<f64> {
    if let Some(weight) = document.get(word) {
        return Some(*weight);
    }
    let is_form = |a: &str, b: &str| a.len() >= 5 && b.starts_with(a) && b.len() <= a.len() + 3;
    let form = document.iter().find(|(known, _)| is_form(known, word) || is_form(word, known));
    form.map(|(_, weight)| weight * 0.8)
}

/// Words without case, endings and what stands everywhere; each once.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for piece in text.split(|c: char| !c.is_alphanumeric()) {
        let word = piece.to_lowercase();
        if word.chars().count() < 2 || STOP.contains(&word.as_str()) {
            continue;
        }
        let word = stem(&word);
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

/// Takes the commonest English endings off.
fn stem(word: &str) -> String {
    for ending in ["ing", "ies", "ed", "es", "s"] {
        if let Some(stem) = word.strip_suffix(ending)
            && stem.chars().count() >= 3
            && !stem.ends_with('s')
        {
            return if ending == "ies" { format!("{stem}y") } else { stem.to_owned() };
        }
    }
    word.to_owned()
}
