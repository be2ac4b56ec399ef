//! The slots that a session needs of those that there are: one to be at work, one for its sandbox.
//!
//! It needs the first from when a sandbox is prepared for a prompt until the turn is over, and the second from before a sandbox is ordered
//! until its provider has ended it. Whatever changes what it needs has the ledger asked, so that what it does not need any more is given
//! back; the ledger is asked before anything is ordered.

use super::sandbox::SandboxPhase;
use super::session::Session;
use super::step::Step;
use budget::slots::{Lack, MARGIN_MS, Needs, is_limited, none_left};
use protocol::budget::{Budget, HoldKind};
use protocol::id::{SandboxId, UserId};
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

protocol::objects!(HeldSlots);

/// What the session knows of its slots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct HeldSlots {
    /// For whose prompt it is at work; absent where it may not have such a slot.
    pub session: Option<UserId>,
    /// For whose prompt it has a sandbox; absent where it may not have such a slot.
    pub sandbox: Option<UserId>,
    /// When they end by themselves.
    pub until: Timestamp,
    /// For whose prompt the newest sandbox was ordered.
    pub sandbox_for: Option<UserId>,
    /// Sandboxes that were given up and have not ended yet.
    pub ending: Vec<SandboxId>,
    /// When somebody else's slot ends by itself, while one is waited for.
    pub first_end: Option<Timestamp>,
}

impl HeldSlots {
    /// What it surely has.
    #[must_use]
    pub fn has(&self) -> Needs<'_> {
        Needs {
            session: self.session.as_ref().map(UserId::as_str),
            sandbox: self.sandbox.as_ref().map(UserId::as_str),
        }
    }
}

/// What came of asking for slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotsAsked {
    /// For whose prompt the session was to be at work.
    pub session: Option<UserId>,
    /// For whose prompt it was to have a sandbox.
    pub sandbox: Option<UserId>,
    /// What of both there was no slot for.
    pub lack: Lack,
    /// When the others end by themselves.
    pub until: Timestamp,
    /// When a slot of somebody else ends by itself, where there was none.
    pub first_end: Option<Timestamp>,
}

/// A copy of [`Needs`]: for whom it is to be at work, and to have a sandbox.
pub(super) type Needed = (Option<UserId>, Option<UserId>);

impl Session {
    /// The slots that the session needs now.
    #[must_use]
    pub fn needs(&self) -> Needs<'_> {
        let (session, sandbox) = self.needed();
        Needs { session: session.map(UserId::as_str), sandbox: sandbox.map(UserId::as_str) }
    }

    /// For whom it is to be at work, and to have a sandbox.
    fn needed(&self) -> (Option<&UserId>, Option<&UserId>) {
        let hold = self.account.state.hold.as_ref();
        let head = self.queue.front().map(|prompt| &prompt.author);
        let waits = self.waits_for_slot();
        let is_open = hold.is_none() || waits;
        // A snapshot that is being taken is no work: others may come before the next prompt.
        let begins = is_open && (waits || self.sandbox.is_some() && self.saving.is_none());
        let session = self.turn.as_ref().map(|turn| &turn.author).or(head.filter(|_| begins));
        let held = &self.account.held;
        let sandbox = if self.sandbox.is_some() || !held.ending.is_empty() {
            Some(held.sandbox_for.as_ref().unwrap_or(&self.info.created_by))
        } else {
            head.filter(|_| waits)
        };
        (session, sandbox)
    }

    /// Whether a prompt waits for a slot.
    #[must_use]
    pub fn waits_for_slot(&self) -> bool {
        let hold = self.account.state.hold.as_ref();
        !self.queue.is_empty() && hold.is_some_and(|hold| hold.kind == HoldKind::Slots)
    }

    /// Whether something would wait if it found no slot; what an agent is working on does not.
    #[must_use]
    pub fn would_wait(&self) -> bool {
        !self.queue.is_empty() && self.turn.as_ref().is_none_or(|turn| !turn.received)
    }

    /// Whether it surely has the slots that it needs, for as long as its sandbox may live.
    #[must_use]
    pub fn has_slots(&self, life_ms: u64) -> bool {
        let held = &self.account.held;
        let lasts =
            self.sandbox.as_ref().is_none_or(|sandbox| held.until >= sandbox.created_at.plus_ms(life_ms));
        lasts && !self.needs().lack(&held.has()).is_any()
    }

    /// When slots that are taken now end by themselves: with the life of the sandbox that there is, or is about to be.
    #[must_use]
    pub fn slots_until(&self, life_ms: u64, now: Timestamp) -> Timestamp {
        let since = self.sandbox.as_ref().map_or(now, |sandbox| sandbox.created_at.max(now));
        since.plus_ms(life_ms + MARGIN_MS)
    }

    /// A copy of what it needs.
    pub(super) fn copy_needed(&self) -> Needed {
        let (session, sandbox) = self.needed();
        (session.cloned(), sandbox.cloned())
    }
}

impl Step<'_> {
    /// What is not needed any more is not surely there any more, and is given back.
    pub(super) fn settle_slots(&mut self, before: &Needed) {
        let needed = self.session.copy_needed();
        let held = &mut self.session.account.held;
        let drop = |has: &mut Option<UserId>, need: &Option<UserId>| has != need && has.take().is_some();
        let lost_session = drop(&mut held.session, &needed.0);
        let lost_sandbox = drop(&mut held.sandbox, &needed.1);
        if lost_session || lost_sandbox {
            self.session.account.changes += 1;
        }
        let has_ended = |before: &Option<UserId>, now: &Option<UserId>| before.is_some() && before != now;
        if has_ended(&before.0, &needed.0) || has_ended(&before.1, &needed.1) {
            self.ask_ledger();
        }
    }

    /// Whether the ledger is to be asked for a slot before a turn begins, because it may say no. Otherwise it is asked on the way.
    pub(super) fn must_ask_first(&self) -> bool {
        let account = &self.session.account;
        is_limited(&account.state.budgets) && self.session.needs().lack(&account.held.has()).session
    }

    /// What came of asking for slots: what people are to be told where there is none.
    pub(super) fn take_slots(&mut self, asked: SlotsAsked, budgets: &[Budget]) -> Option<String> {
        let SlotsAsked { session, sandbox, lack, until, first_end } = asked;
        let held = &mut self.session.account.held;
        let got = |user: Option<UserId>, is_lacked: bool| user.filter(|_| !is_lacked);
        held.session = got(session, lack.session);
        held.sandbox = got(sandbox, lack.sandbox);
        held.until = until;
        held.first_end = first_end;
        self.session.account.changes += 1;
        self.settle_lack(lack, budgets)
    }

    /// A sandbox that finds no slot is given up before it is made. Nothing that an agent works on is held.
    fn settle_lack(&mut self, lack: Lack, budgets: &[Budget]) -> Option<String> {
        let needs = self.session.needs();
        let lack = Lack {
            session: lack.session && needs.session.is_some(),
            sandbox: lack.sandbox && needs.sandbox.is_some(),
        };
        let waits = lack.is_any() && self.session.would_wait();
        let is_unmade = |phase| matches!(phase, SandboxPhase::Claiming | SandboxPhase::Ordered);
        let phase = self.session.sandbox.as_ref().map(|sandbox| sandbox.phase);
        if lack.sandbox && phase.is_some_and(is_unmade) {
            self.retire_sandbox();
            self.set_stopped();
        }
        waits.then(|| none_left(budgets, lack, self.session))
    }

    /// A sandbox's end is ordered.
    pub(super) fn note_ending(&mut self, sandbox_id: &SandboxId) {
        let held = &mut self.session.account.held;
        if !held.ending.contains(sandbox_id) {
            held.ending.push(sandbox_id.clone());
            self.session.account.changes += 1;
        }
    }

    /// The provider has ended a sandbox that was given up, or never will.
    pub(super) fn forget_ending(&mut self, sandbox_id: &SandboxId) {
        let held = &mut self.session.account.held;
        let before = held.ending.len();
        held.ending.retain(|known| known != sandbox_id);
        if held.ending.len() != before {
            self.session.account.changes += 1;
        }
    }
}
