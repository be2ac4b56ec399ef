//! One build of an image from its order to its end: newest commit, sandbox, clone, recipe, steps, image.
//!
//! Nothing is built when commit and recipe are those of the image that is there. Whatever fails is told with its remedy; only a step
//! of the warm-up may fail without consequences. The sandbox is ended in any case. Called by `image`.

use super::command::{Failed, Inside, first_line};
use super::log::BuildLog;
use super::recipe::{self, Resolved};
use super::start;
use crate::api::{Answer, Api};
use crate::backoff::Backoff;
use crate::clock;
use crate::edge::EdgeClient;
use crate::gateway::NewestError;
use crate::gateway::egress::host::{HostPattern, Target};
use crate::gateway::egress::policy::Policy;
use crate::gateway::redact::forms;
use crate::hub::Sandbox;
use crate::provider::{
    ImageRecord, Owner, ProviderError, SandboxOrder, SandboxProvider, SandboxRecord, SavedImage,
};
use protocol::bridge::{SandboxLimits, SandboxSource};
use protocol::build::{BuildSources, LeftBehind};
use protocol::id::{BuildId, RepositoryId, SandboxId};
use protocol::repository::{BuildEnded, BuildImageRequest, BuildOutcome, ImageOrigin, Recipe};
use protocol::runner::AgentKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long one command of the warm-up may take, and at most a half of what is left.
const WARM_UP_MAX: Duration = Duration::from_secs(10 * 60);
/// The sandbox of a build outlives it by so much, if nobody ends it.
const LIFE_MARGIN_MS: u64 = 5 * 60_000;
/// How long ending the sandbox of a build is tried.
const END_ATTEMPTS: u32 = 5;
/// Port of a host of which none is given.
const HTTPS_PORT: u16 = 443;
/// Left-over files that are named in the log.
const LEFT_TOLD: usize = 20;

/// A build that was ordered.
pub(super) struct Build {
    pub(super) build_id: BuildId,
    pub(super) request: BuildImageRequest,
    pub(super) cancel: CancellationToken,
}

/// What depends on the recipe and cannot be changed once the sandbox is there.
#[derive(Clone, Debug, PartialEq)]
struct Frame {
    base_image: Option<String>,
    tools: Vec<String>,
    limits: SandboxLimits,
}

impl Frame {
    fn of(recipe: &Recipe) -> Self {
        Self {
            base_image: recipe.base_image.clone(),
            tools: recipe.tools.clone().unwrap_or_default(),
            limits: recipe.limits.unwrap_or_default(),
        }
    }
}

impl Build {
    /// Works on it to its end; its log is told meanwhile, and is told when this returns.
    pub(super) async fn run<P: SandboxProvider>(&self, api: &Arc<Api<P>>) -> BuildOutcome {
        let repository = &self.request.repository.id;
        let policy = Arc::clone(api.gateway().policy(repository));
        let secrets = policy.secrets.iter().flat_map(|secret| forms(secret.value.reveal()));
        let log = BuildLog::new(secrets);
        let building = async {
            let limit = Duration::from_millis(self.request.timeout_ms);
            let deadline = Instant::now() + limit;
            let outcome = tokio::select! {
                outcome = self.work(api, &policy, &log, deadline) => outcome,
                () = tokio::time::sleep_until(deadline) => Err(Failed(format!(
                    "the build took longer than its {} s; make its commands quicker, or give it more time in the repository's settings",
                    limit.as_secs()
                ))),
                () = self.cancel.cancelled() => Err(Failed("the build was cancelled".to_owned())),
            };
            let outcome = outcome.unwrap_or_else(|Failed(reason)| {
                log.line(&format!("failed: {reason}"));
                BuildOutcome::Failed { step: log.step(), reason }
            });
            log.close();
            outcome
        };
        let telling = async {
            if log.tell(&api.builds.edge, repository, &self.build_id).await.is_err() {
                self.cancel.cancel();
            }
        };
        let (outcome, ()) = tokio::join!(building, telling);
        outcome
    }

    async fn work<P: SandboxProvider>(
        &self,
        api: &Arc<Api<P>>,
        policy: &Policy,
        log: &BuildLog,
        deadline: Instant,
    ) -> Result<BuildOutcome, Failed> {
        let BuildImageRequest { repository, image_id, settings, previous, .. } = &self.request;
        let images = self.images(api).await?;
        // The bridge that made it died before it could say so.
        if let Some(image) = images.iter().find(|image| image.record.image_id == *image_id) {
            log.line("the image is there already");
            return Ok(built(image.clone()));
        }
        log.begin("resolving the newest commit");
        let commit = newest(api, self).await?;
        log.line(&format!("{} of {} is {commit}", repository.default_branch, repository.id));
        let is_current = |image: &&SavedImage| {
            Some(&image.record.origin) == previous.as_ref()
                && image.record.origin.commit == commit
                && image.record.settings == *settings
        };
        if images.iter().any(|image| is_current(&image)) {
            log.line("unchanged: there is an image of this commit and these settings");
            return Ok(BuildOutcome::Unchanged);
        }
        let (place, resolved) = self.prepare(api, log, &commit).await?;
        let origin = ImageOrigin { commit, recipe_fingerprint: recipe::fingerprint(&resolved.recipe) };
        let is_there = |image: &SavedImage| image.record.origin == origin;
        if previous.as_ref() == Some(&origin) && images.iter().any(is_there) {
            log.line("unchanged: there is an image of this commit and this recipe");
            return Ok(BuildOutcome::Unchanged);
        }
        check_policy(&resolved.recipe, policy, &repository.id)?;
        let inside = place.inside(api, log);
        steps(&inside, &resolved.recipe, deadline).await?;
        tidy(&inside, &repository.id, &repository.default_branch).await?;

        log.begin("saving the image");
        let record = ImageRecord {
            image_id: image_id.clone(),
            repository: repository.id.clone(),
            origin,
            recipe: resolved.recipe,
            settings: settings.clone(),
        };
        let saved = api.provider.save_image(&place.sandbox.record.sandbox_id, &record).await;
        let saved = saved.map_err(|error| provider_failed("the image could not be saved", &error))?;
        log.line(&format!("saved as {image_id}, {} KiB", saved.size_bytes >> 10));
        Ok(built(saved))
    }

    async fn images<P: SandboxProvider>(&self, api: &Api<P>) -> Result<Vec<SavedImage>, Failed> {
        let images = api.provider.images(&self.request.repository.id).await;
        images.map_err(|error| provider_failed("the images cannot be listed", &error))
    }

    /// A sandbox with the clone, of the kind that the recipe wants, and the recipe.
    async fn prepare<P: SandboxProvider>(
        &self,
        api: &Arc<Api<P>>,
        log: &BuildLog,
        commit: &str,
    ) -> Result<(Place<P>, Resolved), Failed> {
        let mut frame = Frame::of(&self.request.settings);
        let mut is_second = false;
        loop {
            log.begin("starting a sandbox");
            let place = self.place(api, &frame).await?;
            let inside = place.inside(api, log);
            let source = &self.request.repository;
            log.begin(&format!("cloning {}", source.id));
            let clone = ["clone", source.id.as_str(), source.default_branch.as_str(), commit];
            let answer = inside.runner("the clone", &clone).await?;
            let sources: BuildSources = last_line(&answer)?;
            log.begin("reading the recipe");
            let resolved = recipe::resolve(&sources, &self.request.settings)
                .map_err(|error| Failed(error.to_string()))?;
            let wanted = Frame::of(&resolved.recipe);
            if wanted == frame || is_second {
                for note in &resolved.notes {
                    log.line(note);
                }
                return Ok((place, resolved));
            }
            log.line("the recipe wants another kind of sandbox");
            place.end().await;
            (frame, is_second) = (wanted, true);
        }
    }

    async fn place<P: SandboxProvider>(&self, api: &Arc<Api<P>>, frame: &Frame) -> Result<Place<P>, Failed> {
        let random = clock::random().map_err(|error| Failed(error.to_string()))?;
        let order = SandboxOrder {
            owner: Owner::Build { build_id: self.build_id.clone() },
            repository: self.request.repository.clone(),
            source: SandboxSource::Base,
            base_image: frame.base_image.clone(),
            tools: frame.tools.clone(),
            limits: SandboxLimits {
                life_ms: self.request.timeout_ms.saturating_add(LIFE_MARGIN_MS),
                ..frame.limits
            },
            agent: AgentKind::Scripted,
        };
        let record = SandboxRecord::new(SandboxId::from_random(random), order);
        let sandbox_id = record.sandbox_id.clone();
        // Ends what is half made when this is dropped while it waits.
        let guard = Guard { api: Arc::clone(api), sandbox_id: Some(sandbox_id) };
        let sandbox: Answer<Arc<Sandbox>> = api.create_recorded(record).await;
        match sandbox {
            Ok(sandbox) => Ok(Place { sandbox, guard }),
            Err(failure) => Err(Failed(failure.0.message)),
        }
    }
}

/// The sandbox of a build; ended when this is dropped.
struct Place<P: SandboxProvider> {
    sandbox: Arc<Sandbox>,
    guard: Guard<P>,
}

impl<P: SandboxProvider> Place<P> {
    fn inside<'a>(&'a self, api: &'a Arc<Api<P>>, log: &'a BuildLog) -> Inside<'a, P> {
        Inside { provider: &api.provider, sandbox: &self.sandbox, log }
    }

    async fn end(mut self) {
        if let Some(sandbox_id) = self.guard.sandbox_id.take() {
            end(&self.guard.api, &sandbox_id).await;
        }
    }
}

struct Guard<P: SandboxProvider> {
    api: Arc<Api<P>>,
    sandbox_id: Option<SandboxId>,
}

impl<P: SandboxProvider> Drop for Guard<P> {
    fn drop(&mut self) {
        let Some(sandbox_id) = self.sandbox_id.take() else { return };
        let api = Arc::clone(&self.api);
        // Without a runtime the process is ending, and the next bridge sweeps.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { end(&api, &sandbox_id).await });
        }
    }
}

async fn end<P: SandboxProvider>(api: &Api<P>, sandbox_id: &SandboxId) {
    let mut backoff = Backoff::new();
    for _ in 0..END_ATTEMPTS {
        if api.end(sandbox_id).await.is_ok() {
            return;
        }
        backoff.wait().await;
    }
    tracing::error!(sandbox = %sandbox_id, "the sandbox of a build cannot be ended; it runs until its life is over");
}

/// Carries the recipe out.
async fn steps<P: SandboxProvider>(
    inside: &Inside<'_, P>,
    recipe: &Recipe,
    deadline: Instant,
) -> Result<(), Failed> {
    let commands = [&recipe.setup, &recipe.build].into_iter().flatten().flatten();
    for command in commands {
        inside.log.begin(&first_line(command));
        inside.shell(command).await?;
    }
    let limit = || WARM_UP_MAX.min(deadline.saturating_duration_since(Instant::now()) / 2);
    for command in recipe.warm.iter().flatten() {
        inside.log.begin(&first_line(command));
        match tokio::time::timeout(limit(), inside.shell(command)).await {
            Ok(Ok(())) => {}
            Ok(Err(Failed(reason))) => {
                // Without its sandbox there is nothing to save.
                if inside.sandbox.exit_reason(Duration::ZERO).await.is_some() {
                    return Err(Failed(reason));
                }
                inside.log.line(&format!("the warm-up goes on without it: {reason}"));
            }
            Err(_) => inside.log.line("the warm-up goes on without it: it took too long"),
        }
    }
    if let Some(command) = &recipe.start {
        inside.log.begin(&first_line(command));
        let end = tokio::time::timeout(limit(), start::try_start(inside, command)).await;
        inside.log.line(&end.unwrap_or_else(|_| "there was no more time for it".to_owned()));
    }
    Ok(())
}

async fn tidy<P: SandboxProvider>(
    inside: &Inside<'_, P>,
    repository: &RepositoryId,
    default_branch: &str,
) -> Result<(), Failed> {
    inside.log.begin("tidying the workspace");
    let answer = inside.runner("tidying", &["tidy", repository.as_str(), default_branch]).await?;
    let LeftBehind { files } = last_line(&answer)?;
    if !files.is_empty() {
        let named: Vec<_> = files.iter().take(LEFT_TOLD).map(String::as_str).collect();
        inside.log.line(&format!(
            "not ignored by git, and kept out of commits: {}{}",
            named.join(", "),
            if files.len() > LEFT_TOLD { ", …" } else { "" }
        ));
    }
    Ok(())
}

/// What the recipe wants and only the operator can give.
fn check_policy(recipe: &Recipe, policy: &Policy, repository: &RepositoryId) -> Result<(), Failed> {
    for name in recipe.secrets.iter().flatten() {
        if !policy.secrets.iter().any(|secret| secret.name == *name) {
            return Err(Failed(format!(
                "the recipe wants the secret {name}, which {repository} does not have; the operator adds it to \"secrets\" of this repository in FARHAND_REPOSITORY_POLICY"
            )));
        }
    }
    for host in recipe.allowed_hosts.iter().flatten() {
        if !is_allowed(policy, host) {
            return Err(Failed(format!(
                "the recipe wants the host {host}, which is not allowed; the operator adds it to \"allow_hosts\" of {repository} in FARHAND_REPOSITORY_POLICY, or by --allow-host"
            )));
        }
    }
    Ok(())
}

fn is_allowed(policy: &Policy, host: &str) -> bool {
    let lists = [&policy.allow, &policy.private, &policy.read_only];
    if host.starts_with('*') {
        let pattern: Result<HostPattern, _> = host.parse();
        return pattern.is_ok_and(|pattern| lists.into_iter().flatten().any(|allowed| *allowed == pattern));
    }
    Target::parse(host, Some(HTTPS_PORT)).is_ok_and(|target| policy.allows(&target))
}

/// The newest commit; a code host that does not answer is asked again for a while.
async fn newest<P: SandboxProvider>(api: &Api<P>, build: &Build) -> Result<String, Failed> {
    let mut backoff = Backoff::new();
    let mut tries = 0;
    loop {
        match api.gateway().newest_commit(&build.request.repository).await {
            Ok(commit) => return Ok(commit),
            Err(error @ NewestError::Unreachable(_)) if tries < 5 => {
                tracing::warn!(build = %build.build_id, %error, "asking the code host again");
            }
            Err(error) => return Err(Failed(error.to_string())),
        }
        tries += 1;
        backoff.wait().await;
    }
}

/// Tells the repository how a build ended, until it has heard or does not want to.
pub(super) async fn report_end(
    edge: &EdgeClient,
    repository: &RepositoryId,
    build_id: &BuildId,
    outcome: BuildOutcome,
) {
    let body = BuildEnded { outcome };
    let mut backoff = Backoff::new();
    while let Err(error) = edge.build_ended(repository, build_id, &body).await {
        if error.is_final_for_warm() {
            tracing::info!(build = %build_id, %error, "the repository does not want to know of the build");
            return;
        }
        tracing::warn!(build = %build_id, %error, "reporting the end of a build again");
        backoff.wait().await;
    }
}

fn built(image: SavedImage) -> BuildOutcome {
    let SavedImage { record, size_bytes } = image;
    let ImageRecord { image_id, origin, recipe, .. } = record;
    BuildOutcome::Built { image_id, origin, recipe, size_bytes }
}

/// The JSON that a command of the bridge's own printed; what stands before it is somebody else's.
fn last_line<T: serde::de::DeserializeOwned>(printed: &[u8]) -> Result<T, Failed> {
    let line = printed.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    serde_json::from_slice(line)
        .map_err(|error| Failed(format!("the runner's answer is not understood: {error}")))
}

fn provider_failed(what: &str, error: &ProviderError) -> Failed {
    Failed(format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use crate::gateway::egress::policy::HostSecret;

    #[test]
    fn what_only_the_operator_can_give_is_asked_of_the_operator() {
        let policy = Policy {
            allow: vec!["a.example".parse().unwrap(), "*.b.example".parse().unwrap()],
            secrets: vec![HostSecret {
                name: "NPM_TOKEN".to_owned(),
                target: Target::parse("registry.example:443", None).unwrap(),
                value: Secret::new("canary"),
            }],
            ..Policy::default()
        };
        let repository = RepositoryId::parse("acme/shop").unwrap();
        let check = |secrets: &[&str], hosts: &[&str]| {
            let list = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
            let recipe = Recipe { secrets: list(secrets), allowed_hosts: list(hosts), ..Recipe::default() };
            check_policy(&recipe, &policy, &repository).map_err(|Failed(reason)| reason)
        };
        assert_eq!(check(&["NPM_TOKEN"], &["a.example", "*.b.example", "x.b.example"]), Ok(()));
        assert!(check(&["OTHER"], &[]).unwrap_err().contains("the secret OTHER"));
        for host in ["c.example", "*.example", "a.example:22", "not a host"] {
            let reason = check(&[], &[host]).unwrap_err();
            assert!(reason.contains(host) && reason.contains("allow_hosts"), "{reason}");
        }
    }
}
