//! What a prompt literally asks for, as a list of instructions in order.
//!
//! The grammar is English as people write it to an agent: files created, changed, moved, removed; commands run. It never guesses
//! what was meant: what it cannot read word by word is left out, and the model says so.

mod clause;
pub(super) mod command;
mod content;
mod edit;
mod place;
#[cfg(test)]
mod tests;
mod token;
mod words;

use clause::{Clause, clauses};
use words::Verb;
pub(super) use words::is_path;

/// One thing that a prompt asks for. Paths are as written, relative to the working directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// The file has this content afterwards.
    Write {
        /// Where.
        path: String,
        /// All of it.
        content: String,
    },
    /// The content stands at the end of the file, which need not exist.
    Append {
        /// Where.
        path: String,
        /// With its line end.
        content: String,
    },
    /// The content stands at the beginning of the file.
    Prepend {
        /// Where.
        path: String,
        /// With its line end.
        content: String,
    },
    /// A text is replaced by another one.
    Replace {
        /// Where; found by searching when the prompt does not say.
        path: Option<String>,
        /// As it stands in the file.
        old: String,
        /// Instead; empty to remove it.
        new: String,
        /// Whether every occurrence is meant.
        all: bool,
        /// Whether the text is a line, which goes with its line end when it is removed.
        line: bool,
    },
    /// Files or folders are gone afterwards.
    Delete {
        /// Which.
        path: String,
    },
    /// A file is somewhere else afterwards.
    Rename {
        /// Before.
        from: String,
        /// After.
        to: String,
    },
    /// A file is at a second place afterwards.
    Copy {
        /// Before.
        from: String,
        /// The second place.
        to: String,
    },
    /// A command has run.
    Run {
        /// For `sh`.
        command: String,
    },
    /// A file was looked at.
    Read {
        /// Which.
        path: String,
    },
    /// A text is answered.
    Say {
        /// Which.
        text: String,
    },
}

/// What a prompt asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// In order.
    pub instructions: Vec<Instruction>,
    /// Whether the prompt says that nothing is to be changed.
    pub hands_off: bool,
    /// Whether it asks for what Farhand does by itself (push, pull request).
    pub asks_to_publish: bool,
    /// Sentences that begin like an instruction and could not be followed.
    pub unclear: Vec<String>,
}

/// Reads a prompt.
#[must_use]
pub fn read(prompt: &str) -> Reading {
    let mut reader = Reader { prompt, reading: Reading::default(), file: None };
    for clause in clauses(prompt) {
        reader.clause(&clause);
    }
    reader.reading
}

struct Reader<'a> {
    prompt: &'a str,
    reading: Reading,
    /// The file spoken of last: what `it` and a sentence without file mean.
    file: Option<String>,
}

impl Reader<'_> {
    fn clause(&mut self, clause: &Clause) {
        if clause.negated {
            self.reading.hands_off |= is_hands_off(&clause.source);
            return;
        }
        let before = self.reading.instructions.len();
        let understood = match &clause.verb {
            Some((verb, word)) => self.instruction(*verb, word, clause),
            None => self.sentence(clause),
        };
        for instruction in self.reading.instructions.iter().skip(before) {
            if let Some(path) = path_of(instruction) {
                self.file = Some(path.to_owned());
            }
        }
        if self.reading.instructions.len() == before
            && let Some(path) = place::files(&clause.rest).into_iter().next()
        {
            self.file = Some(path);
        }
        if !understood {
            self.reading.unclear.push(clause.source.clone());
        }
    }

    /// Whether the clause could be followed.
    fn instruction(&mut self, verb: Verb, word: &str, clause: &Clause) -> bool {
        let context = place::Context { prompt: self.prompt, file: self.file.as_deref() };
        let rest = clause.rest.as_slice();
        let found = match verb {
            Verb::Create => content::create(&context, word, rest),
            Verb::Append => content::append(&context, rest),
            Verb::Prepend => content::prepend(&context, rest),
            Verb::Replace => edit::replace(&context, word, rest),
            Verb::Use => or_else(edit::replace(&context, word, rest), || command::named(rest)),
            Verb::Delete => edit::delete(&context, rest),
            Verb::Rename => edit::rename(&context, rest),
            Verb::Copy => edit::copy(rest),
            Verb::Run => command::run(&context, rest),
            Verb::Check => {
                // `check that …` without a command asks for nothing that could be followed.
                self.reading.instructions.extend(command::named(rest));
                return true;
            }
            Verb::Read => or_else(edit::read(&context, rest), || command::named(rest)),
            Verb::List => command::list(rest),
            Verb::Say => content::say(&context, rest),
            Verb::Commit => {
                // Without a message of its own: what is left is committed when the turn ends.
                self.reading.asks_to_publish = true;
                self.reading.instructions.extend(command::commit(rest));
                return true;
            }
            Verb::Publish => {
                self.reading.asks_to_publish = true;
                return true;
            }
        };
        if asks_for_pull_request(clause) {
            self.reading.asks_to_publish = true;
            return true;
        }
        let understood = !found.is_empty();
        for instruction in found {
            self.add(instruction);
        }
        // `fix the bug in FILE` only names the file; the next clause says how.
        understood || verb == Verb::Replace && place::files(rest).len() == 1
    }

    /// A clause without verb: `FILE:` and a block, `A -> B in FILE`, `it should contain A`.
    fn sentence(&mut self, clause: &Clause) -> bool {
        let context = place::Context { prompt: self.prompt, file: self.file.as_deref() };
        let found =
            or_else(content::described(&context, &clause.rest), || edit::described(&context, &clause.rest));
        for instruction in found {
            self.add(instruction);
        }
        true
    }

    fn add(&mut self, instruction: Instruction) {
        // `Create FILE. It should contain A.` is one file.
        if let (Instruction::Write { path, content }, Some(Instruction::Write { path: last, content: empty })) =
            (&instruction, self.reading.instructions.last_mut())
            && path == last
            && empty.is_empty()
        {
            content.clone_into(empty);
            return;
        }
        self.reading.instructions.push(instruction);
    }
}

fn or_else(found: Vec<Instruction>, other: impl FnOnce() -> Vec<Instruction>) -> Vec<Instruction> {
    if found.is_empty() { other() } else { found }
}

fn path_of(instruction: &Instruction) -> Option<&str> {
    match instruction {
        Instruction::Write { path, .. }
        | Instruction::Append { path, .. }
        | Instruction::Prepend { path, .. }
        | Instruction::Replace { path: Some(path), .. }
        | Instruction::Read { path }
        | Instruction::Rename { to: path, .. }
        | Instruction::Copy { to: path, .. } => Some(path),
        Instruction::Replace { path: None, .. }
        | Instruction::Delete { .. }
        | Instruction::Run { .. }
        | Instruction::Say { .. } => None,
    }
}

fn is_hands_off(source: &str) -> bool {
    let lower = source.to_lowercase();
    let touches = ["change", "modify", "edit", "touch", "write"].iter().any(|word| lower.contains(word));
    let everything = ["any", "anything", "files", "code", "repository", "the repo"]
        .iter()
        .any(|word| lower.contains(word));
    touches && everything
}

fn asks_for_pull_request(clause: &Clause) -> bool {
    let lower = clause.source.to_lowercase();
    place::files(&clause.rest).is_empty()
        && (lower.contains("pull request") || lower.ends_with(" pr") || lower.contains(" pr "))
}
