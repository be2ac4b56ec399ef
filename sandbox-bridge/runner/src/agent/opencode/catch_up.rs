//! Makes good what OpenCode's event stream did not bring: holes, interruptions, and questions that nobody saw.
//!
//! Durable events come again from the history, each once. Deltas never come again: text whose deltas may be missing appears when it
//! is complete. Used by `drive`.

use super::OpencodeAgent;
use super::client::{ClientError, Question};
use super::drive::Broken;
use super::stream::EventStream;
use super::view::TurnView;
use super::wire::DurableEvent;
use crate::output::Output;
use protocol::timeline::NoticeLevel;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long an interrupted stream may stay away.
const RECONNECT_MAX: Duration = Duration::from_secs(60);
const RECONNECT_EVERY: Duration = Duration::from_millis(200);

impl OpencodeAgent {
    /// Opens the stream and catches up with what happened before this turn.
    pub(super) async fn prepare(&mut self) -> Result<EventStream, ClientError> {
        let client = self.server.client.clone();
        let stream = client.events().await?;
        self.others.extend(client.sessions().await?);
        self.others.remove(&self.session.id);
        for event in client.history(&self.session.id, self.session.last_seq, &self.others).await? {
            if event.session_id == self.session.id {
                self.session.last_seq = self.session.last_seq.max(event.seq);
            }
        }
        Ok(stream)
    }

    /// Applies a durable event of the stream, and what is missing before it.
    pub(super) async fn take_durable(
        &mut self,
        event: DurableEvent,
        view: &mut TurnView,
        output: &mut Output,
    ) -> Result<(), Broken> {
        if event.session_id != self.session.id {
            self.others.insert(event.session_id);
        } else if event.seq == self.session.last_seq + 1 {
            self.session.last_seq = event.seq;
            view.apply(&event.kind, &event.data, output).await;
        } else if event.seq > self.session.last_seq {
            self.fill(view, output).await?;
        }
        Ok(())
    }

    /// Applies every durable event that is missing; without the history, the messages as they are.
    pub(super) async fn fill(&mut self, view: &mut TurnView, output: &mut Output) -> Result<(), ClientError> {
        let client = self.server.client.clone();
        view.begin_catch_up();
        match client.history(&self.session.id, self.session.last_seq, &self.others).await {
            Ok(events) => {
                for event in events {
                    if event.session_id == self.session.id && event.seq > self.session.last_seq {
                        self.session.last_seq = event.seq;
                        view.apply(&event.kind, &event.data, output).await;
                    }
                }
            }
            Err(ClientError::Status { .. }) => {
                let messages = client.messages(&self.session.id).await?;
                let prompt = view.prompt_message.clone();
                for message in messages.into_iter().skip_while(|message| message.info.id != prompt) {
                    view.apply_message(message.info);
                    for part in message.parts {
                        view.apply_part(part, output).await;
                    }
                }
            }
            Err(error) => return Err(error),
        }
        view.end_catch_up();
        Ok(())
    }

    /// Opens the stream again and catches up.
    pub(super) async fn reconnect(
        &mut self,
        view: &mut TurnView,
        output: &mut Output,
    ) -> Result<EventStream, Broken> {
        view.miss_deltas();
        let client = self.server.client.clone();
        let opening = async {
            loop {
                match client.events().await {
                    Ok(stream) => return Ok(stream),
                    Err(error) if self.server.has_ended() => return Err(error),
                    Err(_) => sleep(RECONNECT_EVERY).await,
                }
            }
        };
        let stream = timeout(RECONNECT_MAX, opening).await.map_err(|_| ClientError::Silent)??;
        self.fill(view, output).await?;
        for question in client.questions().await? {
            self.refuse(&question, output).await?;
        }
        Ok(stream)
    }

    /// Refuses what OpenCode wants to ask a human, and says so: there is nobody to answer.
    pub(super) async fn refuse(&self, question: &Question, output: &Output) -> Result<(), ClientError> {
        let what = match question {
            Question::Permission { permission, .. } => permission.as_deref().unwrap_or("a permission"),
            Question::Question { .. } => "an answer",
        };
        match self.server.client.refuse(question).await {
            // Somebody was faster: the stream and the list may name the same question.
            Err(ClientError::Status { status: 404, .. }) => return Ok(()),
            answer => answer?,
        }
        output.notice(NoticeLevel::Warning, &format!("The agent asked for {what} and was refused.")).await;
        Ok(())
    }
}
