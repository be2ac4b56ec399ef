//! What is saved of sandboxes at Modal, a session's snapshots and a repository's images: an image at Modal for each, with the moment
//! when it is gone. Which image it is stands among the facts, so that every replica restores and deletes it.
//!
//! The key of the call follows from the id, so saving may be repeated, also by another replica, and is one image.

use super::ModalError;
use super::inner::Inner;
use super::names::uuid_of;
use super::sandbox::Running;
use crate::clock;
use crate::provider::{ImageRecord, ProviderError, SavedImage};
use protocol::bridge::SnapshotTaken;
use protocol::id::{ImageId, RepositoryId, SandboxId, SessionId, SnapshotId};
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// How long the id of something deleted is refused.
const BURIED: Duration = Duration::from_secs(7 * 24 * 3600);
/// Modal does not say how much something takes.
const SIZE_UNKNOWN: u64 = 0;

/// Id of what was saved.
#[derive(Clone, Copy, Debug)]
pub(super) enum SavedId<'a> {
    Snapshot(&'a SnapshotId),
    Image(&'a ImageId),
}

impl SavedId<'_> {
    fn key(self) -> String {
        match self {
            Self::Snapshot(id) => format!("snapshot/{id}"),
            Self::Image(id) => image_key(id.as_str()),
        }
    }
}

fn image_key(id: &str) -> String {
    format!("image/{id}")
}

impl fmt::Display for SavedId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Snapshot(id) => write!(f, "the snapshot {id}"),
            Self::Image(id) => write!(f, "the image {id}"),
        }
    }
}

/// Who may start from what was saved, and delete it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SavedOwner {
    Session(SessionId),
    Repository(RepositoryId),
}

impl SavedOwner {
    /// What others hear.
    fn is_another(&self) -> &'static str {
        match self {
            Self::Session(_) => "it belongs to another session",
            Self::Repository(_) => "it belongs to another repository",
        }
    }
}

/// A snapshot or an image, or the mark that its id is used up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Saved {
    owner: SavedOwner,
    /// At Modal; absent once it was deleted.
    image_id: Option<String>,
    /// Of a repository's image.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    record: Option<Box<ImageRecord>>,
    /// Until when the image, or the mark, is kept.
    expires_at: Timestamp,
}

impl Inner {
    /// Saves a sandbox for its session, or answers with what was saved under this id.
    pub(super) async fn save_snapshot(
        &self,
        running: &Running,
        snapshot: &SnapshotId,
    ) -> Result<SnapshotTaken, ProviderError> {
        let record = running.record();
        let session = record.session().ok_or_else(|| {
            ProviderError::Rejected(format!("{} has no session that a snapshot could be of", running.id))
        })?;
        self.save(
            running,
            SavedId::Snapshot(snapshot),
            SavedOwner::Session(session.session_id.clone()),
            None,
        )
        .await?;
        Ok(taken(snapshot))
    }

    /// What was saved under this id before.
    pub(super) async fn saved_snapshot(
        &self,
        snapshot: &SnapshotId,
    ) -> Result<Option<SnapshotTaken>, ProviderError> {
        let saved_id = SavedId::Snapshot(snapshot);
        let saved: Option<Saved> = self.facts.read(&self.facts.saved, &saved_id.key()).await?;
        Ok(saved.map(|saved| usable(saved_id, saved)).transpose()?.map(|_| taken(snapshot)))
    }

    /// Saves a sandbox for its repository, or answers with what was saved under this id.
    pub(super) async fn save_image(
        &self,
        id: &SandboxId,
        image: &ImageRecord,
    ) -> Result<SavedImage, ProviderError> {
        let saved_id = SavedId::Image(&image.image_id);
        let saved: Option<Saved> = self.facts.read(&self.facts.saved, &saved_id.key()).await?;
        let saved = match saved {
            Some(saved) => usable(saved_id, saved)?,
            None => {
                let running =
                    self.sandboxes.find(id).ok_or_else(|| ProviderError::NotFound(id.to_string()))?;
                if running.order.repository.id != image.repository {
                    return Err(ProviderError::Rejected(format!("{id} is another repository's")));
                }
                // First, so that what is saved is found by whoever lists it.
                let images = self.facts.images(&image.repository).await?;
                self.facts.write(&images, image.image_id.as_str(), &true).await?;
                let owner = SavedOwner::Repository(image.repository.clone());
                self.save(&running, saved_id, owner, Some(image)).await?
            }
        };
        match saved.record {
            Some(record) if record.repository == image.repository => {
                Ok(SavedImage { record: *record, size_bytes: SIZE_UNKNOWN })
            }
            Some(_) | None => Err(ProviderError::Rejected(format!("{saved_id} is another repository's"))),
        }
    }

    async fn save(
        &self,
        running: &Running,
        saved_id: SavedId<'_>,
        owner: SavedOwner,
        record: Option<&ImageRecord>,
    ) -> Result<Saved, ProviderError> {
        let life = self.config.snapshot_life;
        let expires_at = clock::now().plus_ms(u64::try_from(life.as_millis()).unwrap_or(u64::MAX));
        let image_id = running.router.snapshot(&uuid_of(&saved_id.key()), life).await?;
        let record = record.cloned().map(Box::new);
        let saved = Saved { owner, image_id: Some(image_id.clone()), record, expires_at };
        let kept = self.facts.first(&self.facts.saved, &saved_id.key(), &saved).await;
        let kept = kept.map_err(ProviderError::from).and_then(|(stands, _)| usable(saved_id, stands));
        if kept.is_err() {
            // Deleted meanwhile, or nobody would find it again.
            if let Err(error) = self.client.delete_image(&image_id).await {
                tracing::warn!(saved = %saved_id, %error, "what nobody needs stays until its time");
            }
        }
        kept
    }

    /// The image at Modal that a sandbox of this owner starts from.
    pub(super) async fn restorable(
        &self,
        saved_id: SavedId<'_>,
        owner: &SavedOwner,
    ) -> Result<String, ProviderError> {
        let unusable =
            |why: &str| ProviderError::SnapshotUnusable(format!("{saved_id} cannot be restored: {why}"));
        let saved: Option<Saved> = self.facts.read(&self.facts.saved, &saved_id.key()).await?;
        let saved = saved.ok_or_else(|| unusable("it was never taken, or has expired"))?;
        if saved.owner != *owner {
            return Err(unusable(saved.owner.is_another()));
        }
        let image_id = saved.image_id.ok_or_else(|| unusable("it was deleted"))?;
        match self.client.find_image(&image_id).await {
            Ok(()) => Ok(image_id),
            Err(error) if error.is_not_found() => {
                Err(unusable(&format!("it has expired or was deleted at Modal: {}", error.reason)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The images of a repository that Modal still has.
    pub(super) async fn images(&self, repository: &RepositoryId) -> Result<Vec<SavedImage>, ProviderError> {
        let images = self.facts.images(repository).await?;
        let now = clock::now();
        let mut there = Vec::new();
        for id in self.facts.keys(&images).await? {
            // Reading each one is also what keeps it.
            let saved: Option<Saved> = self.facts.read(&self.facts.saved, &image_key(&id)).await?;
            let Some(Saved { image_id, record, expires_at, .. }) = saved else { continue };
            if expires_at <= now {
                self.facts.remove(&images, &id).await?;
                continue;
            }
            let (Some(image_id), Some(record)) = (image_id, record) else { continue };
            match self.client.find_image(&image_id).await {
                Ok(()) => there.push(SavedImage { record: *record, size_bytes: SIZE_UNKNOWN }),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(there)
    }

    /// Deletes what this owner saved and uses its id up.
    pub(super) async fn delete_saved(
        &self,
        saved_id: SavedId<'_>,
        owner: SavedOwner,
    ) -> Result<(), ProviderError> {
        let (dictionary, key) = (&self.facts.saved, saved_id.key());
        let expires_at = clock::now().plus_ms(u64::try_from(BURIED.as_millis()).unwrap_or(u64::MAX));
        let mark = Saved { owner: owner.clone(), image_id: None, record: None, expires_at };
        let (stands, is_new) = self.facts.first(dictionary, &key, &mark).await?;
        if stands.owner != owner {
            let why = stands.owner.is_another();
            return Err(ProviderError::Rejected(format!("{saved_id} cannot be deleted: {why}")));
        }
        let Some(image_id) = stands.image_id.filter(|_| !is_new) else { return Ok(()) };
        // The image first: a mark without it could not be followed up.
        self.client.delete_image(&image_id).await?;
        Ok(self.facts.write(dictionary, &key, &mark).await?)
    }

    /// Reads what stands about everything saved, which Modal would forget otherwise, and drops what is over.
    pub(super) async fn refresh_saved(&self) -> Result<(), ModalError> {
        let (dictionary, now) = (&self.facts.saved, clock::now());
        for key in self.facts.keys(dictionary).await? {
            let saved: Option<Saved> = self.facts.read(dictionary, &key).await?;
            if saved.is_some_and(|saved| saved.expires_at <= now) {
                self.facts.remove(dictionary, &key).await?;
            }
        }
        Ok(())
    }
}

fn taken(snapshot: &SnapshotId) -> SnapshotTaken {
    SnapshotTaken { snapshot_id: snapshot.clone(), size_bytes: SIZE_UNKNOWN }
}

/// An error when it was deleted.
fn usable(saved_id: SavedId<'_>, saved: Saved) -> Result<Saved, ProviderError> {
    if saved.image_id.is_none() {
        return Err(ProviderError::Rejected(format!("{saved_id} was deleted; save under a new id")));
    }
    Ok(saved)
}
