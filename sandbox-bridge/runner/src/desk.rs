//! Where commands arrive: accepts each once, remembers it, and hands turns to the worker.
//!
//! Deciding and recording happens without waiting, so that the answer and `turn_received` leave at once. The link calls it with
//! every command; the worker tells it when a turn is over.

use crate::ledger::Ledger;
use crate::log;
use crate::spool::Spool;
use crate::steer::{Steer, Steers};
use protocol::id::{CommandId, TurnId};
use protocol::runner::{RunnerCommand, RunnerEvent, TurnOrder};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A turn that the runner has accepted.
pub(crate) struct AcceptedTurn {
    pub(crate) order: TurnOrder,
    pub(crate) received: Instant,
    /// Cancelled when a participant stops the turn.
    pub(crate) stop: CancellationToken,
    /// Prompts that come while it runs.
    pub(crate) steers: Steers,
}

struct RunningTurn {
    turn_id: TurnId,
    stop: CancellationToken,
    steers: mpsc::UnboundedSender<Steer>,
}

/// Shared by link and worker.
pub(crate) struct Desk {
    spool: Arc<Spool>,
    state: Mutex<State>,
}

struct State {
    ledger: Ledger,
    turns: mpsc::UnboundedSender<AcceptedTurn>,
    running: Option<RunningTurn>,
}

impl Desk {
    /// The desk, and the turns that it accepts.
    pub(crate) fn new(spool: Arc<Spool>, ledger: Ledger) -> (Self, mpsc::UnboundedReceiver<AcceptedTurn>) {
        let (turns, accepted) = mpsc::unbounded_channel();
        (Self { spool, state: Mutex::new(State { ledger, turns, running: None }) }, accepted)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries a command out; the error is for humans.
    pub(crate) fn handle(&self, id: CommandId, command: RunnerCommand) -> Result<(), String> {
        let mut state = self.state();
        if state.ledger.has_command(&id) {
            return Ok(());
        }
        match command {
            RunnerCommand::StartTurn { turn } => self.start(&mut state, id, turn),
            RunnerCommand::StopTurn { turn_id } => {
                if let Some(running) = &state.running
                    && running.turn_id == turn_id
                {
                    running.stop.cancel();
                }
                record(&mut state.ledger, id)
            }
            RunnerCommand::SteerTurn { turn_id, prompt_id, prompt, author, attachments } => {
                steer(&mut state, id, &turn_id, Steer { prompt_id, prompt, author, attachments })
            }
            RunnerCommand::Unknown => {
                Err("this runner does not know the command; it is older than the bridge".into())
            }
        }
    }

    fn start(&self, state: &mut State, id: CommandId, order: TurnOrder) -> Result<(), String> {
        if state.ledger.has_turn(&order.turn_id, order.attempt) {
            return Ok(());
        }
        if let Some(open) = state.ledger.open_turn() {
            return Err(format!("turn {} is still running in this sandbox", open.turn_id));
        }
        let received = Instant::now();
        let event = RunnerEvent::TurnReceived { turn_id: order.turn_id.clone(), attempt: order.attempt };
        let full = |error| format!("the runner's spool cannot be written: {error}");
        state.ledger.begin_turn(id, order.clone()).map_err(full)?;
        if let Err(error) = self.spool.append_now(&event) {
            state.ledger.end_turn().map_err(full)?;
            return Err(full(error));
        }
        let stop = CancellationToken::new();
        let (sender, steers) = Steers::new(Arc::clone(&self.spool), order.turn_id.clone());
        state.running =
            Some(RunningTurn { turn_id: order.turn_id.clone(), stop: stop.clone(), steers: sender });
        state
            .turns
            .send(AcceptedTurn { order, received, stop, steers })
            .map_err(|_| "the runner is ending".to_owned())
    }

    /// The turn that an earlier runner left open.
    pub(crate) fn abandoned_turn(&self) -> Option<TurnOrder> {
        let state = self.state();
        if state.running.is_some() { None } else { state.ledger.open_turn().cloned() }
    }

    /// Records the end of the open turn; to be called right after its last event was appended.
    pub(crate) fn end_turn(&self) {
        let mut state = self.state();
        state.running = None;
        if let Err(error) = state.ledger.end_turn() {
            log::error(format!("the end of the turn is not in the ledger: {error}"));
        }
    }
}

/// Recorded before it is handed on: a repeat may reach the agent never, but not twice.
fn steer(state: &mut State, id: CommandId, turn_id: &TurnId, steer: Steer) -> Result<(), String> {
    let running = state.running.as_ref().filter(|running| running.turn_id == *turn_id);
    let Some(steers) = running.map(|running| running.steers.clone()).filter(|steers| !steers.is_closed())
    else {
        return Err(format!("turn {turn_id} takes no prompt: it is over, or not the one that runs"));
    };
    record(&mut state.ledger, id)?;
    steers.send(steer).map_err(|_| format!("turn {turn_id} takes no prompt: it has just ended"))
}

fn record(ledger: &mut Ledger, id: CommandId) -> Result<(), String> {
    ledger.record_command(id).map_err(|error| format!("the runner's ledger cannot be written: {error}"))
}
