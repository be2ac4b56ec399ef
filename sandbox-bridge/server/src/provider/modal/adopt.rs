//! Finds the sandboxes of this replica's earlier life again: those that it was asked for, and those that it looked after.
//!
//! Who runs is taken over, who ended meanwhile is reported, what was being ended is ended. Those of other replicas are found when
//! they are asked for. Called when the provider starts.

use super::inner::{Inner, REPLICA_TAG};
use super::names::sandbox_name;
use super::replicas::our_id;
use super::settings::SettingsError;
use super::state::StoredSandbox;
use super::{Created, ModalError, Tags, exit};
use crate::provider::{Owner, SandboxExit};
use futures::{StreamExt, TryStreamExt};
use modal_api::SandboxInfo;
use protocol::id::SandboxId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Sandboxes that are asked about at the same time.
const AT_ONCE: usize = 16;

/// Takes over what is there.
pub(super) async fn adopt_all(inner: &Arc<Inner>) -> Result<(), SettingsError> {
    let wrong = |source| SettingsError::State { path: inner.config.state_dir.clone(), source };
    let own = Tags::from([(REPLICA_TAG.to_owned(), inner.state.replica.clone())]);
    let listed = inner.client.list_sandboxes(&inner.app_id, &own).await?;
    let mut known: BTreeMap<SandboxId, StoredSandbox> = BTreeMap::new();
    for stored in inner.state.sandboxes().map_err(wrong)? {
        known.insert(stored.sandbox_id.clone(), stored);
    }
    let mut running = Vec::new();
    for sandbox in listed {
        let Some(id) = our_id(&sandbox) else { continue };
        let looked_after = known.remove(&id).is_some();
        running.push((id, sandbox, looked_after));
    }
    futures::stream::iter(running)
        .map(|(id, sandbox, looked_after)| take_over(inner, id, sandbox, looked_after))
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    for stored in known.into_values() {
        find_or_report(inner, stored).await?;
    }
    inner.reap().await?;
    Ok(())
}

async fn take_over(
    inner: &Arc<Inner>,
    id: SandboxId,
    sandbox: SandboxInfo,
    looked_after: bool,
) -> Result<(), ModalError> {
    let task_id = match sandbox.task_info.map(|task| task.id).filter(|id| !id.is_empty()) {
        Some(task_id) => task_id,
        None => match inner.client.task_id(&sandbox.id).await {
            // It has ended since it was listed.
            Err(error) if error.is_not_found() => return Ok(()),
            other => other?,
        },
    };
    let created = Created { modal_id: sandbox.id, task_id, access: None };
    let Some(running) = inner.adopt(&id, created).await? else { return Ok(()) };
    if !looked_after && !matches!(running.order.owner, Owner::Build { .. }) {
        // It may lack its runner: it waits for its order to be given again, here or at another replica, or ends by itself.
        return Ok(());
    }
    tracing::info!(sandbox = %id, modal_id = running.modal_id, "sandbox adopted");
    inner.add(Arc::clone(&running));
    inner.watch(&running);
    Ok(())
}

/// One that another replica was asked for, and this one looked after; or one that has ended.
async fn find_or_report(inner: &Arc<Inner>, stored: StoredSandbox) -> Result<(), ModalError> {
    let id = &stored.sandbox_id;
    if let Some(created) = inner.find_again(&sandbox_name(id.as_str())).await? {
        if let Some(running) = inner.adopt(id, created).await? {
            inner.add(Arc::clone(&running));
            inner.watch(&running);
        }
        return Ok(());
    }
    let reason = match inner.client.poll_end(&stored.modal_id).await {
        Ok(Some(result)) => exit::describe(&result),
        Ok(None) => "Modal does not list it any more".to_owned(),
        Err(error) if error.is_not_found() => "Modal does not know it any more".to_owned(),
        Err(error) => return Err(error),
    };
    let mut record = stored.record();
    if let Some(super::facts::Given::Session(session)) = inner.facts.given(id).await? {
        record.given = Some(session);
    }
    let told_here = inner.is_told_here(id).await?;
    if told_here {
        inner.facts.use_up(id).await?;
    }
    inner.forget(id);
    let reason = format!("{reason} (while the bridge was away)");
    // There is room for more ends than there are sandboxes; the session notices the silence in any case.
    if told_here && let Err(error) = inner.exits.try_send(SandboxExit { record, reason, told_here }) {
        tracing::warn!(sandbox = %id, %error, "an end could not be reported");
    }
    Ok(())
}
