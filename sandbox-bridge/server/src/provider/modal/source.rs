//! What a sandbox starts from at Modal: something saved, an image of a registry that is asked for by name, or the usual base.

use super::ModalError;
use super::image::ImageRecipe;
use super::inner::Inner;
use super::saved::{SavedId, SavedOwner};
use super::settings::BaseImage;
use crate::provider::{Owner, ProviderError, SandboxOrder};
use protocol::bridge::SandboxSource;
use std::time::Duration;

/// Longest build of a base image.
const BASE_BUILD: Duration = Duration::from_secs(30 * 60);
/// Longest name of an image at a registry.
const NAME_BYTES_MAX: usize = 512;

impl Inner {
    /// The image at Modal that the order means.
    pub(super) async fn image(&self, order: &SandboxOrder) -> Result<String, ProviderError> {
        if let Some(tool) = order.tools.first() {
            return Err(ProviderError::Rejected(format!(
                "there is no tool {tool:?} at Modal: tools are folders of the bridge's machine. Leave tools out of the recipe, and \
                 name a base_image that has it"
            )));
        }
        match (&order.source, &order.owner) {
            (SandboxSource::Base, _) => match &order.base_image {
                Some(name) => self.base_by_name(name).await,
                None => Ok(self.base_image().await?),
            },
            (SandboxSource::Snapshot { snapshot_id }, Owner::Session(session)) => {
                let owner = SavedOwner::Session(session.session_id.clone());
                self.restorable(SavedId::Snapshot(snapshot_id), &owner).await
            }
            (SandboxSource::Snapshot { snapshot_id }, Owner::Warm { .. } | Owner::Build { .. }) => {
                let text = format!("{snapshot_id} is a session's; only its sandboxes start from it");
                Err(ProviderError::Rejected(text))
            }
            (SandboxSource::Image { image_id }, _) => {
                let owner = SavedOwner::Repository(order.repository.id.clone());
                self.restorable(SavedId::Image(image_id), &owner).await
            }
        }
    }

    /// An image of a registry. Modal builds it once and remembers.
    async fn base_by_name(&self, name: &str) -> Result<String, ProviderError> {
        if !is_image_name(name) {
            return Err(ProviderError::Rejected(format!(
                "{name:?} is not the name of an image at a registry; write base_image in the recipe like debian:bookworm-slim"
            )));
        }
        Ok(self.build_base(vec![format!("FROM {name}")]).await?)
    }

    /// The usual base, built by whoever needs it first.
    pub(super) async fn base_image(&self) -> Result<String, ModalError> {
        let build = async || match &self.config.base_image {
            BaseImage::Built(id) => Ok(id.clone()),
            BaseImage::Dockerfile(commands) => self.build_base(commands.clone()).await,
        };
        self.base_image.get_or_try_init(build).await.cloned()
    }

    async fn build_base(&self, commands: Vec<String>) -> Result<String, ModalError> {
        let recipe = ImageRecipe { commands, timeout: BASE_BUILD, ..ImageRecipe::default() };
        let log = |text: &str| tracing::debug!(text = text.trim_end(), "building a base image");
        self.client.build_image(&self.app_id, &recipe, log).await
    }
}

/// Whether this is one name and nothing else, as it stands behind `FROM`. It comes from a repository.
fn is_image_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/' | b':' | b'@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_image_is_one_name_and_no_more_commands() {
        for name in ["debian:bookworm-slim", "ghcr.example:5000/a/b_c@sha256:0a", "node"] {
            assert!(is_image_name(name), "{name}");
        }
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        for name in ["", "--platform=x", "node AS base", "node\nRUN id", "$IMAGE", "../node", long.as_str()] {
            assert!(!is_image_name(name), "{name}");
        }
    }
}
