//! How long the questions of metrics take over a million sessions of one year, with the database's migrations, in SQLite on this machine.
//! Prints one JSON object; `cargo xtask bench metrics` makes a table of it.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot measure fails")]

use metrics::calendar::{DAY_MS, Moment};
use metrics::open_metrics;
use metrics::period::{Asked, Period};
use metrics::query::{self, Query, Scope};
use rusqlite::{Connection, params_from_iter};
use std::path::Path;
use std::time::Instant;

const SESSIONS: u64 = 1_000_000;
const ROUNDS: usize = 5;
/// 2026-01-01T00:00:00Z.
const BEGIN: Moment = 1_767_225_600_000;
/// Nepal's clocks: every border lies within an hour.
const OFFSET: Moment = 345 * 60_000;

/// Twenty repositories, five hundred people, a pull request for every second session, two people in every third. Multiplying with large
/// odd numbers spreads them without chance.
const FILL: &str = "
    CREATE TEMP TABLE seed AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?1 - 1)
    SELECT printf('ses_%026d', i) AS session_id, 'acme/repository-' || (i * 7919 % 20) AS repository,
        ?2 + i * 2654435761 % 31536000000 AS started_at, i FROM n;
    INSERT INTO session_people SELECT session_id, printf('usr_github_%06d', i * 31 % 500), repository, started_at, 2, started_at,
        210000, 9200, 400000 FROM seed;
    INSERT INTO session_people SELECT session_id, printf('usr_github_%06d', i * 37 % 500 + 500), repository, started_at, 1, started_at,
        1000, 900, 4000 FROM seed WHERE i % 3 = 0;
    INSERT INTO sandbox_starts SELECT session_id, 1, repository, CASE i % 8 WHEN 0 THEN 'image' WHEN 1 THEN 'snapshot'
        WHEN 2 THEN 'base' ELSE 'warm' END, started_at + 100, 20 + i * 48271 % 9000 FROM seed;
    INSERT INTO session_facts (session_id, revision, repository, started_at, prompted_at, first_token_at, completed_at, pull_created_at,
        pull_merged_at, prompts, participants, input_tokens, output_tokens, cost_micro_usd)
    SELECT session_id, 9, repository, started_at, started_at, started_at + 900 + i * 69621 % 20000, started_at + 90000,
        CASE WHEN i % 2 = 0 THEN started_at + 100000 END, CASE WHEN i % 3 = 0 AND i % 2 = 0 THEN started_at + 900000 END,
        2 + (i % 3 = 0), 1 + (i % 3 = 0), 211000, 10100, 404000 FROM seed;
    DROP TABLE seed;";

fn fill(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF").unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/d1");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        connection.execute_batch(&std::fs::read_to_string(file).unwrap()).unwrap();
    }
    let script = FILL.replace("?1", &SESSIONS.to_string()).replace("?2", &BEGIN.to_string());
    connection.execute_batch(&script).unwrap();
    connection
}

/// Milliseconds of the median round; each answers all of `queries`.
fn time(connection: &Connection, queries: &[Query<'_>]) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            for query in queries {
                let mut statement = connection.prepare_cached(&query.sql).unwrap();
                let mut rows = statement.query(params_from_iter(&query.values)).unwrap();
                while rows.next().unwrap().is_some() {}
            }
            begin.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds.get(ROUNDS / 2).copied().unwrap_or_default()
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let connection = fill(&folder.path().join("index.sqlite"));
    let asked = Asked { from: Some("2026-01-01"), to: Some("2027-01-01"), step: Some("day") };
    let period = Period::read(asked, 0, &|_| OFFSET).unwrap();
    let (ends, borders) = (format!("[{},{}]", period.from, period.to), format!("{:?}", period.borders));
    let some: Vec<String> = (0..15).map(|number| format!("\"acme/repository-{number}\"")).collect();
    let some = format!("[{}]", some.join(","));
    let scope = |borders, repositories| Scope {
        from: period.from,
        to: period.to,
        borders,
        repositories,
        user: None,
        now: (BEGIN + 365 * DAY_MS).unsigned_abs(),
    };
    let (whole, parts, of_some) = (scope(&ends, None), scope(&borders, None), scope(&ends, Some(&some)));
    let page = [
        query::adoption(&whole),
        query::series(&parts),
        query::repositories(&whole),
        query::people(&whole),
        query::starts(&whole),
        query::images(&whole),
        query::live(&whole),
    ];
    let exposition =
        [open_metrics::totals(), open_metrics::starts(), query::images(&whole), query::live(&whole)];
    println!(
        "{{\"METRICS\":{{\"adoption_ms\":{:.1},\"adoption_of_some_ms\":{:.1},\"page_ms\":{:.1},\"scrape_ms\":{:.1}}}}}",
        time(&connection, &[query::adoption(&whole)]),
        time(&connection, &[query::adoption(&of_some)]),
        time(&connection, &page),
        time(&connection, &exposition),
    );
}
