//! Random histories of sessions, told as their objects tell them (repeated, late, in any order), against a reckoning that looks at the
//! whole history: what the database answers with its migrations, triggers and indexes must be the same.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing helper fails its test")]

mod database;
mod history;
mod reckoning;

use database::Database;
use history::{History, histories};
use metrics::calendar::{Date, Step};
use metrics::period::{Asked, Period};
use metrics::query::Scope;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// As many as the figures were promised for.
const HISTORIES: u32 = 10_000;

#[test]
fn what_the_database_answers_is_what_the_history_says() {
    let mut runner = TestRunner::new_with_rng(
        Config { cases: HISTORIES, failure_persistence: None, ..Config::default() },
        TestRng::deterministic_rng(RngAlgorithm::ChaCha),
    );
    let database = Database::new();
    runner
        .run(&histories(), |history| {
            database.clear();
            check(&database, &history);
            Ok(())
        })
        .unwrap();
}

/// Tells a history and asks everything about it.
fn check(database: &Database, history: &History) {
    for told in history.deliveries() {
        database.record(&told);
    }
    for (repository, built_at) in &history.images {
        database.save_image(repository, *built_at);
    }
    let zone = history.zone();
    let period = history.period(&zone);
    for (repository, total) in &history.totals {
        database.save_total(repository, &period, *total);
    }
    let ends = format!("[{},{}]", period.from, period.to);
    let borders = format!("{:?}", period.borders);
    let visible = history.visible_json();
    let scope = |borders| Scope {
        from: period.from,
        to: period.to,
        borders,
        repositories: visible.as_deref(),
        user: history.only_user(),
        now: history.now,
    };
    reckoning::compare(database, history, &period, &scope(&ends), &scope(&borders));
}

#[test]
fn nothing_gives_zeros() {
    let database = Database::new();
    let period = Period::read(Asked::default(), 1_795_211_318_000, &|_| 0).unwrap();
    let (ends, borders) = (format!("[{},{}]", period.from, period.to), format!("{:?}", period.borders));
    let scope =
        |borders| Scope { from: period.from, to: period.to, borders, repositories: None, user: None, now: 0 };
    let adoption = database.ask(&metrics::query::adoption(&scope(&ends)));
    assert!(adoption.len() == 1 && adoption[0].iter().all(|cell| *cell == metrics::table::Cell::Number(0.0)));
    assert_eq!(database.ask(&metrics::query::series(&scope(&borders))).len(), 30);
    assert_eq!(database.ask(&metrics::query::starts(&scope(&ends))).len(), 4);
    assert!(database.ask(&metrics::query::repositories(&scope(&ends))).is_empty());
    assert_eq!(period.borders.len(), 31);
    assert_eq!(Date(0).next(Step::Day), Date(1));
}
