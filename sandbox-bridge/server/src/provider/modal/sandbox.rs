//! One running sandbox at Modal: what it is, the way into it, and noticing that it ended.

use super::inner::Inner;
use super::router::CommandRouter;
use super::{ModalClient, exit};
use crate::backoff::Backoff;
use crate::provider::slots::lock;
use crate::provider::{SandboxExit, SandboxOrder, SandboxRecord, SessionOwner};
use protocol::id::SandboxId;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// A look that is answered sooner, and not by an end, is followed by a pause.
const LOOK_MIN: Duration = Duration::from_millis(500);

/// A sandbox that runs, or did a moment ago.
pub(super) struct Running {
    pub(super) id: SandboxId,
    pub(super) order: SandboxOrder,
    given: Mutex<Option<SessionOwner>>,
    pub(super) modal_id: String,
    pub(super) router: Arc<CommandRouter>,
    /// Path of the runner inside.
    pub(super) runner: String,
    /// It was told to end: nobody needs to hear of it.
    asked: AtomicBool,
    /// When it became known here.
    pub(super) known_at: std::time::Instant,
    /// It was seen to have the kit.
    equipped: AtomicBool,
    /// This replica looks after it and hears of its end.
    watched: AtomicBool,
}

impl Running {
    pub(super) fn new(
        client: ModalClient,
        record: SandboxRecord,
        created: super::Created,
        runner: String,
    ) -> Arc<Self> {
        let super::Created { modal_id, task_id, access } = created;
        let router = Arc::new(CommandRouter::new(client, modal_id.clone(), task_id, access));
        let SandboxRecord { sandbox_id, order, given } = record;
        Arc::new(Self {
            id: sandbox_id,
            order,
            given: Mutex::new(given),
            modal_id,
            router,
            runner,
            asked: AtomicBool::new(false),
            known_at: std::time::Instant::now(),
            equipped: AtomicBool::new(false),
            watched: AtomicBool::new(false),
        })
    }

    /// As it was ordered, and whose it is.
    pub(super) fn record(&self) -> SandboxRecord {
        let given = lock(&self.given).clone();
        SandboxRecord { sandbox_id: self.id.clone(), order: self.order.clone(), given }
    }

    /// It is this session's, as stands among the facts.
    pub(super) fn give(&self, session: &SessionOwner) {
        *lock(&self.given) = Some(session.clone());
    }

    pub(super) fn is_equipped(&self) -> bool {
        self.equipped.load(Ordering::Acquire)
    }

    pub(super) fn note_equipped(&self) {
        self.equipped.store(true, Ordering::Release);
    }

    pub(super) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Acquire)
    }

    /// Whether the caller is the one to begin looking after it.
    pub(super) fn begin_watch(&self) -> bool {
        !self.watched.swap(true, Ordering::AcqRel)
    }

    /// From here on its end is expected.
    pub(super) fn expect_end(&self) {
        self.asked.store(true, Ordering::Release);
    }

    /// Its end was not brought about after all.
    pub(super) fn unexpect_end(&self) {
        self.asked.store(false, Ordering::Release);
    }
}

/// Waits for the sandbox's end and reports it, unless it was asked for. Ends with the provider.
pub(super) async fn watch(inner: Weak<Inner>, running: Arc<Running>) {
    let mut backoff = Backoff::new();
    let reason = loop {
        let Some(client) = inner.upgrade().map(|inner| inner.client.clone()) else { return };
        let begin = Instant::now();
        match client.wait_for_end(&running.modal_id).await {
            Ok(Some(result)) => break exit::describe(&result),
            Ok(None) => {
                running.router.release_idle();
                if begin.elapsed() >= LOOK_MIN {
                    backoff.reset();
                } else {
                    backoff.wait().await;
                }
            }
            Err(error) if error.is_not_found() => break "Modal does not know it any more".to_owned(),
            Err(error) => {
                tracing::warn!(sandbox = %running.id, %error, "could not look after a sandbox; trying again");
                backoff.wait().await;
            }
        }
    };
    if running.asked.load(Ordering::Acquire) {
        return;
    }
    let Some(inner) = inner.upgrade() else { return };
    let told_here = inner.drop_ended(&running).await;
    let exit = SandboxExit { record: running.record(), reason, told_here };
    if inner.exits.send(exit).await.is_err() {
        tracing::debug!(sandbox = %running.id, "nobody listens for ends any more");
    }
}
