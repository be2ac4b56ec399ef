//! Every column that is told about a deployment, with its meaning in the words that people read, and the writing of rows as JSON and CSV.
//!
//! The meanings stand here and nowhere else: the page shows them as help, the answer of the API carries them, and [`crate::query`] gives its
//! columns in this order.

/// What a column has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A name.
    Text,
    /// A number; its name ends in its unit where it has one.
    Number,
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// In answers.
    pub name: &'static str,
    /// What it has.
    pub kind: Kind,
    /// What it means.
    pub help: &'static str,
}

/// One kind of rows.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// In answers.
    pub name: &'static str,
    /// Whether there is exactly one row.
    pub is_single: bool,
    /// In order.
    pub columns: &'static [Column],
}

/// What stands in a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// A name.
    Text(String),
    /// A number.
    Number(f64),
    /// Nothing is known.
    Nothing,
}

const fn text(name: &'static str, help: &'static str) -> Column {
    Column { name, kind: Kind::Text, help }
}

const fn number(name: &'static str, help: &'static str) -> Column {
    Column { name, kind: Kind::Number, help }
}

const SESSIONS: Column = number("sessions", "Sessions that started in the period.");
const PULLS_CREATED: Column = number(
    "pullRequestsCreated",
    "Of these sessions, those whose pull request was opened, whenever that was.",
);
const PULLS_MERGED: Column = number(
    "pullRequestsMerged",
    "Of these sessions, those whose pull request was merged, whenever that was.",
);
const MERGE_RATE: Column =
    number("mergeRate", "Pull requests merged ÷ pull requests created; 0 when none was created.");
const FIRST_TOKEN_AVERAGE: Column = number(
    "firstTokenAverageMs",
    "Time to first token: from the session's first prompt to the first word or thought of the agent, the start of a sandbox included. \
     Average over the sessions that got that far; 0 when none did.",
);
const MULTIPLAYER: Column =
    number("multiplayerSessions", "Sessions in which more than one person has taken part.");
const PROMPTS: Column =
    number("prompts", "Prompts of these sessions; those that were taken back do not count.");
const INPUT_TOKENS: Column = number("inputTokens", "Tokens that models have read, cached ones included.");
const OUTPUT_TOKENS: Column = number("outputTokens", "Tokens that models have written, reasoning included.");
const COST: Column =
    number("costUsd", "What the models cost, as the agents reckon it; 0 where a price is unknown.");
const REPOSITORY: Column = text("repository", "The repository, as owner/name.");

/// The period as a whole.
pub const ADOPTION: Table = Table {
    name: "adoption",
    is_single: true,
    columns: &[
        SESSIONS,
        PULLS_CREATED,
        PULLS_MERGED,
        MERGE_RATE,
        FIRST_TOKEN_AVERAGE,
        number(
            "firstTokenP50Ms",
            "The time to first token that half of the sessions did not exceed (nearest rank); 0 when none got that far.",
        ),
        number(
            "firstTokenP95Ms",
            "The time to first token that 95 of 100 sessions did not exceed (nearest rank); 0 when none got that far.",
        ),
        number("uniqueUsers", "People who took part in at least one of these sessions."),
        MULTIPLAYER,
        PROMPTS,
        number("averagePrompts", "Prompts ÷ sessions; 0 when there are none."),
        INPUT_TOKENS,
        OUTPUT_TOKENS,
        COST,
        number("costPerSessionUsd", "Cost ÷ sessions; 0 when there are none."),
        number(
            "costPerMergedUsd",
            "Cost of all these sessions ÷ pull requests merged; 0 when none was merged.",
        ),
        number("tokensPerSession", "Tokens read and written ÷ sessions; 0 when there are none."),
        number(
            "tokensPerMerged",
            "Tokens of all these sessions ÷ pull requests merged; 0 when none was merged.",
        ),
    ],
};

/// The period part by part.
pub const SERIES: Table = Table {
    name: "series",
    is_single: false,
    columns: &[
        number("startsAt", "Where the part of the period begins, in Unix milliseconds."),
        SESSIONS,
        PULLS_CREATED,
        PULLS_MERGED,
        FIRST_TOKEN_AVERAGE,
        MULTIPLAYER,
        PROMPTS,
        INPUT_TOKENS,
        OUTPUT_TOKENS,
        COST,
    ],
};

/// Repository by repository.
pub const REPOSITORIES: Table = Table {
    name: "repositories",
    is_single: false,
    columns: &[
        REPOSITORY,
        SESSIONS,
        PULLS_CREATED,
        PULLS_MERGED,
        MERGE_RATE,
        number("averagePrompts", "Prompts ÷ sessions of the repository; 0 when there are none."),
        INPUT_TOKENS,
        OUTPUT_TOKENS,
        COST,
        number(
            "agentPullRequests",
            "Pull requests that sessions opened in the period, whenever the sessions started.",
        ),
        number(
            "allPullRequests",
            "Pull requests that anybody created there in the period, as the code host counts them; nothing while that is unknown.",
        ),
        number(
            "agentShare",
            "Pull requests of sessions ÷ pull requests of everybody, both created in the period; 0 when there are none.",
        ),
    ],
};

/// Person by person.
pub const PEOPLE: Table = Table {
    name: "people",
    is_single: false,
    columns: &[
        text("userId", "Who."),
        text("name", "Full name."),
        number("sessions", "Sessions of the period in which this person has taken part."),
        number("prompts", "Prompts of this person in these sessions."),
        number("inputTokens", "Tokens that models have read for this person's prompts."),
        number("outputTokens", "Tokens that models have written for this person's prompts."),
        number("costUsd", "What this person's prompts cost."),
    ],
};

/// How sandboxes started.
pub const STARTS: Table = Table {
    name: "starts",
    is_single: false,
    columns: &[
        text(
            "kind",
            "What the sandbox was: warm (claimed from the pool), or made from the repository's image, the session's snapshot, or the base image.",
        ),
        number("starts", "Sandboxes of this kind that a prompt waited for and that took it in the period."),
        number(
            "averageMs",
            "From prompt to agent: from when nothing but the sandbox was missing until the agent had the prompt. Average; 0 when there were none.",
        ),
        number("p50Ms", "From prompt to agent, the time that half did not exceed (nearest rank)."),
        number("p95Ms", "From prompt to agent, the time that 95 of 100 did not exceed (nearest rank)."),
        number(
            "share",
            "Of all starts that no snapshot was restored for, the share of this kind; for warm ones this is the warm-claim rate. 0 for snapshots.",
        ),
    ],
};

/// How old images are.
pub const IMAGES: Table = Table {
    name: "images",
    is_single: false,
    columns: &[
        REPOSITORY,
        number(
            "builtAt",
            "When the image that sandboxes start from was made, in Unix milliseconds; looked at every half hour.",
        ),
        number("ageMs", "How long ago that was."),
    ],
};

/// This very moment.
pub const LIVE: Table = Table {
    name: "live",
    is_single: true,
    columns: &[number("peoplePrompting", "People who have submitted a prompt in the last five minutes.")],
};

/// All of them, in the order of answers.
pub const TABLES: [Table; 7] = [ADOPTION, SERIES, REPOSITORIES, PEOPLE, STARTS, IMAGES, LIVE];

impl Table {
    /// A table by its name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        TABLES.into_iter().find(|table| table.name == name)
    }

    /// Rows as JSON: an object where there is exactly one, else an array of objects.
    #[must_use]
    pub fn write_json(&self, rows: &[Vec<Cell>]) -> String {
        let objects: Vec<String> = rows
            .iter()
            .map(|row| {
                let members: Vec<String> = self
                    .columns
                    .iter()
                    .zip(row)
                    .map(|(column, cell)| format!("\"{}\":{}", column.name, write_cell(cell)))
                    .collect();
                format!("{{{}}}", members.join(","))
            })
            .collect();
        if self.is_single { objects.join(",") } else { format!("[{}]", objects.join(",")) }
    }

    /// What its columns mean, as a JSON object.
    #[must_use]
    pub fn write_help(&self) -> String {
        let members: Vec<String> =
            self.columns.iter().map(|column| format!("\"{}\":{}", column.name, quote(column.help))).collect();
        format!("{{{}}}", members.join(","))
    }

    /// Rows as CSV (RFC 4180), with a line of names. What a program for tables would take for a formula is made text.
    #[must_use]
    pub fn write_csv(&self, rows: &[Vec<Cell>]) -> String {
        let mut csv = self.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(",");
        csv.push_str("\r\n");
        for row in rows {
            let fields: Vec<String> = row
                .iter()
                .map(|cell| match cell {
                    Cell::Text(text) => write_field(text),
                    Cell::Number(number) => write_number(*number),
                    Cell::Nothing => String::new(),
                })
                .collect();
            csv.push_str(&fields.join(","));
            csv.push_str("\r\n");
        }
        csv
    }
}

fn write_cell(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => quote(text),
        Cell::Number(number) => write_number(*number),
        Cell::Nothing => "null".to_owned(),
    }
}

/// A number as JSON has it; what is none is nothing.
pub(crate) fn write_number(number: f64) -> String {
    if number.is_finite() { format!("{number}") } else { "null".to_owned() }
}

/// A JSON string.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\u{0}'..='\u{1f}' => quoted.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

fn write_field(text: &str) -> String {
    // OWASP, "CSV Injection".
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = format!("{}{text}", if is_formula { "'" } else { "" });
    if text.contains([',', '"', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn rows() -> Vec<Vec<Cell>> {
        let row = |name: &str, share| {
            let mut row = vec![Cell::Text(name.to_owned())];
            row.extend((1..=10).map(|number| Cell::Number(f64::from(number) / 4.0)));
            row.push(share);
            row
        };
        vec![row("acme/shop", Cell::Number(0.25)), row("=1,\"2\"\n", Cell::Nothing)]
    }

    #[test]
    fn rows_are_csv() {
        expect![[r#"
            repository,sessions,pullRequestsCreated,pullRequestsMerged,mergeRate,averagePrompts,inputTokens,outputTokens,costUsd,agentPullRequests,allPullRequests,agentShare
            acme/shop,0.25,0.5,0.75,1,1.25,1.5,1.75,2,2.25,2.5,0.25
            "'=1,""2""
            ",0.25,0.5,0.75,1,1.25,1.5,1.75,2,2.25,2.5,
        "#]]
        .assert_eq(&REPOSITORIES.write_csv(&rows()).replace("\r\n", "\n"));
    }

    #[test]
    fn rows_are_json() {
        let read: serde_json::Value = serde_json::from_str(&REPOSITORIES.write_json(&rows())).unwrap();
        assert_eq!(read[0]["agentShare"], 0.25);
        assert_eq!(
            (&read[1]["repository"], &read[1]["agentShare"]),
            (&"=1,\"2\"\n".into(), &serde_json::Value::Null)
        );
        for table in TABLES {
            let help: serde_json::Value = serde_json::from_str(&table.write_help()).unwrap();
            assert_eq!(
                help.as_object().unwrap().len(),
                table.columns.len(),
                "{} names a column twice",
                table.name
            );
        }
    }

    /// An answer with one row in each table is what clients are promised, no more and no less.
    #[test]
    fn columns_are_the_fields_of_the_protocol() {
        let members: Vec<String> = TABLES
            .iter()
            .map(|table| {
                let row = table.columns.iter().map(|column| match (column.kind, column.name) {
                    (Kind::Number, _) => Cell::Number(1.5),
                    (Kind::Text, "repository") => Cell::Text("acme/shop".to_owned()),
                    (Kind::Text, _) => Cell::Text("usr_ada".to_owned()),
                });
                format!("\"{}\":{}", table.name, table.write_json(&[row.collect()]))
            })
            .collect();
        let answer = format!(
            r#"{{"period":{{"from":1,"to":2,"zone":"UTC","step":"day"}},"now":2,"isEverything":true,{},"definitions":{{}}}}"#,
            members.join(",")
        );
        let read: protocol::metrics::Metrics = serde_json::from_str(&answer).unwrap();
        assert_eq!(
            (read.adoption.first_token_p95_ms, read.series.len(), read.repositories[0].agent_share),
            (1.5, 1, Some(1.5))
        );
    }

    #[test]
    fn no_rows_are_an_empty_list() {
        assert_eq!(SERIES.write_json(&[]), "[]");
        assert_eq!(LIVE.write_json(&[vec![Cell::Number(0.0)]]), r#"{"peoplePrompting":0}"#);
    }
}
