//! Slots: a session that finds none waits with words, gives back what it does not need, and goes on when there is one.

use super::*;
use ::budget::slots::{Lack, MARGIN_MS};
use ::budget::verdict::Answer;
use protocol::budget::{AtOnce, Budget, BudgetPeriod, BudgetScope, HoldKind};

const NONE: Lack = Lack { session: false, sandbox: false };
const BOTH: Lack = Lack { session: true, sandbox: true };
const SESSION: Lack = Lack { session: true, sandbox: false };

fn limit(sessions: (u64, u64), sandboxes: (u64, u64)) -> Budget {
    let slots = |(taken, max)| Some(AtOnce { max, taken });
    Budget {
        scope: BudgetScope::User,
        subject: "usr_ada".into(),
        period: BudgetPeriod::Day,
        money_micro_dollars: None,
        tokens: None,
        turn_ms: None,
        spent_micro_dollars: 0,
        spent_tokens: 0,
        promised_micro_dollars: 0,
        promised_tokens: 0,
        sessions: slots(sessions),
        sandboxes: slots(sandboxes),
    }
}

impl Rig {
    /// The ledger answers with this budget, and there is no slot for what is lacked of what the session needs now.
    fn answer(&mut self, budget: Budget, lack: Lack, first_end: Option<Timestamp>) -> Vec<Effect> {
        let needs = self.session.needs();
        let owned = |user: Option<&str>| user.map(|user| UserId::parse(user).unwrap());
        let slots = Some(SlotsAsked {
            session: owned(needs.session),
            sandbox: owned(needs.sandbox),
            lack,
            until: self.session.slots_until(self.timing.life_ms, self.now),
            first_end,
        });
        let answer = Answer { budgets: vec![budget], ..Answer::default() };
        let told_changes = self.session.account.spent_changes;
        let consultation = Consultation { asked_at: self.now, answer, allowance: None, slots, told_changes };
        self.apply(Input::Consulted(consultation))
    }

    fn needs(&self) -> (bool, bool) {
        let needs = self.session.needs();
        (needs.session.is_some(), needs.sandbox.is_some())
    }

    fn waits(&self) -> bool {
        self.session.account.state.hold.as_ref().is_some_and(|hold| hold.kind == HoldKind::Slots)
    }

    fn has_slots(&self) -> bool {
        self.session.has_slots(self.timing.life_ms)
    }
}

fn asks(effects: &[Effect]) -> bool {
    effects.contains(&Effect::Enqueue(Work::AskLedger))
}

fn begins(effects: &[Effect]) -> bool {
    effects
        .iter()
        .any(|effect| matches!(effect, Effect::Record { event: SessionEvent::TurnStarted { .. }, .. }))
}

fn orders(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| {
        matches!(effect, Effect::Enqueue(Work::ClaimSandbox { .. } | Work::CreateSandbox { .. }))
    })
}

#[test]
fn a_prompt_without_a_slot_waits_with_words_and_goes_on_with_one() {
    let mut rig = Rig::new().0;
    assert!(orders(&rig.prompt(1)));
    assert_eq!((rig.needs(), rig.has_slots()), ((true, true), false));
    let effects = rig.answer(limit((2, 2), (2, 9)), BOTH, None);
    assert!(rig.session.sandbox.is_none() && rig.waits() && !begins(&effects));
    let hold = rig.session.account.state.hold.clone().unwrap();
    assert_eq!(
        hold.reason,
        "2 of 2 sessions of ADA are at work, and more may not be at once. The prompt goes on when another one's turn ends. \
         An operator can raise the limit in the settings."
    );
    // It asks every minute, and when a slot is known to end.
    let minute = (rig.now.plus_ms(60_000), DeadlineReason::LedgerUnasked);
    assert_eq!(rig.session.next_deadline(rig.timing), Some(minute));
    rig.now = minute.0;
    assert!(asks(&rig.apply(Input::DeadlineReached)));
    let end = rig.now.plus_ms(7_000);
    let again = rig.answer(limit((2, 2), (2, 9)), BOTH, Some(end));
    assert!(again.iter().all(|effect| !matches!(effect, Effect::Record { .. })), "nothing new to say");
    assert_eq!(rig.session.next_deadline(rig.timing), Some((end, DeadlineReason::LedgerUnasked)));
    assert!(asks(&rig.apply(Input::BudgetsChanged)), "told that there is one");
    assert!(orders(&rig.answer(limit((2, 2), (2, 9)), NONE, None)));
    assert!(!rig.waits() && rig.has_slots());
    rig.boot();
    assert_eq!(rig.session.turn.as_ref().map(|turn| turn.attempt), Some(1));
    assert!(rig.has_slots(), "the turn is in the slot that it waited for");
}

#[test]
fn between_turns_the_slot_is_given_back_and_the_next_prompt_asks_before_it_begins() {
    let mut rig = Rig::running();
    rig.answer(limit((1, 1), (1, 1)), NONE, None);
    rig.prompt(2);
    assert!(rig.has_slots());
    let effects = rig.end_turn(None);
    assert!(asks(&effects) && rig.needs() == (false, true), "others may come while it is saved");
    rig.answer(limit((0, 1), (1, 1)), NONE, None);
    let effects = rig.finish_snapshot(WorkOutcome::Done);
    assert!(asks(&effects) && !begins(&effects));
    let effects = rig.answer(limit((1, 1), (1, 1)), SESSION, None);
    assert!(rig.waits() && rig.session.sandbox.is_some() && !begins(&effects));
    // A prompt more changes nothing; one that is taken back ends the wait.
    assert!(asks(&rig.prompt(3)));
    rig.answer(limit((1, 1), (1, 1)), SESSION, None);
    let by = user("ada").id;
    rig.apply(Input::PromptCancelled { prompt_id: prompt_id(3), by: by.clone() });
    assert!(asks(&rig.apply(Input::PromptCancelled { prompt_id: prompt_id(2), by })));
    rig.answer(limit((0, 1), (1, 1)), NONE, None);
    assert!(!rig.waits() && rig.needs() == (false, true));
    assert!(asks(&rig.prompt(4)));
    assert!(begins(&rig.answer(limit((1, 1), (1, 1)), NONE, None)));
}

#[test]
fn what_an_agent_works_on_is_never_held_and_a_turn_that_only_begins_costs_no_try() {
    let mut rig = Rig::running();
    let effects = rig.answer(limit((3, 1), (3, 1)), SESSION, None);
    assert!(!rig.waits() && rig.session.turn.is_some() && !asks(&effects));
    let mut rig = Rig::new().0;
    rig.prompt(1);
    rig.boot();
    let effects = rig.answer(limit((1, 1), (1, 1)), SESSION, None);
    let end = effects.iter().find_map(|effect| match effect {
        Effect::Record { event: SessionEvent::TurnEnded { end, prompt_state, .. }, .. } => {
            Some((end.held.as_ref().map(|hold| hold.kind), *prompt_state))
        }
        _ => None,
    });
    assert_eq!(end, Some((Some(HoldKind::Slots), PromptState::Queued)));
    assert!(begins(&rig.answer(limit((1, 1), (1, 1)), NONE, None)));
    assert_eq!(rig.session.turn.as_ref().map(|turn| turn.attempt), Some(1));
}

#[test]
fn a_sandbox_has_its_slot_until_it_has_ended_whoever_it_was_for() {
    let mut rig = Rig::running();
    rig.answer(limit((1, 9), (1, 9)), NONE, None);
    let bob = user("bob");
    rig.apply(Input::PromptSubmitted { author: bob.clone(), prompt: request(2, "more") });
    rig.end_turn(None);
    rig.finish_snapshot(WorkOutcome::Done);
    let needs = rig.session.needs();
    assert_eq!((needs.session, needs.sandbox), (Some("usr_bob"), Some("usr_ada")));
    rig.answer(limit((1, 9), (1, 9)), NONE, None);
    rig.receive();
    rig.end_turn(None);
    rig.finish_snapshot(WorkOutcome::Done);
    let (sandbox_id, generation) = (rig.sandbox(), rig.session.generation);
    rig.wait(rig.timing.idle_ms);
    assert!(rig.session.sandbox.is_none());
    assert_eq!(rig.needs(), (false, true), "its end is only ordered");
    let bridge_url = Some("http://127.0.0.1:1".to_owned());
    let work = Work::TerminateSandbox { sandbox_id, generation, bridge_url };
    let late = WorkOutcome::Delayed { reason: "no answer".into() };
    assert!(!asks(&rig.apply(Input::WorkDone { work: work.clone(), outcome: late })));
    assert!(asks(&rig.apply(Input::WorkDone { work, outcome: WorkOutcome::Done })));
    assert_eq!(rig.needs(), (false, false));
}

#[test]
fn a_sandbox_that_somebody_only_begins_to_write_for_is_given_up_without_a_word() {
    let mut rig = Rig::new().0;
    rig.apply(Input::ParticipantJoined { user: user("bob") });
    rig.apply(Input::PromptBegun { by: user("bob").id });
    let needs = rig.session.needs();
    assert_eq!((needs.session, needs.sandbox), (None, Some("usr_bob")));
    rig.answer(limit((0, 1), (1, 1)), Lack { session: false, sandbox: true }, None);
    assert!(rig.session.sandbox.is_none() && rig.session.account.state.hold.is_none());
    assert_eq!(rig.needs(), (false, false));
    assert!(orders(&rig.prompt(1)), "the prompt asks for itself");
}

#[test]
fn a_lost_sandbox_keeps_its_slot_for_the_next_one_and_a_deleted_session_gives_all_back() {
    let mut rig = Rig::running();
    rig.answer(limit((1, 9), (1, 9)), NONE, None);
    let until = rig.session.account.held.until;
    assert_eq!(until, rig.now.plus_ms(rig.timing.life_ms + MARGIN_MS));
    rig.now = rig.now.plus_ms(MARGIN_MS + 1);
    assert!(orders(&rig.lose_sandbox("gone")));
    assert_eq!(rig.needs(), (true, true));
    assert!(!rig.has_slots(), "the next sandbox may live longer than the slot was for");
    let Some(Work::TerminateSandbox { sandbox_id, .. }) = rig.log.iter().rev().find_map(|(_, effects, _)| {
        effects.iter().find_map(|effect| match effect {
            Effect::Enqueue(work @ Work::TerminateSandbox { .. }) => Some(work.clone()),
            _ => None,
        })
    }) else {
        panic!("no end was ordered")
    };
    assert_eq!(rig.session.account.held.ending, [sandbox_id]);
    assert!(asks(&rig.apply(Input::DeletionRequested { by: user("ada").id })));
    assert_eq!(rig.needs(), (false, true));
}
