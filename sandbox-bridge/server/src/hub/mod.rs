//! Which sandboxes this replica has, and the runner connection of each: commands go down it, events come up.
//!
//! Keeps nothing that a restart may not lose: sandboxes come back from the provider, events from the runners' spools; those of other
//! replicas are asked for when somebody comes for them. It never ends a sandbox itself; it says which ones are to end. The API, the
//! gateway and `serve` call it.

mod connection;
mod lines;
mod queue;
mod sandbox;
mod turn;
mod uplink;
mod warm;

pub use connection::attach;
pub use sandbox::Sandbox;
pub use turn::TurnSpan;

use crate::backoff::Backoff;
use crate::edge::{EdgeClient, EdgeError};
use crate::provider::{Owner, ProviderError, SandboxExit, SandboxRecord, SessionOwner};
use futures::future::BoxFuture;
use protocol::bridge::SandboxEnded;
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::SandboxId;
use protocol::repository::{WarmReport, WarmState};
use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often a runner is pinged.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// A connection from which nothing came for so long is dead.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Ids of ended sandboxes that are remembered, so that a late repeat of their creation does not make them again.
const ENDED_MAX: usize = 4096;

/// What lies beyond this replica, as its provider knows it.
pub trait Beyond: Send + Sync {
    /// A sandbox that another replica may have made or given away; `None` where nothing more is known than the hub does.
    fn look_up<'a>(
        &'a self,
        sandbox_id: &'a SandboxId,
    ) -> BoxFuture<'a, Result<Option<SandboxRecord>, ProviderError>>;

    /// A sandbox's runner is connected to this replica from here on.
    fn attached(&self, sandbox_id: &SandboxId);

    /// A folder that is there as long as the sandbox is.
    fn folder(&self, sandbox_id: &SandboxId) -> Option<PathBuf>;
}

/// All sandboxes of this replica.
pub struct Hub {
    edge: EdgeClient,
    bridge_url: String,
    state: Mutex<State>,
    beyond: OnceLock<Box<dyn Beyond>>,
    opened: watch::Sender<bool>,
    to_end: mpsc::UnboundedSender<SandboxId>,
    draining: CancellationToken,
    tasks: TaskTracker,
}

/// Why a sandbox is over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// Something in it or about it.
    Itself,
    /// An operator ended all of them.
    Halt,
}

#[derive(Default)]
struct State {
    sandboxes: HashMap<SandboxId, Arc<Sandbox>>,
    ended: HashSet<SandboxId>,
    ended_order: VecDeque<SandboxId>,
}

impl Hub {
    /// A hub that is not open yet. The receiver names sandboxes that have nobody to work for: the caller is to end them.
    #[must_use]
    pub fn new(edge: EdgeClient, bridge_url: String) -> (Arc<Self>, mpsc::UnboundedReceiver<SandboxId>) {
        let (to_end, receiver) = mpsc::unbounded_channel();
        let hub = Self {
            edge,
            bridge_url,
            state: Mutex::default(),
            beyond: OnceLock::new(),
            opened: watch::Sender::new(false),
            to_end,
            draining: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        (Arc::new(hub), receiver)
    }

    /// Takes in the sandboxes that run already, with what an earlier bridge has kept in their folders; from here on runners and
    /// gateway requests are answered. Builds do not outlive their bridge: what they left has nobody to work for.
    pub fn open(&self, records: Vec<SandboxRecord>, beyond: Box<dyn Beyond>) {
        let beyond = self.beyond.get_or_init(|| beyond);
        let mut state = self.lock();
        for record in records {
            if let Owner::Build { .. } = &record.order.owner {
                self.order_end(&record.sandbox_id, "the build that it was for was cut");
            }
            let sandbox = Sandbox::new(record);
            if let Some(folder) = beyond.folder(&sandbox.record.sandbox_id) {
                sandbox.models.keep_in(&folder);
            }
            state.sandboxes.insert(sandbox.record.sandbox_id.clone(), Arc::new(sandbox));
        }
        drop(state);
        self.opened.send_replace(true);
    }

    /// Waits until [`Hub::open`] was called: until then an unknown sandbox may still turn out to be known.
    pub async fn opened(&self) {
        // An error would mean that the sender, which is in self, is gone.
        let _ = self.opened.subscribe().wait_for(|open| *open).await;
    }

    /// Makes room for a sandbox that is about to be created, or finds the one that was created by the same order. Sandboxes of
    /// older generations of the session have nobody to work for from here on.
    pub fn admit(&self, record: SandboxRecord) -> Result<Arc<Sandbox>, ErrorBody> {
        let mut state = self.lock();
        if state.ended.contains(&record.sandbox_id) {
            return Err(ErrorBody::new(
                ErrorCode::GenerationStale,
                "this sandbox was ended; order one with a new id",
            ));
        }
        if let Some(known) = state.sandboxes.get(&record.sandbox_id) {
            if known.record.order == record.order {
                return Ok(known.clone());
            }
            return Err(ErrorBody::new(
                ErrorCode::IdConflict,
                "a sandbox with this id was ordered differently before",
            ));
        }
        let superseded = match record.session() {
            Some(session) => state.superseded(session)?,
            None => Vec::new(),
        };
        let sandbox = Arc::new(Sandbox::new(record));
        state.sandboxes.insert(sandbox.record.sandbox_id.clone(), sandbox.clone());
        drop(state);
        for sandbox_id in superseded {
            self.order_end(&sandbox_id, "the session has a newer sandbox");
        }
        Ok(sandbox)
    }

    /// Whether a session could claim a sandbox: not when it has a newer one here.
    pub fn check_claim(&self, session: &SessionOwner) -> Result<(), ErrorBody> {
        self.lock().superseded(session).map(drop)
    }

    /// A warm sandbox is the session's from here on; the provider has written it down. Sandboxes of older generations of the
    /// session have nobody to work for, and neither has this one when the session has got a newer one meanwhile.
    pub fn claim(&self, sandbox: &Sandbox, session: SessionOwner) -> Result<(), ErrorBody> {
        let superseded = self.lock().superseded(&session);
        if !sandbox.bind(session) {
            return Err(ErrorBody::new(ErrorCode::IdConflict, "another session has this sandbox"));
        }
        match superseded {
            Ok(older) => {
                for sandbox_id in older.iter().filter(|id| **id != sandbox.record.sandbox_id) {
                    self.order_end(sandbox_id, "the session has a newer sandbox");
                }
                Ok(())
            }
            Err(error) => {
                self.order_end(&sandbox.record.sandbox_id, "the session has a newer sandbox");
                Err(error)
            }
        }
    }

    /// The sandbox, also when another replica made it, and whose it is by what all replicas know.
    pub async fn locate(&self, sandbox_id: &SandboxId) -> Result<Option<Arc<Sandbox>>, ErrorBody> {
        let known = self.find(sandbox_id);
        if known.as_ref().is_some_and(|known| !known.is_unclaimed()) {
            return Ok(known);
        }
        let Some(beyond) = self.beyond.get() else { return Ok(known) };
        match beyond.look_up(sandbox_id).await {
            Ok(Some(record)) => Ok(self.take_in(record)),
            Ok(None) => Ok(known),
            Err(error) => {
                tracing::warn!(sandbox = %sandbox_id, error = &error as &dyn std::error::Error, "could not ask whose a sandbox is");
                let message = "whose the sandbox is could not be found out; try again";
                Err(ErrorBody::new(ErrorCode::Unavailable, message))
            }
        }
    }

    /// A sandbox as the provider has it: known from here on, and bound where another replica gave it away. `None` when it was ended
    /// here.
    pub fn take_in(&self, record: SandboxRecord) -> Option<Arc<Sandbox>> {
        let mut state = self.lock();
        if let Some(known) = state.sandboxes.get(&record.sandbox_id).cloned() {
            drop(state);
            if let Some(session) = record.given {
                known.bind(session);
            }
            return Some(known);
        }
        if state.ended.contains(&record.sandbox_id) {
            return None;
        }
        let sandbox = Arc::new(Sandbox::new(record));
        if let Some(folder) = self.beyond.get().and_then(|beyond| beyond.folder(&sandbox.record.sandbox_id)) {
            sandbox.models.keep_in(&folder);
        }
        state.sandboxes.insert(sandbox.record.sandbox_id.clone(), sandbox.clone());
        Some(sandbox)
    }

    /// The sandbox, if it is of this generation.
    pub async fn locate_current(
        &self,
        sandbox_id: &SandboxId,
        generation: u64,
    ) -> Result<Arc<Sandbox>, ErrorBody> {
        self.locate(sandbox_id).await?;
        self.find_current(sandbox_id, generation)
    }

    /// How many sandboxes there are, how many of them have a runner here, and how many nobody has claimed.
    pub fn load(&self) -> (u32, u32, u32) {
        let state = self.lock();
        let count = |filter: &dyn Fn(&Sandbox) -> bool| {
            let found = state.sandboxes.values().filter(|sandbox| filter(sandbox)).count();
            u32::try_from(found).unwrap_or(u32::MAX)
        };
        (count(&|_| true), count(&|sandbox| sandbox.is_attached()), count(&|sandbox| sandbox.is_unclaimed()))
    }

    /// The runner of a sandbox is connected here from here on.
    fn note_attached(&self, sandbox_id: &SandboxId) {
        if let Some(beyond) = self.beyond.get() {
            beyond.attached(sandbox_id);
        }
    }

    /// The sandbox, if it is here.
    pub fn find(&self, sandbox_id: &SandboxId) -> Option<Arc<Sandbox>> {
        self.lock().sandboxes.get(sandbox_id).cloned()
    }

    /// The sandbox, if it is here and of this generation.
    pub fn find_current(&self, sandbox_id: &SandboxId, generation: u64) -> Result<Arc<Sandbox>, ErrorBody> {
        let sandbox = self.find(sandbox_id).ok_or_else(|| {
            ErrorBody::new(ErrorCode::NotFound, format!("{sandbox_id} is not a sandbox of this bridge"))
        })?;
        match sandbox.session() {
            Some(session) if session.generation == generation => Ok(sandbox),
            Some(session) => Err(stale(session.generation)),
            None => Err(ErrorBody::new(
                ErrorCode::GenerationStale,
                format!("{sandbox_id} is nobody's; a session has to claim it first"),
            )),
        }
    }

    /// The sandbox was never made: its id may be used again.
    pub fn withdraw(&self, sandbox_id: &SandboxId) {
        if let Some(sandbox) = self.lock().sandboxes.remove(sandbox_id) {
            sandbox.cut();
        }
    }

    /// The sandbox is gone for good: cuts its runner off.
    pub fn forget(&self, sandbox_id: &SandboxId) {
        self.withdraw(sandbox_id);
        let mut state = self.lock();
        if state.ended.insert(sandbox_id.clone()) {
            state.ended_order.push_back(sandbox_id.clone());
        }
        if state.ended_order.len() > ENDED_MAX
            && let Some(oldest) = state.ended_order.pop_front()
        {
            state.ended.remove(&oldest);
        }
    }

    /// How many sandboxes are here.
    pub fn count(&self) -> u32 {
        u32::try_from(self.lock().sandboxes.len()).unwrap_or(u32::MAX)
    }

    /// Tells the edge that a sandbox ended by itself, after the last events of its runner, and until it has heard.
    pub fn report_exit(self: &Arc<Self>, exit: SandboxExit) {
        let hub = self.clone();
        self.tasks.spawn(async move {
            let SandboxExit { record, reason, told_here } = exit;
            if !told_here {
                tracing::info!(sandbox = %record.sandbox_id, reason, "sandbox ended; another replica tells of it");
                hub.forget(&record.sandbox_id);
                return;
            }
            tracing::warn!(sandbox = %record.sandbox_id, repository = %record.order.repository.id, reason, "sandbox ended by itself");
            if let Some(sandbox) = hub.find(&record.sandbox_id) {
                sandbox.note_exit(&reason);
                if sandbox.session().is_none() {
                    // Without a session there are no events to wait for.
                    sandbox.cut();
                }
                sandbox.drained().await;
            }
            hub.forget(&record.sandbox_id);
            hub.tell_end(record, reason, Cause::Itself).await;
        });
    }

    /// Tells whoever a sandbox belonged to that an operator has halted everything.
    pub fn report_halt(self: &Arc<Self>, record: SandboxRecord, reason: &str) {
        let (hub, reason) = (self.clone(), reason.to_owned());
        self.tasks.spawn(async move { hub.tell_end(record, reason, Cause::Halt).await });
    }

    /// Tells whoever a sandbox belongs to that it is over, until they have heard or do not want to.
    async fn tell_end(&self, record: SandboxRecord, reason: String, cause: Cause) {
        let mut backoff = Backoff::new();
        loop {
            let told = match (&record.order.owner, record.session()) {
                (_, Some(session)) => {
                    let body = SandboxEnded {
                        sandbox_id: record.sandbox_id.clone(),
                        generation: session.generation,
                        reason: reason.clone(),
                        halted: cause == Cause::Halt,
                    };
                    self.edge.ended(&session.session_id, &body).await
                }
                (Owner::Warm { .. }, None) => {
                    let state = WarmState::Ended { reason: reason.clone() };
                    let body = WarmReport { bridge_url: self.bridge_url.clone(), state };
                    self.edge.warm(&record.order.repository.id, &record.sandbox_id, &body).await
                }
                // The build itself notices.
                (Owner::Session(_) | Owner::Build { .. }, None) => return,
            };
            let Err(error) = told else { return };
            if !error.may_pass() {
                // The session has another sandbox, or is gone: nobody waits for this.
                tracing::info!(sandbox = %record.sandbox_id, %error, "the edge does not want to know of the end");
                return;
            }
            tracing::warn!(sandbox = %record.sandbox_id, %error, "reporting the end again");
            backoff.wait().await;
        }
    }

    /// The runner of a warm sandbox says that it cannot be used: ends it, and tells the repository why.
    fn report_unusable(self: &Arc<Self>, sandbox: &Sandbox, reason: &str) {
        self.order_end(&sandbox.record.sandbox_id, reason);
        let (hub, record, reason) = (self.clone(), sandbox.current_record(), reason.to_owned());
        self.tasks.spawn(async move { hub.tell_end(record, reason, Cause::Itself).await });
    }

    /// Stops reading from runners and waits until the edge has what was read. The caller bounds the wait.
    pub async fn drain(&self) {
        self.draining.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn order_end(&self, sandbox_id: &SandboxId, reason: &str) {
        tracing::info!(sandbox = %sandbox_id, reason, "sandbox is to end");
        // Nobody listens while the bridge shuts down; the sandbox is found again, and ended, after the restart.
        let _ = self.to_end.send(sandbox_id.clone());
    }

    fn retire_after(&self, sandbox: &Sandbox, error: &EdgeError) {
        self.order_end(&sandbox.record.sandbox_id, &error.to_string());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Sandboxes here that are of older generations of the session; an error when one is not older.
    fn superseded(&self, session: &SessionOwner) -> Result<Vec<SandboxId>, ErrorBody> {
        let mut superseded = Vec::new();
        for other in self.sandboxes.values() {
            match other.session() {
                Some(its) if its.session_id != session.session_id => {}
                Some(its) if its.generation >= session.generation => return Err(stale(its.generation)),
                Some(_) => superseded.push(other.record.sandbox_id.clone()),
                None => {}
            }
        }
        Ok(superseded)
    }
}

fn stale(current: u64) -> ErrorBody {
    ErrorBody::new(ErrorCode::GenerationStale, format!("the sandbox here has generation {current}"))
}
