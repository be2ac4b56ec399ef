//! Writes what one input changed: all its effects, in one transaction.
//!
//! Most inputs are a runner's text. Of those, each event becomes a row and nothing else is touched but the runner's position.

use super::Store;
use super::item_writes::ItemWrites;
use super::replay::render_record;
use super::row::{BOUND_BYTES_MAX, json, push_element};
use super::sql::{Sql, StoreError};
use crate::core::{Effect, Person, QueuedPrompt, Session, Steering};
use protocol::time::Timestamp;
use protocol::timeline::{Role, Seq};

/// Rows for `events` that are next to each other and of one moment.
struct Run {
    first: Seq,
    at: Timestamp,
    count: u64,
    data: String,
}

impl<S: Sql> Store<S> {
    /// Writes a session that has just begun. Answers the JSON of its events, as [`protocol::timeline::EventRecord`].
    pub fn create(
        &self,
        session: &Session,
        effects: &[Effect],
        now: Timestamp,
    ) -> Result<Vec<String>, StoreError> {
        self.sql.transaction(|| {
            let info = &session.info;
            self.sql.exec(
                "INSERT INTO session (one, session_id, title, repository, clone_url, default_branch, branch, model, \
                 created_by, created_at) VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                &[
                    info.id.as_str().into(),
                    info.title.as_str().into(),
                    info.repository.as_str().into(),
                    session.clone_url.as_str().into(),
                    info.default_branch.as_str().into(),
                    info.branch.as_str().into(),
                    info.model.as_str().into(),
                    info.created_by.as_str().into(),
                    info.created_at.into(),
                ],
            )?;
            self.save_watch(session)?;
            self.write(session, effects, now)
        })
    }

    /// Writes what one input changed. Answers the JSON of the recorded events, as [`protocol::timeline::EventRecord`], for those who
    /// watch.
    pub fn commit(
        &self,
        session: &Session,
        effects: &[Effect],
        now: Timestamp,
    ) -> Result<Vec<String>, StoreError> {
        self.sql.transaction(|| self.write(session, effects, now))
    }

    /// As [`Self::commit`], with the outbox row that the input came from.
    pub fn commit_finished(
        &self,
        session: &Session,
        effects: &[Effect],
        now: Timestamp,
        key: &str,
        version: u64,
    ) -> Result<Vec<String>, StoreError> {
        self.sql.transaction(|| {
            self.remove_outbox(key, version)?;
            self.write(session, effects, now)
        })
    }

    fn write(
        &self,
        session: &Session,
        effects: &[Effect],
        now: Timestamp,
    ) -> Result<Vec<String>, StoreError> {
        let records = self.insert_events(effects)?;
        let mut writes = ItemWrites::default();
        for effect in effects {
            match effect {
                Effect::Record { seq, at, event } => self.record(*seq, *at, event, &mut writes)?,
                Effect::SaveParticipant(person) => self.save_participant(person)?,
                Effect::SaveQueue(queue) => self.save_queue(queue)?,
                Effect::SaveCursor => self.save_cursor(session)?,
                Effect::SaveWatch => self.save_watch(session)?,
                Effect::SaveText { item_id, seq, text } => writes.save_text(item_id, *seq, text),
                Effect::SaveOutput { artifact_id, output } => self.save_output(artifact_id, output)?,
                Effect::SaveAttachments { prompt_id, attachments } => {
                    self.save_attachments(prompt_id, attachments)?;
                }
                Effect::DropOutput { artifact_id } => {
                    let statement = "DELETE FROM outputs WHERE artifact_id = ?1";
                    self.sql.exec(statement, &[artifact_id.as_str().into()])?;
                }
                Effect::Compact { from } => {
                    self.sql.exec("DELETE FROM events WHERE seq < ?1", &[(*from).into()])?;
                }
                Effect::Purge => self.purge()?,
                Effect::Enqueue(work) => self.enqueue(work, now)?,
                Effect::Withdraw { key } => {
                    self.sql.exec("DELETE FROM outbox WHERE key = ?1", &[key.as_str().into()])?;
                }
                Effect::Reply(_) => {}
            }
        }
        self.write_items(&mut writes)?;
        Ok(records)
    }

    /// All rows of the history, before anything that they add up to.
    fn insert_events(&self, effects: &[Effect]) -> Result<Vec<String>, StoreError> {
        let mut records = Vec::new();
        let mut run: Option<Run> = None;
        for effect in effects {
            let Effect::Record { seq, at, event } = effect else { continue };
            let data = json(event)?;
            records.push(render_record(*seq, *at, &data));
            match &mut run {
                Some(run)
                    if run.first + run.count == *seq
                        && run.at == *at
                        && run.data.len() + data.len() < BOUND_BYTES_MAX =>
                {
                    run.count += 1;
                    push_element(&mut run.data, &data);
                }
                Some(_) | None => {
                    let next = Run { first: *seq, at: *at, count: 1, data };
                    if let Some(full) = run.replace(next) {
                        self.insert_run(full)?;
                    }
                }
            }
        }
        if let Some(last) = run {
            self.insert_run(last)?;
        }
        Ok(records)
    }

    fn insert_run(&self, run: Run) -> Result<(), StoreError> {
        if run.count == 1 {
            let statement = "INSERT INTO events (seq, at, data) VALUES (?1, ?2, ?3)";
            self.sql.exec(statement, &[run.first.into(), run.at.into(), run.data.into()])?;
            return Ok(());
        }
        self.sql.exec(
            "INSERT INTO events (seq, at, data) SELECT ?1 + key, ?2, value FROM json_each('[' || ?3 || ']')",
            &[run.first.into(), run.at.into(), run.data.into()],
        )?;
        Ok(())
    }

    fn save_participant(&self, person: &Person) -> Result<(), StoreError> {
        self.sql.exec(
            "INSERT INTO participants (user_id, login, name, email, joined_at, role) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
             ON CONFLICT (user_id) DO UPDATE SET login = excluded.login, name = excluded.name, email = excluded.email, \
             role = excluded.role",
            &[
                person.user.id.as_str().into(),
                person.user.login.as_str().into(),
                person.user.name.as_str().into(),
                person.user.email.as_str().into(),
                person.joined_at.into(),
                role_word(person.role).into(),
            ],
        )?;
        Ok(())
    }

    fn save_queue(&self, queue: &[QueuedPrompt]) -> Result<(), StoreError> {
        self.sql.exec("DELETE FROM queue", &[])?;
        if queue.is_empty() {
            return Ok(());
        }
        let rows: Vec<(&str, u32, &str)> = queue
            .iter()
            .map(|prompt| (prompt.id.as_str(), prompt.attempts, steering_word(prompt.steering)))
            .collect();
        self.sql.exec(
            "INSERT INTO queue (prompt_id, position, attempts, steering) \
             SELECT value ->> 0, key, value ->> 1, value ->> 2 FROM json_each(?1)",
            &[json(&rows)?.into()],
        )?;
        Ok(())
    }

    /// What is left is what loading and the outbox need.
    fn purge(&self) -> Result<(), StoreError> {
        for statement in [
            "DELETE FROM events",
            "DELETE FROM participants",
            "DELETE FROM prompts",
            "DELETE FROM messages",
            "DELETE FROM queue",
            "DELETE FROM turns",
            "DELETE FROM items",
            "DELETE FROM artifacts",
            "DELETE FROM notices",
            "DELETE FROM outputs",
            "DELETE FROM attachments",
            "DELETE FROM tickets",
            "DELETE FROM thread",
            "UPDATE session SET title = '', input_tokens = 0, output_tokens = 0, cached_tokens = 0, cost_usd = 0",
        ] {
            self.sql.exec(statement, &[])?;
        }
        Ok(())
    }
}

fn role_word(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Driver => "driver",
        Role::Viewer => "viewer",
        Role::Unknown => "unknown",
    }
}

fn steering_word(steering: Steering) -> &'static str {
    match steering {
        Steering::None => "none",
        Steering::Wanted => "wanted",
        Steering::Ordered => "ordered",
        Steering::Taken => "taken",
    }
}
