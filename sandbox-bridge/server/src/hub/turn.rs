//! The turn that a sandbox works on, as a span: what runner and gateways do meanwhile is part of it, and so is what is told to the edge.
//!
//! It begins with the order, ends with the runner's word, and is known for what still comes behind that. A bridge that took the sandbox
//! over in the middle knows of no turn, and goes by what the runner remembers of the order. The hub and the gateways use it.

use crate::clock;
use crate::trace::{context_of, parent_of};
use opentelemetry::trace::{Span as _, SpanKind, Tracer as _};
use opentelemetry::{KeyValue, global};
use protocol::id::TurnId;
use protocol::runner::{TurnOrder, TurnStep};
use protocol::time::Timestamp;
use protocol::timeline::TurnOutcome;
use protocol::trace::TraceParent;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};
use tracing::Span;

/// Name of the runner's own spans.
const RUNNER: &str = "farhand-runner";
/// A step that claims to have taken longer is cut.
const STEP_MS_MAX: u64 = 24 * 3_600_000;

#[derive(Debug)]
struct Known {
    turn_id: TurnId,
    /// Closed when the turn is over.
    span: Option<Span>,
    parent: Option<TraceParent>,
}

/// The newest turn of a sandbox.
#[derive(Debug, Default)]
pub struct TurnSpan(Mutex<Option<Known>>);

impl TurnSpan {
    /// Begins a turn as part of the present call, and tells the runner. A repeat of its order changes nothing.
    pub fn begin(&self, order: &mut TurnOrder, (session, generation): (&str, u64)) {
        let mut known = self.lock();
        let is_new = known.as_ref().is_none_or(|known| known.turn_id != order.turn_id);
        if is_new {
            let span = tracing::info_span!(
                "turn",
                session,
                generation,
                turn = %order.turn_id,
                attempt = order.attempt,
                trace_id = tracing::field::Empty,
                outcome = tracing::field::Empty,
                otel.status_code = tracing::field::Empty,
            );
            let parent = parent_of(&span).or(order.traceparent);
            if let Some(parent) = parent {
                span.record("trace_id", parent.trace_id());
            }
            *known = Some(Known { turn_id: order.turn_id.clone(), span: Some(span), parent });
        }
        if let Some(parent) = known.as_ref().and_then(|known| known.parent) {
            order.traceparent = Some(parent);
        }
    }

    /// The runner said that it is over.
    pub fn end(&self, turn_id: &TurnId, outcome: &TurnOutcome) {
        let mut known = self.lock();
        let Some(span) =
            known.as_mut().filter(|known| known.turn_id == *turn_id).and_then(|known| known.span.take())
        else {
            return;
        };
        let word = match outcome {
            TurnOutcome::Completed => "completed",
            TurnOutcome::Stopped => "stopped",
            TurnOutcome::Failed { .. } => "failed",
        };
        span.record("outcome", word);
        if word == "failed" {
            span.record("otel.status_code", "ERROR");
        }
    }

    /// The turn that runs; a span of nothing where none does.
    pub fn span(&self) -> Span {
        self.lock().as_ref().and_then(|known| known.span.clone()).unwrap_or_else(Span::none)
    }

    /// The trace of a turn: as it was begun here, else as the runner remembers it.
    pub fn parent(&self, turn_id: &TurnId, remembered: Option<TraceParent>) -> Option<TraceParent> {
        let known = self.lock();
        known.as_ref().filter(|known| known.turn_id == *turn_id).map_or(remembered, |known| known.parent)
    }

    /// A step of the runner's, by its own clock.
    pub fn note_step(
        &self,
        turn_id: &TurnId,
        step: TurnStep,
        (started_at, duration_ms): (Timestamp, u64),
        remembered: Option<TraceParent>,
    ) {
        let name = match step {
            TurnStep::Prepare => "prepare",
            TurnStep::Agent => "agent",
            TurnStep::Publish => "publish",
            TurnStep::Unknown => return,
        };
        let Some(parent) = self.parent(turn_id, remembered) else { return };
        let context = context_of(parent);
        // By a clock that nobody vouches for.
        let began = UNIX_EPOCH + Duration::from_millis(started_at.0.min(clock::now().0));
        let tracer = global::tracer(RUNNER);
        let mut span = tracer
            .span_builder(name)
            .with_kind(SpanKind::Internal)
            .with_start_time(began)
            .with_attributes([KeyValue::new("turn", turn_id.to_string())])
            .start_with_context(&tracer, &context);
        span.end_with_timestamp(began + Duration::from_millis(duration_ms.min(STEP_MS_MAX)));
    }

    fn lock(&self) -> MutexGuard<'_, Option<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
