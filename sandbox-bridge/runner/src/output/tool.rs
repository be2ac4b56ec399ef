//! A call of a tool: its row, its state, its output within the limit. Used by `output`.
//!
//! Output is kept as a beginning and an end; what falls out between them is counted. While the call runs the beginning is sent
//! as it grows; the end follows when the call is over.

use super::text::{cut, pieces, split_piece, utf16_length};
use super::{FLUSH_EVERY, Place};
use protocol::id::ItemId;
use protocol::limit::TOOL_OUTPUT_BYTES_MAX;
use protocol::timeline::{ItemContent, ToolState};
use std::time::Instant;

const HALF_BYTES: usize = TOOL_OUTPUT_BYTES_MAX / 2;
const INPUT_BYTES_MAX: usize = 8 * 1024;
const TITLE_BYTES_MAX: usize = 300;

/// What a call looks like apart from its output.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ToolCall {
    pub(crate) name: String,
    /// One line: a command, a path, a pattern.
    pub(crate) title: String,
    /// As the agent sent it.
    pub(crate) input: String,
    pub(crate) state: ToolState,
}

pub(super) struct Tool {
    place: Place,
    began: Instant,
    call: Option<ToolCall>,
    head: String,
    tail: String,
    omitted: u64,
    /// Bytes of `head` that the session has, and their UTF-16 length.
    sent: usize,
    sent_utf16: u64,
    last_sent: Option<Instant>,
}

impl Tool {
    pub(super) fn new(place: Place) -> Self {
        Self {
            place,
            began: Instant::now(),
            call: None,
            head: String::new(),
            tail: String::new(),
            omitted: 0,
            sent: 0,
            sent_utf16: 0,
            last_sent: None,
        }
    }

    pub(super) fn id(&self) -> &ItemId {
        &self.place.id
    }

    fn is_over(&self) -> bool {
        self.call.as_ref().is_some_and(|call| call.state != ToolState::Running)
    }

    /// Takes a state with its whole output; gives whether output waits to be sent.
    pub(super) async fn set(&mut self, call: ToolCall, output: &str) -> bool {
        let running = call.state == ToolState::Running;
        let grown = if self.tail.is_empty() { output.strip_prefix(self.head.as_str()) } else { None };
        if running && self.call.as_ref() == Some(&trimmed(call.clone())) {
            return match grown {
                Some(grown) => self.append(grown).await,
                // Cut by the agent in another way than before: its last state will have it all.
                None => false,
            };
        }
        match grown {
            Some(grown) => self.keep(grown),
            None => {
                (self.head, self.tail, self.omitted) = (String::new(), String::new(), 0);
                self.keep(output);
            }
        }
        self.change(call).await;
        false
    }

    /// Takes more output; gives whether some waits to be sent.
    pub(super) async fn append(&mut self, output: &str) -> bool {
        self.keep(output);
        if self.last_sent.is_none_or(|sent| sent.elapsed() >= FLUSH_EVERY) {
            self.flush().await;
        }
        self.sent < self.head.len()
    }

    fn keep(&mut self, output: &str) {
        let room = if self.tail.is_empty() { HALF_BYTES.saturating_sub(self.head.len()) } else { 0 };
        let (first, rest) = output.split_at_checked(output.floor_char_boundary(room)).unwrap_or((output, ""));
        self.head.push_str(first);
        self.tail.push_str(rest);
        // Dropping from the front moves what stays, so it is done rarely.
        if self.tail.len() > 2 * HALF_BYTES {
            self.cut_tail();
        }
    }

    fn cut_tail(&mut self) {
        let surplus = self.tail.len().saturating_sub(HALF_BYTES);
        let surplus = self.tail.ceil_char_boundary(surplus);
        self.tail.drain(..surplus);
        self.omitted += surplus as u64;
    }

    /// Sends what the beginning of the output has grown by.
    pub(super) async fn flush(&mut self) {
        if self.is_over() || self.call.is_none() {
            return;
        }
        let grown = self.head.get(self.sent..).unwrap_or_default().to_owned();
        for piece in pieces(&grown) {
            self.place.append(self.sent_utf16, piece).await;
            self.sent_utf16 += utf16_length(piece);
            self.last_sent = Some(Instant::now());
        }
        self.sent = self.head.len();
    }

    /// Sends the whole state: a first piece of the output with it, the rest behind it.
    pub(super) async fn change(&mut self, call: ToolCall) {
        let call = self.call.insert(trimmed(call)).clone();
        let over = self.is_over();
        if over {
            self.cut_tail();
        }
        let output = if over { self.kept() } else { self.head.clone() };
        let (first, rest) = split_piece(&output);
        self.place
            .change(ItemContent::Tool {
                name: call.name,
                title: call.title,
                input: call.input,
                state: call.state,
                output: first.to_owned(),
                omitted_bytes: if over { self.omitted } else { 0 },
                artifact_id: None,
            })
            .await;
        self.sent_utf16 = utf16_length(first);
        for piece in pieces(rest) {
            self.place.append(self.sent_utf16, piece).await;
            self.sent_utf16 += utf16_length(piece);
        }
        self.sent = self.head.len();
        self.last_sent = (!output.is_empty()).then(Instant::now);
    }

    fn kept(&self) -> String {
        match self.omitted {
            0 => format!("{}{}", self.head, self.tail),
            omitted => format!("{}\n[… {omitted} bytes left out …]\n{}", self.head, self.tail),
        }
    }

    /// A call that still runs was cut.
    pub(super) async fn close(&mut self, why: &str) {
        if self.is_over() {
            return;
        }
        if let Some(call) = self.call.clone() {
            let duration_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.change(ToolCall {
                state: ToolState::Failed { duration_ms, message: why.to_owned() },
                ..call
            })
            .await;
        }
    }
}

fn trimmed(call: ToolCall) -> ToolCall {
    let first_line = call.title.trim().lines().next().unwrap_or_default();
    ToolCall { title: cut(first_line, TITLE_BYTES_MAX), input: cut(&call.input, INPUT_BYTES_MAX), ..call }
}
