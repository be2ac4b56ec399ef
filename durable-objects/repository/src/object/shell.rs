//! One input through the repository: load, apply, commit, then send. Nothing waits before the commit.

use super::outbox::TRY_MS_MAX;
use super::settings::Settings;
use crate::call::ConfigureCall;
use crate::core::{Context, Effect, Input, Reply, Repository};
use crate::store::{OutboxRow, Store};
use platform::alarm::Alarm;
use platform::failure::Failure;
use platform::host::{go_on_with, now, random};
use platform::log::{self, About, Level};
use platform::object_sql::ObjectSql;
use protocol::error::ErrorCode;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use worker::{Delay, Env, State};

/// What an object has in memory. Everything but `state` and `settings` is a copy that can be rebuilt.
pub(super) struct Shell {
    pub(super) state: State,
    pub(super) env: Env,
    pub(super) settings: Settings,
    pub(super) store: Store<ObjectSql>,
    /// The machine as of the last commit.
    repository: RefCell<Option<Rc<Repository>>>,
    migrated: Cell<bool>,
    pub(super) alarm: Alarm,
    /// Keys of outbox rows that are being tried.
    pub(super) in_flight: RefCell<Vec<String>>,
    /// Whether a look at the outbox is to come.
    looks: Cell<bool>,
}

impl Shell {
    pub(super) fn new(state: State, env: &Env) -> Self {
        let store = Store::new(ObjectSql::new(state.storage()));
        Self {
            env: env.clone(),
            settings: Settings::read(env),
            state,
            store,
            repository: RefCell::new(None),
            migrated: Cell::new(false),
            alarm: Alarm::default(),
            in_flight: RefCell::new(Vec::new()),
            looks: Cell::new(false),
        }
    }

    /// Applies one input and answers its caller.
    pub(super) fn apply(self: &Rc<Self>, input: Input) -> Result<Reply, Failure> {
        self.apply_from(input, None)
    }

    /// Applies what came of an outbox row, and removes the row with it.
    pub(super) fn settle(self: &Rc<Self>, input: Input, row: &OutboxRow) -> Result<Reply, Failure> {
        self.apply_from(input, Some(row))
    }

    fn apply_from(self: &Rc<Self>, input: Input, row: Option<&OutboxRow>) -> Result<Reply, Failure> {
        let before = self.repository()?;
        let after = Repository::clone(&before);
        self.advance(Some(before), after, input, row)
    }

    /// Takes a repository up, or changes how it is built.
    pub(super) fn configure(self: &Rc<Self>, call: ConfigureCall) -> Result<Reply, Failure> {
        let input = Input::Configured(call.clone());
        if let Some(before) = self.load()? {
            let after = Repository::clone(&before);
            return self.advance(Some(before), after, input, None);
        }
        Repository::check(&call).map_err(Failure::Refused)?;
        self.store.migrate(now())?;
        self.migrated.set(true);
        self.advance(None, Repository::new(call, now()), input, None)
    }

    fn advance(
        self: &Rc<Self>,
        before: Option<Rc<Repository>>,
        mut after: Repository,
        input: Input,
        row: Option<&OutboxRow>,
    ) -> Result<Reply, Failure> {
        let at = now();
        let effects = after.apply(input, Context { now: at, random: random() });
        let settled = row.map(|row| (row.key.as_str(), row.version));
        // When this fails, the machine in memory is still the one that the tables have.
        self.store.commit(before.as_deref(), &after, &effects, settled, at)?;
        *self.repository.borrow_mut() = Some(Rc::new(after));
        let mut reply = Reply::Done;
        let mut ordered = false;
        for effect in effects {
            match effect {
                Effect::Reply(answer) => reply = answer,
                Effect::Enqueue(_) => ordered = true,
                Effect::Withdraw(_)
                | Effect::SaveClaimant(_)
                | Effect::ForgetClaims { .. }
                | Effect::AppendLog { .. }
                | Effect::DropLog(_) => {}
            }
        }
        if ordered {
            // Should the object vanish before it has looked at the outbox, the alarm does.
            self.alarm.set(&self.state, at.plus_ms(TRY_MS_MAX));
        }
        // A fresh object does not know what its predecessor left.
        if ordered || !self.alarm.is_known() {
            self.go_on();
        } else {
            self.arm();
        }
        Ok(reply)
    }

    /// Begins what is due outside, and makes the runtime call when anything at all is due next. Not before those who wait have their
    /// answers: claims that come together then cost one look at the outbox, and none waits for the signing of an order.
    pub(super) fn go_on(self: &Rc<Self>) {
        self.arm();
        if self.looks.replace(true) {
            return;
        }
        let shell = self.clone();
        go_on_with(&self.state, async move {
            Delay::from(Duration::ZERO).await;
            shell.looks.set(false);
            shell.dispatch();
            if let Some(at) = shell.next_try() {
                shell.alarm.set(&shell.state, at);
            }
        });
    }

    fn arm(&self) {
        let deadline = self.repository.borrow().as_ref().map(|repository| repository.next_deadline(now()));
        if let Some(at) = deadline {
            self.alarm.set(&self.state, at);
        }
    }

    /// The runtime's call at a time that was asked for, or later.
    pub(super) fn take_alarm(self: &Rc<Self>) {
        self.alarm.forget();
        match self.apply(Input::DeadlineReached) {
            Ok(_) => self.go_on(),
            Err(Failure::Refused(_)) => {}
            Err(Failure::Bug(what)) => {
                let about = self.about().with("error", &what);
                log::write(Level::Error, "the alarm could not be handled", &about);
                self.alarm.set(&self.state, now().plus_ms(1000));
            }
        }
    }

    /// The machine as of the last commit.
    pub(super) fn repository(&self) -> Result<Rc<Repository>, Failure> {
        self.load()?.ok_or_else(not_configured)
    }

    /// What its lines in the log are about.
    pub(super) fn about(&self) -> About {
        let known = self.repository.borrow();
        let id = known.as_ref().map(|repository| repository.source.id.as_str());
        id.map_or_else(About::default, |id| About::default().with("repository", id))
    }

    /// Whether there is a repository here; leaves no trace where there is none.
    pub(super) fn is_configured(&self) -> Result<bool, Failure> {
        Ok(self.migrated.get() || self.store.exists()?)
    }

    /// The machine from memory, or rebuilt.
    fn load(&self) -> Result<Option<Rc<Repository>>, Failure> {
        if let Some(repository) = &*self.repository.borrow() {
            return Ok(Some(repository.clone()));
        }
        if !self.migrated.get() {
            if !self.store.exists()? {
                return Ok(None);
            }
            self.store.migrate(now())?;
            self.migrated.set(true);
        }
        let loaded = self.store.load()?.map(Rc::new);
        self.repository.borrow_mut().clone_from(&loaded);
        Ok(loaded)
    }
}

fn not_configured() -> Failure {
    let message = "this repository has no images yet; start a session on it, or save its settings";
    Failure::refused(ErrorCode::NotFound, message)
}
