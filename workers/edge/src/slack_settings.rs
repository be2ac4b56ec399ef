//! What the operator configured of Slack, read where it is needed; a missing setting is named with its remedy, never shown.
//!
//! The guard reads the signing secret, the object of a thread everything else.

use protocol::error::{ErrorBody, ErrorCode};
use slack::prompt::MESSAGES_USUAL;
use slack::route::MODEL_USUAL;

/// A shorter secret could be guessed; Slack's have 32.
const SECRET_BYTES_MIN: usize = 16;
const API_USUAL: &str = "https://slack.com/api";
const FILES_USUAL: &str = "https://files.slack.com";
const ROUTER_USUAL: &str = "https://api.openai.com/v1";
/// Messages of a thread that may be configured.
const MESSAGES_MAX: usize = 50;

/// The model that decides what a message is about.
#[derive(Clone)]
pub struct Router {
    /// Base URL of an OpenAI-compatible API.
    pub url: String,
    /// Its model.
    pub model: String,
    /// The key; empty for an endpoint that takes none.
    pub key: String,
}

/// How the bot's tokens are renewed.
#[derive(Clone)]
pub struct Rotation {
    /// `SLACK_CLIENT_ID`.
    pub client_id: String,
    /// `SLACK_CLIENT_SECRET`.
    pub client_secret: String,
    /// `SLACK_REFRESH_TOKEN`: the first one.
    pub refresh_token: String,
}

/// Slack as this deployment uses it.
#[derive(Clone)]
pub struct SlackSettings {
    /// `SLACK_SIGNING_SECRET`.
    pub signing_secret: String,
    /// `SLACK_BOT_TOKEN`.
    pub bot_token: String,
    /// Where the app has token rotation; then the former is the first of many.
    pub rotation: Option<Rotation>,
    /// `SLACK_TEAM_ID`.
    pub team: String,
    /// `SLACK_API_URL`, without a slash at the end.
    pub api_url: String,
    /// `SLACK_FILES_URL`: origin of the files of messages, without a slash at the end.
    pub files_url: String,
    /// Messages of the thread that a prompt tells.
    pub messages: usize,
    /// The model, where one is configured.
    pub router: Option<Router>,
}

impl std::fmt::Debug for SlackSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SlackSettings")
            .field("team", &self.team)
            .field("api_url", &self.api_url)
            .finish_non_exhaustive()
    }
}

fn misconfigured(what: &str) -> ErrorBody {
    ErrorBody::new(ErrorCode::Internal, format!("Slack is not configured here: {what}"))
}

/// A token travels encrypted, or stays on this machine.
fn is_safe(url: &str) -> bool {
    let is_loopback = ["http://127.0.0.1", "http://localhost", "http://[::1]"].iter().any(|start| {
        url.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
    });
    url.starts_with("https://") || is_loopback
}

impl SlackSettings {
    /// Reads the settings; `read` gives the text of a variable or secret.
    pub fn read(read: impl Fn(&str) -> Option<String>) -> Result<Self, ErrorBody> {
        let text =
            |name: &str| read(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let required = |name: &str, remedy: &str| {
            text(name).ok_or_else(|| misconfigured(&format!("set {name}, {remedy}")))
        };
        let signing_secret = required("SLACK_SIGNING_SECRET", "a secret: the app's signing secret")?;
        if signing_secret.len() < SECRET_BYTES_MIN {
            return Err(misconfigured(&format!(
                "SLACK_SIGNING_SECRET is shorter than {SECRET_BYTES_MIN} bytes"
            )));
        }
        let url = |name: &str, usual: &str| {
            let url = text(name).unwrap_or_else(|| usual.to_owned());
            if is_safe(&url) {
                Ok(url.trim_end_matches('/').to_owned())
            } else {
                Err(misconfigured(&format!("{name} must be an https address, or one of this machine")))
            }
        };
        let router_url = url("SLACK_ROUTER_URL", ROUTER_USUAL)?;
        let key = text("SLACK_ROUTER_KEY").unwrap_or_default();
        // An endpoint of one's own may take no key; the usual one does.
        let has_router = !key.is_empty() || router_url != ROUTER_USUAL;
        let router = has_router.then(|| Router {
            url: router_url,
            model: text("SLACK_ROUTER_MODEL").unwrap_or_else(|| MODEL_USUAL.to_owned()),
            key,
        });
        let rotation = text("SLACK_REFRESH_TOKEN").map(|refresh_token| {
            let client_id = required("SLACK_CLIENT_ID", "a variable: the app's client id")?;
            let client_secret = required("SLACK_CLIENT_SECRET", "a secret: the app's client secret")?;
            Ok(Rotation { client_id, client_secret, refresh_token })
        });
        let messages = text("SLACK_THREAD_MESSAGES").and_then(|number| number.parse::<usize>().ok());
        Ok(Self {
            signing_secret,
            bot_token: required("SLACK_BOT_TOKEN", "a secret: the bot token that installing the app gave")?,
            rotation: rotation.transpose()?,
            team: required("SLACK_TEAM_ID", "a variable: the id of the workspace, which begins with T")?,
            api_url: url("SLACK_API_URL", API_USUAL)?,
            files_url: url("SLACK_FILES_URL", FILES_USUAL)?,
            messages: messages.unwrap_or(MESSAGES_USUAL).min(MESSAGES_MAX),
            router,
        })
    }

    /// The settings of this deployment.
    #[cfg(target_arch = "wasm32")]
    pub fn of(env: &worker::Env) -> Result<Self, ErrorBody> {
        Self::read(|name| env.var(name).ok().map(|value| value.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(changed: &str, value: Option<&str>) -> Result<SlackSettings, ErrorBody> {
        SlackSettings::read(|name| {
            let usual = match name {
                "SLACK_SIGNING_SECRET" => Some("canary-signing-secret"),
                "SLACK_BOT_TOKEN" => Some("xoxb-canary"),
                "SLACK_TEAM_ID" => Some("T1"),
                _ => None,
            };
            (if name == changed { value } else { usual }).map(str::to_owned)
        })
    }

    #[test]
    fn usual_settings_are_filled_in_and_never_printed() {
        let settings = with("", None).unwrap();
        assert_eq!((settings.api_url.as_str(), settings.messages), (API_USUAL, 3));
        assert!(settings.router.is_none() && settings.rotation.is_none());
        assert_eq!(with("SLACK_ROUTER_KEY", Some("k")).unwrap().router.unwrap().model, "gpt-4o-mini");
        assert!(with("SLACK_ROUTER_URL", Some("http://127.0.0.1:9/v1")).unwrap().router.is_some());
        assert!(!format!("{settings:?}").contains("canary"));
    }

    #[test]
    fn tokens_that_rotate_need_the_application() {
        let error = with("SLACK_REFRESH_TOKEN", Some("xoxe-canary")).unwrap_err();
        assert!(error.message.contains("SLACK_CLIENT_ID") && !error.message.contains("canary"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_named_without_its_value() {
        for (name, value) in [
            ("SLACK_SIGNING_SECRET", None),
            ("SLACK_SIGNING_SECRET", Some("short")),
            ("SLACK_BOT_TOKEN", None),
            ("SLACK_TEAM_ID", Some(" ")),
            ("SLACK_API_URL", Some("http://canary.example")),
            ("SLACK_API_URL", Some("http://127.0.0.1.canary.example")),
            ("SLACK_FILES_URL", Some("http://canary.example")),
        ] {
            let error = with(name, value).unwrap_err();
            assert!(error.message.contains(name) && !error.message.contains("canary"), "{name}: {error}");
        }
    }
}
