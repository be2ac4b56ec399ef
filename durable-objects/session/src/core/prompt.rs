//! Prompts: which are accepted and where they wait; how one is edited, moved, taken back, or goes into the running turn.

use super::attachment::check_attachments;
use super::input::{Effect, Reply, Work};
use super::policy::Action;
use super::step::Step;
use super::turn::StopState;
use protocol::client::PromptRequest;
use protocol::effort::takes_effort;
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::{PromptId, TurnId, UserId};
use protocol::limit::{PROMPT_BYTES_MAX, QUEUE_PROMPTS_MAX, TITLE_CHARACTERS_MAX};
use protocol::sign::sha256_hex;
use protocol::timeline::{Delivery, Prompt, PromptState, Seq, SessionEvent, User};

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
    /// Whether it is to go into the running turn, and how far that is.
    pub steering: Steering,
}

/// How far a prompt is on its way into the running turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steering {
    /// It waits for a turn of its own.
    None,
    /// It was submitted to go into a running turn and waits until one can take it.
    Wanted,
    /// The runner was told.
    Ordered,
    /// The running turn has it.
    Taken,
}

/// What makes two submissions under one id the same.
#[must_use]
pub fn prompt_digest(prompt: &Prompt) -> String {
    let origin = serde_json::to_string(&prompt.origin).unwrap_or_default();
    let parts = (prompt.author.as_str(), &prompt.text, &prompt.model, origin);
    let mut content = serde_json::to_string(&parts).unwrap_or_default();
    if prompt.delivery == Delivery::Steer {
        content.push_str("steer");
    }
    if let Some(effort) = prompt.effort {
        content.push_str(effort.word());
    }
    if !prompt.attachments.is_empty() {
        content.push_str(&serde_json::to_string(&prompt.attachments).unwrap_or_default());
    }
    sha256_hex(content.as_bytes())
}

impl Step<'_> {
    pub(super) fn submit_prompt(&mut self, author: &User, request: PromptRequest) -> Reply {
        let attachments = match check_attachments(&request.id, request.attachments) {
            Ok(attachments) => attachments,
            Err(error) => return Reply::Refused(error),
        };
        let prompt = Prompt {
            id: request.id,
            author: author.id.clone(),
            origin: request.origin,
            text: request.text,
            model: request.model,
            effort: request.effort,
            submitted_at: self.now(),
            state: PromptState::Queued,
            delivery: request.delivery,
            steered_into: None,
            edited_by: None,
            cancelled_by: None,
            attachments: attachments.iter().map(|attachment| attachment.told.clone()).collect(),
            traceparent: request.traceparent,
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
        // Looked at first, because a refusal must not leave anything behind.
        if self.session.participants.contains_key(&author.id)
            && let Err(refusal) = self.permit(&author.id, Action::Prompt)
        {
            return refusal;
        }
        let joined = self.join(author);
        if joined != Reply::Done {
            return joined;
        }
        let title = self.session.accepted.is_empty().then(|| title_from(&prompt.text));
        let (prompt_id, delivery) = (prompt.id.clone(), prompt.delivery);
        let seq = self.record(SessionEvent::PromptQueued { prompt });
        self.session.accepted.insert(prompt_id.clone(), Accepted { digest, seq });
        if !attachments.is_empty() {
            self.order(Effect::SaveAttachments { prompt_id: prompt_id.clone(), attachments });
        }
        self.place_prompt(&prompt_id, &author.id, delivery);
        if self.is_held() {
            // Perhaps not any more, or not for this author.
            self.ask_ledger();
        }
        if let Some(title) = title {
            self.session.info.title.clone_from(&title);
            self.record(SessionEvent::TitleChanged { title, by: None });
        }
        Reply::PromptAccepted { prompt_id, seq }
    }

    /// Puts a new prompt into the queue: at the end, or, when it is to go into the running turn, before all that wait for their own.
    fn place_prompt(&mut self, prompt_id: &PromptId, author: &UserId, delivery: Delivery) {
        let steers = delivery == Delivery::Steer && self.session.turn.is_some();
        let steering = if steers { Steering::Wanted } else { Steering::None };
        let queued = QueuedPrompt { id: prompt_id.clone(), author: author.clone(), attempts: 0, steering };
        let place = if steers {
            // The first is the running turn's own.
            let ahead = self.session.queue.iter().skip(1);
            1 + ahead.take_while(|prompt| prompt.steering != Steering::None).count()
        } else {
            self.session.queue.len()
        };
        let before = self.session.queue.get(place).map(|prompt| prompt.id.clone());
        self.session.queue.insert(place, queued);
        if before.is_some() {
            self.record(SessionEvent::PromptMoved {
                prompt_id: prompt_id.clone(),
                before,
                by: author.clone(),
                delivery: None,
            });
        }
    }

    fn check_prompt(&self, prompt: &Prompt) -> Result<(), ErrorBody> {
        let error = |code, message: String| Err(ErrorBody::new(code, message));
        check_text(&prompt.text)?;
        if let Some(model) = &prompt.model
            && !self.context.models.contains(model)
        {
            let models = self.context.models.join(", ");
            return error(
                ErrorCode::ModelUnknown,
                format!("this model is not configured here; choose one of: {models}"),
            );
        }
        let model = prompt.model.as_ref().unwrap_or(&self.session.info.model);
        if prompt.effort.is_some() && !takes_effort(model) {
            return error(
                ErrorCode::BadRequest,
                format!(
                    "{model} cannot be told how much to think; leave `effort` out or choose another model"
                ),
            );
        }
        if self.session.info.archived_at.is_some() {
            return error(
                ErrorCode::SessionArchived,
                "this session is archived; an owner can take it up again".to_owned(),
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

    /// The place of a prompt that can still be changed: no turn has it or is about to get it.
    fn place_of(&self, prompt_id: &PromptId) -> Result<usize, Reply> {
        let running = self.session.turn.as_ref().map(|turn| &turn.prompt_id);
        let place = self.session.queue.iter().position(|prompt| {
            prompt.id == *prompt_id
                && running != Some(&prompt.id)
                && matches!(prompt.steering, Steering::None | Steering::Wanted)
        });
        place.ok_or_else(|| {
            refuse(
                ErrorCode::PromptNotQueued,
                "this prompt does not wait any more; stop its turn where one runs",
            )
        })
    }

    pub(super) fn cancel_prompt(&mut self, prompt_id: PromptId, by: UserId) -> Reply {
        let place = self.permit(&by, Action::OrderQueue).and_then(|()| self.place_of(&prompt_id));
        match place {
            Ok(place) => self.session.queue.remove(place),
            Err(refusal) => return refusal,
        };
        self.record(SessionEvent::PromptCancelled { prompt_id, by });
        Reply::Done
    }

    pub(super) fn edit_prompt(&mut self, prompt_id: PromptId, text: String, by: UserId) -> Reply {
        let place = self.permit(&by, Action::EditPrompt).and_then(|()| self.place_of(&prompt_id));
        let author = match place {
            Ok(place) => self.session.queue.get(place).map(|prompt| &prompt.author),
            Err(refusal) => return refusal,
        };
        // The commit carries the author's name, so nobody else puts words into this mouth.
        if author != Some(&by) {
            return refuse(
                ErrorCode::Forbidden,
                "only its author can edit a prompt; cancel it and submit your own",
            );
        }
        if let Err(error) = check_text(&text) {
            return Reply::Refused(error);
        }
        self.record(SessionEvent::PromptEdited { prompt_id, text, by });
        Reply::Done
    }

    pub(super) fn move_prompt(&mut self, prompt_id: PromptId, before: Option<PromptId>, by: UserId) -> Reply {
        let places = self.permit(&by, Action::OrderQueue).and_then(|()| {
            let before = before.as_ref().map(|before| self.place_of(before)).transpose()?;
            Ok((self.place_of(&prompt_id)?, before))
        });
        let (from, to) = match places {
            Ok((from, to)) => (from, to.unwrap_or(self.session.queue.len())),
            Err(refusal) => return refusal,
        };
        if from == to || from + 1 == to {
            return Reply::Done;
        }
        let mut delivery = None;
        if let Some(mut prompt) = self.session.queue.remove(from) {
            // Someone gave it a place in line: that is where it runs.
            if prompt.steering != Steering::None {
                prompt.steering = Steering::None;
                delivery = Some(Delivery::Queue);
            }
            self.session.queue.insert(if from < to { to - 1 } else { to }, prompt);
        }
        self.record(SessionEvent::PromptMoved { prompt_id, before, by, delivery });
        Reply::Done
    }

    /// Gives the running turn the prompts that are meant for it, in their order.
    pub(super) fn steer(&mut self) {
        let Some(turn) = &self.session.turn else { return };
        if !turn.received || turn.stop != StopState::None {
            return;
        }
        let Some(sandbox) = &self.session.sandbox else { return };
        let mut orders = Vec::new();
        for prompt in self.session.queue.iter_mut().filter(|prompt| prompt.steering == Steering::Wanted) {
            prompt.steering = Steering::Ordered;
            orders.push(Work::SteerTurn {
                sandbox_id: sandbox.id.clone(),
                generation: self.session.generation,
                turn_id: turn.id.clone(),
                prompt_id: prompt.id.clone(),
            });
        }
        for work in orders {
            self.enqueue(work);
        }
    }

    /// The orders that the running turn's runner has not answered.
    pub(super) fn steer_orders(&self) -> Vec<Work> {
        let (Some(turn), Some(sandbox)) = (&self.session.turn, &self.session.sandbox) else {
            return Vec::new();
        };
        let open = self.session.queue.iter().filter(|prompt| prompt.steering == Steering::Ordered);
        open.map(|prompt| Work::SteerTurn {
            sandbox_id: sandbox.id.clone(),
            generation: self.session.generation,
            turn_id: turn.id.clone(),
            prompt_id: prompt.id.clone(),
        })
        .collect()
    }

    /// The runner's word that its agent has a steered prompt.
    pub(super) fn take_steer(&mut self, turn_id: &TurnId, prompt_id: &PromptId) {
        if self.session.turn.as_ref().is_none_or(|turn| turn.id != *turn_id) {
            return;
        }
        let orders = self.steer_orders();
        let prompt = self.session.queue.iter_mut().find(|prompt| prompt.id == *prompt_id);
        let Some(prompt) = prompt.filter(|prompt| prompt.steering == Steering::Ordered) else { return };
        prompt.steering = Steering::Taken;
        for work in orders {
            if matches!(&work, Work::SteerTurn { prompt_id: ordered, .. } if ordered == prompt_id) {
                self.withdraw(&work);
            }
        }
        self.record(SessionEvent::PromptSteered { prompt_id: prompt_id.clone(), turn_id: turn_id.clone() });
    }

    /// The running turn will not take it: it runs next on its own, in its author's name, which everybody is told.
    pub(super) fn refuse_steer(&mut self, turn_id: &TurnId, prompt_id: &PromptId) {
        if self.session.turn.as_ref().is_none_or(|turn| turn.id != *turn_id) {
            return;
        }
        let mut waiting = self
            .session
            .queue
            .iter_mut()
            .filter(|prompt| prompt.steering != Steering::Taken)
            .skip_while(|prompt| prompt.id != *prompt_id || prompt.steering != Steering::Ordered);
        let Some(prompt) = waiting.next() else { return };
        prompt.steering = Steering::None;
        let by = prompt.author.clone();
        let before = waiting.next().map(|prompt| prompt.id.clone());
        let delivery = Some(Delivery::Queue);
        self.record(SessionEvent::PromptMoved { prompt_id: prompt_id.clone(), before, by, delivery });
    }

    /// The turn is over: what it took is done with it, or, when the turn was lost, waits right behind it as submitted.
    pub(super) fn settle_steered(&mut self, prompt_state: PromptState) {
        for work in self.steer_orders() {
            self.withdraw(&work);
        }
        let session = &mut *self.session;
        let is_taken = |prompt: &QueuedPrompt| prompt.steering == Steering::Taken;
        let mut taken: Vec<_> = session.queue.iter().filter(|prompt| is_taken(prompt)).cloned().collect();
        session.queue.retain(|prompt| !is_taken(prompt));
        if prompt_state != PromptState::Done {
            taken.sort_by_key(|prompt| session.accepted.get(&prompt.id).map(|accepted| accepted.seq));
            for (place, prompt) in taken.into_iter().enumerate() {
                session.queue.insert(1 + place, prompt);
            }
        }
        for prompt in &mut session.queue {
            prompt.steering = Steering::None;
        }
    }
}

fn check_text(text: &str) -> Result<(), ErrorBody> {
    let bytes = text.len();
    if bytes > PROMPT_BYTES_MAX {
        let message = format!("the prompt has {bytes} bytes; at most {PROMPT_BYTES_MAX} are accepted");
        return Err(ErrorBody::new(ErrorCode::TooLarge, message));
    }
    if text.trim().is_empty() {
        return Err(ErrorBody::new(ErrorCode::PromptEmpty, "the prompt has no text"));
    }
    Ok(())
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
