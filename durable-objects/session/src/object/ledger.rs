//! The ledger of budgets in D1: tells it what was spent, asks it what may be, and has the bridge hold the sandbox to that.
//!
//! One question at a time, so that the newest grant is also the newest allowance. While D1 is away a turn that runs goes on with what it
//! was granted, no further, and none begins: nobody could say who has spent what.

use super::failure::Failure;
use super::shell::Shell;
use crate::core::{Consultation, Input, Session, SlotsAsked, WorkOutcome};
use budget::ledger::{self, Asker, Columns};
use budget::verdict::{Answer, allowance, is_limited, remainder};
use futures::future::join;
use platform::bridge::{Ask, Unanswered};
use platform::d1::{Database, Row, Value};
use platform::host::now;
use protocol::budget::{Allowance, AllowanceRequest, Spending};
use protocol::id::TurnId;
use protocol::time::Timestamp;
use std::rc::Rc;

/// An answer of one hop.
const ALLOWANCE_MS_MAX: u64 = 5_000;

/// A row of D1 for the reader of the ledger's answers.
pub(super) struct LedgerRow(pub(super) Row);

impl Columns for LedgerRow {
    fn text(&self, column: u32) -> String {
        self.0.text(column)
    }

    fn number(&self, column: u32) -> Option<u64> {
        self.0.number(column)
    }
}

/// What the ledger is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    /// Because something is to be done, for which the session may have everything already.
    ForWork,
    /// To hear what is new.
    ForItself,
}

impl Shell {
    /// Carries out `Work::AskLedger`.
    pub(super) async fn ask_ledger(self: &Rc<Self>) -> WorkOutcome {
        match self.consult(Asks::ForItself).await {
            Ok(()) => WorkOutcome::Done,
            Err(reason) => WorkOutcome::Delayed { reason },
        }
    }

    /// What is to be made or claimed for the session as its newest sandbox, unless there is no slot for it or everything is halted. What
    /// was made in spite of a halt ends with the sandbox that it was for.
    pub(super) async fn with_slot(
        self: &Rc<Self>,
        generation: u64,
        work: impl Future<Output = WorkOutcome>,
    ) -> WorkOutcome {
        let life_ms = self.settings.timing.life_ms;
        match self.with_session(|session| session.has_slots(life_ms)) {
            Ok(true) => return self.unless_halted(work).await,
            Ok(false) => {}
            Err(failure) => return self.failed(failure),
        }
        if let Err(reason) = self.consult(Asks::ForWork).await {
            return WorkOutcome::Delayed { reason };
        }
        let is_wanted =
            self.with_session(|session| session.generation == generation && session.sandbox.is_some());
        match is_wanted {
            Ok(true) => work.await,
            // It was given up, and its prompt waits.
            Ok(false) => WorkOutcome::Done,
            Err(failure) => self.failed(failure),
        }
    }

    /// Asks before a turn begins. What the answer means the core decides; `false` when the turn is not to begin any more.
    pub(super) async fn may_begin(self: &Rc<Self>, turn_id: &TurnId) -> Result<bool, String> {
        self.consult(Asks::ForWork).await?;
        let is_on =
            self.with_session(|session| session.turn.as_ref().is_some_and(|turn| turn.id == *turn_id));
        is_on.map_err(|failure| self.reason_of(failure))
    }

    fn reason_of(&self, failure: Failure) -> String {
        failure.into_body(&self.about()).message
    }

    /// What the agent is to know of its means.
    pub(super) fn means(&self) -> Option<String> {
        self.with_session(|session| remainder(&session.account.state.budgets, session)).ok().flatten()
    }

    async fn is_halted(&self) -> Result<bool, String> {
        let rows = self.database()?.rows(ledger::HALTED, &[]).await.map_err(|error| error.to_string())?;
        Ok(!rows.is_empty())
    }

    /// What is to be made or claimed for the session, unless everything is halted, which is asked meanwhile: nothing waits for the
    /// answer that says no. What was made in spite of a halt ends with the sandbox that it was for.
    async fn unless_halted(self: &Rc<Self>, work: impl Future<Output = WorkOutcome>) -> WorkOutcome {
        let (outcome, halted) = join(work, self.is_halted()).await;
        if halted == Ok(true)
            && let Err(reason) = self.consult(Asks::ForWork).await
        {
            worker::console_warn!("a session has not heard of the halt: {reason}");
        }
        outcome
    }

    async fn consult(self: &Rc<Self>, asks: Asks) -> Result<(), String> {
        let _alone = self.consulting.lock().await;
        let (session, asked_at) =
            (self.with_session(Clone::clone).map_err(|failure| self.reason_of(failure))?, now());
        let payer = session.payer().clone();
        let id = session.info.id.as_str();
        let asker =
            Asker { session_id: id, user_id: payer.as_str(), repository: session.info.repository.as_str() };
        let takes = session.turn.is_some();
        let mut told = session.counted();
        let is_unsettled = session.account.is_unsettled();
        if !takes && session.account.granted.is_some() && session.sandbox.is_some() {
            // What is given back must not be spent any more.
            self.allow(&session, &nothing(asked_at)).await?;
        }
        let database = self.database()?;
        let answer = async {
            // What is unsettled is told first, and then asked about.
            if is_unsettled { Ok(Answer::default()) } else { ask(&database, &asker, asked_at).await }
        };
        let (slots, answer) = join(self.settle_slots(&database, &session, asks, asked_at), answer).await;
        let (slots, mut answer) = (slots?, answer?);
        let lacks = slots.as_ref().is_some_and(|slots| slots.lack.is_any());
        // A turn that is only about to begin waits for its slot, and needs no money meanwhile.
        let pays = takes && !(lacks && session.would_wait());
        let is_paid = is_unsettled || (pays && is_limited(&answer.budgets));
        if is_paid {
            let spent = session.account.spent();
            let statements = ledger::exchange(&asker, &spent, pays, asked_at);
            let bound: Vec<(&str, &[Value<'_>])> =
                statements.iter().map(|(sql, values)| (*sql, values.as_slice())).collect();
            database.together(&bound).await.map_err(|error| error.to_string())?;
        }
        if is_paid || lacks {
            // With what was granted, and with the slots that others have at this moment.
            answer = ask(&database, &asker, asked_at).await?;
        }
        told.refused = false;
        let was_limited = session.account.granted.is_some();
        let allowed = pays.then(|| allowance(&answer, told, asked_at, &session));
        if let Some(allowed) = allowed.as_ref().filter(|_| was_limited || is_limited(&answer.budgets)) {
            self.allow(&session, allowed).await?;
        }
        let consultation = Consultation {
            asked_at,
            answer,
            allowance: allowed,
            slots,
            told_changes: session.account.spent_changes,
        };
        let was_held = session.account.state.hold.is_some();
        self.apply(Input::Consulted(consultation)).map_err(|failure| self.reason_of(failure))?;
        self.list_held(&database, was_held, asked_at).await
    }

    /// Exchanges slots, unless the session is known to have what it needs. What asks for itself does so in any case: it may have been told
    /// that there is a slot, and then whether it wants it decides who is told next.
    async fn settle_slots(
        self: &Rc<Self>,
        database: &Database,
        session: &Session,
        asks: Asks,
        now: Timestamp,
    ) -> Result<Option<SlotsAsked>, String> {
        let waited = match asks {
            Asks::ForWork if session.has_slots(self.settings.timing.life_ms) => return Ok(None),
            Asks::ForWork => session.waits_for_slot(),
            Asks::ForItself => true,
        };
        self.exchange_slots(database, session, waited, now).await.map(Some)
    }

    /// Whether the session is among those that are told when budgets or a halt change.
    async fn list_held(&self, database: &Database, was_held: bool, now: Timestamp) -> Result<(), String> {
        let look = |session: &Session| {
            (session.info.id.clone(), session.account.state.hold.is_some() && !session.deleted)
        };
        let (id, is_held) = self.with_session(look).map_err(|failure| self.reason_of(failure))?;
        if is_held || was_held {
            let held = [Value::Text(id.as_str()), Value::Number(now.0)];
            let (sql, values) =
                if is_held { (ledger::HELD, held.as_slice()) } else { (ledger::RELEASED, &held[..1]) };
            database.rows(sql, values).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Tells the bridge how far the sandbox may go. A sandbox that it does not have spends nothing.
    async fn allow(&self, session: &Session, allowance: &Allowance) -> Result<(), String> {
        let Some(sandbox) = &session.sandbox else { return Ok(()) };
        let request = AllowanceRequest { generation: session.generation, allowance: allowance.clone() };
        let path = format!("/sandboxes/{}/allowance", sandbox.id);
        let ask = Ask::new(path, &request, ALLOWANCE_MS_MAX, sandbox.bridge_url.clone());
        let ask = ask.map_err(|failure| self.reason_of(failure))?.traced(self.span());
        match self.settings.bridge.send(&ask).await {
            Ok(answered) if matches!(answered.status, 200..300 | 404 | 409) => Ok(()),
            Ok(answered) => Err(format!("the bridge answers an allowance with status {}", answered.status)),
            Err(Unanswered::Misconfigured(reason) | Unanswered::Silent(reason)) => Err(reason),
        }
    }

    fn database(&self) -> Result<Database, String> {
        Database::new(&self.env).map_err(|error| error.to_string())
    }
}

async fn ask(database: &Database, asker: &Asker<'_>, now: Timestamp) -> Result<Answer, String> {
    let (sql, values) = ledger::question(asker, now);
    let rows = database.rows(sql, &values).await.map_err(|error| error.to_string())?;
    Ok(ledger::read(&rows.into_iter().map(LedgerRow).collect::<Vec<_>>()))
}

/// For a sandbox in which no turn runs.
fn nothing(asked_at: Timestamp) -> Allowance {
    let Spending { micro_dollars, tokens, .. } = Spending::default();
    Allowance {
        asked_at,
        micro_dollars: Some(micro_dollars),
        tokens: Some(tokens),
        until: None,
        more: true,
        reason: "no turn runs in this sandbox".to_owned(),
    }
}
