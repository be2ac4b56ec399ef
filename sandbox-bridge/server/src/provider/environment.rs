//! The environment variables that sandboxes begin with, the same at every provider but for where things are. Pure.
//!
//! Built from nothing: what the bridge has in its own environment is none of a sandbox's business, and no credential is in it but the
//! sandbox's own token. Called by the providers.

use super::{BootSecrets, SandboxOrder};
use protocol::bridge::RepositorySource;
use protocol::id::SandboxId;
use std::collections::BTreeMap;

/// Where OpenSSL and what is built on it, git, curl, Python's requests, Node, npm, cargo and pip look for certificate authorities.
pub(super) const CA_VARIABLES: [&str; 8] = [
    "SSL_CERT_FILE",
    "GIT_SSL_CAINFO",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "NPM_CONFIG_CAFILE",
    "CARGO_HTTP_CAINFO",
    "PIP_CERT",
];

/// Where things are inside.
pub(super) struct Places<'a> {
    /// Host and port that lead to the bridge.
    pub(super) bridge: &'a str,
    /// The folder of the runner's spool.
    pub(super) spool: &'a str,
    /// The folder of the repository.
    pub(super) workspace: &'a str,
    /// The agent's home.
    pub(super) home: &'a str,
    /// OpenCode; absent where there is none.
    pub(super) opencode: Option<&'a str>,
    /// Folders with programs.
    pub(super) path: &'a str,
    /// The certificate authorities to trust; absent where those of the system do.
    pub(super) ca_bundle: Option<&'a str>,
}

/// The variables of everything inside.
pub(super) fn environment(
    places: &Places<'_>,
    sandbox_id: &SandboxId,
    order: &SandboxOrder,
    secrets: &BootSecrets,
) -> BTreeMap<String, String> {
    let bridge = format!("http://{}", places.bridge);
    let mut variables = BTreeMap::new();
    let mut set = |name: &str, value: &str| variables.insert(name.to_owned(), value.to_owned());
    set("FARHAND_BRIDGE_URL", &bridge);
    set("FARHAND_SANDBOX_TOKEN", &secrets.sandbox_token);
    set("FARHAND_SANDBOX_ID", sandbox_id.as_str());
    set("FARHAND_GENERATION", &order.generation_inside().to_string());
    if let Some(base) = code_host(&order.repository) {
        set("FARHAND_CODE_HOST", base);
    }
    set("FARHAND_SPOOL", places.spool);
    set("FARHAND_WORKSPACE", places.workspace);
    if let Some(opencode) = places.opencode {
        set("FARHAND_OPENCODE", opencode);
    }
    set("HOME", places.home);
    set("USER", "agent");
    set("LOGNAME", "agent");
    set("SHELL", "/bin/bash");
    set("PATH", places.path);
    set("LANG", "C.UTF-8");
    set("TERM", "xterm-256color");
    set("TMPDIR", "/tmp");
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"] {
        set(name, &bridge);
        set(&name.to_lowercase(), &bridge);
    }
    for name in ["NO_PROXY", "no_proxy"] {
        set(name, "localhost,127.0.0.1,::1");
    }
    set("NODE_USE_ENV_PROXY", "1");
    if let Some(bundle) = places.ca_bundle {
        for name in CA_VARIABLES {
            set(name, bundle);
        }
    }
    for (name, value) in &secrets.stand_ins {
        // No secret takes the place of what a sandbox needs to work.
        variables.entry(name.clone()).or_insert_with(|| value.clone());
    }
    variables
}

/// What the URLs of all repositories of the same code host begin with.
fn code_host(repository: &RepositorySource) -> Option<&str> {
    let stem = repository.clone_url.strip_suffix(".git").unwrap_or(&repository.clone_url);
    stem.strip_suffix(repository.id.as_str()).filter(|base| base.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::Owner;
    use protocol::bridge::{SandboxLimits, SandboxSource};
    use protocol::id::RepositoryId;
    use protocol::runner::AgentKind;

    fn variables(clone_url: &str, opencode: Option<&str>) -> BTreeMap<String, String> {
        let places = Places {
            bridge: "127.0.0.1:3128",
            spool: "/spool",
            workspace: "/work",
            home: "/home/agent",
            opencode,
            path: "/bin",
            ca_bundle: Some("/ca.pem"),
        };
        let order = SandboxOrder {
            owner: Owner::Warm { model: "demo/demo".to_owned(), models: vec![] },
            repository: RepositorySource {
                id: RepositoryId::parse("octo/demo").unwrap(),
                clone_url: clone_url.to_owned(),
                default_branch: "main".to_owned(),
            },
            source: SandboxSource::Base,
            base_image: None,
            tools: vec![],
            limits: SandboxLimits::default(),
            agent: AgentKind::Scripted,
        };
        let stand_ins = [("NPM_TOKEN", "farhand_secret_1"), ("PATH", "/elsewhere")];
        let secrets = BootSecrets {
            sandbox_token: "token".to_owned(),
            stand_ins: stand_ins.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..BootSecrets::default()
        };
        environment(&places, &SandboxId::parse("sbx_1").unwrap(), &order, &secrets)
    }

    #[test]
    fn everything_inside_finds_the_bridge_and_no_secret_takes_the_place_of_what_is_needed() {
        let found = variables("https://code.example/octo/demo.git", Some("/opt/opencode"));
        for (name, value) in [
            ("FARHAND_BRIDGE_URL", "http://127.0.0.1:3128"),
            ("https_proxy", "http://127.0.0.1:3128"),
            ("FARHAND_SANDBOX_TOKEN", "token"),
            ("FARHAND_CODE_HOST", "https://code.example/"),
            ("FARHAND_OPENCODE", "/opt/opencode"),
            ("NPM_TOKEN", "farhand_secret_1"),
            ("PATH", "/bin"),
            ("PIP_CERT", "/ca.pem"),
        ] {
            assert_eq!(found.get(name).map(String::as_str), Some(value), "{name}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_named() {
        let found = variables("https://code.example/other.git", None);
        assert_eq!((found.get("FARHAND_CODE_HOST"), found.get("FARHAND_OPENCODE")), (None, None));
    }
}
