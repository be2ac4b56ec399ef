//! The deployment for scrapers, as OpenMetrics text (the specification of version 1.0.0). What is counted is counted since ever.

use crate::query::Query;
use crate::table::{Cell, Column, Kind, Table, write_number};

/// Media type of the exposition.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, help: "" }
}

/// Sums since ever by repository.
pub const TOTALS: Table = Table {
    name: "totals",
    is_single: false,
    columns: &[
        column("repository", Kind::Text),
        column("sessions", Kind::Number),
        column("pulls_created", Kind::Number),
        column("pulls_merged", Kind::Number),
        column("multiplayer", Kind::Number),
        column("prompts", Kind::Number),
        column("first_tokens", Kind::Number),
        column("first_token_ms", Kind::Number),
        column("input_tokens", Kind::Number),
        column("output_tokens", Kind::Number),
        column("cost_micro_usd", Kind::Number),
    ],
};

const TOTALS_SQL: &str = "SELECT repository, sum(sessions), sum(pulls_created), sum(pulls_merged), sum(multiplayer), sum(prompts), \
    sum(first_tokens), sum(first_token_ms), sum(input_tokens), sum(output_tokens), sum(cost_micro_usd) \
    FROM metric_hours GROUP BY repository ORDER BY repository";

/// Starts of sandboxes since ever.
pub const STARTS: Table = Table {
    name: "start_totals",
    is_single: false,
    columns: &[
        column("repository", Kind::Text),
        column("kind", Kind::Text),
        column("starts", Kind::Number),
        column("waited_ms", Kind::Number),
    ],
};

const STARTS_SQL: &str =
    "SELECT repository, kind, starts, waited_ms FROM start_totals ORDER BY repository, kind";

/// Asks for [`TOTALS`].
#[must_use]
pub fn totals() -> Query<'static> {
    Query { table: TOTALS, sql: TOTALS_SQL.to_owned(), values: Vec::new() }
}

/// Asks for [`STARTS`].
#[must_use]
pub fn starts() -> Query<'static> {
    Query { table: STARTS, sql: STARTS_SQL.to_owned(), values: Vec::new() }
}

/// Everything that is exposed.
#[derive(Clone, Copy, Debug)]
pub struct Exposed<'a> {
    /// Rows of [`TOTALS`].
    pub totals: &'a [Vec<Cell>],
    /// Rows of [`STARTS`].
    pub starts: &'a [Vec<Cell>],
    /// Rows of [`crate::table::IMAGES`].
    pub images: &'a [Vec<Cell>],
    /// The row of [`crate::table::LIVE`].
    pub live: &'a [Vec<Cell>],
}

/// Counters of a repository: name without `_total`, meaning, place among [`TOTALS`], and what a unit there is in the unit of the name.
const COUNTERS: [(&str, &str, usize, f64); 6] = [
    ("farhand_sessions", "Sessions that started.", 1, 1.0),
    ("farhand_pull_requests_created", "Sessions whose pull request was opened.", 2, 1.0),
    ("farhand_pull_requests_merged", "Sessions whose pull request was merged.", 3, 1.0),
    ("farhand_multiplayer_sessions", "Sessions in which more than one person has taken part.", 4, 1.0),
    ("farhand_prompts", "Prompts that were not taken back.", 5, 1.0),
    ("farhand_model_cost_usd", "What the models cost, as the agents reckon it.", 10, 1e-6),
];

/// Writes the exposition.
#[must_use]
pub fn write(exposed: &Exposed<'_>) -> String {
    let mut text = String::new();
    for (name, help, place, scale) in COUNTERS {
        open(&mut text, name, "counter", help);
        for row in exposed.totals {
            sample(
                &mut text,
                &format!("{name}_total"),
                &[("repository", label(row, 0))],
                number(row, place) * scale,
            );
        }
    }
    open(
        &mut text,
        "farhand_model_tokens",
        "counter",
        "Tokens that models have read (input) and written (output).",
    );
    for row in exposed.totals {
        for (direction, place) in [("input", 8), ("output", 9)] {
            let labels = [("repository", label(row, 0)), ("direction", direction)];
            sample(&mut text, "farhand_model_tokens_total", &labels, number(row, place));
        }
    }
    open(
        &mut text,
        "farhand_first_token_seconds",
        "summary",
        "From a session's first prompt to the first word or thought of the agent.",
    );
    for row in exposed.totals {
        summary(
            &mut text,
            "farhand_first_token_seconds",
            &[("repository", label(row, 0))],
            number(row, 6),
            number(row, 7),
        );
    }
    open(
        &mut text,
        "farhand_prompt_to_agent_seconds",
        "summary",
        "From when nothing but a sandbox was missing until the agent had the prompt, by what the sandbox was made from.",
    );
    for row in exposed.starts {
        let labels = [("repository", label(row, 0)), ("kind", label(row, 1))];
        summary(&mut text, "farhand_prompt_to_agent_seconds", &labels, number(row, 2), number(row, 3));
    }
    open(
        &mut text,
        "farhand_image_age_seconds",
        "gauge",
        "How long ago the image that sandboxes start from was made.",
    );
    for row in exposed.images {
        sample(
            &mut text,
            "farhand_image_age_seconds",
            &[("repository", label(row, 0))],
            number(row, 2) / 1000.0,
        );
    }
    open(
        &mut text,
        "farhand_people_prompting",
        "gauge",
        "People who have submitted a prompt in the last five minutes.",
    );
    for row in exposed.live {
        sample(&mut text, "farhand_people_prompting", &[], number(row, 0));
    }
    text.push_str("# EOF\n");
    text
}

fn open(text: &mut String, name: &str, kind: &str, help: &str) {
    text.push_str(&format!("# TYPE {name} {kind}\n"));
    if name.ends_with("_seconds") {
        text.push_str(&format!("# UNIT {name} seconds\n"));
    }
    text.push_str(&format!("# HELP {name} {help}\n"));
}

fn summary(text: &mut String, name: &str, labels: &[(&str, &str)], count: f64, sum_ms: f64) {
    sample(text, &format!("{name}_count"), labels, count);
    sample(text, &format!("{name}_sum"), labels, sum_ms / 1000.0);
}

fn sample(text: &mut String, name: &str, labels: &[(&str, &str)], value: f64) {
    let labels: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    text.push_str(&format!("{name}{labels} {}\n", write_number(value)));
}

fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn label(row: &[Cell], place: usize) -> &str {
    match row.get(place) {
        Some(Cell::Text(text)) => text,
        Some(Cell::Number(_) | Cell::Nothing) | None => "",
    }
}

fn number(row: &[Cell], place: usize) -> f64 {
    match row.get(place) {
        Some(Cell::Number(number)) => *number,
        Some(Cell::Text(_) | Cell::Nothing) | None => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_deployment_is_exposed() {
        let text = |text: &str| Cell::Text(text.to_owned());
        let numbers = |numbers: &[f64]| numbers.iter().copied().map(Cell::Number).collect::<Vec<_>>();
        let mut totals = vec![text("acme/shop")];
        totals.extend(numbers(&[5.0, 3.0, 2.0, 1.0, 9.0, 4.0, 6_500.0, 1_000.0, 200.0, 1_250_000.0]));
        let mut starts = vec![text("acme/shop"), text("warm")];
        starts.extend(numbers(&[4.0, 480.0]));
        let mut images = vec![text("odd\"\\\n")];
        images.extend(numbers(&[0.0, 90_000.0]));
        let exposed =
            Exposed { totals: &[totals], starts: &[starts], images: &[images], live: &[numbers(&[2.0])] };
        expect![[r##"
            # TYPE farhand_sessions counter
            # HELP farhand_sessions Sessions that started.
            farhand_sessions_total{repository="acme/shop"} 5
            # TYPE farhand_pull_requests_created counter
            # HELP farhand_pull_requests_created Sessions whose pull request was opened.
            farhand_pull_requests_created_total{repository="acme/shop"} 3
            # TYPE farhand_pull_requests_merged counter
            # HELP farhand_pull_requests_merged Sessions whose pull request was merged.
            farhand_pull_requests_merged_total{repository="acme/shop"} 2
            # TYPE farhand_multiplayer_sessions counter
            # HELP farhand_multiplayer_sessions Sessions in which more than one person has taken part.
            farhand_multiplayer_sessions_total{repository="acme/shop"} 1
            # TYPE farhand_prompts counter
            # HELP farhand_prompts Prompts that were not taken back.
            farhand_prompts_total{repository="acme/shop"} 9
            # TYPE farhand_model_cost_usd counter
            # HELP farhand_model_cost_usd What the models cost, as the agents reckon it.
            farhand_model_cost_usd_total{repository="acme/shop"} 1.25
            # TYPE farhand_model_tokens counter
            # HELP farhand_model_tokens Tokens that models have read (input) and written (output).
            farhand_model_tokens_total{repository="acme/shop",direction="input"} 1000
            farhand_model_tokens_total{repository="acme/shop",direction="output"} 200
            # TYPE farhand_first_token_seconds summary
            # UNIT farhand_first_token_seconds seconds
            # HELP farhand_first_token_seconds From a session's first prompt to the first word or thought of the agent.
            farhand_first_token_seconds_count{repository="acme/shop"} 4
            farhand_first_token_seconds_sum{repository="acme/shop"} 6.5
            # TYPE farhand_prompt_to_agent_seconds summary
            # UNIT farhand_prompt_to_agent_seconds seconds
            # HELP farhand_prompt_to_agent_seconds From when nothing but a sandbox was missing until the agent had the prompt, by what the sandbox was made from.
            farhand_prompt_to_agent_seconds_count{repository="acme/shop",kind="warm"} 4
            farhand_prompt_to_agent_seconds_sum{repository="acme/shop",kind="warm"} 0.48
            # TYPE farhand_image_age_seconds gauge
            # UNIT farhand_image_age_seconds seconds
            # HELP farhand_image_age_seconds How long ago the image that sandboxes start from was made.
            farhand_image_age_seconds{repository="odd\"\\\n"} 90
            # TYPE farhand_people_prompting gauge
            # HELP farhand_people_prompting People who have submitted a prompt in the last five minutes.
            farhand_people_prompting 2
            # EOF
        "##]].assert_eq(&write(&exposed));
    }

    #[test]
    fn a_deployment_without_sessions_has_names_and_no_samples() {
        let exposed = Exposed { totals: &[], starts: &[], images: &[], live: &[] };
        assert!(write(&exposed).lines().all(|line| line.starts_with("# ")));
    }
}
