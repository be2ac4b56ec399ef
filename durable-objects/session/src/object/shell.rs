//! One input through the session: load, apply, commit, then send. Nothing waits before the commit.

use super::failure::Failure;
use super::host::{now, random};
use super::settings::Settings;
use super::viewers::Viewers;
use crate::core::{Context, Effect, Input, NewSession, Reply, Session};
use crate::store::{OutboxRow, Store};
use futures::lock::Mutex;
use platform::alarm::Alarm;
use platform::log::{self, About, Level};
use platform::object_sql::ObjectSql;
use protocol::error::ErrorCode;
use protocol::time::Timestamp;
use protocol::timeline::Seq;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use worker::{Env, State};

/// What an object has in memory. Everything but `state` and `env` is a copy that can be rebuilt.
pub(super) struct Shell {
    pub(super) state: State,
    pub(super) env: Env,
    pub(super) settings: Settings,
    pub(super) store: Store<ObjectSql>,
    /// The machine as of the last commit.
    session: RefCell<Option<Session>>,
    migrated: Cell<bool>,
    alarm: Alarm,
    /// Keys of outbox rows that are being tried.
    pub(super) in_flight: RefCell<Vec<String>>,
    /// Held while the ledger of budgets is asked.
    pub(super) consulting: Mutex<()>,
    /// Those with a socket; unknown in a fresh object.
    pub(super) viewers: RefCell<Option<Viewers>>,
    /// Tickets of sockets that have just closed.
    pub(super) gone_tickets: RefCell<Vec<String>>,
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
            alarm: Alarm::default(),
            in_flight: RefCell::new(Vec::new()),
            consulting: Mutex::new(()),
            viewers: RefCell::new(None),
            gone_tickets: RefCell::default(),
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
        let effects = session.apply(input, self.context(at));
        let reply = reply_of(&effects);
        // A refusal, or what was known already.
        if let ([Effect::Reply(_)], Source::Caller) = (effects.as_slice(), &source) {
            *self.session.borrow_mut() = Some(session);
            self.take_over();
            return Ok(reply);
        }
        // When this fails, the machine is ahead of the tables; it is dropped here and rebuilt by the next input.
        let records = match &source {
            Source::Caller => self.store.commit(&session, &effects, at)?,
            Source::Outbox(row) => {
                self.store.commit_finished(&session, &effects, at, &row.key, row.version)?
            }
        };
        self.publish(session, &effects, records);
        Ok(reply)
    }

    /// Begins the session, or finds that it has begun by the same request.
    pub(super) fn create(self: &Rc<Self>, new: NewSession, thread: Option<&str>) -> Result<(), Failure> {
        if let Some(session) = self.load_session()? {
            if session.deleted {
                *self.session.borrow_mut() = Some(session);
                let message = "what this request began was deleted; send it with a new prompt id";
                return Err(Failure::refused(ErrorCode::IdConflict, message));
            }
            let same = session.is_created_by(&new);
            *self.session.borrow_mut() = Some(session);
            return if same {
                Ok(())
            } else {
                Err(Failure::refused(ErrorCode::IdConflict, "another session has this id"))
            };
        }
        let at = now();
        let (session, effects) = Session::create(new, self.context(at)).map_err(Failure::Refused)?;
        self.store.migrate(at)?;
        self.migrated.set(true);
        let records = self.store.create(&session, &effects, at)?;
        if let Some(thread) = thread {
            // Nothing is waited for in between, so the runtime commits both together.
            self.store.save_thread(thread)?;
        }
        self.publish(session, &effects, records);
        Ok(())
    }

    fn context(&self, now: Timestamp) -> Context<'_> {
        let Settings { models, timing, .. } = &self.settings;
        Context { now, random: random(), models, timing: *timing }
    }

    /// What follows a commit: keep the machine, send, and see to what must happen outside.
    fn publish(self: &Rc<Self>, session: Session, effects: &[Effect], records: Vec<String>) {
        let deadline = session.next_deadline(self.settings.timing).map(|(at, _)| at);
        let newest = session.seq;
        *self.session.borrow_mut() = Some(session);
        self.log_progress(effects);
        if effects.contains(&Effect::Purge) {
            *self.snapshot_frame.borrow_mut() = None;
            self.dismiss_viewers();
        } else {
            self.broadcast(records, newest);
        }
        let ordered = effects.iter().any(|effect| matches!(effect, Effect::Enqueue(_)));
        // A fresh object does not know what its predecessor left.
        if ordered || !self.alarm.is_known() {
            self.go_on();
        } else if let Some(at) = deadline {
            self.arm(at);
        }
    }

    /// Goes on with what an earlier object had begun, on the first word from outside and not only when the alarm comes.
    fn take_over(self: &Rc<Self>) {
        if !self.alarm.is_known() {
            self.go_on();
        }
    }

    /// Begins what is due outside, and makes the runtime call when anything at all is due next.
    pub(super) fn go_on(self: &Rc<Self>) {
        self.dispatch();
        self.arm_for_everything();
    }

    /// Gives the storage back when the session was deleted and nothing of it is left outside.
    pub(super) async fn vanish_if_done(&self) {
        let is_deleted = self.with_session(|session| session.deleted).unwrap_or(false);
        if !is_deleted || !self.store.load_schedule().is_ok_and(|rows| rows.is_empty()) {
            return;
        }
        self.session.borrow_mut().take();
        self.migrated.set(false);
        self.alarm.forget();
        let storage = self.state.storage();
        for outcome in [storage.delete_alarm().await, storage.delete_all().await] {
            if let Err(error) = outcome {
                let about = About::default().with("error", &error.to_string());
                log::write(Level::Error, "the storage of a deleted session could not be given back", &about);
            }
        }
    }

    /// The tables were changed past the machine: the next input rebuilds it.
    pub(super) fn forget_machine(&self) {
        self.session.borrow_mut().take();
        self.snapshot_frame.borrow_mut().take();
    }

    /// Whether there is a session here; leaves no trace where there is none.
    pub(super) fn require_session(&self) -> Result<(), Failure> {
        if self.with_session(|session| session.deleted)? {
            return Err(not_found());
        }
        Ok(())
    }

    /// Looks at the machine without changing it.
    pub(super) fn with_session<T>(&self, look: impl FnOnce(&Session) -> T) -> Result<T, Failure> {
        let session = self.take_session()?;
        let seen = look(&session);
        *self.session.borrow_mut() = Some(session);
        Ok(seen)
    }

    fn take_session(&self) -> Result<Session, Failure> {
        self.load_session()?.ok_or_else(not_found)
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
        self.alarm.forget();
        let is_due = self.with_session(|session| {
            session.next_deadline(self.settings.timing).is_some_and(|(at, _)| at <= now())
        });
        let outcome = match is_due {
            Ok(true) => self.apply(Input::DeadlineReached).map(|_| ()),
            Ok(false) => Ok(()),
            Err(failure) => Err(failure),
        };
        if let Err(Failure::Bug(what)) = outcome {
            let about = self.about().with("error", &what);
            log::write(Level::Error, "the alarm could not be handled", &about);
            self.arm(now().plus_ms(1000));
            return;
        }
        self.go_on();
    }

    fn arm_for_everything(&self) {
        let deadline = self
            .with_session(|session| session.next_deadline(self.settings.timing).map(|(at, _)| at))
            .ok()
            .flatten();
        for at in [deadline, self.next_try()].into_iter().flatten() {
            self.arm(at);
        }
    }

    /// Makes the runtime call at `at`, or earlier.
    pub(super) fn arm(&self, at: Timestamp) {
        self.alarm.set(&self.state, at);
    }
}

fn not_found() -> Failure {
    Failure::refused(ErrorCode::NotFound, crate::call::NO_SESSION)
}

fn reply_of(effects: &[Effect]) -> Reply {
    for effect in effects.iter().rev() {
        if let Effect::Reply(reply) = effect {
            return reply.clone();
        }
    }
    Reply::Done
}
