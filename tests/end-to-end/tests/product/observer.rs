//! A client that keeps what it was sent and complains about every gap, double or disorder.

use anyhow::{Context, bail, ensure};
use protocol::client::{ClientMessage, ServerMessage, SessionSnapshot};
use protocol::id::{SessionId, TurnId};
use protocol::timeline::{ArtifactContent, ItemContent, Seq, SessionEvent, TurnEnd};
use session::core::apply_event;
use stack::{Client, SessionSocket};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);

/// A viewer with the state that its frames add up to.
pub(crate) struct Observer {
    socket: SessionSocket,
    /// What a person would see.
    pub(crate) view: SessionSnapshot,
    /// Number of the newest event in it.
    pub(crate) seq: Seq,
    /// Everything since joining.
    pub(crate) events: Vec<SessionEvent>,
}

impl Observer {
    /// Joins with a full snapshot.
    pub(crate) async fn join(client: &Client, session: &SessionId) -> anyhow::Result<Self> {
        let mut socket = client.socket(session, None).await?;
        let (seq, view) = socket
            .until("the snapshot", PATIENCE, |message| {
                if let ServerMessage::Snapshot { seq, snapshot } = message {
                    Some((*seq, snapshot.clone()))
                } else {
                    None
                }
            })
            .await?;
        Ok(Self { socket, view, seq, events: Vec::new() })
    }

    /// Comes back after an interruption, with what it has.
    pub(crate) async fn rejoin(&mut self, client: &Client, session: &SessionId) -> anyhow::Result<()> {
        self.socket = client.socket(session, Some(self.seq)).await?;
        Ok(())
    }

    pub(crate) async fn send(&mut self, message: ClientMessage) -> anyhow::Result<()> {
        Ok(self.socket.send(&message).await?)
    }

    /// Takes one frame.
    async fn step(&mut self) -> anyhow::Result<()> {
        match self.socket.next(PATIENCE).await? {
            ServerMessage::Event { seq, event, .. } => {
                ensure!(seq == self.seq + 1, "event {seq} came after {}", self.seq);
                self.seq = seq;
                apply_event(&mut self.view, &event);
                self.events.push(event);
            }
            ServerMessage::Snapshot { .. } => bail!("a second snapshot although all events were known"),
            ServerMessage::Rejected { error, .. } => bail!("refused: {error}"),
            ServerMessage::CaughtUp { .. }
            | ServerMessage::Presence { .. }
            | ServerMessage::PromptAccepted { .. }
            | ServerMessage::Unknown => {}
        }
        Ok(())
    }

    /// Reads on until the view is as wanted.
    pub(crate) async fn until(&mut self, what: &str, wanted: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        let search = async {
            while !wanted(self) {
                self.step().await?;
            }
            anyhow::Ok(())
        };
        let found = tokio::time::timeout(PATIENCE, search).await;
        found.unwrap_or_else(|_| bail!("no sign of it in {} s", PATIENCE.as_secs())).with_context(|| {
            let view = &self.view;
            format!(
                "while waiting for {what}; {:?}, {:?}, last item {:?}",
                view.sandbox,
                view.turns,
                view.items.last()
            )
        })
    }

    /// Reads on until `count` turns are over and the last one is saved; answers how the last one ended.
    pub(crate) async fn turns_over(&mut self, count: usize) -> anyhow::Result<TurnEnd> {
        self.until("the end of the turns", |observer| observer.ends().count() >= count).await?;
        self.ends().last().cloned().context("no turn has ended")
    }

    pub(crate) fn ends(&self) -> impl Iterator<Item = &TurnEnd> {
        self.view.turns.iter().filter_map(|turn| turn.end.as_ref())
    }

    /// Reads on until the text of the first prose item is at least this long.
    pub(crate) async fn text_of(&mut self, length: usize) -> anyhow::Result<()> {
        self.until("streamed text", |observer| observer.text().len() >= length).await
    }

    /// All prose, joined.
    pub(crate) fn text(&self) -> String {
        let texts = self.view.items.iter().filter_map(|item| {
            if let ItemContent::Text { text, .. } = &item.content { Some(text.as_str()) } else { None }
        });
        texts.collect()
    }

    /// Output of all tool calls, joined.
    pub(crate) fn output(&self) -> String {
        let outputs = self.view.items.iter().filter_map(|item| {
            if let ItemContent::Tool { output, .. } = &item.content { Some(output.as_str()) } else { None }
        });
        outputs.collect()
    }

    pub(crate) fn pull_request(&self) -> Option<u64> {
        self.view.artifacts.iter().find_map(|artifact| {
            if let ArtifactContent::PullRequest { number, .. } = &artifact.content {
                Some(*number)
            } else {
                None
            }
        })
    }

    pub(crate) fn snapshots(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, SessionEvent::SnapshotTaken { .. })).count()
    }

    pub(crate) fn running(&self) -> Option<TurnId> {
        self.view.turns.iter().find(|turn| turn.end.is_none()).map(|turn| turn.id.clone())
    }
}
