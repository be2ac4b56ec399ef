//! A growing piece of text or reasoning. Pieces are sent once; the final text adds what is missing. Used by `output`.

use super::Place;
use super::text::{pieces, split_piece, utf16_length};
use protocol::timeline::ItemContent;

/// An agent that writes more into one piece is cut.
const PROSE_BYTES_MAX: usize = 1024 * 1024;

/// What kind of prose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProseKind {
    /// For the reader.
    Text,
    /// The agent's thinking.
    Reasoning,
}

pub(super) struct Prose {
    place: Place,
    kind: ProseKind,
    /// What the session has.
    sent: String,
    sent_utf16: u64,
    full: bool,
}

impl Prose {
    pub(super) fn new(place: Place, kind: ProseKind) -> Self {
        Self { place, kind, sent: String::new(), sent_utf16: 0, full: false }
    }

    pub(super) async fn append(&mut self, text: &str) {
        for piece in pieces(text) {
            self.send(piece).await;
        }
    }

    async fn send(&mut self, piece: &str) {
        if self.full {
            return;
        }
        self.full = self.sent.len() + piece.len() > PROSE_BYTES_MAX;
        let piece = if self.full { "\n\n*The rest was left out because it is too long.*" } else { piece };
        if self.sent.is_empty() {
            self.place.change(self.content(piece, Done::No)).await;
        } else {
            self.place.append(self.sent_utf16, piece).await;
        }
        self.sent.push_str(piece);
        self.sent_utf16 += utf16_length(piece);
    }

    /// The agent's last word on this piece. White space that it trimmed at the end is not worth an event.
    pub(super) async fn finish(&mut self, text: &str) {
        if self.full {
            return;
        }
        if let Some(rest) = text.strip_prefix(self.sent.as_str()) {
            self.append(rest).await;
        } else if self.sent.trim_end() != text.trim_end() {
            let (first, rest) = split_piece(text);
            self.place.change(self.content(first, Done::Yes)).await;
            self.sent = first.to_owned();
            self.sent_utf16 = utf16_length(first);
            self.append(rest).await;
        }
    }

    fn content(&self, text: &str, done: Done) -> ItemContent {
        let (text, done) = (text.to_owned(), matches!(done, Done::Yes));
        match self.kind {
            ProseKind::Text => ItemContent::Text { text, done },
            ProseKind::Reasoning => ItemContent::Reasoning { text, done },
        }
    }
}

enum Done {
    Yes,
    No,
}
