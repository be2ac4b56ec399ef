//! The session's object: the real machine over the real tables, and a shell that does what the Durable Object's shell does, step by
//! step, with a place to die before and after each of them.
//!
//! One run of code without waiting is one transaction of the runtime: what it wrote is there together or not at all, and what it sent
//! leaves only when it is. The alarm mostly is, too; that it can be lost is more than the runtime threatens with.

mod callers;

use crate::happening::Token;
use crate::mutant::Mutant;
use crate::observer::Observer;
use crate::plan::Fault;
use crate::scene::Scene;
use crate::tables::Tables;
use crate::viewers::Viewers;
use crate::wire::Road;
use protocol::error::{ErrorBody, ErrorCode};
use protocol::time::Timestamp;
use protocol::timeline::EventRecord;
use session::core::{Context, Effect, Input, NewSession, Reply, Session};
use session::store::OutboxRow;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Should the object vanish during a try, its row is looked at again after this.
pub(crate) const TRY_MS_MAX: u64 = 30_000;

/// The object with what the runtime keeps for it.
pub(crate) struct Shell {
    pub(crate) tables: Tables,
    /// What the runtime keeps: when it will call, and the sockets.
    pub(crate) alarm: Option<Timestamp>,
    pub(crate) viewers: Viewers,
    /// Everything was given back after a deletion.
    pub(crate) is_gone: bool,
    /// When the newest request to index, artifacts or code host arrives there.
    pub(super) sent_elsewhere: u64,
    pub(super) mutant: Option<Mutant>,
    pub(super) memory: Memory,
}

/// What is lost when the object sleeps, moves or dies.
#[derive(Default)]
pub(super) struct Memory {
    /// The machine as of the last commit.
    pub(super) session: Option<Session>,
    /// When the runtime will call, as far as this instance knows.
    pub(super) alarm_at: Option<Timestamp>,
    /// Keys of outbox rows that are being tried.
    pub(super) in_flight: BTreeSet<String>,
    /// The same by request.
    pub(super) calls: BTreeMap<Token, OutboxRow>,
}

/// What the shell works with.
pub(crate) struct Around<'a> {
    pub(crate) scene: &'a mut Scene,
    pub(crate) observer: &'a mut Observer,
    pub(crate) road: &'a Road,
}

/// The object died, or a defect kept it from answering: the caller hears nothing.
pub(crate) struct Silence;

/// Where an input comes from.
pub(super) enum Source<'a> {
    Caller,
    Outbox(&'a OutboxRow),
}

/// The models of the deployment.
pub(crate) fn models() -> Vec<String> {
    vec!["demo/demo".to_owned(), "demo/other".to_owned()]
}

impl Shell {
    pub(crate) fn new(tables: Tables, mutant: Option<Mutant>) -> Self {
        Self {
            tables,
            alarm: None,
            viewers: Viewers::default(),
            is_gone: false,
            sent_elsewhere: 0,
            mutant,
            memory: Memory::default(),
        }
    }

    /// Begins the session.
    pub(crate) fn create(&mut self, around: &mut Around<'_>, new: NewSession) {
        let at = around.scene.clock();
        let (models, timing) = (models(), around.scene.plan.timing);
        let context = Context { now: at, random: around.scene.random.bytes(), models: &models, timing };
        match Session::create(new, context) {
            Ok((session, effects)) => {
                around.observer.created(&session);
                if let Err(error) = self.tables.create(&session, &effects, at) {
                    return around.scene.fail("store", &error);
                }
                around.observer.committed(around.scene, &session, &effects, None);
                self.publish(around, session, &effects);
            }
            Err(error) => around.scene.fail("core", &error.to_string()),
        }
    }

    /// Applies one input and answers its caller.
    pub(super) fn apply(&mut self, around: &mut Around<'_>, input: Input) -> Result<Reply, Silence> {
        self.apply_from(around, input, &Source::Caller)
    }

    pub(super) fn apply_from(
        &mut self,
        around: &mut Around<'_>,
        input: Input,
        source: &Source<'_>,
    ) -> Result<Reply, Silence> {
        let Some(mut session) = self.take_session(around)? else {
            return Ok(Reply::Refused(ErrorBody::new(ErrorCode::NotFound, "there is no such session")));
        };
        let dies_early = around.scene.strikes(Fault::CrashBeforeCommit);
        let before = dies_early.then(|| session.clone());
        self.tamper(&input, &mut session);
        let heard = around.observer.hear(&input);
        let at = around.scene.clock();
        around.scene.trace.line(around.scene.now, || format!("session < {}", brief(&input)));
        let (models, timing) = (models(), around.scene.plan.timing);
        let context = Context { now: at, random: around.scene.random.bytes(), models: &models, timing };
        let effects = session.apply(input, context);
        if let Some(before) = before {
            around.observer.forgotten(before);
            self.die(around);
            return Err(Silence);
        }
        let reply = reply_of(&effects);
        if let ([Effect::Reply(_)], Source::Caller) = (effects.as_slice(), source) {
            around.observer.answered(around.scene, &session, &reply, &heard);
            self.memory.session = Some(session);
            self.take_over(around);
            return Ok(reply);
        }
        let stored = match source {
            Source::Outbox(row) if self.mutant != Some(Mutant::OutboxNeverMarked) => {
                self.tables.commit_finished(&session, &effects, at, row)
            }
            Source::Caller | Source::Outbox(_) => self.tables.commit(&session, &effects, at),
        };
        if let Err(error) = stored {
            around.scene.fail("store", &error);
            return Err(Silence);
        }
        around.observer.committed(around.scene, &session, &effects, Some(&heard));
        around.observer.answered(around.scene, &session, &reply, &heard);
        if around.scene.strikes(Fault::CrashAfterCommit) {
            self.publish_nothing(around, session);
            self.die(around);
            return Err(Silence);
        }
        self.publish(around, session, &effects);
        Ok(reply)
    }

    /// What a mutant does to the machine before it decides.
    fn tamper(&mut self, input: &Input, session: &mut Session) {
        match (self.mutant, input) {
            (Some(Mutant::NoPromptDedupe), Input::PromptSubmitted { prompt, .. }) => {
                session.accepted.remove(&prompt.id);
            }
            (Some(Mutant::NoEventDedupe), Input::RunnerEvents(batch)) => {
                if let (Some(sandbox), Some(first)) = (&mut session.sandbox, batch.events.first())
                    && sandbox.id == batch.sandbox_id
                    && first.seq <= sandbox.runner_seq
                {
                    sandbox.runner_seq = first.seq - 1;
                }
            }
            (_, _) => {}
        }
    }

    /// What follows a commit: keep the machine, send, and see to what must happen outside.
    fn publish(&mut self, around: &mut Around<'_>, session: Session, effects: &[Effect]) {
        let deadline = self.deadline_of(around.scene, &session);
        let newest = session.seq;
        self.memory.session = Some(session);
        if effects.contains(&Effect::Purge) {
            self.viewers.dismiss(around.scene);
        } else {
            let records = effects.iter().filter_map(|effect| match effect {
                Effect::Record { seq, at, event } => {
                    Some(Rc::new(EventRecord { seq: *seq, at: *at, event: event.clone() }))
                }
                Effect::SaveParticipant(_)
                | Effect::SaveQueue(_)
                | Effect::SaveCursor
                | Effect::SaveWatch
                | Effect::SaveText { .. }
                | Effect::SaveOutput { .. }
                | Effect::SaveAttachments { .. }
                | Effect::DropOutput { .. }
                | Effect::Compact { .. }
                | Effect::Purge
                | Effect::Enqueue(_)
                | Effect::Withdraw { .. }
                | Effect::Reply(_) => None,
            });
            self.viewers.broadcast(around.scene, records.collect(), newest);
        }
        let ordered = effects.iter().any(|effect| matches!(effect, Effect::Enqueue(_)));
        if ordered || self.memory.alarm_at.is_none() {
            self.dispatch(around);
            self.arm_for_everything(around.scene);
        } else if let Some(at) = deadline {
            self.arm(around.scene, at);
        }
    }

    /// Goes on with what an earlier object had begun, on the first word from outside and not only when the alarm comes.
    fn take_over(&mut self, around: &mut Around<'_>) {
        if self.memory.alarm_at.is_none() {
            self.dispatch(around);
            self.arm_for_everything(around.scene);
        }
    }

    /// The same when the object dies before anything leaves it: the alarm is set, or not even that.
    fn publish_nothing(&mut self, around: &mut Around<'_>, session: Session) {
        around.observer.forgotten(session.clone());
        self.memory.session = Some(session);
        if around.scene.strikes(Fault::AlarmLost) {
            return;
        }
        let now = around.scene.clock();
        for row in self.tables.load_due(now).unwrap_or_default() {
            self.memory.in_flight.insert(row.key);
        }
        self.arm_for_everything(around.scene);
    }

    /// Memory is gone and sockets are cut.
    fn die(&mut self, around: &mut Around<'_>) {
        self.memory = Memory::default();
        self.viewers.cut_all(around.scene);
    }

    /// The object moves to another machine.
    pub(crate) fn deploy(&mut self, around: &mut Around<'_>) {
        self.sleep(around);
        self.die(around);
    }

    /// The object sleeps; its sockets stay.
    pub(crate) fn sleep(&mut self, around: &mut Around<'_>) {
        if let Some(session) = self.memory.session.take() {
            around.observer.forgotten(session);
        }
        self.memory = Memory::default();
        self.viewers.forget();
    }

    /// Dies with something done outside that it does not know of.
    pub(super) fn die_unaware(&mut self, around: &mut Around<'_>) {
        self.deploy(around);
    }

    /// The machine as of the last commit, rebuilt where it is not in memory.
    pub(super) fn take_session(&mut self, around: &mut Around<'_>) -> Result<Option<Session>, Silence> {
        if self.is_gone {
            return Ok(None);
        }
        if let Some(session) = self.memory.session.take() {
            return Ok(Some(session));
        }
        match self.tables.load() {
            Ok(session) => {
                if let Some(session) = &session {
                    around.observer.rebuilt(around.scene, session);
                }
                Ok(session)
            }
            Err(error) => {
                around.scene.fail("store", &error);
                Err(Silence)
            }
        }
    }

    /// Looks at the machine without changing it.
    pub(super) fn with_session<T>(
        &mut self,
        around: &mut Around<'_>,
        look: impl FnOnce(&Session) -> T,
    ) -> Option<T> {
        let session = self.take_session(around).ok().flatten()?;
        let seen = look(&session);
        self.memory.session = Some(session);
        Some(seen)
    }

    fn deadline_of(&self, scene: &Scene, session: &Session) -> Option<Timestamp> {
        let (at, reason) = session.next_deadline(scene.plan.timing)?;
        let is_lease = reason == session::core::DeadlineReason::RunnerSilent;
        (self.mutant != Some(Mutant::NoLease) || !is_lease).then_some(at)
    }

    /// The runtime's call at a time that was asked for, or later, or for no reason.
    pub(crate) fn take_alarm(&mut self, around: &mut Around<'_>) {
        self.memory.alarm_at = None;
        let Some(session) = self.take_session(around).ok().flatten() else { return };
        let is_due = self.deadline_of(around.scene, &session).is_some_and(|at| at <= around.scene.clock());
        self.memory.session = Some(session);
        if is_due && self.apply(around, Input::DeadlineReached).is_err() {
            // The runtime calls again when the handler did not come to its end.
            self.alarm = Some(around.scene.clock().plus_ms(2_000));
            return;
        }
        self.dispatch(around);
        self.arm_for_everything(around.scene);
        self.vanish_if_done(around);
    }

    /// Makes the runtime call when anything at all is due next.
    pub(super) fn arm_for_everything(&mut self, scene: &Scene) {
        let deadline = self.memory.session.as_ref().and_then(|session| self.deadline_of(scene, session));
        for at in [deadline, self.next_try(scene)].into_iter().flatten() {
            self.arm(scene, at);
        }
    }

    /// Makes the runtime call at `at`, unless it will earlier.
    fn arm(&mut self, scene: &Scene, at: Timestamp) {
        if self.memory.alarm_at.is_some_and(|known| known <= at && known > scene.clock()) {
            return;
        }
        self.memory.alarm_at = Some(at);
        self.alarm = Some(at);
    }

    /// Gives everything back when the session was deleted and nothing of it is left outside.
    pub(super) fn vanish_if_done(&mut self, around: &mut Around<'_>) {
        let is_deleted = self.with_session(around, |session| session.deleted).unwrap_or(false);
        if is_deleted && self.tables.load_schedule().is_ok_and(|rows| rows.is_empty()) {
            self.memory = Memory::default();
            self.alarm = None;
            self.is_gone = true;
        }
    }
}

fn reply_of(effects: &[Effect]) -> Reply {
    let mut reply = Reply::Done;
    for effect in effects {
        if let Effect::Reply(found) = effect {
            reply = found.clone();
        }
    }
    reply
}

/// One line about an input.
fn brief(input: &Input) -> String {
    if let Input::RunnerEvents(batch) = input {
        let of = |record: Option<&protocol::runner::RunnerEventRecord>| record.map_or(0, |record| record.seq);
        let (first, last) = (of(batch.events.first()), of(batch.events.last()));
        let kinds: Vec<_> = batch.events.iter().map(|record| name_of(&record.event)).collect();
        return format!("events {first}..{last} of {} {kinds:?}", batch.sandbox_id);
    }
    let mut text = format!("{input:?}");
    text.truncate(text.floor_char_boundary(400));
    text
}

fn name_of(event: &protocol::runner::RunnerEvent) -> String {
    let text = format!("{event:?}");
    text.split([' ', '{']).next().unwrap_or_default().to_owned()
}
