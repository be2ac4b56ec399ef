//! A click's way: who clicked, whether that person may, and what follows.

use super::api::Api;
use super::attachment::{Carried, gather, say_missing};
use super::message::{Step, later_or, prompt};
use super::person;
use super::shell::{Outcome, Shell};
use crate::context::Context;
use crate::handlers::check_session;
use crate::session_object;
use crate::slack_settings::SlackSettings;
use identity::Principal;
use identity::policy::{Action as Deed, SessionAction};
use platform::host::now;
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::{SessionId, TurnId};
use serde::Serialize;
use serde_json::{Value, json};
use session::call::{Call, MessageCall, StopCall};
use slack::event::File;
use slack::interaction::{Action, Interaction};
use std::rc::Rc;
use thread::state::{Order, Thread};
use thread::store::Due;

pub(super) async fn work(shell: &Rc<Shell>, row: &Due) -> Outcome {
    match try_work(shell, row).await {
        Ok(()) => Outcome::Settled,
        Err(outcome) => outcome,
    }
}

async fn try_work(shell: &Rc<Shell>, row: &Due) -> Step<()> {
    let Some(click) = row.payload.get("interaction").and_then(Interaction::from_json) else {
        return shell.store.finish(row, |_| {}, &[]).map_err(Outcome::later);
    };
    let thread = shell.store.load().map_err(Outcome::later)?;
    let context = Context::without_request(shell.env.clone(), &thread.home)
        .map_err(|error| Outcome::later(error.message))?;
    let principal = person::find(&context, &click.team, &click.user).await;
    let Some(principal) = principal.map_err(|error| Outcome::later(error.message))? else {
        let order = Order::new(format!("link/{}", click.user), "link", json!({"user": click.user}), now());
        return shell.store.finish(row, |_| {}, &[order]).map_err(Outcome::later);
    };
    let scene =
        Scene { shell, row, click: &click, thread: &thread, context: &context, principal: &principal };
    match &click.action {
        Action::Choose { repository, ts } => scene.choose(repository, ts),
        Action::Stop { turn } => scene.stop(turn).await,
        Action::Retry { turn } => scene.retry(turn).await,
    }
}

struct Scene<'a> {
    shell: &'a Rc<Shell>,
    row: &'a Due,
    click: &'a Interaction,
    thread: &'a Thread,
    context: &'a Context,
    principal: &'a Principal,
}

impl Scene<'_> {
    fn done(&self, orders: &[Order]) -> Step<()> {
        self.shell.store.finish(self.row, |_| {}, orders).map_err(Outcome::later)
    }

    fn refuse(&self, reason: &str) -> Outcome {
        match self.done(&[Order::say(&self.click.id, &self.click.user, reason, now())]) {
            Ok(()) => Outcome::Settled,
            Err(outcome) => outcome,
        }
    }

    /// The author of the waiting message says which repository it is about; whether it may be is asked when the session begins.
    fn choose(&self, repository: &str, ts: &str) -> Step<()> {
        let waiting = self.shell.store.find_choosing(ts).map_err(Outcome::later)?;
        match waiting {
            None => Err(self.refuse("This was decided already.")),
            Some(message) if message.user != self.click.user => {
                Err(self.refuse("Only the person who asked chooses the repository."))
            }
            Some(_) => {
                self.shell.store.release_chosen(self.row, ts, repository, now()).map_err(Outcome::later)
            }
        }
    }

    /// The session, where this person may do that in it.
    async fn session(&self, action: SessionAction) -> Step<SessionId> {
        let Some(session) = &self.thread.session else {
            return Err(self.refuse("This thread has no session yet."));
        };
        let id = SessionId::parse(session).map_err(Outcome::later)?;
        match check_session(self.context, self.principal, Deed::Session(action), &id).await {
            Ok(_) => Ok(id),
            Err(error) => Err(later_or(error, |reason| self.refuse(&reason))),
        }
    }

    async fn tell<T: Serialize>(
        &self,
        id: &SessionId,
        (call, body): (Call, &T),
        orders: &[Order],
    ) -> Step<()> {
        let answer = session_object::post(&self.context.env, id, call, body).await;
        let mut answer = answer.map_err(|error| Outcome::later(error.message))?;
        if (200..300).contains(&answer.status_code()) {
            return self.done(orders);
        }
        let silent = |_| ErrorBody::new(ErrorCode::Unavailable, "the session does not answer");
        let error = answer.json::<ErrorBody>().await.unwrap_or_else(silent);
        if error.code == ErrorCode::IdConflict {
            return self.done(&[]);
        }
        Err(later_or(error, |reason| self.refuse(&reason)))
    }

    async fn stop(&self, turn: &str) -> Step<()> {
        let id = self.session(SessionAction::StopTurn).await?;
        let Ok(turn_id) = TurnId::parse(turn) else { return Err(self.refuse("This turn is not known.")) };
        let stop = StopCall { by: self.principal.user.clone(), turn_id };
        self.tell(&id, (Call::Stop, &stop), &[]).await
    }

    /// The prompt of the turn once more, in the name of whoever wants it.
    async fn retry(&self, turn: &str) -> Step<()> {
        let id = self.session(SessionAction::Prompt).await?;
        let text = |path: &str| {
            self.thread.view.as_ref().and_then(|view| view.pointer(path)).and_then(Value::as_str)
        };
        let again = text("/turn/prompt").filter(|_| text("/turn/id") == Some(turn));
        let Some(again) = again else { return Err(self.refuse("Another turn came after this one.")) };
        let files = self.files_of(text("/turn/promptId").unwrap_or_default());
        let settings = SlackSettings::of(&self.shell.env).map_err(|error| Outcome::later(error.message))?;
        let api = Api { env: &self.shell.env, settings: &settings };
        let Carried { attachments, missing } = gather(&api, &files, self.row.attempts).await?;
        let prompt = prompt(&format!("retry\n{turn}"), again.to_owned(), attachments)?;
        if !files.is_empty() {
            let kept = files.iter().map(File::to_json).collect();
            let keep = |thread: &mut Thread| thread.keep_files(prompt.id.as_str(), kept);
            self.shell.store.change(keep).map_err(Outcome::later)?;
        }
        let orders: Vec<Order> =
            say_missing(&missing, &self.click.id, &self.click.user).into_iter().collect();
        let message = MessageCall { author: self.principal.user.clone(), prompt };
        self.tell(&id, (Call::Message, &message), &orders).await
    }

    /// What went along with a prompt of this thread.
    fn files_of(&self, prompt: &str) -> Vec<File> {
        let known = self.thread.files.iter().find(|(known, _)| known == prompt);
        let files = known.and_then(|(_, files)| files.as_array());
        files.into_iter().flatten().filter_map(File::from_json).collect()
    }
}
