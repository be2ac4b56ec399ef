//! What is asked of the control plane about apps, sandboxes and images, as functions with our words. V2 sandboxes only.
//!
//! One function is one call, but for lists, which come in pages. Decides nothing; the provider does.

use super::ModalError;
use super::client::{CALL_TIMEOUT, Control, ModalClient};
use modal_api::sandbox_get_command_router_access_request::Target;
use modal_api::{
    AppGetOrCreateRequest, CommandRouterAccess, GenericResult, ImageDeleteRequest, ImageFromIdRequest,
    ObjectCreationType, Sandbox, SandboxCreateV2Request, SandboxCreateV2Response,
    SandboxGetCommandRouterAccessRequest, SandboxGetFromNameRequest, SandboxGetTaskIdRequest, SandboxInfo,
    SandboxListRequest, SandboxSetNameRequest, SandboxTag, SandboxTagsGetRequest, SandboxTagsSetRequest,
    SandboxTerminateRequest, SandboxWaitRequest, SecretSource, StringMap, secret_source,
};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;
use tonic::Code;

/// Making a sandbox includes finding a machine for it.
const CREATE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one look at a running sandbox lasts at Modal's side, as in Modal's own clients, and how long at ours.
pub(super) const WAIT: Duration = Duration::from_secs(10);
const WAIT_TIMEOUT: Duration = Duration::from_secs(15);
/// Sandboxes in a list; what is beyond is not looked at.
const LIST_MAX: usize = 100_000;

/// Names and values of tags.
pub type Tags = BTreeMap<String, String>;

/// A sandbox that was made, or found.
#[derive(Clone, PartialEq)]
pub struct Created {
    /// Modal's id of it.
    pub modal_id: String,
    /// The task that it is.
    pub task_id: String,
    /// Opens its command router at first.
    pub access: Option<CommandRouterAccess>,
}

impl ModalClient {
    /// The app of this name, made if there is none.
    pub async fn app(&self, name: &str) -> Result<String, ModalError> {
        let request = AppGetOrCreateRequest {
            app_name: name.to_owned(),
            environment_name: self.environment().to_owned(),
            object_creation_type: ObjectCreationType::CreateIfMissing.into(),
        };
        let call = async |mut control: Control, request| control.app_get_or_create(request).await;
        Ok(self.unary("find the app", request, CALL_TIMEOUT, call).await?.app_id)
    }

    /// Makes a sandbox. Whether it was made is unknown after an ambiguous failure: look for its name.
    pub async fn create_sandbox(
        &self,
        app_id: &str,
        definition: Sandbox,
        tags: &Tags,
        variables: BTreeMap<String, String>,
    ) -> Result<Created, ModalError> {
        let request = SandboxCreateV2Request {
            app_id: app_id.to_owned(),
            definition: Some(definition),
            tags: tags_of(tags),
            secret_sources: variables_of(variables),
        };
        let call = async |mut control: Control, request| control.sandbox_create_v2(request).await;
        let answer = self.unary("create the sandbox", request, CREATE_TIMEOUT, call).await?;
        let SandboxCreateV2Response { sandbox_id, task_id, command_router_access, .. } = answer;
        Ok(Created { modal_id: sandbox_id, task_id, access: command_router_access })
    }

    /// The running sandbox of this name in the app, if there is one.
    pub async fn find_sandbox(&self, app: &str, name: &str) -> Result<Option<String>, ModalError> {
        let request = SandboxGetFromNameRequest {
            sandbox_name: name.to_owned(),
            environment_name: self.environment().to_owned(),
            app_name: app.to_owned(),
            include_terminated: false,
        };
        let call = async |mut control: Control, request| control.sandbox_get_from_name_v2(request).await;
        match self.unary("find the sandbox", request, CALL_TIMEOUT, call).await {
            Ok(answer) => Ok(Some(answer.sandbox_id)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits a while for a sandbox's end: how it ended, or `None` while it runs.
    pub async fn wait_for_end(&self, modal_id: &str) -> Result<Option<GenericResult>, ModalError> {
        self.look_for_end(modal_id, WAIT.as_secs_f32(), WAIT_TIMEOUT).await
    }

    /// How a sandbox ended, or `None` while it runs.
    pub async fn poll_end(&self, modal_id: &str) -> Result<Option<GenericResult>, ModalError> {
        self.look_for_end(modal_id, 0.0, CALL_TIMEOUT).await
    }

    async fn look_for_end(
        &self,
        modal_id: &str,
        seconds: f32,
        timeout: Duration,
    ) -> Result<Option<GenericResult>, ModalError> {
        let request = SandboxWaitRequest { sandbox_id: modal_id.to_owned(), timeout: seconds };
        let call = async |mut control: Control, request| control.sandbox_wait_v2(request).await;
        let answer = self.unary("look after the sandbox", request, timeout, call).await?;
        Ok(answer.result.filter(|result| result.status != 0))
    }

    /// The task that a running sandbox is.
    pub async fn task_id(&self, modal_id: &str) -> Result<String, ModalError> {
        const WHAT: &str = "find the sandbox's task";
        let request = SandboxGetTaskIdRequest { sandbox_id: modal_id.to_owned(), ..Default::default() };
        let call = async |mut control: Control, request| control.sandbox_get_task_id_v2(request).await;
        let answer = self.unary(WHAT, request, CALL_TIMEOUT, call).await?;
        answer.task_id.filter(|id| !id.is_empty()).ok_or_else(|| {
            let ended = answer.task_result.map_or_else(String::new, |result| super::exit::describe(&result));
            ModalError::reported(WHAT, Code::NotFound, format!("the sandbox has no task: {ended}"))
        })
    }

    /// Fresh access to a sandbox's command router. A sandbox that is gone is not found.
    pub async fn router_access(&self, modal_id: &str) -> Result<CommandRouterAccess, ModalError> {
        const WHAT: &str = "reach the sandbox's machine";
        let target = Some(Target::SandboxId(modal_id.to_owned()));
        let request = SandboxGetCommandRouterAccessRequest { target };
        let call =
            async |mut control: Control, request| control.sandbox_get_command_router_access(request).await;
        match self.unary(WHAT, request, CALL_TIMEOUT, call).await {
            Ok(answer) => Ok(CommandRouterAccess { jwt: answer.jwt, url: answer.url }),
            Err(error) if error.code == Code::FailedPrecondition => {
                Err(ModalError { code: Code::NotFound, ..error })
            }
            Err(error) => Err(error),
        }
    }

    /// Ends a sandbox. One that has ended, or never was, is left as it is.
    pub async fn terminate_sandbox(&self, modal_id: &str) -> Result<(), ModalError> {
        let request = SandboxTerminateRequest { sandbox_id: modal_id.to_owned() };
        let call = async |mut control: Control, request| control.sandbox_terminate_v2(request).await;
        match self.unary("end the sandbox", request, CALL_TIMEOUT, call).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// All running sandboxes of an app that have these tags.
    pub async fn list_sandboxes(&self, app_id: &str, tags: &Tags) -> Result<Vec<SandboxInfo>, ModalError> {
        let (mut all, mut seen, mut before) = (Vec::new(), HashSet::new(), 0.0);
        loop {
            let request = SandboxListRequest {
                app_id: app_id.to_owned(),
                before_timestamp: before,
                environment_name: self.environment().to_owned(),
                include_finished: false,
                tags: tags_of(tags),
            };
            let call = async |mut control: Control, request| control.sandbox_list_v2(request).await;
            let page = self.unary("list the sandboxes", request, CALL_TIMEOUT, call).await?.sandboxes;
            let Some(last) = page.last() else { return Ok(all) };
            // A page that does not lead on would be asked for for ever.
            if (before > 0.0 && last.created_at >= before) || all.len() > LIST_MAX {
                return Err(ModalError::reported(
                    "list the sandboxes",
                    Code::DataLoss,
                    "the pages of the list do not end",
                ));
            }
            before = last.created_at;
            all.extend(page.into_iter().filter(|sandbox| seen.insert(sandbox.id.clone())));
        }
    }

    /// A sandbox's tags.
    pub async fn tags(&self, modal_id: &str) -> Result<Tags, ModalError> {
        let request = SandboxTagsGetRequest { sandbox_id: modal_id.to_owned() };
        let call = async |mut control: Control, request| control.sandbox_tags_get_v2(request).await;
        let answer = self.unary("read the sandbox's tags", request, CALL_TIMEOUT, call).await?;
        Ok(answer.tags.into_iter().map(|tag| (tag.tag_name, tag.tag_value)).collect())
    }

    /// Replaces all tags of a sandbox.
    pub async fn set_tags(&self, modal_id: &str, tags: &Tags) -> Result<(), ModalError> {
        let request = SandboxTagsSetRequest {
            environment_name: self.environment().to_owned(),
            sandbox_id: modal_id.to_owned(),
            tags: tags_of(tags),
        };
        let call = async |mut control: Control, request| control.sandbox_tags_set_v2(request).await;
        self.unary("tag the sandbox", request, CALL_TIMEOUT, call).await
    }

    /// Names a sandbox that has no name: of all that try the same name one wins, the others are told that it exists.
    pub async fn name_sandbox(&self, modal_id: &str, name: &str) -> Result<(), ModalError> {
        let request = SandboxSetNameRequest { sandbox_id: modal_id.to_owned(), name: name.to_owned() };
        let call = async |mut control: Control, request| control.sandbox_set_name(request).await;
        self.unary("name the sandbox", request, CALL_TIMEOUT, call).await.map(drop)
    }

    /// Fails with "not found" when there is no such image or snapshot, or not any more.
    pub async fn find_image(&self, image_id: &str) -> Result<(), ModalError> {
        let request = ImageFromIdRequest { image_id: image_id.to_owned() };
        let call = async |mut control: Control, request| control.image_from_id(request).await;
        self.unary("find the image", request, CALL_TIMEOUT, call).await.map(drop)
    }

    /// Removes an image or a snapshot. One that is gone is left alone.
    pub async fn delete_image(&self, image_id: &str) -> Result<(), ModalError> {
        let request = ImageDeleteRequest { image_id: image_id.to_owned() };
        let call = async |mut control: Control, request| control.image_delete(request).await;
        match self.unary("delete the image", request, CALL_TIMEOUT, call).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn tags_of(tags: &Tags) -> Vec<SandboxTag> {
    let tag =
        |(name, value): (&String, &String)| SandboxTag { tag_name: name.clone(), tag_value: value.clone() };
    tags.iter().map(tag).collect()
}

/// Variables of a sandbox or a command.
pub(super) fn variables_of(contents: BTreeMap<String, String>) -> Vec<SecretSource> {
    if contents.is_empty() {
        return Vec::new();
    }
    vec![SecretSource { source: Some(secret_source::Source::Env(StringMap { contents })) }]
}
