//! A session that has lived long: what it stores, loads and sends is bounded by its transcript, not by its events.

use super::*;
use crate::core::WorkOutcome;
use crate::core::tests::{Rig, text};
use protocol::limit::BATCH_EVENTS_MAX;
use protocol::runner::RunnerEvent;

const TURNS: usize = 500;
/// Pairs of texts that grow in turn, so that no two events become one.
const PAIRS: usize = 100;
const PIECES: u64 = 9;
const PIECE: &str = "a few words, ";
/// Of the session: each piece is one.
const EVENTS: u64 = 1_000_000;

/// One turn's events.
fn work(rig: &Rig, first_item: usize) -> Vec<RunnerEvent> {
    let mut events = Vec::new();
    for pair in 0..PAIRS {
        let items = [0, 1].map(|half| rig.item(first_item + pair * 2 + half, text("")));
        events.extend(items.iter().map(|item| RunnerEvent::ItemChanged { item: item.clone() }));
        for piece in 0..PIECES {
            events.extend(items.iter().map(|item| RunnerEvent::ItemAppended {
                item_id: item.id.clone(),
                offset: piece * PIECE.len() as u64,
                text: PIECE.to_owned(),
            }));
        }
    }
    events
}

#[test]
fn a_session_of_a_million_events_is_as_small_as_its_transcript() {
    let mut rig = Rig::running();
    let store = migrated();
    commit_all(&store, &rig.log);
    for turn in 0..TURNS {
        rig.log.clear();
        for batch in work(&rig, turn * PAIRS * 2).chunks(BATCH_EVENTS_MAX) {
            rig.events(batch.to_vec());
        }
        rig.end_turn(None);
        rig.finish_snapshot(WorkOutcome::Done);
        rig.prompt(turn + 2);
        rig.receive();
        for (session, effects, now) in &rig.log {
            store.commit(session, effects, *now).unwrap();
        }
    }
    assert!(rig.session.seq > EVENTS, "{}", rig.session.seq);
    assert!(count(&store, "events") < 25_000, "{} events are kept", count(&store, "events"));
    assert_eq!(count(&store, "items"), (TURNS * PAIRS * 2) as u64);

    let transcript = (TURNS * PAIRS * 2) as u64 * PIECES * PIECE.len() as u64;
    let pages = store.sql.exec("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", &[]);
    let stored = pages.unwrap()[0].number(0).unwrap();
    assert!(stored < 6 * transcript, "{stored} bytes for a transcript of {transcript}");

    assert_eq!(store.load().unwrap().unwrap().seq, rig.session.seq);
    let (seq, frame) = store.render_snapshot().unwrap();
    assert_eq!(seq, rig.session.seq);
    assert!(frame.len() < 3 * 1024 * 1024, "the snapshot has {} bytes", frame.len());
}
