//! Rebuilds the session's machine from its tables, after the object was evicted or its process ended.

use super::Store;
use super::row::{from_json, from_word, id};
use super::snapshot::read_item;
use super::sql::{Row, Sql, StoreError};
use crate::core::{
    Accepted, LiveSandbox, Person, PullRequestState, QueuedPrompt, RunningTurn, SandboxPhase, Saving,
    Session, StopState, TurnItem,
};
use protocol::client::SessionInfo;
use protocol::id::{ItemId, PromptId, RepositoryId, SandboxId, SessionId, SnapshotId, TurnId, UserId};
use protocol::timeline::{SandboxStatus, User};
use std::collections::{BTreeMap, VecDeque};

struct Watch {
    generation: u64,
    status: SandboxStatus,
    snapshot: Option<SnapshotId>,
    pull_request: PullRequestState,
    sandbox: Option<LiveSandbox>,
    saving: Option<Saving>,
    row: Row,
}

impl<S: Sql> Store<S> {
    /// The session as of the last commit; `None` when there is none yet.
    pub fn load(&self) -> Result<Option<Session>, StoreError> {
        let Some((info, clone_url)) = self.load_info()? else { return Ok(None) };
        let watch = self.load_watch()?;
        let turn = self.load_turn(&watch.row)?;
        Ok(Some(Session {
            info,
            clone_url,
            seq: self.load_seq()?,
            participants: self.load_people()?,
            accepted: self.load_accepted()?,
            queue: self.load_queue()?,
            turn,
            sandbox: watch.sandbox,
            generation: watch.generation,
            snapshot: watch.snapshot,
            saving: watch.saving,
            status: watch.status,
            pull_request: watch.pull_request,
        }))
    }

    pub(super) fn load_info(&self) -> Result<Option<(SessionInfo, String)>, StoreError> {
        let rows = self.sql.exec(
            "SELECT session_id, title, repository, default_branch, branch, model, created_by, created_at, clone_url \
             FROM session",
            &[],
        )?;
        let Some(row) = rows.first() else { return Ok(None) };
        let info = SessionInfo {
            id: id(SessionId::parse(row.text(0)?))?,
            title: row.text(1)?.to_owned(),
            repository: id(RepositoryId::parse(row.text(2)?))?,
            default_branch: row.text(3)?.to_owned(),
            branch: row.text(4)?.to_owned(),
            model: row.text(5)?.to_owned(),
            created_by: id(UserId::parse(row.text(6)?))?,
            created_at: row.timestamp(7)?,
        };
        Ok(Some((info, row.text(8)?.to_owned())))
    }

    pub(super) fn load_seq(&self) -> Result<u64, StoreError> {
        let rows = self.sql.exec("SELECT COALESCE(MAX(seq), 0) FROM events", &[])?;
        rows.first().map_or(Ok(0), |row| row.number(0))
    }

    fn load_people(&self) -> Result<BTreeMap<UserId, Person>, StoreError> {
        let rows = self.sql.exec("SELECT user_id, login, name, email, joined_at FROM participants", &[])?;
        let mut people = BTreeMap::new();
        for row in &rows {
            let user = User {
                id: id(UserId::parse(row.text(0)?))?,
                login: row.text(1)?.to_owned(),
                name: row.text(2)?.to_owned(),
                email: row.text(3)?.to_owned(),
            };
            people.insert(user.id.clone(), Person { user, joined_at: row.timestamp(4)? });
        }
        Ok(people)
    }

    fn load_accepted(&self) -> Result<BTreeMap<PromptId, Accepted>, StoreError> {
        let rows = self.sql.exec("SELECT prompt_id, digest, seq FROM prompts", &[])?;
        let mut accepted = BTreeMap::new();
        for row in &rows {
            let entry = Accepted { digest: row.text(1)?.to_owned(), seq: row.number(2)? };
            accepted.insert(id(PromptId::parse(row.text(0)?))?, entry);
        }
        Ok(accepted)
    }

    fn load_queue(&self) -> Result<VecDeque<QueuedPrompt>, StoreError> {
        let rows = self.sql.exec(
            "SELECT prompt_id, author_id, attempts FROM queue JOIN prompts USING (prompt_id) ORDER BY position",
            &[],
        )?;
        let mut queue = VecDeque::new();
        for row in &rows {
            queue.push_back(QueuedPrompt {
                id: id(PromptId::parse(row.text(0)?))?,
                author: id(UserId::parse(row.text(1)?))?,
                attempts: small(row.number(2)?),
            });
        }
        Ok(queue)
    }

    fn load_watch(&self) -> Result<Watch, StoreError> {
        let rows = self.sql.exec(
            "SELECT generation, status, snapshot_id, pull_request, phase, sandbox_id, source, runner_seq, bridge_url, \
             heard_at, provider, isolation, agent, saving_id, saving_since, ordered_at, received, stop, stop_at \
             FROM sandbox",
            &[],
        )?;
        let row = rows
            .into_iter()
            .next()
            .ok_or_else(|| StoreError::Corrupt("the session has no sandbox row".to_owned()))?;
        let saving = match (row.text_or_null(13)?, row.number_or_null(14)?) {
            (Some(snapshot), Some(since)) => Some(Saving {
                snapshot_id: id(SnapshotId::parse(snapshot))?,
                since: protocol::time::Timestamp(since),
            }),
            (_, _) => None,
        };
        Ok(Watch {
            generation: row.number(0)?,
            status: from_json(row.text(1)?)?,
            snapshot: row.text_or_null(2)?.map(|text| id(SnapshotId::parse(text))).transpose()?,
            pull_request: match row.text(3)? {
                "ordered" => PullRequestState::Ordered,
                "open" => PullRequestState::Open,
                _ => PullRequestState::None,
            },
            sandbox: read_sandbox(&row)?,
            saving,
            row,
        })
    }

    fn load_turn(&self, watch: &Row) -> Result<Option<RunningTurn>, StoreError> {
        let rows = self.sql.exec(
            "SELECT turn_id, prompt_id, author_id, attempt, started_at FROM turns JOIN prompts USING (prompt_id) \
             WHERE outcome = 'running'",
            &[],
        )?;
        let Some(row) = rows.first() else { return Ok(None) };
        let turn_id = id(TurnId::parse(row.text(0)?))?;
        let stop = match (watch.text_or_null(17)?, watch.number_or_null(18)?) {
            (Some("requested"), Some(at)) => StopState::Requested { at: protocol::time::Timestamp(at) },
            (Some("repeated"), Some(at)) => StopState::Repeated { at: protocol::time::Timestamp(at) },
            (_, _) => StopState::None,
        };
        Ok(Some(RunningTurn {
            items: self.load_turn_items(&turn_id)?,
            id: turn_id,
            prompt_id: id(PromptId::parse(row.text(1)?))?,
            author: id(UserId::parse(row.text(2)?))?,
            attempt: small(row.number(3)?),
            started_at: row.timestamp(4)?,
            ordered_at: watch.timestamp(15)?,
            received: watch.number(16)? == 1,
            stop,
        }))
    }

    fn load_turn_items(&self, turn_id: &TurnId) -> Result<BTreeMap<ItemId, TurnItem>, StoreError> {
        let rows = self.sql.exec(
            "SELECT item_id, turn_id, started_at, content, text FROM items WHERE turn_id = ?1",
            &[turn_id.as_str().into()],
        )?;
        let mut items = BTreeMap::new();
        for row in &rows {
            let item = read_item(row)?;
            items.insert(item.id.clone(), TurnItem::of(&item));
        }
        Ok(items)
    }
}

fn read_sandbox(row: &Row) -> Result<Option<LiveSandbox>, StoreError> {
    let phase = match row.text(4)? {
        "ordered" => SandboxPhase::Ordered,
        "created" => SandboxPhase::Created,
        "attached" => SandboxPhase::Attached,
        "ready" => SandboxPhase::Ready,
        _ => return Ok(None),
    };
    Ok(Some(LiveSandbox {
        id: id(SandboxId::parse(row.text(5)?))?,
        phase,
        source: row.text_or_null(6)?.map(|text| id(SnapshotId::parse(text))).transpose()?,
        runner_seq: row.number(7)?,
        bridge_url: row.text_or_null(8)?.map(str::to_owned),
        heard_at: row.timestamp(9)?,
        provider: row.text_or_null(10)?.map(str::to_owned),
        isolation: row.text_or_null(11)?.map(from_word).transpose()?,
        agent: row.text_or_null(12)?.map(str::to_owned),
    }))
}

pub(super) fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
