//! What a repository asks of the sandbox bridge, and what the answers mean to it.

use super::shell::Shell;
use crate::core::{BUILD_MS_MAX, Work, WorkOutcome, evaluate_refusal};
use platform::bridge::{Answered, Ask, Unanswered};
use platform::d1::Database;
use platform::failure::Failure;
use protocol::repository::{BuildImageRequest, Inventory, RepositoryRequest, WarmSandboxRequest};
use protocol::time::Timestamp;
use protocol::trace::TraceParent;

/// An answer of one hop.
const COMMAND_MS_MAX: u64 = 10_000;
/// Making and removing takes the provider's time.
const PROVIDER_MS_MAX: u64 = 115_000;

impl Shell {
    /// Carries out an order.
    pub(super) async fn ask_bridge(
        &self,
        work: &Work,
        asked_at: Timestamp,
        trace: TraceParent,
    ) -> WorkOutcome {
        if matches!(work, Work::Fill(_) | Work::StartBuild(_)) && self.is_halted().await {
            return delayed("an operator has stopped everything".to_owned());
        }
        let ask = match self.render_ask(work) {
            Ok(Some(ask)) => ask.traced(Some(trace)),
            // What it was for is over.
            Ok(None) => return WorkOutcome::Done,
            Err(failure) => return delayed(failure.into_body(&self.about()).message),
        };
        let answered = match self.settings.bridge.send(&ask).await {
            Ok(answered) => answered,
            Err(Unanswered::Misconfigured(reason)) => return WorkOutcome::Rejected { reason },
            Err(Unanswered::Silent(reason)) => return delayed(format!("the sandbox bridge: {reason}")),
        };
        let Answered { status, body, retry_after_ms, .. } = answered;
        if !(200..300).contains(&status) {
            return evaluate_refusal(status, &body, retry_after_ms);
        }
        if *work != Work::TakeInventory {
            return WorkOutcome::Done;
        }
        match protocol::read_json::<Inventory>(&body) {
            Ok(inventory) => WorkOutcome::Inventory { inventory, asked_at, claimed: Vec::new() },
            Err(error) => delayed(format!("the sandbox bridge's inventory is not understood: {error}")),
        }
    }

    /// Whether an operator has halted everything. While that is not known, sessions decide, which ask for each turn.
    async fn is_halted(&self) -> bool {
        let Ok(database) = Database::new(&self.env) else { return false };
        database.rows(budget::ledger::HALTED, &[]).await.is_ok_and(|rows| !rows.is_empty())
    }

    /// The request for some work; `None` when the work has become pointless.
    fn render_ask(&self, work: &Work) -> Result<Option<Ask>, Failure> {
        let repository = self.repository()?;
        let own = |path: String, timeout_ms| {
            let request = RepositoryRequest { repository: repository.source.id.clone() };
            Ask::new(path, &request, timeout_ms, None).map(Some)
        };
        match work {
            Work::StartBuild(id) => {
                let Some(build) = repository.running_build().filter(|build| build.id == *id) else {
                    return Ok(None);
                };
                let request = BuildImageRequest {
                    repository: repository.source.clone(),
                    image_id: build.image_id.clone(),
                    settings: repository.settings.clone(),
                    previous: repository.current_image().map(|image| image.origin.clone()),
                    timeout_ms: BUILD_MS_MAX,
                };
                Ask::new(format!("/builds/{id}"), &request, COMMAND_MS_MAX, None).map(Some)
            }
            Work::Fill(id) => {
                let settings = &self.settings;
                let Some(sandbox) = repository.sandbox(id) else { return Ok(None) };
                let image = repository.images.iter().find(|image| image.id == sandbox.image_id);
                let limits = repository.settings.limits.or_else(|| image?.recipe.limits);
                let request = WarmSandboxRequest {
                    repository: repository.source.clone(),
                    image_id: sandbox.image_id.clone(),
                    limits: limits.unwrap_or(settings.limits),
                    agent: settings.agent,
                    model: settings.models.first().cloned().unwrap_or_default(),
                    models: settings.models.clone(),
                };
                Ask::new(format!("/sandboxes/{id}/warm"), &request, PROVIDER_MS_MAX, None).map(Some)
            }
            Work::CancelBuild(id) => own(format!("/builds/{id}/cancelled"), COMMAND_MS_MAX),
            Work::DeleteImage(id) => own(format!("/images/{id}/deleted"), PROVIDER_MS_MAX),
            Work::Discard(id) => own(format!("/sandboxes/{id}/discarded"), PROVIDER_MS_MAX),
            Work::TakeInventory => own("/inventory".to_owned(), PROVIDER_MS_MAX),
        }
    }
}

fn delayed(reason: String) -> WorkOutcome {
    WorkOutcome::Delayed { reason, retry_after_ms: None }
}
