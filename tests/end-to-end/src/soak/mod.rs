//! Many sessions at once on the whole product, while processes die and wires break, from a seed.
//!
//! People come to sessions again and again ([`person`]); something breaks each time so many batches of events have passed, so that
//! there is always something to interrupt, whatever the speed of the machine ([`plan`], [`faults`]). Once the wires are whole again
//! everything has to settle, and then the invariants are checked over every session's whole log, over what the code host and this
//! machine have ([`verdict`], [`machine`]). Memory must not grow in a long life of a process: where the soak is long, V8 collects all
//! garbage each time, since it would let some lie for as long as there is room for it.

mod faults;
mod machine;
mod person;
mod plan;
mod verdict;

use crate::{Dice, no_secrets};
use anyhow::{Context as _, ensure};
use faults::{Damage, Visits, mend, wires};
use machine::Memory;
use person::{Visited, patiently};
use plan::{Fault, Visit};
use reqwest::Method;
use serde_json::{Value, json};
use stack::{Agent, Binaries, Client, Options, Stack};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How often the conductor looks how far everything has come.
const LOOK: Duration = Duration::from_millis(50);
/// How often memory is sampled.
const SAMPLE: Duration = Duration::from_secs(1);
/// How often it says how far everything has come.
const SAY: Duration = Duration::from_secs(30);
/// Batches of events between two faults.
const BATCHES_BETWEEN: (u64, u64) = (5, 40);

/// When people stop coming.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// Each session was visited so often.
    Rounds(usize),
    /// So much time has passed, and each session was visited once. Bridge and workerd die in the first half only, so that each has a
    /// long life whose memory can be compared.
    Elapsed(Duration),
}

/// Whether anything breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Processes die and wires break.
    Rough,
    /// Nothing breaks: for measurements.
    Calm,
}

/// One soak.
#[derive(Clone, Debug)]
pub struct Soak {
    /// From which all follows that is not a matter of speed.
    pub seed: u64,
    /// How many sessions.
    pub sessions: usize,
    /// How many of them are worked on at a time.
    pub working: usize,
    /// When it ends.
    pub until: Until,
    /// Whether anything breaks.
    pub weather: Weather,
    /// What is run.
    pub binaries: Binaries,
    /// Whether the run's folder stays.
    pub keep: bool,
}

/// What one visitor has done to its sessions.
struct Crew {
    soak: Soak,
    people: [Client; 2],
    visits: Arc<Visits>,
    began: Instant,
}

impl Soak {
    /// Runs it; answers its figures, or what did not hold.
    pub async fn run(&self) -> anyhow::Result<Value> {
        let began = Instant::now();
        let mut stack = Stack::start(self.options()).await?;
        let directory = stack.directory().to_owned();
        let through = wires(&stack)?.clients.url().to_owned();
        let people = [stack.sign_in_at(&through, "ada").await?, stack.sign_in_at(&through, "grace").await?];
        let visits = Arc::new(Visits::default());
        let mut crews = JoinSet::new();
        for number in 0..self.working {
            let crew =
                Crew { soak: self.clone(), people: people.clone(), visits: Arc::clone(&visits), began };
            crews.spawn(crew.work(number));
        }
        let mut memory = Memory::default();
        let mut damage = Damage::default();
        let mut sessions = self.conduct(&mut stack, crews, &visits, &mut damage, &mut memory, began).await?;
        sessions.sort_by_key(|session| session.number);
        mend(&stack)?;
        let worked_s = began.elapsed().as_secs();
        let tally = self.judge(&stack, &mut sessions).await?;
        drop(sessions);
        drop(stack);
        verdict::eventually("the end of all processes", || machine::processes_of(&directory)).await?;
        machine::nothing_remains(&directory)?;
        let faults: serde_json::Map<String, Value> =
            damage.counts.iter().map(|(fault, count)| (fault.to_string(), json!(count))).collect();
        let figures = json!({
            "seed": format!("{:#x}", self.seed), "sessions": self.sessions, "visits": visits.total(),
            "totals": tally, "faults": faults, "memory": memory.summary(),
            "worked_s": worked_s, "whole_s": began.elapsed().as_secs(),
        });
        let grown = memory.grown();
        ensure!(grown.is_empty(), "memory of {} is not flat: {figures:#}", grown.join(" and "));
        Ok(figures)
    }

    fn options(&self) -> Options {
        let variables = vec![("SANDBOX_IDLE_MS".to_owned(), "2000".to_owned())];
        Options {
            agent: Agent::Scripted,
            faults: true,
            copies_worker: true,
            revives_workerd: true,
            // A short one is over before memory could be judged.
            collects_all_garbage: matches!(self.until, Until::Elapsed(_)),
            sandboxes_die_with_bridge: false,
            binaries: self.binaries.clone(),
            keep: self.keep,
            variables,
            ..Options::new("soak")
        }
    }

    /// Breaks something now and then until all visitors have gone.
    async fn conduct(
        &self,
        stack: &mut Stack,
        mut crews: JoinSet<anyhow::Result<Vec<Visited>>>,
        visits: &Visits,
        damage: &mut Damage,
        memory: &mut Memory,
        began: Instant,
    ) -> anyhow::Result<Vec<Visited>> {
        let mut dice = Dice::new(self.seed | 1);
        let (low, high) = BATCHES_BETWEEN;
        let mut sessions = Vec::new();
        let mut next = dice.between(low, high);
        let (mut sampled, mut said) = (Instant::now(), Instant::now());
        loop {
            tokio::select! {
                ended = crews.join_next() => match ended {
                    Some(crew) => sessions.extend(crew?.with_context(|| format!("seed {:#x}", self.seed))?),
                    None => return Ok(sessions),
                },
                () = tokio::time::sleep(LOOK) => {}
            }
            stack.check()?;
            if sampled.elapsed() >= SAMPLE {
                memory.sample(stack);
                sampled = Instant::now();
            }
            if said.elapsed() >= SAY {
                let faults: u64 = damage.counts.values().sum();
                eprintln!("  … {} s: {} visits, {faults} faults", began.elapsed().as_secs(), visits.total());
                said = Instant::now();
            }
            let batches = wires(stack)?.events.counts().requests;
            if batches >= next && self.weather == Weather::Rough {
                let fault = Fault::next(&mut dice, self.may_restart(began));
                let caused = damage.cause(fault, stack, visits).await;
                caused.with_context(|| format!("seed {:#x}, {fault} at batch {batches}", self.seed))?;
                next = wires(stack)?.events.counts().requests + dice.between(low, high);
            }
        }
    }

    fn may_restart(&self, began: Instant) -> bool {
        match self.until {
            Until::Rounds(_) => true,
            Until::Elapsed(time) => began.elapsed() < time / 2,
        }
    }

    /// Waits until everything has settled, and checks what must hold then; in the end all sessions are deleted.
    async fn judge(&self, stack: &Stack, sessions: &mut [Visited]) -> anyhow::Result<Value> {
        let ada = stack.sign_in("ada").await?;
        for session in sessions.iter_mut() {
            session.until_idle().await?;
        }
        let state = stack.directory().join("sandboxes");
        let running = || stack.sandboxes().iter().map(|sandbox| format!("{sandbox:?}")).collect();
        verdict::eventually("the idle stop of all sandboxes", running).await?;
        let (mut events, mut turns, mut retries, mut prompts, mut rejoined) = (0, 0, 0, 0, 0);
        let mut broken = Vec::new();
        for session in sessions.iter_mut() {
            let tally = match verdict::judge(stack, &ada, session).await {
                Ok(tally) => tally,
                Err(error) => {
                    broken.push(format!("session {} ({}): {error:#}", session.number, session.id));
                    continue;
                }
            };
            events += tally.events;
            turns += tally.turns;
            retries += tally.retries;
            prompts += session.asked.len();
            rejoined += session.observer.rejoined;
        }
        ensure!(broken.is_empty(), "seed {:#x}: {}", self.seed, broken.join("\n"));
        no_secrets(stack, sessions.iter().map(|session| &session.observer.view))?;
        delete_all(&ada).await?;
        let left = || {
            let files = machine::leftovers_in(&state).into_iter().chain(machine::control_groups_of(&state));
            files.map(|path| path.display().to_string()).chain(machine::mounts_in(&state)).collect()
        };
        verdict::eventually("the end of what sessions had", left).await?;
        Ok(
            json!({"prompts": prompts, "turns": turns, "retries": retries, "events": events, "rejoined": rejoined}),
        )
    }
}

/// Also those that were started twice because the first answer was lost.
async fn delete_all(client: &Client) -> anyhow::Result<()> {
    loop {
        let list = patiently("the sessions", || client.sessions()).await?;
        if list.sessions.is_empty() {
            return Ok(());
        }
        for session in list.sessions {
            let path = format!("/api/sessions/{}", session.session_id);
            let _: Value = client.request(Method::DELETE, &path, None::<&()>).await?;
        }
    }
}

impl Crew {
    /// Visits its own sessions in turn.
    async fn work(self, number: usize) -> anyhow::Result<Vec<Visited>> {
        let soak = &self.soak;
        let mut sessions: Vec<Visited> = Vec::new();
        for own in (number..soak.sessions).step_by(soak.working.max(1)) {
            sessions.push(Visited::start(own, self.people.clone()).await?);
        }
        for round in 0.. {
            for session in &mut sessions {
                if self.is_over(round) {
                    return Ok(sessions);
                }
                self.visits.note(&session.id);
                session.visit(Visit::of(soak.seed, session.number, round)).await?;
                if Visit::waits_for_idle(soak.seed, session.number, round) {
                    session.until_idle().await?;
                }
            }
        }
        ensure!(!sessions.is_empty(), "more visitors than sessions");
        Ok(sessions)
    }

    fn is_over(&self, round: usize) -> bool {
        match self.soak.until {
            Until::Rounds(rounds) => round >= rounds,
            Until::Elapsed(time) => round > 0 && self.began.elapsed() >= time,
        }
    }
}
