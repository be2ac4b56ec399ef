//! The SQL and the migrations that ship, on real SQLite.
#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks for the one variant that it is about")]

mod history;
mod sqlite;
mod tables;

use super::*;
use crate::core::Effect;
use crate::core::Session;
use protocol::time::Timestamp;
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
