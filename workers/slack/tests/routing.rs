//! The labelled set: how often the deterministic fallback finds the repository, and how often it is sure and wrong.
//!
//! `tests/data/tuning.tsv` is what its constants were chosen on, `held-out.tsv` what it is judged by. A line is a label, a tab and a message.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails the test")]

use protocol::id::RepositoryId;
use serde_json::Value;
use slack::route::{By, Candidate, Decision, Question, by_words, decide, score};

fn candidates() -> Vec<Candidate> {
    let value: Value = serde_json::from_str(include_str!("data/repositories.json")).unwrap();
    let text = |value: &Value, name: &str| value[name].as_str().unwrap().to_owned();
    let list = |value: &Value, name: &str| {
        value[name]
            .as_array()
            .unwrap()
            .iter()
            .map(|text| text.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|value| Candidate {
            id: RepositoryId::parse(&text(value, "id")).unwrap(),
            description: text(value, "description"),
            hints: list(value, "hints"),
            channels: list(value, "channels"),
        })
        .collect()
}

/// How a half of the set went.
#[derive(Debug, Default)]
struct Tally {
    messages: usize,
    /// The likeliest one is right, or nothing was found where nothing is to be found.
    right: usize,
    /// It would begin to work, in the wrong place.
    wrongly_sure: usize,
    rightly_sure: usize,
    misses: Vec<String>,
}

fn judge(lines: &str) -> Tally {
    let candidates = candidates();
    let mut tally = Tally::default();
    for line in lines.lines() {
        let (label, text) = line.split_once('\t').unwrap_or_else(|| panic!("no tab in {line}"));
        let question = Question { text, channel: "general", channel_id: "C1", before: &[] };
        let decision = match decide(&question, &candidates) {
            Decision::AskModel => by_words(&question, &candidates),
            Decision::Work(id, By::Name) => Decision::Work(id, By::Name),
            other @ (Decision::Work(..) | Decision::AskPerson { .. }) => panic!("{text}: {other:?}"),
        };
        tally.messages += 1;
        let likeliest =
            score(&question, &candidates).first().map(|(id, sure)| (id.as_str().to_owned(), *sure));
        let found = match &decision {
            Decision::Work(id, _) => id.as_str().to_owned(),
            Decision::AskPerson { .. } | Decision::AskModel => {
                likeliest.clone().map_or_else(|| "unknown".to_owned(), |(id, _)| id)
            }
        };
        let is_sure = matches!(decision, Decision::Work(..));
        // Where nothing is meant, asking is right whatever stands first in the menu.
        let is_right = found == label || (label == "unknown" && !is_sure);
        tally.right += usize::from(is_right);
        tally.rightly_sure += usize::from(is_right && is_sure);
        tally.wrongly_sure += usize::from(!is_right && is_sure);
        if !is_right {
            tally.misses.push(format!("{label} ← {found} (sure: {is_sure}, {likeliest:?}): {text}"));
        }
    }
    tally
}

#[test]
fn the_fallback_holds_on_messages_that_it_was_not_tuned_on() {
    for (name, lines) in
        [("tuning", include_str!("data/tuning.tsv")), ("held-out", include_str!("data/held-out.tsv"))]
    {
        let tally = judge(lines);
        println!(
            "{name}: {} messages, {} right, {} sure and right, {} sure and wrong",
            tally.messages, tally.right, tally.rightly_sure, tally.wrongly_sure
        );
        assert!(tally.messages >= 100, "{name} has {} messages", tally.messages);
        assert!(tally.right * 100 >= tally.messages * 85, "{name}: {tally:#?}");
        assert!(tally.wrongly_sure * 100 <= tally.messages * 3, "{name}: {tally:#?}");
        // Who is asked each time would not have needed a router.
        assert!(tally.rightly_sure * 100 >= tally.messages * 50, "{name}: {tally:#?}");
    }
}
