//! Random histories through the tables: what comes back is what went in, and a client that missed something loses nothing.

use super::*;
use crate::core::tests::model::{Act, act, history};
use crate::core::{TurnItem, apply_event, growing_text};
use proptest::prelude::*;
use protocol::client::{ServerMessage, SessionSnapshot};
use protocol::timeline::{EventRecord, Seq};

fn missed(store: &Store<Memory>, since: Seq) -> Vec<EventRecord> {
    let mut missed = Vec::new();
    let send = |frame: &str| {
        let ServerMessage::Events { events } = serde_json::from_str(frame).unwrap() else {
            panic!("{frame}")
        };
        missed.extend(events);
    };
    store.replay(since, send).unwrap();
    missed
}

/// A snapshot and everything after it give the newest snapshot, whichever the first was.
fn check_resumes(store: &Store<Memory>, snapshots: &[(Seq, SessionSnapshot)]) {
    let (newest_seq, newest) = load_snapshot(store);
    for (seq, snapshot) in snapshots {
        let mut client = snapshot.clone();
        let mut last = *seq;
        for record in missed(store, *seq) {
            assert_eq!(record.seq, last + 1);
            last = record.seq;
            apply_event(&mut client, &record);
        }
        assert_eq!(last, newest_seq);
        assert_eq!(client, newest, "since {seq}");
    }
}

/// The session as it must be loaded: two numbers need not be exact.
fn as_loaded(session: &Session, loaded: &Session) -> Session {
    let mut expected = session.clone();
    assert_eq!(loaded.active_at.0 / 60_000, session.active_at.0 / 60_000);
    expected.active_at = loaded.active_at;
    if let (Some(expected), Some(loaded)) = (&mut expected.turn, &loaded.turn) {
        assert!(loaded.bytes <= expected.bytes);
        let open = expected.items.values().filter_map(|item| match item {
            TurnItem::Open { item, .. } => growing_text(&item.content).map(str::len),
            TurnItem::Closed => None,
        });
        assert!(loaded.bytes >= open.sum());
        expected.bytes = loaded.bytes;
    }
    if expected.deleted {
        expected.info.title.clear();
    }
    expected
}

pub(super) fn check_loads(store: &Store<Memory>, session: &Session) {
    let loaded = store.load().unwrap().unwrap();
    let expected = as_loaded(session, &loaded);
    assert_eq!(loaded, expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn tables_hold_everything(acts in prop::collection::vec(act(), 1..60)) {
        let store = migrated();
        let mut snapshots = Vec::new();
        for (index, (session, effects, now)) in history(acts).iter().enumerate() {
            let records = if index == 0 {
                store.create(session, effects, *now).unwrap()
            } else {
                store.commit(session, effects, *now).unwrap()
            };
            // An object that is evicted now comes back as it was.
            check_loads(&store, session);
            let (seq, snapshot) = load_snapshot(&store);
            prop_assert_eq!(seq, session.seq);
            let since = seq - records.len() as u64;
            let mut replayed = Vec::new();
            store.replay(since, |frame| replayed.push(frame.to_owned())).unwrap();
            let live = if records.is_empty() { Vec::new() } else { vec![render_events_frame(&records)] };
            prop_assert_eq!(replayed, live, "live and replayed frames are the same text");
            snapshots.push((seq, snapshot));
        }
        check_resumes(&store, &snapshots);
    }

    #[test]
    fn a_deleted_session_is_loaded_as_that(acts in prop::collection::vec(act(), 1..30)) {
        let mut acts = acts;
        acts.push(Act::Delete);
        let store = migrated();
        let log = history(acts);
        commit_all(&store, &log);
        let (session, _, _) = log.last().unwrap();
        prop_assert!(session.deleted);
        check_loads(&store, session);
        for table in ["events", "participants", "prompts", "messages", "queue", "turns", "items", "artifacts", "notices", "outputs"] {
            prop_assert_eq!(count(&store, table), 0, "{}", table);
        }
    }
}

#[test]
fn a_failed_commit_leaves_nothing_behind() {
    let acts = (0..3).map(Act::Prompt).collect();
    let log = history(acts);
    let (last, before) = log.split_last().unwrap();
    for statements in 0..6 {
        let store = migrated();
        commit_all(&store, before);
        let (known, snapshot) = (store.load().unwrap(), load_snapshot(&store));
        store.sql.statements_left.set(statements);
        assert!(store.commit(&last.0, &last.1, last.2).is_err(), "{statements}");
        store.sql.statements_left.set(usize::MAX);
        assert_eq!((store.load().unwrap(), load_snapshot(&store)), (known, snapshot));
        store.commit(&last.0, &last.1, last.2).unwrap();
        check_loads(&store, &last.0);
    }
}
