//! What the operator sets: flags, their environment twins, and the secrets, which come by environment only.
//!
//! Everything is checked here, once, so that a wrong value stops the start with its remedy. Secrets live in types that do not
//! print. Called by `main` and `serve`.

mod modal;
mod repositories;

pub use modal::ModalArguments;

use crate::gateway::egress::RepositoryPolicy;

use crate::gateway::egress::host::HostPattern;
use crate::gateway::usage::ModelPrice;
use crate::provider::local::{DEFAULT_BLOCKED, SnapshotDriver, ToolMount, is_command_name};
use clap::Args;
use protocol::id::RepositoryId;
use protocol::sign::{BridgeKeys, KEY_BYTES_MIN, Key, sha256_hex};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use url::Url;

/// Environment variable with the secret that edge and bridge share, or a JSON array of such, the current one first.
pub const BRIDGE_KEY_VARIABLE: &str = "FARHAND_BRIDGE_KEY";
/// Environment variable with the code host's tokens.
pub const GIT_CREDENTIALS_VARIABLE: &str = "FARHAND_GIT_CREDENTIALS";
/// Environment variable with the model providers.
pub const MODEL_PROVIDERS_VARIABLE: &str = "FARHAND_MODEL_PROVIDERS";

/// Environment variable with what single repositories may reach and which secrets they have: JSON, or the path of a file with it.
pub const REPOSITORY_POLICY_VARIABLE: &str = "FARHAND_REPOSITORY_POLICY";

/// Flags of `sandbox-bridge serve`.
#[derive(Args, Clone, Debug)]
pub struct ServeArguments {
    /// Where the signed API listens; port 0 takes a free one.
    #[arg(long, env = "FARHAND_LISTEN", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,

    /// Base URL of the Worker; events go there.
    #[arg(long, env = "FARHAND_EDGE_URL")]
    pub edge_url: Url,

    /// Base URL at which the edge reaches this replica; where absent, the address it listens on.
    #[arg(long, env = "FARHAND_PUBLIC_URL")]
    pub public_url: Option<Url>,

    /// A TLS-terminating proxy stands in front: allows a listen address that is not loopback.
    #[arg(long, env = "FARHAND_BEHIND_TLS")]
    pub behind_tls: bool,

    /// Where sandboxes run: on this machine, or at Modal.
    #[arg(long, env = "FARHAND_PROVIDER", value_enum, default_value_t = ProviderKind::Local)]
    pub provider: ProviderKind,

    /// What the Modal provider needs.
    #[command(flatten)]
    pub modal: ModalArguments,

    /// Folder for sandboxes and snapshots of the local provider, and for what the Modal provider has to remember.
    #[arg(long, env = "FARHAND_STATE")]
    pub state: PathBuf,

    /// The runner binary that sandboxes get.
    #[arg(long, env = "FARHAND_RUNNER")]
    pub runner: PathBuf,

    /// The OpenCode binary that sandboxes get; without it only the scripted agent works.
    #[arg(long, env = "FARHAND_OPENCODE")]
    pub opencode: Option<PathBuf>,

    /// A file or folder of this machine that sandboxes see read-only, as HOST=INSIDE, or as NAME:HOST=INSIDE for those whose recipe
    /// asks for it by this name; may be repeated.
    #[arg(long = "tool", env = "FARHAND_TOOLS", value_delimiter = ',', value_parser = parse_tool)]
    pub tools: Vec<ToolMount>,

    /// A base image, by name, that this machine's own programs count as, such as debian:bookworm-slim; may be repeated.
    #[arg(long = "base-image", env = "FARHAND_BASE_IMAGES", value_delimiter = ',')]
    pub base_images: Vec<String>,

    /// A host that all sandboxes may reach, as HOST[:PORT] or *.HOST[:PORT]; ports 443 and 80 where none is given; may be repeated.
    #[arg(long = "allow-host", env = "FARHAND_ALLOW_HOST", value_delimiter = ',')]
    pub allow_hosts: Vec<HostPattern>,

    /// The same for a host of the operator's own network: it may lead to private and loopback addresses.
    #[arg(long = "private-host", env = "FARHAND_PRIVATE_HOST", value_delimiter = ',')]
    pub private_hosts: Vec<HostPattern>,

    /// A PEM file with certificate authorities to trust beside the machine's own, for hosts of the operator's network.
    #[arg(long, env = "FARHAND_EXTRA_CA")]
    pub extra_ca: Option<PathBuf>,

    /// What each sandbox may spend on models, in millionths of a dollar; without it there is no bound.
    #[arg(long, env = "FARHAND_SANDBOX_BUDGET")]
    pub sandbox_budget: Option<u64>,

    /// A command that sandboxes do not have; may be repeated. Given at all, these are all: an empty one allows every command. It
    /// steers agents, it does not secure anything.
    #[arg(long = "block-command", env = "FARHAND_BLOCK_COMMAND", value_delimiter = ',', value_parser = parse_command, default_values = DEFAULT_BLOCKED)]
    pub block_commands: Vec<String>,

    /// Accept less isolation where this machine has no more: no Landlock, or plain processes where namespaces are missing. Nothing
    /// then keeps an agent from this machine's files and network.
    #[arg(long, env = "FARHAND_WEAK_SANDBOX")]
    pub weak_sandbox: bool,

    /// How snapshots are made: by layers (overlay), or by copies of everything; where absent, by layers if the kernel can.
    #[arg(long, env = "FARHAND_SNAPSHOT_DRIVER", value_enum)]
    pub snapshot_driver: Option<SnapshotDriver>,

    /// End every sandbox when the bridge ends. Without it they go on, and the next bridge finds them.
    #[arg(long, env = "FARHAND_SANDBOXES_DIE_WITH_BRIDGE")]
    pub sandboxes_die_with_bridge: bool,
}

/// Where sandboxes run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ProviderKind {
    /// On this machine.
    Local,
    /// At Modal.
    Modal,
}

/// A setting that does not work; the text says which and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The shared secret is missing or too short.
    #[error(
        "{BRIDGE_KEY_VARIABLE} must hold at least {KEY_BYTES_MIN} bytes, the same as the Worker's BRIDGE_KEY; while it is being exchanged, a JSON array of such, the current one first"
    )]
    BridgeKey,
    /// A variable with JSON does not parse. The value itself is not repeated, it contains secrets.
    #[error("{variable} must be JSON like {example}: wrong near line {line}, column {column}")]
    Json {
        /// Which.
        variable: &'static str,
        /// What one looks like.
        example: &'static str,
        /// Of the first mistake.
        line: usize,
        /// Of the first mistake.
        column: usize,
    },
    /// A key of the git credentials is no origin.
    #[error("{GIT_CREDENTIALS_VARIABLE}: {0:?} is no origin; write it like https://github.com")]
    Origin(String),
    /// The text is JSON, but says something that does not work.
    #[error("{variable}: {what}")]
    Policy {
        /// Which.
        variable: &'static str,
        /// What does not work, and how it would; without any value of a secret.
        what: String,
    },
    /// A file that was named cannot be read.
    #[error("{what}: {path} cannot be read: {source}")]
    File {
        /// Which setting.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The Modal provider lacks something.
    #[error("with --provider modal, {what}: {remedy}")]
    Modal {
        /// What is missing.
        what: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// Nobody could tell the edge where this replica is.
    #[error("with --listen {0}, give --public-url: the https address at which the edge reaches this replica")]
    PublicUrl(SocketAddr),
    /// Plain HTTP would leave the machine.
    #[error("{what} would send plain HTTP beyond this machine: {remedy}")]
    PlainHttp {
        /// Which setting.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
}

/// A text that must not be printed.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, at the place where it is used.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Which API a model provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelApi {
    /// Chat completions and responses; the key is a bearer token.
    Openai,
    /// Messages; the key is `x-api-key`.
    Anthropic,
}

/// A model provider as configured.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelProvider {
    /// What stands before `/chat/completions` or `/messages`, version included.
    pub base_url: Url,
    /// Added to every request.
    pub api_key: Secret,
    /// Which API it speaks.
    pub kind: ModelApi,
    /// By model; `*` for those that are not named. Needed where sandboxes have a budget.
    #[serde(default)]
    pub prices: BTreeMap<String, ModelPrice>,
    /// Whether streams of Chat completions are made to tell their usage; a few providers refuse to be asked.
    #[serde(default = "yes")]
    pub stream_usage: bool,
}

fn yes() -> bool {
    true
}

impl ModelProvider {
    /// What a model costs, if that is known.
    #[must_use]
    pub fn price(&self, model: &str) -> Option<ModelPrice> {
        self.prices.get(model).or_else(|| self.prices.get("*")).copied()
    }
}

/// The two keys of the bridge.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Shared with the edge.
    pub bridge: BridgeKeys,
    /// Signs what opens the runner socket and the gateway; known to this bridge and its replicas only.
    pub gateway: Key,
    /// What sandboxes were given before the shared secret was exchanged, signed with these, counts on.
    pub gateway_earlier: Vec<Key>,
    /// Make the stand-ins of secrets, the current one first.
    pub stand_ins: Vec<Secret>,
}

impl Keys {
    /// Derives the gateway's key from the shared secret, so that a restarted bridge knows the tokens of its sandboxes.
    pub fn from_secret(secret: &str) -> Result<Self, ConfigError> {
        let bridge = BridgeKeys::parse(secret).ok_or(ConfigError::BridgeKey)?;
        let secrets = BridgeKeys::secrets(secret).unwrap_or_default();
        let derive =
            |purpose: &str, secret: &str| sha256_hex(format!("farhand {purpose} key 1\n{secret}").as_bytes());
        let mut gateways = secrets.iter().filter_map(|secret| Key::new(derive("gateway", secret).as_bytes()));
        Ok(Self {
            bridge,
            gateway: gateways.next().ok_or(ConfigError::BridgeKey)?,
            gateway_earlier: gateways.collect(),
            stand_ins: secrets.iter().map(|secret| Secret::new(derive("stand-in", secret))).collect(),
        })
    }

    /// Everything that opens the gateway.
    #[must_use]
    pub fn gateways(&self) -> Vec<Key> {
        std::iter::once(&self.gateway).chain(&self.gateway_earlier).cloned().collect()
    }
}

/// What came by environment only.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// What edge and bridge share, as text.
    pub shared: Vec<Secret>,
    /// Derived from [`BRIDGE_KEY_VARIABLE`].
    pub keys: Keys,
    /// By origin of clone URLs.
    pub git_credentials: BTreeMap<String, Secret>,
    /// By name.
    pub model_providers: BTreeMap<String, ModelProvider>,
    /// What single repositories may reach, with the values of their secrets.
    pub repositories: BTreeMap<RepositoryId, RepositoryPolicy>,
}

impl Secrets {
    /// Reads them through `variable`, which answers the value of an environment variable.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let shared = Secret::new(variable(BRIDGE_KEY_VARIABLE).unwrap_or_default());
        let keys = Keys::from_secret(shared.reveal())?;
        let shared =
            BridgeKeys::secrets(shared.reveal()).unwrap_or_default().into_iter().map(Secret::new).collect();
        let git = variable(GIT_CREDENTIALS_VARIABLE).unwrap_or_else(|| "{}".to_owned());
        let models = variable(MODEL_PROVIDERS_VARIABLE).unwrap_or_else(|| "{}".to_owned());
        let by_url: BTreeMap<String, Secret> =
            parse_json(GIT_CREDENTIALS_VARIABLE, r#"{"https://github.com": "<token>"}"#, &git)?;
        let mut git_credentials = BTreeMap::new();
        for (text, token) in by_url {
            let origin = Url::parse(&text).ok().map(|url| url.origin()).filter(url::Origin::is_tuple);
            let origin = origin.ok_or_else(|| ConfigError::Origin(text.clone()))?;
            git_credentials.insert(origin.ascii_serialization(), token);
        }
        let model_providers: BTreeMap<String, ModelProvider> = parse_json(
            MODEL_PROVIDERS_VARIABLE,
            r#"{"openai": {"base_url": "https://api.openai.com/v1", "api_key": "<key>", "kind": "openai"}}"#,
            &models,
        )?;
        for (name, provider) in &model_providers {
            refuse_plain_http(&format!("base_url of model provider {name}"), &provider.base_url)?;
        }
        let repositories = repositories::read(&variable)?;
        Ok(Self { shared, keys, git_credentials, model_providers, repositories })
    }
}

impl Secrets {
    /// All that must never be seen, for those who look out for it.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        let models = self.model_providers.values().map(|provider| &provider.api_key);
        let named = self.repositories.values().flat_map(|policy| policy.secrets.values());
        let named = named.filter_map(|secret| secret.value.as_ref());
        let all = self.git_credentials.values().chain(models).chain(named).chain(&self.shared);
        all.map(Secret::reveal)
    }
}

impl ServeArguments {
    /// What sandboxes are to be without.
    #[must_use]
    pub fn blocked_commands(&self) -> Vec<String> {
        self.block_commands.iter().filter(|name| !name.is_empty()).cloned().collect()
    }

    /// Refuses settings under which secrets or events would cross a network unencrypted.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !self.listen.ip().is_loopback() && !self.behind_tls {
            return Err(ConfigError::PlainHttp {
                what: format!("--listen {}", self.listen),
                remedy: "listen on 127.0.0.1, or put TLS in front and say so with --behind-tls",
            });
        }
        match &self.public_url {
            Some(url) => refuse_plain_http("--public-url", url)?,
            None if self.listen.ip().is_loopback() => {}
            None => return Err(ConfigError::PublicUrl(self.listen)),
        }
        if self.provider == ProviderKind::Modal {
            self.modal.check(self.behind_tls)?;
        }
        refuse_plain_http("--edge-url", &self.edge_url)
    }
}

/// Whether a URL points at this machine.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Refuses `http` to anywhere but this machine, and every scheme that is not HTTP.
pub fn refuse_plain_http(what: &str, url: &Url) -> Result<(), ConfigError> {
    if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url)) {
        return Ok(());
    }
    Err(ConfigError::PlainHttp {
        what: format!("{what} ({})", url.origin().ascii_serialization()),
        remedy: "use https",
    })
}

fn parse_tool(text: &str) -> Result<ToolMount, String> {
    let (name, paths) = match text.split_once(':') {
        Some((name, paths)) if !name.is_empty() && !name.contains(['/', '=']) => {
            (Some(name.to_owned()), paths)
        }
        Some(_) | None => (None, text),
    };
    let (host, inside) =
        paths.split_once('=').ok_or("write HOST=INSIDE, such as /opt/rust=/opt/rust, or NAME:HOST=INSIDE")?;
    if !host.starts_with('/') || !inside.starts_with('/') {
        return Err("both paths must be absolute".to_owned());
    }
    Ok(ToolMount { name, host: host.into(), inside: inside.into() })
}

/// The empty name stands for none, and is dropped by [`ServeArguments::blocked_commands`].
fn parse_command(text: &str) -> Result<String, String> {
    if text.is_empty() || is_command_name(text) {
        return Ok(text.to_owned());
    }
    Err("write the name of a command, such as curl, without its folder".to_owned())
}

fn parse_json<'a, T: Deserialize<'a>>(
    variable: &'static str,
    example: &'static str,
    text: &'a str,
) -> Result<T, ConfigError> {
    serde_json::from_str(text).map_err(|error| ConfigError::Json {
        variable,
        example,
        line: error.line(),
        column: error.column(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(git: &str, models: &str) -> Result<Secrets, ConfigError> {
        Secrets::read(|name| match name {
            BRIDGE_KEY_VARIABLE => Some("k".repeat(32)),
            GIT_CREDENTIALS_VARIABLE => Some(git.to_owned()),
            MODEL_PROVIDERS_VARIABLE => Some(models.to_owned()),
            _ => None,
        })
    }

    #[test]
    fn secrets_are_read_and_do_not_print() {
        let models =
            r#"{"demo": {"base_url": "http://127.0.0.1:1/v1", "api_key": "canary-model", "kind": "openai"}}"#;
        let secrets = read(r#"{"HTTPS://GitHub.com/": "canary-git"}"#, models).unwrap();
        assert_eq!(secrets.git_credentials.keys().collect::<Vec<_>>(), ["https://github.com"]);
        assert_eq!(secrets.model_providers["demo"].api_key.reveal(), "canary-model");
        assert!(!format!("{secrets:?}").contains("canary"));
    }

    #[test]
    fn a_wrong_value_is_refused_without_repeating_it() {
        let error = read(r#"{"https://github.com": 12canary}"#, "{}").unwrap_err().to_string();
        assert!(error.contains(GIT_CREDENTIALS_VARIABLE) && !error.contains("canary"), "{error}");
        assert!(matches!(read(r#"{"github": "x"}"#, "{}"), Err(ConfigError::Origin(_))));
        assert!(matches!(Secrets::read(|_| None), Err(ConfigError::BridgeKey)));
        assert!(matches!(Secrets::read(|_| Some("short".into())), Err(ConfigError::BridgeKey)));
        let plain = r#"{"x": {"base_url": "http://models.example/v1", "api_key": "k", "kind": "anthropic"}}"#;
        assert!(matches!(read("{}", plain), Err(ConfigError::PlainHttp { .. })));
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        for (url, allowed) in [
            ("http://127.0.0.1:8787", true),
            ("http://localhost:8787", true),
            ("http://[::1]:8787", true),
            ("https://farhand.example", true),
            ("http://farhand.example", false),
            ("http://127.0.0.1.farhand.example", false),
            ("file:///x", false),
        ] {
            assert_eq!(refuse_plain_http("x", &Url::parse(url).unwrap()).is_ok(), allowed, "{url}");
        }
    }

    #[test]
    fn a_listener_beyond_loopback_needs_tls_and_an_address() {
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            serve: ServeArguments,
        }
        let check = |flags: &[&str]| {
            let usual = ["x", "--edge-url", "https://farhand.example", "--state", "s", "--runner", "r"];
            let arguments = usual.into_iter().chain(flags.iter().copied());
            <Command as clap::Parser>::try_parse_from(arguments).unwrap().serve.check()
        };
        assert!(check(&[]).is_ok());
        assert!(check(&["--listen", "[::1]:0"]).is_ok());
        assert!(matches!(check(&["--listen", "0.0.0.0:80"]), Err(ConfigError::PlainHttp { .. })));
        let open = ["--listen", "0.0.0.0:80", "--behind-tls"];
        assert!(matches!(check(&open), Err(ConfigError::PublicUrl(_))));
        let with = |url| check(&[open.as_slice(), &["--public-url", url]].concat());
        assert!(with("https://bridge.example").is_ok());
        assert!(matches!(with("http://bridge.example"), Err(ConfigError::PlainHttp { .. })));
    }

    #[test]
    fn commands_are_blocked_unless_the_operator_says_otherwise() {
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            serve: ServeArguments,
        }
        let parse = |flags: &[&str]| {
            let usual = ["x", "--edge-url", "https://farhand.example", "--state", "s", "--runner", "r"];
            let arguments = usual.into_iter().chain(flags.iter().copied());
            <Command as clap::Parser>::try_parse_from(arguments)
                .map(|command| command.serve.blocked_commands())
        };
        assert_eq!(parse(&[]).unwrap(), ["curl", "wget", "ssh"]);
        assert_eq!(parse(&["--block-command", ""]).unwrap(), Vec::<String>::new());
        assert_eq!(
            parse(&["--block-command", "nc,telnet", "--block-command", "ssh"]).unwrap(),
            ["nc", "telnet", "ssh"]
        );
        assert!(
            parse(&["--block-command", "/usr/bin/nc"])
                .is_err_and(|error| error.to_string().contains("without its folder"))
        );
    }

    #[test]
    fn the_gateway_key_is_another_key() {
        let keys = Keys::from_secret(&"k".repeat(32)).unwrap();
        let sandbox = protocol::id::SandboxId::parse("sbx_1").unwrap();
        let claims = protocol::sign::SandboxClaims { sandbox_id: sandbox };
        let shared = Key::new("k".repeat(32).as_bytes()).unwrap();
        let audience = protocol::sign::Audience::Gateway;
        let end = protocol::time::Timestamp(9);
        let token = |key| protocol::sign::sign(key, audience, &claims, Default::default(), end);
        let read = |key, token: &str| {
            protocol::sign::verify::<protocol::sign::SandboxClaims>(key, audience, token, Default::default())
        };
        assert!(read(&keys.gateway, &token(&shared)).is_err());
        assert!(read(&keys.gateway, &token(&keys.gateway)).is_ok());
    }

    #[test]
    fn sandboxes_keep_their_tokens_while_the_shared_secret_is_exchanged() {
        let before = Keys::from_secret(&"a".repeat(32)).unwrap();
        let after = Keys::from_secret(&format!(r#"["{}", "{}"]"#, "b".repeat(32), "a".repeat(32))).unwrap();
        let sandbox = protocol::id::SandboxId::parse("sbx_1").unwrap();
        let claims = protocol::sign::SandboxClaims { sandbox_id: sandbox };
        let (audience, end) = (protocol::sign::Audience::Gateway, protocol::time::Timestamp(9));
        let token = protocol::sign::sign(&before.gateway, audience, &claims, Default::default(), end);
        let counts = |key: &Key| {
            protocol::sign::verify::<protocol::sign::SandboxClaims>(key, audience, &token, Default::default())
                .is_ok()
        };
        assert_eq!(after.gateways().iter().map(counts).collect::<Vec<_>>(), [false, true]);
        assert_eq!(after.stand_ins.last().map(Secret::reveal), before.stand_ins.first().map(Secret::reveal));
    }
}
