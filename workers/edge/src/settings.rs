//! What the operator configured (`wrangler.toml` `[vars]` and secrets), read and checked once per isolate.
//!
//! A setting that is missing or wrong is an error that names it and the remedy; it never shows the value.

use identity::admission::AllowList;
use identity::local::{LocalUsers, is_loopback};
use identity::signed_in::Issuer;
use platform::vault::ring::KeyRing;
use protocol::PROTOCOL_VERSION;
use protocol::client::{AttachmentLimits, CaptureSupport, Configuration, SignInMethod};
use protocol::effort::takes_effort;
use protocol::error::{ErrorBody, ErrorCode};
use protocol::limit::CAPTURE_VERSION;
use protocol::sign::{BridgeKeys, KEY_BYTES_MIN, Key};

/// Variable that says whether repositories get images and warm sandboxes: `on` (also where it is not set) or `off`.
pub const IMAGES: &str = "IMAGES";

/// How people sign in.
#[derive(Debug)]
pub enum SignIn {
    /// By the list of local users.
    Local(LocalUsers),
    /// By GitHub.
    Github,
}

/// The configuration of this deployment.
#[derive(Debug)]
pub struct Settings {
    /// How people sign in.
    pub sign_in: SignIn,
    /// Who may sign in through GitHub, and who are operators.
    pub allow_list: AllowList,
    /// Ids of browser extensions that may sign in and open sockets.
    pub extensions: Vec<String>,
    /// Signs what people carry.
    pub session_key: Key,
    /// Checks what bridges send, and signs what they are answered.
    pub bridge_keys: BridgeKeys,
    /// Base URL of the code host's API.
    pub github_api_url: String,
    /// Models to choose from, the default first.
    pub models: Vec<String>,
    /// The origin under which people reach this deployment, where it is not that of the request.
    pub public_origin: Option<String>,
    /// Whether repositories get images and warm sandboxes.
    pub has_images: bool,
    /// Whether the routes of [`api::route::TEST_TABLE`] exist.
    pub has_test_routes: bool,
}

impl Settings {
    /// Reads the settings; `read` gives the text of a variable or secret.
    pub fn read(read: impl Fn(&str) -> Option<String>) -> Result<Self, ErrorBody> {
        let text = |name: &str| read(name).filter(|value| !value.trim().is_empty());
        let required = |name: &str, kind: &str| {
            text(name).ok_or_else(|| misconfigured(&format!("{name} is not set; set it as a {kind}")))
        };
        let sign_in = match required("SIGN_IN", "variable: github, or local for development")?.as_str() {
            "github" => {
                for (name, kind) in [
                    ("GITHUB_CLIENT_ID", "variable: the client id of the GitHub App"),
                    ("GITHUB_CLIENT_SECRET", "secret: a client secret of the GitHub App"),
                ] {
                    required(name, kind)?;
                }
                let keys = required("TOKEN_KEYS", "secret, because SIGN_IN is github")?;
                KeyRing::parse(&keys).map_err(|error| misconfigured(&error.to_string()))?;
                SignIn::Github
            }
            "local" => {
                let users = required("LOCAL_USERS", "secret, because SIGN_IN is local")?;
                SignIn::Local(LocalUsers::parse(&users).map_err(|error| misconfigured(&error.to_string()))?)
            }
            _ => return Err(misconfigured("SIGN_IN is neither github nor local")),
        };
        let public_origin = text("PUBLIC_URL")
            .map(|url| origin_of(&url).ok_or_else(|| misconfigured("PUBLIC_URL is not an http or https URL")))
            .transpose()?;
        let has_images = match text(IMAGES).as_deref() {
            Some("off") => false,
            Some("on") | None => true,
            Some(_) => return Err(misconfigured("IMAGES is neither on nor off")),
        };
        let extensions = extensions(&text("EXTENSION_IDS").unwrap_or_default())?;
        Ok(Self {
            sign_in,
            allow_list: AllowList::parse(text).map_err(|error| misconfigured(&error.to_string()))?,
            extensions,
            session_key: key("SESSION_KEY", &required("SESSION_KEY", "secret")?)?,
            bridge_keys: bridge_keys(&required("BRIDGE_KEY", "secret")?)?,
            github_api_url: required("GITHUB_API_URL", "variable, such as https://api.github.com")?,
            models: models(&required("MODELS", "variable: a JSON array of provider/name")?)?,
            public_origin,
            has_images,
            has_test_routes: text("TEST_ROUTES").as_deref() == Some("1"),
        })
    }

    /// Which issuer's signature counts.
    #[must_use]
    pub fn issuer(&self) -> Issuer {
        match self.sign_in {
            SignIn::Local(_) => Issuer::Local,
            SignIn::Github => Issuer::Github,
        }
    }

    /// The local users, where signing in is local and `host` is a loopback address; otherwise why not.
    pub fn local_users(&self, host: &str) -> Result<&LocalUsers, ErrorBody> {
        match &self.sign_in {
            SignIn::Local(users) if is_loopback(host) => Ok(users),
            SignIn::Local(_) => Err(ErrorBody::new(
                ErrorCode::Forbidden,
                "sign-in by local users works on loopback addresses only: open Farhand at http://127.0.0.1, or set SIGN_IN to github",
            )),
            SignIn::Github => Err(ErrorBody::new(
                ErrorCode::Forbidden,
                "this deployment signs in through GitHub; set SIGN_IN to local to develop on loopback",
            )),
        }
    }

    /// What clients may know.
    pub fn public(&self, host: &str) -> Result<Configuration, ErrorBody> {
        let sign_in = match &self.sign_in {
            SignIn::Local(_) => SignInMethod::Local { users: self.local_users(host)?.users() },
            SignIn::Github => SignInMethod::Github,
        };
        Ok(Configuration {
            protocol_version: PROTOCOL_VERSION,
            sign_in,
            thinking_models: self.models.iter().filter(|model| takes_effort(model)).cloned().collect(),
            models: self.models.clone(),
            captures: Some(CaptureSupport { version: CAPTURE_VERSION }),
            attachments: Some(AttachmentLimits::default()),
        })
    }

    /// The model of prompts that name none.
    #[must_use]
    pub fn default_model(&self) -> &str {
        self.models.first().map_or("", String::as_str)
    }

    /// Whether this model may be used.
    pub fn check_model(&self, model: &str) -> Result<(), ErrorBody> {
        if self.models.iter().any(|known| known == model) {
            return Ok(());
        }
        let models = self.models.join(", ");
        Err(ErrorBody::new(
            ErrorCode::ModelUnknown,
            format!("this model is not configured here; choose one of: {models}"),
        ))
    }
}

fn misconfigured(what: &str) -> ErrorBody {
    ErrorBody::new(ErrorCode::Internal, format!("this deployment is not configured: {what}"))
}

fn key(name: &str, secret: &str) -> Result<Key, ErrorBody> {
    Key::new(secret.as_bytes()).ok_or_else(|| {
        misconfigured(&format!("{name} is shorter than {KEY_BYTES_MIN} bytes; set a longer random secret"))
    })
}

fn bridge_keys(text: &str) -> Result<BridgeKeys, ErrorBody> {
    BridgeKeys::parse(text).ok_or_else(|| {
        misconfigured(&format!(
            "BRIDGE_KEY is shorter than {KEY_BYTES_MIN} bytes, or an array with a secret that is; set longer random secrets"
        ))
    })
}

fn models(json: &str) -> Result<Vec<String>, ErrorBody> {
    let models: Vec<String> = serde_json::from_str(json)
        .map_err(|_| misconfigured("MODELS is not a JSON array of provider/name"))?;
    let well_formed = |model: &String| {
        model.split_once('/').is_some_and(|(provider, name)| !provider.is_empty() && !name.is_empty())
    };
    if models.is_empty() || !models.iter().all(well_formed) {
        return Err(misconfigured("MODELS must have at least one entry, each provider/name"));
    }
    Ok(models)
}

/// Ids of extensions as Chrome makes them: 32 letters from a to p.
fn extensions(list: &str) -> Result<Vec<String>, ErrorBody> {
    let ids: Vec<String> =
        list.split(',').map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()).collect();
    let is_id = |id: &String| id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'a'..=b'p'));
    if ids.iter().all(is_id) {
        return Ok(ids);
    }
    Err(misconfigured("EXTENSION_IDS must list ids of Chrome extensions, separated by commas"))
}

/// Scheme, host and port of a URL, as browsers write them in `origin`.
fn origin_of(url: &str) -> Option<String> {
    let url = url.to_ascii_lowercase();
    let (scheme, rest) = url.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let usual = if scheme == "https" { ":443" } else { ":80" };
    let authority = authority.strip_suffix(usual).unwrap_or(authority);
    let is_host = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    (!authority.is_empty() && authority.chars().all(is_host)).then(|| format!("{scheme}://{authority}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = r#"[{"id":"usr_ada","login":"ada","name":"Ada","email":"ada@farhand.example","token":"canary-token"}]"#;

    const KEYS: &str = r#"{"current":"a","keys":{"a":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="}}"#;

    fn good(name: &str) -> Option<String> {
        let value = match name {
            "SIGN_IN" => "local",
            "LOCAL_USERS" => USERS,
            "SESSION_KEY" => "canary-canary-canary-canary-canary-1",
            "BRIDGE_KEY" => "canary-canary-canary-canary-canary-2",
            "GITHUB_API_URL" => "https://api.github.com",
            "MODELS" => r#"["demo/demo","openai/gpt"]"#,
            "PUBLIC_URL" => "https://Farhand.example:443/app",
            "GITHUB_CLIENT_ID" => "Iv1.x",
            "GITHUB_CLIENT_SECRET" => "canary-client-secret",
            "TOKEN_KEYS" => KEYS,
            "OPERATORS" => "ada",
            _ => return None,
        };
        Some(value.to_owned())
    }

    fn with(changed: &str, value: Option<&str>) -> Result<Settings, ErrorBody> {
        Settings::read(|name| if name == changed { value.map(str::to_owned) } else { good(name) })
    }

    #[test]
    fn good_settings_are_read() {
        let settings = Settings::read(good).unwrap();
        assert_eq!(settings.default_model(), "demo/demo");
        assert_eq!(settings.public_origin.as_deref(), Some("https://farhand.example"));
        assert!(!settings.has_test_routes && with("TEST_ROUTES", Some("1")).unwrap().has_test_routes);
        assert!(settings.has_images && !with("IMAGES", Some("off")).unwrap().has_images);
        assert!(with("IMAGES", Some("of")).is_err());
        assert!(settings.check_model("openai/gpt").is_ok());
        assert_eq!(settings.check_model("openai").unwrap_err().code, ErrorCode::ModelUnknown);
        assert!(with("PUBLIC_URL", None).unwrap().public_origin.is_none());
        assert!(!format!("{settings:?}").contains("canary"));
    }

    #[test]
    fn what_is_wrong_is_named_without_its_value() {
        for (name, value) in [
            ("SIGN_IN", None),
            ("SIGN_IN", Some("canary")),
            ("LOCAL_USERS", None),
            ("LOCAL_USERS", Some("[\"canary\"]")),
            ("SESSION_KEY", None),
            ("SESSION_KEY", Some("canary")),
            ("BRIDGE_KEY", Some("  ")),
            ("GITHUB_API_URL", None),
            ("MODELS", Some("canary")),
            ("MODELS", Some("[]")),
            ("MODELS", Some(r#"["canary"]"#)),
            ("PUBLIC_URL", Some("canary")),
            ("ALLOWED_TEAMS", Some("canary")),
            ("EXTENSION_IDS", Some("canary")),
        ] {
            let error = with(name, value).unwrap_err();
            assert!(
                error.message.contains(name) && !error.message.contains("canary"),
                "{name} {value:?}: {error}"
            );
        }
    }

    #[test]
    fn signing_in_through_github_takes_an_application_and_keys() {
        for missing in ["GITHUB_CLIENT_ID", "GITHUB_CLIENT_SECRET", "TOKEN_KEYS"] {
            for value in [None, Some(" ")] {
                let error = Settings::read(|name| match name {
                    "SIGN_IN" => Some("github".to_owned()),
                    _ if name == missing => value.map(str::to_owned),
                    _ => good(name),
                });
                assert!(error.unwrap_err().message.contains(missing));
            }
            assert!(with(missing, None).is_ok(), "{missing} is not needed on loopback");
        }
        assert!(with("SIGN_IN", Some("github")).unwrap().allow_list.is_operator("Ada"));
    }

    #[test]
    fn local_users_exist_on_loopback_only() {
        let settings = Settings::read(good).unwrap();
        assert!(settings.local_users("127.0.0.1").is_ok());
        assert_eq!(settings.local_users("farhand.example").unwrap_err().code, ErrorCode::Forbidden);
        assert_eq!(settings.public("farhand.example").unwrap_err().code, ErrorCode::Forbidden);
        let github = with("SIGN_IN", Some("github")).unwrap();
        assert_eq!(github.local_users("127.0.0.1").unwrap_err().code, ErrorCode::Forbidden);
        assert_eq!(github.public("farhand.example").unwrap().sign_in, SignInMethod::Github);
    }
}
