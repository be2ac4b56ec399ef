//! Images of repositories: which builds this bridge works on, and the routes that order and cancel them.
//!
//! One build of a repository at a time and a few in all; others wait. What a build is for is in [`protocol::repository`]. A bridge
//! that ends forgets its builds: their sandboxes are swept by the next, and whoever ordered one asks again.

mod build;
mod command;
mod detect;
mod log;
pub mod recipe;
mod start;

use crate::api::{Answer, Api, PathOf, Shared, failure, parse};
use crate::edge::EdgeClient;
use crate::gateway::Gateway;
use crate::provider::{Owner, SandboxProvider, SandboxRecord};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use build::Build;
use protocol::id::{BuildId, RepositoryId};
use protocol::repository::{BuildImageRequest, BuildOutcome, RepositoryRequest};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Builds that run at the same time.
const AT_ONCE_MAX: usize = 2;
/// Ends that are remembered, for those who ask again.
const OUTCOMES_MAX: usize = 256;

/// The builds of this bridge.
pub struct Builds {
    pub(crate) edge: EdgeClient,
    pub(crate) gateway: Arc<Gateway>,
    state: Mutex<Ledger>,
    at_once: Semaphore,
    stopping: CancellationToken,
}

#[derive(Default)]
struct Ledger {
    running: BTreeMap<BuildId, Running>,
    outcomes: HashMap<BuildId, BuildOutcome>,
    outcomes_order: VecDeque<BuildId>,
    /// Held by the build of a repository.
    turns: HashMap<RepositoryId, Arc<tokio::sync::Mutex<()>>>,
}

struct Running {
    repository: RepositoryId,
    cancel: CancellationToken,
}

impl Builds {
    /// None yet.
    #[must_use]
    pub fn new(edge: EdgeClient, gateway: Arc<Gateway>) -> Self {
        Self {
            edge,
            gateway,
            state: Mutex::default(),
            at_once: Semaphore::new(AT_ONCE_MAX),
            stopping: CancellationToken::new(),
        }
    }

    /// The builds of a repository that run or wait.
    pub fn of(&self, repository: &RepositoryId) -> Vec<BuildId> {
        let state = self.lock();
        let its = state.running.iter().filter(|(_, running)| running.repository == *repository);
        its.map(|(id, _)| id.clone()).collect()
    }

    /// Cancels a build of the repository; `false` when it does not run here.
    fn cancel(&self, build_id: &BuildId, repository: &RepositoryId) -> bool {
        let state = self.lock();
        let running = state.running.get(build_id).filter(|running| running.repository == *repository);
        running.map(|running| running.cancel.cancel()).is_some()
    }

    /// Leaves all builds where they are, and tells nobody: the next bridge is asked again.
    pub fn abandon(&self) {
        self.stopping.cancel();
    }

    /// What a build that is over came to; otherwise makes it a running one, unless it is.
    fn begin(&self, build_id: &BuildId, repository: &RepositoryId) -> Begun {
        let mut state = self.lock();
        if let Some(outcome) = state.outcomes.get(build_id) {
            return Begun::Over(Box::new(outcome.clone()));
        }
        if state.running.contains_key(build_id) {
            return Begun::Running;
        }
        let cancel = CancellationToken::new();
        let running = Running { repository: repository.clone(), cancel: cancel.clone() };
        state.running.insert(build_id.clone(), running);
        let turn = Arc::clone(state.turns.entry(repository.clone()).or_default());
        Begun::New { cancel, turn }
    }

    fn end(&self, build_id: &BuildId, repository: &RepositoryId, outcome: Option<BuildOutcome>) {
        let mut state = self.lock();
        state.running.remove(build_id);
        if !state.running.values().any(|running| running.repository == *repository) {
            state.turns.remove(repository);
        }
        let Some(outcome) = outcome else { return };
        if state.outcomes.insert(build_id.clone(), outcome).is_none() {
            state.outcomes_order.push_back(build_id.clone());
        }
        if state.outcomes_order.len() > OUTCOMES_MAX
            && let Some(oldest) = state.outcomes_order.pop_front()
        {
            state.outcomes.remove(&oldest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Begun {
    New { cancel: CancellationToken, turn: Arc<tokio::sync::Mutex<()>> },
    Running,
    Over(Box<BuildOutcome>),
}

/// `PUT /builds/{build_id}`.
pub(crate) async fn order<P: SandboxProvider>(
    State(api): Shared<P>,
    path: PathOf<BuildId>,
    body: Bytes,
) -> Answer<(StatusCode, Json<Value>)> {
    let Path(build_id) = path?;
    let request: BuildImageRequest = parse(&body)?;
    let repository = request.repository.id.clone();
    let is_ours = api.provider.hold_build(&build_id).await;
    let is_ours = is_ours.map_err(|error| failure("order a build of", repository.as_str(), &error))?;
    if !is_ours {
        // Another replica has it, and tells what it comes to; should that one be gone, it is found by its silence.
        return Ok((StatusCode::ACCEPTED, Json(json!({}))));
    }
    match api.builds.begin(&build_id, &repository) {
        Begun::Running => {}
        Begun::Over(outcome) => {
            tokio::spawn(async move {
                let reporting = build::report_end(&api.builds.edge, &repository, &build_id, *outcome);
                api.builds.stopping.run_until_cancelled(reporting).await;
            });
        }
        Begun::New { cancel, turn } => {
            tokio::spawn(work(api, Build { build_id, request, cancel }, turn));
        }
    }
    Ok((StatusCode::ACCEPTED, Json(json!({}))))
}

/// `PUT /builds/{build_id}/cancelled`.
pub(crate) async fn cancel<P: SandboxProvider>(
    State(api): Shared<P>,
    path: PathOf<BuildId>,
    body: Bytes,
) -> Answer<Json<Value>> {
    let Path(build_id) = path?;
    let RepositoryRequest { repository } = parse(&body)?;
    let is_here = api.builds.cancel(&build_id, &repository);
    if !is_here {
        // A build of another replica ends with its sandbox.
        let sandboxes = api.provider.survey(&repository).await;
        let sandboxes =
            sandboxes.map_err(|error| failure("cancel a build of", repository.as_str(), &error))?;
        let of_build = |record: &&SandboxRecord| matches!(&record.order.owner, Owner::Build { build_id: its } if *its == build_id);
        for record in sandboxes.iter().filter(of_build) {
            api.end(&record.sandbox_id).await?;
        }
    }
    Ok(Json(json!({})))
}

async fn work<P: SandboxProvider>(api: Arc<Api<P>>, build: Build, turn: Arc<tokio::sync::Mutex<()>>) {
    let (build_id, repository) = (build.build_id.clone(), build.request.repository.id.clone());
    let building = async {
        let outcome = {
            let _turn = turn.lock().await;
            let _one = api.builds.at_once.acquire().await;
            build.run(&api).await
        };
        api.builds.end(&build_id, &repository, Some(outcome.clone()));
        tracing::info!(build = %build_id, %repository, outcome = outcome_name(&outcome), "build over");
        build::report_end(&api.builds.edge, &repository, &build_id, outcome).await;
    };
    if api.builds.stopping.run_until_cancelled(building).await.is_none() {
        api.builds.end(&build_id, &repository, None);
    }
}

fn outcome_name(outcome: &BuildOutcome) -> &'static str {
    match outcome {
        BuildOutcome::Built { .. } => "built",
        BuildOutcome::Unchanged => "unchanged",
        BuildOutcome::Failed { .. } => "failed",
        BuildOutcome::Unknown => "unknown",
    }
}
