//! Events of one runner connection that the session has not confirmed, in order, and the rule for when a batch of them is due.
//!
//! The socket's reader puts in, the uplink takes out; bounded by [`QUEUE_BYTES_MAX`], beyond which the reader waits. Nothing here
//! is durable: whatever is lost with the bridge comes again from the runner's spool.

use protocol::limit::{BATCH_BYTES_MAX, BATCH_DELAY_MS_MAX, BATCH_EVENTS_MAX};
use protocol::runner::{RunnerEvent, RunnerEventRecord};
use protocol::timeline::Seq;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Unconfirmed events beyond this stop the reading of the socket.
pub(super) const QUEUE_BYTES_MAX: usize = 1024 * 1024;

/// A runner's events do not follow each other.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {found} came where {expected} was due")]
pub(super) struct OutOfOrder {
    /// The number that was due.
    pub(super) expected: Seq,
    /// The number that came.
    pub(super) found: Seq,
}

/// The events of a batch, in order and without gap.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// Number of the first event.
    pub(super) first: Seq,
    /// Number of the last event.
    pub(super) last: Seq,
    /// The events as the inside of a JSON array.
    pub(super) events: String,
    /// Whether any of them is part of a stream; the next of that stream may have to wait.
    pub(super) streams: bool,
}

struct Queued {
    seq: Seq,
    json: String,
    may_wait: bool,
}

struct State {
    events: VecDeque<Queued>,
    bytes: usize,
    /// Events in the queue that make a batch due at once.
    due_now: usize,
    next_seq: Seq,
    closed: bool,
}

/// The queue between one socket and the edge.
pub(super) struct EventQueue {
    state: Mutex<State>,
    grown: Notify,
    shrunk: Notify,
}

impl EventQueue {
    /// An empty queue whose first event must be `next_seq`.
    #[must_use]
    pub(super) fn new(next_seq: Seq) -> Self {
        let state = State { events: VecDeque::new(), bytes: 0, due_now: 0, next_seq, closed: false };
        Self { state: Mutex::new(state), grown: Notify::new(), shrunk: Notify::new() }
    }

    /// Takes in the events of one frame. Those that came before are passed over.
    pub(super) fn push(&self, records: &[RunnerEventRecord]) -> Result<(), OutOfOrder> {
        let mut state = self.lock();
        for record in records {
            if record.seq < state.next_seq {
                continue;
            }
            if record.seq > state.next_seq {
                return Err(OutOfOrder { expected: state.next_seq, found: record.seq });
            }
            let Ok(json) = serde_json::to_string(record) else { continue };
            state.next_seq = record.seq.saturating_add(1);
            state.bytes += json.len();
            let may_wait = may_wait(&record.event);
            state.due_now += usize::from(!may_wait);
            state.events.push_back(Queued { seq: record.seq, json, may_wait });
        }
        drop(state);
        self.grown.notify_one();
        Ok(())
    }

    /// Waits until there is room for another frame.
    pub(super) async fn room(&self) {
        loop {
            let shrunk = self.shrunk.notified();
            if self.lock().bytes < QUEUE_BYTES_MAX {
                return;
            }
            shrunk.await;
        }
    }

    /// No more events will come.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.grown.notify_one();
    }

    /// Whether [`EventQueue::close`] was called.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Waits for the next batch: at once when no stream ran within the delay, otherwise when the batch is full, contains something
    /// that people wait for, or the delay since `last_streamed` is over. `None` when the queue is closed and empty.
    pub(super) async fn batch(&self, last_streamed: Option<Instant>) -> Option<Batch> {
        let delay = Duration::from_millis(BATCH_DELAY_MS_MAX);
        loop {
            let grown = self.grown.notified();
            let (empty, due, closed) = {
                let state = self.lock();
                let full = state.events.len() >= BATCH_EVENTS_MAX || state.bytes >= BATCH_BYTES_MAX;
                (state.events.is_empty(), full || state.due_now > 0 || state.closed, state.closed)
            };
            let quiet = last_streamed.is_none_or(|at| at.elapsed() >= delay);
            match (empty, due || quiet, last_streamed) {
                (true, _, _) if closed => return None,
                (true, _, _) => grown.await,
                (false, false, Some(at)) => {
                    // Either ends the wait; the next round decides.
                    let _ = tokio::time::timeout_at(at + delay, grown).await;
                }
                (false, _, _) => return self.front(),
            }
        }
    }

    /// The session has everything up to `acked`.
    pub(super) fn acknowledge(&self, acked: Seq) {
        let mut state = self.lock();
        while state.events.front().is_some_and(|event| event.seq <= acked) {
            if let Some(event) = state.events.pop_front() {
                state.bytes -= event.json.len();
                state.due_now -= usize::from(!event.may_wait);
            }
        }
        drop(state);
        self.shrunk.notify_one();
    }

    fn front(&self) -> Option<Batch> {
        let state = self.lock();
        let first = state.events.front()?.seq;
        let mut last = first;
        let mut events = String::new();
        let mut streams = false;
        for event in state.events.iter().take(BATCH_EVENTS_MAX) {
            if !events.is_empty() {
                if events.len() + 1 + event.json.len() > BATCH_BYTES_MAX {
                    break;
                }
                events.push(',');
            }
            events.push_str(&event.json);
            last = event.seq;
            streams |= event.may_wait;
        }
        Some(Batch { first, last, events, streams })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Output that grows by the second may wait for company; what changes the session's state may not.
fn may_wait(event: &RunnerEvent) -> bool {
    match event {
        RunnerEvent::ItemAppended { .. }
        | RunnerEvent::ItemChanged { .. }
        | RunnerEvent::Heartbeat
        | RunnerEvent::Unknown => true,
        RunnerEvent::SetupStep { .. }
        | RunnerEvent::Ready { .. }
        | RunnerEvent::SetupFailed { .. }
        | RunnerEvent::TurnReceived { .. }
        | RunnerEvent::SteerTaken { .. }
        | RunnerEvent::FileMade { .. }
        | RunnerEvent::TurnEnded { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::{ItemId, PromptId, TurnId};
    use protocol::time::Timestamp;

    const DELAY: Duration = Duration::from_millis(BATCH_DELAY_MS_MAX);

    fn record(seq: Seq, event: RunnerEvent) -> RunnerEventRecord {
        RunnerEventRecord { seq, at: Timestamp(seq), event }
    }

    fn text(seq: Seq) -> RunnerEventRecord {
        let item_id = ItemId::parse("itm_1").unwrap();
        record(seq, RunnerEvent::ItemAppended { item_id, offset: seq, text: "x".to_owned() })
    }

    fn steer(seq: Seq) -> RunnerEventRecord {
        let (turn_id, prompt_id) = (TurnId::parse("trn_1").unwrap(), PromptId::parse("prm_1").unwrap());
        record(seq, RunnerEvent::SteerTaken { turn_id, prompt_id })
    }

    /// What the uplink does with an edge that answers at once: when it sent, and the numbers that it sent.
    async fn send(queue: &EventQueue, last_streamed: &mut Option<Instant>) -> (Instant, (Seq, Seq)) {
        let batch = queue.batch(*last_streamed).await.unwrap();
        if batch.streams {
            *last_streamed = Some(Instant::now());
        }
        queue.acknowledge(batch.last);
        (Instant::now(), (batch.first, batch.last))
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_of_a_quiet_stream_goes_at_once_also_behind_a_control_event() {
        let (queue, mut last, begin) = (EventQueue::new(1), None, Instant::now());
        queue.push(&[steer(1)]).unwrap();
        assert_eq!(send(&queue, &mut last).await, (begin, (1, 1)));
        queue.push(&[text(2)]).unwrap();
        assert_eq!(send(&queue, &mut last).await, (begin, (2, 2)));
        queue.push(&[text(3)]).unwrap();
        assert_eq!(send(&queue, &mut last).await, (begin + DELAY, (3, 3)));
        tokio::time::advance(DELAY).await;
        queue.push(&[text(4)]).unwrap();
        assert_eq!(send(&queue, &mut last).await, (begin + 2 * DELAY, (4, 4)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_running_stream_is_sent_once_in_each_delay() {
        let queue = std::sync::Arc::new(EventQueue::new(1));
        let (mut last, begin) = (None, Instant::now());
        let writer = queue.clone();
        tokio::spawn(async move {
            for seq in 1..=100 {
                writer.push(&[text(seq)]).unwrap();
                tokio::time::sleep(Duration::from_millis(7)).await;
            }
            writer.close();
        });
        let mut sent = Vec::new();
        while sent.last().is_none_or(|(_, (_, last))| *last < 100) {
            sent.push(send(&queue, &mut last).await);
        }
        assert_eq!(sent[0], (begin, (1, 1)));
        assert!(sent.windows(2).all(|pair| pair[1].0 - pair[0].0 == DELAY || pair[1].1.1 == 100), "{sent:?}");
        assert!(sent.windows(2).all(|pair| pair[1].1.0 == pair[0].1.1 + 1), "{sent:?}");
        assert_eq!(queue.batch(last).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_people_wait_for_takes_the_text_before_it_along() {
        let (queue, mut last, begin) = (EventQueue::new(1), None, Instant::now());
        queue.push(&[text(1)]).unwrap();
        send(&queue, &mut last).await;
        queue.push(&[text(2), text(3), steer(4), text(5)]).unwrap();
        assert_eq!(send(&queue, &mut last).await, (begin, (2, 5)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_backlog_goes_in_full_batches_back_to_back() {
        let (queue, mut last, begin) = (EventQueue::new(1), None, Instant::now());
        let backlog: Vec<_> = (1..=170).map(text).collect();
        queue.push(&backlog).unwrap();
        for first in [1, 51, 101] {
            assert_eq!(send(&queue, &mut last).await, (begin, (first, first + 49)));
        }
        assert_eq!(send(&queue, &mut last).await, (begin + DELAY, (151, 170)));
        // With something behind it that people wait for, all of it goes at once.
        let begin = Instant::now();
        let backlog: Vec<_> = (171..=230).map(text).chain([steer(231)]).collect();
        queue.push(&backlog).unwrap();
        assert_eq!(send(&queue, &mut last).await, (begin, (171, 220)));
        assert_eq!(send(&queue, &mut last).await, (begin, (221, 231)));
    }
}
