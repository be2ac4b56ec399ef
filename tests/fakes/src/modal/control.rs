//! The control plane's methods: each is admitted, looked up or done, and answered as the script says.

use super::calls::Answers;
use super::images::{BUILDER_VERSION, next_entry};
use super::sandboxes::{Sandbox, terminated};
use super::service::{Service, random_id};
use super::state::{App, Secret};
use super::token::Scope;
use modal_api::control::Service as ControlPlane;
use modal_api::sandbox_get_command_router_access_request::Target;
use modal_api::sandbox_get_exit_snapshot_response::{Error, ErrorCode, Outcome, Pending, Success};
use modal_api::*;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tonic::{Request, Response, Status};

/// Answers for the control plane.
#[derive(Clone)]
pub(super) struct Control(pub(super) Arc<Service>);

type Answer<T> = Result<Response<T>, Status>;

fn seconds(seconds: f32) -> Duration {
    Duration::try_from_secs_f32(seconds).unwrap_or_default()
}

impl Service {
    fn router_access(&self, sandbox: &Sandbox) -> CommandRouterAccess {
        let scope = Scope::Task(sandbox.task_id.clone());
        CommandRouterAccess {
            jwt: self.tokens.issue(scope, self.options.router_token_life, &self.clock),
            url: self.router_url.clone(),
        }
    }

    fn info(sandbox: &Sandbox) -> SandboxInfo {
        let labels = sandbox.labels().clone();
        SandboxInfo {
            id: sandbox.id.clone(),
            created_at: sandbox.created_at,
            task_info: Some(TaskInfo {
                id: sandbox.task_id.clone(),
                started_at: sandbox.created_at,
                result: sandbox.result(),
                sandbox_id: sandbox.id.clone(),
                ..TaskInfo::default()
            }),
            app_id: sandbox.app_id.clone(),
            tags: labels.tags,
            name: labels.name,
            image_id: sandbox.definition.image_id.clone(),
            timeout_secs: sandbox.definition.timeout_secs,
        }
    }

    fn handle(sandbox: &Sandbox) -> SandboxHandleMetadata {
        SandboxHandleMetadata { result: sandbox.result(), app_id: sandbox.app_id.clone() }
    }

    fn page(&self, request: &SandboxListRequest) -> SandboxListResponse {
        let state = self.lock();
        let mut sandboxes: Vec<SandboxInfo> = state
            .sandboxes
            .values()
            .filter(|sandbox| request.app_id.is_empty() || sandbox.app_id == request.app_id)
            .filter(|sandbox| request.include_finished || sandbox.result().is_none())
            .filter(|sandbox| {
                request.before_timestamp == 0.0 || sandbox.created_at < request.before_timestamp
            })
            .map(|sandbox| Self::info(sandbox))
            .filter(|info| request.tags.iter().all(|tag| info.tags.contains(tag)))
            .collect();
        sandboxes.sort_by(|one, other| other.created_at.total_cmp(&one.created_at));
        sandboxes.truncate(self.options.page_size);
        SandboxListResponse { sandboxes }
    }
}

#[tonic::async_trait]
impl ControlPlane for Control {
    type DictContentsStream = Answers<DictEntry>;
    type ImageJoinStreamingStream = Answers<ImageJoinStreamingResponse>;

    async fn app_get_or_create(
        &self,
        request: Request<AppGetOrCreateRequest>,
    ) -> Answer<AppGetOrCreateResponse> {
        let (request, ending) = self.0.admit("AppGetOrCreate", request).await?;
        let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if request.app_name.is_empty() || request.app_name.len() > 64 || !is_name(&request.app_name) {
            return Err(Status::invalid_argument("an app's name has 1 to 64 of [a-zA-Z0-9-_.]"));
        }
        let may_create = request.object_creation_type() == ObjectCreationType::CreateIfMissing;
        let key = (request.environment_name, request.app_name);
        let app_id = {
            let mut state = self.0.lock();
            match state.apps.get(&key) {
                Some(app) => app.id.clone(),
                None if may_create => {
                    let id = random_id("ap-");
                    state.apps.insert(key, App { id: id.clone() });
                    id
                }
                None => return Err(Status::not_found(format!("App '{}' not found", key.1))),
            }
        };
        ending.reply(AppGetOrCreateResponse { app_id })
    }

    async fn auth_token_get(&self, request: Request<AuthTokenGetRequest>) -> Answer<AuthTokenGetResponse> {
        let (_, ending) = self.0.admit("AuthTokenGet", request).await?;
        let token = self.0.tokens.issue(Scope::Client, self.0.options.auth_token_life, &self.0.clock);
        ending.reply(AuthTokenGetResponse { token })
    }

    async fn dict_contents(&self, request: Request<DictContentsRequest>) -> Answer<Self::DictContentsStream> {
        let (request, ending) = self.0.admit("DictContents", request).await?;
        let entries = self.0.dict_contents(&request.dict_id, request.keys, request.values)?;
        ending.stream(futures::stream::iter(entries.into_iter().map(Ok)))
    }

    async fn dict_get(&self, request: Request<DictGetRequest>) -> Answer<DictGetResponse> {
        let (request, ending) = self.0.admit("DictGet", request).await?;
        let value = self.0.dict_get(&request.dict_id, &request.key)?;
        ending.reply(DictGetResponse { found: value.is_some(), value })
    }

    async fn dict_get_or_create(
        &self,
        request: Request<DictGetOrCreateRequest>,
    ) -> Answer<DictGetOrCreateResponse> {
        let (request, ending) = self.0.admit("DictGetOrCreate", request).await?;
        ending.reply(DictGetOrCreateResponse { dict_id: self.0.dict_get_or_create(request)? })
    }

    async fn dict_pop(&self, request: Request<DictPopRequest>) -> Answer<DictPopResponse> {
        let (request, ending) = self.0.admit("DictPop", request).await?;
        let value = self.0.dict_pop(&request.dict_id, &request.key)?;
        ending.reply(DictPopResponse { found: value.is_some(), value })
    }

    async fn dict_update(&self, request: Request<DictUpdateRequest>) -> Answer<DictUpdateResponse> {
        let (request, ending) = self.0.admit("DictUpdate", request).await?;
        ending.reply(DictUpdateResponse { created: self.0.dict_update(request)? })
    }

    async fn environment_get_or_create(
        &self,
        request: Request<EnvironmentGetOrCreateRequest>,
    ) -> Answer<EnvironmentGetOrCreateResponse> {
        let (request, ending) = self.0.admit("EnvironmentGetOrCreate", request).await?;
        let settings = EnvironmentSettings { image_builder_version: BUILDER_VERSION.to_owned() };
        let metadata = EnvironmentMetadata { name: request.deployment_name, settings: Some(settings) };
        ending.reply(EnvironmentGetOrCreateResponse {
            environment_id: "en-default".to_owned(),
            metadata: Some(metadata),
        })
    }

    async fn image_delete(&self, request: Request<ImageDeleteRequest>) -> Answer<()> {
        let (request, ending) = self.0.admit("ImageDelete", request).await?;
        self.0.remove_image(&request.image_id)?;
        ending.reply(())
    }

    async fn image_from_id(&self, request: Request<ImageFromIdRequest>) -> Answer<ImageFromIdResponse> {
        let (request, ending) = self.0.admit("ImageFromId", request).await?;
        let image = self.0.image(&request.image_id)?;
        ending.reply(ImageFromIdResponse { image_id: image.id.clone(), metadata: Some(image.metadata()) })
    }

    async fn image_get_or_create(
        &self,
        request: Request<ImageGetOrCreateRequest>,
    ) -> Answer<ImageGetOrCreateResponse> {
        let (request, ending) = self.0.admit("ImageGetOrCreate", request).await?;
        let image = self.0.build_image(request)?;
        ending.reply(ImageGetOrCreateResponse {
            image_id: image.id.clone(),
            result: image.result(),
            metadata: Some(image.metadata()),
        })
    }

    async fn image_join_streaming(
        &self,
        request: Request<ImageJoinStreamingRequest>,
    ) -> Answer<Self::ImageJoinStreamingStream> {
        let (request, ending) = self.0.admit("ImageJoinStreaming", request).await?;
        let image = self.0.image(&request.image_id)?;
        let until = tokio::time::Instant::now() + seconds(request.timeout);
        let first = Some(next_entry(&request.last_entry_id));
        ending.stream(futures::stream::unfold(first, move |entry| {
            let image = Arc::clone(&image);
            async move {
                let entry = entry?;
                let answer = image.next_answer(entry, until).await?;
                let next = (!answer.eof).then_some(entry + 1);
                Some((Ok(answer), next))
            }
        }))
    }

    async fn sandbox_create_v2(
        &self,
        request: Request<SandboxCreateV2Request>,
    ) -> Answer<SandboxCreateV2Response> {
        let (request, ending) = self.0.admit("SandboxCreateV2", request).await?;
        let sandbox = self.0.create_sandbox(request).await?;
        ending.reply(SandboxCreateV2Response {
            sandbox_id: sandbox.id.clone(),
            task_id: sandbox.task_id.clone(),
            metadata: Some(Service::handle(&sandbox)),
            command_router_access: Some(self.0.router_access(&sandbox)),
            sandbox_token: crate::token::random_hex(16),
        })
    }

    async fn sandbox_get_command_router_access(
        &self,
        request: Request<SandboxGetCommandRouterAccessRequest>,
    ) -> Answer<SandboxGetCommandRouterAccessResponse> {
        let (request, ending) = self.0.admit("SandboxGetCommandRouterAccess", request).await?;
        let sandbox = match request.target {
            Some(Target::SandboxId(id)) => self.0.sandbox(&id)?,
            Some(Target::TaskId(id)) => self.0.task(&id)?,
            None => return Err(Status::invalid_argument("whose access?")),
        };
        if sandbox.result().is_some() {
            return Err(Status::failed_precondition(format!("Sandbox {} has ended", sandbox.id)));
        }
        let CommandRouterAccess { jwt, url } = self.0.router_access(&sandbox);
        ending.reply(SandboxGetCommandRouterAccessResponse { jwt, url })
    }

    async fn sandbox_get_exit_snapshot_v2(
        &self,
        request: Request<SandboxGetExitSnapshotRequest>,
    ) -> Answer<SandboxGetExitSnapshotResponse> {
        let (request, ending) = self.0.admit("SandboxGetExitSnapshotV2", request).await?;
        let sandbox = self.0.sandbox(&request.sandbox_id)?;
        let outcome = if sandbox.wait(seconds(request.timeout)).await.is_none() {
            Outcome::Pending(Pending {})
        } else {
            match sandbox.exit_snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone() {
                Some(Ok(image_id)) => Outcome::Success(Success { image_id }),
                Some(Err(message)) => {
                    Outcome::Error(Error { error_code: ErrorCode::Internal.into(), message })
                }
                None => return Err(Status::failed_precondition("exit snapshots are not enabled")),
            }
        };
        ending.reply(SandboxGetExitSnapshotResponse { outcome: Some(outcome) })
    }

    async fn sandbox_get_from_name_v2(
        &self,
        request: Request<SandboxGetFromNameRequest>,
    ) -> Answer<SandboxGetFromNameResponse> {
        let (request, ending) = self.0.admit("SandboxGetFromNameV2", request).await?;
        let found = self.0.lock().by_name(&request);
        let sandbox = found.ok_or_else(|| {
            Status::not_found(format!("Sandbox with name '{}' not found", request.sandbox_name))
        })?;
        ending.reply(SandboxGetFromNameResponse {
            sandbox_id: sandbox.id.clone(),
            metadata: Some(Service::handle(&sandbox)),
        })
    }

    async fn sandbox_get_task_id_v2(
        &self,
        request: Request<SandboxGetTaskIdRequest>,
    ) -> Answer<SandboxGetTaskIdResponse> {
        let (request, ending) = self.0.admit("SandboxGetTaskIdV2", request).await?;
        let sandbox = self.0.sandbox(&request.sandbox_id)?;
        ending.reply(SandboxGetTaskIdResponse {
            task_id: Some(sandbox.task_id.clone()),
            task_result: sandbox.result(),
        })
    }

    async fn sandbox_list_v2(&self, request: Request<SandboxListRequest>) -> Answer<SandboxListResponse> {
        let (request, ending) = self.0.admit("SandboxListV2", request).await?;
        ending.reply(self.0.page(&request))
    }

    async fn sandbox_set_name(
        &self,
        request: Request<SandboxSetNameRequest>,
    ) -> Answer<SandboxSetNameResponse> {
        let (request, ending) = self.0.admit("SandboxSetName", request).await?;
        self.0.set_name(&request.sandbox_id, &request.name)?;
        ending.reply(SandboxSetNameResponse {})
    }

    async fn sandbox_tags_get_v2(
        &self,
        request: Request<SandboxTagsGetRequest>,
    ) -> Answer<SandboxTagsGetResponse> {
        let (request, ending) = self.0.admit("SandboxTagsGetV2", request).await?;
        let tags = self.0.sandbox(&request.sandbox_id)?.labels().tags.clone();
        ending.reply(SandboxTagsGetResponse { tags })
    }

    async fn sandbox_tags_set_v2(&self, request: Request<SandboxTagsSetRequest>) -> Answer<()> {
        let (request, ending) = self.0.admit("SandboxTagsSetV2", request).await?;
        self.0.sandbox(&request.sandbox_id)?.labels().tags = request.tags;
        ending.reply(())
    }

    async fn sandbox_terminate_v2(
        &self,
        request: Request<SandboxTerminateRequest>,
    ) -> Answer<SandboxTerminateResponse> {
        let (request, ending) = self.0.admit("SandboxTerminateV2", request).await?;
        let sandbox = self.0.sandbox(&request.sandbox_id)?;
        let existing_result = sandbox.result();
        sandbox.end(terminated()).await;
        ending.reply(SandboxTerminateResponse { existing_result })
    }

    async fn sandbox_wait_v2(&self, request: Request<SandboxWaitRequest>) -> Answer<SandboxWaitResponse> {
        let (request, ending) = self.0.admit("SandboxWaitV2", request).await?;
        let sandbox = self.0.sandbox(&request.sandbox_id)?;
        let result = sandbox.wait(seconds(request.timeout)).await.unwrap_or_default();
        ending.reply(SandboxWaitResponse { result: Some(result), metadata: Some(Service::handle(&sandbox)) })
    }

    async fn secret_delete(&self, request: Request<SecretDeleteRequest>) -> Answer<()> {
        let (request, ending) = self.0.admit("SecretDelete", request).await?;
        let removed = self.0.lock().secrets.remove(&request.secret_id);
        removed.ok_or_else(|| Status::not_found(format!("Secret {} not found", request.secret_id)))?;
        ending.reply(())
    }

    async fn secret_get_or_create(
        &self,
        request: Request<SecretGetOrCreateRequest>,
    ) -> Answer<SecretGetOrCreateResponse> {
        let (request, ending) = self.0.admit("SecretGetOrCreate", request).await?;
        let (secret_id, secret) = self.0.lock().secret_get_or_create(request)?;
        let Secret { name, values, .. } = secret;
        let metadata = SecretMetadata { name, keys: values.into_keys().collect() };
        ending.reply(SecretGetOrCreateResponse { secret_id, metadata: Some(metadata) })
    }
}
