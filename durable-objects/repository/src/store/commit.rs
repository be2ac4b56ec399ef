//! Writes what an input changed: the rows that differ, and what it ordered, in one transaction.

use super::Store;
use crate::call::ConfigureCall;
use crate::core::{Build, Effect, Image, Phase, Repository, Reserver, WarmSandbox};
use platform::sql::{Sql, StoreError, Value};
use protocol::repository::BuildOutcome;
use protocol::time::Timestamp;
use serde::Serialize;

impl<S: Sql> Store<S> {
    /// Keeps an input's consequences. `settled` is the outbox row, key and version, whose outcome the input was.
    pub fn commit(
        &self,
        before: Option<&Repository>,
        after: &Repository,
        effects: &[Effect],
        settled: Option<(&str, u64)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.sql.transaction(|| {
            if let Some((key, version)) = settled {
                self.remove_outbox(key, version)?;
            }
            self.save_whole(before, after)?;
            self.save_rows(before, after)?;
            for effect in effects {
                self.save_effect(effect, now)?;
            }
            Ok(())
        })
    }

    fn save_effect(&self, effect: &Effect, now: Timestamp) -> Result<(), StoreError> {
        match effect {
            Effect::Enqueue(work) => self.enqueue(work, now),
            Effect::Withdraw(work) => self.withdraw(work),
            Effect::SaveClaimant(claimant) => self.save_claimant(claimant),
            Effect::ForgetClaims { before } => self.forget_claims(*before),
            Effect::AppendLog { build_id, at, text } => self.append_log(build_id, *at, text),
            Effect::DropLog(build_id) => self.drop_log(build_id),
            Effect::Reply(_) => Ok(()),
        }
    }

    fn save_whole(&self, before: Option<&Repository>, after: &Repository) -> Result<(), StoreError> {
        let is_same = before.is_some_and(|before| {
            before.source == after.source
                && before.settings == after.settings
                && before.next_build_at == after.next_build_at
                && before.inventory_at == after.inventory_at
                && before.breaker == after.breaker
        });
        if is_same {
            return Ok(());
        }
        let failures: String = after.breaker.failures.iter().map(|at| format!("{} ", at.0)).collect();
        let configuration =
            ConfigureCall { repository: after.source.clone(), settings: Some(after.settings.clone()) };
        self.sql.exec(
            "INSERT INTO repository VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO UPDATE SET \
             configuration = ?1, next_build_at = ?2, inventory_at = ?3, failures = ?4, open_until = ?5, \
             pauses = ?6, reason = ?7",
            &[
                json(&configuration)?.into(),
                after.next_build_at.into(),
                after.inventory_at.into(),
                failures.into(),
                after.breaker.open_until.into(),
                after.breaker.pauses.into(),
                after.breaker.reason.as_str().into(),
            ],
        )?;
        Ok(())
    }

    fn save_rows(&self, before: Option<&Repository>, after: &Repository) -> Result<(), StoreError> {
        let (builds, images, sandboxes, reservers) = before
            .map_or((&[][..], &[][..], &[][..], &[][..]), |b| {
                (&b.builds[..], &b.images[..], &b.sandboxes[..], &b.reservers[..])
            });
        self.save_table(
            builds,
            &after.builds,
            &Table {
                key: |build: &Build| build.id.as_str(),
                row: build_row,
                remove: "DELETE FROM builds WHERE build_id = ?1",
                save: "INSERT INTO builds VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (build_id) DO UPDATE SET \
                       accepted_at = ?4, word_at = ?5, ended_at = ?6, outcome = ?7, step = ?8, log_bytes = ?9",
            },
        )?;
        self.save_table(
            images,
            &after.images,
            &Table {
                key: |image: &Image| image.id.as_str(),
                row: image_row,
                remove: "DELETE FROM images WHERE image_id = ?1",
                save: "INSERT INTO images VALUES (?1, ?2, ?3, ?4) ON CONFLICT (image_id) DO UPDATE SET used_at = ?4",
            },
        )?;
        self.save_table(
            sandboxes,
            &after.sandboxes,
            &Table {
                key: |sandbox: &WarmSandbox| sandbox.id.as_str(),
                row: sandbox_row,
                remove: "DELETE FROM sandboxes WHERE sandbox_id = ?1",
                save: "INSERT INTO sandboxes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (sandbox_id) DO UPDATE SET \
                       known_at = ?4, phase = ?5, bridge_url = ?6, commit_id = ?7, reservation = ?8",
            },
        )?;
        self.save_table(
            reservers,
            &after.reservers,
            &Table {
                key: |reserver: &Reserver| reserver.user_id.as_str(),
                row: reserver_row,
                remove: "DELETE FROM reservers WHERE user_id = ?1",
                save: "INSERT INTO reservers VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (user_id) DO UPDATE SET \
                       reservation = ?2, held_until = ?3, window_at = ?4, asked = ?5",
            },
        )
    }

    /// Writes the rows that are new or differ, and removes those that are gone.
    fn save_table<T: PartialEq>(
        &self,
        before: &[T],
        after: &[T],
        table: &Table<T>,
    ) -> Result<(), StoreError> {
        for old in before {
            if !after.iter().any(|new| (table.key)(new) == (table.key)(old)) {
                self.sql.exec(table.remove, &[(table.key)(old).into()])?;
            }
        }
        for new in after {
            if !before.contains(new) {
                self.sql.exec(table.save, &(table.row)(new)?)?;
            }
        }
        Ok(())
    }
}

/// How one kind of row is written.
struct Table<T> {
    key: fn(&T) -> &str,
    row: fn(&T) -> Result<Vec<Value>, StoreError>,
    remove: &'static str,
    save: &'static str,
}

fn build_row(build: &Build) -> Result<Vec<Value>, StoreError> {
    let outcome = build.ended.as_ref().map(|ended| json(&ended.outcome)).transpose()?;
    Ok(vec![
        build.id.as_str().into(),
        build.image_id.as_str().into(),
        build.started_at.into(),
        build.accepted_at.into(),
        build.word_at.into(),
        build.ended.as_ref().map(|ended| ended.at).into(),
        outcome.into(),
        build.step.as_str().into(),
        build.log_bytes.into(),
    ])
}

fn image_row(image: &Image) -> Result<Vec<Value>, StoreError> {
    let built = BuildOutcome::Built {
        image_id: image.id.clone(),
        origin: image.origin.clone(),
        recipe: image.recipe.clone(),
        size_bytes: image.size_bytes,
    };
    Ok(vec![image.id.as_str().into(), json(&built)?.into(), image.built_at.into(), image.used_at.into()])
}

fn sandbox_row(sandbox: &WarmSandbox) -> Result<Vec<Value>, StoreError> {
    let (phase, bridge_url) = match &sandbox.phase {
        Phase::Filling => ("filling", None),
        Phase::Ready { bridge_url } => ("ready", Some(bridge_url.as_str())),
        Phase::Discarding => ("discarding", None),
    };
    Ok(vec![
        sandbox.id.as_str().into(),
        sandbox.image_id.as_str().into(),
        sandbox.created_at.into(),
        sandbox.known_at.into(),
        phase.into(),
        bridge_url.into(),
        sandbox.commit.as_deref().into(),
        sandbox.reservation.as_ref().map(|id| id.as_str()).into(),
    ])
}

fn reserver_row(reserver: &Reserver) -> Result<Vec<Value>, StoreError> {
    let held = reserver.held.as_ref();
    Ok(vec![
        reserver.user_id.as_str().into(),
        held.map(|held| held.reservation.as_str()).into(),
        held.map(|held| held.until).into(),
        reserver.window_at.into(),
        reserver.asked.into(),
    ])
}

fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}
