//! What the account has: apps, secrets, images and sandboxes.

use super::dicts::Dict;
use super::images::Image;
use super::sandboxes::Sandbox;
use super::service::random_id;
use modal_api::{ObjectCreationType, SandboxGetFromNameRequest, SecretGetOrCreateRequest};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tonic::Status;

/// Everything that has an id.
#[derive(Default)]
pub(super) struct State {
    /// By environment and name.
    pub(super) apps: BTreeMap<(String, String), App>,
    pub(super) dicts: BTreeMap<String, Dict>,
    pub(super) secrets: BTreeMap<String, Secret>,
    pub(super) images: BTreeMap<String, Arc<Image>>,
    /// Image ids by what they were built from.
    pub(super) layers: BTreeMap<String, String>,
    pub(super) sandboxes: BTreeMap<String, Arc<Sandbox>>,
    /// Parts of commands that fail in builds, and what they print.
    pub(super) failing: Vec<(String, String)>,
    pub(super) last_timestamp: Duration,
    /// Nothing is started after it.
    pub(super) is_closed: bool,
}

pub(super) struct App {
    pub(super) id: String,
}

#[derive(Clone)]
pub(super) struct Secret {
    pub(super) environment: String,
    /// Empty for one that belongs to an app.
    pub(super) name: String,
    pub(super) values: BTreeMap<String, String>,
}

impl State {
    /// The running sandbox of an app that has a name.
    pub(super) fn named(&self, app_id: &str, name: &str) -> Option<&Arc<Sandbox>> {
        self.sandboxes.values().find(|sandbox| {
            sandbox.app_id == app_id && sandbox.result().is_none() && sandbox.labels().name == name
        })
    }

    /// The newest sandbox of that name.
    pub(super) fn by_name(&self, request: &SandboxGetFromNameRequest) -> Option<Arc<Sandbox>> {
        let key = (request.environment_name.clone(), request.app_name.clone());
        let app = self.apps.get(&key)?;
        if let Some(running) = self.named(&app.id, &request.sandbox_name) {
            return Some(Arc::clone(running));
        }
        let of_app = self.sandboxes.values().filter(|_| request.include_terminated);
        of_app
            .filter(|sandbox| sandbox.app_id == app.id && sandbox.labels().name == request.sandbox_name)
            .max_by(|one, other| one.created_at.total_cmp(&other.created_at))
            .cloned()
    }

    pub(super) fn secret_get_or_create(
        &mut self,
        request: SecretGetOrCreateRequest,
    ) -> Result<(String, Secret), Status> {
        let kind = request.object_creation_type();
        let name = request.deployment_name;
        let known = self.secrets.iter().find(|(_, secret)| {
            !name.is_empty() && secret.name == name && secret.environment == request.environment_name
        });
        let known = known.map(|(id, secret)| (id.clone(), secret.clone()));
        let secret = Secret { environment: request.environment_name, name, values: request.env_dict };
        let id = match (kind, known) {
            (ObjectCreationType::Unspecified, None) => {
                return Err(Status::not_found(format!("Secret '{}' not found", secret.name)));
            }
            (ObjectCreationType::Unspecified | ObjectCreationType::CreateIfMissing, Some((id, known))) => {
                let missing = request.required_keys.iter().find(|key| !known.values.contains_key(*key));
                return match missing {
                    Some(key) => Err(Status::failed_precondition(format!("Secret has no key '{key}'"))),
                    None => Ok((id, known)),
                };
            }
            (ObjectCreationType::CreateFailIfExists, Some(_)) => {
                return Err(Status::already_exists(format!("Secret '{}' already exists", secret.name)));
            }
            (ObjectCreationType::CreateOverwriteIfExists, Some((id, _))) => id,
            (ObjectCreationType::AnonymousOwnedByApp, _) if request.app_id.is_empty() => {
                return Err(Status::invalid_argument("a secret without name needs an app"));
            }
            (
                ObjectCreationType::CreateIfMissing
                | ObjectCreationType::CreateFailIfExists
                | ObjectCreationType::CreateOverwriteIfExists
                | ObjectCreationType::AnonymousOwnedByApp,
                _,
            ) => random_id("st-"),
        };
        self.secrets.insert(id.clone(), secret.clone());
        Ok((id, secret))
    }
}
