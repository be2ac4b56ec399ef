//! A message's way: who wrote it, which session or repository it is for, and into that session as a prompt.
//!
//! Every step may be repeated. What was decided is kept before it is acted on; the ids of prompt and session follow from the message.

use super::api::{Api, ask_model};
use super::attachment::{Carried, gather, say_missing};
use super::person;
use super::shell::{Outcome, Shell, about};
use crate::context::Context;
use crate::handlers::{Started, check_session, code_host, start};
use crate::roster::Roster;
use crate::session_object;
use crate::slack_settings::SlackSettings;
use identity::Principal;
use identity::policy::{Action, SessionAction};
use platform::host::{new_span, now};
use platform::log::{self, Level};
use protocol::attachment::Attachment;
use protocol::client::{CreateSessionRequest, PromptRequest};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::{PromptId, RepositoryId, SessionId};
use protocol::sign::sha256_hex;
use protocol::timeline::{Delivery, PromptOrigin};
use serde_json::{Value, json};
use session::call::{Call, MessageCall};
use slack::api::Answer;
use slack::event::{File, Message};
use slack::prompt::{Said, parse_replies, render};
use slack::route::{Candidate, Decision, Question, by_model, decide, request};
use std::rc::Rc;
use thread::call::object_name;
use thread::state::{Order, Thread};
use thread::store::Due;

/// What stopped a step: the row is settled, or tried again.
pub(super) type Step<T> = Result<T, Outcome>;

/// Turns what a dependency could not do into another try, and what it refused into a word to the person.
pub(super) fn later_or(error: ErrorBody, refused: impl FnOnce(String) -> Outcome) -> Outcome {
    let is_passing = matches!(
        error.code,
        ErrorCode::Unavailable
            | ErrorCode::RateLimited
            | ErrorCode::Internal
            | ErrorCode::RepositoryUnreachable
    );
    if is_passing { Outcome::later(error.message) } else { refused(error.message) }
}

/// A prompt of ours: its id follows from what it came of.
pub(super) fn prompt(of: &str, text: String, attachments: Vec<Attachment>) -> Step<PromptRequest> {
    let digest: String = sha256_hex(format!("slack\n{of}").as_bytes()).chars().take(26).collect();
    let id = PromptId::parse(&format!("{}_{digest}", PromptId::PREFIX)).map_err(Outcome::later)?;
    Ok(PromptRequest {
        id,
        text,
        model: None,
        effort: None,
        origin: PromptOrigin::Slack,
        delivery: Delivery::default(),
        attachments,
        traceparent: Some(new_span(None)),
    })
}

pub(super) async fn work(shell: &Rc<Shell>, row: &Due) -> Outcome {
    match try_work(shell, row).await {
        Ok(()) => Outcome::Settled,
        Err(outcome) => outcome,
    }
}

async fn try_work(shell: &Rc<Shell>, row: &Due) -> Step<()> {
    let Some(message) = row.payload.get("message").and_then(Message::from_json) else {
        return shell.store.finish(row, |_| {}, &[]).map_err(Outcome::later);
    };
    let thread = shell.store.load().map_err(Outcome::later)?;
    let settings = SlackSettings::of(&shell.env).map_err(|error| Outcome::later(error.message))?;
    let context = Context::without_request(shell.env.clone(), &thread.home)
        .map_err(|error| Outcome::later(error.message))?;
    let principal = person::find(&context, &message.team, &message.user).await;
    let Some(principal) = principal.map_err(|error| Outcome::later(error.message))? else {
        let order =
            Order::new(format!("link/{}", message.user), "link", json!({"user": message.user}), now());
        return shell.store.wait(row, &message, "link", now(), &[order]).map_err(Outcome::later);
    };
    let scene = Scene {
        shell,
        row,
        message: &message,
        thread: &thread,
        api: Api { env: &shell.env, settings: &settings },
        context: &context,
        principal: &principal,
    };
    match &thread.session {
        Some(session) => scene.follow(session).await,
        None => scene.begin().await,
    }
}

/// Everything that a message is worked on with.
struct Scene<'a> {
    shell: &'a Rc<Shell>,
    row: &'a Due,
    message: &'a Message,
    thread: &'a Thread,
    api: Api<'a>,
    context: &'a Context,
    principal: &'a Principal,
}

impl Scene<'_> {
    /// Tells the author why nothing comes of the message, and is done with it.
    fn refuse(&self, reason: &str) -> Outcome {
        let order = Order::say(&self.message.ts, &self.message.user, reason, now());
        match self.shell.store.finish(self.row, |_| {}, &[order]) {
            Ok(()) => Outcome::Settled,
            Err(error) => Outcome::later(error),
        }
    }

    fn place(&self) -> String {
        let message = self.message;
        format!("{}/{}", object_name(&message.team, &message.channel, &message.thread), message.ts)
    }

    /// One more prompt of the thread's session, in its author's name.
    async fn follow(&self, session: &str) -> Step<()> {
        let id = SessionId::parse(session).map_err(Outcome::later)?;
        let action = Action::Session(SessionAction::Prompt);
        if let Err(error) = check_session(self.context, self.principal, action, &id).await {
            return Err(later_or(error, |reason| self.refuse(&reason)));
        }
        let heard = self.listen().await;
        let (prompt, orders) = self.prompt(&heard).await?;
        let prompt_id = prompt.id.clone();
        let call = MessageCall { author: self.principal.user.clone(), prompt };
        let answer = session_object::post(&self.context.env, &id, Call::Message, &call).await;
        let mut answer = answer.map_err(|error| Outcome::later(error.message))?;
        let status = answer.status_code();
        let error = answer.json::<ErrorBody>().await.ok();
        // A conflict of ids: it was taken before, when the thread read otherwise.
        let is_known = error.as_ref().is_some_and(|error| error.code == ErrorCode::IdConflict);
        if status == 202 || is_known {
            let change = |thread: &mut Thread| {
                thread.asked = false;
                self.keep_files(thread, &prompt_id);
            };
            return self.shell.store.finish(self.row, change, &orders).map_err(Outcome::later);
        }
        let error =
            error.unwrap_or_else(|| ErrorBody::new(ErrorCode::Unavailable, "the session does not answer"));
        Err(later_or(error, |reason| self.refuse(&reason)))
    }

    /// The thread's session begins, in the repository that the message is about.
    async fn begin(&self) -> Step<()> {
        let heard = self.listen().await;
        let chosen = self
            .thread
            .repository
            .clone()
            .filter(|_| self.thread.decided_for.as_deref() == Some(&self.message.ts));
        let repository = match chosen {
            Some(repository) => RepositoryId::parse(&repository).map_err(Outcome::later)?,
            None if self.shell.store.is_choosing().map_err(Outcome::later)? => {
                return self
                    .shell
                    .store
                    .wait(self.row, self.message, "choice", now(), &[])
                    .map_err(Outcome::later);
            }
            None => self.decide(&heard).await?,
        };
        let (prompt, mut orders) = self.prompt(&heard).await?;
        let prompt_id = prompt.id.clone();
        let request = CreateSessionRequest {
            repository: repository.clone(),
            prompt: Some(prompt),
            model: None,
            reservation: None,
        };
        let name = object_name(&self.message.team, &self.message.channel, &self.message.thread);
        let started = match start(self.context, self.principal, request, Some(name)).await {
            Ok(Started::Session(id)) => Ok(id),
            Ok(Started::Refused(mut answer)) => Err(answer
                .json::<ErrorBody>()
                .await
                .unwrap_or_else(|_| ErrorBody::new(ErrorCode::Unavailable, "the session does not answer"))),
            Err(error) => Err(error),
        };
        let id = started.map_err(|error| later_or(error, |reason| self.give_up(&reason)))?;
        let bind = |thread: &mut Thread| {
            thread.session = Some(id.as_str().to_owned());
            thread.repository = Some(repository.as_str().to_owned());
            thread.user = self.message.user.clone();
            self.keep_files(thread, &prompt_id);
        };
        orders.push(Order::card(now()));
        self.shell.store.finish(self.row, bind, &orders).map_err(Outcome::later)
    }

    /// For another try of the same.
    fn keep_files(&self, thread: &mut Thread, prompt: &PromptId) {
        if !self.message.files.is_empty() {
            let files = self.message.files.iter().map(File::to_json).collect();
            thread.keep_files(prompt.as_str(), files);
        }
    }

    /// The message as a prompt, and what its author has to know of it.
    async fn prompt(&self, heard: &Heard) -> Step<(PromptRequest, Vec<Order>)> {
        let Carried { attachments, missing } =
            gather(&self.api, &self.message.files, self.row.attempts).await?;
        let files: Vec<&File> = missing.iter().map(|(file, _)| *file).collect();
        let text = render(self.message, &files, &heard.channel, &heard.before);
        let Message { ts, user, .. } = self.message;
        let mut orders: Vec<Order> = say_missing(&missing, ts, user).into_iter().collect();
        if !heard.problems.is_empty() {
            let words = format!("I go on without knowing all of this thread: {}.", heard.problems.join("; "));
            orders.push(Order::say(&format!("{ts}/heard"), user, &words, now()));
        }
        Ok((prompt(&self.place(), text, attachments)?, orders))
    }

    /// What was decided came to nothing: the next message of the thread decides anew.
    fn give_up(&self, reason: &str) -> Outcome {
        let forget = |thread: &mut Thread| (thread.repository, thread.decided_for) = (None, None);
        match self.shell.store.change(forget) {
            Ok(()) => self.refuse(reason),
            Err(error) => Outcome::later(error),
        }
    }

    /// Which repository the message is about; settles the row where its author has to say.
    async fn decide(&self, heard: &Heard) -> Step<RepositoryId> {
        let found = async { code_host(self.context, &self.principal.user.id).await?.repositories().await };
        let found = found.await.map_err(|error| later_or(error, |reason| self.refuse(&reason)))?;
        let mut candidates: Vec<Candidate> = found
            .into_iter()
            .filter(|repository| repository.can_push && !repository.archived)
            .map(|repository| Candidate::new(repository.id, repository.description))
            .collect();
        let hints = async { Roster::new(&self.context.env)?.list_hints().await };
        for row in hints.await.map_err(|error| later_or(error, |reason| self.refuse(&reason)))? {
            let told = candidates.iter_mut().find(|candidate| candidate.id.as_str() == row.text(0));
            if let Some(candidate) = told {
                candidate.hear(&row.text(1), &row.text(2), &row.text(3));
            }
        }
        let before: Vec<String> = heard.before.iter().map(|said| said.text.clone()).collect();
        let question = Question {
            text: &self.message.text,
            channel: &heard.channel,
            channel_id: &self.message.channel,
            before: &before,
        };
        let mut decision = decide(&question, &candidates);
        if decision == Decision::AskModel {
            let answer = match &self.api.settings.router {
                Some(router) => ask_model(router, &request(&router.model, &question, &candidates)).await,
                None => None,
            };
            decision = by_model(&question, &candidates, answer.as_ref());
        }
        match decision {
            Decision::Work(id, _) => {
                let keep = |thread: &mut Thread| {
                    thread.repository = Some(id.as_str().to_owned());
                    thread.decided_for = Some(self.message.ts.clone());
                };
                self.shell.store.change(keep).map_err(Outcome::later)?;
                Ok(id)
            }
            Decision::AskPerson { reason, choices } if choices.is_empty() => Err(self.refuse(&reason)),
            Decision::AskPerson { reason, choices } => Err(self.ask(&reason, &choices)),
            Decision::AskModel => Err(self.ask("Which repository is this about?", &[])),
        }
    }

    fn ask(&self, reason: &str, choices: &[RepositoryId]) -> Outcome {
        let choices: Vec<&str> = choices.iter().map(RepositoryId::as_str).collect();
        let Message { ts, user, .. } = self.message;
        let payload = json!({"reason": reason, "choices": choices, "ts": ts, "user": user});
        let order = Order::new(format!("picker/{}", self.message.ts), "picker", payload, now());
        match self.shell.store.wait(self.row, self.message, "choice", now(), &[order]) {
            Ok(()) => Outcome::Settled,
            Err(error) => Outcome::later(error),
        }
    }

    /// The channel's name and what was said before. Work does not wait for a Slack that does not tell.
    async fn listen(&self) -> Heard {
        let Message { channel, thread, ts, .. } = self.message;
        let query = format!("channel={channel}");
        let info = self.api.read("conversations.info", &query);
        let said = async {
            // The first message of a thread has nothing before it.
            if ts == thread {
                return Answer::Done(Value::Null);
            }
            let query = format!("channel={channel}&ts={thread}&latest={ts}&limit=200");
            self.api.read("conversations.replies", &query).await
        };
        let (info, said) = futures::future::join(info, said).await;
        let mut problems = Vec::new();
        let mut told = |answer: Answer, what: &str| match answer {
            Answer::Done(value) => value,
            Answer::Later { reason, .. } => {
                log::write(Level::Warn, &format!("{what} of a thread is not known"), &about(&reason));
                Value::Null
            }
            Answer::Refused { code, reason } => {
                log::write(Level::Warn, &format!("{what} of a thread is not known"), &about(&reason));
                if code == "missing_scope" && !problems.contains(&reason) {
                    problems.push(reason);
                }
                Value::Null
            }
        };
        let (info, said) = (told(info, "the channel's name"), told(said, "what was said"));
        let name = info.pointer("/channel/name").and_then(Value::as_str).unwrap_or_default().to_owned();
        Heard { channel: name, before: parse_replies(&said, ts, "", self.api.settings.messages), problems }
    }
}

/// What is known of a message's surroundings.
struct Heard {
    /// Name of the channel; empty where it is not known.
    channel: String,
    before: Vec<Said>,
    /// Why something is not known that could be, for the author.
    problems: Vec<String>,
}
