//! One session with the people who come to it again and again, and what they asked for.

use super::plan::Visit;
use crate::{Observer, is_over};
use anyhow::Context as _;
use protocol::client::{ClientMessage, PromptRequest};
use protocol::id::{PromptId, SessionId, TurnId};
use protocol::timeline::{Delivery, PromptState, SandboxStatus};
use stack::{Client, StackError};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Longest wait for anything: also a frozen sandbox's lease and three attempts fit into it on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(240);
const RETRY: Duration = Duration::from_millis(100);
const REPOSITORY: &str = "acme/shop";

/// A prompt, and what is to become of it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) prompt_id: PromptId,
    pub(super) ends: PromptState,
    /// What it leaves in the file, once.
    pub(super) token: Option<String>,
}

/// A session that lasts as long as the soak.
pub(super) struct Visited {
    pub(super) number: usize,
    pub(super) id: SessionId,
    pub(super) asked: Vec<Asked>,
    pub(super) observer: Observer,
    people: [Client; 2],
}

impl Visited {
    /// Starts it. A start whose answer is lost leaves an empty session, as it would for a person who presses the button again.
    pub(super) async fn start(number: usize, people: [Client; 2]) -> anyhow::Result<Self> {
        let [owner, _] = &people;
        let id = patiently("a session", || owner.create_session(REPOSITORY, None)).await?;
        let observer = Observer::join_crowd(owner, &id, PATIENCE).await?;
        Ok(Self { number, id, asked: Vec::new(), observer, people })
    }

    /// Asks, and waits until everything that was asked for is over.
    pub(super) async fn visit(&mut self, visit: Visit) -> anyhow::Result<()> {
        let begun = self.asked.len();
        match visit {
            Visit::Append => self.append(0, "").await?,
            Visit::Stream => self.append(0, "stream 60 5\n").await?,
            Visit::Talk => self.ask(0, "say Hello.", PromptState::Done).await?,
            Visit::Queue => {
                self.append(0, "stream 20 5\n").await?;
                self.append(1, "run true\n").await?;
            }
            Visit::Steer => self.steer().await?,
            Visit::Hang => self.hang().await?,
            // What an agent reports itself is an answer; nobody tries again.
            Visit::Fail => self.ask(0, "say Oh.\nfail there is no such file", PromptState::Done).await?,
            Visit::Poison => self.ask(0, "say Ouch.\nexit 7", PromptState::Failed).await?,
        }
        let mine: Vec<PromptId> =
            self.asked.iter().skip(begun).map(|asked| asked.prompt_id.clone()).collect();
        let what = format!("the end of {visit:?} in session {} ({})", self.number, self.id);
        self.observer.until(&what, |observer| mine.iter().all(|id| is_known_over(observer, id))).await
    }

    /// Waits until the sandbox has been saved and stopped.
    pub(super) async fn until_idle(&mut self) -> anyhow::Result<()> {
        let what = format!("the idle stop of session {} ({})", self.number, self.id);
        let stopped = |observer: &Observer| match &observer.view.sandbox {
            SandboxStatus::None | SandboxStatus::Stopped { .. } | SandboxStatus::Failed { .. } => true,
            SandboxStatus::Starting { .. } | SandboxStatus::Ready { .. } => false,
        };
        self.observer.until(&what, stopped).await
    }

    async fn append(&mut self, person: usize, before: &str) -> anyhow::Result<()> {
        let token = self.token();
        let request = Client::prompt(&format!("{before}append log.txt {token}"));
        self.submit(person, request, PromptState::Done, Some(token)).await
    }

    async fn ask(&mut self, person: usize, text: &str, ends: PromptState) -> anyhow::Result<()> {
        self.submit(person, Client::prompt(text), ends, None).await
    }

    fn token(&self) -> String {
        format!("<{}.{}>", self.number, self.asked.len())
    }

    async fn steer(&mut self) -> anyhow::Result<()> {
        self.append(0, "stream 40 10\n").await?;
        let token = self.token();
        let mut request = Client::prompt(&format!("append log.txt {token}"));
        request.delivery = Delivery::Steer;
        self.submit(1, request, PromptState::Done, Some(token)).await
    }

    /// The frames may be lost with the socket, so they are sent again on the next one.
    async fn hang(&mut self) -> anyhow::Result<()> {
        self.ask(0, "say Thinking.\nhang", PromptState::Done).await?;
        self.ask(1, "say Never.", PromptState::Cancelled).await?;
        let mut last = self.asked.iter().rev().map(|asked| asked.prompt_id.clone());
        let (waiting, hanging) = (last.next().context("no prompt")?, last.next().context("no prompt")?);
        self.observer.until("the waiting prompt", |observer| state_of(observer, &waiting).is_some()).await?;
        let cancel = ClientMessage::CancelPrompt { prompt_id: waiting.clone() };
        self.insist("the cancelled prompt", &cancel, |observer| is_known_over(observer, &waiting)).await?;
        let mut stopped = BTreeSet::new();
        while !is_known_over(&self.observer, &hanging) {
            let next = |observer: &Observer| {
                is_known_over(observer, &hanging)
                    || running_of(observer, &hanging).is_some_and(|turn| !stopped.contains(&turn))
            };
            self.observer.until("a turn that hangs", next).await?;
            if let Some(turn_id) = running_of(&self.observer, &hanging) {
                stopped.insert(turn_id.clone());
                let stop = ClientMessage::Stop { turn_id: turn_id.clone() };
                let is_over = |observer: &Observer| {
                    running_of(observer, &hanging).is_none_or(|running| running != turn_id)
                };
                self.insist("the stopped turn", &stop, is_over).await?;
            }
        }
        Ok(())
    }

    /// Sends a frame, on every socket anew, until it has had its effect.
    async fn insist(
        &mut self,
        what: &str,
        message: &ClientMessage,
        is_done: impl Fn(&Observer) -> bool,
    ) -> anyhow::Result<()> {
        while !is_done(&self.observer) {
            let rejoined = self.observer.rejoined;
            // A socket that is gone is noticed by the next read.
            let _ = self.observer.send(message.clone()).await;
            let next = |observer: &Observer| is_done(observer) || observer.rejoined > rejoined;
            self.observer.until(what, next).await?;
        }
        Ok(())
    }

    async fn submit(
        &mut self,
        person: usize,
        request: PromptRequest,
        ends: PromptState,
        token: Option<String>,
    ) -> anyhow::Result<()> {
        let client = self.people.get(person).context("no such person")?;
        patiently("a prompt", || client.submit(&self.id, &request)).await?;
        self.asked.push(Asked { prompt_id: request.id, ends, token });
        Ok(())
    }
}

/// Asks again as long as the answer does not arrive; a refusal is an answer.
pub(super) async fn patiently<T, F>(what: &str, ask: impl Fn() -> F) -> anyhow::Result<T>
where
    F: Future<Output = Result<T, StackError>>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error @ StackError::Refused(_)) => return Err(error).with_context(|| what.to_owned()),
            Err(error) if Instant::now() > deadline => return Err(error).with_context(|| what.to_owned()),
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

fn state_of(observer: &Observer, id: &PromptId) -> Option<PromptState> {
    observer.view.prompts.iter().find(|prompt| prompt.id == *id).map(|prompt| prompt.state)
}

fn is_known_over(observer: &Observer, id: &PromptId) -> bool {
    state_of(observer, id).is_some_and(is_over)
}

fn running_of(observer: &Observer, id: &PromptId) -> Option<TurnId> {
    let mut turns = observer.view.turns.iter();
    turns.find(|turn| turn.prompt_id == *id && turn.end.is_none()).map(|turn| turn.id.clone())
}
