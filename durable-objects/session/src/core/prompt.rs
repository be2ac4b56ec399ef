//! Prompts: which are accepted, which wait, and how one is taken back.

use super::input::Reply;
use super::limit::TITLE_CHARACTERS_MAX;
use super::step::Step;
use protocol::client::PromptRequest;
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::{PromptId, UserId};
use protocol::limit::{PROMPT_BYTES_MAX, QUEUE_PROMPTS_MAX};
use protocol::sign::sha256_hex;
use protocol::timeline::{Prompt, PromptState, Seq, SessionEvent, User};

/// A prompt that the session has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// [`prompt_digest`] of what was submitted.
    pub digest: String,
    /// Of the event that recorded it.
    pub seq: Seq,
}

/// A prompt that waits or whose turn runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedPrompt {
    /// Which.
    pub id: PromptId,
    /// Who wrote it.
    pub author: UserId,
    /// Tries begun so far.
    pub attempts: u32,
}

/// What makes two submissions under one id the same.
#[must_use]
pub fn prompt_digest(prompt: &Prompt) -> String {
    let origin = serde_json::to_string(&prompt.origin).unwrap_or_default();
    let parts = (prompt.author.as_str(), &prompt.text, &prompt.model, origin);
    sha256_hex(serde_json::to_string(&parts).unwrap_or_default().as_bytes())
}

impl Step<'_> {
    pub(super) fn submit_prompt(&mut self, author: &User, request: PromptRequest) -> Reply {
        let prompt = Prompt {
            id: request.id,
            author: author.id.clone(),
            origin: request.origin,
            text: request.text,
            model: request.model,
            submitted_at: self.now(),
            state: PromptState::Queued,
        };
        let digest = prompt_digest(&prompt);
        if let Some(earlier) = self.session.accepted.get(&prompt.id) {
            if earlier.digest == digest {
                return Reply::PromptAccepted { prompt_id: prompt.id, seq: earlier.seq };
            }
            return refuse(
                ErrorCode::IdConflict,
                "a prompt with this id but other content was submitted before; use a new id",
            );
        }
        if let Err(error) = self.check_prompt(&prompt) {
            return Reply::Refused(error);
        }
        self.join(author);
        let title = self.session.accepted.is_empty().then(|| title_from(&prompt.text));
        let prompt_id = prompt.id.clone();
        self.session.queue.push_back(QueuedPrompt {
            id: prompt_id.clone(),
            author: author.id.clone(),
            attempts: 0,
        });
        let seq = self.record(SessionEvent::PromptQueued { prompt });
        self.session.accepted.insert(prompt_id.clone(), Accepted { digest, seq });
        if let Some(title) = title {
            self.session.info.title.clone_from(&title);
            self.record(SessionEvent::TitleChanged { title });
        }
        Reply::PromptAccepted { prompt_id, seq }
    }

    fn check_prompt(&self, prompt: &Prompt) -> Result<(), ErrorBody> {
        let error = |code, message: String| Err(ErrorBody::new(code, message));
        if prompt.text.len() > PROMPT_BYTES_MAX {
            let bytes = prompt.text.len();
            return error(
                ErrorCode::TooLarge,
                format!("the prompt has {bytes} bytes; at most {PROMPT_BYTES_MAX} are accepted"),
            );
        }
        if prompt.text.trim().is_empty() {
            return error(ErrorCode::PromptEmpty, "the prompt has no text".to_owned());
        }
        if let Some(model) = &prompt.model
            && !self.context.models.contains(model)
        {
            let models = self.context.models.join(", ");
            return error(
                ErrorCode::ModelUnknown,
                format!("this model is not configured here; choose one of: {models}"),
            );
        }
        if self.waiting() >= QUEUE_PROMPTS_MAX {
            return error(
                ErrorCode::QueueFull,
                format!("{QUEUE_PROMPTS_MAX} prompts wait already; cancel one or wait for a turn to end"),
            );
        }
        Ok(())
    }

    /// Prompts in the queue that no turn works on.
    fn waiting(&self) -> usize {
        self.session.queue.len() - usize::from(self.session.turn.is_some() && !self.session.queue.is_empty())
    }

    pub(super) fn cancel_prompt(&mut self, prompt_id: PromptId, by: UserId) -> Reply {
        let runs = self.session.turn.as_ref().is_some_and(|turn| turn.prompt_id == prompt_id);
        let waits = self.session.queue.iter().any(|prompt| prompt.id == prompt_id);
        if runs || !waits {
            return refuse(
                ErrorCode::PromptNotQueued,
                "this prompt does not wait any more; stop its turn where one runs",
            );
        }
        self.session.queue.retain(|prompt| prompt.id != prompt_id);
        self.record(SessionEvent::PromptCancelled { prompt_id, by });
        Reply::Done
    }
}

pub(super) fn refuse(code: ErrorCode, message: &str) -> Reply {
    Reply::Refused(ErrorBody::new(code, message))
}

/// First line with text, cut.
fn title_from(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= TITLE_CHARACTERS_MAX {
        return line;
    }
    let kept: String = line.chars().take(TITLE_CHARACTERS_MAX - 1).collect();
    format!("{}…", kept.trim_end())
}
