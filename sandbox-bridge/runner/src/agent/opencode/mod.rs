//! OpenCode: one server on loopback for the sandbox's life, one OpenCode session for the conversation.
//!
//! The session's id is kept in the home folder, which is part of every snapshot, so that a restored sandbox goes on with the same
//! conversation. A server that died is started again for the next turn. Made by `worker`.

mod catch_up;
mod client;
mod config;
mod door;
mod drive;
mod loopback;
mod progress;
mod prompt;
mod server;
mod steering;
mod stream;
mod tool;
mod view;
mod warm;
mod wire;

use super::{Agent, AgentReport, AgentSettings, TurnRequest};
use crate::environment::Environment;
use crate::left::GUIDE;
use crate::log;
use crate::memory::MemoryWatch;
use crate::output::Output;
use door::Door;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
pub(crate) use server::StartError;
use server::{Extras, Server};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use warm::WarmModel;

/// OpenCode, started.
pub(crate) struct OpencodeAgent {
    environment: Environment,
    settings: AgentSettings,
    server: Server,
    session: Session,
    /// Messages of earlier turns.
    past: BTreeSet<String>,
    /// Sessions whose events are not ours: those of sub-agents.
    others: BTreeSet<String>,
    warm: Option<WarmModel>,
    /// In a sandbox that was nobody's when OpenCode was started.
    door: Option<Door>,
    /// Where it is told what it could not know otherwise.
    guide: Option<PathBuf>,
    memory: MemoryWatch,
}

/// What is kept of the OpenCode session.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Session {
    id: String,
    /// Number of the newest durable event that was applied.
    last_seq: u64,
}

impl OpencodeAgent {
    /// Starts the server. It needs no repository yet.
    pub(crate) async fn start(
        environment: &Environment,
        settings: &AgentSettings,
    ) -> Result<Self, StartError> {
        Self::start_with(environment, settings, None).await
    }

    /// The same for a workspace that may not be where a session begins when its first turn does: then its edits wait.
    pub(crate) async fn start_warm(
        environment: &Environment,
        settings: &AgentSettings,
    ) -> Result<Self, StartError> {
        let door = Door::build(environment).await;
        let door =
            door.inspect_err(|error| log::warn(format!("tools cannot be held back one by one: {error}")));
        Self::start_with(environment, settings, door.ok()).await
    }

    async fn start_with(
        environment: &Environment,
        settings: &AgentSettings,
        door: Option<Door>,
    ) -> Result<Self, StartError> {
        let warm = WarmModel::start().await.ok();
        let mut memory = MemoryWatch::new(environment);
        let guide = write_guide(&environment.home)
            .inspect_err(|error| {
                log::warn(format!("the agent is not told of the folder for people: {error}"))
            })
            .ok();
        let extras = Extras { warm: warm.as_ref(), door: door.as_ref(), guide: guide.as_deref() };
        let server = start_server(environment, settings, extras, &mut memory).await?;
        Ok(Self {
            environment: environment.clone(),
            settings: settings.clone(),
            server,
            session: Session::default(),
            past: BTreeSet::new(),
            others: BTreeSet::new(),
            warm,
            door,
            guide,
            memory,
        })
    }

    /// Opens the conversation in the workspace, which has to be there.
    pub(crate) async fn open_session(mut self) -> Result<Self, StartError> {
        let failed = |error| StartError::NoSession(crate::turn::with_causes(&error));
        let client = &self.server.client;
        let kept = self.kept_session();
        self.session = match kept {
            Some(kept) if client.has_session(&kept.id).await.map_err(failed)? => kept,
            Some(_) | None => {
                let title = &self.settings.title;
                Session { id: client.create_session(title).await.map_err(failed)?, last_seq: 0 }
            }
        };
        self.keep_session();
        if let Some(warm) = self.warm.take() {
            warm.run(client.clone());
        }
        Ok(self)
    }

    fn session_file(&self) -> PathBuf {
        self.environment.home.join(".farhand").join("opencode-session.json")
    }

    fn kept_session(&self) -> Option<Session> {
        serde_json::from_slice(&std::fs::read(self.session_file()).ok()?).ok()
    }

    /// Without the file a restored sandbox begins a new conversation, so failing to write it is not the end.
    fn keep_session(&self) {
        let path = self.session_file();
        let write = || {
            std::fs::create_dir_all(path.parent().unwrap_or(&self.environment.home))?;
            std::fs::write(&path, serde_json::to_vec(&self.session).map_err(std::io::Error::other)?)
        };
        if let Err(error) = write() {
            log::warn(format!("the conversation's id cannot be kept: {error}"));
        }
    }

    /// Starts the server again when it has died.
    async fn revive(&mut self) -> Result<(), StartError> {
        if !self.server.has_ended() {
            return Ok(());
        }
        log::warn(format!("OpenCode has ended{}; starting it again", self.server.last_words()));
        self.start_again().await
    }

    /// A new server for the same conversation.
    async fn start_again(&mut self) -> Result<(), StartError> {
        let extras = Extras { warm: None, door: self.door.as_ref(), guide: self.guide.as_deref() };
        self.server = start_server(&self.environment, &self.settings, extras, &mut self.memory).await?;
        let failed = |error| StartError::NoSession(crate::turn::with_causes(&error));
        if !self.server.client.has_session(&self.session.id).await.map_err(failed)? {
            let id = self.server.client.create_session(&self.settings.title).await.map_err(failed)?;
            self.session = Session { id, last_seq: 0 };
        }
        Ok(())
    }
}

/// Puts what the agent is to know into the home, and answers where it is.
fn write_guide(home: &Path) -> io::Result<PathBuf> {
    let folder = std::path::absolute(home)?.join(".farhand");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("guide.md");
    std::fs::write(&file, GUIDE)?;
    Ok(file)
}

/// Starts the server; one that the kernel ended is explained.
async fn start_server(
    environment: &Environment,
    settings: &AgentSettings,
    extras: Extras<'_>,
    memory: &mut MemoryWatch,
) -> Result<Server, StartError> {
    memory.begin();
    if let Some(door) = extras.door {
        door.forget();
    }
    match Server::start(environment, settings, extras).await {
        Err(StartError::Killed(how)) => {
            Err(StartError::NotReady(memory.explain("OpenCode", true).await.unwrap_or(how)))
        }
        other => other,
    }
}

impl Agent for OpencodeAgent {
    fn description(&self) -> String {
        format!("opencode {}", self.server.version)
    }

    /// The server knows the models that it was started with, so that only others cost a new start.
    fn configure(&mut self, settings: AgentSettings) -> BoxFuture<'_, Result<(), String>> {
        async move {
            let known =
                |model: &String| *model == self.settings.model || self.settings.models.contains(model);
            let is_known = settings.models.iter().chain([&settings.model]).all(known);
            self.settings = settings;
            if is_known {
                return Ok(());
            }
            self.server.stop().await;
            self.start_again().await.map_err(|error| crate::turn::with_causes(&error))
        }
        .boxed()
    }

    /// While the workspace may not be changed, tools that only read go on, and others wait at the door.
    fn run_turn<'a>(
        &'a mut self,
        mut request: TurnRequest<'a>,
        output: &'a mut Output,
    ) -> BoxFuture<'a, AgentReport> {
        async move {
            let hold = |door: &Door| door.hold(request.edits.clone(), request.stop.clone());
            let _holding = self.door.as_ref().map(hold);
            let report = self.drive(&mut request, output).await;
            self.keep_session();
            report
        }
        .boxed()
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        self.server.stop().boxed()
    }
}
