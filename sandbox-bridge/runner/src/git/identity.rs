//! The name under which commits are made, cleaned of what git or a terminal would take for something else. Pure.

use protocol::runner::Author;

const NAME_CHARACTERS_MAX: usize = 100;
const SUBJECT_CHARACTERS_MAX: usize = 72;

/// Git identity of a prompt's author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) email: String,
}

impl Identity {
    /// What git accepts of an author.
    pub(crate) fn of(author: &Author) -> Self {
        let or = |text: String, otherwise: &str| if text.is_empty() { otherwise.to_owned() } else { text };
        let email: String = clean(&author.email).split(' ').collect();
        Self { name: or(clean(&author.name), "Unknown author"), email: or(email, "unknown@localhost") }
    }

    /// As the environment variables that git reads.
    pub(crate) fn variables(&self) -> [(&'static str, &str); 4] {
        [
            ("GIT_AUTHOR_NAME", &self.name),
            ("GIT_AUTHOR_EMAIL", &self.email),
            ("GIT_COMMITTER_NAME", &self.name),
            ("GIT_COMMITTER_EMAIL", &self.email),
        ]
    }
}

/// git removes these at both ends itself; a name of nothing else would be none.
const CRUD: [char; 9] = ['.', ',', ':', ';', '"', '\\', '\'', '-', ' '];

fn clean(text: &str) -> String {
    let shown: String =
        text.chars().map(|c| if is_invisible(c) || matches!(c, '<' | '>') { ' ' } else { c }).collect();
    let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    words.trim_matches(CRUD).chars().take(NAME_CHARACTERS_MAX).collect()
}

/// Control characters, and marks that change the direction of what follows.
fn is_invisible(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The message of a commit that the runner makes: the prompt's first line, and who else wrote prompts of the turn.
pub(crate) fn commit_message(
    prompt: &str,
    author: &Identity,
    others: impl Iterator<Item = Identity>,
) -> String {
    let mut message = subject_of(prompt);
    for (index, other) in others.filter(|other| other != author).enumerate() {
        message.push_str(if index == 0 { "\n\n" } else { "\n" });
        message.push_str(&format!("Co-authored-by: {} <{}>", other.name, other.email));
    }
    message
}

fn subject_of(prompt: &str) -> String {
    let visible = |line: &str| {
        let line: String = line.chars().map(|c| if is_invisible(c) { ' ' } else { c }).collect();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let Some(line) = prompt.lines().map(visible).find(|line| !line.is_empty()) else {
        return "Work on a prompt".to_owned();
    };
    if line.chars().count() <= SUBJECT_CHARACTERS_MAX {
        return line;
    }
    let cut: String = line.chars().take(SUBJECT_CHARACTERS_MAX - 1).collect();
    format!("{}…", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(name: &str, email: &str) -> (String, String) {
        let identity = Identity::of(&Author { name: name.into(), email: email.into() });
        (identity.name, identity.email)
    }

    #[test]
    fn names_lose_only_what_git_cannot_take() {
        assert_eq!(
            identity("Ada Lovelace", "ada@example.com"),
            ("Ada Lovelace".into(), "ada@example.com".into())
        );
        assert_eq!(
            identity("A\nauthor <x> \u{202e}B", "a @b\r\n.c"),
            ("A author x B".into(), "a@b.c".into())
        );
        assert_eq!(identity(" \u{7} ", "<>"), ("Unknown author".into(), "unknown@localhost".into()));
        assert_eq!(identity("$(id) `x` \"q\"", "--x"), ("$(id) `x` \"q".into(), "x".into()));
        assert_eq!(identity(&"ä".repeat(500), "").0.chars().count(), 100);
    }

    #[test]
    fn whoever_steered_a_turn_is_named_once_beside_its_author() {
        let person = |name: &str| Identity::of(&Author { name: name.into(), email: format!("{name}@x.org") });
        let ada = person("Ada");
        assert_eq!(commit_message("Fix it", &ada, [person("Ada")].into_iter()), "Fix it");
        assert_eq!(
            commit_message("Fix it", &ada, [person("Grace"), person("Ada"), person("Edsger")].into_iter()),
            "Fix it\n\nCo-authored-by: Grace <Grace@x.org>\nCo-authored-by: Edsger <Edsger@x.org>"
        );
    }

    #[test]
    fn a_subject_is_the_first_line_within_72_characters() {
        assert_eq!(subject_of("\n\n  Fix   the\tgreeting \nand more"), "Fix the greeting");
        assert_eq!(subject_of(" \n"), "Work on a prompt");
        let long = subject_of(&"wörd ".repeat(40));
        assert!(long.chars().count() <= 72 && long.ends_with('…'), "{long}");
        assert_eq!(subject_of("a\u{1b}[31mb"), "a [31mb");
    }
}
