//! Tests of the whole machine: tables of cases in [`cases`], random histories in [`model`]. [`Rig`] drives a session by hand.
#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks for the one variant that it is about")]

pub(crate) mod attachments;
mod budgets;
mod cases;
mod claims;
mod faults;
pub(crate) mod files;
pub(crate) mod model;
mod people;
mod pulls;
mod sandboxes;
mod slots;

use super::*;
use protocol::bridge::{EventBatch, RunnerAttached, SandboxEnded, SandboxSource};
use protocol::client::{PromptRequest, SessionSnapshot};
use protocol::effort::Effort;
use protocol::id::*;
use protocol::runner::{RunnerEvent, RunnerEventRecord};
use protocol::time::Timestamp;
use protocol::timeline::*;

pub(crate) const START: Timestamp = Timestamp(1_795_000_000_000);

/// A session with a clock and a source of ids.
#[derive(Clone)]
pub(crate) struct Rig {
    pub(crate) session: Session,
    pub(crate) now: Timestamp,
    pub(crate) runner_seq: Seq,
    pub(crate) timing: Timing,
    /// The session after each input, with what the input ordered.
    pub(crate) log: Vec<(Session, Vec<Effect>, Timestamp)>,
    inputs: u128,
}

pub(crate) fn user(name: &str) -> User {
    User {
        id: UserId::parse(&format!("usr_{name}")).unwrap(),
        login: name.into(),
        name: name.to_uppercase(),
        email: format!("{name}@farhand.example"),
    }
}

pub(crate) fn prompt_id(number: usize) -> PromptId {
    PromptId::parse(&format!("prm_{number}")).unwrap()
}

/// Every third asks for some effort, from the second on.
pub(crate) fn request(number: usize, text: &str) -> PromptRequest {
    PromptRequest {
        id: prompt_id(number),
        text: text.into(),
        model: None,
        effort: (number % 3 == 2).then_some(Effort::High),
        origin: PromptOrigin::Web,
        delivery: Delivery::Queue,
        attachments: Vec::new(),
        traceparent: None,
    }
}

pub(crate) fn steer_request(number: usize) -> PromptRequest {
    PromptRequest { delivery: Delivery::Steer, ..request(number, &format!("steer {number}")) }
}

pub(crate) fn new_session(prompt: Option<PromptRequest>) -> NewSession {
    NewSession {
        id: SessionId::parse("ses_1").unwrap(),
        created_by: user("ada"),
        repository: RepositoryId::parse("acme/shop").unwrap(),
        clone_url: "https://code.example/acme/shop.git".into(),
        default_branch: "main".into(),
        branch: "farhand/1".into(),
        model: "demo/demo".into(),
        prompt,
        reservation: None,
    }
}

pub(crate) fn models() -> Vec<String> {
    vec!["demo/demo".into(), "demo/other".into(), "local/plain".into()]
}

impl Rig {
    pub(crate) fn new() -> (Self, Vec<Effect>) {
        let models = models();
        let timing = Timing::default();
        let context = Context { now: START, random: [0; 16], models: &models, timing };
        let (session, effects) = Session::create(new_session(None), context).unwrap();
        let log = vec![(session.clone(), effects.clone(), START)];
        (Self { session, now: START, runner_seq: 0, timing, log, inputs: 0 }, effects)
    }

    /// A session whose first prompt runs in a sandbox that is ready and has confirmed the turn.
    pub(crate) fn running() -> Self {
        let mut rig = Self::new().0;
        rig.prompt(1);
        rig.boot();
        rig.receive();
        rig
    }

    pub(crate) fn apply(&mut self, input: Input) -> Vec<Effect> {
        self.inputs += 1;
        let models = models();
        let random = (self.inputs << 32).to_be_bytes();
        let context = Context { now: self.now, random, models: &models, timing: self.timing };
        let effects = self.session.apply(input, context);
        self.log.push((self.session.clone(), effects.clone(), self.now));
        effects
    }

    pub(crate) fn prompt(&mut self, number: usize) -> Vec<Effect> {
        self.prompt_text(number, &format!("prompt {number}"))
    }

    pub(crate) fn prompt_text(&mut self, number: usize, text: &str) -> Vec<Effect> {
        self.apply(Input::PromptSubmitted { author: user("ada"), prompt: request(number, text) })
    }

    pub(crate) fn sandbox(&self) -> SandboxId {
        self.session.sandbox.as_ref().unwrap().id.clone()
    }

    pub(crate) fn turn(&self) -> TurnId {
        self.session.turn.as_ref().unwrap().id.clone()
    }

    pub(crate) fn attach(&mut self, bridge_url: &str) -> Vec<Effect> {
        let attached = RunnerAttached {
            sandbox_id: self.sandbox(),
            generation: self.session.generation,
            bridge_url: bridge_url.into(),
            runner_version: "1".into(),
        };
        self.apply(Input::RunnerAttached(attached))
    }

    /// The next events of the sandbox's runner.
    pub(crate) fn events(&mut self, events: Vec<RunnerEvent>) -> Vec<Effect> {
        let batch = self.batch(events);
        self.apply(Input::RunnerEvents(batch))
    }

    pub(crate) fn batch(&mut self, events: Vec<RunnerEvent>) -> EventBatch {
        let mut records = Vec::new();
        for event in events {
            self.runner_seq += 1;
            records.push(RunnerEventRecord { seq: self.runner_seq, at: self.now, event });
        }
        EventBatch {
            sandbox_id: self.sandbox(),
            generation: self.session.generation,
            events: records,
            spending: None,
        }
    }

    /// The order for the session's sandbox, when the repository has no warm one.
    pub(crate) fn creation(&mut self) -> Work {
        if self.phase() == Some(SandboxPhase::Claiming) {
            self.answer_claim(WorkOutcome::NoWarmSandbox { image_id: None, failure: None });
        }
        Work::CreateSandbox {
            sandbox_id: self.sandbox(),
            generation: self.session.generation,
            source: self.session.sandbox.as_ref().unwrap().source.clone(),
        }
    }

    /// The order for a warm sandbox.
    pub(crate) fn claim(&self) -> Work {
        Work::ClaimSandbox { generation: self.session.generation, reservation: None }
    }

    /// What came of asking the repository for a warm sandbox.
    pub(crate) fn answer_claim(&mut self, outcome: WorkOutcome) -> Vec<Effect> {
        let work = self.claim();
        self.apply(Input::WorkDone { work, outcome })
    }

    pub(crate) fn phase(&self) -> Option<SandboxPhase> {
        self.session.sandbox.as_ref().map(|sandbox| sandbox.phase)
    }

    /// The sandbox that was ordered becomes ready.
    pub(crate) fn boot(&mut self) -> Vec<Effect> {
        self.runner_seq = 0;
        let mut effects = Vec::new();
        if self.phase() == Some(SandboxPhase::Claiming) {
            effects.extend(self.answer_claim(WorkOutcome::NoWarmSandbox { image_id: None, failure: None }));
        }
        let work = self.creation();
        effects.extend(self.apply(Input::WorkDone { work, outcome: created() }));
        effects.extend(self.attach("http://127.0.0.1:1"));
        effects.extend(self.events(vec![
            RunnerEvent::SetupStep { step: "cloning".into() },
            RunnerEvent::Ready { agent: "scripted 1".into() },
        ]));
        effects
    }

    pub(crate) fn receive(&mut self) -> Vec<Effect> {
        let (turn_id, attempt) = (self.turn(), self.session.turn.as_ref().unwrap().attempt);
        self.events(vec![RunnerEvent::TurnReceived { turn_id, attempt }])
    }

    pub(crate) fn ended(&self, change: Option<Change>) -> RunnerEvent {
        RunnerEvent::TurnEnded {
            turn_id: self.turn(),
            attempt: self.session.turn.as_ref().unwrap().attempt,
            outcome: TurnOutcome::Completed,
            files: if change.is_some() { vec![file("a.txt")] } else { Vec::new() },
            change,
            usage: Usage { input_tokens: 10, output_tokens: 5, cached_tokens: 1, cost_usd: 0.125 },
            first_token_ms: Some(7),
        }
    }

    /// The same turn's end after a stop.
    pub(crate) fn stopped(&self) -> RunnerEvent {
        RunnerEvent::TurnEnded {
            turn_id: self.turn(),
            attempt: self.session.turn.as_ref().unwrap().attempt,
            outcome: TurnOutcome::Stopped,
            change: None,
            files: Vec::new(),
            usage: Usage { input_tokens: 10, output_tokens: 5, cached_tokens: 1, cost_usd: 0.125 },
            first_token_ms: None,
        }
    }

    pub(crate) fn end_turn(&mut self, change: Option<Change>) -> Vec<Effect> {
        let ended = self.ended(change);
        self.events(vec![ended])
    }

    pub(crate) fn finish_snapshot(&mut self, outcome: WorkOutcome) -> Vec<Effect> {
        let work = Work::TakeSnapshot {
            sandbox_id: self.sandbox(),
            generation: self.session.generation,
            snapshot_id: self.session.saving.as_ref().unwrap().snapshot_id.clone(),
        };
        self.apply(Input::WorkDone { work, outcome })
    }

    pub(crate) fn lose_sandbox(&mut self, reason: &str) -> Vec<Effect> {
        let ended = SandboxEnded {
            sandbox_id: self.sandbox(),
            generation: self.session.generation,
            reason: reason.into(),
            halted: false,
        };
        self.apply(Input::SandboxEnded(ended))
    }

    /// Lets the clock run and calls whenever the session wants to be called.
    pub(crate) fn wait(&mut self, ms: u64) -> Vec<Effect> {
        let until = self.now.plus_ms(ms);
        let mut effects = Vec::new();
        while let Some((at, _)) = self.session.next_deadline(self.timing).filter(|(at, _)| *at <= until) {
            self.now = self.now.max(at);
            effects.extend(self.apply(Input::DeadlineReached));
        }
        self.now = until;
        effects
    }

    pub(crate) fn item(&self, number: usize, content: ItemContent) -> Item {
        Item { id: item_id(number), turn_id: self.turn(), started_at: self.now, content }
    }
}

pub(crate) fn created() -> WorkOutcome {
    WorkOutcome::SandboxCreated { provider: "local".into(), isolation: Isolation::Namespaces }
}

pub(crate) fn item_id(number: usize) -> ItemId {
    ItemId::parse(&format!("itm_{number}")).unwrap()
}

pub(crate) fn text(text: &str) -> ItemContent {
    ItemContent::Text { text: text.into(), done: false }
}

pub(crate) fn tool(output: &str, state: ToolState) -> ItemContent {
    ItemContent::Tool {
        name: "bash".into(),
        title: "ls".into(),
        input: "{}".into(),
        state,
        output: output.into(),
        omitted_bytes: 0,
        artifact_id: None,
    }
}

pub(crate) fn appended(number: usize, offset: u64, text: &str) -> RunnerEvent {
    RunnerEvent::ItemAppended { item_id: item_id(number), offset, text: text.into() }
}

pub(crate) fn change(commit: char) -> Change {
    Change {
        branch: "whatever the runner says".into(),
        commit: commit.to_string().repeat(40),
        subject: "Change".into(),
        files_changed: 1,
        additions: 2,
        deletions: 1,
    }
}

pub(crate) fn file(path: &str) -> FileDiff {
    FileDiff {
        path: path.into(),
        previous_path: None,
        status: FileStatus::Modified,
        additions: 2,
        deletions: 1,
        hunks: vec![Hunk {
            old_start: 1,
            new_start: 1,
            heading: String::new(),
            lines: vec![DiffLine { kind: DiffLineKind::Added, text: "x".into() }],
        }],
        omitted: false,
    }
}

/// One line per effect; ids and times left out.
pub(crate) fn render(effects: &[Effect]) -> String {
    let mut lines = String::new();
    for effect in effects {
        let line = match effect {
            Effect::Record { seq, event, .. } => format!("#{seq} {}", render_event(event)),
            Effect::SaveParticipant(person) => format!("save {}", person.user.email),
            // In nearly every answer; `model` and the store's tests look at what they carry.
            Effect::SaveQueue(_) | Effect::SaveCursor | Effect::SaveWatch => continue,
            Effect::SaveText { item_id, seq, text } => {
                format!("save text of {item_id} at {seq}, {} bytes", text.len())
            }
            Effect::SaveOutput { output, .. } => {
                format!("save output, {}, {} bytes", output.media_type, output.text.len())
            }
            Effect::SaveAttachments { prompt_id, attachments } => {
                format!("save {} attachments of {prompt_id}", attachments.len())
            }
            Effect::DropOutput { .. } => "drop output".into(),
            Effect::Compact { from } => format!("compact from {from}"),
            Effect::Purge => "purge".into(),
            Effect::Enqueue(work) => format!("+ {}", work.kind()),
            Effect::Withdraw { key } => format!("- {}", key.split('/').next().unwrap()),
            Effect::Reply(Reply::Refused(error)) => format!("= {}", error.code.as_str()),
            Effect::Reply(Reply::PromptAccepted { prompt_id, seq }) => format!("= {prompt_id} at {seq}"),
            Effect::Reply(reply) => format!("= {reply:?}"),
        };
        lines.push_str(&line);
        lines.push('\n');
    }
    lines
}

fn render_event(event: &SessionEvent) -> String {
    match event {
        SessionEvent::SessionCreated { repository, .. } => format!("created {repository}"),
        SessionEvent::TitleChanged { title, .. } => format!("title {title}"),
        SessionEvent::RoleChanged { user_id, role, by } => format!("{user_id} is {role:?} by {by}"),
        SessionEvent::PromptEdited { prompt_id, text, by } => format!("edited {prompt_id} {text:?} by {by}"),
        SessionEvent::PromptMoved { prompt_id, before, by, .. } => match before {
            Some(before) => format!("moved {prompt_id} before {before} by {by}"),
            None => format!("moved {prompt_id} to the end by {by}"),
        },
        SessionEvent::PromptSteered { prompt_id, .. } => format!("steered {prompt_id}"),
        SessionEvent::ItemRevised { item } => match &item.content {
            ItemContent::Tool { state, output, .. } => format!("revise {} {state:?} {output:?}", item.id),
            content => format!("revise {} {content:?}", item.id),
        },
        SessionEvent::ConversationRestored { from, .. } => match from {
            Restoration::Snapshot { .. } => "restored from the snapshot".into(),
            Restoration::EarlierSnapshot { turns, .. } => {
                format!("restored from an older snapshot, {turns} turns told")
            }
            Restoration::Digest { turns } => format!("restored by a digest of {turns} turns"),
            Restoration::Unknown => "restored".into(),
        },
        SessionEvent::SessionArchived { by } => format!("archived by {by}"),
        SessionEvent::SessionUnarchived { by } => format!("unarchived by {by}"),
        SessionEvent::ParticipantJoined { participant } => format!("joined {}", participant.login),
        SessionEvent::PromptQueued { prompt } => format!("queued {}", prompt.id),
        SessionEvent::PromptCancelled { prompt_id, by } => format!("cancelled {prompt_id} by {by}"),
        SessionEvent::TurnStarted { turn } => format!("turn of {} attempt {}", turn.prompt_id, turn.attempt),
        SessionEvent::StopRequested { by, .. } => format!("stop by {by}"),
        SessionEvent::ItemChanged { item } => match &item.content {
            ItemContent::Tool { state, output, .. } => format!("tool {} {state:?} {output:?}", item.id),
            content => format!("item {} {content:?}", item.id),
        },
        SessionEvent::ItemAppended { item_id, offset, text } => format!("append {item_id} {offset} {text:?}"),
        SessionEvent::TurnEnded { end, prompt_state, .. } => match &end.outcome {
            TurnOutcome::Failed { reason } => format!("turn failed ({reason}), prompt {prompt_state:?}"),
            outcome => format!("turn {outcome:?}, prompt {prompt_state:?}"),
        },
        SessionEvent::SandboxChanged { status } => match status {
            SandboxStatus::None => "sandbox none".into(),
            SandboxStatus::Starting { step, .. } => format!("sandbox starting: {step}"),
            SandboxStatus::Ready { description, .. } => {
                format!(
                    "sandbox ready: {} {:?} {}",
                    description.provider, description.isolation, description.agent
                )
            }
            SandboxStatus::Stopped { snapshot_id } => {
                format!("sandbox stopped, {} snapshot", if snapshot_id.is_some() { "with" } else { "no" })
            }
            SandboxStatus::Failed { reason } => format!("sandbox failed: {reason}"),
        },
        SessionEvent::SnapshotTaken { .. } => "snapshot taken".into(),
        SessionEvent::ArtifactChanged { artifact } => format!("artifact {}", artifact.id),
        SessionEvent::EffectFailed { what, reason } => format!("failed {what}: {reason}"),
        SessionEvent::EgressDenied { denial } => {
            format!("denied {}:{} {} ×{}", denial.host, denial.port, denial.reason, denial.count)
        }
        SessionEvent::PullRequestChanged { number, state } => format!("pull request {number} {state:?}"),
        SessionEvent::ReviewAdded { number, review } => {
            format!("review {} of {number}: {:?} {}", review.id, review.verdict, review.text)
        }
        SessionEvent::BudgetChanged(state) => {
            format!("budget changed {:?}", state.hold.as_ref().map(|hold| hold.kind))
        }
        SessionEvent::Unknown => "unknown".into(),
    }
}
