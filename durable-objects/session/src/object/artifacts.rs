//! Whole tool outputs in R2: kept in the object until they are there, and removed with the session.

use super::failure::Failure;
use super::shell::Shell;
use crate::call::{ARTIFACTS_BINDING, artifact_prefix};
use crate::core::WorkOutcome;
use protocol::id::ArtifactId;
use worker::{Bucket, HttpMetadata};

impl Shell {
    /// Key of an artifact of this session.
    pub(super) fn artifact_key(&self, artifact_id: &ArtifactId) -> Result<String, Failure> {
        let prefix = self.with_session(|session| artifact_prefix(&session.info.id))?;
        Ok(format!("{prefix}{artifact_id}"))
    }

    /// Stores one output. Without a bucket it stays in the object, where it is served from as well.
    pub(super) async fn store_output(&self, artifact_id: &ArtifactId) -> WorkOutcome {
        let loaded =
            self.artifact_key(artifact_id).and_then(|key| Ok((key, self.store.load_output(artifact_id)?)));
        let (key, text) = match loaded {
            Ok((key, Some((_, text)))) => (key, text),
            Ok((_, None)) => return WorkOutcome::Done,
            Err(failure) => return self.failed(failure),
        };
        let Ok(bucket) = self.env.bucket(ARTIFACTS_BINDING) else {
            return WorkOutcome::Failed { reason: "this deployment has no bucket for artifacts".to_owned() };
        };
        let metadata = HttpMetadata {
            content_type: Some("text/plain; charset=utf-8".to_owned()),
            ..HttpMetadata::default()
        };
        match bucket.put(key, text).http_metadata(metadata).execute().await {
            Ok(_) => WorkOutcome::Done,
            Err(error) => WorkOutcome::Delayed { reason: error.to_string() },
        }
    }

    /// Removes everything of the session from the bucket.
    pub(super) async fn delete_artifacts(&self) -> WorkOutcome {
        if self.is_on_its_way("store_output") {
            return WorkOutcome::Delayed { reason: "an output is just being stored".to_owned() };
        }
        let Ok(bucket) = self.env.bucket(ARTIFACTS_BINDING) else { return WorkOutcome::Done };
        let prefix = match self.with_session(|session| artifact_prefix(&session.info.id)) {
            Ok(prefix) => prefix,
            Err(failure) => return self.failed(failure),
        };
        match empty(&bucket, &prefix).await {
            Ok(()) => WorkOutcome::Done,
            Err(error) => WorkOutcome::Delayed { reason: error.to_string() },
        }
    }
}

async fn empty(bucket: &Bucket, prefix: &str) -> worker::Result<()> {
    loop {
        let keys: Vec<String> =
            bucket.list().prefix(prefix).execute().await?.objects().iter().map(worker::Object::key).collect();
        if keys.is_empty() {
            return Ok(());
        }
        bucket.delete_multiple(keys).await?;
    }
}
