//! Writes what one input changed: all effects and what the session watches, in one transaction.

use super::Store;
use super::replay::render_event_frame;
use super::row::{json, word};
use super::sql::{Sql, StoreError, Value};
use crate::core::{Effect, Person, PullRequestState, SandboxPhase, Session, StopState};
use protocol::time::Timestamp;

impl<S: Sql> Store<S> {
    /// Writes a session that has just begun. Answers the frames of its events.
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
            self.write(session, effects, now)
        })
    }

    /// Writes what one input changed. Answers the frames of the recorded events, for those who watch.
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
        let mut frames = Vec::new();
        for effect in effects {
            match effect {
                Effect::Record { seq, at, event } => {
                    let data = json(event)?;
                    self.record(*seq, *at, event, &data)?;
                    frames.push(render_event_frame(*seq, *at, &data));
                }
                Effect::SaveParticipant(person) => self.save_participant(person)?,
                Effect::SaveAttempts { prompt_id, attempts } => {
                    self.sql.exec(
                        "UPDATE queue SET attempts = ?2 WHERE prompt_id = ?1",
                        &[prompt_id.as_str().into(), (*attempts).into()],
                    )?;
                }
                Effect::Enqueue(work) => self.enqueue(work, now)?,
                Effect::Withdraw { key } => {
                    self.sql.exec("DELETE FROM outbox WHERE key = ?1", &[key.as_str().into()])?;
                }
                Effect::Reply(_) => {}
            }
        }
        self.save_sandbox(session)?;
        Ok(frames)
    }

    fn save_participant(&self, person: &Person) -> Result<(), StoreError> {
        self.sql.exec(
            "INSERT INTO participants (user_id, login, name, email, joined_at) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (user_id) DO UPDATE SET login = excluded.login, name = excluded.name, email = excluded.email",
            &[
                person.user.id.as_str().into(),
                person.user.login.as_str().into(),
                person.user.name.as_str().into(),
                person.user.email.as_str().into(),
                person.joined_at.into(),
            ],
        )?;
        Ok(())
    }

    fn save_sandbox(&self, session: &Session) -> Result<(), StoreError> {
        let sandbox = session.sandbox.as_ref();
        let turn = session.turn.as_ref();
        let saving = session.saving.as_ref();
        let (stop, stop_at) = match turn.map(|turn| turn.stop) {
            None => (None, None),
            Some(StopState::None) => (Some("none"), None),
            Some(StopState::Requested { at }) => (Some("requested"), Some(at)),
            Some(StopState::Repeated { at }) => (Some("repeated"), Some(at)),
        };
        let isolation =
            sandbox.and_then(|sandbox| sandbox.isolation).map(|isolation| word(&isolation)).transpose()?;
        let text = |text: Option<&str>| Value::from(text);
        self.sql.exec(
            "INSERT OR REPLACE INTO sandbox (one, generation, status, snapshot_id, pull_request, phase, sandbox_id, \
             source, runner_seq, bridge_url, heard_at, provider, isolation, agent, saving_id, saving_since, ordered_at, \
             received, stop, stop_at) \
             VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
            &[
                session.generation.into(),
                json(&session.status)?.into(),
                text(session.snapshot.as_ref().map(|id| id.as_str())),
                pull_request_word(session.pull_request).into(),
                phase_word(sandbox.map(|sandbox| sandbox.phase)).into(),
                text(sandbox.map(|sandbox| sandbox.id.as_str())),
                text(sandbox.and_then(|sandbox| sandbox.source.as_ref()).map(|id| id.as_str())),
                sandbox.map_or(0, |sandbox| sandbox.runner_seq).into(),
                text(sandbox.and_then(|sandbox| sandbox.bridge_url.as_deref())),
                sandbox.map_or(0, |sandbox| sandbox.heard_at.0).into(),
                text(sandbox.and_then(|sandbox| sandbox.provider.as_deref())),
                isolation.into(),
                text(sandbox.and_then(|sandbox| sandbox.agent.as_deref())),
                text(saving.map(|saving| saving.snapshot_id.as_str())),
                saving.map(|saving| saving.since).into(),
                turn.map(|turn| turn.ordered_at).into(),
                turn.map(|turn| u64::from(turn.received)).into(),
                text(stop),
                stop_at.into(),
            ],
        )?;
        Ok(())
    }
}

pub(super) fn pull_request_word(state: PullRequestState) -> &'static str {
    match state {
        PullRequestState::None => "none",
        PullRequestState::Ordered => "ordered",
        PullRequestState::Open => "open",
    }
}

pub(super) fn phase_word(phase: Option<SandboxPhase>) -> &'static str {
    match phase {
        None => "none",
        Some(SandboxPhase::Ordered) => "ordered",
        Some(SandboxPhase::Created) => "created",
        Some(SandboxPhase::Attached) => "attached",
        Some(SandboxPhase::Ready) => "ready",
    }
}
