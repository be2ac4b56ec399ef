//! The scripted agent: does what the prompt's lines say, the same each time, through the same doors as a real agent.
//!
//! It changes files and runs commands in the workspace for real. Used by tests, measurements and demonstrations without a model.

mod directive;
mod process;

use super::{Agent, AgentReport, AgentSettings, TurnRequest};
use crate::attachment::{Piece, prepare};
use crate::gate::EditGate;
use crate::git::Identity;
use crate::output::{MadeFile, Output, ProseKind, ToolCall};
use crate::steer::{Steer, Steers};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use directive::{Directive, HELP, parse_prompt};
use futures::FutureExt;
use futures::future::BoxFuture;
use protocol::attachment::Picture;
use protocol::runner::TurnOrder;
use protocol::timeline::{LineCount, ToolState, TurnOutcome, Usage};
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::time::Instant;

/// Bytes of generated output that are handed on at a time.
const OUTPUT_PIECE_BYTES: usize = 4096;

/// Works in one folder.
pub(crate) struct ScriptedAgent {
    workspace: PathBuf,
    /// For the commands that it runs.
    variables: Vec<(String, String)>,
}

/// What a directive may want to know of the turn.
struct Task<'a> {
    order: &'a TurnOrder,
    identity: &'a Identity,
    edits: &'a EditGate,
}

/// What is still to be done.
#[derive(Default)]
struct Script {
    directives: VecDeque<Directive>,
    /// What came along with its prompts, in words.
    attached: Vec<String>,
    taken: usize,
}

impl Script {
    /// Adds the directives of a prompt; one without any is told what there is.
    fn add(&mut self, prompt: &str) {
        let directives = parse_prompt(prompt);
        if directives.is_empty() {
            self.directives.push_back(Directive::Say { text: HELP.to_owned() });
        }
        self.directives.extend(directives);
    }

    /// Remembers what came along. It is never read for directives: what others wrote is looked at, not obeyed.
    fn attach(&mut self, pieces: &[Piece]) {
        self.attached.extend(pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Picture { name, picture } => {
                let Picture { media_type, data, width, height } = picture;
                format!("picture {name} {media_type} {width}×{height}, {} characters", data.len())
            }
        }));
    }

    fn attached(&self) -> String {
        if self.attached.is_empty() { "Nothing came along.".to_owned() } else { self.attached.join("\n") }
    }

    /// The next directive, with a key of its own for what it shows.
    fn next(&mut self) -> Option<(String, Directive)> {
        let directive = self.directives.pop_front()?;
        self.taken += 1;
        Some((self.taken.to_string(), directive))
    }
}

/// Why a script does not go on.
enum Break {
    Failed(String),
}

impl ScriptedAgent {
    /// An agent that works in `workspace`.
    pub(crate) fn new(workspace: PathBuf, variables: Vec<(String, String)>) -> Self {
        Self { workspace, variables }
    }

    async fn follow(&self, request: &mut TurnRequest<'_>, output: &mut Output) -> Result<(), Break> {
        let task = Task { order: request.order, identity: request.identity, edits: request.edits };
        let mut script = Script::default();
        script.add(&task.order.prompt);
        script.attach(&prepare(&self.workspace, &task.order.attachments).await);
        loop {
            let Some((key, directive)) = script.next() else {
                let Some(steer) = request.steers.next_or_close() else { return Ok(()) };
                self.take(&mut script, steer, request.steers).await;
                continue;
            };
            if directive == Directive::Attachments {
                output.append_prose(&key, ProseKind::Text, &script.attached()).await;
                continue;
            }
            let mut obeying = std::pin::pin!(self.obey(&key, directive, &task, output));
            loop {
                tokio::select! {
                    result = &mut obeying => break result?,
                    steer = request.steers.next() => self.take(&mut script, steer, request.steers).await,
                }
            }
        }
    }

    async fn take(&self, script: &mut Script, steer: Steer, steers: &mut Steers) {
        script.add(&steer.prompt);
        script.attach(&prepare(&self.workspace, &steer.attachments).await);
        steers.report_taken(steer).await;
    }

    async fn obey(
        &self,
        key: &str,
        directive: Directive,
        task: &Task<'_>,
        output: &mut Output,
    ) -> Result<(), Break> {
        if matches!(directive, Directive::Write { .. } | Directive::Append { .. } | Directive::Run { .. }) {
            task.edits.passed().await.map_err(Break::Failed)?;
        }
        match directive {
            Directive::Say { text } => output.append_prose(key, ProseKind::Text, &text).await,
            Directive::Think { text } => output.append_prose(key, ProseKind::Reasoning, &text).await,
            Directive::Stream { count, delay } => {
                for word in 0..count {
                    output.append_prose(key, ProseKind::Text, &format!("word{word} ")).await;
                    if !delay.is_zero() {
                        tokio::time::sleep(delay).await;
                    }
                }
            }
            Directive::Write { path, content } => {
                self.write(key, ("write", &path), &content, |path| std::fs::write(path, &content), output)
                    .await;
            }
            Directive::Append { path, content } => {
                let append = |path: &Path| {
                    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path)?;
                    file.write_all(content.as_bytes())
                };
                self.write(key, ("append", &path), &content, append, output).await;
            }
            Directive::Run { command } => self.run(key, &command, task.identity, output).await,
            Directive::Read { path } => self.read(key, &path, output).await,
            Directive::Plan { steps } => output.set_plan(steps).await,
            Directive::Wait { time } => tokio::time::sleep(time).await,
            Directive::Fail { reason } => return Err(Break::Failed(reason)),
            // The death of the whole runner is what is asked for.
            Directive::Exit { code } => std::process::exit(code),
            Directive::Hang => std::future::pending().await,
            Directive::Output { bytes } => generate(key, bytes, output).await,
            // It is the script's to know.
            Directive::Attachments => {}
            Directive::Means => {
                let means = task.order.means.as_deref().unwrap_or("Nothing is limited.");
                output.append_prose(key, ProseKind::Text, means).await;
            }
            Directive::Digest => {
                let digest = task.order.digest.as_deref().unwrap_or("There is no digest.");
                output.append_prose(key, ProseKind::Text, digest).await;
            }
        }
        Ok(())
    }

    /// The path inside the workspace; anything that leads out of it is refused.
    fn inside(&self, path: &str) -> std::io::Result<PathBuf> {
        let relative = Path::new(path);
        if relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            Ok(self.workspace.join(relative))
        } else {
            Err(std::io::Error::other(format!("{path} is not inside the workspace")))
        }
    }

    async fn write(
        &self,
        key: &str,
        (name, path): (&str, &str),
        content: &str,
        write: impl FnOnce(&Path) -> std::io::Result<()>,
        output: &mut Output,
    ) {
        let began = Instant::now();
        let result = self.inside(path).and_then(|full| {
            let before =
                if name == "write" { count_lines(&std::fs::read(&full).unwrap_or_default()) } else { 0 };
            std::fs::create_dir_all(full.parent().unwrap_or(&self.workspace))?;
            write(&full).map(|()| before)
        });
        let edit = |deletions| LineCount { additions: count_lines(content.as_bytes()), deletions };
        let state = match result {
            Ok(deletions) => completed(began, None, Some(edit(deletions))),
            Err(error) => failed(began, &error),
        };
        output.set_tool(key, call(name, path, content, state), "").await;
    }

    async fn read(&self, key: &str, path: &str, output: &mut Output) {
        let began = Instant::now();
        let read = self.inside(path).and_then(std::fs::read).map(String::from_utf8);
        let (state, text, picture) = match read {
            Ok(Ok(text)) => (completed(began, None, None), text, None),
            // As agents do with what is no text.
            Ok(Err(error)) => (completed(began, None, None), String::new(), Some(error.into_bytes())),
            Err(error) => (failed(began, &error), String::new(), None),
        };
        output.set_tool(key, call("read", path, path, state), &text).await;
        let name = Path::new(path).file_name().and_then(OsStr::to_str).unwrap_or(path);
        let file =
            picture.map(|bytes| MadeFile { name: name.to_owned(), data: BASE64_STANDARD.encode(bytes) });
        output.keep_files(key, file.into_iter().collect()).await;
    }

    async fn run(&self, key: &str, command: &str, identity: &Identity, output: &mut Output) {
        let began = Instant::now();
        output.set_tool(key, call("bash", command, command, ToolState::Running), "").await;
        let identity = identity.variables().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let variables = self.variables.iter().cloned().chain(identity);
        let state = match process::run(&self.workspace, command, variables, key, output).await {
            Ok(code) => completed(began, Some(code), None),
            Err(error) => failed(began, &error),
        };
        output.set_tool_state(key, call("bash", command, command, state)).await;
    }
}

async fn generate(key: &str, bytes: usize, output: &mut Output) {
    let began = Instant::now();
    let input = bytes.to_string();
    output.set_tool(key, call("output", "output", &input, ToolState::Running), "").await;
    let line = "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnop\n";
    let piece = line.repeat(OUTPUT_PIECE_BYTES.div_ceil(line.len()));
    let mut left = bytes;
    while left > 0 {
        let piece = piece.get(..left.min(OUTPUT_PIECE_BYTES)).unwrap_or(&piece);
        output.append_tool_output(key, piece).await;
        left -= piece.len().min(left);
        tokio::task::yield_now().await;
    }
    output.set_tool_state(key, call("output", "output", &input, completed(began, None, None))).await;
}

fn call(name: &str, title: &str, input: &str, state: ToolState) -> ToolCall {
    ToolCall { name: name.to_owned(), title: title.to_owned(), input: input.to_owned(), state }
}

fn completed(began: Instant, exit_code: Option<i32>, edit: Option<LineCount>) -> ToolState {
    ToolState::Completed { duration_ms: duration_ms(began), exit_code, edit }
}

fn failed(began: Instant, error: &std::io::Error) -> ToolState {
    ToolState::Failed { duration_ms: duration_ms(began), message: error.to_string() }
}

fn duration_ms(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn count_lines(bytes: &[u8]) -> u32 {
    let ends = bytes.iter().filter(|byte| **byte == b'\n').count();
    let unended = usize::from(bytes.last().is_some_and(|byte| *byte != b'\n'));
    u32::try_from(ends + unended).unwrap_or(u32::MAX)
}

impl Agent for ScriptedAgent {
    fn description(&self) -> String {
        format!("scripted {}", env!("CARGO_PKG_VERSION"))
    }

    fn configure(&mut self, _: AgentSettings) -> BoxFuture<'_, Result<(), String>> {
        async { Ok(()) }.boxed()
    }

    fn run_turn<'a>(
        &'a mut self,
        mut request: TurnRequest<'a>,
        output: &'a mut Output,
    ) -> BoxFuture<'a, AgentReport> {
        async move {
            let stopped = request.stop.cancelled();
            let outcome = tokio::select! {
                biased;
                () = stopped => TurnOutcome::Stopped,
                result = self.follow(&mut request, output) => match result {
                    Ok(()) => TurnOutcome::Completed,
                    Err(Break::Failed(reason)) => TurnOutcome::Failed { reason },
                },
            };
            AgentReport { outcome, usage: Usage::default() }
        }
        .boxed()
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}
