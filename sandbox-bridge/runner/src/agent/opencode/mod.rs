//! OpenCode: one server on loopback for the sandbox's life, one OpenCode session for the conversation.
//!
//! The session's id is kept in the home folder, which is part of every snapshot, so that a restored sandbox goes on with the same
//! conversation. A server that died is started again for the next turn. Made by `worker`.

mod catch_up;
mod client;
mod config;
mod drive;
mod progress;
mod prompt;
mod server;
mod steering;
mod stream;
mod tool;
mod view;
mod warm;
mod wire;

use super::{Agent, AgentReport, TurnRequest};
use crate::environment::Environment;
use crate::output::Output;
use futures::FutureExt;
use futures::future::BoxFuture;
use protocol::runner::RunnerConfiguration;
use serde::{Deserialize, Serialize};
use server::Server;
pub(crate) use server::StartError;
use std::collections::BTreeSet;
use std::path::PathBuf;
use warm::WarmModel;

/// OpenCode, started.
pub(crate) struct OpencodeAgent {
    environment: Environment,
    configuration: RunnerConfiguration,
    server: Server,
    session: Session,
    /// Messages of earlier turns.
    past: BTreeSet<String>,
    /// Sessions whose events are not ours: those of sub-agents.
    others: BTreeSet<String>,
    warm: Option<WarmModel>,
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
        configuration: &RunnerConfiguration,
    ) -> Result<Self, StartError> {
        let warm = WarmModel::start().await.ok();
        let server = Server::start(environment, configuration, warm.as_ref()).await?;
        Ok(Self {
            environment: environment.clone(),
            configuration: configuration.clone(),
            server,
            session: Session::default(),
            past: BTreeSet::new(),
            others: BTreeSet::new(),
            warm,
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
                let title = format!("Farhand {}", self.configuration.session_id);
                Session { id: client.create_session(&title).await.map_err(failed)?, last_seq: 0 }
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
            eprintln!("runner: the conversation's id cannot be kept: {error}");
        }
    }

    /// Starts the server again when it has died.
    async fn revive(&mut self) -> Result<(), StartError> {
        if !self.server.has_ended() {
            return Ok(());
        }
        eprintln!("runner: OpenCode has ended{}; starting it again", self.server.last_words());
        self.server = Server::start(&self.environment, &self.configuration, None).await?;
        let failed = |error| StartError::NoSession(crate::turn::with_causes(&error));
        if !self.server.client.has_session(&self.session.id).await.map_err(failed)? {
            let title = format!("Farhand {}", self.configuration.session_id);
            let id = self.server.client.create_session(&title).await.map_err(failed)?;
            self.session = Session { id, last_seq: 0 };
        }
        Ok(())
    }
}

impl Agent for OpencodeAgent {
    fn description(&self) -> String {
        format!("opencode {}", self.server.version)
    }

    fn run_turn<'a>(
        &'a mut self,
        mut request: TurnRequest<'a>,
        output: &'a mut Output,
    ) -> BoxFuture<'a, AgentReport> {
        async move {
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
