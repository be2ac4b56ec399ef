//! The session as metrics count it, put together by SQLite: moments, numbers and ids.

use super::Store;
use super::sql::{Sql, StoreError, Value};
use metrics::record::Facts;

/// Prompts that were taken back do not count. A turn's end has what it took.
const ASKED: &str = "asked AS (SELECT author_id, COUNT(*) AS prompts, MAX(submitted_at) AS prompted_at FROM prompts \
    WHERE state <> 'cancelled' GROUP BY author_id), \
    spent AS (SELECT author_id, SUM(turn_end ->> '$.usage.inputTokens') AS input_tokens, \
    SUM(turn_end ->> '$.usage.outputTokens') AS output_tokens, SUM(turn_end ->> '$.usage.costUsd') AS cost_usd \
    FROM turns JOIN prompts USING (prompt_id) WHERE turn_end IS NOT NULL GROUP BY author_id)";

const PEOPLE: &str = "json_group_array(json_array(user_id, COALESCE(prompts, 0), prompted_at, COALESCE(input_tokens, 0), \
    COALESCE(output_tokens, 0), CAST(ROUND(COALESCE(cost_usd, 0) * 1e6) AS INTEGER)))";

/// From prompt to agent: since the prompt was there and nothing before it was in work.
const STARTS: &str = "SELECT json_group_array(json_array(value ->> '$.generation', value ->> '$.kind', value ->> '$.at', \
    MAX(0, (value ->> '$.at') - MAX(submitted_at, COALESCE((SELECT MAX(earlier.turn_end ->> '$.endedAt') FROM turns earlier \
    WHERE earlier.position < turns.position), 0))))) \
    FROM sandbox, json_each(milestones, '$.starts') JOIN turns ON turn_id = value ->> '$.turn_id' JOIN prompts USING (prompt_id)";

impl<S: Sql> Store<S> {
    /// What the session was and came to so far.
    pub fn load_facts(&self) -> Result<Facts, StoreError> {
        let query = format!(
            "WITH {ASKED} SELECT session_id, repository, session.created_at, \
             (SELECT MIN(submitted_at) FROM prompts), milestones ->> '$.first_token_at', \
             (SELECT MAX(turn_end ->> '$.endedAt') FROM turns WHERE outcome = 'completed'), \
             milestones ->> '$.pull_created_at', milestones ->> '$.pull_merged_at', \
             (SELECT COALESCE(SUM(prompts), 0) FROM asked), (SELECT COUNT(*) FROM participants), \
             input_tokens, output_tokens, CAST(ROUND(cost_usd * 1e6) AS INTEGER), \
             (SELECT {PEOPLE} FROM participants LEFT JOIN asked ON asked.author_id = user_id \
             LEFT JOIN spent ON spent.author_id = user_id), ({STARTS}), COALESCE(milestones ->> '$.changes', 0) FROM session, sandbox"
        );
        let none: [Value; 0] = [];
        let row = self
            .first_row(&query, &none)?
            .ok_or_else(|| StoreError::Corrupt("there is no session".to_owned()))?;
        Ok(Facts {
            session_id: row.text(0)?.to_owned(),
            // Either of the two rises with whatever changes the rest.
            revision: self.load_seq()? + row.number(15)?,
            repository: row.text(1)?.to_owned(),
            started_at: row.number(2)?,
            prompted_at: row.number_or_null(3)?,
            first_token_at: row.number_or_null(4)?,
            completed_at: row.number_or_null(5)?,
            pull_created_at: row.number_or_null(6)?,
            pull_merged_at: row.number_or_null(7)?,
            prompts: row.number(8)?,
            participants: row.number(9)?,
            input_tokens: row.number(10)?,
            output_tokens: row.number(11)?,
            cost_micro_usd: row.number(12)?,
            people: row.text(13)?.to_owned(),
            starts: row.text(14)?.to_owned(),
        })
    }
}
