//! The kill switch: ends every sandbox that the provider has, whoever made it and whatever it is doing, and tells whom it belonged to.
//!
//! What is told here is that an operator wants it; that nothing begins anew is decided at the edge, by sessions and repositories.

use super::sandboxes::{Answer, Ending, Shared, end, failure, in_own_task, parse};
use crate::provider::SandboxProvider;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use futures::StreamExt;
use protocol::budget::{HaltRequest, Halted};
use std::time::Duration;

/// Sandboxes that are ended at the same time.
const AT_ONCE: usize = 64;
/// How long what else is done to a sandbox is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn halt<P: SandboxProvider>(State(api): Shared<P>, body: Bytes) -> Answer<Json<Halted>> {
    let HaltRequest { reason } = parse(&body)?;
    in_own_task(async move {
        let records = api.provider.survey_all().await;
        let records = records.map_err(|error| failure("list", "everybody", &error))?;
        tracing::warn!(sandboxes = records.len(), reason, "an operator halts everything");
        let ended = futures::stream::iter(records).map(|record| {
            let (api, reason) = (&api, &reason);
            async move {
                let record =
                    api.hub.find(&record.sandbox_id).map_or(record, |sandbox| sandbox.current_record());
                let id = &record.sandbox_id;
                let has_ended = match tokio::time::timeout(PATIENCE, end(api, id, Ending::Any)).await {
                    Ok(ended) => ended.is_ok(),
                    // It is being made or saved, which may take minutes: that comes to nothing.
                    Err(_) => {
                        let ended = api.provider.terminate(id).await;
                        api.hub.forget(id);
                        ended.is_ok()
                    }
                };
                if has_ended {
                    api.hub.report_halt(record, reason);
                }
                has_ended
            }
        });
        let ended: Vec<bool> = ended.buffer_unordered(AT_ONCE).collect().await;
        let count = |wanted| {
            u32::try_from(ended.iter().filter(|has_ended| **has_ended == wanted).count()).unwrap_or(u32::MAX)
        };
        Ok(Json(Halted { ended: count(true), left: count(false) }))
    })
    .await
}
