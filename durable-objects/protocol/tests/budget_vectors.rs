//! Golden vectors of what budgets added to the wires.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail like tests")]

mod golden;

use golden::check;
use protocol::bridge::{EventBatch, SandboxEnded};
use protocol::budget::{
    Allowance, AllowanceRequest, AtOnce, Budget, BudgetPeriod, BudgetRequest, BudgetScope, BudgetState,
    Budgets, Halt, HaltAnswer, HaltRequest, Halted, Hold, HoldKind, Spending,
};
use protocol::client::ServerMessage;
use protocol::id::{SandboxId, TurnId};
use protocol::time::Timestamp;
use protocol::timeline::{EventRecord, PromptState, SessionEvent, TurnEnd, TurnOutcome, Usage};

const AT: Timestamp = Timestamp(1_795_000_000_000);

fn hold(kind: HoldKind, reason: &str) -> Hold {
    Hold { kind, reason: reason.into(), since: AT }
}

fn budget() -> Budget {
    Budget {
        scope: BudgetScope::User,
        subject: "usr_1".into(),
        period: BudgetPeriod::Day,
        money_micro_dollars: Some(5_000_000),
        tokens: None,
        turn_ms: Some(1_800_000),
        spent_micro_dollars: 4_100_000,
        spent_tokens: 812_000,
        promised_micro_dollars: 250_000,
        promised_tokens: 500_000,
        sessions: None,
        sandboxes: None,
    }
}

/// One that limits how many work at once, and nothing else.
fn slots() -> Budget {
    Budget {
        scope: BudgetScope::Repository,
        subject: "acme/shop".into(),
        money_micro_dollars: None,
        turn_ms: None,
        spent_micro_dollars: 0,
        spent_tokens: 0,
        promised_micro_dollars: 0,
        promised_tokens: 0,
        sessions: Some(AtOnce { max: 2, taken: 2 }),
        sandboxes: Some(AtOnce { max: 5, taken: 3 }),
        ..budget()
    }
}

#[test]
fn how_many_may_work_at_once() {
    let reason = "2 of 2 sessions of acme/shop are at work, and more may not be at once.";
    let state = BudgetState { hold: Some(hold(HoldKind::Slots, reason)), budgets: vec![slots()] };
    let event = EventRecord { seq: 1, at: AT, event: SessionEvent::BudgetChanged(state) };
    check("server_messages_at_once", &vec![ServerMessage::Events { events: vec![event] }]);
    let Budget { scope, subject, period, money_micro_dollars, tokens, turn_ms, .. } = slots();
    let request = BudgetRequest {
        scope,
        subject,
        period,
        money_micro_dollars,
        tokens,
        turn_ms,
        sessions_max: Some(2),
        sandboxes_max: Some(5),
    };
    check("budget_request_at_once", &request);
    check("budgets_at_once", &Budgets { budgets: vec![slots()], halt: None });
}

#[test]
fn what_clients_are_told() {
    let state = |hold| SessionEvent::BudgetChanged(BudgetState { hold, budgets: vec![budget()] });
    let end = TurnEnd {
        ended_at: AT,
        outcome: TurnOutcome::Stopped,
        change: None,
        usage: Usage::default(),
        first_token_ms: None,
        held: Some(hold(HoldKind::Loop, "The agent called `bash` 10 times in a row.")),
    };
    let turn_id = TurnId::parse("trn_1").unwrap();
    let events = [
        state(None),
        state(Some(hold(HoldKind::Budget, "The budget of Ada for today is used up."))),
        state(Some(hold(HoldKind::Halt, "An operator has stopped everything: leak."))),
        SessionEvent::BudgetChanged(BudgetState::default()),
        SessionEvent::TurnEnded { turn_id, end, prompt_state: PromptState::Done },
    ];
    let events = (1..).zip(events).map(|(seq, event)| EventRecord { seq, at: AT, event }).collect();
    check("server_messages_budget", &vec![ServerMessage::Events { events }]);
}

#[test]
fn what_bridges_are_told_and_tell() {
    let (sandbox_id, generation) = (SandboxId::parse("sbx_1").unwrap(), 2);
    let spending = Some(Spending { micro_dollars: 120_000, tokens: 4400, refused: true });
    check(
        "event_batch_spending",
        &EventBatch { sandbox_id: sandbox_id.clone(), generation, events: vec![], spending },
    );
    let ended = SandboxEnded { sandbox_id, generation, reason: "leak".into(), halted: true };
    check("sandbox_ended_halted", &ended);
    let allowance = Allowance {
        asked_at: AT,
        micro_dollars: Some(620_000),
        tokens: Some(2_000_000),
        until: Some(AT.plus_ms(600_000)),
        more: false,
        reason: "The budget of Ada for today is used up.".into(),
    };
    check("allowance_request", &AllowanceRequest { generation, allowance });
    check("halted", &Halted { ended: 3, left: 1 });
}

#[test]
fn what_operators_ask_and_are_answered() {
    let Budget { scope, subject, period, money_micro_dollars, tokens, turn_ms, .. } = budget();
    let request = BudgetRequest {
        scope,
        subject,
        period,
        money_micro_dollars,
        tokens,
        turn_ms,
        sessions_max: None,
        sandboxes_max: None,
    };
    check("budget_request", &request);
    let halt = Halt { by: "Ada".into(), reason: "leak".into(), at: AT };
    check("budgets", &Budgets { budgets: vec![budget()], halt: Some(halt) });
    check("halt_request", &HaltRequest { reason: "leak".into() });
    check("halt_answer", &HaltAnswer { ended: 3, problem: Some("the bridge does not answer".into()) });
}
