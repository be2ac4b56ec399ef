//! What operators decide about spending: budgets, and the kill switch.
//!
//! Both are rows of D1 first; sessions ask for them before a turn begins. Those that are at work or wait are told at once. A halt also has
//! the bridge end every sandbox, twice: what was being made when it came is found the second time.

use super::guard::Admitted;
use crate::accounts::{Accounts, Deed};
use crate::answer::{Answer, OrInternal as _, json, log};
use crate::body::parse;
use crate::context::Context;
use crate::session_object::post_bytes;
use budget::ledger::{self, Columns};
use futures::future::join_all;
use platform::bridge::{Ask, Unanswered};
use platform::d1::{Database, Row, Value};
use platform::log::About;
use platform::operator::Operator;
use protocol::budget::{
    BudgetPeriod, BudgetRequest, BudgetScope, Budgets, Halt, HaltAnswer, HaltRequest, Halted,
};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::{RepositoryId, SessionId, UserId};
use protocol::time::Timestamp;
use session::call::Call;

/// How long the bridge may take to end everything.
const HALT_MS_MAX: u64 = 20_000;
/// Longest reason, in bytes: people read it in their sessions.
const REASON_BYTES_MAX: usize = 500;
/// Sessions that are told at the same time.
const AT_ONCE: usize = 50;
/// More than that is a slip of the keyboard: a million dollars, and as many tokens as are exact everywhere.
const MONEY_MAX: u64 = 1_000_000_000_000;
const NUMBER_MAX: u64 = (1 << 53) - 1;

struct LedgerRow(Row);

impl Columns for LedgerRow {
    fn text(&self, column: u32) -> String {
        self.0.text(column)
    }

    fn number(&self, column: u32) -> Option<u64> {
        self.0.number(column)
    }
}

/// All budgets, and the halt that is in force.
pub(super) async fn list(context: &Context) -> Answer {
    let database = database(context)?;
    let (sql, values) = ledger::list(context.now);
    let rows = database.rows(sql, &values).await.or_unavailable("the database")?;
    let budgets = rows.into_iter().map(|row| ledger::read_budget(&LedgerRow(row))).collect();
    let halts = database.rows(ledger::HALTED, &[]).await.or_unavailable("the database")?;
    let halt = halts.first().map(|row| Halt {
        reason: row.text(0),
        by: row.text(1),
        at: Timestamp(row.number(2).unwrap_or_default()),
    });
    json(200, &Budgets { budgets, halt })
}

/// Sets a budget, or removes it.
pub(super) async fn set(context: &Context, admitted: &Admitted) -> Answer {
    let request: BudgetRequest = parse(&admitted.body)?;
    check(&request)?;
    let BudgetRequest {
        scope,
        subject,
        period,
        money_micro_dollars,
        tokens,
        turn_ms,
        sessions_max,
        sandboxes_max,
    } = &request;
    let whose = [Value::Text(scope.as_str()), Value::Text(subject)];
    let limits = [money_micro_dollars, tokens, turn_ms, sessions_max, sandboxes_max];
    let database = database(context)?;
    let changed = if limits.iter().all(|limit| limit.is_none()) {
        database.rows(ledger::REMOVE, &whose).await
    } else {
        let mut values = whose.to_vec();
        values.push(Value::Text(period.as_str()));
        values.extend(limits.map(|limit| limit.map_or(Value::Null, Value::Number)));
        database.rows(ledger::SET, &values).await
    };
    changed.or_unavailable("the database")?;
    let text = |limit: &Option<u64>| limit.map_or_else(|| "any".to_owned(), |limit| limit.to_string());
    let [money, tokens, turn, sessions, sandboxes] = limits.map(text);
    let period = period.as_str();
    let detail = format!(
        "{period}: {money} micro-dollars, {tokens} tokens, {turn} ms for a turn, {sessions} sessions and {sandboxes} sandboxes at once"
    );
    let target = format!("{} {subject}", scope.as_str());
    let actor = &admitted.principal()?.user.id;
    let deed = Deed { actor, action: "budget.change", target: &target, detail: &detail };
    Accounts::new(&context.env)?.audit(&deed, context.now).await?;
    tell_sessions(context, &database).await;
    list(context).await
}

/// Stops everything: no turn begins, and every sandbox ends.
pub(super) async fn halt(context: &Context, admitted: &Admitted) -> Answer {
    let HaltRequest { reason } = parse(&admitted.body)?;
    let reason = reason.trim();
    if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
        let message =
            format!("say why, in at most {REASON_BYTES_MAX} bytes: people read it in their sessions");
        return Err(ErrorBody::new(ErrorCode::BadRequest, message));
    }
    let operator = &admitted.principal()?.user;
    let database = database(context)?;
    let values = [Value::Text(reason), Value::Text(&operator.name), Value::Number(context.now.0)];
    database.rows(ledger::HALT, &values).await.or_unavailable("the database")?;
    let deed = Deed { actor: &operator.id, action: "halt", target: "everything", detail: reason };
    Accounts::new(&context.env)?.audit(&deed, context.now).await?;
    let first = end_sandboxes(context, reason).await;
    tell_sessions(context, &database).await;
    let second = end_sandboxes(context, reason).await;
    let ended = [&first, &second].into_iter().flatten().map(|halted| halted.ended).sum();
    let problem = match second {
        Ok(Halted { left: 0, .. }) => None,
        Ok(Halted { left, .. }) => {
            Some(format!("{left} sandboxes could not be ended; the bridge's log says why"))
        }
        Err(reason) => Some(format!("the sandbox bridge: {reason}")),
    };
    json(200, &HaltAnswer { ended, problem })
}

/// Lets prompts go on.
pub(super) async fn lift(context: &Context, admitted: &Admitted) -> Answer {
    let operator = &admitted.principal()?.user;
    let database = database(context)?;
    let values = [Value::Text(&operator.name), Value::Number(context.now.0)];
    database.rows(ledger::LIFT, &values).await.or_unavailable("the database")?;
    let deed = Deed { actor: &operator.id, action: "halt.lift", target: "everything", detail: "" };
    Accounts::new(&context.env)?.audit(&deed, context.now).await?;
    tell_sessions(context, &database).await;
    list(context).await
}

fn check(request: &BudgetRequest) -> Result<(), ErrorBody> {
    let refused = |message: &str| Err(ErrorBody::new(ErrorCode::BadRequest, message));
    let subject = request.subject.as_str();
    let everybody = subject == "*";
    let (is_subject, is_period) = match request.scope {
        BudgetScope::Session => {
            (everybody || SessionId::parse(subject).is_ok(), request.period == BudgetPeriod::Life)
        }
        BudgetScope::User => (everybody || UserId::parse(subject).is_ok(), is_recurring(request.period)),
        BudgetScope::Repository => {
            (everybody || RepositoryId::parse(subject).is_ok(), is_recurring(request.period))
        }
        BudgetScope::Organisation => (subject.is_empty(), is_recurring(request.period)),
        BudgetScope::Unknown => return refused("`scope` is session, user, repository or organisation"),
    };
    if !is_subject {
        return refused(
            "`subject` is the id of what `scope` says, `*` for each of them, and empty for the organisation",
        );
    }
    if !is_period {
        return refused("`period` is life for sessions, and day or month for everything else");
    }
    if request.money_micro_dollars.is_some_and(|money| money > MONEY_MAX)
        || [request.tokens, request.turn_ms, request.sessions_max, request.sandboxes_max]
            .into_iter()
            .flatten()
            .any(|number| number > NUMBER_MAX)
    {
        return refused("a limit is too large; leave it out where there is to be none");
    }
    let slots = [request.sessions_max, request.sandboxes_max];
    if slots.contains(&Some(0)) {
        return refused(
            "`sessionsMax` and `sandboxesMax` are at least 1; a budget of no money lets nobody work",
        );
    }
    if request.scope == BudgetScope::Session && slots != [None, None] {
        return refused(
            "a session has one turn and one sandbox at a time; limit a user, a repository or the organisation",
        );
    }
    Ok(())
}

fn is_recurring(period: BudgetPeriod) -> bool {
    matches!(period, BudgetPeriod::Day | BudgetPeriod::Month)
}

async fn end_sandboxes(context: &Context, reason: &str) -> Result<Halted, String> {
    let request = HaltRequest { reason: reason.to_owned() };
    let ask = Ask::new("/halted".to_owned(), &request, HALT_MS_MAX, None);
    let about = About::default().traced(Some(context.trace));
    let ask = ask.map_err(|failure| failure.into_body(&about).message)?.traced(Some(context.trace));
    match Operator(&context.env).bridge().send(&ask).await {
        Ok(answered) if answered.status == 200 => {
            protocol::read_json(&answered.body).map_err(|error| error.to_string())
        }
        Ok(answered) => Err(format!("it answers with status {}", answered.status)),
        Err(Unanswered::Misconfigured(reason) | Unanswered::Silent(reason)) => Err(reason),
    }
}

/// Has the sessions that are at work or wait ask anew. Who is not reached asks within a minute.
async fn tell_sessions(context: &Context, database: &Database) {
    let rows = match database.rows(ledger::CONCERNED, &[]).await {
        Ok(rows) => rows,
        Err(error) => {
            log("finding the sessions that a change concerns", &error);
            return;
        }
    };
    let ids: Vec<_> = rows.iter().filter_map(|row| SessionId::parse(&row.text(0)).ok()).collect();
    for some in ids.chunks(AT_ONCE) {
        let told = some.iter().map(|id| post_bytes(&context.env, id, Call::BudgetsChanged, b"{}"));
        join_all(told).await;
    }
}

fn database(context: &Context) -> Result<Database, ErrorBody> {
    Database::new(&context.env).or_internal("finding the database")
}
