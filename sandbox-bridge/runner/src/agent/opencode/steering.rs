//! Hands prompts to an OpenCode session that is at work, and knows whether the model has been asked about the newest of them.
//!
//! OpenCode takes a prompt up after the step that it is at. One that arrives while the last step is being prepared may be passed
//! over; then it is handed over once more. Used by `drive`.

use super::client::{Client, ClientError};
use super::config::Model;
use super::prompt::{attached_parts, message_id, text_part};
use super::view::TurnView;
use crate::attachment::prepare;
use crate::steer::Steer;
use futures::FutureExt;
use futures::future::BoxFuture;
use protocol::attachment::Attachment;
use protocol::effort::Effort;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long OpenCode may look idle before a prompt that it has counts as passed over.
const TAKE_UP_MAX: Duration = Duration::from_secs(5);
/// How often a prompt is handed over.
const TRIES_MAX: u32 = 3;

/// Where prompts are handed to.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) session_id: String,
    pub(super) model: Model,
    pub(super) effort: Option<Effort>,
    /// `provider/name`.
    pub(super) model_name: String,
    pub(super) workspace: PathBuf,
}

/// The prompts that were added to one turn.
pub(super) struct Steering {
    client: Client,
    place: Place,
    /// On its way to OpenCode.
    handing: Option<Handing>,
    /// The newest that OpenCode has.
    newest: Option<Handed>,
}

struct Handing {
    /// Absent when it is handed over again.
    steer: Option<Steer>,
    content: Content,
    message_id: String,
    tries: u32,
    answer: BoxFuture<'static, Result<(), ClientError>>,
}

/// What is handed over, also once more.
#[derive(Clone)]
struct Content {
    text: String,
    attachments: Vec<Attachment>,
}

struct Handed {
    content: Content,
    message_id: String,
    tries: u32,
    at: Instant,
}

/// How far the model is with the newest prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Newest {
    /// It has been asked, or there is none.
    Asked,
    /// It will be.
    Waits,
    /// OpenCode passed it over, and another try is worth it.
    PassedOver,
    /// OpenCode passes it over whatever is done.
    Lost,
}

impl Steering {
    pub(super) fn new(client: Client, place: Place) -> Self {
        Self { client, place, handing: None, newest: None }
    }

    /// Whether a prompt is on its way to OpenCode.
    pub(super) fn is_handing(&self) -> bool {
        self.handing.is_some()
    }

    /// Begins to hand a prompt over.
    pub(super) fn hand(&mut self, steer: Steer, view: &mut TurnView) {
        let content = Content { text: steer.prompt.clone(), attachments: steer.attachments.clone() };
        self.begin(Some(steer), content, 1, view);
    }

    /// Begins to hand the newest prompt over again.
    pub(super) fn hand_again(&mut self, view: &mut TurnView) {
        if let Some(newest) = self.newest.take() {
            self.begin(None, newest.content, newest.tries + 1, view);
        }
    }

    fn begin(&mut self, steer: Option<Steer>, content: Content, tries: u32, view: &mut TurnView) {
        let message_id = message_id();
        // Its effects can be seen before the answer is.
        view.expect_prompt(message_id.clone());
        let (client, place) = (self.client.clone(), self.place.clone());
        let (id, Content { text, attachments }) = (message_id.clone(), content.clone());
        let answer = async move {
            let pieces = prepare(&place.workspace, &attachments).await;
            let mut parts = vec![text_part(&text)];
            parts.extend(attached_parts(&pieces, &place.model_name));
            client.prompt(&place.session_id, &id, &place.model, place.effort, &parts).await
        }
        .boxed();
        self.handing = Some(Handing { steer, content, message_id, tries, answer });
    }

    /// Waits until OpenCode has the prompt that is on its way; gives it when it was not reported yet. Safe to be dropped while it
    /// waits.
    pub(super) async fn handed(&mut self) -> Result<Option<Steer>, ClientError> {
        let Some(handing) = &mut self.handing else { return Ok(None) };
        let answer = (&mut handing.answer).await;
        let Some(handing) = self.handing.take() else { return Ok(None) };
        answer?;
        let Handing { steer, content, message_id, tries, .. } = handing;
        self.newest = Some(Handed { content, message_id, tries, at: Instant::now() });
        Ok(steer)
    }

    /// Looks at the newest prompt of an OpenCode that is idle since `idle`.
    pub(super) fn newest(&self, view: &TurnView, idle: Instant) -> Newest {
        match &self.newest {
            None => Newest::Asked,
            Some(newest) if view.has_asked_about(&newest.message_id) => Newest::Asked,
            Some(newest) if idle.max(newest.at).elapsed() < TAKE_UP_MAX => Newest::Waits,
            Some(newest) if newest.tries < TRIES_MAX => Newest::PassedOver,
            Some(_) => Newest::Lost,
        }
    }
}
