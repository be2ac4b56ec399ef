//! Settings of the Modal provider: flags, and the credentials under the names that Modal's own tools use.
//!
//! Checked only where sandboxes run at Modal. The credentials come by environment and are in no flag.

use super::{ConfigError, Secret, refuse_plain_http};
use crate::provider::modal::{BaseImage, Credentials, ModalConfig, SERVER_URL};
use clap::Args;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

const TOKEN_ID_VARIABLE: &str = "MODAL_TOKEN_ID";
const TOKEN_SECRET_VARIABLE: &str = "MODAL_TOKEN_SECRET";
const ENVIRONMENT_VARIABLE: &str = "MODAL_ENVIRONMENT";
const SERVER_VARIABLE: &str = "MODAL_SERVER_URL";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Flags that matter with `--provider modal`.
#[derive(Args, Clone, Debug)]
pub struct ModalArguments {
    /// Base URL at which sandboxes at Modal reach the gateway of this bridge; https, as TLS ends in front of it.
    #[arg(long, env = "FARHAND_GATEWAY_URL")]
    pub gateway_url: Option<Url>,

    /// Where the gateway listens for sandboxes at Modal.
    #[arg(long, env = "FARHAND_GATEWAY_LISTEN", default_value = "127.0.0.1:8443")]
    pub gateway_listen: SocketAddr,

    /// The Modal app that sandboxes and images belong to.
    #[arg(long, env = "FARHAND_MODAL_APP", default_value = "farhand")]
    pub modal_app: String,

    /// What sandboxes start from: an image at a registry, or an id that Modal gave (im-…); it needs sh, tar, git and the agent. Where
    /// absent, Debian slim with git, ripgrep, Node, Python and OpenCode.
    #[arg(long, env = "FARHAND_MODAL_IMAGE")]
    pub modal_image: Option<String>,

    /// Days after which a snapshot at Modal is gone.
    #[arg(long, env = "FARHAND_MODAL_SNAPSHOT_DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub modal_snapshot_days: u32,

    /// Sandboxes that may be made in a second; Modal holds workspaces to a limit.
    #[arg(long, env = "FARHAND_MODAL_CREATIONS", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub modal_creations: u32,
}

impl ModalArguments {
    pub(super) fn check(&self, behind_tls: bool) -> Result<(), ConfigError> {
        let url = self.gateway_url()?;
        refuse_plain_http("--gateway-url", url)?;
        if !self.gateway_listen.ip().is_loopback() && !behind_tls {
            return Err(ConfigError::PlainHttp {
                what: format!("--gateway-listen {}", self.gateway_listen),
                remedy: "listen on 127.0.0.1, or put TLS in front and say so with --behind-tls",
            });
        }
        Ok(())
    }

    fn gateway_url(&self) -> Result<&Url, ConfigError> {
        self.gateway_url.as_ref().ok_or(ConfigError::Modal {
            what: "sandboxes must be told where this bridge is",
            remedy: "give --gateway-url, the https address that leads to --gateway-listen",
        })
    }

    /// The provider's settings.
    pub fn config(&self, state: &Path, runner: PathBuf) -> Result<ModalConfig, ConfigError> {
        let mut config = ModalConfig::new(self.gateway_url()?.clone(), state.join("modal"), runner);
        config.app.clone_from(&self.modal_app);
        if let Some(image) = &self.modal_image {
            config.base_image = BaseImage::parse(image);
        }
        config.snapshot_life = DAY * self.modal_snapshot_days;
        config.creations_per_second = self.modal_creations;
        Ok(config)
    }

    /// Reads the credentials through `variable`, which answers the value of an environment variable.
    pub fn credentials(variable: impl Fn(&str) -> Option<String>) -> Result<Credentials, ConfigError> {
        let given = |name| variable(name).filter(|text| !text.is_empty());
        let missing = |what| ConfigError::Modal {
            what,
            remedy: "make a token in the settings of the Modal workspace (ak-… and as-…) and set both in the environment",
        };
        let token_id = given(TOKEN_ID_VARIABLE).ok_or(missing("MODAL_TOKEN_ID is not set"))?;
        let token_secret = given(TOKEN_SECRET_VARIABLE).ok_or(missing("MODAL_TOKEN_SECRET is not set"))?;
        let server = given(SERVER_VARIABLE).unwrap_or_else(|| SERVER_URL.to_owned());
        let wrong = ConfigError::Modal {
            what: "MODAL_SERVER_URL is no URL",
            remedy: "leave it out, or write it like https://api.modal.com",
        };
        let server_url = Url::parse(&server).map_err(|_| wrong)?;
        refuse_plain_http(SERVER_VARIABLE, &server_url)?;
        Ok(Credentials {
            server_url,
            token_id: Secret::new(token_id),
            token_secret: Secret::new(token_secret),
            environment: given(ENVIRONMENT_VARIABLE).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ServeArguments;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        serve: ServeArguments,
    }

    fn arguments(flags: &[&str]) -> ServeArguments {
        let usual = ["x", "--edge-url", "https://farhand.example", "--state", "s", "--runner", "r"];
        let all = usual.into_iter().chain(flags.iter().copied());
        <Command as clap::Parser>::try_parse_from(all).unwrap().serve
    }

    #[test]
    fn the_gateway_needs_an_address_that_sandboxes_reach_safely() {
        let check = |flags: &[&str]| arguments(flags).check().map_err(|error| error.to_string());
        assert!(check(&[]).is_ok());
        let modal = ["--provider", "modal"];
        assert!(check(&modal).unwrap_err().contains("--gateway-url"));
        let with = |more: &[&str]| check(&[&modal, more].concat());
        assert!(with(&["--gateway-url", "https://gateway.example"]).is_ok());
        assert!(with(&["--gateway-url", "http://127.0.0.1:9"]).is_ok());
        assert!(with(&["--gateway-url", "http://gateway.example"]).unwrap_err().contains("use https"));
        let open = ["--gateway-url", "https://gateway.example", "--gateway-listen", "0.0.0.0:8443"];
        assert!(with(&open).unwrap_err().contains("--behind-tls"));
        let behind = ["--behind-tls", "--public-url", "https://bridge.example"];
        assert!(with(&[open.as_slice(), &behind].concat()).is_ok());
    }

    #[test]
    fn missing_credentials_are_named_and_given_ones_do_not_print() {
        let read = |set: &[(&str, &str)]| {
            let set: Vec<(String, String)> =
                set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            ModalArguments::credentials(move |name| {
                set.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
            })
        };
        let both = [("MODAL_TOKEN_ID", "ak-canary"), ("MODAL_TOKEN_SECRET", "as-canary")];
        assert!(read(&[]).unwrap_err().to_string().contains("MODAL_TOKEN_ID is not set"));
        assert!(read(&both[..1]).unwrap_err().to_string().contains("MODAL_TOKEN_SECRET is not set"));
        let credentials = read(&both).unwrap();
        assert_eq!(credentials.server_url.as_str(), "https://api.modal.com/");
        assert!(!format!("{credentials:?}").contains("canary"));
        let plain = [both[0], both[1], ("MODAL_SERVER_URL", "http://api.modal.com")];
        assert!(matches!(read(&plain), Err(ConfigError::PlainHttp { .. })));
    }

    #[test]
    fn flags_become_the_provider_s_settings() {
        let flags = [
            "--gateway-url",
            "https://gateway.example",
            "--modal-app",
            "a",
            "--modal-image",
            "im-1",
            "--modal-snapshot-days",
            "7",
        ];
        let config = arguments(&flags).modal.config(Path::new("/state"), "r".into()).unwrap();
        assert_eq!((config.app.as_str(), config.base_image), ("a", BaseImage::Built("im-1".to_owned())));
        assert_eq!(config.snapshot_life, 7 * DAY);
        assert_eq!(config.state_dir, Path::new("/state/modal"));
        assert_eq!(config.creations_per_second, 4);
    }
}
