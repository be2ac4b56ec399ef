//! Slots in D1: exchanges what the session has for what it needs, and tells one session for which there is a slot then.
//!
//! Whoever is told asks by itself and tells the next. A word that gets lost costs a minute: who waits asks that often.

use super::ledger::LedgerRow;
use super::shell::Shell;
use crate::call::{BINDING, Call, object_name};
use crate::core::{Session, SlotsAsked};
use budget::ledger::{RELEASED, Statement};
use budget::slots::{Exchange, Port};
use platform::d1::{Database, Value};
use platform::host::go_on_with;
use platform::log::{self, Level};
use platform::web::{Redirect, new_request};
use protocol::id::{SessionId, UserId};
use protocol::time::Timestamp;
use std::rc::Rc;
use worker::wasm_bindgen::JsValue;

/// Statements to D1, each by itself.
struct Ledger<'a>(&'a Database);

impl Port for Ledger<'_> {
    type Row = LedgerRow;
    type Error = worker::Error;

    async fn rows(&self, (sql, values): Statement<'_>) -> Result<Vec<LedgerRow>, worker::Error> {
        let rows = self.0.rows(sql, &values).await?;
        Ok(rows.into_iter().map(LedgerRow).collect())
    }
}

impl Shell {
    /// Takes the slots that the session needs and gives back what it does not. `waited`: whether it may be known to wait.
    pub(super) async fn exchange_slots(
        self: &Rc<Self>,
        database: &Database,
        session: &Session,
        waited: bool,
        now: Timestamp,
    ) -> Result<SlotsAsked, String> {
        let needs = session.needs();
        let until = session.slots_until(self.settings.timing.life_ms, now);
        let has_all = session.has_slots(self.settings.timing.life_ms);
        let exchange = Exchange {
            session_id: session.info.id.as_str(),
            repository: session.info.repository.as_str(),
            has: if has_all { needs } else { Default::default() },
            needs,
            waits: session.would_wait(),
            waited,
            now,
            until,
        };
        let exchanged = exchange.run(&Ledger(database)).await.map_err(|error| error.to_string())?;
        if !exchanged.next.is_empty() {
            let (shell, next) = (self.clone(), exchanged.next);
            go_on_with(&self.state, async move { shell.tell_next(next).await });
        }
        let owned = |user: Option<&str>| user.and_then(|user| UserId::parse(user).ok());
        Ok(SlotsAsked {
            session: owned(needs.session),
            sandbox: owned(needs.sandbox),
            lack: exchanged.lack,
            until: if has_all { session.account.held.until } else { until },
            first_end: exchanged.first_end,
        })
    }

    /// Tells the first of these that hears it. What is not there any more does not wait.
    async fn tell_next(&self, next: Vec<String>) {
        for id in next {
            let Ok(session_id) = SessionId::parse(&id) else { continue };
            match self.tell(&session_id).await {
                Ok(404) => self.forget_waiting(&id).await,
                Ok(200..300) => return,
                Ok(status) => self.note_untold(&id, &format!("status {status}")),
                Err(error) => self.note_untold(&id, &error.to_string()),
            }
        }
    }

    async fn tell(&self, session_id: &SessionId) -> worker::Result<u16> {
        let call = Call::BudgetsChanged;
        let headers = [("content-type", "application/json")];
        let body = JsValue::from_str("{}");
        let request = new_request(call.method(), &call.url(), &headers, Redirect::Follow, Some(&body))?;
        let namespace = self.env.durable_object(BINDING)?;
        let answer = namespace.get_by_name(&object_name(session_id))?.fetch_with_request(request).await?;
        Ok(answer.status_code())
    }

    async fn forget_waiting(&self, id: &str) {
        let outcome = async {
            let database = Database::new(&self.env)?;
            let values = [Value::Text(id)];
            database.together(&[(budget::slots::WAIT_NO_MORE, &values), (RELEASED, &values)]).await
        };
        if let Err(error) = outcome.await {
            self.note_untold(id, &error.to_string());
        }
    }

    /// It asks by itself within a minute.
    fn note_untold(&self, id: &str, reason: &str) {
        let about = self.about().with("next", id).with("error", reason);
        log::write(Level::Warn, "a session has not heard that there is a slot", &about);
    }
}
