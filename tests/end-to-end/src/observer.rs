//! A client that keeps what it was sent and complains about every gap, double or disorder. Tests and the soak watch with it.

use anyhow::{Context, bail, ensure};
use protocol::client::{ClientMessage, ServerMessage, SessionSnapshot};
use protocol::id::{SessionId, TurnId};
use protocol::timeline::{
    ArtifactContent, EventRecord, ItemContent, PromptState, Seq, SessionEvent, Turn, TurnEnd,
};
use session::core::apply_event;
use stack::{Client, SessionSocket};
use std::time::{Duration, Instant};

/// Longest wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How often somebody who comes back tries.
const RETRY: Duration = Duration::from_millis(50);

/// A viewer with the state that its frames add up to.
pub struct Observer {
    client: Client,
    session: SessionId,
    socket: SessionSocket,
    /// Whether it comes back by itself when its socket ends.
    is_patient: bool,
    /// Longest wait for anything.
    patience: Duration,
    /// Whether it may be refused what it asks for.
    may_be_refused: bool,
    /// What a person would see.
    pub view: SessionSnapshot,
    /// Number of the newest event in it.
    pub seq: Seq,
    /// Everything since joining.
    pub events: Vec<EventRecord>,
    /// How often it was told that it lags.
    pub lagged: usize,
    /// How often it has come back.
    pub rejoined: usize,
}

impl Observer {
    /// Joins with a full snapshot.
    pub async fn join(client: &Client, session: &SessionId) -> anyhow::Result<Self> {
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
        Ok(Self {
            client: client.clone(),
            session: session.clone(),
            socket,
            is_patient: false,
            patience: PATIENCE,
            may_be_refused: false,
            view,
            seq,
            events: Vec::new(),
            lagged: 0,
            rejoined: 0,
        })
    }

    /// Like [`Self::join`]; comes back with what it has whenever its socket ends, as a browser does.
    pub async fn join_patiently(client: &Client, session: &SessionId) -> anyhow::Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Self::join(client, session).await {
                Ok(observer) => return Ok(Self { is_patient: true, ..observer }),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }

    /// Like [`Self::join_patiently`], for somebody in a crowd: waits so long for anything, and may ask for what has happened already.
    pub async fn join_crowd(
        client: &Client,
        session: &SessionId,
        patience: Duration,
    ) -> anyhow::Result<Self> {
        let observer = Self::join_patiently(client, session).await?;
        Ok(Self { patience, may_be_refused: true, ..observer })
    }

    /// Comes back after an interruption, with what it has.
    pub async fn rejoin(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + self.patience;
        loop {
            match self.client.socket(&self.session, Some(self.seq)).await {
                Ok(socket) => {
                    self.socket = socket;
                    self.rejoined += 1;
                    return Ok(());
                }
                Err(error) if Instant::now() > deadline => return Err(error).context("coming back"),
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }

    /// Sends one frame.
    pub async fn send(&mut self, message: ClientMessage) -> anyhow::Result<()> {
        Ok(self.socket.send(&message).await?)
    }

    /// Takes one frame.
    async fn step(&mut self) -> anyhow::Result<()> {
        let message = match self.socket.next(self.patience).await {
            Ok(message) => message,
            Err(stack::StackError::Socket(_)) if self.is_patient => return self.rejoin().await,
            Err(error) => return Err(error.into()),
        };
        match message {
            ServerMessage::Event { seq, at, event } => {
                ensure!(seq == self.seq + 1, "event {seq} came after {}", self.seq);
                self.seq = seq;
                let record = EventRecord { seq, at, event };
                apply_event(&mut self.view, &record);
                self.events.push(record);
            }
            ServerMessage::Lagging => {
                self.lagged += 1;
                self.send(ClientMessage::Subscribe { since: Some(self.seq) }).await?;
            }
            ServerMessage::Snapshot { .. } => bail!("a second snapshot although all events were known"),
            ServerMessage::Rejected { error, .. } if !self.may_be_refused => bail!("refused: {error}"),
            // Parts of a frame are handed out one by one.
            ServerMessage::Events { .. }
            | ServerMessage::CaughtUp { .. }
            | ServerMessage::Presence { .. }
            | ServerMessage::PresenceChanged { .. }
            | ServerMessage::Typing { .. }
            | ServerMessage::PromptAccepted { .. }
            | ServerMessage::Rejected { .. }
            | ServerMessage::Unknown => {}
        }
        Ok(())
    }

    /// Reads on until the view is as wanted.
    pub async fn until(&mut self, what: &str, wanted: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        let patience = self.patience;
        let search = async {
            while !wanted(self) {
                self.step().await?;
            }
            anyhow::Ok(())
        };
        let found = tokio::time::timeout(patience, search).await;
        found.unwrap_or_else(|_| bail!("no sign of it in {} s", patience.as_secs())).with_context(|| {
            let view = &self.view;
            let last: Vec<_> = self.events.iter().rev().take(6).collect();
            format!(
                "while waiting for {what}; {:?}, {:#?}, {:?}, newest events {last:#?}",
                view.sandbox, view.turns, view.notices
            )
        })
    }

    /// Reads on until `count` turns are over; answers how the last one ended.
    pub async fn turns_over(&mut self, count: usize) -> anyhow::Result<TurnEnd> {
        self.until("the end of the turns", |observer| observer.ends().count() >= count).await?;
        self.ends().last().cloned().context("no turn has ended")
    }

    /// Reads on until every prompt has come to its end, this one included.
    pub async fn prompts_over(&mut self, count: usize) -> anyhow::Result<()> {
        self.until("the end of all prompts", |observer| {
            observer.view.prompts.len() >= count
                && observer.view.prompts.iter().all(|prompt| is_over(prompt.state))
        })
        .await
    }

    /// How the turns that are over have ended, in order.
    pub fn ends(&self) -> impl Iterator<Item = &TurnEnd> {
        self.view.turns.iter().filter_map(|turn| turn.end.as_ref())
    }

    /// Reads on until all prose is at least this long.
    pub async fn text_of(&mut self, length: usize) -> anyhow::Result<()> {
        self.until("streamed text", |observer| observer.text().len() >= length).await
    }

    /// All prose, joined.
    #[must_use]
    pub fn text(&self) -> String {
        self.joined(|_, content| if let ItemContent::Text { text, .. } = content { Some(text) } else { None })
    }

    /// The prose of one turn.
    #[must_use]
    pub fn text_of_turn(&self, turn: &TurnId) -> String {
        self.joined(|of, content| {
            if let ItemContent::Text { text, .. } = content {
                Some(text).filter(|_| of == turn)
            } else {
                None
            }
        })
    }

    /// Output of all tool calls, joined.
    #[must_use]
    pub fn output(&self) -> String {
        self.joined(
            |_, content| {
                if let ItemContent::Tool { output, .. } = content { Some(output) } else { None }
            },
        )
    }

    fn joined<'a>(&'a self, pick: impl Fn(&TurnId, &'a ItemContent) -> Option<&'a String>) -> String {
        let parts = self.view.items.iter().filter_map(|item| pick(&item.turn_id, &item.content));
        parts.map(String::as_str).collect()
    }

    /// Number of the session's pull request.
    #[must_use]
    pub fn pull_request(&self) -> Option<u64> {
        self.view.artifacts.iter().find_map(|artifact| {
            if let ArtifactContent::PullRequest { number, .. } = &artifact.content {
                Some(*number)
            } else {
                None
            }
        })
    }

    /// Whether an event like this has come since joining.
    #[must_use]
    pub fn has_event(&self, is_it: impl Fn(&SessionEvent) -> bool) -> bool {
        self.events.iter().any(|record| is_it(&record.event))
    }

    /// Snapshots of the sandbox since joining.
    #[must_use]
    pub fn snapshots(&self) -> usize {
        self.events.iter().filter(|record| matches!(record.event, SessionEvent::SnapshotTaken { .. })).count()
    }

    /// The turn that runs.
    #[must_use]
    pub fn running(&self) -> Option<TurnId> {
        self.view.turns.iter().find(|turn| turn.end.is_none()).map(|turn| turn.id.clone())
    }

    /// The attempts of all turns, in order.
    #[must_use]
    pub fn attempts(&self) -> Vec<u32> {
        self.view.turns.iter().map(|turn: &Turn| turn.attempt).collect()
    }
}

/// Whether a prompt will not run any more.
#[must_use]
pub fn is_over(state: PromptState) -> bool {
    match state {
        PromptState::Queued | PromptState::Running => false,
        PromptState::Done | PromptState::Cancelled | PromptState::Failed => true,
    }
}
