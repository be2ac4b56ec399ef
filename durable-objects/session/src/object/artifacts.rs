//! Whole tool outputs and the agent's files in R2: kept in the object until they are there, and removed with the session.

use super::failure::Failure;
use super::shell::Shell;
use crate::call::{ARTIFACTS_BINDING, artifact_prefix};
use crate::core::{Served, WorkOutcome};
use protocol::attachment::BINARY_TYPE;
use protocol::id::ArtifactId;
use worker::{Bucket, Data, HttpMetadata};

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
        let (key, output) = match loaded {
            Ok((key, Some(output))) => (key, output),
            Ok((_, None)) => return WorkOutcome::Done,
            Err(failure) => return self.failed(failure),
        };
        let (content_type, content) = match output.serve() {
            Some(Served::Text(text)) => ("text/plain; charset=utf-8".to_owned(), Data::Text(text)),
            Some(Served::Picture { media_type, bytes }) => (media_type, Data::Bytes(bytes)),
            Some(Served::Binary(bytes)) => (BINARY_TYPE.to_owned(), Data::Bytes(bytes)),
            None => return WorkOutcome::Failed { reason: "the artifact is not what was kept".to_owned() },
        };
        let Ok(bucket) = self.env.bucket(ARTIFACTS_BINDING) else {
            return WorkOutcome::Failed { reason: "this deployment has no bucket for artifacts".to_owned() };
        };
        let metadata = HttpMetadata { content_type: Some(content_type), ..HttpMetadata::default() };
        match bucket.put(key, content).http_metadata(metadata).execute().await {
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
