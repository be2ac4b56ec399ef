//! Drives one turn through OpenCode without losing or doubling anything.
//!
//! Durable events have numbers: a hole is filled from the history before what follows it is applied. Deltas have none and only
//! make text appear sooner. The end is read from the state, never from one event: OpenCode says "idle" twice after errors and not
//! at all after some. Called by `opencode`.

use super::OpencodeAgent;
use super::client::{ClientError, Question};
use super::config::parse_model;
use super::door::Door;
use super::progress::Progress;
use super::prompt::{attached_parts, marked_digest, marked_means, message_id, text_part, unseen_pictures};
use super::steering::{Newest, Place, Steering};
use super::stream::EventStream;
use super::view::TurnView;
use super::wire::{AgentError, Delta, Payload};
use crate::agent::{AgentReport, TurnRequest};
use crate::attachment::prepare;
use crate::log;
use crate::output::{FLUSH_EVERY, Output};
use crate::steer::Steer;
use crate::turn::with_causes;
use protocol::timeline::{NoticeLevel, TurnOutcome};
use serde::Deserialize;
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval, sleep};

/// How long OpenCode may take to begin, and to write its last word after it is idle.
const BEGIN_MAX: Duration = Duration::from_secs(30);
const SETTLE_MAX: Duration = Duration::from_secs(3);
/// How long anything may take after a stop.
const STOP_MAX: Duration = Duration::from_secs(10);
/// How long a provider may keep refusing before the turn fails; OpenCode itself would go on for ever.
const RETRY_MAX: Duration = Duration::from_secs(600);
/// How often a turn that may be over is looked at.
const LOOK_SOON: Duration = Duration::from_millis(100);
/// How often the state is asked for when no event says that it changed.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Why a turn cannot go on.
pub(super) enum Broken {
    Client(ClientError),
    Reason(String),
}

impl From<ClientError> for Broken {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl OpencodeAgent {
    pub(super) async fn drive(&mut self, request: &mut TurnRequest<'_>, output: &mut Output) -> AgentReport {
        let message_id = message_id();
        let past = std::mem::take(&mut self.past);
        let mut view = TurnView::new(self.environment.workspace.clone(), past, message_id);
        self.memory.begin();
        let stop = request.stop.clone();
        let overdue = async {
            stop.cancelled().await;
            sleep(STOP_MAX).await;
        };
        let result = tokio::select! {
            result = self.work(request, &mut view, output) => result,
            () = overdue => Err(Broken::Client(ClientError::Silent)),
        };
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(broken) => {
                let reason = self.explain(broken).await;
                if stop.is_cancelled() { TurnOutcome::Stopped } else { TurnOutcome::Failed { reason } }
            }
        };
        view.remark(output).await;
        let usage = view.usage();
        self.past = view.into_past();
        AgentReport { outcome, usage }
    }

    /// From the prompt to the outcome. May be dropped anywhere.
    async fn work(
        &mut self,
        request: &mut TurnRequest<'_>,
        view: &mut TurnView,
        output: &mut Output,
    ) -> Result<TurnOutcome, Broken> {
        let model = parse_model(&request.order.model).ok_or_else(|| {
            Broken::Reason(format!("{:?} is not a model; it has to be provider/name", request.order.model))
        })?;
        self.revive().await.map_err(|error| Broken::Reason(with_causes(&error)))?;
        let mut stream = self.prepare().await?;
        self.wait_for_workspace(request).await?;
        let client = self.server.client.clone();
        let pieces = prepare(&self.environment.workspace, &request.order.attachments).await;
        if let Some(line) = unseen_pictures(&pieces, &request.order.model) {
            output.notice(NoticeLevel::Warning, &line).await;
        }
        let digest = request.order.digest.as_deref().map(|digest| text_part(&marked_digest(digest)));
        let means = request.order.means.as_deref().map(|means| text_part(&marked_means(means)));
        let mut parts: Vec<Value> =
            digest.into_iter().chain(means).chain([text_part(&request.order.prompt)]).collect();
        parts.extend(attached_parts(&pieces, &request.order.model));
        let place = Place {
            session_id: self.session.id.clone(),
            model: model.clone(),
            model_name: request.order.model.clone(),
            effort: request.order.effort,
            workspace: self.environment.workspace.clone(),
        };
        let steering = Steering::new(client.clone(), place);
        client.prompt(&self.session.id, &view.prompt_message, &model, request.order.effort, &parts).await?;
        self.follow(request, steering, &mut stream, view, output).await
    }

    /// Where OpenCode does not ask before each change, all of the turn waits for the workspace.
    async fn wait_for_workspace(&self, request: &TurnRequest<'_>) -> Result<(), Broken> {
        if request.edits.is_open() || self.door.as_ref().is_some_and(Door::is_attended) {
            return Ok(());
        }
        tokio::select! {
            passed = request.edits.passed() => passed.map(drop).map_err(Broken::Reason),
            () = request.stop.cancelled() => Err(Broken::Reason("stopped".to_owned())),
        }
    }

    /// Why the turn cannot go on, for humans. An OpenCode that does not react is ended: the next turn gets a new one.
    async fn explain(&mut self, broken: Broken) -> String {
        match broken {
            Broken::Reason(reason) => reason,
            Broken::Client(error @ ClientError::Status { .. }) => with_causes(&error),
            Broken::Client(error) => {
                let was_killed = self.server.was_killed();
                let memory = if was_killed || !self.server.has_ended() {
                    self.memory.explain("OpenCode", was_killed).await
                } else {
                    None
                };
                let reason = memory.or_else(|| self.server.obituary());
                self.server.stop().await;
                reason.unwrap_or_else(|| with_causes(&error))
            }
        }
    }

    async fn follow(
        &mut self,
        request: &mut TurnRequest<'_>,
        mut steering: Steering,
        stream: &mut EventStream,
        view: &mut TurnView,
        output: &mut Output,
    ) -> Result<TurnOutcome, Broken> {
        let client = self.server.client.clone();
        let mut progress = Progress::new();
        let mut is_settled = request.edits.is_open();
        let (mut flush, mut look) = (interval(FLUSH_EVERY), interval(LOOK_SOON));
        for interval in [&mut flush, &mut look] {
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            tokio::select! {
                event = stream.next() => match event {
                    Ok(event) => self.take(event, view, &mut progress, output).await?,
                    Err(error) => {
                        log::warn(format!("{error}; opening it again"));
                        *stream = self.reconnect(view, output).await?;
                        progress.looked = None;
                    }
                },
                passed = request.edits.passed(), if !is_settled => {
                    is_settled = true;
                    if let Err(reason) = passed {
                        client.abort(&self.session.id).await?;
                        return Err(Broken::Reason(reason));
                    }
                }
                _ = self.server.ended() => return Err(Broken::Client(ClientError::Silent)),
                () = request.stop.cancelled(), if progress.stopping.is_none() => {
                    progress.stopping = Some(Instant::now());
                    client.abort(&self.session.id).await?;
                    progress.idle.get_or_insert_with(Instant::now);
                }
                steer = request.steers.next(), if progress.stopping.is_none() && !steering.is_handing() => {
                    steering.hand(steer, view);
                }
                handed = steering.handed(), if steering.is_handing() => {
                    self.take_handed(handed, request, &mut progress).await?;
                }
                _ = flush.tick(), if output.has_waiting() => output.flush().await,
                _ = look.tick() => {
                    let outcome = self.look(view, &mut steering, &mut progress, output).await?;
                    match outcome {
                        Some(TurnOutcome::Completed) => match request.steers.next_or_close() {
                            Some(steer) => steering.hand(steer, view),
                            None => return Ok(TurnOutcome::Completed),
                        },
                        Some(outcome) => return Ok(outcome),
                        None => {}
                    }
                }
            }
        }
    }

    /// OpenCode has a prompt that steers it, or refused it.
    async fn take_handed(
        &mut self,
        handed: Result<Option<Steer>, ClientError>,
        request: &mut TurnRequest<'_>,
        progress: &mut Progress,
    ) -> Result<(), Broken> {
        match handed {
            Ok(Some(steer)) => request.steers.report_taken(steer).await,
            Ok(None) => {}
            Err(error @ ClientError::Status { .. }) => {
                // Without a report the session gives the prompt a turn of its own.
                log::warn(format!("OpenCode did not take a prompt while it worked: {error}"));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        (progress.idle, progress.looked) = (None, None);
        if progress.stopping.is_some() {
            // It arrived behind the stop and may have set OpenCode to work again.
            self.server.client.abort(&self.session.id).await?;
        }
        Ok(())
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
        // Nobody answers the questions of sub-agents either.
        let asks = matches!(event.kind.as_str(), "permission.asked" | "question.asked");
        if !asks && text("sessionID").is_some_and(|id| id != self.session.id) {
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
                let question = match event.kind.as_str() {
                    "permission.asked" => {
                        Question::Permission { id, permission: text("permission").map(str::to_owned) }
                    }
                    _ => Question::Question { id },
                };
                self.refuse(&question, output).await?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether the turn is over, and how.
    async fn look(
        &mut self,
        view: &mut TurnView,
        steering: &mut Steering,
        progress: &mut Progress,
        output: &mut Output,
    ) -> Result<Option<TurnOutcome>, Broken> {
        if let Some((since, message)) = &progress.retrying
            && since.elapsed() > RETRY_MAX
        {
            self.server.client.abort(&self.session.id).await?;
            let minutes = RETRY_MAX.as_secs() / 60;
            return Err(Broken::Reason(format!(
                "the model provider kept refusing for {minutes} minutes: {message}"
            )));
        }
        if steering.is_handing() {
            return Ok(None);
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
        let outcome = progress.outcome(view);
        if outcome == TurnOutcome::Completed && !self.has_asked(view, steering, idle, output).await {
            return Ok(None);
        }
        Ok(Some(outcome))
    }

    /// Whether an OpenCode that is idle has worked on every prompt of the turn; sees to it that it will.
    async fn has_asked(
        &self,
        view: &mut TurnView,
        steering: &mut Steering,
        idle: Instant,
        output: &Output,
    ) -> bool {
        match steering.newest(view, idle) {
            Newest::Asked => true,
            Newest::Waits => false,
            Newest::PassedOver => {
                log::warn("OpenCode passed over a prompt that it has; handing it over again");
                steering.hand_again(view);
                false
            }
            Newest::Lost => {
                let line = "The agent did not take up the last prompt that was added to this turn.";
                output.notice(NoticeLevel::Warning, line).await;
                true
            }
        }
    }
}
