//! Which repository a message is about: what it says, else what its channel is for, else the only one, else the model's word, else words
//! in common; and where none of that is sure, the person is asked.
//!
//! Candidates are the repositories that this very user may push to. Nothing that is not one of them is ever the answer, whatever a message,
//! a thread, a description or a model says.

mod explicit;
mod model;
mod words;

pub use model::{MODEL_USUAL, Verdict, parse_verdict, request};
pub use words::{CONFIDENCE_MIN, score};

use protocol::id::RepositoryId;
use serde_json::Value;

/// A repository that the user may work on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// `owner/name`.
    pub id: RepositoryId,
    /// As at the code host, or as people put it here.
    pub description: String,
    /// What people say that it is about.
    pub hints: Vec<String>,
    /// Ids (or names) of channels that are about it.
    pub channels: Vec<String>,
}

impl Candidate {
    /// A repository of which only the code host has told.
    #[must_use]
    pub fn new(id: RepositoryId, description: String) -> Self {
        Self { id, description, hints: Vec::new(), channels: Vec::new() }
    }

    /// Adds what people say of it: a description that stands before the code host's, words (one to a line), and channels (a JSON array).
    pub fn hear(&mut self, description: &str, words: &str, channels: &str) {
        if !description.is_empty() {
            description.clone_into(&mut self.description);
        }
        let words = words.lines().map(str::trim).filter(|word| !word.is_empty());
        self.hints.extend(words.map(str::to_owned));
        self.channels.extend(serde_json::from_str::<Vec<String>>(channels).unwrap_or_default());
    }
}

/// What is known of a message.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Its text.
    pub text: &'a str,
    /// Name of its channel; empty where it is not known.
    pub channel: &'a str,
    /// Id of its channel.
    pub channel_id: &'a str,
    /// What was said before.
    pub before: &'a [String],
}

/// How the repository was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The message names it.
    Name,
    /// The channel is about it.
    Channel,
    /// There is no other.
    Only,
    /// The model said so.
    Model,
    /// It has words in common with the message.
    Words,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Work there.
    Work(RepositoryId, By),
    /// Ask the model; with nothing to ask, or no answer, [`by_words`] decides.
    AskModel,
    /// Ask the person.
    AskPerson {
        /// Why.
        reason: String,
        /// To choose from, the likeliest first.
        choices: Vec<RepositoryId>,
    },
}

/// Decides as far as that takes no model.
#[must_use]
pub fn decide(question: &Question<'_>, candidates: &[Candidate]) -> Decision {
    if candidates.is_empty() {
        let reason = "You have no repository at the code host that you can push to; ask for access to one.";
        return Decision::AskPerson { reason: reason.to_owned(), choices: Vec::new() };
    }
    match explicit::find(question.text, candidates) {
        explicit::Named::One(id) => return Decision::Work(id, By::Name),
        explicit::Named::Stranger(name) => {
            let reason = format!(
                "I cannot work on {name}: there is no such repository that you can push to. Which one do you mean?"
            );
            return ask(reason, question, candidates);
        }
        explicit::Named::Several => {
            return ask("You name several repositories; which one is it?".to_owned(), question, candidates);
        }
        explicit::Named::None => {}
    }
    let is_channel = |candidate: &&Candidate| {
        let is_it = |known: &String| {
            known == question.channel_id
                || (!question.channel.is_empty()
                    && known.trim_start_matches('#').eq_ignore_ascii_case(question.channel))
        };
        candidate.channels.iter().any(is_it)
    };
    if let [one] = candidates.iter().filter(is_channel).collect::<Vec<_>>().as_slice() {
        return Decision::Work(one.id.clone(), By::Channel);
    }
    if let [only] = candidates {
        return Decision::Work(only.id.clone(), By::Only);
    }
    Decision::AskModel
}

/// Decides by a model's answer where there is one that is sure, and by words where there is none.
#[must_use]
pub fn by_model(question: &Question<'_>, candidates: &[Candidate], answer: Option<&Value>) -> Decision {
    match answer.and_then(|answer| parse_verdict(answer, candidates)) {
        Some(Verdict::Sure(id)) => Decision::Work(id, By::Model),
        Some(Verdict::Unsure(likely)) => {
            let mut decision = ask("Which repository is this about?".to_owned(), question, candidates);
            if let (Decision::AskPerson { choices, .. }, Some(id)) = (&mut decision, likely) {
                choices.retain(|choice| *choice != id);
                choices.insert(0, id);
            }
            decision
        }
        None => by_words(question, candidates),
    }
}

/// Decides by words in common.
#[must_use]
pub fn by_words(question: &Question<'_>, candidates: &[Candidate]) -> Decision {
    match score(question, candidates).first() {
        Some((id, confidence)) if *confidence >= CONFIDENCE_MIN => Decision::Work(id.clone(), By::Words),
        Some(_) | None => ask("Which repository is this about?".to_owned(), question, candidates),
    }
}

fn ask(reason: String, question: &Question<'_>, candidates: &[Candidate]) -> Decision {
    let mut choices: Vec<RepositoryId> = score(question, candidates).into_iter().map(|(id, _)| id).collect();
    for candidate in candidates {
        if !choices.contains(&candidate.id) {
            choices.push(candidate.id.clone());
        }
    }
    Decision::AskPerson { reason, choices }
}

#[cfg(test)]
mod tests;
