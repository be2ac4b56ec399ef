//! Which sandboxes this replica has, and the runner connection of each: commands go down it, events come up.
//!
//! Keeps nothing that a restart may not lose: sandboxes come back from the provider, events from the runners' spools. It never
//! ends a sandbox itself; it says which ones are to end. The API, the gateway and `serve` call it.

mod connection;
mod queue;
mod sandbox;
mod uplink;

pub use connection::attach;
pub use sandbox::Sandbox;

use crate::backoff::Backoff;
use crate::edge::{EdgeClient, EdgeError};
use crate::provider::{SandboxExit, SandboxRecord};
use protocol::bridge::SandboxEnded;
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::SandboxId;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Ids of ended sandboxes that are remembered, so that a late repeat of their creation does not make them again.
const ENDED_MAX: usize = 4096;

/// All sandboxes of this replica.
pub struct Hub {
    edge: EdgeClient,
    bridge_url: String,
    state: Mutex<State>,
    opened: watch::Sender<bool>,
    to_end: mpsc::UnboundedSender<SandboxId>,
    draining: CancellationToken,
    tasks: TaskTracker,
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
            opened: watch::Sender::new(false),
            to_end,
            draining: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        (Arc::new(hub), receiver)
    }

    /// Takes in the sandboxes that run already; from here on runners and gateway requests are answered.
    pub fn open(&self, records: Vec<SandboxRecord>) {
        let mut state = self.lock();
        for record in records {
            state.sandboxes.insert(record.sandbox_id.clone(), Arc::new(Sandbox::new(record)));
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
            if known.record == record {
                return Ok(known.clone());
            }
            return Err(ErrorBody::new(
                ErrorCode::IdConflict,
                "a sandbox with this id was ordered differently before",
            ));
        }
        let mut superseded = Vec::new();
        for other in state.sandboxes.values().filter(|other| other.record.session_id == record.session_id) {
            if other.record.generation >= record.generation {
                return Err(stale(other.record.generation));
            }
            superseded.push(other.record.sandbox_id.clone());
        }
        let sandbox = Arc::new(Sandbox::new(record));
        state.sandboxes.insert(sandbox.record.sandbox_id.clone(), sandbox.clone());
        drop(state);
        for sandbox_id in superseded {
            self.order_end(&sandbox_id, "the session has a newer sandbox");
        }
        Ok(sandbox)
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
        if sandbox.record.generation == generation {
            Ok(sandbox)
        } else {
            Err(stale(sandbox.record.generation))
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
            let record = &exit.record;
            tracing::warn!(sandbox = %record.sandbox_id, session = %record.session_id, reason = exit.reason, "sandbox ended by itself");
            if let Some(sandbox) = hub.find(&record.sandbox_id) {
                sandbox.drained().await;
            }
            hub.forget(&record.sandbox_id);
            let body = SandboxEnded {
                sandbox_id: record.sandbox_id.clone(),
                generation: record.generation,
                reason: exit.reason.clone(),
            };
            let mut backoff = Backoff::new();
            while let Err(error) = hub.edge.ended(&record.session_id, &body).await {
                if !error.may_pass() {
                    // The session has another sandbox, or is gone: nobody waits for this.
                    tracing::info!(sandbox = %record.sandbox_id, %error, "the edge does not want to know of the end");
                    return;
                }
                tracing::warn!(sandbox = %record.sandbox_id, %error, "reporting the end again");
                backoff.wait().await;
            }
        });
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

fn stale(current: u64) -> ErrorBody {
    ErrorBody::new(ErrorCode::GenerationStale, format!("the sandbox here has generation {current}"))
}
