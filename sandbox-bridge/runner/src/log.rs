//! What the runner says of itself: to standard error, and to the bridge, whose log knows the sandbox, the session and the turn.
//!
//! One queue for the whole process. Lines that nobody takes for long are dropped: what must not be lost is an event. Nothing of a
//! prompt or of what an agent wrote is said here.

use protocol::id::TurnId;
use protocol::runner::{LogLevel, RunnerMessage, TurnOrder, TurnStep};
use protocol::time::Timestamp;
use protocol::trace::TraceParent;
use std::fmt::Display;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;

/// Lines that wait for a connection.
const WAITING_MAX: usize = 64;

static QUEUE: OnceLock<mpsc::Sender<RunnerMessage>> = OnceLock::new();
static TURN: Mutex<Option<TurnId>> = Mutex::new(None);

/// Where lines are taken from; only the first caller gets any.
pub(crate) fn start() -> mpsc::Receiver<RunnerMessage> {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let _ = QUEUE.set(sender);
    receiver
}

/// Worth a look; the runner goes on.
pub(crate) fn warn(text: impl Display) {
    say(LogLevel::Warn, &text.to_string());
}

/// Something is lost.
pub(crate) fn error(text: impl Display) {
    say(LogLevel::Error, &text.to_string());
}

fn say(level: LogLevel, text: &str) {
    eprintln!("runner: {text}");
    let turn_id = TURN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    send(RunnerMessage::Log { level, turn_id, text: text.to_owned() });
}

fn send(message: RunnerMessage) {
    // Processes that have no connection, such as those of builds, have no queue either.
    if let Some(queue) = QUEUE.get() {
        let _ = queue.try_send(message);
    }
}

/// Lines are about this turn from here on, or about none.
pub(crate) fn set_turn(turn_id: Option<TurnId>) {
    *TURN.lock().unwrap_or_else(PoisonError::into_inner) = turn_id;
}

/// A step of a turn that is under way. One that is dropped before its end was not done, and nothing is said of it.
pub(crate) struct Step {
    begun: Instant,
    started_at: Timestamp,
    step: TurnStep,
    turn_id: TurnId,
    traceparent: Option<TraceParent>,
}

impl Step {
    /// It begins.
    pub(crate) fn begin(step: TurnStep, order: &TurnOrder) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            begun: Instant::now(),
            started_at: Timestamp(milliseconds(since)),
            step,
            turn_id: order.turn_id.clone(),
            traceparent: order.traceparent,
        }
    }

    /// It is over.
    pub(crate) fn end(self) {
        let Self { begun, started_at, step, turn_id, traceparent } = self;
        let duration_ms = milliseconds(begun.elapsed());
        send(RunnerMessage::Step { turn_id, step, started_at, duration_ms, traceparent });
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
