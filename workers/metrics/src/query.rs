//! The questions to the database. Each is one statement whose columns are those of its [`Table`], in order.
//!
//! Sums of a period come from `metric_hours`, and for the parts of hours at its borders from the sessions themselves, so that they are
//! exact in every time zone. Percentiles are read off an index at their rank; people are stepped through one by one.

use crate::calendar::Moment;
use crate::table::{ADOPTION, IMAGES, LIVE, PEOPLE, REPOSITORIES, SERIES, STARTS, Table};
use platform::bound::Value;

/// People that one answer has at most, and repositories.
const ROWS_MAX: u64 = 200;
/// Repositories whose pull requests are counted for one answer; GitHub lets a user search 30 times a minute.
const COUNTED_MAX: u64 = 10;
/// For how long a count of a period that is not over is good.
const COUNT_MS: u64 = 3_600_000;
/// How long somebody who has submitted a prompt counts as prompting.
const LIVE_MS: u64 = 5 * 60_000;

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// First moment.
    pub from: Moment,
    /// First moment after it.
    pub to: Moment,
    /// JSON of the moments that parts begin at, and at last of the end.
    pub borders: &'a str,
    /// JSON of the repositories that count; all where absent.
    pub repositories: Option<&'a str>,
    /// The one person that is told of; everybody where absent.
    pub user: Option<&'a str>,
    /// The present.
    pub now: u64,
}

/// A question.
#[derive(Clone, Debug)]
pub struct Query<'a> {
    /// What its columns are.
    pub table: Table,
    /// The statement.
    pub sql: String,
    /// What to bind to it.
    pub values: Vec<Value<'a>>,
}

/// `?1` and `?2` are the period, `?3` the repositories that count.
const PERIOD: &str = "started_at >= ?1 AND started_at < ?2";
const VISIBLE: &str = "(?3 IS NULL OR repository IN (SELECT value FROM json_each(?3)))";

/// Whole hours of each part, and the sessions before and after them. `?4` are the borders.
const PARTS: &str = "borders AS (SELECT key AS place, value AS since, lead(value) OVER (ORDER BY key) AS until FROM json_each(?4)), \
    spans AS (SELECT place, since, until, (since + 3599999) / 3600000 AS hour, until / 3600000 AS hour_after FROM borders \
    WHERE until IS NOT NULL), \
    parts AS (\
    SELECT place, m.* FROM spans JOIN metric_hours m ON m.hour >= spans.hour AND m.hour < hour_after \
    UNION ALL SELECT place, 0, repository, 1, pull_created_at IS NOT NULL, pull_merged_at IS NOT NULL, first_token_ms IS NOT NULL, \
    coalesce(first_token_ms, 0), participants > 1, prompts, input_tokens, output_tokens, cost_micro_usd \
    FROM spans JOIN session_facts ON started_at >= since AND started_at < min(until, hour * 3600000) \
    UNION ALL SELECT place, 0, repository, 1, pull_created_at IS NOT NULL, pull_merged_at IS NOT NULL, first_token_ms IS NOT NULL, \
    coalesce(first_token_ms, 0), participants > 1, prompts, input_tokens, output_tokens, cost_micro_usd \
    FROM spans JOIN session_facts ON started_at >= max(hour, hour_after) * 3600000 AND started_at < until)";

const SUMS: &str = "coalesce(sum(sessions), 0) AS sessions, coalesce(sum(pulls_created), 0) AS pulls_created, \
    coalesce(sum(pulls_merged), 0) AS pulls_merged, coalesce(sum(first_tokens), 0) AS first_tokens, \
    coalesce(sum(first_token_ms), 0) AS first_token_ms, coalesce(sum(multiplayer), 0) AS multiplayer, \
    coalesce(sum(prompts), 0) AS prompts, coalesce(sum(input_tokens), 0) AS input_tokens, \
    coalesce(sum(output_tokens), 0) AS output_tokens, coalesce(sum(cost_micro_usd), 0) AS cost_micro_usd";

/// The same of what may have none.
const ZEROS: &str = "coalesce(sessions, 0) AS sessions, coalesce(pulls_created, 0) AS pulls_created, \
    coalesce(pulls_merged, 0) AS pulls_merged, coalesce(first_tokens, 0) AS first_tokens, coalesce(first_token_ms, 0) AS first_token_ms, \
    coalesce(multiplayer, 0) AS multiplayer, coalesce(prompts, 0) AS prompts, coalesce(input_tokens, 0) AS input_tokens, \
    coalesce(output_tokens, 0) AS output_tokens, coalesce(cost_micro_usd, 0) AS cost_micro_usd";

/// A quotient that is 0 where there is nothing to divide by.
fn ratio(dividend: &str, divisor: &str) -> String {
    format!("CASE {divisor} WHEN 0 THEN 0.0 ELSE 1.0 * {dividend} / {divisor} END")
}

impl<'a> Scope<'a> {
    fn values(&self) -> Vec<Value<'a>> {
        let repositories = self.repositories.map_or(Value::Null, Value::Text);
        vec![Value::Number(self.from.unsigned_abs()), Value::Number(self.to.unsigned_abs()), repositories]
    }

    fn values_with(&self, more: Value<'a>) -> Vec<Value<'a>> {
        let mut values = self.values();
        values.push(more);
        values
    }
}

/// The period as a whole. [`Scope::borders`] must be its two ends.
#[must_use]
pub fn adoption<'a>(scope: &Scope<'a>) -> Query<'a> {
    let first_token = |order: &str, rank: &str| {
        format!(
            "coalesce((SELECT first_token_ms FROM session_facts INDEXED BY session_facts_by_first_token \
             WHERE first_token_ms IS NOT NULL AND {PERIOD} AND {VISIBLE} ORDER BY first_token_ms {order} LIMIT 1 \
             OFFSET (SELECT {rank} FROM total)), 0)"
        )
    };
    let users = format!(
        "(SELECT count(*) FROM person WHERE user_id IS NOT NULL AND EXISTS (SELECT 1 FROM session_people p \
         WHERE p.user_id = person.user_id AND {PERIOD} AND {VISIBLE}))"
    );
    let tokens = "(input_tokens + output_tokens)";
    let columns = [
        "sessions".to_owned(),
        "pulls_created".to_owned(),
        "pulls_merged".to_owned(),
        ratio("pulls_merged", "pulls_created"),
        ratio("first_token_ms", "first_tokens"),
        first_token("ASC", "max(0, (first_tokens * 50 + 99) / 100 - 1)"),
        // From the slow end, which is nearer.
        first_token("DESC", "first_tokens - (first_tokens * 95 + 99) / 100"),
        users,
        "multiplayer".to_owned(),
        "prompts".to_owned(),
        ratio("prompts", "sessions"),
        "input_tokens".to_owned(),
        "output_tokens".to_owned(),
        "cost_micro_usd / 1e6".to_owned(),
        ratio("cost_micro_usd / 1e6", "sessions"),
        ratio("cost_micro_usd / 1e6", "pulls_merged"),
        ratio(tokens, "sessions"),
        ratio(tokens, "pulls_merged"),
    ];
    let sql = format!(
        "WITH RECURSIVE {PARTS}, total AS MATERIALIZED (SELECT {SUMS} FROM parts WHERE {VISIBLE}), \
         person(user_id) AS (SELECT min(user_id) FROM session_people UNION ALL \
         SELECT (SELECT min(user_id) FROM session_people p WHERE p.user_id > person.user_id) FROM person \
         WHERE person.user_id IS NOT NULL) SELECT {} FROM total",
        columns.join(", ")
    );
    Query { table: ADOPTION, sql, values: scope.values_with(Value::Text(scope.borders)) }
}

/// The period part by part.
#[must_use]
pub fn series<'a>(scope: &Scope<'a>) -> Query<'a> {
    let average = ratio("first_token_ms", "first_tokens");
    let sql = format!(
        "WITH {PARTS}, summed AS (SELECT place, {SUMS} FROM parts WHERE {VISIBLE} GROUP BY place), \
         told AS (SELECT since, {ZEROS} FROM spans LEFT JOIN summed USING (place)) \
         SELECT since, sessions, pulls_created, pulls_merged, {average}, multiplayer, prompts, input_tokens, output_tokens, \
         cost_micro_usd / 1e6 FROM told WHERE ?1 < ?2 ORDER BY since"
    );
    Query { table: SERIES, sql, values: scope.values_with(Value::Text(scope.borders)) }
}

/// Repositories with sessions or pull requests in the period, those of the most sessions first. [`Scope::borders`] must be its two ends.
#[must_use]
pub fn repositories<'a>(scope: &Scope<'a>) -> Query<'a> {
    let (merge_rate, prompts) = (ratio("pulls_merged", "pulls_created"), ratio("prompts", "sessions"));
    let sql = format!(
        "WITH {PARTS}, opened AS (SELECT repository, count(*) AS pulls FROM session_facts INDEXED BY session_facts_by_pull \
         WHERE pull_created_at >= ?1 AND pull_created_at < ?2 AND {VISIBLE} GROUP BY repository), \
         summed AS (SELECT repository, {SUMS} FROM parts WHERE {VISIBLE} GROUP BY repository), \
         named AS (SELECT repository AS name FROM summed UNION SELECT repository FROM opened), \
         told AS (SELECT name, {ZEROS}, coalesce(opened.pulls, 0) AS opened, t.total FROM named \
         LEFT JOIN summed ON summed.repository = name LEFT JOIN opened ON opened.repository = name \
         LEFT JOIN pull_totals t ON t.repository = name AND t.since = ?1 AND t.until = ?2) \
         SELECT name, sessions, pulls_created, pulls_merged, {merge_rate}, {prompts}, input_tokens, output_tokens, \
         cost_micro_usd / 1e6, opened, total, CASE WHEN total IS NULL THEN NULL WHEN max(total, opened) = 0 THEN 0.0 \
         ELSE 1.0 * opened / max(total, opened) END FROM told ORDER BY sessions DESC, name LIMIT {ROWS_MAX}"
    );
    Query { table: REPOSITORIES, sql, values: scope.values_with(Value::Text(scope.borders)) }
}

/// People with sessions in the period, those of the most prompts first.
#[must_use]
pub fn people<'a>(scope: &Scope<'a>) -> Query<'a> {
    let sql = format!(
        "SELECT p.user_id, coalesce(u.name, ''), count(*), sum(prompts) AS asked, sum(input_tokens), sum(output_tokens), \
         sum(cost_micro_usd) / 1e6 FROM session_people p INDEXED BY session_people_by_user LEFT JOIN users u ON u.user_id = p.user_id \
         WHERE {PERIOD} AND {VISIBLE} AND (?4 IS NULL OR p.user_id = ?4) GROUP BY p.user_id ORDER BY asked DESC, p.user_id LIMIT {ROWS_MAX}"
    );
    Query { table: PEOPLE, sql, values: scope.values_with(scope.user.map_or(Value::Null, Value::Text)) }
}

/// Kinds of starts, as the database has them.
const KINDS: [&str; 4] = ["warm", "image", "snapshot", "base"];

/// Starts of sandboxes in the period, by kind.
#[must_use]
pub fn starts<'a>(scope: &Scope<'a>) -> Query<'a> {
    let rows = KINDS.map(|kind| {
        let wait = |order: &str, rank: &str| {
            format!(
                "coalesce((SELECT waited_ms FROM sandbox_starts INDEXED BY sandbox_starts_by_wait WHERE kind = '{kind}' \
                 AND at >= ?1 AND at < ?2 AND {VISIBLE} ORDER BY waited_ms {order} LIMIT 1 \
                 OFFSET coalesce((SELECT {rank} FROM counted WHERE kind = '{kind}'), 0)), 0)"
            )
        };
        let average = ratio("coalesce(sum(waited), 0)", "coalesce(sum(starts), 0)");
        let share = match kind {
            "snapshot" => "0.0".to_owned(),
            _ => ratio("coalesce(sum(starts), 0)", "(SELECT coalesce(sum(starts), 0) FROM counted WHERE kind <> 'snapshot')"),
        };
        format!(
            "SELECT '{kind}', coalesce(sum(starts), 0), {average}, {}, {}, {share} FROM counted WHERE kind = '{kind}'",
            wait("ASC", "max(0, (starts * 50 + 99) / 100 - 1)"),
            wait("DESC", "starts - (starts * 95 + 99) / 100"),
        )
    });
    let sql = format!(
        "WITH counted AS MATERIALIZED (SELECT kind, count(*) AS starts, sum(waited_ms) AS waited FROM sandbox_starts \
         INDEXED BY sandbox_starts_by_wait WHERE at >= ?1 AND at < ?2 AND {VISIBLE} GROUP BY kind) {}",
        rows.join(" UNION ALL ")
    );
    Query { table: STARTS, sql, values: scope.values() }
}

/// Images of repositories, the oldest first.
#[must_use]
pub fn images<'a>(scope: &Scope<'a>) -> Query<'a> {
    let sql = format!(
        "SELECT repository, image_built_at, max(0, ?4 - image_built_at) FROM repositories \
         WHERE image_built_at IS NOT NULL AND ?1 < ?2 AND {VISIBLE} ORDER BY image_built_at, repository LIMIT {ROWS_MAX}"
    );
    Query { table: IMAGES, sql, values: scope.values_with(Value::Number(scope.now)) }
}

/// Who prompts at this moment.
#[must_use]
pub fn live<'a>(scope: &Scope<'a>) -> Query<'a> {
    let sql = format!(
        "SELECT count(DISTINCT user_id) FROM session_people WHERE prompted_at IS NOT NULL AND prompted_at > ?4 AND ?1 < ?2 AND {VISIBLE}"
    );
    Query { table: LIVE, sql, values: scope.values_with(Value::Number(scope.now.saturating_sub(LIVE_MS))) }
}

/// Repositories with sessions in the period, those of the most first, whose pull requests the code host was not asked about since the period
/// was over, or an hour ago. One column.
#[must_use]
pub fn uncounted<'a>(scope: &Scope<'a>) -> (String, Vec<Value<'a>>) {
    let sql = format!(
        "WITH busy AS (SELECT repository, sum(sessions) AS sessions FROM metric_hours WHERE hour >= ?4 AND hour <= ?5 AND {VISIBLE} \
         GROUP BY repository) SELECT busy.repository FROM busy LEFT JOIN pull_totals t ON t.repository = busy.repository \
         AND t.since = ?1 AND t.until = ?2 WHERE t.checked_at IS NULL OR (t.checked_at < t.until AND t.checked_at < ?6) \
         ORDER BY busy.sessions DESC, busy.repository LIMIT {COUNTED_MAX}"
    );
    let mut values = scope.values();
    let hour = |moment: Moment| Value::Number((moment / 3_600_000).unsigned_abs());
    values.extend([hour(scope.from), hour(scope.to - 1), Value::Number(scope.now.saturating_sub(COUNT_MS))]);
    (sql, values)
}
