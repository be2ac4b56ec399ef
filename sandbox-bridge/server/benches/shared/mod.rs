//! What the benches of the bridge share: an order for a sandbox, whether sandboxes are isolated here, and figures of samples.

use anyhow::{Context as _, bail};
use protocol::bridge::{CreateSandboxRequest, RepositorySource, SandboxLimits, SandboxSource};
use protocol::id::{RepositoryId, SessionId};
use protocol::runner::AgentKind;
use sandbox_bridge::provider::local::LocalProvider;
use std::time::Instant;

/// As it is printed.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Milliseconds since then.
pub(crate) fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

/// The sample in the middle.
pub(crate) fn median(mut samples: Vec<f64>) -> anyhow::Result<f64> {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().context("nothing was measured")
}

/// The session that all of it is for.
pub(crate) fn session() -> anyhow::Result<SessionId> {
    Ok(SessionId::parse("ses_bench")?)
}

/// An order for a sandbox.
pub(crate) fn order(session_id: SessionId, source: SandboxSource) -> anyhow::Result<CreateSandboxRequest> {
    Ok(CreateSandboxRequest {
        session_id,
        generation: 1,
        repository: RepositorySource {
            id: RepositoryId::parse("octo/demo")?,
            clone_url: "http://127.0.0.1:1/octo/demo.git".to_owned(),
            default_branch: "main".to_owned(),
        },
        branch: "farhand/bench".to_owned(),
        source,
        limits: SandboxLimits::default(),
        agent: AgentKind::Scripted,
        model: "demo/demo".to_owned(),
        models: vec!["demo/demo".to_owned()],
    })
}

/// Refuses to measure plain processes.
pub(crate) fn require_isolation(provider: &LocalProvider) -> anyhow::Result<()> {
    if !provider.preflight().namespaces {
        bail!("this machine cannot isolate sandboxes: {}", provider.preflight().missing().join(" "));
    }
    Ok(())
}
