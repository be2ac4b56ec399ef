//! The SQL and the migrations that ship, on real SQLite.
#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks for the one variant that it is about")]

mod attachment;
mod erasure;
mod facts;
mod history;
mod migration;
mod page;
mod replay;
mod size;
mod sqlite;
mod tables;
mod text;

use super::*;
use crate::core::Effect;
use crate::core::Session;
use protocol::client::{ServerMessage, SessionSnapshot};
use protocol::time::Timestamp;
use protocol::timeline::Seq;
use sqlite::Memory;

/// A store whose tables are up to date.
fn migrated() -> Store<Memory> {
    let store = Store::new(Memory::new());
    store.migrate(Timestamp(1)).unwrap();
    store
}

/// Writes what each input of a history changed.
fn commit_all(store: &Store<Memory>, log: &[(Session, Vec<Effect>, Timestamp)]) {
    for (index, (session, effects, now)) in log.iter().enumerate() {
        if index == 0 {
            store.create(session, effects, *now).unwrap();
        } else {
            store.commit(session, effects, *now).unwrap();
        }
    }
}

/// The snapshot as a client reads it.
fn load_snapshot(store: &Store<Memory>) -> (Seq, SessionSnapshot) {
    let (seq, frame) = store.render_snapshot().unwrap();
    match serde_json::from_str(&frame).unwrap() {
        ServerMessage::Snapshot { seq: within, snapshot } if within == seq => (seq, snapshot),
        other => panic!("{other:?}"),
    }
}

fn column(store: &Store<Memory>, query: &str) -> Vec<String> {
    let rows = store.sql.exec(query, &[]).unwrap();
    let text = |row: &Row| match &row.0[0] {
        Value::Text(text) => text.clone(),
        other => format!("{other:?}"),
    };
    rows.iter().map(text).collect()
}

fn count(store: &Store<Memory>, table: &str) -> u64 {
    store.sql.exec(&format!("SELECT COUNT(*) FROM {table}"), &[]).unwrap()[0].number(0).unwrap()
}
