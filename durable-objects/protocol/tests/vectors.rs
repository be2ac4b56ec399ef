//! Golden vectors: one JSON example of every message, decoded alike by every version and language.
//!
//! A published vector is never edited: a changed format gets a new file. `UPDATE_GENERATED=1` writes missing ones, and
//! `typescript/vectors.ts`, where the compiler checks the same examples against the generated types.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails the test")]

mod golden;

use golden::{check, folder, updating};
use protocol::bridge::*;
use protocol::client::*;
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::*;
use protocol::pull::{PullReport, PullSeen};
use protocol::runner::*;
use protocol::supervisor::*;
use protocol::time::Timestamp;
use protocol::timeline::*;
use std::path::Path;

const AT: Timestamp = Timestamp(1_795_000_000_000);

fn turn_id() -> TurnId {
    TurnId::parse("trn_1").unwrap()
}

fn user_id() -> UserId {
    UserId::parse("usr_ada").unwrap()
}

fn prompt_request() -> PromptRequest {
    PromptRequest {
        id: PromptId::parse("prm_1").unwrap(),
        text: "Fix the total".into(),
        model: Some("demo/demo-1".into()),
        effort: None,
        origin: PromptOrigin::Web,
        delivery: Delivery::Queue,
        attachments: Vec::new(),
        traceparent: None,
    }
}

fn prompt() -> Prompt {
    Prompt {
        id: PromptId::parse("prm_1").unwrap(),
        author: user_id(),
        origin: PromptOrigin::Slack,
        text: "Fix the total".into(),
        model: None,
        effort: None,
        submitted_at: AT,
        state: PromptState::Queued,
        delivery: Delivery::Queue,
        steered_into: None,
        edited_by: None,
        cancelled_by: None,
        attachments: Vec::new(),
        traceparent: None,
    }
}

fn change() -> Change {
    Change {
        branch: "farhand/ses_1".into(),
        commit: "0123456789abcdef0123456789abcdef01234567".into(),
        subject: "Fix the total".into(),
        files_changed: 1,
        additions: 2,
        deletions: 1,
    }
}

fn usage() -> Usage {
    Usage { input_tokens: 1200, output_tokens: 80, cached_tokens: 1000, cost_usd: 0.25 }
}

fn turn_end() -> TurnEnd {
    TurnEnd {
        ended_at: AT,
        outcome: TurnOutcome::Failed { reason: "The model refused the key.".into() },
        change: Some(change()),
        usage: usage(),
        first_token_ms: Some(310),
        held: None,
    }
}

fn image_id() -> ImageId {
    ImageId::parse("img_1").unwrap()
}

fn create_session_with_reservation() -> CreateSessionRequest {
    CreateSessionRequest {
        repository: RepositoryId::parse("acme/shop").unwrap(),
        prompt: None,
        model: None,
        reservation: Some(ReservationId::parse("rsv_1").unwrap()),
    }
}

fn item(content: ItemContent) -> Item {
    Item { id: ItemId::parse("itm_1").unwrap(), turn_id: turn_id(), started_at: AT, content }
}

fn items() -> Vec<(&'static str, Item)> {
    let tool = |state| ItemContent::Tool {
        name: "bash".into(),
        title: "sh test.sh".into(),
        input: "{\"command\":\"sh test.sh\"}".into(),
        state,
        output: "ok\n".into(),
        omitted_bytes: 0,
        artifact_id: None,
    };
    vec![
        ("text", item(ItemContent::Text { text: "Done — see `cart`.".into(), done: true })),
        ("reasoning", item(ItemContent::Reasoning { text: "Hm.".into(), done: false })),
        ("tool_running", item(tool(ToolState::Running))),
        (
            "tool_completed",
            item(tool(ToolState::Completed {
                duration_ms: 12,
                exit_code: Some(0),
                edit: Some(LineCount { additions: 1, deletions: 0 }),
            })),
        ),
        ("tool_failed", item(tool(ToolState::Failed { duration_ms: 12, message: "no such file".into() }))),
        (
            "plan",
            item(ItemContent::Plan {
                steps: vec![PlanStep { text: "Read".into(), state: PlanStepState::Running }],
            }),
        ),
        ("notice", item(ItemContent::Notice { level: NoticeLevel::Warning, text: "Retrying in 2 s".into() })),
    ]
}

fn files() -> Vec<FileDiff> {
    vec![FileDiff {
        path: "src/cart.sh".into(),
        previous_path: Some("cart.sh".into()),
        status: FileStatus::Renamed,
        additions: 1,
        deletions: 1,
        hunks: vec![Hunk {
            old_start: 1,
            new_start: 1,
            heading: "total()".into(),
            lines: vec![
                DiffLine { kind: DiffLineKind::Context, text: "a".into() },
                DiffLine { kind: DiffLineKind::Removed, text: "b".into() },
                DiffLine { kind: DiffLineKind::Added, text: "c".into() },
            ],
        }],
        omitted: false,
    }]
}

fn artifacts() -> Vec<Artifact> {
    [
        ArtifactContent::Branch { change: change() },
        ArtifactContent::Diff { files: files() },
        ArtifactContent::PullRequest {
            number: 7,
            url: "https://github.example/acme/shop/pull/7".into(),
            title: "Fix the total".into(),
            author: user_id(),
            base: "main".into(),
            progress: PullRequestProgress::default(),
        },
    ]
    .into_iter()
    .map(|content| Artifact {
        id: ArtifactId::parse("art_1").unwrap(),
        turn_id: turn_id(),
        changed_at: AT,
        content,
    })
    .collect()
}

fn pull_checks() -> Vec<Check> {
    let check = |name: &str, state| Check {
        name: name.into(),
        state,
        url: "https://github.example/acme/shop/runs/1".into(),
        commit: "0123456789abcdef0123456789abcdef01234567".into(),
        updated_at: AT,
    };
    let states = [CheckState::Pending, CheckState::Passed, CheckState::Failed, CheckState::Skipped];
    ["a", "b", "c", "d"].into_iter().zip(states).map(|(name, state)| check(name, state)).collect()
}

fn reviews() -> Vec<Review> {
    let review = |id: &str, verdict, path: Option<&str>| Review {
        id: id.into(),
        author: "grace".into(),
        verdict,
        text: "Looks **good**".into(),
        path: path.map(str::to_owned),
        line: path.map(|_| 12),
        url: "https://github.example/acme/shop/pull/7#r1".into(),
        updated_at: AT,
    };
    vec![
        review("review-1", Verdict::Approved, None),
        review("review-2", Verdict::ChangesRequested, None),
        review("review-3", Verdict::Dismissed, None),
        review("line-4", Verdict::Comment, Some("src/total.js")),
    ]
}

fn pull_report() -> PullReport {
    let seen = PullSeen {
        state: PullState::Closed,
        title: "Fix the total".into(),
        head: "0123456789abcdef0123456789abcdef01234567".into(),
        updated_at: AT,
    };
    PullReport { number: 7, seen: Some(seen), checks: pull_checks(), reviews: reviews() }
}

fn pull_messages() -> Vec<ServerMessage> {
    let progress = PullRequestProgress {
        state: PullState::Merged,
        head: "0123456789abcdef0123456789abcdef01234567".into(),
        updated_at: AT,
        checks: pull_checks(),
        flagged: vec![".github/workflows/ci.yml".into()],
        by_app: true,
    };
    let content = ArtifactContent::PullRequest {
        number: 7,
        url: "https://github.example/acme/shop/pull/7".into(),
        title: "Fix the total".into(),
        author: user_id(),
        base: "main".into(),
        progress,
    };
    let id = ArtifactId::parse("art_pull_request").unwrap();
    let artifact = Artifact { id, turn_id: turn_id(), changed_at: AT, content };
    let states = [PullState::Open, PullState::Closed, PullState::Merged];
    let mut events = vec![SessionEvent::ArtifactChanged { artifact }];
    events.extend(states.map(|state| SessionEvent::PullRequestChanged { number: 7, state }));
    events.extend(reviews().into_iter().map(|review| SessionEvent::ReviewAdded { number: 7, review }));
    vec![ServerMessage::Events { events: events.into_iter().map(record).collect() }]
}

fn description() -> SandboxDescription {
    SandboxDescription {
        provider: "local".into(),
        isolation: Isolation::Namespaces,
        agent: "opencode 1.18.33".into(),
    }
}

fn sandbox_states() -> Vec<SandboxStatus> {
    let sandbox_id = || SandboxId::parse("sbx_1").unwrap();
    vec![
        SandboxStatus::None,
        SandboxStatus::Starting { sandbox_id: sandbox_id(), step: "cloning acme/shop".into() },
        SandboxStatus::Ready { sandbox_id: sandbox_id(), description: description() },
        SandboxStatus::Stopped { snapshot_id: Some(SnapshotId::parse("snp_1").unwrap()) },
        SandboxStatus::Failed { reason: "No user namespaces.".into() },
    ]
}

fn participant(role: Role) -> Participant {
    Participant { user_id: user_id(), login: "ada".into(), name: "Ada Lovelace".into(), joined_at: AT, role }
}

fn turn(end: Option<TurnEnd>) -> Turn {
    Turn { id: turn_id(), prompt_id: prompt().id, attempt: 1, started_at: AT, stop_requested_by: None, end }
}

fn record(event: SessionEvent) -> EventRecord {
    EventRecord { seq: 7, at: AT, event }
}

fn restorations() -> Vec<Restoration> {
    let snapshot_id = || SnapshotId::parse("snp_1").unwrap();
    vec![
        Restoration::Snapshot { snapshot_id: snapshot_id() },
        Restoration::EarlierSnapshot { snapshot_id: snapshot_id(), turns: 1 },
        Restoration::Digest { turns: 3 },
    ]
}

/// Events that came after [`events`] was published.
fn later_events() -> Vec<SessionEvent> {
    let (by, prompt_id) = (user_id(), prompt().id);
    let mut events = vec![
        SessionEvent::TitleChanged { title: "Totals".into(), by: Some(user_id()) },
        SessionEvent::ParticipantJoined { participant: participant(Role::Owner) },
        SessionEvent::RoleChanged { user_id: user_id(), role: Role::Viewer, by: user_id() },
        SessionEvent::PromptQueued { prompt: Prompt { delivery: Delivery::Steer, ..prompt() } },
        SessionEvent::PromptEdited { prompt_id: prompt_id.clone(), text: "Fix it".into(), by: by.clone() },
        SessionEvent::PromptMoved {
            prompt_id: prompt_id.clone(),
            before: None,
            by: by.clone(),
            delivery: None,
        },
        SessionEvent::PromptMoved {
            prompt_id: prompt_id.clone(),
            before: Some(PromptId::parse("prm_2").unwrap()),
            by: by.clone(),
            delivery: None,
        },
        SessionEvent::PromptSteered { prompt_id, turn_id: turn_id() },
        SessionEvent::ItemRevised { item: item(ItemContent::Text { text: String::new(), done: true }) },
        SessionEvent::ItemChanged { item: item(previewed()) },
        SessionEvent::SessionArchived { by: by.clone() },
        SessionEvent::SessionUnarchived { by },
    ];
    events.extend(restorations().into_iter().map(|from| SessionEvent::ConversationRestored {
        sandbox_id: SandboxId::parse("sbx_1").unwrap(),
        from,
    }));
    events
}

fn later_client_messages() -> Vec<ClientMessage> {
    let prompt_id = prompt().id;
    vec![
        ClientMessage::Prompt { prompt: PromptRequest { delivery: Delivery::Steer, ..prompt_request() } },
        ClientMessage::Ack { seq: 41 },
        ClientMessage::Typing,
        ClientMessage::EditPrompt { prompt_id: prompt_id.clone(), text: "Fix it".into() },
        ClientMessage::MovePrompt { prompt_id: prompt_id.clone(), before: None },
        ClientMessage::MovePrompt { prompt_id, before: Some(PromptId::parse("prm_2").unwrap()) },
        ClientMessage::SetRole { user_id: user_id(), role: Role::Viewer },
        ClientMessage::Rename { title: "Totals".into() },
    ]
}

fn later_snapshot() -> SessionSnapshot {
    let mut snapshot = snapshot();
    snapshot.session.archived_at = Some(AT);
    snapshot.participants = vec![participant(Role::Owner), participant(Role::Driver)];
    snapshot.prompts = vec![Prompt {
        state: PromptState::Cancelled,
        steered_into: Some(turn_id()),
        edited_by: Some(user_id()),
        cancelled_by: Some(user_id()),
        ..prompt()
    }];
    snapshot.queue = vec![prompt().id];
    snapshot.earlier = Some(12);
    snapshot.turns = vec![Turn { stop_requested_by: Some(user_id()), ..turn(None) }];
    snapshot.notices = vec![record(SessionEvent::EffectFailed { what: "push".into(), reason: "403".into() })];
    snapshot
}

fn previewed() -> ItemContent {
    ItemContent::Tool {
        name: "bash".into(),
        title: "make".into(),
        input: "{}".into(),
        state: ToolState::Completed { duration_ms: 9, exit_code: Some(0), edit: None },
        output: "first … last".into(),
        omitted_bytes: 200_000,
        artifact_id: Some(ArtifactId::parse("art_out").unwrap()),
    }
}

fn later_server_messages() -> Vec<ServerMessage> {
    vec![
        ServerMessage::Snapshot { seq: 42, snapshot: later_snapshot() },
        ServerMessage::Events { events: later_events().into_iter().map(record).collect() },
        ServerMessage::PresenceChanged { joined: vec![user_id()], left: vec![] },
        ServerMessage::Typing { user_id: user_id() },
        ServerMessage::Lagging,
    ]
}

fn denial() -> EgressDenial {
    EgressDenial { host: "example.net".into(), port: 443, reason: "host_not_allowed".into(), count: 10 }
}

fn egress_messages() -> Vec<ServerMessage> {
    vec![ServerMessage::Events { events: vec![record(SessionEvent::EgressDenied { denial: denial() })] }]
}

/// A snapshot that says where things stand.
fn place_messages() -> Vec<ServerMessage> {
    let items = (9_u64..).take(snapshot().items.len()).collect();
    let places = Places { prompts: vec![2], turns: vec![7], items };
    vec![ServerMessage::Snapshot { seq: 42, snapshot: SessionSnapshot { places, ..snapshot() } }]
}

/// Somebody gives a prompt that was to steer a place of its own.
fn queue_messages() -> Vec<ServerMessage> {
    let event = SessionEvent::PromptMoved {
        prompt_id: prompt().id,
        before: Some(PromptId::parse("prm_2").unwrap()),
        by: user_id(),
        delivery: Some(Delivery::Queue),
    };
    vec![ServerMessage::Events { events: vec![record(event)] }]
}

fn later_runner_events() -> Vec<RunnerEvent> {
    vec![RunnerEvent::SteerTaken { turn_id: turn_id(), prompt_id: prompt().id }]
}

fn later_commands() -> Vec<RunnerCommand> {
    let order = turn_order();
    vec![
        RunnerCommand::SteerTurn {
            turn_id: turn_id(),
            prompt_id: prompt().id,
            prompt: "Also the tax".into(),
            author: order.author.clone(),
            attachments: Vec::new(),
        },
        RunnerCommand::StartTurn {
            turn: TurnOrder { digest: Some("Ada asked: fix the total.".into()), ..order },
        },
    ]
}

fn events() -> Vec<SessionEvent> {
    let repository = RepositoryId::parse("acme/shop").unwrap();
    let participant = participant(Role::Driver);
    let turn = turn(None);
    let mut events = vec![
        SessionEvent::SessionCreated { repository, created_by: user_id() },
        SessionEvent::TitleChanged { title: "Fix the total".into(), by: None },
        SessionEvent::ParticipantJoined { participant },
        SessionEvent::PromptQueued { prompt: prompt() },
        SessionEvent::PromptCancelled { prompt_id: prompt().id, by: user_id() },
        SessionEvent::TurnStarted { turn },
        SessionEvent::StopRequested { turn_id: turn_id(), by: user_id() },
        SessionEvent::ItemAppended {
            item_id: ItemId::parse("itm_1").unwrap(),
            offset: 4,
            text: "é🦀".into(),
        },
        SessionEvent::TurnEnded { turn_id: turn_id(), end: turn_end(), prompt_state: PromptState::Done },
        SessionEvent::SnapshotTaken { snapshot_id: SnapshotId::parse("snp_1").unwrap() },
        SessionEvent::EffectFailed { what: "open the pull request".into(), reason: "403".into() },
    ];
    events.extend(items().into_iter().map(|(_, item)| SessionEvent::ItemChanged { item }));
    events.extend(sandbox_states().into_iter().map(|status| SessionEvent::SandboxChanged { status }));
    events.extend(artifacts().into_iter().map(|artifact| SessionEvent::ArtifactChanged { artifact }));
    events
}

fn snapshot() -> SessionSnapshot {
    SessionSnapshot {
        session: SessionInfo {
            id: SessionId::parse("ses_1").unwrap(),
            title: "Fix the total".into(),
            repository: RepositoryId::parse("acme/shop").unwrap(),
            default_branch: "main".into(),
            branch: "farhand/ses_1".into(),
            model: "demo/demo-1".into(),
            created_by: user_id(),
            created_at: AT,
            archived_at: None,
        },
        participants: vec![],
        prompts: vec![prompt()],
        queue: vec![],
        turns: vec![turn(Some(turn_end()))],
        earlier: None,
        items: items().into_iter().map(|(_, item)| item).collect(),
        places: Places::default(),
        artifacts: artifacts(),
        sandbox: SandboxStatus::None,
        usage: usage(),
        notices: vec![],
        budget: BudgetState::default(),
    }
}

fn client_messages() -> Vec<ClientMessage> {
    vec![
        ClientMessage::Subscribe { since: None },
        ClientMessage::Subscribe { since: Some(41) },
        ClientMessage::Prompt { prompt: prompt_request() },
        ClientMessage::CancelPrompt { prompt_id: prompt().id },
        ClientMessage::Stop { turn_id: turn_id() },
    ]
}

fn server_messages() -> Vec<ServerMessage> {
    let mut messages = vec![
        ServerMessage::Snapshot { seq: 42, snapshot: snapshot() },
        ServerMessage::CaughtUp { seq: 42 },
        ServerMessage::Presence { users: vec![user_id()] },
        ServerMessage::PromptAccepted { prompt_id: prompt().id, seq: 43 },
        ServerMessage::Rejected {
            prompt_id: Some(prompt().id),
            error: ErrorBody::new(ErrorCode::QueueFull, "The queue has 100 prompts; wait or cancel one."),
        },
    ];
    messages.extend(events().into_iter().enumerate().map(|(index, event)| ServerMessage::Event {
        seq: index as u64 + 1,
        at: AT,
        event,
    }));
    messages
}

fn runner_messages() -> Vec<RunnerMessage> {
    let appended = RunnerEvent::ItemAppended {
        item_id: ItemId::parse("itm_1").unwrap(),
        offset: 0,
        text: "word ".into(),
    };
    let ended = RunnerEvent::TurnEnded {
        turn_id: turn_id(),
        attempt: 1,
        outcome: TurnOutcome::Completed,
        change: Some(change()),
        files: files(),
        usage: usage(),
        first_token_ms: Some(310),
    };
    let events = [
        RunnerEvent::SetupStep { step: "cloning acme/shop".into() },
        RunnerEvent::Ready { agent: "opencode 1.18.33".into() },
        RunnerEvent::SetupFailed { reason: "clone failed".into() },
        RunnerEvent::TurnReceived { turn_id: turn_id(), attempt: 1 },
        RunnerEvent::ItemChanged { item: item(ItemContent::Text { text: String::new(), done: false }) },
        appended,
        RunnerEvent::Heartbeat,
        ended,
    ];
    let records = events.into_iter().enumerate();
    vec![
        RunnerMessage::Hello {
            protocol_version: 1,
            runner_version: "0.1.0".into(),
            sandbox_id: SandboxId::parse("sbx_1").unwrap(),
            generation: 1,
            next_seq: 1,
        },
        RunnerMessage::Events {
            events: records
                .map(|(index, event)| RunnerEventRecord { seq: index as u64 + 1, at: AT, event })
                .collect(),
        },
        RunnerMessage::CommandDone {
            command_id: CommandId::parse("cmd_1").unwrap(),
            error: Some("unknown command".into()),
        },
    ]
}

fn turn_order() -> TurnOrder {
    TurnOrder {
        turn_id: turn_id(),
        attempt: 1,
        prompt: "Fix the total".into(),
        author: Author { name: "Ada Lovelace".into(), email: "ada@example.com".into() },
        model: "demo/demo-1".into(),
        effort: None,
        digest: None,
        attachments: Vec::new(),
        traceparent: None,
        means: None,
    }
}

fn bridge_messages() -> Vec<BridgeMessage> {
    let configuration = RunnerConfiguration {
        session_id: SessionId::parse("ses_1").unwrap(),
        repository: RepositoryId::parse("acme/shop").unwrap(),
        default_branch: "main".into(),
        branch: "farhand/ses_1".into(),
        agent: AgentKind::Opencode,
        model: "demo/demo-1".into(),
        models: vec!["demo/demo-1".into()],
    };
    let command =
        |command| BridgeMessage::Command { command_id: CommandId::parse("cmd_1").unwrap(), command };
    vec![
        BridgeMessage::Welcome { resume_from: 1, configuration },
        BridgeMessage::Ack { seq: 8 },
        command(RunnerCommand::StartTurn { turn: turn_order() }),
        command(RunnerCommand::StopTurn { turn_id: turn_id() }),
        BridgeMessage::Retired { reason: "generation 2 took over".into() },
    ]
}

fn supervisor_orders() -> Vec<SupervisorOrder> {
    let bare = ExecCommand { arguments: vec!["true".into()], ..ExecCommand::default() };
    let full = ExecCommand {
        arguments: vec!["sh".into(), "-c".into(), "read x".into()],
        folder: Some("/workspace/app".into()),
        variables: [("CI".into(), "1".into())].into(),
        terminal: Some(TerminalSize { rows: 24, columns: 80 }),
        input: true,
    };
    vec![
        SupervisorOrder::Exec { command: bare },
        SupervisorOrder::Exec { command: full },
        SupervisorOrder::Dial { port: 5173 },
        SupervisorOrder::Freeze,
        SupervisorOrder::Stats,
    ]
}

fn supervisor_answers() -> Vec<SupervisorAnswer> {
    let stats =
        SupervisorStats { processes: 3, threads: 9, resident_bytes: 4096, processor_ms: 20, commands: 1 };
    let message = "nothing listens on port 5173 in the sandbox".into();
    vec![
        SupervisorAnswer::Started { process_id: 7 },
        SupervisorAnswer::Connected,
        SupervisorAnswer::Frozen { processes: 3 },
        SupervisorAnswer::Stats { stats },
        SupervisorAnswer::Refused { reason: RefusalReason::PortClosed, message },
    ]
}

fn exec_controls() -> Vec<ExecControl> {
    vec![
        ExecControl::Signal { signal: ExecSignal::Interrupt },
        ExecControl::Resize { terminal: TerminalSize { rows: 50, columns: 132 } },
    ]
}

fn exec_exits() -> Vec<ExecExit> {
    vec![ExecExit { code: Some(3), signal: None }, ExecExit { code: None, signal: Some("SIGTERM".into()) }]
}

#[test]
fn every_message_matches_its_vector() {
    std::fs::create_dir_all(folder()).unwrap();
    check("client_messages", &client_messages());
    check("server_messages", &server_messages());
    check("runner_messages", &runner_messages());
    check("bridge_messages", &bridge_messages());
    check("supervisor_orders", &supervisor_orders());
    check("supervisor_answers", &supervisor_answers());
    check("exec_controls", &exec_controls());
    check("exec_exits", &exec_exits());
    check("client_messages_2", &later_client_messages());
    check("server_messages_2", &later_server_messages());
    check("server_messages_3", &egress_messages());
    check("server_messages_4", &pull_messages());
    check("server_messages_queue", &queue_messages());
    check("server_messages_places", &place_messages());
    check("pull_report", &pull_report());
    check(
        "egress_report",
        &EgressReport {
            sandbox_id: SandboxId::parse("sbx_1").unwrap(),
            generation: 2,
            denials: vec![denial()],
        },
    );
    check("runner_events_2", &later_runner_events());
    check("runner_commands_2", &later_commands());
    check(
        "create_session_request",
        &CreateSessionRequest {
            repository: RepositoryId::parse("acme/shop").unwrap(),
            prompt: Some(prompt_request()),
            model: None,
            reservation: None,
        },
    );
    check(
        "session_status",
        &SessionStatus {
            session: snapshot().session,
            seq: 42,
            activity: Activity::Running,
            queued_prompts: 1,
            sandbox: SandboxStatus::None,
            artifacts: artifacts(),
            usage: usage(),
        },
    );
    check(
        "create_sandbox_request",
        &CreateSandboxRequest {
            session_id: SessionId::parse("ses_1").unwrap(),
            generation: 2,
            repository: RepositorySource {
                id: RepositoryId::parse("acme/shop").unwrap(),
                clone_url: "https://github.example/acme/shop.git".into(),
                default_branch: "main".into(),
            },
            branch: "farhand/ses_1".into(),
            source: SandboxSource::Snapshot { snapshot_id: SnapshotId::parse("snp_1").unwrap() },
            limits: SandboxLimits::default(),
            agent: AgentKind::Opencode,
            model: "demo/demo-1".into(),
            models: vec!["demo/demo-1".into()],
        },
    );
    check("sandbox_source_image", &SandboxSource::Image { image_id: image_id() });
    check("create_session_request_2", &create_session_with_reservation());
    check(
        "command_request",
        &CommandRequest { generation: 2, command: RunnerCommand::StartTurn { turn: turn_order() } },
    );
}

#[test]
fn a_message_from_the_future_is_read_as_unknown() {
    let text = r#"{"type":"hologram","light":true}"#;
    assert_eq!(serde_json::from_str::<ClientMessage>(text).unwrap(), ClientMessage::Unknown);
    assert_eq!(serde_json::from_str::<ServerMessage>(text).unwrap(), ServerMessage::Unknown);
    assert_eq!(serde_json::from_str::<SessionEvent>(text).unwrap(), SessionEvent::Unknown);
    assert_eq!(serde_json::from_str::<ItemContent>(text).unwrap(), ItemContent::Unknown);
    assert_eq!(serde_json::from_str::<RunnerMessage>(text).unwrap(), RunnerMessage::Unknown);
    assert_eq!(serde_json::from_str::<RunnerEvent>(text).unwrap(), RunnerEvent::Unknown);
    assert_eq!(serde_json::from_str::<BridgeMessage>(text).unwrap(), BridgeMessage::Unknown);
    assert_eq!(serde_json::from_str::<RunnerCommand>(text).unwrap(), RunnerCommand::Unknown);
}

#[test]
fn typescript_sees_the_same_examples() {
    let text = format!(
        "// Generated from the crate `protocol`. The compiler checks the golden vectors against the types.\n\
         import type {{ ClientMessage, ServerMessage }} from \"./index.js\";\n\n\
         export const clientMessages = {} satisfies ClientMessage[];\n\n\
         export const serverMessages = {} satisfies ServerMessage[];\n",
        serde_json::to_string_pretty(&[client_messages(), later_client_messages()].concat()).unwrap(),
        serde_json::to_string_pretty(
            &[
                server_messages(),
                later_server_messages(),
                egress_messages(),
                pull_messages(),
                queue_messages(),
                place_messages()
            ]
            .concat()
        )
        .unwrap(),
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("typescript/vectors.ts");
    if updating() {
        std::fs::write(&path, &text).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == text,
        "typescript/vectors.ts is stale: UPDATE_GENERATED=1 cargo test -p protocol --test vectors"
    );
}
