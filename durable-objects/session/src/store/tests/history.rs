//! Random histories through the tables: what comes back is what went in, and a client that missed something loses nothing.

use super::*;
use crate::core::apply_event;
use crate::core::tests::model::{act, history};
use proptest::prelude::*;
use protocol::client::{ServerMessage, SessionSnapshot};
use protocol::timeline::{Seq, SessionEvent};

fn missed(store: &Store<Memory>, since: Seq) -> Vec<(Seq, SessionEvent)> {
    let mut events = Vec::new();
    store
        .replay(since, |frame| {
            let ServerMessage::Event { seq, event, .. } = serde_json::from_str(frame).unwrap() else {
                panic!("{frame}")
            };
            events.push((seq, event));
        })
        .unwrap();
    events
}

/// A snapshot and everything after it give the newest snapshot, whichever the first was.
fn check_resumes(store: &Store<Memory>, snapshots: &[(Seq, SessionSnapshot)]) {
    let (newest_seq, newest) = store.load_snapshot().unwrap();
    for (seq, snapshot) in snapshots {
        let mut client = snapshot.clone();
        let mut last = *seq;
        for (seq, event) in missed(store, *seq) {
            assert_eq!(seq, last + 1);
            last = seq;
            apply_event(&mut client, &event);
        }
        assert_eq!(last, newest_seq);
        assert_eq!(client, newest, "since {seq}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn tables_hold_everything(acts in prop::collection::vec(act(), 1..60)) {
        let store = migrated();
        let mut snapshots = Vec::new();
        for (index, (session, effects, now)) in history(acts).iter().enumerate() {
            let frames = if index == 0 {
                store.create(session, effects, *now).unwrap()
            } else {
                store.commit(session, effects, *now).unwrap()
            };
            // An object that is evicted now comes back as it was.
            let rebuilt = store.load().unwrap();
            prop_assert_eq!(rebuilt.as_ref(), Some(session));
            let (seq, snapshot) = store.load_snapshot().unwrap();
            prop_assert_eq!(seq, session.seq);
            let mut replayed = Vec::new();
            store.replay(seq - frames.len() as u64, |frame| replayed.push(frame.to_owned())).unwrap();
            prop_assert_eq!(replayed, frames, "live and replayed frames are the same text");
            snapshots.push((seq, snapshot));
        }
        check_resumes(&store, &snapshots);
    }
}

#[test]
fn a_failed_commit_leaves_nothing_behind() {
    let acts = (0..3).map(crate::core::tests::model::Act::Prompt).collect();
    let log = history(acts);
    let (last, before) = log.split_last().unwrap();
    for statements in 0..6 {
        let store = migrated();
        commit_all(&store, before);
        let (known, snapshot) = (store.load().unwrap(), store.load_snapshot().unwrap());
        store.sql.statements_left.set(statements);
        assert!(store.commit(&last.0, &last.1, last.2).is_err(), "{statements}");
        store.sql.statements_left.set(usize::MAX);
        assert_eq!((store.load().unwrap(), store.load_snapshot().unwrap()), (known, snapshot));
        store.commit(&last.0, &last.1, last.2).unwrap();
        assert_eq!(store.load().unwrap().as_ref(), Some(&last.0));
    }
}
