//! What a session tells and asks the ledger, and what operators ask of it: statements for D1 and the reading of their rows.
//!
//! A session tells sums that only rise, by user and day. In the same transaction it takes a new grant in the place of the last one: at
//! most [`GRANT_MICRO_DOLLARS`] and [`GRANT_TOKENS`], and of what the tightest budget has left at most half, so that many can work until
//! the end of a budget; the last pieces are given whole.

use crate::day;
use crate::verdict::{Answer, Grant};
use platform::bound::Value;
use protocol::budget::{AtOnce, Budget, BudgetPeriod, BudgetScope};
use protocol::time::Timestamp;

/// Most that is granted at once, in millionths of a dollar.
pub const GRANT_MICRO_DOLLARS: u64 = 2_000_000;
/// Most tokens that are granted at once.
pub const GRANT_TOKENS: u64 = 4_000_000;
/// What is not halved any more, in millionths of a dollar.
pub const PIECE_MICRO_DOLLARS: u64 = 100_000;
/// Tokens that are not halved any more.
pub const PIECE_TOKENS: u64 = 200_000;
/// How long a turn may spend what it was granted without asking again.
pub const LEASE_MS: u64 = 10 * 60_000;
/// A session that has not given its grant back counts as having spent it for so long. Far longer than its lease, because it may have
/// spent it and not told yet: its outbox goes on telling.
pub const FORGOTTEN_MS: u64 = 24 * 3_600_000;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker<'a> {
    /// Which session.
    pub session_id: &'a str,
    /// Whose prompt runs or is about to.
    pub user_id: &'a str,
    /// `owner/name`.
    pub repository: &'a str,
}

/// What the prompts of a user have cost in a session on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent<'a> {
    /// Whose.
    pub user_id: &'a str,
    /// [`day::of`].
    pub day: u64,
    /// Millionths of a dollar.
    pub micro_dollars: u64,
    /// Read and written.
    pub tokens: u64,
}

/// A statement and what to bind to it.
pub type Statement<'a> = (&'static str, Vec<Value<'a>>);

/// The budgets that count for ?1 (session), ?2 (user) and ?3 (repository) on the day ?5 of a month that began on ?6, with what is spent of
/// them, and what running turns of others may spend at the moment ?4.
macro_rules! state {
    ($rest:literal) => {
        concat!(
            "WITH asked (scope, subject) AS (VALUES ('session', ?1), ('user', ?2), ('repository', ?3), ('organisation', '')), \
             counts AS ( \
               SELECT asked.scope AS scope, asked.subject AS subject, budgets.period AS period, budgets.money AS money, \
                 budgets.tokens AS tokens, budgets.turn_ms AS turn_ms, budgets.sessions_max AS sessions_max, \
                 budgets.sandboxes_max AS sandboxes_max, \
                 CASE budgets.period WHEN 'day' THEN ?5 WHEN 'month' THEN ?6 ELSE 0 END AS since \
               FROM asked JOIN budgets ON budgets.scope = asked.scope AND budgets.subject = ( \
                 SELECT subject FROM budgets AS own WHERE own.scope = asked.scope AND own.subject IN (asked.subject, '*') \
                 ORDER BY own.subject = '*' LIMIT 1)), \
             state AS ( \
               SELECT counts.*, \
                 (SELECT coalesce(sum(spent.money), 0) FROM spent_days AS spent WHERE spent.scope = counts.scope \
                   AND spent.subject = counts.subject AND spent.day >= counts.since) AS spent_money, \
                 (SELECT coalesce(sum(spent.tokens), 0) FROM spent_days AS spent WHERE spent.scope = counts.scope \
                   AND spent.subject = counts.subject AND spent.day >= counts.since) AS spent_tokens, \
                 (SELECT coalesce(sum(lease.money), 0) FROM budget_leases AS lease WHERE lease.session_id <> ?1 \
                   AND lease.expires_at > ?4 AND CASE counts.scope WHEN 'organisation' THEN 1 WHEN 'user' THEN lease.user_id = ?2 \
                   WHEN 'repository' THEN lease.repository = ?3 ELSE 0 END) AS promised_money, \
                 (SELECT coalesce(sum(lease.tokens), 0) FROM budget_leases AS lease WHERE lease.session_id <> ?1 \
                   AND lease.expires_at > ?4 AND CASE counts.scope WHEN 'organisation' THEN 1 WHEN 'user' THEN lease.user_id = ?2 \
                   WHEN 'repository' THEN lease.repository = ?3 ELSE 0 END) AS promised_tokens, \
                 (SELECT count(*) FROM slots WHERE counts.sessions_max IS NOT NULL AND kind = 'session' AND expires_at > ?4 \
                   AND CASE counts.scope WHEN 'organisation' THEN 1 WHEN 'user' THEN user_id = ?2 \
                   WHEN 'repository' THEN repository = ?3 ELSE 0 END) AS sessions, \
                 (SELECT count(*) FROM slots WHERE counts.sandboxes_max IS NOT NULL AND kind = 'sandbox' AND expires_at > ?4 \
                   AND CASE counts.scope WHEN 'organisation' THEN 1 WHEN 'user' THEN user_id = ?2 \
                   WHEN 'repository' THEN repository = ?3 ELSE 0 END) AS sandboxes \
               FROM counts) ",
            $rest
        )
    };
}

const TELL: &str = "INSERT INTO spending (session_id, user_id, day, repository, money, tokens) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
    ON CONFLICT (session_id, user_id, day) DO UPDATE SET money = max(money, excluded.money), tokens = max(tokens, excluded.tokens) \
    WHERE excluded.money > money OR excluded.tokens > tokens";

const FORGET: &str = "DELETE FROM budget_leases WHERE expires_at <= ?1";

const GIVE_BACK: &str = "DELETE FROM budget_leases WHERE session_id = ?1";

/// What is left of the session's last grant stays granted, because its sandbox may be spending it at this moment.
/// ?7 and ?8: most money and the piece that is not halved; ?9 and ?10: the same in tokens; ?11: when the grant is forgotten.
const TAKE: &str = state!(
    ", room AS ( \
       SELECT coalesce(min(max(0, money - spent_money - promised_money)), ?7 + ?7) AS money, \
         coalesce(min(max(0, tokens - spent_tokens - promised_tokens)), ?9 + ?9) AS tokens, \
         coalesce((SELECT money FROM budget_leases WHERE session_id = ?1), 0) AS left_money, \
         coalesce((SELECT tokens FROM budget_leases WHERE session_id = ?1), 0) AS left_tokens FROM state) \
     INSERT INTO budget_leases (session_id, user_id, repository, money, tokens, expires_at) \
     SELECT ?1, ?2, ?3, min(money, max(left_money, min(?7, max(CAST(money / 2 AS INTEGER), ?8)))), \
       min(tokens, max(left_tokens, min(?9, max(CAST(tokens / 2 AS INTEGER), ?10)))), ?11 \
     FROM room WHERE true \
     ON CONFLICT (session_id) DO UPDATE SET user_id = excluded.user_id, repository = excluded.repository, money = excluded.money, \
       tokens = excluded.tokens, expires_at = excluded.expires_at"
);

/// Budgets first, then what this session was granted, then the halt that is in force.
const READ: &str = state!(
    "SELECT scope, subject, period, money, tokens, turn_ms, spent_money, spent_tokens, promised_money, promised_tokens, \
       sessions_max, sessions, sandboxes_max, sandboxes FROM state \
     UNION ALL SELECT 'lease', '', '', money, tokens, expires_at, 0, 0, 0, 0, 0, 0, 0, 0 FROM budget_leases WHERE session_id = ?1 \
     UNION ALL SELECT 'halt', reason, halted_by, halted_at, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM halts WHERE lifted_at IS NULL"
);

/// All budgets with what is spent of them, for operators; ?1: now, ?2: the day, ?3: the first day of its month. Budgets for everybody who has
/// none of their own have spent nothing themselves.
const LIST: &str = "SELECT scope, subject, period, money, tokens, turn_ms, \
    (SELECT coalesce(sum(spent.money), 0) FROM spent_days AS spent WHERE spent.scope = budgets.scope AND spent.subject = budgets.subject \
      AND spent.day >= CASE budgets.period WHEN 'day' THEN ?2 WHEN 'month' THEN ?3 ELSE 0 END), \
    (SELECT coalesce(sum(spent.tokens), 0) FROM spent_days AS spent WHERE spent.scope = budgets.scope AND spent.subject = budgets.subject \
      AND spent.day >= CASE budgets.period WHEN 'day' THEN ?2 WHEN 'month' THEN ?3 ELSE 0 END), \
    (SELECT coalesce(sum(lease.money), 0) FROM budget_leases AS lease WHERE lease.expires_at > ?1 AND CASE budgets.scope \
      WHEN 'organisation' THEN 1 WHEN 'user' THEN lease.user_id = budgets.subject WHEN 'repository' THEN lease.repository = budgets.subject \
      ELSE lease.session_id = budgets.subject END), \
    (SELECT coalesce(sum(lease.tokens), 0) FROM budget_leases AS lease WHERE lease.expires_at > ?1 AND CASE budgets.scope \
      WHEN 'organisation' THEN 1 WHEN 'user' THEN lease.user_id = budgets.subject WHEN 'repository' THEN lease.repository = budgets.subject \
      ELSE lease.session_id = budgets.subject END), \
    sessions_max, (SELECT count(*) FROM slots WHERE kind = 'session' AND expires_at > ?1 AND CASE budgets.scope WHEN 'organisation' \
      THEN 1 WHEN 'user' THEN user_id = budgets.subject WHEN 'repository' THEN repository = budgets.subject ELSE 0 END), \
    sandboxes_max, (SELECT count(*) FROM slots WHERE kind = 'sandbox' AND expires_at > ?1 AND CASE budgets.scope WHEN 'organisation' \
      THEN 1 WHEN 'user' THEN user_id = budgets.subject WHEN 'repository' THEN repository = budgets.subject ELSE 0 END) \
    FROM budgets ORDER BY scope = 'session', scope = 'repository', scope = 'user', subject <> '*', subject";

/// Sets the limits of a budget: scope, subject, period, money, tokens, time of a turn, sessions and sandboxes at once.
pub const SET: &str = "INSERT INTO budgets (scope, subject, period, money, tokens, turn_ms, sessions_max, sandboxes_max) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
    ON CONFLICT (scope, subject) DO UPDATE SET period = excluded.period, money = excluded.money, tokens = excluded.tokens, \
    turn_ms = excluded.turn_ms, sessions_max = excluded.sessions_max, sandboxes_max = excluded.sandboxes_max";

/// Removes a budget: scope, subject.
pub const REMOVE: &str = "DELETE FROM budgets WHERE scope = ?1 AND subject = ?2";

/// Halts everything: reason, by whom, when. Does nothing while a halt is in force.
pub const HALT: &str = "INSERT INTO halts (reason, halted_by, halted_at) SELECT ?1, ?2, ?3 WHERE NOT EXISTS (SELECT 1 FROM halts WHERE lifted_at IS NULL)";

/// Lifts the halt: by whom, when.
pub const LIFT: &str = "UPDATE halts SET lifted_by = ?1, lifted_at = ?2 WHERE lifted_at IS NULL";

/// The halt that is in force: reason, by whom, when.
pub const HALTED: &str = "SELECT reason, halted_by, halted_at FROM halts WHERE lifted_at IS NULL";

/// A session's prompts wait: its id, since when.
pub const HELD: &str =
    "INSERT INTO held_sessions (session_id, held_at) VALUES (?1, ?2) ON CONFLICT (session_id) DO NOTHING";

/// They do not any more.
pub const RELEASED: &str = "DELETE FROM held_sessions WHERE session_id = ?1";

/// Sessions that a change of budgets or of a halt is to be told to at once: those that wait, in the order of waiting, and those at work.
pub const CONCERNED: &str = "SELECT session_id FROM ( \
      SELECT session_id, 0 AS works, held_at FROM held_sessions \
      UNION ALL SELECT session_id, 1, 0 FROM sessions WHERE activity = 'running' AND session_id NOT IN (SELECT session_id FROM held_sessions)) \
    ORDER BY works, held_at LIMIT 500";

/// What changes something: tells what was spent, which is taken from the last grant, and either takes another grant or gives the rest
/// back. To be run in one transaction; nothing is given back before the bridge has been told that it cannot be spent any more.
#[must_use]
pub fn exchange<'a>(
    asker: &Asker<'a>,
    spent: &[Spent<'a>],
    takes: bool,
    now: Timestamp,
) -> Vec<Statement<'a>> {
    let mut statements: Vec<Statement<'a>> = spent
        .iter()
        .map(|spent| {
            let values = vec![
                Value::Text(asker.session_id),
                Value::Text(spent.user_id),
                Value::Number(spent.day),
                Value::Text(asker.repository),
                Value::Number(spent.micro_dollars),
                Value::Number(spent.tokens),
            ];
            (TELL, values)
        })
        .collect();
    statements.push((FORGET, vec![Value::Number(now.0)]));
    if takes {
        let mut values = state_values(asker, now);
        values.extend(
            [
                GRANT_MICRO_DOLLARS,
                PIECE_MICRO_DOLLARS,
                GRANT_TOKENS,
                PIECE_TOKENS,
                now.plus_ms(FORGOTTEN_MS).0,
            ]
            .map(Value::Number),
        );
        statements.push((TAKE, values));
    } else {
        statements.push((GIVE_BACK, vec![Value::Text(asker.session_id)]));
    }
    statements
}

/// The question what counts for a session; [`read`] reads its rows.
#[must_use]
pub fn question<'a>(asker: &Asker<'a>, now: Timestamp) -> Statement<'a> {
    (READ, state_values(asker, now))
}

/// The question for all budgets; [`read_budget`] reads each row.
#[must_use]
pub fn list(now: Timestamp) -> Statement<'static> {
    let today = day::of(now);
    (LIST, [now.0, today, day::first_of_month(today)].map(Value::Number).to_vec())
}

fn state_values<'a>(asker: &Asker<'a>, now: Timestamp) -> Vec<Value<'a>> {
    let today = day::of(now);
    vec![
        Value::Text(asker.session_id),
        Value::Text(asker.user_id),
        Value::Text(asker.repository),
        Value::Number(now.0),
        Value::Number(today),
        Value::Number(day::first_of_month(today)),
    ]
}

/// One row of an answer, however it was fetched.
pub trait Columns {
    /// A column of text; empty where it is none.
    fn text(&self, column: u32) -> String;
    /// A column with a whole number; `None` where it is null.
    fn number(&self, column: u32) -> Option<u64>;
}

/// Reads the rows of [`question`].
pub fn read<C: Columns>(rows: &[C]) -> Answer {
    let mut answer = Answer::default();
    for row in rows {
        let number = |column| row.number(column).unwrap_or(0);
        match row.text(0).as_str() {
            "lease" => {
                answer.grant = Some(Grant {
                    micro_dollars: number(3),
                    tokens: number(4),
                    until: Timestamp(number(5).saturating_sub(FORGOTTEN_MS - LEASE_MS)),
                });
            }
            "halt" => answer.halt = Some((row.text(1), Timestamp(number(3)))),
            _ => answer.budgets.push(read_budget(row)),
        }
    }
    answer
}

/// Reads a row of [`list`], or one of [`question`] that is a budget.
pub fn read_budget<C: Columns>(row: &C) -> Budget {
    let slots = |column| {
        let max = row.number(column)?;
        Some(AtOnce { max, taken: row.number(column + 1).unwrap_or(0) })
    };
    Budget {
        scope: match row.text(0).as_str() {
            "session" => BudgetScope::Session,
            "user" => BudgetScope::User,
            "repository" => BudgetScope::Repository,
            "organisation" => BudgetScope::Organisation,
            _ => BudgetScope::Unknown,
        },
        subject: row.text(1),
        period: match row.text(2).as_str() {
            "life" => BudgetPeriod::Life,
            "day" => BudgetPeriod::Day,
            "month" => BudgetPeriod::Month,
            _ => BudgetPeriod::Unknown,
        },
        money_micro_dollars: row.number(3),
        tokens: row.number(4),
        turn_ms: row.number(5),
        spent_micro_dollars: row.number(6).unwrap_or(0),
        spent_tokens: row.number(7).unwrap_or(0),
        promised_micro_dollars: row.number(8).unwrap_or(0),
        promised_tokens: row.number(9).unwrap_or(0),
        sessions: slots(10),
        sandboxes: slots(12),
    }
}
