//! Rebuilds the repository from its rows.

use crate::call::ConfigureCall;
use crate::core::{Breaker, Build, Ended, Held, Image, Phase, Repository, Reserver, WarmSandbox};
use platform::sql::{Row, Sql, StoreError};
use protocol::id::{BuildId, ImageId, ReservationId, SandboxId, UserId};
use protocol::repository::BuildOutcome;
use protocol::time::Timestamp;
use serde::de::DeserializeOwned;

pub(super) fn load<S: Sql>(sql: &S) -> Result<Option<Repository>, StoreError> {
    let rows = sql.exec(
        "SELECT configuration, next_build_at, inventory_at, failures, open_until, pauses, reason FROM repository",
        &[],
    )?;
    let Some(row) = rows.first() else { return Ok(None) };
    let configuration: ConfigureCall = from_json(row.text(0)?)?;
    let failures = row.text(3)?.split(' ').filter_map(|at| at.parse().ok().map(Timestamp)).collect();
    Ok(Some(Repository {
        source: configuration.repository,
        settings: configuration.settings.unwrap_or_default(),
        next_build_at: row.timestamp(1)?,
        inventory_at: row.timestamp(2)?,
        breaker: Breaker {
            failures,
            open_until: moment(row, 4)?,
            pauses: small(row, 5)?,
            reason: row.text(6)?.to_owned(),
        },
        builds: read_all(
            sql,
            "SELECT build_id, image_id, started_at, accepted_at, word_at, ended_at, outcome, step, log_bytes \
             FROM builds ORDER BY rowid",
            read_build,
        )?,
        images: read_all(
            sql,
            "SELECT image_id, built, built_at, used_at FROM images ORDER BY rowid",
            read_image,
        )?,
        sandboxes: read_all(
            sql,
            "SELECT sandbox_id, image_id, created_at, known_at, phase, bridge_url, commit_id, reservation \
             FROM sandboxes ORDER BY rowid",
            read_sandbox,
        )?,
        reservers: read_all(
            sql,
            "SELECT user_id, reservation, held_until, window_at, asked FROM reservers ORDER BY rowid",
            read_reserver,
        )?,
    }))
}

fn read_all<S: Sql, T>(
    sql: &S,
    query: &str,
    read: fn(&Row) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    sql.exec(query, &[])?.iter().map(read).collect()
}

fn read_build(row: &Row) -> Result<Build, StoreError> {
    let ended = match (moment(row, 5)?, row.text_or_null(6)?) {
        (Some(at), Some(outcome)) => Some(Ended { at, outcome: from_json(outcome)? }),
        (Some(_) | None, _) => None,
    };
    Ok(Build {
        id: id(row, 0, BuildId::parse)?,
        image_id: id(row, 1, ImageId::parse)?,
        started_at: row.timestamp(2)?,
        accepted_at: moment(row, 3)?,
        word_at: row.timestamp(4)?,
        ended,
        step: row.text(7)?.to_owned(),
        log_bytes: row.number(8)?,
    })
}

fn read_image(row: &Row) -> Result<Image, StoreError> {
    let BuildOutcome::Built { origin, recipe, size_bytes, .. } = from_json(row.text(1)?)? else {
        return Err(StoreError::Corrupt("an image that was not built".to_owned()));
    };
    Ok(Image {
        id: id(row, 0, ImageId::parse)?,
        origin,
        recipe,
        size_bytes,
        built_at: row.timestamp(2)?,
        used_at: row.timestamp(3)?,
    })
}

fn read_sandbox(row: &Row) -> Result<WarmSandbox, StoreError> {
    let phase = match (row.text(4)?, row.text_or_null(5)?) {
        ("filling", None) => Phase::Filling,
        ("ready", Some(bridge_url)) => Phase::Ready { bridge_url: bridge_url.to_owned() },
        ("discarding", None) => Phase::Discarding,
        (other, _) => return Err(StoreError::Corrupt(format!("a sandbox that is {other}"))),
    };
    Ok(WarmSandbox {
        id: id(row, 0, SandboxId::parse)?,
        image_id: id(row, 1, ImageId::parse)?,
        created_at: row.timestamp(2)?,
        known_at: moment(row, 3)?,
        phase,
        commit: row.text_or_null(6)?.map(str::to_owned),
        reservation: id_or_null(row, 7, ReservationId::parse)?,
    })
}

fn read_reserver(row: &Row) -> Result<Reserver, StoreError> {
    let held = match (id_or_null(row, 1, ReservationId::parse)?, moment(row, 2)?) {
        (Some(reservation), Some(until)) => Some(Held { reservation, until }),
        (Some(_) | None, _) => None,
    };
    Ok(Reserver {
        user_id: id(row, 0, UserId::parse)?,
        held,
        window_at: row.timestamp(3)?,
        asked: small(row, 4)?,
    })
}

fn moment(row: &Row, column: usize) -> Result<Option<Timestamp>, StoreError> {
    Ok(row.number_or_null(column)?.map(Timestamp))
}

fn small(row: &Row, column: usize) -> Result<u32, StoreError> {
    Ok(u32::try_from(row.number(column)?).unwrap_or(u32::MAX))
}

/// An id in a column that is never NULL.
pub(super) fn id<T>(
    row: &Row,
    column: usize,
    parse: fn(&str) -> Result<T, protocol::id::InvalidId>,
) -> Result<T, StoreError> {
    parse(row.text(column)?).map_err(|error| StoreError::Corrupt(error.to_string()))
}

fn id_or_null<T>(
    row: &Row,
    column: usize,
    parse: fn(&str) -> Result<T, protocol::id::InvalidId>,
) -> Result<Option<T>, StoreError> {
    let text = row.text_or_null(column)?;
    text.map(parse).transpose().map_err(|error| StoreError::Corrupt(error.to_string()))
}

fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(error.to_string()))
}
