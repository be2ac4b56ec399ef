//! The one row of what a session watches: written when it differs, read when the session is rebuilt. Called by `commit` and `load`.

use super::Store;
use super::row::{from_json, from_word, id, json, small, word};
use super::sql::{Row, Sql, StoreError, Value};
use crate::core::{
    Account, LiveSandbox, Milestones, Pull, PullRequestState, RunningTurn, SandboxPhase, Saved, Saving,
    Session, StopCause, StopState,
};
use protocol::bridge::SandboxSource;
use protocol::id::{ImageId, ReservationId, SandboxId, SnapshotId};
use protocol::time::Timestamp;
use protocol::timeline::{SandboxStatus, Seq};

/// The row, read.
pub(super) struct Watch {
    pub(super) generation: u64,
    pub(super) status: SandboxStatus,
    pub(super) snapshots: Vec<Saved>,
    pub(super) pull_request: PullRequestState,
    pub(super) pull: Pull,
    pub(super) milestones: Milestones,
    pub(super) account: Account,
    pub(super) turns_ended: u32,
    pub(super) kept_from: Seq,
    pub(super) active_at: Timestamp,
    pub(super) warmed_at: Timestamp,
    pub(super) reservation: Option<ReservationId>,
    pub(super) false_starts: u32,
    pub(super) deleted: bool,
    pub(super) saving: Option<Saving>,
    pub(super) turn: Option<TurnWatch>,
    pub(super) sandbox: Option<LiveSandbox>,
}

/// What is watched of a running turn.
pub(super) struct TurnWatch {
    pub(super) ordered_at: Timestamp,
    pub(super) received: bool,
    pub(super) stop: StopState,
    pub(super) cause: StopCause,
    pub(super) digest_turns: u32,
}

const COLUMNS: &str = "generation, status, snapshots, pull_request, turns_ended, kept_from, active_at, deleted, seq, \
    saving_id, saving_since, ordered_at, received, stop, stop_at, stop_cause, digest_turns, \
    phase, sandbox_id, source, runner_seq, bridge_url, heard_at, provider, isolation, agent, created_at, forgotten, leaving, denials, warm, \
    warmed_at, reservation, false_starts, pull, milestones, account, beats";

impl<S: Sql> Store<S> {
    /// Only how far the runner's events were taken.
    pub(super) fn save_cursor(&self, session: &Session) -> Result<(), StoreError> {
        let Some(sandbox) = &session.sandbox else { return Ok(()) };
        self.sql.exec(
            "UPDATE sandbox SET runner_seq = ?1, heard_at = ?2",
            &[sandbox.runner_seq.into(), sandbox.heard_at.into()],
        )?;
        Ok(())
    }

    pub(super) fn save_watch(&self, session: &Session) -> Result<(), StoreError> {
        let mut values: Vec<Value> = vec![
            session.generation.into(),
            json(&session.status)?.into(),
            json(&session.snapshots)?.into(),
            pull_request_word(session.pull_request).into(),
            session.turns_ended.into(),
            session.kept_from.into(),
            session.active_at.into(),
            u32::from(session.deleted).into(),
            session.seq.into(),
            session.saving.as_ref().map(|saving| saving.snapshot_id.as_str()).into(),
            session.saving.as_ref().map(|saving| saving.since).into(),
        ];
        values.extend(turn_values(session.turn.as_ref()));
        values.extend(sandbox_values(session.sandbox.as_ref())?);
        values.extend([
            session.warmed_at.into(),
            session.reservation.as_ref().map(|id| id.as_str()).into(),
            session.false_starts.into(),
            json(&session.pull)?.into(),
            json(&session.milestones)?.into(),
            json(&session.account)?.into(),
            session.sandbox.as_ref().map_or(0, |sandbox| u32::from(sandbox.beats)).into(),
        ]);
        self.sql.exec(
            &format!(
                "INSERT OR REPLACE INTO sandbox (one, {COLUMNS}) VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, \
                 ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, \
                 ?32, ?33, ?34, ?35, ?36, ?37, ?38)"
            ),
            &values,
        )?;
        Ok(())
    }

    pub(super) fn load_watch(&self) -> Result<Watch, StoreError> {
        let row = self
            .first_row(&format!("SELECT {COLUMNS} FROM sandbox"), &[])?
            .ok_or_else(|| StoreError::Corrupt("the session has no sandbox row".to_owned()))?;
        let saving = match (row.text_or_null(9)?, row.number_or_null(10)?) {
            (Some(snapshot), Some(since)) => {
                Some(Saving { snapshot_id: id(SnapshotId::parse(snapshot))?, since: Timestamp(since) })
            }
            (_, _) => None,
        };
        Ok(Watch {
            generation: row.number(0)?,
            status: from_json(row.text(1)?)?,
            snapshots: from_json(row.text(2)?)?,
            pull_request: match row.text(3)? {
                "ordered" => PullRequestState::Ordered,
                "open" => PullRequestState::Open,
                _ => PullRequestState::None,
            },
            turns_ended: small(row.number(4)?),
            kept_from: row.number(5)?,
            active_at: row.timestamp(6)?,
            warmed_at: row.timestamp(31)?,
            reservation: row.text_or_null(32)?.map(|text| id(ReservationId::parse(text))).transpose()?,
            false_starts: small(row.number(33)?),
            pull: from_json(row.text(34)?)?,
            milestones: from_json(row.text(35)?)?,
            account: from_json(row.text(36)?)?,
            deleted: row.number(7)? == 1,
            saving,
            turn: read_turn(&row)?,
            sandbox: read_sandbox(&row)?,
        })
    }
}

fn turn_values(turn: Option<&RunningTurn>) -> [Value; 6] {
    let (stop, stop_at) = match turn.map(|turn| turn.stop) {
        None => (None, None),
        Some(StopState::None) => (Some("none"), None),
        Some(StopState::Requested { at }) => (Some("requested"), Some(at)),
        Some(StopState::Repeated { at }) => (Some("repeated"), Some(at)),
    };
    let cause = turn.map(|turn| match turn.cause {
        StopCause::Participant => "participant",
        StopCause::Handover => "handover",
    });
    [
        turn.map(|turn| turn.ordered_at).into(),
        turn.map(|turn| u32::from(turn.received)).into(),
        stop.into(),
        stop_at.into(),
        cause.into(),
        turn.map(|turn| turn.digest_turns).into(),
    ]
}

fn read_turn(row: &Row) -> Result<Option<TurnWatch>, StoreError> {
    let Some(ordered_at) = row.number_or_null(11)? else { return Ok(None) };
    let stop = match (row.text_or_null(13)?, row.number_or_null(14)?) {
        (Some("requested"), Some(at)) => StopState::Requested { at: Timestamp(at) },
        (Some("repeated"), Some(at)) => StopState::Repeated { at: Timestamp(at) },
        (_, _) => StopState::None,
    };
    Ok(Some(TurnWatch {
        ordered_at: Timestamp(ordered_at),
        received: row.number(12)? == 1,
        stop,
        cause: match row.text(15)? {
            "handover" => StopCause::Handover,
            _ => StopCause::Participant,
        },
        digest_turns: small(row.number(16)?),
    }))
}

fn sandbox_values(sandbox: Option<&LiveSandbox>) -> Result<[Value; 14], StoreError> {
    let phase = match sandbox.map(|sandbox| sandbox.phase) {
        None => "none",
        Some(SandboxPhase::Claiming) => "claiming",
        Some(SandboxPhase::Binding) => "binding",
        Some(SandboxPhase::Ordered) => "ordered",
        Some(SandboxPhase::Created) => "created",
        Some(SandboxPhase::Attached) => "attached",
        Some(SandboxPhase::Ready) => "ready",
    };
    let isolation =
        sandbox.and_then(|sandbox| sandbox.isolation).map(|isolation| word(&isolation)).transpose()?;
    Ok([
        phase.into(),
        sandbox.map(|sandbox| sandbox.id.as_str()).into(),
        sandbox.and_then(|sandbox| source_id(&sandbox.source)).into(),
        sandbox.map_or(0, |sandbox| sandbox.runner_seq).into(),
        sandbox.and_then(|sandbox| sandbox.bridge_url.as_deref()).into(),
        sandbox.map_or(0, |sandbox| sandbox.heard_at.0).into(),
        sandbox.and_then(|sandbox| sandbox.provider.as_deref()).into(),
        isolation.into(),
        sandbox.and_then(|sandbox| sandbox.agent.as_deref()).into(),
        sandbox.map(|sandbox| sandbox.created_at).into(),
        sandbox.map_or(0, |sandbox| sandbox.forgotten).into(),
        sandbox.map_or(0, |sandbox| u32::from(sandbox.leaving)).into(),
        json(&sandbox.map_or(&[][..], |sandbox| &sandbox.denials))?.into(),
        sandbox.map_or(0, |sandbox| u32::from(sandbox.warm)).into(),
    ])
}

fn read_sandbox(row: &Row) -> Result<Option<LiveSandbox>, StoreError> {
    let phase = match row.text(17)? {
        "claiming" => SandboxPhase::Claiming,
        "binding" => SandboxPhase::Binding,
        "ordered" => SandboxPhase::Ordered,
        "created" => SandboxPhase::Created,
        "attached" => SandboxPhase::Attached,
        "ready" => SandboxPhase::Ready,
        _ => return Ok(None),
    };
    Ok(Some(LiveSandbox {
        id: id(SandboxId::parse(row.text(18)?))?,
        phase,
        source: read_source(row.text_or_null(19)?)?,
        runner_seq: row.number(20)?,
        bridge_url: row.text_or_null(21)?.map(str::to_owned),
        heard_at: row.timestamp(22)?,
        provider: row.text_or_null(23)?.map(str::to_owned),
        isolation: row.text_or_null(24)?.map(from_word).transpose()?,
        agent: row.text_or_null(25)?.map(str::to_owned),
        created_at: row.timestamp(26)?,
        forgotten: small(row.number(27)?),
        leaving: row.number(28)? == 1,
        denials: from_json(row.text(29)?)?,
        warm: row.number(30)? == 1,
        beats: row.number(37)? == 1,
    }))
}

/// Its id says what it is: a snapshot's, an image's, or none for the base image.
fn source_id(source: &SandboxSource) -> Option<&str> {
    match source {
        SandboxSource::Base => None,
        SandboxSource::Snapshot { snapshot_id } => Some(snapshot_id.as_str()),
        SandboxSource::Image { image_id } => Some(image_id.as_str()),
    }
}

fn read_source(text: Option<&str>) -> Result<SandboxSource, StoreError> {
    let Some(text) = text else { return Ok(SandboxSource::Base) };
    Ok(match ImageId::parse(text) {
        Ok(image_id) => SandboxSource::Image { image_id },
        Err(_) => SandboxSource::Snapshot { snapshot_id: id(SnapshotId::parse(text))? },
    })
}

fn pull_request_word(state: PullRequestState) -> &'static str {
    match state {
        PullRequestState::None => "none",
        PullRequestState::Ordered => "ordered",
        PullRequestState::Open => "open",
    }
}
