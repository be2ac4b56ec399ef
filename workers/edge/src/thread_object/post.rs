//! What the thread says in Slack: card, results, questions, pickers, invitations, words to one person.
//!
//! A message carries its key as metadata; before it is posted a second time the thread is searched for it, so that an answer that was lost
//! does not become two messages.

use super::api::{Api, find_marked, mark};
use super::shell::{Outcome, Shell, about};
use crate::answer::OrInternal as _;
use crate::context::random_secret;
use crate::slack_links::{Claimant, SlackLinks};
use crate::slack_settings::SlackSettings;
use platform::host::now;
use platform::log::{self, Level};
use protocol::error::ErrorBody;
use serde_json::{Value, json};
use slack::api::{Answer, is_about_channel, is_for_operator};
use slack::card::{
    render_card, render_link, render_notice, render_picker, render_question, render_result, render_start,
};
use std::rc::Rc;
use thread::call::object_name;
use thread::state::{Order, Thread};
use thread::store::Due;

/// How long a code for linking counts.
const CODE_MS: u64 = 10 * 60_000;

pub(super) async fn work(shell: &Rc<Shell>, row: &Due) -> Outcome {
    let thread = match shell.store.load() {
        Ok(thread) => thread,
        Err(error) => return Outcome::later(error),
    };
    let settings = match SlackSettings::of(&shell.env) {
        Ok(settings) => settings,
        Err(error) => return Outcome::later(error.message),
    };
    let post = Post { shell, row, thread: &thread, api: Api { env: &shell.env, settings: &settings } };
    match row.kind.as_str() {
        "card" => post.card().await,
        "result" => post.result().await,
        "picker" => post.picker().await,
        "link" => post.link().await,
        _ => post.say().await,
    }
}

struct Post<'a> {
    shell: &'a Rc<Shell>,
    row: &'a Due,
    thread: &'a Thread,
    api: Api<'a>,
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A message with the fields that say where it goes.
fn addressed(mut message: Value, fields: &[(&str, &str)]) -> Value {
    if let Some(known) = message.as_object_mut() {
        known.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))));
    }
    message
}

impl Post<'_> {
    fn done(&self, change: impl FnOnce(&mut Thread), orders: &[Order]) -> Outcome {
        match self.shell.store.finish(self.row, change, orders) {
            Ok(()) => Outcome::Settled,
            Err(error) => Outcome::later(error),
        }
    }

    /// Posts into the thread, once; the message's `ts`.
    async fn reply(&self, message: Value) -> Answer {
        let Thread { channel, thread, .. } = self.thread;
        if self.row.attempts > 0 {
            let query = format!("channel={channel}&ts={thread}&limit=200&include_all_metadata=true");
            match self.api.read("conversations.replies", &query).await {
                Answer::Done(answer) => {
                    if let Some(ts) = find_marked(&answer, &self.row.key) {
                        return Answer::Done(json!({ "ts": ts }));
                    }
                }
                Answer::Later { wait_ms, reason } => return Answer::Later { wait_ms, reason },
                // Who may not look can only post.
                Answer::Refused { .. } => {}
            }
        }
        let message = addressed(message, &[("channel", channel), ("thread_ts", thread)]);
        self.api.write("chat.postMessage", &mark(message, &self.row.key)).await
    }

    /// What is to be done about an answer that is no success: later, or the person is told what to do.
    fn trouble(&self, answer: Answer) -> Outcome {
        match answer {
            Answer::Done(_) => self.done(|_| {}, &[]),
            Answer::Later { wait_ms, reason } => Outcome::Later { wait_ms, reason },
            // Nobody can be told in Slack: the log has it with every try, and it is said when the operator has done something.
            Answer::Refused { code, reason } if is_for_operator(&code) => Outcome::later(reason),
            Answer::Refused { code, reason } => {
                let kind = &self.row.kind;
                let about = about(&reason).with("work", kind).with("code", &code);
                log::write(Level::Warn, "Slack refuses what a thread is told", &about);
                let asker = Some(text(&self.row.payload, "user")).filter(|user| !user.is_empty());
                let user = asker.unwrap_or(&self.thread.user);
                if !is_about_channel(&code) || user.is_empty() {
                    return self.done(|_| {}, &[]);
                }
                // Something else may have been refused meanwhile.
                let is_told = self.shell.store.load().is_ok_and(|thread| thread.closed.is_some());
                let mut orders = Vec::new();
                if !is_told {
                    orders.push(Order::say("channel", user, &self.words_for_closed(&reason), now()));
                }
                if self.row.kind == "result" {
                    // Again, and then to the person alone.
                    orders.push(Order::new(self.row.key.clone(), "result", self.row.payload.clone(), now()));
                }
                self.done(|thread| thread.closed = Some(code), &orders)
            }
        }
    }

    fn words_for_closed(&self, reason: &str) -> String {
        match self.thread.session {
            Some(_) => {
                let session = self.session_url();
                format!("I cannot write into our thread: {reason}. The work goes on at {session}")
            }
            None => format!("I cannot write into our thread: {reason}."),
        }
    }

    fn session_url(&self) -> String {
        format!("{}/sessions/{}", self.thread.home, self.thread.session.as_deref().unwrap_or_default())
    }

    async fn card(&self) -> Outcome {
        if self.thread.closed.is_some() {
            return self.done(|_| {}, &[]);
        }
        let message = match &self.thread.view {
            Some(view) => render_card(view, &self.session_url()),
            None => render_start(self.thread.repository.as_deref().unwrap_or_default(), &self.session_url()),
        };
        let answer = match &self.thread.card {
            None => self.reply(message).await,
            Some(ts) => {
                let fields = [("channel", self.thread.channel.as_str()), ("ts", ts)];
                self.api.write("chat.update", &addressed(message, &fields)).await
            }
        };
        match answer {
            Answer::Done(answer) => {
                let ts = text(&answer, "ts").to_owned();
                self.done(|thread| (thread.card, thread.card_at) = (Some(ts), now()), &[])
            }
            // Somebody removed it: the next word makes another one.
            Answer::Refused { code, .. } if code == "message_not_found" => {
                self.done(|thread| thread.card = None, &[])
            }
            other @ (Answer::Later { .. } | Answer::Refused { .. }) => self.trouble(other),
        }
    }

    async fn result(&self) -> Outcome {
        let empty = Value::Null;
        let view = self.row.payload.get("view").unwrap_or(&empty);
        let asks = self.row.payload.get("asks").and_then(Value::as_bool).unwrap_or_default();
        let summary = view.pointer("/turn/summary").and_then(Value::as_str).unwrap_or_default();
        let message = if asks { render_question(summary) } else { render_result(view) };
        if self.thread.closed.is_some() {
            return self.tell_alone(&self.thread.user, message).await;
        }
        let answer = self.reply(message).await;
        self.trouble(answer)
    }

    async fn picker(&self) -> Outcome {
        let choices =
            self.row.payload.get("choices").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let choices: Vec<String> = choices.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let message =
            render_picker(text(&self.row.payload, "reason"), &choices, text(&self.row.payload, "ts"));
        let answer = self.reply(message).await;
        self.trouble(answer)
    }

    /// Says something that one person alone sees; in a message to that person where the channel does not take it.
    async fn tell(&self, user: &str, message: Value) -> Outcome {
        let Thread { channel, thread, .. } = self.thread;
        let there =
            addressed(message.clone(), &[("channel", channel), ("thread_ts", thread), ("user", user)]);
        match self.api.write("chat.postEphemeral", &there).await {
            Answer::Refused { code, .. } if is_about_channel(&code) || code == "user_not_in_channel" => {
                self.tell_alone(user, message).await
            }
            other @ (Answer::Done(_) | Answer::Later { .. } | Answer::Refused { .. }) => self.trouble(other),
        }
    }

    /// Writes to one person, outside of every channel.
    async fn tell_alone(&self, user: &str, message: Value) -> Outcome {
        match self.api.write("chat.postMessage", &addressed(message, &[("channel", user)])).await {
            Answer::Refused { code, reason } if !is_for_operator(&code) => {
                log::write(Level::Warn, "nobody could be told", &about(&reason).with("code", &code));
                self.done(|_| {}, &[])
            }
            other @ (Answer::Done(_) | Answer::Later { .. } | Answer::Refused { .. }) => self.trouble(other),
        }
    }

    async fn say(&self) -> Outcome {
        self.tell(text(&self.row.payload, "user"), render_notice(text(&self.row.payload, "words"))).await
    }

    /// Invites a Slack user to link an account, by a code that counts once.
    async fn link(&self) -> Outcome {
        let user = text(&self.row.payload, "user");
        match self.draw_code(user).await {
            // In the fragment, so that it reaches no server and no log.
            Ok(code) => {
                self.tell(user, render_link(&format!("{}/connect/slack#code={code}", self.thread.home))).await
            }
            Err(error) => Outcome::later(error.message),
        }
    }

    async fn draw_code(&self, user: &str) -> Result<String, ErrorBody> {
        let Thread { team, channel, thread, .. } = self.thread;
        let name = match self.api.read("users.info", &format!("user={user}")).await {
            Answer::Done(answer) => {
                let name = answer.pointer("/user/profile/display_name").and_then(Value::as_str);
                let name = name.filter(|name| !name.is_empty());
                name.or(answer.pointer("/user/name").and_then(Value::as_str)).unwrap_or(user).to_owned()
            }
            Answer::Later { .. } | Answer::Refused { .. } => user.to_owned(),
        };
        let code = random_secret().or_internal("drawing random bytes")?;
        let claimant = Claimant {
            team: team.clone(),
            slack_user: user.to_owned(),
            name,
            thread: object_name(team, channel, thread),
        };
        let now = now();
        SlackLinks::new(&self.shell.env)?.save_code(&code, &claimant, (now, now.plus_ms(CODE_MS))).await?;
        Ok(code)
    }
}
