//! Takes a connection's events to the edge: one batch at a time, in order, again and again until it is confirmed.
//!
//! Never gives an event up while the runner's session may still want it, and never says that the session has one before the edge
//! said so. Run by the connection's task.

use super::queue::{Batch, EventQueue};
use super::sandbox::Sandbox;
use crate::backoff::Backoff;
use crate::edge::{EdgeClient, EdgeError};
use crate::provider::SessionOwner;
use bytes::Bytes;
use protocol::budget::Spending;
use protocol::error::{ErrorBody, ErrorCode};
use protocol::timeline::Seq;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::Instrument as _;

/// Why no more batches are sent.
pub(super) enum UplinkEnd {
    /// The socket ended and everything it brought is confirmed, or can never be.
    Drained,
    /// The session does not have what came before: the runner must dial again and resume where the session is.
    Gap,
    /// The session is gone or has another sandbox.
    Retired(EdgeError),
}

/// Sends what is queued until there is nothing more to send.
pub(super) async fn run(
    edge: &EdgeClient,
    (sandbox, session): (&Sandbox, &SessionOwner),
    queue: &EventQueue,
    acks: &watch::Sender<Seq>,
) -> UplinkEnd {
    let sandbox_id = &sandbox.record.sandbox_id;
    let mut backoff = Backoff::new();
    let mut last_streamed = None;
    while let Some(batch) = queue.batch(last_streamed).await {
        if batch.streams {
            last_streamed = Some(Instant::now());
        }
        let (first, last) = (batch.first, batch.last);
        let turn = sandbox.turn.span();
        // Pieces of a stream go out twenty times a second: those are no spans of their own.
        let span = if turn.is_none() || batch.streams {
            turn
        } else {
            tracing::info_span!(parent: &turn, "post events", otel.kind = "client", first, last)
        };
        let posting = edge.events(&session.session_id, body(sandbox, session.generation, &batch));
        match posting.instrument(span).await {
            Ok(ack) if ack.acked >= first => {
                queue.acknowledge(ack.acked);
                acks.send_replace(ack.acked);
                backoff.reset();
                continue;
            }
            Ok(ack) if ack.acked.saturating_add(1) < first => return UplinkEnd::Gap,
            Ok(ack) => {
                tracing::warn!(sandbox = %sandbox_id, first, acked = ack.acked, "the edge kept nothing of a batch")
            }
            Err(error) if error.is_final_for_sandbox() => return UplinkEnd::Retired(error),
            Err(EdgeError::Refused(ErrorBody { code: ErrorCode::EventGap, .. })) => return UplinkEnd::Gap,
            Err(error) if !error.may_pass() && queue.is_closed() => {
                tracing::error!(sandbox = %sandbox_id, first, last, %error, "a batch is lost with its runner");
                return UplinkEnd::Drained;
            }
            Err(error) => {
                tracing::warn!(sandbox = %sandbox_id, first, last, %error, "sending a batch again")
            }
        }
        backoff.wait().await;
    }
    UplinkEnd::Drained
}

/// The JSON of an [`protocol::bridge::EventBatch`], around events that are JSON already.
fn body(sandbox: &Sandbox, generation: u64, batch: &Batch) -> Bytes {
    // An id is letters, digits, `-` and `_`: it needs no escaping.
    let events = &batch.events;
    let sandbox_id = &sandbox.record.sandbox_id;
    let spending =
        sandbox.models.report().map_or_else(String::new, |Spending { micro_dollars, tokens, refused }| {
            format!(r#","spending":{{"microDollars":{micro_dollars},"tokens":{tokens},"refused":{refused}}}"#)
        });
    format!(r#"{{"sandboxId":"{sandbox_id}","generation":{generation},"events":[{events}]{spending}}}"#)
        .into()
}
