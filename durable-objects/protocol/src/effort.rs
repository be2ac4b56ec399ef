//! How much a model is to think before it answers, and which models can be told.

use serde::{Deserialize, Serialize};

/// How much a model thinks; the vendor's usual where a prompt names none. The words are those of OpenAI's `reasoning_effort`
/// (<https://platform.openai.com/docs/guides/reasoning>), which others have taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Effort {
    /// Fast and cheap.
    Low,
    /// Between.
    Medium,
    /// Thorough and slow.
    High,
}

impl Effort {
    /// From the least.
    pub const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];

    /// As on the wires.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// The effort of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effort| effort.word() == word)
    }
}

/// Whether a model, `provider/name`, can be told how much to think. A vendor refuses the question for a model that cannot, so that only
/// families that are known to are named: OpenAI's GPT from 5 and the o series, Anthropic's Claude from 4, and the demo model.
#[must_use]
pub fn takes_effort(model: &str) -> bool {
    let Some((provider, name)) = model.split_once('/') else { return false };
    match provider {
        "openai" => {
            let series = |prefix: &str, first: u32| {
                let rest = name.strip_prefix(prefix);
                rest.and_then(leading_number).is_some_and(|number| number >= first)
            };
            !name.contains("chat") && (series("gpt-", 5) || series("o", 1))
        }
        "anthropic" => {
            let family = ["claude-opus-", "claude-sonnet-", "claude-haiku-"];
            family.iter().any(|prefix| {
                name.strip_prefix(prefix).and_then(leading_number).is_some_and(|number| number >= 4)
            })
        }
        "demo" => true,
        _ => false,
    }
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_that_think_are_known_by_name() {
        for model in [
            "openai/gpt-5",
            "openai/gpt-5.2-codex",
            "openai/gpt-10",
            "openai/o3-mini",
            "openai/o1",
            "anthropic/claude-sonnet-4-5",
            "anthropic/claude-opus-4-1-20250805",
            "demo/demo",
        ] {
            assert!(takes_effort(model), "{model}");
        }
        for model in [
            "openai/gpt-4o-mini",
            "openai/gpt-4.1",
            "openai/gpt-5-chat-latest",
            "openai/omni",
            "openai/gpt-",
            "anthropic/claude-3-5-haiku-latest",
            "local/gpt-5",
            "gpt-5",
            "",
        ] {
            assert!(!takes_effort(model), "{model}");
        }
    }

    #[test]
    fn words_are_read_back_and_are_those_of_the_wire() {
        for effort in Effort::ALL {
            assert_eq!(Effort::parse(effort.word()), Some(effort));
            assert_eq!(serde_json::to_value(effort).ok(), Some(effort.word().into()));
        }
        assert_eq!(Effort::parse("extreme"), None);
    }
}
