//! What the agent may spend, what holds prompts back, and how a turn that is held ends.

use super::*;
use ::budget::verdict::{Answer, Grant, Names, allowance};
use protocol::budget::{Allowance, Budget, BudgetPeriod, BudgetScope, BudgetState, Hold, HoldKind, Spending};

fn budget(limit: u64, spent: u64) -> Budget {
    Budget {
        scope: BudgetScope::User,
        subject: "usr_ada".into(),
        period: BudgetPeriod::Day,
        money_micro_dollars: Some(limit),
        tokens: None,
        turn_ms: None,
        spent_micro_dollars: spent,
        spent_tokens: 0,
        promised_micro_dollars: 0,
        promised_tokens: 0,
        sessions: None,
        sandboxes: None,
    }
}

impl Rig {
    /// The ledger answers as it would with these budgets and this grant.
    fn consult(&mut self, budgets: Vec<Budget>, grant: Option<u64>, halt: Option<&str>) -> Vec<Effect> {
        let grant = grant.map(|micro_dollars| Grant {
            micro_dollars,
            tokens: 1000,
            until: self.now.plus_ms(600_000),
        });
        let answer = Answer { budgets, grant, halt: halt.map(|reason| (reason.to_owned(), self.now)) };
        let allowance = Some(allowance(&answer, self.session.counted(), self.now, &self.session));
        let told_changes = self.session.account.spent_changes;
        let slots = None;
        let consultation = Consultation { asked_at: self.now, answer, allowance, slots, told_changes };
        self.apply(Input::Consulted(consultation))
    }

    fn spend(&mut self, micro_dollars: u64, refused: bool, events: Vec<RunnerEvent>) -> Vec<Effect> {
        let spending = Some(Spending { micro_dollars, tokens: micro_dollars / 10, refused });
        let batch = EventBatch { spending, ..self.batch(events) };
        self.apply(Input::RunnerEvents(batch))
    }

    fn held(&self) -> Option<HoldKind> {
        self.session.account.state.hold.as_ref().map(|hold| hold.kind)
    }
}

fn asks(effects: &[Effect]) -> bool {
    effects.contains(&Effect::Enqueue(Work::AskLedger))
}

fn stops(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Enqueue(Work::StopTurn { .. })))
}

/// How a turn ended: outcome, what held it, and what became of its prompt.
fn end(effects: &[Effect]) -> Option<(TurnOutcome, Option<HoldKind>, PromptState)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Record { event: SessionEvent::TurnEnded { end, prompt_state, .. }, .. } => {
            Some((end.outcome.clone(), end.held.as_ref().map(|hold| hold.kind), *prompt_state))
        }
        _ => None,
    })
}

fn told(effects: &[Effect]) -> Vec<&BudgetState> {
    let states = effects.iter().filter_map(|effect| match effect {
        Effect::Record { event: SessionEvent::BudgetChanged(state), .. } => Some(state),
        _ => None,
    });
    states.collect()
}

#[test]
fn a_refused_call_ends_the_turn_and_the_next_prompt_waits_until_the_budget_is_raised() {
    let mut rig = Rig::running();
    let told_first = rig.consult(vec![budget(100, 0)], Some(100), None);
    assert_eq!(told(&told_first).len(), 1);
    assert!(!asks(&rig.spend(40, false, vec![])));
    assert!(asks(&rig.spend(60, false, vec![])), "half of the grant is spent");
    rig.consult(vec![budget(100, 60)], Some(40), None);
    // The bridge refuses a call; what the agent makes of that comes in the same batch.
    let ended = RunnerEvent::TurnEnded {
        turn_id: rig.turn(),
        attempt: 1,
        outcome: TurnOutcome::Failed { reason: "402".into() },
        change: None,
        files: vec![],
        usage: Usage::default(),
        first_token_ms: None,
    };
    let effects = rig.spend(101, true, vec![ended]);
    assert_eq!(end(&effects), Some((TurnOutcome::Stopped, Some(HoldKind::Budget), PromptState::Done)));
    assert!(asks(&effects));
    rig.finish_snapshot(WorkOutcome::Done);
    rig.consult(vec![budget(100, 101)], None, None);
    assert_eq!(rig.held(), Some(HoldKind::Budget));
    let effects = rig.prompt(2);
    assert!(asks(&effects) && rig.session.turn.is_none(), "it waits, and is asked about");
    assert!(
        rig.consult(vec![budget(100, 101)], None, None)
            .iter()
            .all(|effect| !matches!(effect, Effect::Record { .. }))
    );
    let effects = rig.consult(vec![budget(500, 101)], None, None);
    assert_eq!(told(&effects)[0].hold, None);
    assert!(rig.session.turn.is_some(), "raising it lets the queue go on");
}

#[test]
fn a_turn_that_may_not_begin_costs_its_prompt_nothing() {
    let mut rig = Rig::new().0;
    rig.prompt(1);
    rig.boot();
    assert!(rig.session.turn.as_ref().is_some_and(|turn| !turn.received));
    let effects = rig.consult(vec![budget(100, 100)], Some(0), None);
    assert_eq!(end(&effects), Some((TurnOutcome::Stopped, Some(HoldKind::Budget), PromptState::Queued)));
    assert!(stops(&effects), "should its order be on its way");
    assert!(asks(&effects), "what was granted is given back");
    rig.consult(vec![budget(100, 100)], None, None);
    let reason = &rig.session.account.state.hold.as_ref().unwrap().reason;
    assert_eq!(
        reason,
        "The budget of ADA for today is used up: $0.01 of $0.01. An operator can raise it in the settings. \
         It begins anew at midnight UTC."
    );
    for _ in 0..5 {
        let (at, why) = rig.session.next_deadline(rig.timing).unwrap();
        assert_eq!(why, DeadlineReason::LedgerUnasked);
        rig.now = at;
        assert!(asks(&rig.apply(Input::DeadlineReached)));
        rig.consult(vec![budget(100, 100)], None, None);
    }
    rig.consult(vec![], None, None);
    assert_eq!(rig.session.turn.as_ref().unwrap().attempt, 1);
}

#[test]
fn who_waits_for_a_budget_does_not_keep_a_sandbox() {
    let mut rig = Rig::new().0;
    rig.prompt(1);
    rig.boot();
    rig.consult(vec![budget(100, 100)], Some(0), None);
    let idle = rig.now.plus_ms(rig.timing.idle_ms);
    for _ in 0..30 {
        if rig.session.account.is_asking {
            rig.consult(vec![budget(100, 100)], None, None);
        }
        rig.now = rig.session.next_deadline(rig.timing).unwrap().0.max(rig.now);
        rig.apply(Input::DeadlineReached);
    }
    assert!(
        rig.session.sandbox.is_none() && rig.now >= idle,
        "asked about again and again, without a sandbox"
    );
    assert_eq!(rig.held(), Some(HoldKind::Budget));
}

#[test]
fn a_halt_ends_the_turn_and_the_sandbox_and_lifting_it_lets_the_prompt_go_on() {
    let mut rig = Rig::running();
    let ended = SandboxEnded {
        sandbox_id: rig.sandbox(),
        generation: rig.session.generation,
        reason: "leak".into(),
        halted: true,
    };
    let effects = rig.apply(Input::SandboxEnded(ended));
    assert_eq!(end(&effects), Some((TurnOutcome::Stopped, Some(HoldKind::Halt), PromptState::Queued)));
    assert!(rig.session.sandbox.is_none() && asks(&effects));
    let hold = rig.session.account.state.hold.clone().unwrap();
    assert_eq!(hold.reason, "An operator has stopped everything: leak. Prompts wait until that is lifted.");
    rig.consult(vec![], None, Some("leak"));
    assert_eq!(rig.session.account.state.hold, Some(hold));
    rig.prompt(2);
    rig.apply(Input::PromptBegun { by: user("ada").id });
    assert!(rig.session.sandbox.is_none(), "no claim either");
    assert!(asks(&rig.apply(Input::BudgetsChanged)));
    rig.consult(vec![], None, None);
    assert!(rig.session.sandbox.is_some());
    rig.boot();
    assert_eq!(
        rig.session.turn.as_ref().map(|turn| (&turn.prompt_id, turn.attempt)),
        Some((&prompt_id(1), 1))
    );
}

#[test]
fn a_halt_that_the_ledger_tells_first_ends_everything_too() {
    let mut rig = Rig::running();
    let effects = rig.consult(vec![], None, Some("leak"));
    assert_eq!(end(&effects), Some((TurnOutcome::Stopped, Some(HoldKind::Halt), PromptState::Queued)));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Enqueue(Work::TerminateSandbox { .. }))));
}

#[test]
fn a_turn_ends_when_it_has_taken_as_long_as_it_may() {
    let mut rig = Rig::running();
    rig.consult(vec![Budget { turn_ms: Some(20_000), ..budget(100, 0) }], Some(50), None);
    assert_eq!(
        rig.session.next_deadline(rig.timing),
        Some((START.plus_ms(20_000), DeadlineReason::TurnOvertime))
    );
    rig.now = START.plus_ms(20_000);
    assert!(stops(&rig.apply(Input::DeadlineReached)));
    let ended = rig.stopped();
    let effects = rig.events(vec![ended]);
    assert_eq!(end(&effects), Some((TurnOutcome::Stopped, Some(HoldKind::Time), PromptState::Done)));
    assert_eq!(rig.held(), None, "the next prompt has its own time");
}

fn call(rig: &Rig, number: u32, name: &str, input: &str, state: ToolState, output: &str) -> RunnerEvent {
    let content = ItemContent::Tool {
        name: name.into(),
        title: String::new(),
        input: input.into(),
        state,
        output: output.into(),
        omitted_bytes: 0,
        artifact_id: None,
    };
    let id = ItemId::parse(&format!("itm_{number}")).unwrap();
    RunnerEvent::ItemChanged { item: Item { id, turn_id: rig.turn(), started_at: rig.now, content } }
}

fn done() -> ToolState {
    ToolState::Completed { duration_ms: 5, exit_code: Some(0), edit: None }
}

#[test]
fn an_agent_that_goes_round_in_circles_is_stopped() {
    let failed = |number| ToolState::Failed { duration_ms: number, message: "no such file".into() };
    type Outcome = Box<dyn Fn(u32) -> (String, ToolState, String)>;
    let cases: [(&str, bool, Outcome); 5] = [
        ("the same call", true, Box::new(|_| ("ls".into(), done(), "a b".into()))),
        ("another outcome each time", false, Box::new(|number| ("ls".into(), done(), number.to_string()))),
        ("another input each time", false, Box::new(|number| (number.to_string(), done(), "a b".into()))),
        (
            "the same failure",
            true,
            Box::new(move |number| (number.to_string(), failed(number.into()), String::new())),
        ),
        ("two calls in turns", false, Box::new(|number| ((number % 2).to_string(), done(), "a b".into()))),
    ];
    for (what, expected, outcome) in cases {
        let mut rig = Rig::running();
        let mut stopped = None;
        for number in 1..=3 * REPEATS_MAX {
            let (input, state, output) = outcome(number);
            let running = call(&rig, number, "bash", &input, ToolState::Running, "");
            let ended = call(&rig, number, "bash", &input, state, &output);
            // Told twice, it counts once.
            if stops(&rig.events(vec![running, ended.clone(), ended])) {
                stopped = stopped.or(Some(number));
            }
        }
        assert_eq!(stopped, expected.then_some(REPEATS_MAX), "{what}");
        let hold = rig.session.account.stopping.as_ref().map(|hold| hold.kind);
        assert_eq!(hold, expected.then_some(HoldKind::Loop), "{what}");
        assert_eq!(rig.held(), None, "the next prompt does not wait");
    }
}

#[test]
fn what_was_spent_is_told_by_author_and_day_and_survives_another_bridge() {
    let mut rig = Rig::running();
    rig.spend(40, false, vec![]);
    rig.spend(40, false, vec![]);
    rig.spend(100, false, vec![]);
    // Another replica counts from the beginning.
    rig.spend(7, false, vec![]);
    rig.spend(9, false, vec![]);
    rig.now = rig.now.plus_ms(24 * 3_600_000);
    rig.spend(10, false, vec![]);
    let spent = rig.session.account.spent();
    let sums: Vec<_> = spent.iter().map(|spent| (spent.user_id, spent.micro_dollars)).collect();
    assert_eq!(sums, [("usr_ada", 109), ("usr_ada", 1)]);
    let ended = rig.ended(None);
    assert!(asks(&rig.events(vec![ended])), "the ledger hears of it when the turn is over");
    rig.consult(vec![], None, None);
    assert!(!rig.session.account.is_unsettled());
}

#[test]
fn a_grant_is_asked_for_anew_before_it_ends() {
    let mut rig = Rig::running();
    rig.consult(vec![budget(1000, 0)], Some(500), None);
    let since = rig.now;
    let mut asked = Vec::new();
    for _ in 0..120 {
        rig.now = rig.now.plus_ms(10_000);
        rig.events(vec![RunnerEvent::Heartbeat]);
        if rig.session.next_deadline(rig.timing).is_some_and(|(at, _)| at <= rig.now)
            && asks(&rig.apply(Input::DeadlineReached))
        {
            asked.push(rig.now.ms_since(since));
            rig.consult(vec![budget(1000, 0)], Some(500), None);
        }
    }
    assert!(asked.len() > 2);
    assert!(asked.windows(2).all(|pair| pair[1] - pair[0] <= 600_000), "{asked:?}");
    let held: Option<Hold> = rig.session.account.state.hold.clone();
    assert_eq!(held, None);
    let named: &dyn Names = &rig.session;
    assert_eq!(named.user("usr_ada"), "ADA");
    let granted: &Allowance = &rig.session.account.granted.as_ref().unwrap().allowance;
    assert!(granted.more);
}

#[test]
fn an_answer_that_is_older_than_the_refusal_does_not_let_the_next_prompt_go_on() {
    let mut rig = Rig::running();
    rig.consult(vec![budget(100, 60)], Some(40), None);
    rig.prompt(2);
    let (asked_at, told_changes) = (rig.now, rig.session.account.spent_changes);
    let ended = rig.stopped();
    rig.spend(41, true, vec![ended]);
    assert_eq!(rig.held(), Some(HoldKind::Budget));
    let answer = Answer { budgets: vec![budget(100, 60)], grant: None, halt: None };
    let late = Consultation { asked_at, answer, allowance: None, slots: None, told_changes };
    assert!(asks(&rig.apply(Input::Consulted(late))));
    rig.finish_snapshot(WorkOutcome::Done);
    assert!(rig.session.turn.is_none() && rig.held() == Some(HoldKind::Budget));
}
