//! One function per command.

use crate::Error;
use crate::api::Api;
use crate::diff::render;
use crate::live::{Live, Told};
use crate::remote::repository_here;
use crate::settings::Settings;
use crate::transcript::Transcript;
use clap::{Args, Subcommand};
use protocol::client::{
    Activity, ClientMessage, CreateSessionRequest, CreateSessionResponse, PromptAccepted, PromptRequest,
    SessionList, SessionSnapshot, SessionSummary,
};
use protocol::effort::Effort;
use protocol::id::{PromptId, RepositoryId, SessionId, TurnId};
use protocol::timeline::{
    ArtifactContent, Delivery, PromptOrigin, PromptState, SessionEvent, TurnOutcome, User,
};
use std::io::{IsTerminal as _, Read as _, Write as _};

/// What can be done.
#[derive(Subcommand)]
pub enum Command {
    /// Keep a deployment's address and an API key for it, which is asked for
    Login {
        /// Such as https://farhand.example.com
        url: String,
    },
    /// List sessions, newest activity first
    Sessions(SessionsArguments),
    /// Submit a prompt: to a new session, or with --session to one that there is
    Prompt(PromptArguments),
    /// Print a session as it happens, until its turns have ended
    Follow {
        /// Such as ses_0123456789abcdefghjkmnpqrs
        session: String,
    },
    /// Print a session's changes as a patch
    Diff {
        /// Such as ses_0123456789abcdefghjkmnpqrs
        session: String,
    },
    /// End the running turn of a session
    Stop {
        /// Such as ses_0123456789abcdefghjkmnpqrs
        session: String,
    },
    /// Print a session's address, or open it in a browser
    Open {
        /// Such as ses_0123456789abcdefghjkmnpqrs
        session: String,
        /// Only print it; so it is where there is no terminal
        #[arg(long)]
        print: bool,
    },
}

/// `farhand sessions`.
#[derive(Args)]
pub struct SessionsArguments {
    /// Only those about this repository, `owner/name`
    #[arg(long)]
    repository: Option<String>,
    /// Only those that are at work
    #[arg(long)]
    running: bool,
    /// Only one's own
    #[arg(long)]
    mine: bool,
    /// Those that are archived
    #[arg(long)]
    archived: bool,
    /// How many are looked at
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: u32,
    /// As JSON, one array
    #[arg(long)]
    json: bool,
}

/// `farhand prompt`.
#[derive(Args)]
pub struct PromptArguments {
    /// What is to be done; read from standard input where it is absent or `-`
    text: Option<String>,
    /// Of a session that goes on
    #[arg(long, conflicts_with = "repository")]
    session: Option<String>,
    /// What a new session is about, `owner/name`; the current folder's remote `origin` where absent
    #[arg(long)]
    repository: Option<String>,
    /// `provider/name`; the deployment's default where absent
    #[arg(long)]
    model: Option<String>,
    /// How much the model is to think: low, medium, high; its usual where absent
    #[arg(long, value_parser = parse_effort)]
    effort: Option<Effort>,
    /// Print what happens until the prompt's turn has ended
    #[arg(long)]
    follow: bool,
}

fn parse_effort(word: &str) -> Result<Effort, String> {
    Effort::parse(word).ok_or_else(|| "say low, medium or high".to_owned())
}

/// Does it.
pub async fn run(command: Command) -> Result<(), Error> {
    if let Command::Login { url } = &command {
        return login(url).await;
    }
    let api = Api::new(Settings::read()?)?;
    match command {
        Command::Login { .. } => Ok(()),
        Command::Sessions(arguments) => sessions(&api, arguments).await,
        Command::Prompt(arguments) => prompt(&api, arguments).await,
        Command::Follow { session } => follow(&api, &parse_session(&session)?, None).await,
        Command::Diff { session } => diff(&api, &parse_session(&session)?).await,
        Command::Stop { session } => stop(&api, &parse_session(&session)?).await,
        Command::Open { session, print } => open(&api, &parse_session(&session)?, print),
    }
}

/// An id, or the address of a session's page.
fn parse_session(text: &str) -> Result<SessionId, Error> {
    let id = text.split(['?', '#']).next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    SessionId::parse(id).map_err(|error| {
        Error::Local(format!("{text:?} is no session: {error}; `farhand sessions` lists them"))
    })
}

fn parse_repository(text: &str) -> Result<RepositoryId, Error> {
    RepositoryId::parse(text).map_err(|error| Error::Local(format!("{text:?}: {error}")))
}

/// Writes to standard output; a reader that has gone, such as `head`, has seen enough.
fn print(text: &str) -> Result<(), Error> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::Local(format!("standard output cannot be written to: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

async fn login(url: &str) -> Result<(), Error> {
    let unread = |error: std::io::Error| Error::Local(format!("the key cannot be read: {error}"));
    let key = if std::io::stdin().is_terminal() {
        rpassword::prompt_password(format!("API key, made at {}/settings: ", url.trim_end_matches('/')))
            .map_err(unread)?
    } else {
        let mut key = String::new();
        std::io::stdin().read_line(&mut key).map_err(unread)?;
        key
    };
    let settings = Settings::new(url, &key)?;
    let user: User = Api::new(settings.clone())?.get("/api/me").await?;
    let path = settings.save()?;
    eprintln!("You are {} ({}) at {}; kept in {}", user.name, user.login, settings.url, path.display());
    Ok(())
}

async fn sessions(api: &Api, arguments: SessionsArguments) -> Result<(), Error> {
    let path = format!("/api/sessions?limit={}&archived={}", arguments.limit, arguments.archived);
    let list: SessionList = api.get(&path).await?;
    let repository = arguments.repository.as_deref().map(parse_repository).transpose()?;
    let user = if arguments.mine { Some(api.get::<User>("/api/me").await?.id) } else { None };
    let wanted = |row: &SessionSummary| {
        let same = |id: &RepositoryId| id.as_str().eq_ignore_ascii_case(row.repository.as_str());
        repository.as_ref().is_none_or(same)
            && user.as_ref().is_none_or(|user| *user == row.created_by)
            && (!arguments.running || row.activity == Activity::Running)
    };
    let rows: Vec<SessionSummary> = list.sessions.into_iter().filter(wanted).collect();
    if arguments.json {
        let text = serde_json::to_string_pretty(&rows).map_err(|error| Error::Local(error.to_string()))?;
        return print(&format!("{text}\n"));
    }
    if rows.is_empty() {
        eprintln!("There are none.");
    }
    print(&rows.iter().map(row_text).collect::<String>())
}

fn row_text(row: &SessionSummary) -> String {
    let activity = match row.activity {
        Activity::Idle => "idle",
        Activity::Running => "running",
        Activity::Failed => "failed",
        Activity::Unknown => "?",
    };
    let pull = row.pull_request_number.map(|number| format!("  #{number}")).unwrap_or_default();
    // A title is somebody's text: what could move a terminal's cursor is left out.
    let title: String = row.title.chars().filter(|letter| !letter.is_control()).collect();
    format!(
        "{}  {activity:<7}  {}  +{} −{}{pull}  {}  {title}\n",
        row.session_id, row.repository, row.additions, row.deletions, row.created_by_name
    )
}

async fn prompt(api: &Api, arguments: PromptArguments) -> Result<(), Error> {
    let text = match arguments.text.filter(|text| text != "-") {
        Some(text) => text,
        None => {
            if std::io::stdin().is_terminal() {
                eprintln!("The prompt, up to the end of input (Ctrl-D):");
            }
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|error| Error::Local(format!("standard input cannot be read: {error}")))?;
            text
        }
    };
    let request = PromptRequest {
        id: new_prompt_id()?,
        text,
        model: arguments.model,
        effort: arguments.effort,
        origin: PromptOrigin::Api,
        delivery: Delivery::default(),
        attachments: Vec::new(),
        traceparent: None,
    };
    let id = request.id.clone();
    let session = match arguments.session.as_deref() {
        Some(session) => {
            let session = parse_session(session)?;
            let _: PromptAccepted = api.post(&format!("/api/sessions/{session}/message"), &request).await?;
            session
        }
        None => {
            let named = arguments.repository.as_deref().map(parse_repository).transpose()?;
            let repository = named.map_or_else(repository_here, Ok)?;
            let request =
                CreateSessionRequest { repository, prompt: Some(request), model: None, reservation: None };
            api.post::<CreateSessionResponse>("/api/sessions", &request).await?.session_id
        }
    };
    if !arguments.follow {
        eprintln!("{}", api.page(&session));
        return print(&format!("{session}\n"));
    }
    eprintln!("{session}  {}\n", api.page(&session));
    follow(api, &session, Some(&id)).await
}

/// 16 random bytes of the system.
fn new_prompt_id() -> Result<PromptId, Error> {
    let mut random = [0; 16];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut random));
    read.map_err(|error| Error::Local(format!("random bytes cannot be had: {error}")))?;
    Ok(PromptId::from_random(random))
}

/// What is to happen before following ends: the turn of one prompt, or where none is named, all that run and wait.
#[derive(Default)]
struct Pending {
    prompt: Option<PromptId>,
    /// Whether that one has come to its end.
    is_over: bool,
    turn: Option<(TurnId, PromptId)>,
    /// Prompts that wait.
    waiting: usize,
    last: Option<TurnOutcome>,
}

impl Pending {
    /// Whether there is nothing to wait for.
    fn is_over(&self) -> bool {
        self.is_over || (self.prompt.is_none() && self.turn.is_none() && self.waiting == 0)
    }

    /// How it ended.
    fn outcome(self) -> Result<(), Error> {
        match self.last {
            Some(TurnOutcome::Failed { reason }) => Err(Error::TurnFailed(reason)),
            Some(TurnOutcome::Stopped) => Err(Error::TurnStopped),
            Some(TurnOutcome::Completed) | None => Ok(()),
        }
    }

    fn is_wanted(&self, prompt: &PromptId) -> bool {
        self.prompt.as_ref().is_none_or(|wanted| wanted == prompt)
    }

    /// Reads a state.
    fn begin(&mut self, snapshot: &SessionSnapshot) {
        let running = snapshot.turns.iter().rev().find(|turn| turn.end.is_none());
        self.turn = running.map(|turn| (turn.id.clone(), turn.prompt_id.clone()));
        self.waiting = snapshot.prompts.iter().filter(|prompt| prompt.state == PromptState::Queued).count();
        let newest = snapshot.turns.iter().rev().find(|turn| self.is_wanted(&turn.prompt_id));
        self.last = newest.and_then(|turn| turn.end.as_ref()).map(|end| end.outcome.clone());
        let prompt = snapshot.prompts.iter().find(|prompt| self.prompt.as_ref() == Some(&prompt.id));
        match prompt.map(|prompt| prompt.state) {
            Some(PromptState::Cancelled) => self.take_back(),
            Some(PromptState::Done | PromptState::Failed) => self.is_over = true,
            Some(PromptState::Queued | PromptState::Running) | None => {}
        }
    }

    fn take_back(&mut self) {
        self.last = Some(TurnOutcome::Stopped);
        self.is_over = true;
    }

    /// Reads an event.
    fn apply(&mut self, event: &SessionEvent) {
        if let SessionEvent::PromptQueued { .. } = event {
            self.waiting += 1;
        } else if let SessionEvent::PromptCancelled { prompt_id, .. } = event {
            self.waiting = self.waiting.saturating_sub(1);
            if self.prompt.as_ref() == Some(prompt_id) {
                self.take_back();
            }
        } else if let SessionEvent::TurnStarted { turn } = event {
            self.waiting = self.waiting.saturating_sub(1);
            self.turn = Some((turn.id.clone(), turn.prompt_id.clone()));
        } else if let SessionEvent::PromptSteered { prompt_id, turn_id } = event {
            self.waiting = self.waiting.saturating_sub(1);
            // The turn's end is the prompt's.
            if self.prompt.as_ref() == Some(prompt_id) {
                self.turn = Some((turn_id.clone(), prompt_id.clone()));
            }
        } else if let SessionEvent::TurnEnded { end, prompt_state, turn_id } = event {
            let of = self.turn.take().filter(|(id, _)| id == turn_id);
            if *prompt_state == PromptState::Queued {
                self.waiting += 1;
            } else if of.is_none_or(|(_, prompt)| self.is_wanted(&prompt)) {
                self.last = Some(end.outcome.clone());
                self.is_over = self.prompt.is_some();
            }
        }
    }
}

/// Prints what a session says: of `prompt`, or of all that it has before it.
async fn follow(api: &Api, session: &SessionId, prompt: Option<&PromptId>) -> Result<(), Error> {
    let mut live = Live::new(api, session);
    let mut transcript = Transcript::of_stdout();
    let mut pending = Pending { prompt: prompt.cloned(), ..Pending::default() };
    let mut is_present = false;
    while !is_present || !pending.is_over() {
        match live.next().await? {
            Told::Snapshot(snapshot) => {
                show(&mut transcript, &snapshot, prompt);
                pending.begin(&snapshot);
            }
            Told::Event(record) => {
                transcript.show(&record.event);
                pending.apply(&record.event);
            }
            Told::CaughtUp => is_present = true,
            Told::Rejected(error) => return Err(error),
        }
    }
    transcript.finish();
    pending.outcome()
}

/// Prints the newest turn of a session, or that of `prompt`, as far as it is.
fn show(transcript: &mut Transcript, snapshot: &SessionSnapshot, prompt: Option<&PromptId>) {
    if let Some(hold) = &snapshot.budget.hold {
        transcript.hold(hold);
    }
    let turn = snapshot.turns.iter().rev().find(|turn| prompt.is_none_or(|wanted| turn.prompt_id == *wanted));
    let Some(turn) = turn else {
        transcript.sandbox(&snapshot.sandbox);
        return;
    };
    for prompt in snapshot.prompts.iter().filter(|prompt| prompt.id == turn.prompt_id) {
        transcript.prompt(prompt);
    }
    for item in snapshot.items.iter().filter(|item| item.turn_id == turn.id) {
        transcript.item(&item.id, &item.content);
    }
    if let Some(end) = &turn.end {
        transcript.end(end);
    }
}

/// The turns and artifacts of a session as they are.
async fn snapshot(live: &mut Live) -> Result<Box<SessionSnapshot>, Error> {
    let mut known: Option<Box<SessionSnapshot>> = None;
    loop {
        match live.next().await? {
            Told::Snapshot(snapshot) => known = Some(snapshot),
            Told::Event(record) => {
                if let Some(known) = &mut known {
                    apply(known, record.event);
                }
            }
            Told::CaughtUp => {
                if let Some(known) = known.take() {
                    return Ok(known);
                }
            }
            Told::Rejected(error) => return Err(error),
        }
    }
}

fn apply(snapshot: &mut SessionSnapshot, event: SessionEvent) {
    if let SessionEvent::TurnStarted { turn } = event {
        snapshot.turns.push(turn);
    } else if let SessionEvent::TurnEnded { turn_id, end, .. } = event {
        for turn in snapshot.turns.iter_mut().filter(|turn| turn.id == turn_id) {
            turn.end = Some(end.clone());
        }
    } else if let SessionEvent::ArtifactChanged { artifact } = event {
        snapshot.artifacts.retain(|other| other.id != artifact.id);
        snapshot.artifacts.push(artifact);
    }
}

async fn diff(api: &Api, session: &SessionId) -> Result<(), Error> {
    let snapshot = snapshot(&mut Live::new(api, session)).await?;
    let files = snapshot.artifacts.iter().find_map(|artifact| match &artifact.content {
        ArtifactContent::Diff { files } => Some(files.as_slice()),
        ArtifactContent::Branch { .. }
        | ArtifactContent::PullRequest { .. }
        | ArtifactContent::File { .. }
        | ArtifactContent::Unknown => None,
    });
    let (patch, omitted) = render(files.unwrap_or_default());
    if patch.is_empty() && omitted.is_empty() {
        eprintln!("The session has changed nothing yet.");
    }
    for path in omitted {
        eprintln!("left out, because it is binary or too large: {path}");
    }
    print(&patch)
}

async fn stop(api: &Api, session: &SessionId) -> Result<(), Error> {
    let mut live = Live::new(api, session);
    let snapshot = snapshot(&mut live).await?;
    let Some(turn) = snapshot.turns.iter().rev().find(|turn| turn.end.is_none()) else {
        return Err(Error::Local("no turn is running".to_owned()));
    };
    live.send(&ClientMessage::Stop { turn_id: turn.id.clone() }).await?;
    loop {
        match live.next().await? {
            Told::Event(record) => {
                if let SessionEvent::StopRequested { turn_id, .. } | SessionEvent::TurnEnded { turn_id, .. } =
                    record.event
                    && turn_id == turn.id
                {
                    eprintln!("It is told to stop.");
                    return Ok(());
                }
            }
            Told::Rejected(error) => return Err(error),
            Told::Snapshot(_) | Told::CaughtUp => {}
        }
    }
}

fn open(api: &Api, session: &SessionId, only_print: bool) -> Result<(), Error> {
    let page = api.page(session);
    if !only_print && std::io::stdout().is_terminal() {
        let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
        let opened = std::process::Command::new(opener).arg(&page).status();
        if opened.is_ok_and(|status| status.success()) {
            return Ok(());
        }
    }
    print(&format!("{page}\n"))
}
