//! A stand-in for Slack: one workspace in memory, the part of the Web API that Farhand uses, and the sender of events and clicks.
//!
//! Loopback only. Scripts may make any method slow, refuse, rate-limited, or lose its answer; the sender repeats as Slack does. Used by the
//! tests of the edge, by the whole stack and by `cargo xtask dev`, whose page plays the workspace.

mod api;
mod file;
mod page;
mod sender;
mod token;

use crate::FakesError;
use crate::server::{Server, listen, serve};
use axum::Router;
use axum::routing::{any, get, post};
pub use sender::Delivery;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The workspace.
pub const TEAM: &str = "T0FARHAND";
/// The bot's user.
pub const BOT: &str = "U0BOT";

/// What a workspace begins with.
#[derive(Clone, Debug)]
pub struct SlackOptions {
    /// Where to listen; 0 takes a free port.
    pub port: u16,
    /// The bot's token.
    pub token: String,
    /// Where the bot's tokens rotate: the first refresh token. The token beside it has ended already.
    pub refresh_token: Option<String>,
    /// What requests are signed with.
    pub signing_secret: String,
    /// Where events go, and `/interactions` beside `/events`: the Worker's `…/api/slack`.
    pub target: String,
}

/// A script for the next call of a method.
#[derive(Clone, Debug, Default)]
struct Script {
    method: String,
    status: u16,
    retry_after: Option<u64>,
    error: Option<String>,
    needed: Option<String>,
    wait_ms: u64,
    /// The call waits until the control says `release`.
    held: bool,
    /// The call is carried out, and its answer lost.
    lost: bool,
    /// How many calls it is for.
    times: u64,
}

#[derive(Debug)]
struct Workspace {
    tokens: token::Tokens,
    files: BTreeMap<String, file::File>,
    channels: BTreeMap<String, Value>,
    users: BTreeMap<String, Value>,
    /// As `conversations.replies` gives them, with `channel`, and `ephemeral_for` where only one person sees them.
    messages: Vec<Value>,
    calls: Vec<Value>,
    scripts: VecDeque<Script>,
    /// Calls that wait to be released.
    held: usize,
    clock: u64,
    target: String,
    signing_secret: String,
}

impl Workspace {
    /// A `ts` that no other message has.
    fn next_ts(&mut self) -> String {
        self.clock += 1;
        format!("17{:08}.{:06}", self.clock, self.clock % 1_000_000)
    }
}

#[derive(Debug)]
struct State {
    workspace: Mutex<Workspace>,
    client: reqwest::Client,
    /// Changes with every release.
    gate: watch::Sender<u64>,
    url: String,
}

impl State {
    // A workspace that a panicking test leaves is still whole: every change is a single insertion.
    fn lock(&self) -> MutexGuard<'_, Workspace> {
        self.workspace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The workspace; it ends when this is dropped.
#[derive(Debug)]
pub struct Slack {
    state: Arc<State>,
    server: Server,
}

fn channel(id: &str, name: &str) -> (String, Value) {
    (id.to_owned(), json!({"id": id, "name": name, "is_channel": true, "is_archived": false}))
}

fn person(id: &str, name: &str) -> (String, Value) {
    let profile = json!({"display_name": name, "real_name": name, "email": format!("{name}@acme.example")});
    (id.to_owned(), json!({"id": id, "name": name, "profile": profile}))
}

impl Slack {
    /// Starts one with the channels `C0GENERAL` and `C0SHOPDEV` and the people `U0ADA`, `U0GRACE` and `U0LINUS`.
    pub async fn start(options: SlackOptions) -> Result<Self, FakesError> {
        let workspace = Workspace {
            tokens: token::Tokens::new(options.token, options.refresh_token),
            files: BTreeMap::new(),
            channels: [channel("C0GENERAL", "general"), channel("C0SHOPDEV", "shop-dev")].into(),
            users: [person("U0ADA", "ada"), person("U0GRACE", "grace"), person("U0LINUS", "linus")].into(),
            messages: Vec::new(),
            calls: Vec::new(),
            scripts: VecDeque::new(),
            held: 0,
            clock: 60_000_000,
            target: options.target,
            signing_secret: options.signing_secret,
        };
        let (listener, url) = listen(options.port).await?;
        let state = Arc::new(State {
            workspace: Mutex::new(workspace),
            client: reqwest::Client::new(),
            gate: watch::Sender::new(0),
            url: url.clone(),
        });
        let router = Router::new()
            .route("/api/{method}", any(api::answer))
            .route("/files-pri/{id}/{name}", get(file::serve))
            .route("/", get(page::show))
            .route("/control", post(control))
            .with_state(state.clone());
        Ok(Self { state, server: serve(listener, url, router) })
    }

    /// Its address, where its page is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.server.url
    }

    /// Root of its Web API.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("{}/api", self.server.url)
    }

    /// Gives it another address to send to.
    pub fn send_to(&self, target: &str) {
        self.state.lock().target = target.to_owned();
    }

    /// Where the files of its messages are.
    #[must_use]
    pub fn files_url(&self) -> &str {
        &self.server.url
    }

    /// All messages, as they are.
    #[must_use]
    pub fn messages(&self) -> Vec<Value> {
        self.state.lock().messages.clone()
    }

    /// Somebody writes and the bot is told; `fields` as of the control's order `write`.
    pub async fn write(&self, fields: &Value) -> Value {
        sender::write(&self.state, fields).await
    }

    /// Somebody clicks; `fields` as of the control's order `click`.
    pub async fn click(&self, fields: &Value) -> Value {
        sender::click(&self.state, fields).await
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

/// What scripts and the page order.
async fn control(
    axum::extract::State(state): axum::extract::State<Arc<State>>,
    axum::Json(order): axum::Json<Value>,
) -> axum::Json<Value> {
    axum::Json(match text(&order, "do") {
        "write" => sender::write(&state, &order).await,
        "click" => sender::click(&state, &order).await,
        "send" => sender::send_event(&state, &order).await,
        "messages" => json!(state.lock().messages),
        "calls" => json!(state.lock().calls),
        "channels" => json!(state.lock().channels),
        "send_to" => {
            state.lock().target = text(&order, "target").to_owned();
            json!({})
        }
        "held" => json!({"held": state.lock().held}),
        "upload" => file::upload(&state, &order),
        other => {
            if change(&state, other, &order) {
                json!({})
            } else {
                json!({"error": format!("there is no order {other:?}")})
            }
        }
    })
}

/// Orders that are answered with nothing; whether this is one.
fn change(state: &State, what: &str, order: &Value) -> bool {
    let mut workspace = state.lock();
    match what {
        "archive" => {
            if let Some(known) =
                workspace.channels.get_mut(text(order, "channel")).and_then(Value::as_object_mut)
            {
                known.insert("is_archived".to_owned(), Value::Bool(true));
            }
        }
        "revoke" => workspace.tokens.revoke(),
        "restore" => workspace.tokens.restore(),
        "expire" => workspace.tokens.expire(),
        "script_clear" => workspace.scripts.clear(),
        "release" => {
            workspace.scripts.clear();
            state.gate.send_modify(|generation| *generation += 1);
        }
        "script" => workspace.scripts.push_back(read_script(order)),
        _ => return false,
    }
    true
}

fn read_script(order: &Value) -> Script {
    let is = |name: &str| order.get(name).and_then(Value::as_bool).unwrap_or_default();
    Script {
        method: text(order, "method").to_owned(),
        status: u16::try_from(number(order, "status")).unwrap_or_default(),
        retry_after: order.get("retryAfter").and_then(Value::as_u64),
        error: order.get("error").and_then(Value::as_str).map(str::to_owned),
        needed: order.get("needed").and_then(Value::as_str).map(str::to_owned),
        wait_ms: number(order, "waitMs"),
        held: is("hold"),
        lost: is("lost"),
        times: number(order, "times").max(1),
    }
}
