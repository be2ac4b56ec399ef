//! What others keep of the session: its row in D1, from which lists are made, its facts there, from which metrics are, and what its Slack
//! thread shows. All may lag behind; an older word never replaces a newer one.

use super::shell::Shell;
use crate::call::{THREAD_BINDING, THREAD_URL};
use crate::core::WorkOutcome;
use crate::store::IndexRow;
use metrics::record::Facts;
use platform::d1::{Database, Value};
use platform::web::{Redirect, new_request};
use protocol::client::Activity;
use worker::wasm_bindgen::JsValue;

const UPSERT: &str = "INSERT INTO sessions (session_id, title, repository, created_by, created_by_name, created_at, updated_at, \
    activity, pull_request_number, additions, deletions, archived, seq) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) \
    ON CONFLICT (session_id) DO UPDATE SET title = excluded.title, created_by_name = excluded.created_by_name, \
    updated_at = excluded.updated_at, activity = excluded.activity, pull_request_number = excluded.pull_request_number, \
    additions = excluded.additions, deletions = excluded.deletions, archived = excluded.archived, \
    seq = excluded.seq WHERE excluded.seq >= sessions.seq";

/// By which the code host's words find the session.
const UPSERT_PULL: &str = "INSERT INTO pull_requests (repository, number, session_id, branch) VALUES (?1, ?2, ?3, ?4) \
    ON CONFLICT (repository, number) DO UPDATE SET session_id = excluded.session_id, branch = excluded.branch";

impl Shell {
    pub(super) async fn update_index(&self) -> WorkOutcome {
        let told = self.tell_thread().await;
        let row = match self.require_session().and_then(|()| Ok(self.store.load_index_row()?)) {
            Ok(row) => row,
            Err(failure) => return self.failed(failure),
        };
        let facts = match self.store.load_facts() {
            Ok(facts) => facts,
            Err(error) => return WorkOutcome::Failed { reason: error.to_string() },
        };
        match self.upsert(&row, &facts).await {
            Ok(()) => told.map_or_else(|reason| WorkOutcome::Delayed { reason }, |()| WorkOutcome::Done),
            Err(error) => WorkOutcome::Delayed { reason: error.to_string() },
        }
    }

    /// Tells the Slack thread that the session was begun in how it goes; the thread shows the newest that it was told.
    async fn tell_thread(&self) -> Result<(), String> {
        let view = self.store.load_thread_view().map_err(|error| error.to_string())?;
        let Some((thread, view)) = view else { return Ok(()) };
        let namespace = self.env.durable_object(THREAD_BINDING).map_err(|error| error.to_string())?;
        let answer = async {
            let headers = [("content-type", "application/json")];
            let body = JsValue::from_str(&view.to_string());
            let request = new_request("POST", THREAD_URL, &headers, Redirect::Follow, Some(&body))?;
            namespace.get_by_name(&thread)?.fetch_with_request(request).await
        };
        match answer.await {
            Ok(answer) if answer.status_code() == 200 => Ok(()),
            Ok(answer) => Err(format!("the thread answers with status {}", answer.status_code())),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Takes the row out. An update on its way would bring it back, so that one comes to its end first.
    pub(super) async fn remove_index(&self) -> WorkOutcome {
        if self.is_on_its_way("update_index") {
            return WorkOutcome::Delayed { reason: "the row is just being written".to_owned() };
        }
        let session_id = match self.with_session(|session| session.info.id.clone()) {
            Ok(session_id) => session_id,
            Err(failure) => return self.failed(failure),
        };
        // A question on its way would list it again among those that wait.
        let _alone = self.consulting.lock().await;
        match self.delete_row(session_id.as_str()).await {
            Ok(()) => WorkOutcome::Done,
            Err(error) => WorkOutcome::Delayed { reason: error.to_string() },
        }
    }

    async fn delete_row(&self, session_id: &str) -> worker::Result<()> {
        let values = [Value::Text(session_id)];
        let statements = [
            ("DELETE FROM sessions WHERE session_id = ?1", values.as_slice()),
            ("DELETE FROM pull_requests WHERE session_id = ?1", &values),
            (budget::ledger::RELEASED, &values),
            (budget::slots::WAIT_NO_MORE, &values),
        ];
        Database::new(&self.env)?.together(&statements).await
    }

    async fn upsert(&self, row: &IndexRow, facts: &Facts) -> worker::Result<()> {
        let summary = &row.summary;
        let activity = match summary.activity {
            Activity::Running => "running",
            Activity::Failed => "failed",
            Activity::Idle | Activity::Unknown => "idle",
        };
        let pull_number = summary.pull_request_number.map_or(Value::Null, Value::Number);
        let values = [
            Value::Text(summary.session_id.as_str()),
            Value::Text(&summary.title),
            Value::Text(summary.repository.as_str()),
            Value::Text(summary.created_by.as_str()),
            Value::Text(&summary.created_by_name),
            Value::Number(summary.created_at.0),
            Value::Number(summary.updated_at.0),
            Value::Text(activity),
            pull_number,
            Value::Number(summary.additions.into()),
            Value::Number(summary.deletions.into()),
            Value::Number(summary.archived.into()),
            Value::Number(row.seq),
        ];
        let branch = self.with_session(|session| session.info.branch.clone()).unwrap_or_default();
        let pull = [
            Value::Text(summary.repository.as_str()),
            pull_number,
            Value::Text(summary.session_id.as_str()),
            Value::Text(&branch),
        ];
        let mut statements = vec![(UPSERT, values.as_slice())];
        if summary.pull_request_number.is_some() {
            statements.push((UPSERT_PULL, &pull));
        }
        let recorded = metrics::record::statements(facts);
        statements.extend(recorded.iter().map(|(sql, values)| (*sql, values.as_slice())));
        Database::new(&self.env)?.together(&statements).await
    }
}
