//! What the session's agent spends, how far it may, and what holds it: the session's side of the budgets.
//!
//! Sums are those of the bridges, not of the agent. They are told to the ledger as sums that only rise, by the author of the prompt and
//! the day, so that a word that comes twice changes nothing. A budget that is used up, a halt, a turn that takes too long and an agent
//! that goes round in circles all end a turn in the same way: it stops, and says why.

use super::input::Work;
use super::repeat::Repeats;
use super::session::Session;
use super::slots::{HeldSlots, SlotsAsked};
use super::step::Step;
use super::turn::StopState;
use budget::verdict::{Answer, Names, Verdict, evaluate, is_limited, percent_spent, turn_ms, used_up};
use budget::{day, ledger};
use protocol::budget::{Allowance, Budget, BudgetState, Hold, HoldKind, Spending};
use protocol::id::UserId;
use protocol::time::Timestamp;
use protocol::timeline::{PromptState, SessionEvent, TurnOutcome};
use serde::{Deserialize, Serialize};

protocol::objects!(Account, SpentDay, Counted, Granted);

/// What holds prompts back is asked about again after this.
pub(super) const HOLD_LOOK_MS: u64 = 60_000;
/// Never sooner than after this, even where a slot is known to end.
const HOLD_LOOK_MS_MIN: u64 = 1_000;
/// Days whose sums are kept; the ledger has them long before.
const DAYS_KEPT: u64 = 2;

/// What the agent has spent and may spend, and what holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct Account {
    /// By author and day, of the last days.
    pub spent: Vec<SpentDay>,
    /// What the bridge has last said of the newest sandbox.
    pub counted: Counted,
    /// As people were last told.
    pub state: BudgetState,
    /// How far the newest sandbox may go; nothing limits it where absent.
    pub granted: Option<Granted>,
    /// Why the running turn is to stop, unless people want it.
    pub stopping: Option<Hold>,
    /// What the agent does over and over in the running turn.
    pub repeats: Repeats,
    /// What the session has of the slots that there are.
    pub held: HeldSlots,
    /// Whether the ledger has been asked and has not answered.
    pub is_asking: bool,
    /// When it was last asked.
    pub asked_at: Timestamp,
    /// How often something was spent.
    pub spent_changes: u64,
    /// The same, as the ledger knows it.
    pub told_changes: u64,
    /// Rises with each change of the others.
    pub changes: u64,
}

/// What the prompts of a user have cost here on a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct SpentDay {
    /// Whose.
    pub user_id: UserId,
    /// `budget::day`.
    pub day: u64,
    /// Millionths of a dollar.
    pub micro_dollars: u64,
    /// Read and written.
    pub tokens: u64,
}

/// Sums of one sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Counted {
    /// Of the sandbox.
    pub generation: u64,
    /// As its bridge counts.
    pub spending: Spending,
}

/// How far a sandbox may go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Granted {
    /// What its bridge was told.
    pub allowance: Allowance,
    /// From here on the ledger is asked for more.
    pub ask_at: Spending,
}

/// What the ledger answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Consultation {
    /// When it was asked.
    pub asked_at: Timestamp,
    /// Its own words.
    pub answer: Answer,
    /// What follows for the newest sandbox; absent where no turn is to be paid for.
    pub allowance: Option<Allowance>,
    /// What came of asking for slots; absent where the session has those that it needs.
    pub slots: Option<SlotsAsked>,
    /// [`Account::spent_changes`] when it was asked.
    pub told_changes: u64,
}

impl Account {
    /// Whether the ledger has to hear something, or to get something back.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        self.told_changes < self.spent_changes || self.granted.is_some()
    }

    /// What is told to the ledger.
    #[must_use]
    pub fn spent(&self) -> Vec<ledger::Spent<'_>> {
        let told = self.spent.iter().map(|spent| ledger::Spent {
            user_id: spent.user_id.as_str(),
            day: spent.day,
            micro_dollars: spent.micro_dollars,
            tokens: spent.tokens,
        });
        told.collect()
    }

    fn add(&mut self, user_id: UserId, today: u64, micro_dollars: u64, tokens: u64) {
        self.spent.retain(|spent| spent.day + DAYS_KEPT > today);
        match self.spent.iter_mut().find(|spent| spent.user_id == user_id && spent.day == today) {
            Some(spent) => {
                spent.micro_dollars = spent.micro_dollars.saturating_add(micro_dollars);
                spent.tokens = spent.tokens.saturating_add(tokens);
            }
            None => self.spent.push(SpentDay { user_id, day: today, micro_dollars, tokens }),
        }
        self.spent_changes += 1;
        self.changes += 1;
    }
}

impl Names for Session {
    fn user(&self, user_id: &str) -> String {
        let known = UserId::parse(user_id).ok();
        let person = known.and_then(|id| self.participants.get(&id));
        person.map_or_else(|| "whoever wrote the prompt".to_owned(), |person| person.user.name.clone())
    }
}

impl Session {
    /// Whether a prompt waits for a sandbox or its turn, and not for people.
    pub(super) fn has_waiting(&self) -> bool {
        !self.queue.is_empty() && self.account.state.hold.is_none()
    }

    /// Whose prompt is paid for: that of the running turn, the next one's, else whoever began the session.
    #[must_use]
    pub fn payer(&self) -> &UserId {
        let turn = self.turn.as_ref().map(|turn| &turn.author);
        turn.or(self.queue.front().map(|prompt| &prompt.author)).unwrap_or(&self.info.created_by)
    }

    /// What the newest sandbox has spent, as its bridge has last said.
    #[must_use]
    pub fn counted(&self) -> Spending {
        let counted = self.account.counted;
        if counted.generation == self.generation { counted.spending } else { Spending::default() }
    }

    /// When and why the account wants to be looked at.
    pub(super) fn account_deadlines(&self) -> AccountDeadlines {
        let account = &self.account;
        let mut deadlines = AccountDeadlines::default();
        if let Some(turn) = self.turn.as_ref().filter(|turn| turn.stop == StopState::None) {
            let limit = turn_ms(&account.state.budgets);
            deadlines.overtime = limit.map(|ms| turn.started_at.plus_ms(ms));
            let until = account.granted.as_ref().and_then(|granted| granted.allowance.until);
            deadlines.ask = until.filter(|_| !account.is_asking).map(|until| {
                let half = Timestamp(until.0.saturating_sub(ledger::LEASE_MS / 2));
                half.max(account.asked_at.plus_ms(HOLD_LOOK_MS))
            });
        } else if account.state.hold.is_some() && !self.queue.is_empty() && !account.is_asking {
            let regular = account.asked_at.plus_ms(HOLD_LOOK_MS);
            let first_end = account.held.first_end.filter(|_| self.waits_for_slot());
            let first_end = first_end.map(|at| at.max(account.asked_at.plus_ms(HOLD_LOOK_MS_MIN)));
            deadlines.ask = Some(first_end.map_or(regular, |at| at.min(regular)));
        }
        deadlines
    }
}

/// See [`Session::account_deadlines`].
#[derive(Default)]
pub(super) struct AccountDeadlines {
    /// The turn has taken as long as it may.
    pub(super) overtime: Option<Timestamp>,
    /// The ledger is to be asked.
    pub(super) ask: Option<Timestamp>,
}

impl Step<'_> {
    /// Whether prompts wait for something that people have to change.
    pub(super) fn is_held(&self) -> bool {
        self.session.account.state.hold.is_some()
    }

    /// Has the ledger told and asked; once more where it is being asked already, because it may have answered before the change.
    pub(super) fn ask_ledger(&mut self) {
        let now = self.now();
        let account = &mut self.session.account;
        account.is_asking = true;
        account.asked_at = now;
        account.changes += 1;
        self.enqueue(Work::AskLedger);
    }

    /// The sandbox's bridge tells what its model calls have come to. Sums that have become lower are those of another replica.
    pub(super) fn take_spending(&mut self, spending: Spending) {
        let (generation, today) = (self.session.generation, day::of(self.now()));
        let before = self.session.counted();
        let is_known = (spending.micro_dollars, spending.tokens) == (before.micro_dollars, before.tokens);
        let is_same = is_known && spending.refused == before.refused;
        if is_same {
            return;
        }
        let fell = spending.micro_dollars < before.micro_dollars || spending.tokens < before.tokens;
        let base = if fell { Spending::default() } else { before };
        let payer = self.session.payer().clone();
        let account = &mut self.session.account;
        account.counted = Counted { generation, spending };
        account.changes += 1;
        if !is_known {
            let (money, tokens) =
                (spending.micro_dollars - base.micro_dollars, spending.tokens - base.tokens);
            account.add(payer, today, money, tokens);
        }
        self.watch_grant(spending);
    }

    fn watch_grant(&mut self, spending: Spending) {
        let Some(granted) = &self.session.account.granted else { return };
        let is_low = spending.micro_dollars >= granted.ask_at.micro_dollars
            || spending.tokens >= granted.ask_at.tokens;
        if spending.refused && !granted.allowance.more {
            let (reason, budgets) =
                (granted.allowance.reason.clone(), self.session.account.state.budgets.clone());
            let hold = self.hold(HoldKind::Budget, reason);
            // The next prompt waits for the ledger's own word.
            self.tell_budgets(Some(hold.clone()), budgets);
            self.stop_for(hold);
        }
        if (is_low || spending.refused) && !self.session.account.is_asking {
            self.ask_ledger();
        }
    }

    /// The ledger's answer: what people are told, how far the agent may go, and whether it is stopped.
    pub(super) fn take_consultation(&mut self, consultation: Consultation) {
        let counted = self.session.counted();
        let Consultation { asked_at, answer, allowance, slots, told_changes } = consultation;
        let account = &mut self.session.account;
        account.is_asking = false;
        account.asked_at = asked_at;
        account.told_changes = account.told_changes.max(told_changes);
        account.granted = allowance.filter(|_| is_limited(&answer.budgets)).map(|allowance| {
            let half = |now: u64, limit: Option<u64>| {
                limit.map_or(u64::MAX, |limit| now + limit.saturating_sub(now) / 2)
            };
            let ask_at = Spending {
                micro_dollars: half(counted.micro_dollars, allowance.micro_dollars),
                tokens: half(counted.tokens, allowance.tokens),
                refused: false,
            };
            Granted { allowance, ask_at }
        });
        account.changes += 1;
        let no_slot = slots.and_then(|asked| self.take_slots(asked, &answer.budgets));
        let hold = match (&answer.halt, evaluate(&answer.budgets)) {
            (Some((reason, _)), _) => Some(self.halt(reason)),
            (None, Verdict::Stop(budget, measure)) => {
                Some(self.hold(HoldKind::Budget, used_up(budget, measure, self.session)))
            }
            (None, Verdict::Free | Verdict::Warn(..)) => {
                let outlived = self.outlived_hold(told_changes);
                outlived.or(no_slot.map(|reason| self.hold(HoldKind::Slots, reason)))
            }
        };
        self.tell_budgets(hold.clone(), answer.budgets);
        match hold {
            Some(hold) if hold.kind == HoldKind::Halt => self.enforce_halt(hold),
            Some(hold) => self.enforce_budget(hold),
            None => {}
        }
    }

    /// What holds prompts in spite of an answer that does not know yet what was spent since it was asked for.
    fn outlived_hold(&mut self, told_changes: u64) -> Option<Hold> {
        let account = &self.session.account;
        let hold = account.state.hold.clone().filter(|hold| hold.kind == HoldKind::Budget)?;
        if told_changes >= account.spent_changes {
            return None;
        }
        self.ask_ledger();
        Some(hold)
    }

    pub(super) fn halt(&self, reason: &str) -> Hold {
        let reason =
            format!("An operator has stopped everything: {reason}. Prompts wait until that is lifted.");
        self.hold(HoldKind::Halt, reason)
    }

    fn hold(&self, kind: HoldKind, reason: String) -> Hold {
        Hold { kind, reason, since: self.now() }
    }

    /// Records what is new to people: what holds prompts, limits, and each hundredth of one.
    pub(super) fn tell_budgets(&mut self, mut hold: Option<Hold>, budgets: Vec<Budget>) {
        let told = &self.session.account.state;
        if let (Some(hold), Some(known)) = (&mut hold, &told.hold)
            && (hold.kind, &hold.reason) == (known.kind, &known.reason)
        {
            hold.since = known.since;
        }
        let shown = |budgets: &[Budget]| -> Vec<_> {
            let limits =
                |budget: &Budget| (budget.money_micro_dollars, budget.tokens, budget.turn_ms, budget.period);
            let one = |budget: &Budget| {
                let most = [budget.sessions, budget.sandboxes].map(|slots| slots.map(|slots| slots.max));
                (budget.scope, budget.subject.clone(), limits(budget), most, percent_spent(budget))
            };
            budgets.iter().map(one).collect()
        };
        if hold != told.hold || shown(&budgets) != shown(&told.budgets) {
            let state = BudgetState { hold, budgets };
            self.session.account.state = state.clone();
            self.session.account.changes += 1;
            self.record(SessionEvent::BudgetChanged(state));
        }
    }

    /// The running turn ends, which says why.
    pub(super) fn stop_for(&mut self, hold: Hold) {
        if self.session.turn.as_ref().is_some_and(|turn| turn.stop == StopState::None) {
            self.session.account.stopping = Some(hold);
            self.session.account.changes += 1;
            self.order_stop();
        }
    }

    /// The running turn has taken as long as it may.
    pub(super) fn stop_overtime(&mut self) {
        let minutes = turn_ms(&self.session.account.state.budgets).unwrap_or_default().div_ceil(60_000);
        let reason = format!(
            "The turn has taken {minutes} minutes, which is as long as a turn may take here. An operator can give turns more time in the settings."
        );
        let hold = self.hold(HoldKind::Time, reason);
        self.stop_for(hold);
    }

    fn enforce_budget(&mut self, hold: Hold) {
        let Some(turn) = &self.session.turn else { return };
        if turn.received {
            return self.stop_for(hold);
        }
        // Nothing was done for it. Should its order be on its way, the runner is told to leave it.
        let order = self.stop_order();
        self.return_turn(hold);
        if let Some(order) = order {
            self.enqueue(order);
        }
    }

    /// The turn ends here and now, and its prompt waits as if it had not begun.
    fn return_turn(&mut self, hold: Hold) {
        self.session.account.stopping = Some(hold);
        let end = self.unreported_end(TurnOutcome::Stopped);
        self.close_turn(end, PromptState::Queued);
        self.give_try_back();
    }

    /// Nothing runs any more: the sandbox ends, and what ran in it waits.
    pub(super) fn enforce_halt(&mut self, hold: Hold) {
        if self.session.turn.is_some() {
            self.return_turn(hold);
        }
        if self.session.sandbox.is_some() {
            self.retire_sandbox();
            self.set_stopped();
        }
    }

    /// A turn is over: the ledger hears what it cost, and gets back what it did not.
    pub(super) fn settle_account(&mut self) {
        self.session.account.repeats = Repeats::default();
        self.session.account.changes += 1;
        if self.session.account.is_unsettled() {
            self.ask_ledger();
        }
    }
}
