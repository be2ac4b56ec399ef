//! A provider of sandboxes: creates by id once, saves, ends, forgets, and fails in all the ways that providers do.
//!
//! It outlives the bridge. What it is asked to do takes time, one thing at a time for each sandbox.

use crate::bridge::WARM;
use crate::happening::{Happening, Provision, Token};
use crate::plan::Fault;
use crate::runner::Runner;
use crate::scene::Scene;
use protocol::bridge::SandboxSource;
use protocol::id::{SandboxId, SnapshotId, TurnId};
use protocol::limit::WARM_MS_MAX;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that the provider has.
#[derive(Debug, Default)]
pub(crate) struct Provider {
    pub(crate) live: BTreeMap<SandboxId, Sandbox>,
    /// Ids of sandboxes that ended: never made again.
    pub(crate) ended: BTreeSet<SandboxId>,
    pub(crate) snapshots: BTreeMap<SnapshotId, SavedSandbox>,
    /// Ids of snapshots that were removed: never made again.
    removed: BTreeSet<SnapshotId>,
    /// Snapshots that the provider has lost by itself.
    pub(crate) lost: BTreeSet<SnapshotId>,
    /// What is being made, by id.
    orders: BTreeMap<SandboxId, Order>,
    /// When the last thing that is asked of a sandbox will be done.
    busy_until: BTreeMap<SandboxId, u64>,
}

#[derive(Clone, Debug)]
struct Order {
    generation: u64,
    memory: BTreeSet<TurnId>,
    runner: RunnerFate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RunnerFate {
    Dials,
    IsAbsent,
}

/// A sandbox that runs.
#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) generation: u64,
    pub(crate) runner: Option<Runner>,
    /// Snapshots being taken of it, and whether an agent worked meanwhile.
    saving: BTreeMap<SnapshotId, bool>,
}

/// A snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SavedSandbox {
    /// Turns that the agent in it remembers.
    pub(crate) memory: BTreeSet<TurnId>,
    /// Whether an agent worked while it was taken.
    pub(crate) half_a_thought: bool,
}

/// Why the provider does not do what it is asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Another order may get over it.
    Rejected,
    /// There is no such sandbox or snapshot.
    NotFound,
    /// It may work later.
    Unavailable,
}

impl Provider {
    /// Begins to make a sandbox, or finds it; done when `Provision::Created` happens.
    pub(crate) fn create(
        &mut self,
        scene: &mut Scene,
        sandbox_id: &SandboxId,
        generation: u64,
        source: &SandboxSource,
        (call, incarnation): (Token, u64),
    ) -> Result<(), Refusal> {
        if scene.strikes(Fault::CreateUnavailable) {
            return Err(Refusal::Unavailable);
        }
        if self.ended.contains(sandbox_id) {
            return Err(Refusal::Rejected);
        }
        if !self.live.contains_key(sandbox_id) {
            let memory = match source {
                SandboxSource::Base => BTreeSet::new(),
                SandboxSource::Snapshot { snapshot_id } => {
                    if scene.strikes(Fault::RestoreRefused) {
                        self.snapshots.remove(snapshot_id);
                        self.lost.insert(snapshot_id.clone());
                    }
                    self.snapshots.get(snapshot_id).ok_or(Refusal::NotFound)?.memory.clone()
                }
                SandboxSource::Image { .. } if scene.strikes(Fault::ImageGone) => {
                    return Err(Refusal::NotFound);
                }
                SandboxSource::Image { .. } => BTreeSet::new(),
            };
            if scene.strikes(Fault::CreateFails) {
                return Err(Refusal::Rejected);
            }
            let runner =
                if scene.strikes(Fault::RunnerAbsent) { RunnerFate::IsAbsent } else { RunnerFate::Dials };
            self.orders.insert(sandbox_id.clone(), Order { generation, memory, runner });
        }
        let work = if scene.strikes(Fault::CreateHangs) {
            scene.random.between(116_000, 240_000)
        } else {
            scene.random.between(20, 1_500)
        };
        let at = self.busy(scene, sandbox_id, work);
        let sandbox_id = sandbox_id.clone();
        scene.at(at, Happening::Provided(Provision::Created { sandbox_id, call, incarnation }));
        Ok(())
    }

    /// The sandbox that was being made is there, unless it was ended before.
    pub(crate) fn finish_creation(
        &mut self,
        scene: &mut Scene,
        sandbox_id: &SandboxId,
    ) -> Result<(), Refusal> {
        if self.ended.contains(sandbox_id) {
            return Err(Refusal::Rejected);
        }
        if self.live.contains_key(sandbox_id) {
            return Ok(());
        }
        let Some(order) = self.orders.remove(sandbox_id) else { return Err(Refusal::Unavailable) };
        let runner = (order.runner == RunnerFate::Dials)
            .then(|| Runner::boot(scene, sandbox_id.clone(), order.memory));
        let sandbox = Sandbox { generation: order.generation, runner, saving: BTreeMap::new() };
        self.live.insert(sandbox_id.clone(), sandbox);
        let life_ms = scene.plan.timing.life_ms;
        scene.after(life_ms, Happening::LifeEnds(sandbox_id.clone()));
        Ok(())
    }

    /// A warm sandbox has been there for a while; its runner waits at the end of this connection, or dials.
    pub(crate) fn add_warm(&mut self, scene: &mut Scene, sandbox_id: &SandboxId, connection: Option<Token>) {
        let mut runner = Runner::boot(scene, sandbox_id.clone(), BTreeSet::new());
        if let Some(connection) = connection {
            runner.await_welcome(connection);
        }
        let sandbox = Sandbox { generation: WARM, runner: Some(runner), saving: BTreeMap::new() };
        self.live.insert(sandbox_id.clone(), sandbox);
        let life_ms = scene.plan.timing.life_ms;
        let age_ms = scene.random.below(WARM_MS_MAX.min(life_ms / 4));
        scene.after(life_ms - age_ms, Happening::LifeEnds(sandbox_id.clone()));
    }

    /// A warm sandbox is the session's for ever.
    pub(crate) fn bind(&mut self, sandbox_id: &SandboxId, generation: u64) {
        if let Some(sandbox) = self.live.get_mut(sandbox_id) {
            sandbox.generation = generation;
        }
    }

    /// Begins to save a sandbox; done when `Provision::Saved` happens.
    pub(crate) fn save(
        &mut self,
        scene: &mut Scene,
        sandbox_id: &SandboxId,
        snapshot_id: &SnapshotId,
        (call, incarnation): (Token, u64),
    ) -> Result<(), Refusal> {
        if scene.strikes(Fault::SnapshotUnavailable) {
            return Err(Refusal::Unavailable);
        }
        if self.removed.contains(snapshot_id) {
            return Err(Refusal::Rejected);
        }
        let work = if scene.strikes(Fault::SnapshotHangs) {
            scene.random.between(116_000, 200_000)
        } else {
            scene.random.between(20, 3_000)
        };
        if !self.snapshots.contains_key(snapshot_id) {
            let sandbox = self.live.get_mut(sandbox_id).ok_or(Refusal::NotFound)?;
            let works = sandbox.runner.as_ref().is_some_and(Runner::is_working);
            sandbox.saving.entry(snapshot_id.clone()).or_insert(works);
        }
        let at = self.busy(scene, sandbox_id, work);
        let (sandbox_id, snapshot_id) = (sandbox_id.clone(), snapshot_id.clone());
        scene.at(at, Happening::Provided(Provision::Saved { sandbox_id, snapshot_id, call, incarnation }));
        Ok(())
    }

    /// The snapshot is there, unless its sandbox or its id is gone.
    pub(crate) fn finish_saving(
        &mut self,
        sandbox_id: &SandboxId,
        snapshot_id: &SnapshotId,
    ) -> Result<(), Refusal> {
        if self.removed.contains(snapshot_id) {
            return Err(Refusal::Rejected);
        }
        if self.snapshots.contains_key(snapshot_id) {
            return Ok(());
        }
        let sandbox = self.live.get_mut(sandbox_id).ok_or(Refusal::NotFound)?;
        let half_a_thought = sandbox.saving.remove(snapshot_id).unwrap_or(false);
        let memory = sandbox.runner.as_ref().map(|runner| runner.memory.clone()).unwrap_or_default();
        self.snapshots.insert(snapshot_id.clone(), SavedSandbox { memory, half_a_thought });
        Ok(())
    }

    /// An agent begins to work: what is being saved is half a thought.
    pub(crate) fn note_work(&mut self, sandbox_id: &SandboxId) {
        if let Some(sandbox) = self.live.get_mut(sandbox_id) {
            sandbox.saving.values_mut().for_each(|works| *works = true);
        }
    }

    /// When an end that is ordered now will have come.
    pub(crate) fn begin_end(&mut self, scene: &mut Scene, sandbox_id: &SandboxId) -> Result<u64, Refusal> {
        if scene.strikes(Fault::RemovalFails) {
            return Err(Refusal::Unavailable);
        }
        let work = scene.random.between(5, 400);
        Ok(self.busy(scene, sandbox_id, work))
    }

    /// The sandbox is gone, and its id with it.
    pub(crate) fn end(&mut self, sandbox_id: &SandboxId) -> Option<Sandbox> {
        self.ended.insert(sandbox_id.clone());
        self.orders.remove(sandbox_id);
        self.live.remove(sandbox_id)
    }

    pub(crate) fn delete_snapshot(
        &mut self,
        scene: &mut Scene,
        snapshot_id: &SnapshotId,
    ) -> Result<(), Refusal> {
        if scene.strikes(Fault::RemovalFails) {
            return Err(Refusal::Unavailable);
        }
        self.removed.insert(snapshot_id.clone());
        self.snapshots.remove(snapshot_id);
        Ok(())
    }

    pub(crate) fn runner(&mut self, sandbox_id: &SandboxId) -> Option<&mut Runner> {
        self.live.get_mut(sandbox_id)?.runner.as_mut()
    }

    fn busy(&mut self, scene: &Scene, sandbox_id: &SandboxId, work_ms: u64) -> u64 {
        let until = self.busy_until.entry(sandbox_id.clone()).or_default();
        *until = scene.now.max(*until) + work_ms;
        *until
    }
}
