//! What people see of a repository.

use super::breaker::Circuit;
use super::state::{Build, Phase, Repository};
use protocol::repository::{
    BuildDescription, ImageDescription, PauseDescription, PoolDescription, RepositoryStatus,
};
use protocol::time::Timestamp;

impl Repository {
    /// How it is.
    #[must_use]
    pub fn render_status(&self, now: Timestamp) -> RepositoryStatus {
        let count = |filter: &dyn Fn(&super::state::WarmSandbox) -> bool| {
            u32::try_from(self.sandboxes.iter().filter(|sandbox| filter(sandbox)).count()).unwrap_or(u32::MAX)
        };
        let pause = match self.breaker.circuit(now) {
            Circuit::Open(until) => Some(PauseDescription { reason: self.breaker.reason.clone(), until }),
            Circuit::Closed | Circuit::HalfOpen => None,
        };
        RepositoryStatus {
            repository: self.source.id.clone(),
            image: self.current_image().map(|image| ImageDescription {
                image_id: image.id.clone(),
                built_at: image.built_at,
                origin: image.origin.clone(),
                size_bytes: image.size_bytes,
            }),
            builds: self.builds.iter().rev().map(describe).collect(),
            next_build_at: pause.as_ref().map_or(self.next_build_at, |p| p.until.max(self.next_build_at)),
            pool: PoolDescription {
                target: self.pool_target(),
                ready: count(&|sandbox| sandbox.reservation.is_none() && self.is_valid(sandbox, now)),
                filling: count(&|sandbox| sandbox.phase == Phase::Filling),
                reserved: count(&|sandbox| sandbox.reservation.is_some() && self.is_valid(sandbox, now)),
            },
            pause,
            settings: Some(self.settings.clone()),
            recipe: self.current_image().map(|image| image.recipe.clone()),
            backlog: None,
        }
    }
}

fn describe(build: &Build) -> BuildDescription {
    BuildDescription {
        build_id: build.id.clone(),
        started_at: build.started_at,
        ended_at: build.ended.as_ref().map(|ended| ended.at),
        outcome: build.ended.as_ref().map(|ended| ended.outcome.clone()),
        step: build.step.clone(),
        log_bytes: build.log_bytes,
    }
}
