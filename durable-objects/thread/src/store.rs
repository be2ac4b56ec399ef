//! The thread's tables. Each method is one transaction; what was taken twice changes nothing.

use crate::state::{Order, Thread};
use platform::sql::{Row, Sql, StoreError, Value};
use protocol::time::Timestamp;
use serde_json::{Value as Json, json};
use slack::event::{Kind, Message};
use slack::interaction::Interaction;

const MIGRATIONS: [(&str, &str); 1] =
    [("0001_thread", include_str!("../../../migrations/thread/0001_thread.sql"))];
/// Messages and clicks of one thread that wait at a time; more are refused, and Slack tries again.
const OUTBOX_MAX: u64 = 500;

/// Something that must happen outside, as it stands in the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// Its name.
    pub key: String,
    /// What kind of thing.
    pub kind: String,
    /// What it takes.
    pub payload: Json,
    /// Rises each time it is ordered again.
    pub version: u64,
    /// Failed tries.
    pub attempts: u32,
}

/// What came of taking something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is stored, and there is something to do.
    New,
    /// It was there before, or is nothing to this thread.
    Nothing,
    /// Too much waits.
    Full,
}

/// The tables of one thread.
#[derive(Debug)]
pub struct Store<S> {
    sql: S,
}

impl<S: Sql> Store<S> {
    /// Over this database.
    pub fn new(sql: S) -> Self {
        Self { sql }
    }

    /// Whether something was ever stored here. Asking leaves no trace.
    pub fn exists(&self) -> Result<bool, StoreError> {
        platform::migrate::has_table(&self.sql, "thread")
    }

    /// Brings the tables up to date.
    pub fn migrate(&self, now: Timestamp) -> Result<(), StoreError> {
        platform::migrate::migrate(&self.sql, &MIGRATIONS, now)
    }

    /// What the thread knows.
    pub fn load(&self) -> Result<Thread, StoreError> {
        let rows = self.sql.exec("SELECT data FROM thread", &[])?;
        rows.first().map_or(Ok(Thread::default()), |row| Ok(Thread::from_json(&parse(row.text(0)?)?)))
    }

    fn save(&self, thread: &Thread) -> Result<(), StoreError> {
        let data = thread.to_json().to_string();
        self.sql.exec("INSERT OR REPLACE INTO thread (one, data) VALUES (1, ?1)", &[data.into()]).map(|_| ())
    }

    /// Whether a reply without a mention would be read here: the agent has asked something.
    pub fn hears_replies(&self) -> Result<bool, StoreError> {
        Ok(self.exists()? && self.load()?.asked)
    }

    /// Takes a message: the event's id, the message and the work that it is, together.
    pub fn take_message(&self, message: &Message, home: &str, now: Timestamp) -> Result<Taken, StoreError> {
        if message.kind == Kind::Reply && !self.hears_replies()? {
            return Ok(Taken::Nothing);
        }
        self.migrate(now)?;
        // Slack tells of one message by several events, each with an id of its own.
        let keys = [format!("message/{}", message.ts), format!("event/{}", message.event_id)];
        let order = Order::new(
            format!("message/{}", message.ts),
            "message",
            json!({"message": message.to_json()}),
            now,
        );
        let place = Thread {
            team: message.team.clone(),
            channel: message.channel.clone(),
            thread: message.thread.clone(),
            home: home.to_owned(),
            ..Thread::default()
        };
        self.take(&keys, order, &place, now)
    }

    /// Takes a click.
    pub fn take_interaction(
        &self,
        click: &Interaction,
        home: &str,
        now: Timestamp,
    ) -> Result<Taken, StoreError> {
        if !self.exists()? {
            return Ok(Taken::Nothing);
        }
        let key = format!("interaction/{}/{}", click.user, click.id);
        let order = Order::new(key.clone(), "interaction", json!({"interaction": click.to_json()}), now);
        let place = Thread { home: home.to_owned(), ..self.load()? };
        self.take(&[key], order, &place, now)
    }

    fn take(
        &self,
        keys: &[String],
        order: Order,
        place: &Thread,
        now: Timestamp,
    ) -> Result<Taken, StoreError> {
        self.sql.transaction(|| {
            let mut is_new = true;
            for key in keys {
                let insert =
                    "INSERT INTO taken (key, at) VALUES (?1, ?2) ON CONFLICT DO NOTHING RETURNING key";
                is_new &= !self.sql.exec(insert, &[key.as_str().into(), now.into()])?.is_empty();
            }
            if !is_new {
                return Ok(Taken::Nothing);
            }
            let waiting = self.sql.exec("SELECT COUNT(*) FROM outbox", &[])?;
            if waiting.first().map_or(Ok(0), |row| row.number(0))? >= OUTBOX_MAX {
                // Slack repeats what is refused: then it is to count as new.
                for key in keys {
                    self.sql.exec("DELETE FROM taken WHERE key = ?1", &[key.as_str().into()])?;
                }
                return Ok(Taken::Full);
            }
            let known = self.load()?;
            let thread = Thread {
                home: place.home.clone(),
                closed: None,
                ..if known.team.is_empty() { place.clone() } else { known }
            };
            self.save(&thread)?;
            self.enqueue(&order)?;
            Ok(Taken::New)
        })
    }

    /// Takes what the session tells. One that is just beginning is not known yet, and tells it again.
    pub fn take_view(&self, view: Json, now: Timestamp) -> Result<Taken, StoreError> {
        let mut thread = self.load()?;
        if thread.session.is_none() && thread.decided_for.is_some() {
            return Ok(Taken::Full);
        }
        let orders = thread.take_view(view, now);
        if orders.is_empty() {
            return Ok(Taken::Nothing);
        }
        self.sql.transaction(|| {
            self.save(&thread)?;
            orders.iter().try_for_each(|order| self.enqueue(order))?;
            Ok(Taken::New)
        })
    }

    /// Something ordered again becomes due at its new time.
    fn enqueue(&self, order: &Order) -> Result<(), StoreError> {
        self.sql.exec(
            "INSERT INTO outbox (key, kind, payload, version, attempts, next_at) VALUES (?1, ?2, ?3, 1, 0, ?4) \
             ON CONFLICT (key) DO UPDATE SET payload = excluded.payload, version = version + 1, next_at = excluded.next_at",
            &[order.key.as_str().into(), order.kind.into(), order.payload.to_string().into(), order.at.into()],
        )?;
        Ok(())
    }

    /// What is due: messages in the order of their writing, and each only when those before it are done.
    pub fn load_due(&self, now: Timestamp) -> Result<Vec<Due>, StoreError> {
        let rows = self.sql.exec(
            "SELECT key, kind, payload, version, attempts FROM outbox WHERE next_at <= ?1 \
             AND (kind <> 'message' OR key = (SELECT MIN(key) FROM outbox WHERE kind = 'message')) \
             ORDER BY kind <> 'message', next_at LIMIT 20",
            &[now.into()],
        )?;
        rows.iter().map(read_due).collect()
    }

    /// When the next thing is due.
    pub fn next_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let rows = self.sql.exec(
            "SELECT MIN(next_at) FROM outbox \
             WHERE kind <> 'message' OR key = (SELECT MIN(key) FROM outbox WHERE kind = 'message')",
            &[],
        )?;
        rows.first().map_or(Ok(None), |row| row.number_or_null(0)).map(|at| at.map(Timestamp))
    }

    /// A try failed; the next one comes later.
    pub fn postpone(&self, due: &Due, at: Timestamp) -> Result<(), StoreError> {
        self.sql.exec(
            "UPDATE outbox SET attempts = attempts + 1, next_at = ?3 WHERE key = ?1 AND version = ?2",
            &[due.key.as_str().into(), due.version.into(), at.into()],
        )?;
        Ok(())
    }

    /// Something is done: what changed by it, what follows from it, and its row, together.
    pub fn finish(
        &self,
        due: &Due,
        change: impl FnOnce(&mut Thread),
        orders: &[Order],
    ) -> Result<(), StoreError> {
        self.sql.transaction(|| {
            self.change(change)?;
            orders.iter().try_for_each(|order| self.enqueue(order))?;
            self.remove(due)
        })
    }

    fn remove(&self, due: &Due) -> Result<(), StoreError> {
        let statement = "DELETE FROM outbox WHERE key = ?1 AND version = ?2";
        self.sql.exec(statement, &[due.key.as_str().into(), due.version.into()]).map(|_| ())
    }

    /// Changes what the thread knows.
    pub fn change(&self, change: impl FnOnce(&mut Thread)) -> Result<(), StoreError> {
        let known = self.load()?;
        let mut thread = known.clone();
        change(&mut thread);
        if thread == known { Ok(()) } else { self.save(&thread) }
    }

    /// The message waits for its author; `orders` ask for what it waits for.
    pub fn wait(
        &self,
        due: &Due,
        message: &Message,
        why: &str,
        now: Timestamp,
        orders: &[Order],
    ) -> Result<(), StoreError> {
        self.sql.transaction(|| {
            self.sql.exec(
                "INSERT OR REPLACE INTO waiting (ts, user_id, why, message, at) VALUES (?1, ?2, ?3, ?4, ?5)",
                &[
                    message.ts.as_str().into(),
                    message.user.as_str().into(),
                    why.into(),
                    message.to_json().to_string().into(),
                    now.into(),
                ],
            )?;
            orders.iter().try_for_each(|order| self.enqueue(order))?;
            self.remove(due)
        })
    }

    /// Whether somebody is being asked for a repository.
    pub fn is_choosing(&self) -> Result<bool, StoreError> {
        Ok(!self.sql.exec("SELECT 1 FROM waiting WHERE why = 'choice' LIMIT 1", &[])?.is_empty())
    }

    /// The message of this `ts` that waits for a choice.
    pub fn find_choosing(&self, ts: &str) -> Result<Option<Message>, StoreError> {
        let rows =
            self.sql.exec("SELECT message FROM waiting WHERE why = 'choice' AND ts = ?1", &[ts.into()])?;
        rows.first().map_or(Ok(None), |row| Ok(Message::from_json(&parse(row.text(0)?)?)))
    }

    /// A Slack user has linked an account: the messages go on.
    pub fn release_linked(&self, user: &str, now: Timestamp) -> Result<(), StoreError> {
        self.sql.transaction(|| self.release("why = 'link' AND user_id = ?1", &[user.into()], now))
    }

    /// A repository was chosen: the message goes on with it, and the others that waited behind it.
    pub fn release_chosen(
        &self,
        due: &Due,
        ts: &str,
        repository: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.sql.transaction(|| {
            self.change(|thread| {
                if thread.session.is_none() {
                    (thread.repository, thread.decided_for) =
                        (Some(repository.to_owned()), Some(ts.to_owned()));
                }
            })?;
            self.release("why = 'choice'", &[], now)?;
            self.remove(due)
        })
    }

    fn release(&self, which: &str, values: &[Value], now: Timestamp) -> Result<(), StoreError> {
        let rows =
            self.sql.exec(&format!("DELETE FROM waiting WHERE {which} RETURNING ts, message"), values)?;
        for row in &rows {
            let payload = json!({"message": parse(row.text(1)?)?});
            self.enqueue(&Order::new(format!("message/{}", row.text(0)?), "message", payload, now))?;
        }
        Ok(())
    }
}

fn parse(text: &str) -> Result<Json, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(error.to_string()))
}

fn read_due(row: &Row) -> Result<Due, StoreError> {
    Ok(Due {
        key: row.text(0)?.to_owned(),
        kind: row.text(1)?.to_owned(),
        payload: parse(row.text(2)?)?,
        version: row.number(3)?,
        attempts: u32::try_from(row.number(4)?).unwrap_or(u32::MAX),
    })
}

#[cfg(test)]
mod tests;
