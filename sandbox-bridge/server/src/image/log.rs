//! The log of one build on its way to the repository: without secrets, in pieces that name their place, again until they are there.
//!
//! What a build says beyond the first half of what is kept is held back, and its end is sent when the build is over.

use crate::backoff::Backoff;
use crate::edge::EdgeClient;
use crate::gateway::redact::Redactor;
use bytes::Bytes;
use protocol::id::{BuildId, RepositoryId};
use protocol::limit::{BUILD_LOG_BYTES_MAX, BUILD_LOG_PIECE_BYTES_MAX};
use protocol::repository::BuildLogPiece;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Told live; the rest of what is kept is for the end.
const LIVE_BYTES_MAX: usize = BUILD_LOG_BYTES_MAX / 2;
/// Kept of what is not told live; with the note of what is missing it is less than the rest.
const END_BYTES_MAX: usize = BUILD_LOG_BYTES_MAX / 2 - 1024;
/// Shortest time between two pieces.
const PIECE_PAUSE: Duration = Duration::from_millis(250);

/// A build's log. Written by the build, told by [`BuildLog::tell`].
pub(super) struct BuildLog {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    text: String,
    /// What comes after `text` is full: its end, and how much of it is lost.
    end: String,
    lost: usize,
    /// Bytes that are not yet a whole character.
    cut: Vec<u8>,
    redactor: Redactor,
    step: String,
    is_over: bool,
}

/// Nobody wants the log: the repository knows no such build.
#[derive(Debug, thiserror::Error)]
#[error("the repository does not know this build")]
pub(super) struct Unwanted;

impl BuildLog {
    /// An empty log that never shows these secrets.
    pub(super) fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let state = State {
            text: String::new(),
            end: String::new(),
            lost: 0,
            cut: Vec::new(),
            redactor: Redactor::new(secrets),
            step: String::new(),
            is_over: false,
        };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    /// The build is at this from here on.
    pub(super) fn begin(&self, step: &str) {
        let mut state = self.lock();
        state.flush();
        step.clone_into(&mut state.step);
        drop(state);
        self.line(&format!("== {step}"));
    }

    /// What the build is at.
    pub(super) fn step(&self) -> String {
        self.lock().step.clone()
    }

    /// A line of the bridge's own.
    pub(super) fn line(&self, text: &str) {
        let mut state = self.lock();
        state.flush();
        state.write(format!("{text}\n").into_bytes());
        state.flush();
        drop(state);
        self.changed.notify_one();
    }

    /// Output of a command, as it comes.
    pub(super) fn output(&self, bytes: Vec<u8>) {
        self.lock().write(bytes);
        self.changed.notify_one();
    }

    /// Nothing more will come.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.flush();
        if !state.end.is_empty() {
            state.cut_end();
            let lost = match state.lost {
                0 => String::new(),
                lost => format!("\n[… {lost} bytes left out …]\n"),
            };
            let end = std::mem::take(&mut state.end);
            state.text.push_str(&lost);
            state.text.push_str(&end);
        }
        state.is_over = true;
        drop(state);
        self.changed.notify_one();
    }

    /// The last of what was said, of at most so many lines and bytes.
    pub(super) fn last_lines(&self, lines: usize, bytes: usize) -> String {
        let state = self.lock();
        let text = if state.end.is_empty() { &state.text } else { &state.end };
        let from = text.ceil_char_boundary(text.len().saturating_sub(bytes));
        let kept: Vec<&str> =
            text.get(from..).unwrap_or_default().lines().filter(|line| !line.trim().is_empty()).collect();
        kept.get(kept.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
    }

    /// Tells the repository until everything is told and the log is closed.
    pub(super) async fn tell(
        &self,
        edge: &EdgeClient,
        repository: &RepositoryId,
        build: &BuildId,
    ) -> Result<(), Unwanted> {
        let mut told = 0;
        let mut backoff = Backoff::new();
        loop {
            let piece = match self.piece(told) {
                Some(piece) => piece,
                None if self.lock().is_over => return Ok(()),
                None => {
                    self.changed.notified().await;
                    continue;
                }
            };
            match edge.build_log(repository, build, &piece).await {
                Ok(ack) => {
                    backoff.reset();
                    told = self.boundary(ack.offset);
                    if !self.lock().is_over {
                        tokio::time::sleep(PIECE_PAUSE).await;
                    }
                }
                Err(error) if error.is_final_for_warm() => return Err(Unwanted),
                Err(error) => {
                    tracing::warn!(%build, %error, "telling the log of a build again");
                    backoff.wait().await;
                }
            }
        }
    }

    fn piece(&self, told: usize) -> Option<BuildLogPiece> {
        let state = self.lock();
        let end = state.text.floor_char_boundary(told.saturating_add(BUILD_LOG_PIECE_BYTES_MAX));
        let text = state.text.get(told..end).filter(|text| !text.is_empty())?.to_owned();
        Some(BuildLogPiece { offset: told as u64, text, step: state.step.clone() })
    }

    /// Where to go on: an answer that makes no sense does not lead between two bytes of a character.
    fn boundary(&self, offset: u64) -> usize {
        let state = self.lock();
        state.text.floor_char_boundary(usize::try_from(offset).unwrap_or(usize::MAX).min(state.text.len()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self, bytes: Vec<u8>) {
        let clean = self.redactor.pass(Bytes::from(bytes));
        self.take(&clean);
    }

    /// What was held back because more could come.
    fn flush(&mut self) {
        let rest = self.redactor.finish();
        self.take(&rest);
        if !self.cut.is_empty() {
            let cut = std::mem::take(&mut self.cut);
            self.append(&String::from_utf8_lossy(&cut));
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.cut.extend_from_slice(bytes);
        let bytes = std::mem::take(&mut self.cut);
        // A character that has begun at the end may go on in the next chunk.
        let whole = match std::str::from_utf8(&bytes) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Ok(_) | Err(_) => bytes.len(),
        };
        let (text, cut) = bytes.split_at(whole);
        self.cut = cut.to_vec();
        let text = String::from_utf8_lossy(text).replace('\0', "");
        self.append(&text);
    }

    fn append(&mut self, text: &str) {
        let room = if self.end.is_empty() { LIVE_BYTES_MAX.saturating_sub(self.text.len()) } else { 0 };
        let (live, rest) = text.split_at(text.floor_char_boundary(room));
        self.text.push_str(live);
        self.end.push_str(rest);
        // Cut seldom, not with every line.
        if self.end.len() > 2 * END_BYTES_MAX {
            self.cut_end();
        }
    }

    fn cut_end(&mut self) {
        let from = self.end.ceil_char_boundary(self.end.len().saturating_sub(END_BYTES_MAX));
        self.end.drain(..from);
        self.lost += from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(log: &BuildLog) -> String {
        let mut text = String::new();
        while let Some(piece) = log.piece(text.len()) {
            assert_eq!(piece.offset, text.len() as u64);
            assert!(piece.text.len() <= BUILD_LOG_PIECE_BYTES_MAX);
            text.push_str(&piece.text);
        }
        text
    }

    #[test]
    fn pieces_follow_each_other_and_show_no_secret() {
        let log = BuildLog::new(["hunter2".to_owned()]);
        log.begin("npm ci");
        log.output(b"token hun".to_vec());
        log.output(b"ter2 \xc3".to_vec());
        log.output(b"\xa4 \xff\n".to_vec());
        log.close();
        assert_eq!(text_of(&log), "== npm ci\ntoken ******* ä \u{fffd}\n");
        assert_eq!(log.step(), "npm ci");
    }

    #[test]
    fn a_flood_keeps_its_beginning_and_its_end() {
        let log = BuildLog::new([]);
        log.output(b"first\n".to_vec());
        let line = "x".repeat(99) + "\n";
        for _ in 0..40_000 {
            log.output(line.clone().into_bytes());
        }
        log.output(b"last\n".to_vec());
        log.close();
        let text = text_of(&log);
        assert!(text.len() <= BUILD_LOG_BYTES_MAX, "{}", text.len());
        assert!(text.starts_with("first\n") && text.ends_with("last\n") && text.contains("bytes left out"));
        assert_eq!(log.last_lines(1, 100), "last");
    }

    #[test]
    fn an_answer_that_makes_no_sense_leads_to_a_whole_character() {
        let log = BuildLog::new([]);
        log.output("ä".repeat(10).into_bytes());
        assert_eq!((log.boundary(3), log.boundary(4), log.boundary(u64::MAX)), (2, 4, 20));
    }
}
