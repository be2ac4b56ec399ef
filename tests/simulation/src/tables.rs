//! The session's tables: the real store over SQLite in memory, with the migrations that ship.
//!
//! Runs of one thread follow each other in one database, so that its statements are prepared once: what a run wrote is rolled back
//! at its end.

use crate::happening::IndexEntry;
use protocol::client::{Activity, ServerMessage, SessionSnapshot};
use protocol::id::{ArtifactId, PromptId, TurnId};
use protocol::runner::{RunnerCommand, TurnOrder};
use protocol::time::Timestamp;
use protocol::timeline::{EventRecord, Seq};
use session::core::{Effect, Session};
use session::store::{MemorySql, OutboxRow, Row, Sql, Store, StoreError, Value};
use std::cell::RefCell;
use std::rc::Rc;

/// A defect of the store, in words.
pub(crate) type Defect = String;

/// A database that outlives the run which it is lent to.
struct Lent(Rc<MemorySql>);

impl Sql for Lent {
    fn exec(&self, statement: &str, params: &[Value]) -> Result<Vec<Row>, StoreError> {
        self.0.exec(statement, params)
    }

    fn exec_script(&self, script: &str) -> Result<(), StoreError> {
        self.0.exec_script(script)
    }

    fn transaction<T>(&self, body: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.0.transaction(body)
    }
}

thread_local! {
    /// A database with nothing in it but its schema.
    static IDLE: RefCell<Option<Rc<MemorySql>>> = const { RefCell::new(None) };
}

/// The tables, and what the simulator reads of them.
pub(crate) struct Tables {
    database: Rc<MemorySql>,
    store: Store<Lent>,
}

impl Drop for Tables {
    fn drop(&mut self) {
        if self.database.exec_script("ROLLBACK TO run; RELEASE run").is_ok() {
            IDLE.with(|idle| *idle.borrow_mut() = Some(self.database.clone()));
        }
    }
}

impl Tables {
    /// Tables without a session.
    pub(crate) fn open() -> Result<Self, Defect> {
        let database = match IDLE.with(|idle| idle.borrow_mut().take()) {
            Some(database) => database,
            None => {
                let database = Rc::new(MemorySql::open().map_err(words)?);
                Store::new(Lent(database.clone())).migrate(Timestamp(0)).map_err(words)?;
                database
            }
        };
        database.exec_script("SAVEPOINT run").map_err(words)?;
        Ok(Self { store: Store::new(Lent(database.clone())), database })
    }

    pub(crate) fn create(&self, session: &Session, effects: &[Effect], now: Timestamp) -> Result<(), Defect> {
        self.store.migrate(now).map_err(words)?;
        self.store.create(session, effects, now).map_err(words)?;
        Ok(())
    }

    pub(crate) fn commit(&self, session: &Session, effects: &[Effect], now: Timestamp) -> Result<(), Defect> {
        self.store.commit(session, effects, now).map_err(words)?;
        Ok(())
    }

    pub(crate) fn commit_finished(
        &self,
        session: &Session,
        effects: &[Effect],
        now: Timestamp,
        row: &OutboxRow,
    ) -> Result<(), Defect> {
        self.store.commit_finished(session, effects, now, &row.key, row.version).map_err(words)?;
        Ok(())
    }

    pub(crate) fn load(&self) -> Result<Option<Session>, Defect> {
        self.store.load().map_err(words)
    }

    pub(crate) fn load_due(&self, now: Timestamp) -> Result<Vec<OutboxRow>, Defect> {
        self.store.load_due(now).map_err(words)
    }

    pub(crate) fn load_schedule(&self) -> Result<Vec<(String, Timestamp)>, Defect> {
        self.store.load_schedule().map_err(words)
    }

    pub(crate) fn postpone(&self, row: &OutboxRow, at: Timestamp) -> Result<(), Defect> {
        self.store.postpone(row, at).map_err(words)
    }

    pub(crate) fn load_snapshot(&self) -> Result<(Seq, SessionSnapshot), Defect> {
        let (newest, frame) = self.store.render_snapshot().map_err(words)?;
        match serde_json::from_str(&frame) {
            Ok(ServerMessage::Snapshot { seq, snapshot }) if seq == newest => Ok((seq, snapshot)),
            Ok(other) => Err(format!("not a snapshot of {newest}: {other:?}")),
            Err(error) => Err(format!("a snapshot cannot be read: {error}")),
        }
    }

    /// The events after `since`, as a client reads them.
    pub(crate) fn replay(&self, since: Seq) -> Result<Vec<Rc<EventRecord>>, Defect> {
        let mut events = Vec::new();
        let mut unreadable = None;
        let read = |frame: &str| match serde_json::from_str(frame) {
            Ok(ServerMessage::Events { events: read }) => events.extend(read.into_iter().map(Rc::new)),
            Ok(ServerMessage::Event { seq, at, event }) => {
                events.push(Rc::new(EventRecord { seq, at, event }));
            }
            Ok(other) => unreadable = Some(format!("not events: {other:?}")),
            Err(error) => unreadable = Some(format!("missed events cannot be read: {error}")),
        };
        self.store.replay(since, read).map_err(words)?;
        unreadable.map_or(Ok(events), Err)
    }

    pub(crate) fn load_turn_order(&self, turn_id: &TurnId) -> Result<Option<TurnOrder>, Defect> {
        self.store.load_turn_order(turn_id).map_err(words)
    }

    pub(crate) fn load_steering(
        &self,
        turn_id: &TurnId,
        prompt_id: &PromptId,
    ) -> Result<Option<RunnerCommand>, Defect> {
        self.store.load_steering(turn_id, prompt_id).map_err(words)
    }

    pub(crate) fn load_index_entry(&self) -> Result<IndexEntry, Defect> {
        let row = self.store.load_index_row().map_err(words)?;
        Ok(IndexEntry {
            seq: row.seq,
            title: row.summary.title,
            working: row.summary.activity == Activity::Running,
            archived: row.summary.archived,
        })
    }

    pub(crate) fn load_output(&self, artifact_id: &ArtifactId) -> Result<Option<Rc<str>>, Defect> {
        let output = self.store.load_output(artifact_id).map_err(words)?;
        Ok(output.map(|output| output.text.into()))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
fn words(error: StoreError) -> Defect {
    error.to_string()
}
