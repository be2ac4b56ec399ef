//! Prompts that participants add to the running turn: from the desk, which accepts them, to the agent, which takes them.
//!
//! Once the agent will take no more they are refused at the desk, so that the session gives them a turn of their own. Never
//! decides when a prompt reaches the agent; that is the agent's business. Made by `desk`, used by `turn` and the agents.

use crate::spool::Spool;
use protocol::attachment::Attachment;
use protocol::id::{PromptId, TurnId};
use protocol::runner::{Author, RunnerEvent};
use std::future::pending;
use std::sync::Arc;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

/// A prompt for the running turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Steer {
    pub(crate) prompt_id: PromptId,
    pub(crate) prompt: String,
    pub(crate) author: Author,
    pub(crate) attachments: Vec<Attachment>,
}

/// The agent's end: prompts that wait to be taken.
pub(crate) struct Steers {
    waiting: UnboundedReceiver<Steer>,
    spool: Arc<Spool>,
    turn_id: TurnId,
    authors: Vec<Author>,
}

impl Steers {
    /// Both ends. Sending fails once the agent takes no more.
    pub(crate) fn new(spool: Arc<Spool>, turn_id: TurnId) -> (UnboundedSender<Steer>, Self) {
        let (sender, waiting) = mpsc::unbounded_channel();
        (sender, Self { waiting, spool, turn_id, authors: Vec::new() })
    }

    /// The next prompt, whenever it comes. Safe to be dropped while it waits.
    pub(crate) async fn next(&mut self) -> Steer {
        match self.waiting.recv().await {
            Some(steer) => steer,
            None => pending().await,
        }
    }

    /// A prompt that waits already. When there is none, no more are accepted from here on.
    pub(crate) fn next_or_close(&mut self) -> Option<Steer> {
        if let Ok(steer) = self.waiting.try_recv() {
            return Some(steer);
        }
        self.close();
        self.waiting.try_recv().ok()
    }

    /// No more prompts are accepted; those that wait are left to the session.
    pub(crate) fn close(&mut self) {
        self.waiting.close();
    }

    /// The agent has the prompt: says so to the session.
    pub(crate) async fn report_taken(&mut self, steer: Steer) {
        self.spool
            .append(RunnerEvent::SteerTaken { turn_id: self.turn_id.clone(), prompt_id: steer.prompt_id })
            .await;
        if !self.authors.contains(&steer.author) {
            self.authors.push(steer.author);
        }
    }

    /// Who wrote the prompts that the agent took.
    pub(crate) fn authors(&self) -> &[Author] {
        &self.authors
    }
}
