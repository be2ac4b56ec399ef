//! What a client missed, in frames.

use super::*;
use crate::core::tests::START;
use protocol::limit::{FRAME_EVENTS_BYTES_MAX, FRAME_EVENTS_MAX};
use protocol::timeline::SessionEvent;

/// A session whose events say what they are told.
fn store_with(texts: &[usize]) -> Store<Memory> {
    let store = migrated();
    let (session, effects) = {
        let (rig, effects) = crate::core::tests::Rig::new();
        (rig.session, effects)
    };
    store.create(&session, &effects, START).unwrap();
    let first = store.load_seq().unwrap() + 1;
    for (index, chunk) in texts.chunks(500).enumerate() {
        let effects: Vec<Effect> = chunk
            .iter()
            .zip(first + 500 * index as u64..)
            .map(|(bytes, seq)| Effect::Record {
                seq,
                at: START,
                event: SessionEvent::EffectFailed { what: "ä\"".into(), reason: "x".repeat(*bytes) },
            })
            .collect();
        store.commit(&session, &effects, START).unwrap();
    }
    store
}

fn frames(store: &Store<Memory>, since: Seq) -> Vec<String> {
    let mut frames = Vec::new();
    store.replay(since, |frame| frames.push(frame.to_owned())).unwrap();
    frames
}

fn check(frames: &[String], since: Seq, up_to: Seq) {
    let mut last = since;
    for frame in frames {
        let ServerMessage::Events { events } = serde_json::from_str(frame).unwrap() else { panic!() };
        assert!(events.len() == 1 || frame.len() <= FRAME_EVENTS_BYTES_MAX, "{}", frame.len());
        assert!(events.len() <= FRAME_EVENTS_MAX);
        for record in events {
            last += 1;
            assert_eq!(record.seq, last);
        }
    }
    assert_eq!(last, up_to);
}

#[test]
fn ten_thousand_missed_events_come_in_ten_frames() {
    let store = store_with(&[20; 10_000]);
    let newest = store.load_seq().unwrap();
    store.sql.statements_left.set(12);
    let frames = frames(&store, newest - 10_000);
    assert_eq!(frames.len(), 10);
    check(&frames, newest - 10_000, newest);
}

#[test]
fn frames_stay_within_their_size_and_a_large_event_is_alone() {
    let sizes = [10, 300_000, 400_000, 500_000, 900_000, 1_300_000, 5, 1_300_000, 1_300_000, 600_000, 10, 10];
    let store = store_with(&sizes);
    let newest = store.load_seq().unwrap();
    let frames = frames(&store, newest - sizes.len() as u64);
    check(&frames, newest - sizes.len() as u64, newest);
    assert!(frames.len() <= 10, "{}", frames.len());
    assert_eq!(super::replay::frames(&store, newest), [""; 0]);
}

#[test]
fn records_become_the_frames_of_the_wire() {
    let store = store_with(&[3, 4]);
    let mut records = Vec::new();
    for row in column(
        &store,
        "SELECT '{\"seq\":' || seq || ',\"at\":' || at || ',\"event\":' || data || '}' FROM events",
    ) {
        let frame = render_event_frame(&row);
        let message: ServerMessage = serde_json::from_str(&frame).unwrap();
        assert_eq!(serde_json::to_string(&message).unwrap(), frame);
        records.push(row);
    }
    let frame = render_events_frame(&records);
    let message: ServerMessage = serde_json::from_str(&frame).unwrap();
    assert_eq!(serde_json::to_string(&message).unwrap(), frame);
    assert_eq!(frames(&store, 0), [frame]);
}

#[test]
fn events_that_were_removed_cannot_be_replayed_and_their_numbers_go_on() {
    let store = store_with(&[1; 100]);
    let newest = store.load_seq().unwrap();
    let mut session = store.load().unwrap().unwrap();
    (session.seq, session.kept_from) = (newest, 50);
    store.commit(&session, &[Effect::Compact { from: 50 }, Effect::SaveWatch], START).unwrap();
    assert_eq!(count(&store, "events"), newest - 49);
    check(&frames(&store, 49), 49, newest);
    let (seq, snapshot) = load_snapshot(&store);
    assert_eq!((seq, snapshot.notices.len()), (newest, 20));
    assert_eq!(snapshot.notices.last().map(|notice| notice.seq), Some(newest));
    assert_eq!(store.load().unwrap().unwrap().kept_from, 50);
}
