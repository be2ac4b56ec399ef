//! Drives one turn through OpenCode without losing or doubling anything.
//!
//! Durable events have numbers: a hole is filled from the history before what follows it is applied. Deltas have none and only
//! make text appear sooner. The end is read from the state, never from one event: OpenCode says "idle" twice after errors and not
//! at all after some. Called by `opencode`.

use super::OpencodeAgent;
use super::client::{ClientError, Refusal};
use super::config::parse_model;
use super::stream::EventStream;
use super::view::TurnView;
use super::wire::{AgentError, Delta, DurableEvent, Payload};
use crate::agent::{AgentReport, TurnRequest};
use crate::output::{FLUSH_EVERY, Output};
use crate::random;
use crate::turn::with_causes;
use protocol::timeline::{NoticeLevel, TurnOutcome, Usage};
use serde::Deserialize;
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval, sleep};

/// How long OpenCode may take to begin, to end after a stop, and to write its last word after it is idle.
const BEGIN_MAX: Duration = Duration::from_secs(30);
const STOP_MAX: Duration = Duration::from_secs(10);
const SETTLE_MAX: Duration = Duration::from_secs(3);
/// How long a provider may keep refusing before the turn fails; OpenCode itself would go on for ever.
const RETRY_MAX: Duration = Duration::from_secs(600);
/// How often the state is asked for when no event says that it changed.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const RECONNECTS_MAX: u32 = 10;

/// Why a turn cannot go on.
enum Broken {
    Client(ClientError),
    Reason(String),
}

impl From<ClientError> for Broken {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

/// What the loop knows apart from the view.
struct Progress {
    posted: Instant,
    stopping: Option<Instant>,
    /// Since when OpenCode looks idle.
    idle: Option<Instant>,
    /// When the state was last asked for; `None` asks at once.
    looked: Option<Instant>,
    error: Option<AgentError>,
    retrying: Option<(Instant, String)>,
}

impl OpencodeAgent {
    pub(super) async fn drive(&mut self, request: &TurnRequest<'_>, output: &mut Output) -> AgentReport {
        let failed =
            |reason| AgentReport { outcome: TurnOutcome::Failed { reason }, usage: Usage::default() };
        let Some(model) = parse_model(&request.order.model) else {
            return failed(format!("{:?} is not a model; it has to be provider/name", request.order.model));
        };
        if let Err(error) = self.revive().await {
            return failed(with_causes(&error));
        }
        let message_id = message_id();
        let mut stream = match self.prepare().await {
            Ok(stream) => stream,
            Err(error) => return failed(with_causes(&error)),
        };
        let past = std::mem::take(&mut self.past);
        let mut view = TurnView::new(self.environment.workspace.clone(), past, message_id.clone());
        let client = self.server.client.clone();
        let result = match client.prompt(&self.session.id, &message_id, &model, &request.order.prompt).await {
            Ok(()) => self.follow(request, &mut stream, &mut view, output).await,
            Err(error) => Err(Broken::Client(error)),
        };
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(Broken::Reason(reason)) => TurnOutcome::Failed { reason },
            Err(Broken::Client(error)) if self.server.has_ended() => {
                TurnOutcome::Failed { reason: format!("{}{}", with_causes(&error), self.server.last_words()) }
            }
            Err(Broken::Client(error)) => TurnOutcome::Failed { reason: with_causes(&error) },
        };
        view.remark(output).await;
        let usage = view.usage();
        self.past = view.into_past();
        AgentReport { outcome, usage }
    }

    /// Opens the stream and catches up with what happened before this turn.
    async fn prepare(&mut self) -> Result<EventStream, ClientError> {
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

    async fn follow(
        &mut self,
        request: &TurnRequest<'_>,
        stream: &mut EventStream,
        view: &mut TurnView,
        output: &mut Output,
    ) -> Result<TurnOutcome, Broken> {
        let client = self.server.client.clone();
        let mut progress = Progress::new();
        let mut tick = interval(FLUSH_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = stream.next() => match event {
                    Ok(event) => self.take(event, view, &mut progress, output).await?,
                    Err(error) => {
                        eprintln!("runner: {error}; opening it again");
                        *stream = self.reconnect(view, output).await?;
                        progress.looked = None;
                    }
                },
                status = self.server.ended() => {
                    let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                    return Err(Broken::Reason(format!("OpenCode ended ({status}){}", self.server.last_words())));
                }
                () = request.stop.cancelled(), if progress.stopping.is_none() => {
                    progress.stopping = Some(Instant::now());
                    client.abort(&self.session.id).await?;
                    progress.idle.get_or_insert_with(Instant::now);
                }
                _ = tick.tick() => {
                    output.flush().await;
                    if let Some(outcome) = self.look(view, &mut progress, output).await? {
                        return Ok(outcome);
                    }
                }
            }
        }
    }

    /// Applies one event of the stream.
    async fn take(
        &mut self,
        event: Payload,
        view: &mut TurnView,
        progress: &mut Progress,
        output: &mut Output,
    ) -> Result<(), Broken> {
        if let Some(durable) = event.sync_event {
            return self.take_durable(durable, view, output).await;
        }
        let properties = &event.properties;
        let text = |key: &str| properties.get(key).and_then(Value::as_str);
        if text("sessionID").is_some_and(|id| id != self.session.id) {
            return Ok(());
        }
        match event.kind.as_str() {
            "message.part.delta" => {
                if let Ok(delta) = Delta::deserialize(properties) {
                    view.apply_delta(&delta, output).await;
                }
            }
            "session.idle" => {
                progress.idle.get_or_insert_with(Instant::now);
            }
            "session.status" => progress.take_status(properties.get("status"), output).await,
            "session.error" => {
                progress.error =
                    properties.get("error").and_then(|error| AgentError::deserialize(error).ok());
                progress.looked = None;
            }
            "session.compacted" => {
                output.notice(NoticeLevel::Info, "The conversation was summarised to make room.").await;
            }
            "permission.asked" | "question.asked" => {
                let id = text("id").unwrap_or_default().to_owned();
                let permission = event.kind == "permission.asked";
                let what = text("permission").unwrap_or("an answer").to_owned();
                output
                    .notice(NoticeLevel::Warning, &format!("The agent asked for {what} and was refused."))
                    .await;
                let refusal = if permission { Refusal::Permission(id) } else { Refusal::Question(id) };
                self.server.client.refuse(&refusal).await?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn take_durable(
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
    async fn fill(&mut self, view: &mut TurnView, output: &mut Output) -> Result<(), ClientError> {
        let client = self.server.client.clone();
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
        Ok(())
    }

    async fn reconnect(&mut self, view: &mut TurnView, output: &mut Output) -> Result<EventStream, Broken> {
        view.miss_deltas();
        let client = self.server.client.clone();
        let mut tries = 0;
        loop {
            match client.events().await {
                Ok(stream) => {
                    self.fill(view, output).await?;
                    return Ok(stream);
                }
                Err(error) if tries >= RECONNECTS_MAX || self.server.has_ended() => return Err(error.into()),
                Err(_) => tries += 1,
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Whether the turn is over, and how.
    async fn look(
        &mut self,
        view: &mut TurnView,
        progress: &mut Progress,
        output: &mut Output,
    ) -> Result<Option<TurnOutcome>, Broken> {
        if progress.stopping.is_some_and(|since| since.elapsed() > STOP_MAX) {
            // It does not react: the next turn gets a new process.
            self.server.stop().await;
            return Ok(Some(TurnOutcome::Stopped));
        }
        if let Some((since, message)) = &progress.retrying
            && since.elapsed() > RETRY_MAX
        {
            self.server.client.abort(&self.session.id).await?;
            let minutes = RETRY_MAX.as_secs() / 60;
            return Err(Broken::Reason(format!(
                "the model provider kept refusing for {minutes} minutes: {message}"
            )));
        }
        if progress.idle.is_none() && progress.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
            return Ok(None);
        }
        progress.looked = Some(Instant::now());
        if self.server.client.is_busy(&self.session.id).await? {
            progress.idle = None;
            return Ok(None);
        }
        let idle = *progress.idle.get_or_insert_with(Instant::now);
        self.fill(view, output).await?;
        if view.settled().is_none() {
            let patience = if view.has_begun() || progress.error.is_some() || progress.stopping.is_some() {
                idle.elapsed() < SETTLE_MAX
            } else {
                progress.posted.elapsed() < BEGIN_MAX
            };
            if patience {
                return Ok(None);
            }
        }
        Ok(Some(progress.outcome(view)))
    }
}

impl Progress {
    fn new() -> Self {
        let now = Instant::now();
        Self { posted: now, stopping: None, idle: None, looked: Some(now), error: None, retrying: None }
    }

    async fn take_status(&mut self, status: Option<&Value>, output: &mut Output) {
        let text = |key| status.and_then(|status| status.get(key)).and_then(Value::as_str);
        match text("type") {
            Some("idle") => {
                self.idle.get_or_insert_with(Instant::now);
            }
            Some("busy") => (self.idle, self.retrying) = (None, None),
            Some("retry") => {
                let message = text("message").unwrap_or("no reason given").to_owned();
                let next =
                    status.and_then(|status| status.get("next")).and_then(Value::as_u64).unwrap_or_default();
                let seconds = next.saturating_sub(random::now().0).div_ceil(1000);
                let line = format!("The model provider refused: {message}. The next try is in {seconds} s.");
                output.replace_notice("retry", NoticeLevel::Warning, &line).await;
                let since = self.retrying.as_ref().map_or_else(Instant::now, |(since, _)| *since);
                (self.idle, self.retrying) = (None, Some((since, message)));
            }
            Some(_) | None => {}
        }
    }

    fn outcome(&self, view: &TurnView) -> TurnOutcome {
        if self.stopping.is_some() {
            return TurnOutcome::Stopped;
        }
        match (view.settled(), &self.error) {
            (Some(message), _) => match &message.error {
                Some(error) => TurnOutcome::Failed { reason: error.describe() },
                None => TurnOutcome::Completed,
            },
            (None, Some(error)) => TurnOutcome::Failed { reason: error.describe() },
            (None, None) if view.has_begun() => {
                TurnOutcome::Failed { reason: "OpenCode became idle in the middle of an answer".to_owned() }
            }
            (None, None) => {
                TurnOutcome::Failed { reason: "OpenCode did not begin to work on the prompt".to_owned() }
            }
        }
    }
}

/// An id of the form that OpenCode makes itself: 48 bits of time, then random characters.
pub(super) fn message_id() -> String {
    let time = random::now().0.wrapping_mul(0x1000) & 0xffff_ffff_ffff;
    let random: String = random::password().chars().take(14).collect();
    format!("msg_{time:012x}{random}")
}
