//! The session's row in D1, from which lists are made. It may lag behind; an older row never replaces a newer one.

use super::shell::Shell;
use crate::core::WorkOutcome;
use crate::store::IndexRow;
use protocol::client::Activity;
use worker::wasm_bindgen::JsValue;

const UPSERT: &str = "INSERT INTO sessions (session_id, title, repository, created_by, created_by_name, created_at, updated_at, \
    activity, pull_request_number, additions, deletions, archived, seq) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) \
    ON CONFLICT (session_id) DO UPDATE SET title = excluded.title, created_by_name = excluded.created_by_name, \
    updated_at = excluded.updated_at, activity = excluded.activity, pull_request_number = excluded.pull_request_number, \
    additions = excluded.additions, deletions = excluded.deletions, archived = excluded.archived, \
    seq = excluded.seq WHERE excluded.seq >= sessions.seq";

impl Shell {
    pub(super) async fn update_index(&self) -> WorkOutcome {
        let row = match self.require_session().and_then(|()| Ok(self.store.load_index_row()?)) {
            Ok(row) => row,
            Err(failure) => return WorkOutcome::Failed { reason: failure.into_body().message },
        };
        match self.upsert(&row).await {
            Ok(()) => WorkOutcome::Done,
            Err(error) => {
                worker::console_warn!("the session index is behind: {error}");
                WorkOutcome::Delayed { reason: error.to_string() }
            }
        }
    }

    /// Takes the row out. An update on its way would bring it back, so that one comes to its end first.
    pub(super) async fn remove_index(&self) -> WorkOutcome {
        if self.is_on_its_way("update_index") {
            return WorkOutcome::Delayed { reason: "the row is just being written".to_owned() };
        }
        let session_id = match self.with_session(|session| session.info.id.clone()) {
            Ok(session_id) => session_id,
            Err(failure) => return WorkOutcome::Failed { reason: failure.into_body().message },
        };
        match self.delete_row(session_id.as_str()).await {
            Ok(()) => WorkOutcome::Done,
            Err(error) => WorkOutcome::Delayed { reason: error.to_string() },
        }
    }

    async fn delete_row(&self, session_id: &str) -> worker::Result<()> {
        let statement = self.env.d1("DB")?.prepare("DELETE FROM sessions WHERE session_id = ?1");
        statement.bind(&[JsValue::from_str(session_id)])?.run().await?;
        Ok(())
    }

    async fn upsert(&self, row: &IndexRow) -> worker::Result<()> {
        let summary = &row.summary;
        let activity = match summary.activity {
            Activity::Running => "running",
            Activity::Failed => "failed",
            Activity::Idle | Activity::Unknown => "idle",
        };
        #[expect(clippy::cast_precision_loss, reason = "numbers on our wires are below 2^53")]
        let number = |number: u64| JsValue::from_f64(number as f64);
        let values = [
            JsValue::from_str(summary.session_id.as_str()),
            JsValue::from_str(&summary.title),
            JsValue::from_str(summary.repository.as_str()),
            JsValue::from_str(summary.created_by.as_str()),
            JsValue::from_str(&summary.created_by_name),
            number(summary.created_at.0),
            number(summary.updated_at.0),
            JsValue::from_str(activity),
            summary.pull_request_number.map_or(JsValue::NULL, number),
            number(summary.additions.into()),
            number(summary.deletions.into()),
            number(summary.archived.into()),
            number(row.seq),
        ];
        self.env.d1("DB")?.prepare(UPSERT).bind(&values)?.run().await?;
        Ok(())
    }
}
