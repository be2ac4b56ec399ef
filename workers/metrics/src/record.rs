//! The facts of one session, and how they get into the database: as often and in whatever order they are told, the newest counts, once.

use crate::query::Scope;
use platform::bound::Value;

/// What a session was and came to. Moments are Unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Which session.
    pub session_id: String,
    /// Rises with every change of the others.
    pub revision: u64,
    /// `owner/name`.
    pub repository: String,
    /// When it was created.
    pub started_at: u64,
    /// When its first prompt was submitted.
    pub prompted_at: Option<u64>,
    /// When the agent first said or thought something.
    pub first_token_at: Option<u64>,
    /// When the last turn that the agent finished was over.
    pub completed_at: Option<u64>,
    /// When its pull request was opened.
    pub pull_created_at: Option<u64>,
    /// When that was merged.
    pub pull_merged_at: Option<u64>,
    /// Prompts that were not taken back.
    pub prompts: u64,
    /// People who were ever in it.
    pub participants: u64,
    /// Read by models.
    pub input_tokens: u64,
    /// Written by models.
    pub output_tokens: u64,
    /// Millionths of a dollar.
    pub cost_micro_usd: u64,
    /// JSON of `[user_id, prompts, prompted_at or null, input_tokens, output_tokens, cost_micro_usd]` for each participant.
    pub people: String,
    /// JSON of `[generation, kind, at, waited_ms]` for each sandbox that a prompt waited for.
    pub starts: String,
}

/// A statement and what to bind to it.
pub type Statement<'a> = (&'static str, Vec<Value<'a>>);

/// Nothing changes where something newer was told before; the facts themselves are written last, because they carry the revision.
const PEOPLE: &str = "INSERT INTO session_people \
    (session_id, user_id, repository, started_at, prompts, prompted_at, input_tokens, output_tokens, cost_micro_usd) \
    SELECT ?1, value ->> 0, ?3, ?4, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each(?5) \
    WHERE coalesce((SELECT revision FROM session_facts WHERE session_id = ?1), 0) <= ?2 \
    ON CONFLICT (session_id, user_id) DO UPDATE SET prompts = excluded.prompts, prompted_at = excluded.prompted_at, \
    input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens, cost_micro_usd = excluded.cost_micro_usd \
    WHERE (prompts, prompted_at, input_tokens, output_tokens, cost_micro_usd) IS NOT (excluded.prompts, excluded.prompted_at, \
    excluded.input_tokens, excluded.output_tokens, excluded.cost_micro_usd)";

/// A start never changes.
const STARTS: &str = "INSERT INTO sandbox_starts (session_id, generation, repository, kind, at, waited_ms) \
    SELECT ?1, value ->> 0, ?2, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?3) WHERE true \
    ON CONFLICT (session_id, generation) DO NOTHING";

const FACTS: &str = "INSERT INTO session_facts (session_id, revision, repository, started_at, prompted_at, first_token_at, completed_at, \
    pull_created_at, pull_merged_at, prompts, participants, input_tokens, output_tokens, cost_micro_usd) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) \
    ON CONFLICT (session_id) DO UPDATE SET revision = excluded.revision, prompted_at = excluded.prompted_at, \
    first_token_at = excluded.first_token_at, completed_at = excluded.completed_at, pull_created_at = excluded.pull_created_at, \
    pull_merged_at = excluded.pull_merged_at, prompts = excluded.prompts, participants = excluded.participants, \
    input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens, cost_micro_usd = excluded.cost_micro_usd \
    WHERE excluded.revision >= session_facts.revision";

/// What records them; one transaction.
#[must_use]
pub fn statements(facts: &Facts) -> [Statement<'_>; 3] {
    let (id, repository) = (Value::Text(&facts.session_id), Value::Text(&facts.repository));
    let started_at = Value::Number(facts.started_at);
    let moment = |moment: Option<u64>| moment.map_or(Value::Null, Value::Number);
    let people = vec![id, Value::Number(facts.revision), repository, started_at, Value::Text(&facts.people)];
    let starts = vec![id, repository, Value::Text(&facts.starts)];
    let row = vec![
        id,
        Value::Number(facts.revision),
        repository,
        started_at,
        moment(facts.prompted_at),
        moment(facts.first_token_at),
        moment(facts.completed_at),
        moment(facts.pull_created_at),
        moment(facts.pull_merged_at),
        Value::Number(facts.prompts),
        Value::Number(facts.participants),
        Value::Number(facts.input_tokens),
        Value::Number(facts.output_tokens),
        Value::Number(facts.cost_micro_usd),
    ];
    [(PEOPLE, people), (STARTS, starts), (FACTS, row)]
}

/// Keeps when the image was made that sandboxes of a repository (`?1`) start from (`?2`).
pub const IMAGE: &str =
    "UPDATE repositories SET image_built_at = ?2 WHERE repository = ?1 AND image_built_at IS NOT ?2";

const TOTAL: &str = "INSERT INTO pull_totals (repository, since, until, total, checked_at) VALUES (?1, ?2, ?3, ?4, ?5) \
    ON CONFLICT (repository, since, until) DO UPDATE SET total = excluded.total, checked_at = excluded.checked_at";

/// What keeps how many pull requests the code host has counted in a period.
#[must_use]
pub fn total<'a>(scope: &Scope<'_>, repository: &'a str, total: u64) -> Statement<'a> {
    let (from, to) = (scope.from.unsigned_abs(), scope.to.unsigned_abs());
    let numbers = [from, to, total, scope.now].map(Value::Number);
    (TOTAL, std::iter::once(Value::Text(repository)).chain(numbers).collect())
}
