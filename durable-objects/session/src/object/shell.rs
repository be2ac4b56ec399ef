//! One input through the session: load, apply, commit, then send. Nothing waits before the commit.

use super::failure::Failure;
use super::platform::{now, random};
use super::settings::Settings;
use super::sql::ObjectSql;
use crate::core::{Context, Effect, Input, NewSession, Reply, Session};
use crate::store::{OutboxRow, Store};
use protocol::error::ErrorCode;
use protocol::time::Timestamp;
use protocol::timeline::Seq;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use worker::{Env, ScheduledTime, State, WebSocket};

/// What an object has in memory. Everything but `state` and `env` is a copy that can be rebuilt.
pub(super) struct Shell {
    pub(super) state: State,
    pub(super) env: Env,
    pub(super) settings: Settings,
    pub(super) store: Store<ObjectSql>,
    /// The machine as of the last commit.
    session: RefCell<Option<Session>>,
    migrated: Cell<bool>,
    /// When the runtime will call; unknown in a fresh object.
    alarm_at: Cell<Option<Timestamp>>,
    /// Keys of outbox rows that are being tried.
    pub(super) in_flight: RefCell<BTreeSet<String>>,
    /// Sockets that get every event; unknown in a fresh object.
    pub(super) watchers: RefCell<Option<Vec<WebSocket>>>,
    /// The newest snapshot frame, for many who come at once.
    pub(super) snapshot_frame: RefCell<Option<(Seq, Rc<str>)>>,
}

/// Where an input comes from.
enum Source<'a> {
    Caller,
    Outbox(&'a OutboxRow),
}

impl Shell {
    pub(super) fn new(state: State, env: Env) -> Self {
        let settings = Settings::read(&env);
        let store = Store::new(ObjectSql::new(state.storage()));
        Self {
            state,
            env,
            settings,
            store,
            session: RefCell::new(None),
            migrated: Cell::new(false),
            alarm_at: Cell::new(None),
            in_flight: RefCell::new(BTreeSet::new()),
            watchers: RefCell::new(None),
            snapshot_frame: RefCell::new(None),
        }
    }

    /// Applies one input and answers its caller.
    pub(super) fn apply(self: &Rc<Self>, input: Input) -> Result<Reply, Failure> {
        self.apply_from(input, Source::Caller)
    }

    /// Applies what came of an outbox row, and removes the row with it.
    pub(super) fn settle(self: &Rc<Self>, input: Input, row: &OutboxRow) -> Result<Reply, Failure> {
        self.apply_from(input, Source::Outbox(row))
    }

    fn apply_from(self: &Rc<Self>, input: Input, source: Source<'_>) -> Result<Reply, Failure> {
        let mut session = self.take_session()?;
        let at = now();
        let context = Context { now: at, random: random(), models: &self.settings.models };
        let effects = session.apply(input, context);
        let reply = reply_of(&effects);
        if let (Reply::Refused(_), Source::Caller) = (&reply, &source) {
            *self.session.borrow_mut() = Some(session);
            return Ok(reply);
        }
        // When this fails, the machine is ahead of the tables; it is dropped here and rebuilt by the next input.
        let frames = match &source {
            Source::Caller => self.store.commit(&session, &effects, at)?,
            Source::Outbox(row) => {
                self.store.commit_finished(&session, &effects, at, &row.key, row.version)?
            }
        };
        self.publish(session, &effects, &frames);
        Ok(reply)
    }

    /// Begins the session, or finds that it has begun by the same request.
    pub(super) fn create(self: &Rc<Self>, new: NewSession) -> Result<(), Failure> {
        if let Some(session) = self.load_session()? {
            let same = session.is_created_by(&new);
            *self.session.borrow_mut() = Some(session);
            return if same {
                Ok(())
            } else {
                Err(Failure::refused(ErrorCode::IdConflict, "another session has this id"))
            };
        }
        let at = now();
        let context = Context { now: at, random: random(), models: &self.settings.models };
        let (session, effects) = Session::create(new, context).map_err(Failure::Refused)?;
        self.store.migrate(at)?;
        self.migrated.set(true);
        let frames = self.store.create(&session, &effects, at)?;
        self.publish(session, &effects, &frames);
        Ok(())
    }

    /// What follows a commit: keep the machine, send, and see to what must happen outside.
    fn publish(self: &Rc<Self>, session: Session, effects: &[Effect], frames: &[String]) {
        let deadline = session.next_deadline().map(|(at, _)| at);
        *self.session.borrow_mut() = Some(session);
        let ordered = effects.iter().any(|effect| matches!(effect, Effect::Enqueue(_)));
        // A fresh object does not know what its predecessor left.
        if ordered || self.alarm_at.get().is_none() {
            self.dispatch();
            self.arm_for_everything();
        } else if let Some(at) = deadline {
            self.arm(at);
        }
        self.broadcast(frames);
    }

    /// Whether there is a session here; leaves no trace where there is none.
    pub(super) fn require_session(&self) -> Result<(), Failure> {
        let session = self.load_session()?.ok_or_else(Failure::not_found)?;
        *self.session.borrow_mut() = Some(session);
        Ok(())
    }

    /// Looks at the machine without changing it.
    pub(super) fn with_session<T>(&self, look: impl FnOnce(&Session) -> T) -> Result<T, Failure> {
        self.require_session()?;
        self.session.borrow().as_ref().map(look).ok_or_else(Failure::not_found)
    }

    fn take_session(&self) -> Result<Session, Failure> {
        self.load_session()?.ok_or_else(Failure::not_found)
    }

    /// Takes the machine out of memory, or rebuilds it.
    fn load_session(&self) -> Result<Option<Session>, Failure> {
        if let Some(session) = self.session.borrow_mut().take() {
            return Ok(Some(session));
        }
        if !self.migrated.get() {
            if !self.store.exists()? {
                return Ok(None);
            }
            self.store.migrate(now())?;
            self.migrated.set(true);
        }
        Ok(self.store.load()?)
    }

    /// The runtime's call at a time that was asked for, or later.
    pub(super) fn take_alarm(self: &Rc<Self>) {
        self.alarm_at.set(None);
        let is_due = self.with_session(|session| session.next_deadline().is_some_and(|(at, _)| at <= now()));
        let outcome = match is_due {
            Ok(true) => self.apply(Input::DeadlineReached).map(|_| ()),
            Ok(false) => Ok(()),
            Err(failure) => Err(failure),
        };
        if let Err(Failure::Bug(what)) = outcome {
            worker::console_error!("the alarm could not be handled: {what}");
            self.arm(now().plus_ms(1000));
            return;
        }
        self.dispatch();
        self.arm_for_everything();
    }

    /// Makes the runtime call when anything at all is due next.
    pub(super) fn arm_for_everything(&self) {
        let deadline = self.with_session(|session| session.next_deadline().map(|(at, _)| at)).ok().flatten();
        for at in [deadline, self.next_try()].into_iter().flatten() {
            self.arm(at);
        }
    }

    /// Makes the runtime call at `at`, unless it will earlier: a call too early costs less than moving the alarm with each batch.
    pub(super) fn arm(&self, at: Timestamp) {
        if self.alarm_at.get().is_some_and(|known| known <= at && known > now()) {
            return;
        }
        self.alarm_at.set(Some(at));
        let storage = self.state.storage();
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970")]
        let date = js_sys::Date::new(&(at.0 as f64).into());
        self.state.wait_until(async move {
            if let Err(error) = storage.set_alarm(ScheduledTime::new(date)).await {
                worker::console_error!("the alarm could not be set: {error}");
            }
        });
    }
}

fn reply_of(effects: &[Effect]) -> Reply {
    effects
        .iter()
        .rev()
        .find_map(|effect| match effect {
            Effect::Reply(reply) => Some(reply.clone()),
            Effect::Record { .. }
            | Effect::SaveParticipant(_)
            | Effect::SaveAttempts { .. }
            | Effect::Enqueue(_)
            | Effect::Withdraw { .. } => None,
        })
        .unwrap_or(Reply::Done)
}
