//! Prints a session as it happens: text as it streams, one line per tool call and state. What agents and people wrote is text: nothing of it
//! moves a terminal's cursor.

use protocol::id::ItemId;
use protocol::timeline::{
    ArtifactContent, BudgetState, EgressDenial, Hold, ItemContent, NoticeLevel, PlanStepState, Prompt,
    SandboxStatus, SessionEvent, ToolState, TurnEnd, TurnOutcome,
};
use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write};

/// Lines of a tool's output that are shown.
const OUTPUT_LINES_MAX: usize = 14;

/// What is shown of tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tools {
    /// One line each.
    Folded,
    /// Commands with the end of their output.
    WithOutput,
}

/// What has been printed.
pub struct Transcript {
    to: Box<dyn Write>,
    has_colour: bool,
    tools: Tools,
    /// The prose item whose text stands at the end of the terminal.
    open: Option<ItemId>,
    /// How much of each prose item is printed, in UTF-16 code units.
    printed: BTreeMap<ItemId, usize>,
    finished_tools: Vec<ItemId>,
    tool_output: BTreeMap<ItemId, String>,
    last_step: String,
}

impl Transcript {
    /// On standard output, for `farhand`.
    #[must_use]
    pub fn of_stdout() -> Self {
        Self::new(Box::new(std::io::stdout()), std::io::stdout().is_terminal(), Tools::Folded)
    }

    /// On standard error and in more words, for demonstrations.
    #[must_use]
    pub fn of_stderr() -> Self {
        Self::new(Box::new(std::io::stderr()), std::io::stderr().is_terminal(), Tools::WithOutput)
    }

    fn new(to: Box<dyn Write>, is_terminal: bool, tools: Tools) -> Self {
        // https://no-color.org
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            to,
            has_colour: is_terminal && !is_plain,
            tools,
            open: None,
            printed: BTreeMap::new(),
            finished_tools: Vec::new(),
            tool_output: BTreeMap::new(),
            last_step: String::new(),
        }
    }

    /// Ends an open line.
    pub fn finish(&mut self) {
        if self.open.take().is_some() {
            self.put("\n\n");
        }
    }

    /// A reader that has gone, such as `head`, has seen enough.
    fn put(&mut self, text: &str) {
        let _ = self.to.write_all(text.as_bytes());
        let _ = self.to.flush();
    }

    fn dim(&self, text: &str) -> String {
        if self.has_colour { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn bold(&self, text: &str) -> String {
        if self.has_colour { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn line(&mut self, text: &str) {
        self.finish();
        self.put(&format!("{text}\n"));
    }

    /// What somebody submitted.
    pub fn prompt(&mut self, prompt: &Prompt) {
        let text = format!("{} {}\n", self.bold("▌"), plain(&prompt.text).replace('\n', "\n  "));
        self.line(&text);
    }

    /// How a turn ended.
    pub fn end(&mut self, end: &TurnEnd) {
        self.finish();
        match &end.outcome {
            TurnOutcome::Completed => {}
            TurnOutcome::Stopped => self.line("■ stopped"),
            TurnOutcome::Failed { reason } => self.line(&format!("✗ failed: {reason}")),
        }
        if let Some(change) = &end.change {
            let text = format!(
                "● commit {:.12} “{}” on {} (+{} −{}, files: {})",
                change.commit,
                plain(&change.subject),
                change.branch,
                change.additions,
                change.deletions,
                change.files_changed
            );
            self.line(&text);
        }
    }

    /// A recorded fact.
    pub fn show(&mut self, event: &SessionEvent) {
        match event {
            SessionEvent::PromptQueued { prompt } => self.prompt(prompt),
            SessionEvent::SandboxChanged { status } => self.sandbox(status),
            SessionEvent::TurnStarted { turn } if turn.attempt > 1 => {
                let text = format!("↻ attempt {}", turn.attempt);
                self.line(&text);
            }
            SessionEvent::ItemChanged { item } | SessionEvent::ItemRevised { item } => {
                self.item(&item.id, &item.content);
            }
            SessionEvent::ItemAppended { item_id, offset, text } => self.appended(item_id, *offset, text),
            SessionEvent::TurnEnded { end, .. } => self.end(end),
            SessionEvent::SnapshotTaken { snapshot_id } => {
                let text = self.dim(&format!("● snapshot {snapshot_id}"));
                self.line(&text);
            }
            SessionEvent::ArtifactChanged { artifact } => {
                if let ArtifactContent::PullRequest { number, url, title, .. } = &artifact.content {
                    self.line(&format!("● pull request #{number} “{}” {url}", plain(title)));
                }
            }
            SessionEvent::EffectFailed { what, reason } => self.line(&format!("✗ {what}: {reason}")),
            SessionEvent::BudgetChanged(BudgetState { hold: Some(hold), .. }) => self.hold(hold),
            SessionEvent::EgressDenied { denial } => {
                let EgressDenial { host, port, reason, count } = denial;
                self.line(&format!("✗ refused: {host}:{port} ({reason}, {count}×)"));
            }
            SessionEvent::PullRequestChanged { number, state } => {
                self.line(&format!("● pull request #{number}: {state:?}"));
            }
            SessionEvent::ReviewAdded { number, review } => {
                self.line(&format!("● {} on #{number}: {}", review.author, plain(&review.text)));
            }
            SessionEvent::SessionCreated { .. }
            | SessionEvent::TitleChanged { .. }
            | SessionEvent::ParticipantJoined { .. }
            | SessionEvent::PromptCancelled { .. }
            | SessionEvent::PromptEdited { .. }
            | SessionEvent::PromptMoved { .. }
            | SessionEvent::PromptSteered { .. }
            | SessionEvent::RoleChanged { .. }
            | SessionEvent::TurnStarted { .. }
            | SessionEvent::StopRequested { .. }
            | SessionEvent::ConversationRestored { .. }
            | SessionEvent::SessionArchived { .. }
            | SessionEvent::SessionUnarchived { .. }
            | SessionEvent::BudgetChanged(_)
            | SessionEvent::Unknown => {}
        }
    }

    /// What prompts wait for.
    pub fn hold(&mut self, hold: &Hold) {
        self.line(&format!("… waiting: {}", plain(&hold.reason)));
    }

    /// How the sandbox is.
    pub fn sandbox(&mut self, status: &SandboxStatus) {
        let text = match status {
            SandboxStatus::None => return,
            SandboxStatus::Starting { step, .. } => format!("○ sandbox: {step}"),
            SandboxStatus::Ready { description, .. } => {
                format!(
                    "○ sandbox ready: {}, {:?}, {}\n",
                    description.provider, description.isolation, description.agent
                )
            }
            SandboxStatus::Stopped { .. } => "○ sandbox stopped".to_owned(),
            SandboxStatus::Failed { reason } => format!("✗ sandbox failed: {reason}"),
        };
        if text != self.last_step {
            let dim = self.dim(&text);
            self.line(&dim);
            self.last_step = text;
        }
    }

    /// A piece of a turn's output, as far as it is not printed yet.
    pub fn item(&mut self, id: &ItemId, content: &ItemContent) {
        match content {
            ItemContent::Text { text, .. } | ItemContent::Reasoning { text, .. } => self.prose(id, text),
            ItemContent::Tool { name, title, state, output, .. } => self.tool(id, name, title, state, output),
            ItemContent::Plan { steps } => {
                for step in steps {
                    let mark = match step.state {
                        PlanStepState::Done => "✓",
                        PlanStepState::Running => "▸",
                        PlanStepState::Cancelled => "−",
                        PlanStepState::Pending | PlanStepState::Unknown => "·",
                    };
                    self.line(&format!("  {mark} {}", plain(&step.text)));
                }
            }
            ItemContent::Notice { level, text } => {
                let mark = match level {
                    NoticeLevel::Error => "✗",
                    NoticeLevel::Warning => "!",
                    NoticeLevel::Info | NoticeLevel::Unknown => "·",
                };
                self.line(&format!("{mark} {}", plain(text)));
            }
            ItemContent::Unknown => {}
        }
    }

    /// The whole text of a prose item: what is not printed yet follows.
    fn prose(&mut self, id: &ItemId, text: &str) {
        let printed = self.printed.get(id).copied().unwrap_or(0);
        let units: Vec<u16> = text.encode_utf16().collect();
        if let Some(rest) = units.get(printed..).filter(|rest| !rest.is_empty()) {
            self.write(id, &String::from_utf16_lossy(rest));
            self.printed.insert(id.clone(), units.len());
        }
    }

    fn appended(&mut self, id: &ItemId, offset: u64, text: &str) {
        if let Some(output) = self.tool_output.get_mut(id) {
            output.push_str(text);
            return;
        }
        let printed = self.printed.get(id).copied().unwrap_or(0);
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let units: Vec<u16> = text.encode_utf16().collect();
        let fresh = printed.checked_sub(offset).and_then(|known| units.get(known..)).unwrap_or_default();
        if !fresh.is_empty() {
            self.write(id, &String::from_utf16_lossy(fresh));
            self.printed.insert(id.clone(), offset.saturating_add(units.len()));
        }
    }

    fn write(&mut self, id: &ItemId, text: &str) {
        if self.open.as_ref() != Some(id) {
            self.finish();
            self.open = Some(id.clone());
        }
        self.put(&plain(text));
    }

    fn tool(&mut self, id: &ItemId, name: &str, title: &str, state: &ToolState, output: &str) {
        let mark = match state {
            ToolState::Running => {
                self.tool_output.insert(id.clone(), output.to_owned());
                return;
            }
            ToolState::Completed { exit_code: Some(code), .. } if *code != 0 => format!("exit code {code}"),
            ToolState::Completed { edit: Some(edit), .. } => {
                format!("+{} −{}", edit.additions, edit.deletions)
            }
            ToolState::Completed { duration_ms, .. } => format!("{duration_ms} ms"),
            ToolState::Failed { message, .. } => format!("failed: {message}"),
        };
        if self.finished_tools.contains(id) {
            return;
        }
        self.finished_tools.push(id.clone());
        let streamed = self.tool_output.remove(id).unwrap_or_default();
        let output = if output.is_empty() { streamed } else { output.to_owned() };
        let head = format!("▸ {} {} {}", self.bold(name), plain(title), self.dim(&format!("({mark})")));
        self.line(&head);
        if self.tools == Tools::Folded {
            return;
        }
        if name == "bash" || name == "run" {
            self.output(&plain(&output));
        }
        self.put("\n");
    }

    fn output(&mut self, output: &str) {
        let lines: Vec<&str> = output.lines().collect();
        let skipped = lines.len().saturating_sub(OUTPUT_LINES_MAX);
        if skipped > 0 {
            let text = self.dim(&format!("    … {skipped} lines"));
            self.line(&text);
        }
        for line in lines.get(skipped..).unwrap_or_default() {
            let text = self.dim(&format!("    {line}"));
            self.line(&text);
        }
    }
}

/// Without control characters other than line breaks and tabs.
fn plain(text: &str) -> String {
    text.chars().filter(|letter| matches!(letter, '\n' | '\t') || !letter.is_control()).collect()
}
