//! What a sandbox is made from and for whom: a session, a repository's warm pool, or the build of an image.
//!
//! A warm sandbox may be given to one session, for ever; nothing else about an order ever changes. Pure values, which providers
//! write down so that the next bridge knows its sandboxes again.

use protocol::bridge::{CreateSandboxRequest, RepositorySource, SandboxLimits, SandboxSource};
use protocol::id::{BuildId, ImageId, RepositoryId, SandboxId, SessionId};
use protocol::repository::{ClaimSandboxRequest, ImageOrigin, Recipe, WarmSandboxRequest};
use protocol::runner::{AgentKind, RunnerConfiguration, WarmConfiguration};
use serde::{Deserialize, Serialize};

/// A session as the owner of a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionOwner {
    /// Whose.
    pub session_id: SessionId,
    /// Rises with every sandbox of the session; calls with another one are refused.
    pub generation: u64,
    /// The session's branch: the only one that may be pushed.
    pub branch: String,
    /// Model of prompts that name none.
    pub model: String,
    /// All models that prompts may name.
    pub models: Vec<String>,
}

/// For whom a sandbox was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Owner {
    /// One session.
    Session(SessionOwner),
    /// Its repository, until a session claims it.
    Warm {
        /// Model of prompts that name none.
        model: String,
        /// All models that prompts may name.
        models: Vec<String>,
    },
    /// A build of an image of its repository. No runner works in it: everything comes by `exec`.
    Build {
        /// Which.
        build_id: BuildId,
    },
}

/// What a sandbox is made from; never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxOrder {
    /// For whom.
    pub owner: Owner,
    /// What is worked on.
    pub repository: RepositorySource,
    /// What to start from.
    pub source: SandboxSource,
    /// With [`SandboxSource::Base`]: an image of the provider's by name; its own where absent. One that it does not have is refused.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub base_image: Option<String>,
    /// Folders of the bridge's machine with tools, by their names at the provider; those of an image come with the image.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub tools: Vec<String>,
    /// What it may use.
    pub limits: SandboxLimits,
    /// Which agent its runner starts.
    pub agent: AgentKind,
}

impl SandboxOrder {
    /// Of a session.
    #[must_use]
    pub fn of_session(request: &CreateSandboxRequest) -> Self {
        Self {
            owner: Owner::Session(SessionOwner {
                session_id: request.session_id.clone(),
                generation: request.generation,
                branch: request.branch.clone(),
                model: request.model.clone(),
                models: request.models.clone(),
            }),
            repository: request.repository.clone(),
            source: request.source.clone(),
            base_image: None,
            tools: Vec::new(),
            limits: request.limits,
            agent: request.agent,
        }
    }

    /// Of a repository's warm pool.
    #[must_use]
    pub fn of_pool(request: &WarmSandboxRequest) -> Self {
        Self {
            owner: Owner::Warm { model: request.model.clone(), models: request.models.clone() },
            repository: request.repository.clone(),
            source: SandboxSource::Image { image_id: request.image_id.clone() },
            base_image: None,
            tools: Vec::new(),
            limits: request.limits,
            agent: request.agent,
        }
    }

    /// The generation that the sandbox's first process is told, and its runner says for as long as it lives. Only a session has
    /// generations above 0.
    #[must_use]
    pub fn generation_inside(&self) -> u64 {
        match &self.owner {
            Owner::Session(session) => session.generation,
            Owner::Warm { .. } | Owner::Build { .. } => 0,
        }
    }

    /// What the runner of a warm sandbox is to prepare.
    #[must_use]
    pub fn warm_configuration(&self) -> Option<WarmConfiguration> {
        match &self.owner {
            Owner::Warm { model, models } => Some(WarmConfiguration {
                repository: self.repository.id.clone(),
                default_branch: self.repository.default_branch.clone(),
                agent: self.agent,
                model: model.clone(),
                models: models.clone(),
            }),
            Owner::Session(_) | Owner::Build { .. } => None,
        }
    }
}

impl From<ClaimSandboxRequest> for SessionOwner {
    fn from(request: ClaimSandboxRequest) -> Self {
        let ClaimSandboxRequest { session_id, generation, repository: _, branch, model, models } = request;
        Self { session_id, generation, branch, model, models }
    }
}

/// A sandbox that a provider has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxRecord {
    /// Which.
    pub sandbox_id: SandboxId,
    /// As it was ordered; what the runner's configuration and the gateway's rules are made from.
    pub order: SandboxOrder,
    /// Whom it was given to, where it was made for a warm pool.
    pub given: Option<SessionOwner>,
}

impl SandboxRecord {
    /// A sandbox that is as it was ordered.
    #[must_use]
    pub fn new(sandbox_id: SandboxId, order: SandboxOrder) -> Self {
        Self { sandbox_id, order, given: None }
    }

    /// The session that it works for.
    #[must_use]
    pub fn session(&self) -> Option<&SessionOwner> {
        match &self.order.owner {
            Owner::Session(session) => Some(session),
            Owner::Warm { .. } => self.given.as_ref(),
            Owner::Build { .. } => None,
        }
    }

    /// What the runner sets up for the session.
    #[must_use]
    pub fn configuration(&self) -> Option<RunnerConfiguration> {
        let session = self.session()?;
        let SandboxOrder { repository, agent, .. } = &self.order;
        Some(RunnerConfiguration {
            session_id: session.session_id.clone(),
            repository: repository.id.clone(),
            default_branch: repository.default_branch.clone(),
            branch: session.branch.clone(),
            agent: *agent,
            model: session.model.clone(),
            models: session.models.clone(),
        })
    }
}

/// What is written down with an image, so that whoever made it may forget it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageRecord {
    /// Which.
    pub image_id: ImageId,
    /// Whose; nobody else may start from it or delete it.
    pub repository: RepositoryId,
    /// What it was made of.
    pub origin: ImageOrigin,
    /// The recipe as it was carried out.
    pub recipe: Recipe,
    /// What the repository's settings were: with the same commit they make the same image.
    pub settings: Recipe,
}

/// An image that can be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedImage {
    /// What was written down.
    pub record: ImageRecord,
    /// What it adds on disk.
    pub size_bytes: u64,
}
