//! Drives one session as a client does, and gathers what the report needs from its events.

use super::report::{PullRequest, Report, Sandbox};
use crate::progress::Progress;
use anyhow::{Context as _, bail};
use cli::transcript::Transcript;
use protocol::client::ServerMessage;
use protocol::id::{PromptId, SessionId};
use protocol::time::Timestamp;
use protocol::timeline::{
    ArtifactContent, Isolation, ItemContent, PromptState, SandboxStatus, SessionEvent, TurnEnd, TurnOutcome,
};
use stack::{Agent, Client, SessionSocket, Stack, StackError};
use std::time::{Duration, Instant};

/// A turn that takes longer is not a demo.
const TURN_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// Snapshot and pull request follow the turn.
const AFTERMATH_TIMEOUT: Duration = Duration::from_secs(60);
/// How often the processes are looked after while nothing happens.
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// What the events of a session said so far.
#[derive(Debug, Default)]
struct Facts {
    last_seq: u64,
    submitted_at: Option<Timestamp>,
    /// The first text or reasoning: when the runner saw it, and when the session recorded it.
    first_words: Option<(Timestamp, Timestamp)>,
    end: Option<TurnEnd>,
    is_final: bool,
    snapshot: Option<String>,
    pull_request: Option<u64>,
    failed_effects: Vec<String>,
    agent: Option<String>,
    sandbox: Option<Sandbox>,
}

impl Facts {
    fn apply(&mut self, prompt: &PromptId, seq: u64, at: Timestamp, event: &SessionEvent) {
        self.last_seq = seq;
        match event {
            SessionEvent::PromptQueued { prompt: queued } if queued.id == *prompt => {
                self.submitted_at = Some(queued.submitted_at)
            }
            SessionEvent::ItemChanged { item } if self.first_words.is_none() => {
                if matches!(item.content, ItemContent::Text { .. } | ItemContent::Reasoning { .. }) {
                    self.first_words = Some((item.started_at, at));
                }
            }
            SessionEvent::TurnEnded { end, prompt_state, .. } => {
                self.is_final =
                    matches!(prompt_state, PromptState::Done | PromptState::Failed | PromptState::Cancelled);
                self.end = Some(end.clone());
            }
            SessionEvent::SnapshotTaken { snapshot_id } => self.snapshot = Some(snapshot_id.to_string()),
            SessionEvent::ArtifactChanged { artifact } => {
                if let ArtifactContent::PullRequest { number, .. } = &artifact.content {
                    self.pull_request = Some(*number);
                }
            }
            SessionEvent::EffectFailed { what, reason } => {
                self.failed_effects.push(format!("{what}: {reason}"))
            }
            SessionEvent::SandboxChanged { status: SandboxStatus::Ready { description, .. } } => {
                self.agent = Some(description.agent.clone());
                let isolation = isolation_name(description.isolation).to_owned();
                self.sandbox = Some(Sandbox { provider: description.provider.clone(), isolation });
            }
            SessionEvent::PromptQueued { .. }
            | SessionEvent::ItemChanged { .. }
            | SessionEvent::SandboxChanged { .. }
            | SessionEvent::SessionCreated { .. }
            | SessionEvent::TitleChanged { .. }
            | SessionEvent::ParticipantJoined { .. }
            | SessionEvent::PromptCancelled { .. }
            | SessionEvent::PromptEdited { .. }
            | SessionEvent::PromptMoved { .. }
            | SessionEvent::PromptSteered { .. }
            | SessionEvent::RoleChanged { .. }
            | SessionEvent::TurnStarted { .. }
            | SessionEvent::StopRequested { .. }
            | SessionEvent::ItemAppended { .. }
            | SessionEvent::ItemRevised { .. }
            | SessionEvent::ConversationRestored { .. }
            | SessionEvent::EgressDenied { .. }
            | SessionEvent::PullRequestChanged { .. }
            | SessionEvent::ReviewAdded { .. }
            | SessionEvent::SessionArchived { .. }
            | SessionEvent::SessionUnarchived { .. }
            | SessionEvent::BudgetChanged(_)
            | SessionEvent::Unknown => {}
        }
    }

    fn has_change(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.change.is_some())
    }

    /// Everything that follows a turn has happened, or will not.
    fn is_complete(&self) -> bool {
        let effects = self.failed_effects.len();
        let wanted = 1 + usize::from(self.has_change());
        let got = usize::from(self.snapshot.is_some()) + usize::from(self.pull_request.is_some());
        self.is_final && got + effects >= wanted
    }
}

fn isolation_name(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::Vm => "vm",
        Isolation::Namespaces => "namespaces",
        Isolation::Weak => "weak",
        Isolation::Unknown => "unknown",
    }
}

/// Submits the prompt, prints what happens, and answers the report.
pub(super) async fn run(
    stack: &mut Stack,
    login: &str,
    prompt: &str,
    agent: Agent,
    progress: &Progress,
) -> anyhow::Result<Report> {
    let repository = stack.repositories().first().context("no repository")?.repository.clone();
    let client = stack.sign_in(login).await?;
    let request = Client::prompt(prompt);
    let prompt_id = request.id.clone();
    let started = Instant::now();
    let session = client.create_session(&repository, Some(request)).await?;
    progress.note(&format!(
        "\nSession {session} on {repository}, watch it at {}/sessions/{session}\n",
        stack.url()
    ));

    let mut socket = client.socket(&session, Some(0)).await?;
    let mut transcript = Transcript::of_stderr();
    let mut facts = Facts::default();
    let follow = follow(stack, &mut socket, &prompt_id, &mut facts, &mut transcript, started);
    let outcome = follow.await;
    transcript.finish();
    outcome?;
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    report(stack, &client, &session, &repository, agent, facts, duration_ms).await
}

async fn follow(
    stack: &mut Stack,
    socket: &mut SessionSocket,
    prompt: &PromptId,
    facts: &mut Facts,
    transcript: &mut Transcript,
    started: Instant,
) -> anyhow::Result<()> {
    let mut ended: Option<Instant> = None;
    while !facts.is_complete() {
        match ended {
            Some(ended) if ended.elapsed() > AFTERMATH_TIMEOUT => return Ok(()),
            None if started.elapsed() > TURN_TIMEOUT => {
                bail!("the turn did not end within {} minutes", TURN_TIMEOUT.as_secs() / 60)
            }
            Some(_) | None => {}
        }
        match socket.next(CHECK_EVERY).await {
            Ok(ServerMessage::Event { seq, at, event }) => {
                transcript.show(&event);
                facts.apply(prompt, seq, at, &event);
            }
            Ok(ServerMessage::Rejected { error, .. }) => bail!("{error}"),
            Ok(
                ServerMessage::Snapshot { .. }
                | ServerMessage::Events { .. }
                | ServerMessage::CaughtUp { .. }
                | ServerMessage::Presence { .. }
                | ServerMessage::PresenceChanged { .. }
                | ServerMessage::Typing { .. }
                | ServerMessage::Lagging,
            ) => {}
            Ok(ServerMessage::PromptAccepted { .. } | ServerMessage::Unknown) => {}
            Err(StackError::Timeout { .. }) => stack.check()?,
            Err(error) => {
                stack.check()?;
                return Err(error.into());
            }
        }
        if facts.is_final && ended.is_none() {
            ended = Some(Instant::now());
        }
    }
    Ok(())
}

async fn report(
    stack: &Stack,
    client: &Client,
    session: &SessionId,
    repository: &str,
    agent: Agent,
    facts: Facts,
    duration_ms: u64,
) -> anyhow::Result<Report> {
    let status = client.status(session).await?;
    let end = facts.end.context("the turn has no end")?;
    let first_words_at = facts.first_words.map(|(seen, _)| seen);
    // The runner's clock and the session's are one: everything runs on this machine.
    let prompt_to_agent_ms = match (first_words_at, end.first_token_ms, facts.submitted_at) {
        (Some(seen), Some(first_token), Some(submitted)) => {
            Some(seen.ms_since(submitted).saturating_sub(first_token))
        }
        (None, _, _) | (_, None, _) | (_, _, None) => None,
    };
    let time_to_first_token_ms =
        facts.first_words.zip(facts.submitted_at).map(|((_, at), submitted)| at.ms_since(submitted));
    let mut report = Report {
        session_id: Some(session.to_string()),
        snapshot_id: facts.snapshot,
        events: facts.last_seq,
        prompt_to_agent_ms,
        time_to_first_token_ms,
        duration_ms,
        agent: agent.name().to_owned(),
        agent_version: facts.agent,
        model: Some(status.session.model),
        sandbox: facts.sandbox,
        repository: Some(repository.to_owned()),
        ..Report::default()
    };
    (report.outcome, report.error) = match &end.outcome {
        TurnOutcome::Completed if end.change.is_none() => ("nothing_changed".to_owned(), None),
        TurnOutcome::Completed => ("completed".to_owned(), None),
        TurnOutcome::Stopped => ("stopped".to_owned(), None),
        TurnOutcome::Failed { reason } => ("failed".to_owned(), Some(reason.clone())),
    };
    if !facts.failed_effects.is_empty() {
        report.error = Some(facts.failed_effects.join("; "));
    }
    if let Some(change) = end.change {
        // Read from where it was pushed to, and not from what was said about it.
        let read = async |format: &str| {
            stack
                .github()
                .git(repository, &["log", "-1", &format!("--format={format}"), &change.branch])
                .await
        };
        report.commit = Some(read("%H").await?);
        report.commit_author = Some(read("%an <%ae>").await?);
        report.files_changed = change.files_changed;
        report.branch = Some(change.branch);
    }
    report.pull_request = facts.pull_request.and_then(|number| {
        let pull = stack.github().pulls(repository).into_iter().find(|pull| pull.number == number)?;
        let url = format!("{}/{repository}/pull/{number}", stack.github().url());
        Some(PullRequest { number, url, author: pull.author, title: pull.title })
    });
    Ok(report)
}
