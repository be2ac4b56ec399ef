//! Reads the commands of an image layer: what the stand-in makes of each. Nothing is run.

use std::collections::BTreeMap;

/// What a command means for the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    From(String),
    /// Taken as done, unless it is known to fail.
    Run(String),
    Workdir(String),
    Env(BTreeMap<String, String>),
    Copy {
        source: String,
        target: String,
    },
    /// What a sandbox runs that says nothing else.
    Command(Vec<String>),
    Entrypoint(Vec<String>),
    /// Has no meaning here: `LABEL`, `EXPOSE` and such.
    Other,
}

/// Reads one command; an error is what the build says.
pub(super) fn parse(command: &str) -> Result<Step, String> {
    let (word, rest) = command.trim().split_once(char::is_whitespace).unwrap_or((command.trim(), ""));
    let rest = rest.trim();
    let step = match word.to_ascii_uppercase().as_str() {
        "FROM" => Step::From(rest.split_whitespace().next().unwrap_or_default().to_owned()),
        "RUN" => Step::Run(rest.to_owned()),
        "WORKDIR" => Step::Workdir(rest.to_owned()),
        "ENV" => Step::Env(variables(rest)),
        "COPY" | "ADD" => {
            copy(rest).ok_or_else(|| format!("{word} needs a source and a target: {command}"))?
        }
        "CMD" => Step::Command(arguments(rest)),
        "ENTRYPOINT" => Step::Entrypoint(arguments(rest)),
        "ARG" | "EXPOSE" | "HEALTHCHECK" | "LABEL" | "SHELL" | "STOPSIGNAL" | "USER" | "VOLUME" => {
            Step::Other
        }
        _ => return Err(format!("unknown instruction: {word}")),
    };
    Ok(step)
}

/// The exit code of a command that fails without being looked up: `false`, `exit 3`, also at the end of a `&&` chain.
pub(super) fn literal_failure(run: &str) -> Option<i32> {
    run.split("&&").map(str::trim).find_map(|part| match part.split_once(' ') {
        None if part == "false" => Some(1),
        Some(("exit", code)) => code.trim().parse().ok().filter(|code| *code != 0),
        None | Some(_) => None,
    })
}

/// `NAME=value OTHER="with spaces"` or the old `NAME value`.
fn variables(text: &str) -> BTreeMap<String, String> {
    if let Some((name, value)) = text.split_once(char::is_whitespace)
        && !name.contains('=')
    {
        return BTreeMap::from([(name.to_owned(), value.trim().to_owned())]);
    }
    words(text)
        .iter()
        .filter_map(|word| word.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn copy(text: &str) -> Option<Step> {
    let words: Vec<String> = words(text).into_iter().filter(|word| !word.starts_with("--")).collect();
    match words.as_slice() {
        [source, target] => Some(Step::Copy { source: source.clone(), target: target.clone() }),
        _ => None,
    }
}

/// `["a", "b"]`, or a line for the shell.
fn arguments(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|_| ["/bin/sh", "-c", text].map(str::to_owned).to_vec())
}

fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for character in text.chars() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None, _) if character.is_whitespace() => words.push(String::new()),
            (_, _) => {
                if let Some(word) = words.last_mut() {
                    word.push(character);
                }
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_as_docker_does() {
        let text = str::to_owned;
        for (command, step) in [
            ("FROM node:20-bookworm AS build", Step::From(text("node:20-bookworm"))),
            ("RUN npm ci && npm run build", Step::Run(text("npm ci && npm run build"))),
            ("workdir /workspace", Step::Workdir(text("/workspace"))),
            (
                "ENV A=1 B=\"two words\"",
                Step::Env(BTreeMap::from([(text("A"), text("1")), (text("B"), text("two words"))])),
            ),
            ("ENV A one two", Step::Env(BTreeMap::from([(text("A"), text("one two"))]))),
            ("COPY --chmod=755 runner /usr/x", Step::Copy { source: text("runner"), target: text("/usr/x") }),
            ("CMD [\"sleep\", \"172800\"]", Step::Command(vec![text("sleep"), text("172800")])),
            ("CMD sleep 1", Step::Command(vec![text("/bin/sh"), text("-c"), text("sleep 1")])),
            ("LABEL a=b", Step::Other),
        ] {
            assert_eq!(parse(command), Ok(step), "{command}");
        }
        assert_eq!(parse("BUILD it"), Err(text("unknown instruction: BUILD")));
    }

    #[test]
    fn a_command_that_says_that_it_fails_does() {
        assert_eq!(literal_failure("false"), Some(1));
        assert_eq!(literal_failure("npm ci && exit 3"), Some(3));
        assert_eq!(literal_failure("exit 0"), None);
        assert_eq!(literal_failure("echo false"), None);
    }
}
