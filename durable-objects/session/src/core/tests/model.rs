//! Random histories against what must always hold: people, bridges and sandboxes do anything, in any order, as often as they like.

use super::files::{PNG, made};
use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Something that somebody does.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Prompt(usize),
    Steer(usize),
    TakeSteer(usize),
    Cancel(usize),
    Edit(usize),
    Move(usize, Option<usize>),
    Role(Role),
    Archive(bool),
    Delete,
    Stop,
    Boot,
    Attach,
    Text(String),
    Tool,
    End(bool),
    Repeat(usize),
    Gap,
    LoseSandbox,
    SetupFails,
    Settle(usize, u8),
    Wait(u64),
    Begin,
    Warm(u8),
}

pub(crate) fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..12usize).prop_map(Act::Prompt),
        2 => (12..18usize).prop_map(Act::Steer),
        3 => (12..18usize).prop_map(Act::TakeSteer),
        1 => (0..12usize).prop_map(Act::Cancel),
        1 => (0..12usize).prop_map(Act::Edit),
        2 => (0..18usize, prop::option::of(0..18usize)).prop_map(|(which, before)| Act::Move(which, before)),
        1 => prop_oneof![Just(Role::Driver), Just(Role::Viewer)].prop_map(Act::Role),
        1 => any::<bool>().prop_map(Act::Archive),
        1 => Just(Act::Stop),
        4 => Just(Act::Boot),
        1 => Just(Act::Attach),
        6 => "[a-zä😀]{0,6}".prop_map(Act::Text),
        2 => Just(Act::Tool),
        4 => any::<bool>().prop_map(Act::End),
        3 => (0..4usize).prop_map(Act::Repeat),
        1 => Just(Act::Gap),
        1 => Just(Act::Begin),
        4 => (0..5u8).prop_map(Act::Warm),
        1 => Just(Act::LoseSandbox),
        1 => Just(Act::SetupFails),
        6 => (0..8usize, 0..5u8).prop_map(|(index, outcome)| Act::Settle(index, outcome)),
        2 => (0..130_000u64).prop_map(Act::Wait),
    ]
}

/// What a careful observer knows.
struct Observer {
    rig: Rig,
    client: SessionSnapshot,
    seq: Seq,
    outbox: BTreeMap<String, Work>,
    batches: Vec<EventBatch>,
    running: Option<TurnId>,
    length: u64,
    text_sent: String,
}

impl Observer {
    fn new() -> Self {
        let (mut rig, effects) = Rig::new();
        // Short enough for idleness and handovers to happen in a history.
        rig.timing = Timing { life_ms: 600_000, idle_ms: 60_000, ..Timing::default() };
        let client = empty_snapshot(&rig.session.info);
        let mut observer = Self {
            rig,
            client,
            seq: 0,
            outbox: BTreeMap::new(),
            batches: Vec::new(),
            running: None,
            length: 0,
            text_sent: String::new(),
        };
        observer.watch(effects);
        observer
    }

    fn watch(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Record { seq, at, event } => {
                    assert_eq!(seq, self.seq + 1, "numbers have no gap");
                    self.seq = seq;
                    self.watch_event(&event);
                    apply_event(&mut self.client, &EventRecord { seq, at, event });
                }
                Effect::Enqueue(work) => {
                    self.outbox.insert(work.key(), work);
                }
                Effect::Withdraw { key } => {
                    self.outbox.remove(&key);
                }
                Effect::SaveQueue(queue) => {
                    assert!(queue.iter().eq(self.rig.session.queue.iter()), "the queue is kept as it is");
                }
                Effect::Purge => self.running = None,
                Effect::SaveParticipant(_)
                | Effect::SaveCursor
                | Effect::SaveWatch
                | Effect::SaveText { .. }
                | Effect::SaveOutput { .. }
                | Effect::SaveAttachments { .. }
                | Effect::DropOutput { .. }
                | Effect::Compact { .. }
                | Effect::Reply(_) => {}
            }
        }
        self.check();
    }

    fn watch_event(&mut self, event: &SessionEvent) {
        match event {
            SessionEvent::TurnStarted { turn } => {
                assert_eq!(self.running, None, "one turn at a time");
                assert!(self.rig.session.saving.is_none() || self.rig.session.turn.is_none());
                self.running = Some(turn.id.clone());
                assert_eq!(self.client.queue.first(), Some(&turn.prompt_id), "prompts run in order");
                self.length = 0;
                self.text_sent.clear();
            }
            SessionEvent::TurnEnded { turn_id, .. } => {
                assert_eq!(self.running.as_ref(), Some(turn_id));
                self.running = None;
            }
            _ => {}
        }
    }

    fn check(&self) {
        let session = &self.rig.session;
        if session.deleted {
            assert!(session.sandbox.is_none() && session.turn.is_none());
            return;
        }
        assert_eq!(session.turn.as_ref().map(|turn| &turn.id), self.running.as_ref());
        if let Some(turn) = &session.turn {
            assert_eq!(session.queue.front().map(|prompt| &prompt.id), Some(&turn.prompt_id));
            assert!(session.saving.is_none(), "never a snapshot while a turn runs");
            assert!(session.next_deadline(self.rig.timing).is_some(), "a running turn is watched");
        }
        if !session.queue.is_empty() {
            assert!(session.sandbox.is_some(), "a waiting prompt has a sandbox on its way");
        }
        let running = session.turn.as_ref().map(|turn| &turn.prompt_id);
        let shown = session
            .queue
            .iter()
            .filter(|prompt| Some(&prompt.id) != running && prompt.steering != Steering::Taken);
        assert!(shown.map(|prompt| &prompt.id).eq(&self.client.queue), "people see the order that counts");
        assert!(
            session.turn.is_some() || session.queue.iter().all(|prompt| prompt.steering == Steering::None)
        );
        let waiting: BTreeSet<PromptId> = session.queue.iter().map(|prompt| prompt.id.clone()).collect();
        for prompt in &self.client.prompts {
            let open = matches!(prompt.state, PromptState::Queued | PromptState::Running);
            assert_eq!(open, waiting.contains(&prompt.id), "a prompt waits, runs, or is over");
        }
        let over = |item: &&Item| session.turn.as_ref().is_none_or(|turn| turn.id != item.turn_id);
        for item in self.client.items.iter().filter(over) {
            assert!(!matches!(item.content, ItemContent::Tool { state: ToolState::Running, .. }));
        }
        assert_eq!(self.client.sandbox, session.status);
        if self.running.is_some() {
            assert_eq!(self.text_of_turn(), self.text_sent, "every event counts once");
        }
    }

    fn text_of_turn(&self) -> String {
        let turn = self.running.as_ref();
        let texts = self.client.items.iter().filter(|item| Some(&item.turn_id) == turn);
        texts
            .filter_map(|item| match &item.content {
                ItemContent::Text { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    fn deliver(&mut self, events: Vec<RunnerEvent>) {
        let batch = self.rig.batch(events);
        self.batches.push(batch.clone());
        let effects = self.rig.apply(Input::RunnerEvents(batch));
        self.watch(effects);
    }

    fn is_ready(&self) -> bool {
        self.rig.session.sandbox.as_ref().is_some_and(|sandbox| sandbox.phase == SandboxPhase::Ready)
    }

    fn act(&mut self, act: Act) {
        let effects = match act {
            Act::Prompt(number) => self.rig.prompt(number),
            Act::Cancel(number) => {
                self.rig.apply(Input::PromptCancelled { prompt_id: prompt_id(number), by: user("ada").id })
            }
            Act::Steer(number) => {
                let prompt = steer_request(number);
                self.rig.apply(Input::PromptSubmitted { author: user("ada"), prompt })
            }
            Act::TakeSteer(number) if self.running.is_some() => {
                let (turn_id, prompt_id) = (self.rig.turn(), prompt_id(number));
                return self.deliver(vec![RunnerEvent::SteerTaken { turn_id, prompt_id }]);
            }
            Act::Edit(number) => {
                let text = format!("edited {number}");
                let by = user("ada").id;
                self.rig.apply(Input::PromptEdited { prompt_id: prompt_id(number), text, by })
            }
            Act::Move(which, before) => {
                let by = user("ada").id;
                let before = before.map(prompt_id);
                self.rig.apply(Input::PromptMoved { prompt_id: prompt_id(which), before, by })
            }
            Act::Role(role) => {
                let mut effects = self.rig.apply(Input::ParticipantJoined { user: user("grace") });
                let (user_id, by) = (user("grace").id, user("ada").id);
                effects.extend(self.rig.apply(Input::RoleChanged { user_id, role, by }));
                effects
            }
            Act::Archive(archived) => self.rig.apply(Input::ArchiveChanged { archived, by: user("ada").id }),
            Act::Delete => self.rig.apply(Input::DeletionRequested { by: user("ada").id }),
            Act::Stop if self.running.is_some() => {
                let turn_id = self.rig.turn();
                self.rig.apply(Input::StopRequested { turn_id, by: user("ada").id })
            }
            Act::Boot
                if !self.is_ready()
                    && self.rig.phase().is_some_and(|phase| phase != SandboxPhase::Binding) =>
            {
                self.batches.clear();
                if self.rig.phase() == Some(SandboxPhase::Claiming) {
                    self.warm(4);
                }
                self.rig.boot()
            }
            Act::Attach if self.is_ready() => self.rig.attach("http://127.0.0.1:3"),
            Act::Text(text) if self.running.is_some() => return self.write(text),
            Act::Tool if self.running.is_some() => {
                let item = self.rig.item(1000 + self.seq as usize, tool("x", ToolState::Running));
                let (call, left) =
                    (made(&self.rig, Some(&item.id), "shot.png", PNG), made(&self.rig, None, "log", "YQ=="));
                return self.deliver(vec![RunnerEvent::ItemChanged { item }, call, left]);
            }
            Act::End(changed) if self.running.is_some() => {
                let ended = self.rig.ended(changed.then(|| change('c')));
                return self.deliver(vec![ended, RunnerEvent::Heartbeat]);
            }
            Act::Repeat(back) => match self.batches.iter().rev().nth(back).cloned() {
                Some(batch) => self.rig.apply(Input::RunnerEvents(batch)),
                None => return,
            },
            Act::Gap if self.rig.session.sandbox.is_some() => {
                let mut batch = self.rig.clone().batch(vec![RunnerEvent::Heartbeat]);
                batch.events[0].seq += 5;
                self.rig.apply(Input::RunnerEvents(batch))
            }
            Act::LoseSandbox if self.rig.session.sandbox.is_some() => self.rig.lose_sandbox("killed"),
            Act::SetupFails if self.rig.session.sandbox.is_some() && !self.is_ready() => {
                self.rig.runner_seq = self.rig.session.sandbox.as_ref().unwrap().runner_seq;
                self.rig.events(vec![RunnerEvent::SetupFailed { reason: "no".into() }])
            }
            Act::Begin => self.rig.apply(Input::PromptBegun { by: user("ada").id }),
            Act::Warm(how) => return self.warm(how),
            Act::Settle(index, outcome) => return self.settle(index, outcome),
            Act::Wait(ms) => self.rig.wait(ms),
            Act::Stop | Act::Boot | Act::Attach | Act::Text(_) | Act::Tool | Act::End(_) => return,
            Act::Gap | Act::LoseSandbox | Act::SetupFails | Act::TakeSteer(_) => return,
        };
        self.watch(effects);
    }

    fn write(&mut self, more: String) {
        let number = self.client.turns.len();
        let mut events = Vec::new();
        if self.length == 0 && self.text_sent.is_empty() {
            let item = self.rig.item(number, text(""));
            events.push(RunnerEvent::ItemChanged { item });
        }
        events.push(appended(number, self.length, &more));
        self.length += more.encode_utf16().count() as u64;
        self.text_sent.push_str(&more);
        self.deliver(events);
    }

    fn settle(&mut self, index: usize, outcome: u8) {
        let Some(work) = self.outbox.values().nth(index).cloned() else { return };
        let reason = "reason".to_owned();
        let outcome = match (outcome, &work) {
            (0, _) => WorkOutcome::Delayed { reason },
            (1, _) => WorkOutcome::Failed { reason },
            (2, _) => WorkOutcome::Rejected { reason },
            (3, Work::ClaimSandbox { .. }) => WorkOutcome::SandboxClaimed {
                sandbox_id: SandboxId::from_random((1 << 100 | u128::from(self.seq)).to_be_bytes()),
                bridge_url: "http://127.0.0.1:2".into(),
                image_id: ImageId::parse("img_1").unwrap(),
            },
            (_, Work::ClaimSandbox { .. }) => {
                let image_id = ImageId::parse("img_1").ok().filter(|_| self.seq.is_multiple_of(2));
                WorkOutcome::NoWarmSandbox { image_id, failure: None }
            }
            (_, Work::CreateSandbox { .. } | Work::BindSandbox { .. }) => {
                WorkOutcome::SandboxCreated { provider: "local".into(), isolation: Isolation::Weak }
            }
            (_, Work::OpenPullRequest(_)) => WorkOutcome::PullRequestOpened {
                number: 1,
                url: "u".into(),
                title: "t".into(),
                base: "main".into(),
                progress: Default::default(),
            },
            (_, _) => WorkOutcome::Done,
        };
        if !matches!(outcome, WorkOutcome::Delayed { .. }) {
            self.outbox.remove(&work.key());
        }
        let effects = self.rig.apply(Input::WorkDone { work, outcome });
        self.watch(effects);
    }

    /// Goes one step on the way to a warm sandbox, or fails at it.
    fn warm(&mut self, how: u8) {
        let phase = self.rig.phase();
        let begins = match phase {
            Some(SandboxPhase::Claiming) => "claim_sandbox",
            Some(SandboxPhase::Binding) => "bind_sandbox",
            _ => return,
        };
        let index = self.outbox.keys().position(|key| key.starts_with(begins)).expect("it was ordered");
        self.settle(index, how);
        if phase == Some(SandboxPhase::Binding) {
            self.rig.runner_seq = 0;
        }
    }

    /// When everything around works again, every prompt comes to its end.
    fn recover(&mut self) {
        for _ in 0..400 {
            let session = &self.rig.session;
            if session.queue.is_empty() && session.saving.is_none() {
                return;
            }
            let act = if session.turn.is_some() {
                Act::End(true)
            } else if session.saving.is_some() {
                let index = self.outbox.keys().position(|key| key.starts_with("take_snapshot")).unwrap();
                Act::Settle(index, 4)
            } else if self.rig.phase() == Some(SandboxPhase::Binding) {
                Act::Warm(3)
            } else {
                Act::Boot
            };
            self.act(act);
        }
        panic!("the session does not come to rest: {:?}", self.rig.session);
    }
}

/// A session after each input of a random history.
pub(crate) fn history(acts: Vec<Act>) -> Vec<(Session, Vec<Effect>, Timestamp)> {
    let mut observer = Observer::new();
    for act in acts {
        observer.act(act);
    }
    observer.rig.log
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens(acts in prop::collection::vec(act(), 1..80)) {
        let mut observer = Observer::new();
        for act in acts {
            observer.act(act);
        }
        observer.recover();
        for prompt in &observer.client.prompts {
            prop_assert!(matches!(prompt.state, PromptState::Done | PromptState::Cancelled | PromptState::Failed));
        }
    }

    #[test]
    fn whenever_it_is_deleted(acts in prop::collection::vec(act(), 0..40), late in prop::collection::vec(act(), 0..20)) {
        let mut observer = Observer::new();
        for act in acts {
            observer.act(act);
        }
        observer.act(Act::Delete);
        prop_assert!(observer.rig.session.deleted);
        let lasting = ["terminate_sandbox", "ask_ledger", "delete_snapshot", "delete_artifacts", "remove_index", "store_output", "create_sandbox", "release_claim"];
        for work in observer.outbox.values() {
            prop_assert!(lasting.contains(&work.kind()), "{work:?}");
        }
        let seq = observer.seq;
        for act in late {
            observer.act(act);
        }
        prop_assert_eq!(observer.seq, seq, "nothing is recorded any more");
        prop_assert_eq!(observer.rig.session.next_deadline(observer.rig.timing), None);
    }
}
