//! How well messages are routed without a model: accuracy and calibration on both halves of the labelled set.
//!
//! Needs nothing that runs. A message counts as right when the likeliest repository is its own, or when it has none and the person is asked.

use super::report::{Figure, Row};
use anyhow::Context as _;
use protocol::id::RepositoryId;
use serde_json::{Value, json};
use slack::route::{Candidate, Decision, Question, by_words, decide, score};

const REPOSITORIES: &str = include_str!("../../../workers/slack/tests/data/repositories.json");
const HALVES: [(&str, &str); 2] = [
    ("tuning", include_str!("../../../workers/slack/tests/data/tuning.tsv")),
    ("held_out", include_str!("../../../workers/slack/tests/data/held-out.tsv")),
];
/// Ranges of confidence.
const BINS: [f64; 5] = [0.2, 0.4, 0.6, 0.8, 1.01];

#[derive(Default)]
struct Tally {
    messages: u32,
    right: u32,
    sure: u32,
    wrongly_sure: u32,
    /// Of each range: messages, and those whose likeliest repository is the right one.
    bins: [(u32, u32); BINS.len()],
}

fn candidates() -> anyhow::Result<Vec<Candidate>> {
    let value: Value = serde_json::from_str(REPOSITORIES)?;
    let list = |value: &Value, name: &str| -> Vec<String> {
        let list = value.get(name).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let read = |value: &Value| {
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
        Ok(Candidate {
            id: RepositoryId::parse(text("id")).map_err(|error| anyhow::anyhow!("{error}"))?,
            description: text("description").to_owned(),
            hints: list(value, "hints"),
            channels: list(value, "channels"),
        })
    };
    value.as_array().context("the repositories are no array")?.iter().map(read).collect()
}

fn judge(lines: &str, candidates: &[Candidate]) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    for line in lines.lines() {
        let (label, text) = line.split_once('\t').context("a line has no tab")?;
        let question = Question { text, channel: "general", channel_id: "C1", before: &[] };
        let decision = match decide(&question, candidates) {
            Decision::AskModel => by_words(&question, candidates),
            decided @ (Decision::Work(..) | Decision::AskPerson { .. }) => decided,
        };
        let likeliest = score(&question, candidates).into_iter().next();
        let sure = match &decision {
            Decision::Work(id, _) => Some(id.as_str() == label),
            Decision::AskPerson { .. } | Decision::AskModel => None,
        };
        let first_is_right = likeliest.as_ref().is_some_and(|(id, _)| id.as_str() == label);
        let is_right = sure.unwrap_or(first_is_right || label == "unknown");
        tally.messages += 1;
        tally.right += u32::from(is_right);
        tally.sure += u32::from(sure.is_some());
        tally.wrongly_sure += u32::from(sure == Some(false));
        if let Some((_, confidence)) = likeliest
            && let Some((all, right)) =
                tally.bins.iter_mut().zip(BINS).find(|(_, end)| confidence < *end).map(|(bin, _)| bin)
        {
            *all += 1;
            *right += u32::from(first_is_right);
        }
    }
    Ok(tally)
}

fn percent(part: u32, whole: u32) -> f64 {
    if whole == 0 { 0.0 } else { (f64::from(part) * 1000.0 / f64::from(whole)).round() / 10.0 }
}

/// Judges both halves.
pub(super) fn measure() -> anyhow::Result<Figure> {
    let candidates = candidates()?;
    let (mut value, mut rows) = (serde_json::Map::new(), Vec::new());
    for (name, lines) in HALVES {
        let tally = judge(lines, &candidates)?;
        let (accuracy, errors) =
            (percent(tally.right, tally.messages), percent(tally.wrongly_sure, tally.messages));
        let target = accuracy >= 85.0 && errors <= 3.0;
        rows.push(
            Row::new(
                format!("{name}: {} messages, {} of them decided", tally.messages, tally.sure),
                format!("{accuracy} % right, {errors} % sure and wrong"),
            )
            .target("≥ 85 %, ≤ 3 %", target),
        );
        let mut begin = 0.0;
        for ((all, right), end) in tally.bins.into_iter().zip(BINS) {
            let share = format!("{} % right of {all}", percent(right, all));
            rows.push(Row::new(format!("{name}: confidence {begin:.1} to {:.1}", f64::min(end, 1.0)), share));
            begin = end;
        }
        let bins: Vec<Value> = tally.bins.iter().map(|(all, right)| json!([all, right])).collect();
        value.insert(format!("{name}_accuracy_percent"), json!(accuracy));
        value.insert(format!("{name}_sure_errors_percent"), json!(errors));
        value.insert(format!("{name}_bins"), json!(bins));
    }
    Ok(Figure { value: Value::Object(value), rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_halves_are_judged() {
        let figure = measure().unwrap();
        assert!(figure.rows.iter().filter_map(|row| row.met).all(|met| met));
        assert_eq!(figure.rows.iter().filter(|row| row.met.is_some()).count(), 2);
    }
}
