//! What an operator decides about a deployment, read and checked; and the configuration for wrangler that follows from it.
//!
//! `farhand.toml` says only what differs between deployments; all else is `wrangler.toml`, so that an upgrade needs no merging.

use anyhow::{Context as _, bail, ensure};
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Variables that the Worker reads and `wrangler.toml` does not set.
const MORE_VARS: &[&str] =
    &["PULL_REQUEST_LOOK_MS", "SLACK_API_URL", "SLACK_CLIENT_ID", "SLACK_FILES_URL", "SLACK_THREAD_MESSAGES"];
/// Variables that a deployment never has, and why.
const REFUSED_VARS: &[(&str, &str)] = &[
    ("PUBLIC_URL", "set public_url above the table"),
    ("TEST_ROUTES", "it adds routes that panic, for tests"),
    ("LOCAL_USERS", "it holds tokens, and signs people in on loopback addresses only"),
];
/// What people who deploy from the workspace's own domain have: no route, and an address that Cloudflare gives.
const WORKERS_DEV: &str = ".workers.dev";

/// What `farhand.toml` says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Deployment {
    /// Name of the Worker, and of its database.
    #[serde(default = "default_name")]
    pub(super) name: String,
    /// Where people reach it: an https origin.
    pub(super) public_url: String,
    /// Account at Cloudflare, for those who have several.
    pub(super) account_id: Option<String>,
    /// Variables that differ from `wrangler.toml`.
    #[serde(default)]
    pub(super) vars: BTreeMap<String, String>,
}

fn default_name() -> String {
    "farhand".to_owned()
}

impl Deployment {
    /// Reads `farhand.toml`; `base` is `wrangler.toml`. An error names all that is wrong, with the remedy.
    pub(super) fn read(text: &str, base: &Base) -> anyhow::Result<Self> {
        let deployment: Self = toml::from_str(text).context("not a description of a deployment")?;
        let problems = deployment.problems(base);
        ensure!(problems.is_empty(), "{}", problems.join("\n"));
        Ok(deployment)
    }

    /// The value of a variable once it is deployed; empty counts as not set.
    pub(super) fn var<'a>(&'a self, base: &'a Base, name: &str) -> Option<&'a str> {
        let value = self.vars.get(name).or_else(|| base.vars.get(name))?;
        Some(value.as_str()).filter(|value| !value.trim().is_empty())
    }

    /// Name of the R2 bucket. Names are of the whole account there.
    pub(super) fn bucket(&self) -> String {
        format!("{}-artifacts", self.name)
    }

    fn problems(&self, base: &Base) -> Vec<String> {
        let mut problems = Vec::new();
        let is_name = |name: &str| {
            (1..=50).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
                && !name.starts_with('-')
                && !name.ends_with('-')
        };
        if !is_name(&self.name) {
            problems.push("name: up to 50 of a–z, 0–9 and -, which is not the first or last".to_owned());
        }
        if let Err(error) = host_of(&self.public_url) {
            problems.push(format!("public_url: {error}"));
        }
        problems.extend(self.vars.keys().filter_map(|name| refuse_var(name, base)));
        for (name, what) in [
            ("GITHUB_CLIENT_ID", "the client id of the GitHub App that people sign in to"),
            ("BRIDGE_URL", "the https address of the sandbox bridge"),
            ("OPERATORS", "your login at GitHub: the first operator starts there"),
        ] {
            if self.var(base, name).is_none() {
                problems.push(format!("vars.{name} is not set: {what}"));
            }
        }
        if self.var(base, "SIGN_IN") != Some("github") {
            problems.push("vars.SIGN_IN must be \"github\": local users sign in on loopback only".to_owned());
        }
        if let Some(url) = self.var(base, "BRIDGE_URL")
            && !url.starts_with("https://")
        {
            problems.push("vars.BRIDGE_URL must begin with https://".to_owned());
        }
        problems
    }
}

/// The host of an https origin; an error says what else it is.
fn host_of(url: &str) -> anyhow::Result<String> {
    let parsed = Url::parse(url).with_context(|| format!("{url:?} is not a URL"))?;
    ensure!(parsed.scheme() == "https", "{url:?} must begin with https://");
    ensure!(
        parsed.path() == "/" && parsed.query().is_none() && parsed.fragment().is_none(),
        "{url:?} must be an origin, without a path"
    );
    ensure!(parsed.port().is_none(), "{url:?} must not name a port");
    parsed.host_str().map(str::to_owned).with_context(|| format!("{url:?} has no host"))
}

fn refuse_var(name: &str, base: &Base) -> Option<String> {
    if let Some((_, why)) = REFUSED_VARS.iter().find(|(refused, _)| *refused == name) {
        return Some(format!("vars.{name} does not belong there: {why}"));
    }
    if super::secret::SECRETS.iter().any(|secret| secret.name == name) {
        return Some(format!("vars.{name} is a secret: take it out of the file, the deployment asks for it"));
    }
    let known = || base.vars.keys().map(String::as_str).chain(MORE_VARS.iter().copied());
    if known().any(|known| known == name) {
        return None;
    }
    let near = known().min_by_key(|known| strsim::damerau_levenshtein(known, name));
    Some(format!("vars.{name} is not known; did you mean {}?", near.unwrap_or("none at all")))
}

/// `wrangler.toml`, as JSON, which wrangler reads as well.
#[derive(Clone, Debug)]
pub(super) struct Base {
    config: Map<String, Value>,
    vars: BTreeMap<String, String>,
}

impl Base {
    /// Reads it.
    pub(super) fn read(text: &str) -> anyhow::Result<Self> {
        let Value::Object(config) = toml::from_str(text).context("wrangler.toml")? else {
            bail!("wrangler.toml is not a table")
        };
        let vars = config.get("vars").cloned().unwrap_or_default();
        let vars = serde_json::from_value(vars).context("wrangler.toml: a variable is not a text")?;
        Ok(Self { config, vars })
    }

    /// The configuration of a deployment. Paths are those of `wrangler.toml` behind `root`; the caller has built what `[build]` builds.
    pub(super) fn for_deployment(
        &self,
        deployment: &Deployment,
        database_id: &str,
        root: &str,
    ) -> anyhow::Result<Value> {
        let mut config = self.config.clone();
        config.remove("build");
        config.insert("name".to_owned(), json!(deployment.name));
        if let Some(account) = &deployment.account_id {
            config.insert("account_id".to_owned(), json!(account));
        }
        let host = host_of(&deployment.public_url)?;
        let on_workers_dev = host.ends_with(WORKERS_DEV);
        config.insert("workers_dev".to_owned(), json!(on_workers_dev));
        if !on_workers_dev {
            config.insert("routes".to_owned(), json!([{"pattern": host, "custom_domain": true}]));
        }
        let mut vars = self.vars.clone();
        vars.extend(deployment.vars.clone());
        vars.insert("PUBLIC_URL".to_owned(), deployment.public_url.clone());
        config.insert("vars".to_owned(), json!(vars));
        let mut config = Value::Object(config);
        for path in ["/main", "/assets/directory", "/d1_databases/0/migrations_dir"] {
            let place = config.pointer_mut(path).with_context(|| format!("wrangler.toml has no {path}"))?;
            let text = place.as_str().with_context(|| format!("wrangler.toml: {path} is not a text"))?;
            *place = json!(format!("{root}/{text}"));
        }
        for (path, value) in [
            ("/d1_databases/0/database_name", deployment.name.clone()),
            ("/d1_databases/0/database_id", database_id.to_owned()),
            ("/r2_buckets/0/bucket_name", deployment.bucket()),
        ] {
            *config.pointer_mut(path).with_context(|| format!("wrangler.toml has no {path}"))? = json!(value);
        }
        Ok(config)
    }

    /// Whether it is clear what becomes of this variable in a `farhand.toml`.
    #[cfg(test)]
    pub(super) fn has_place_for(&self, name: &str) -> bool {
        refuse_var(name, self).is_none() || REFUSED_VARS.iter().any(|(refused, _)| *refused == name)
    }

    /// A `farhand.toml` to fill in.
    pub(super) fn template(&self) -> String {
        let asked: BTreeSet<&str> = ["GITHUB_CLIENT_ID", "BRIDGE_URL", "OPERATORS"].into();
        let mut text = TEMPLATE.to_owned();
        for (name, value) in self.vars.iter().filter(|(name, _)| !asked.contains(name.as_str())) {
            text.push_str(&format!("# {name} = {}\n", toml::Value::from(value.as_str())));
        }
        text
    }
}

const TEMPLATE: &str = r#"# One deployment of Farhand. Secrets do not belong here: `cargo xtask deploy` asks for them.

# Name of the Worker, of its database, and what its bucket begins with.
name = "farhand"
# Where people reach it: https, a host of a zone of yours at Cloudflare, or farhand.YOURS.workers.dev.
public_url = ""
# Only with several accounts at Cloudflare.
# account_id = ""

[vars]
# The GitHub App that people sign in to: its client id.
GITHUB_CLIENT_ID = ""
# The https address of the sandbox bridge.
BRIDGE_URL = ""
# Logins at GitHub, separated by commas: who may sign in and run the deployment.
OPERATORS = ""

# All others, with what they are where the line stays a comment; the Configuration of ARCHITECTURE.md says what they mean.
"#;

#[cfg(test)]
mod tests {
    use super::*;

    const WRANGLER: &str = include_str!("../../../wrangler.toml");
    const GOOD: &str = r#"
        name = "agents"
        public_url = "https://agents.example.com"
        [vars]
        GITHUB_CLIENT_ID = "Iv1.0123"
        BRIDGE_URL = "https://bridge.example.com"
        OPERATORS = "ada"
    "#;

    fn base() -> Base {
        Base::read(WRANGLER).unwrap()
    }

    fn problems(text: &str) -> String {
        format!("{:#}", Deployment::read(text, &base()).unwrap_err())
    }

    #[test]
    fn a_deployment_changes_what_it_names_and_nothing_else() {
        let (base, deployment) = (base(), Deployment::read(GOOD, &base()).unwrap());
        let config = base.for_deployment(&deployment, "1234", "../..").unwrap();
        assert_eq!(config["name"], "agents");
        assert_eq!(config["main"], "../../workers/edge/entry.mjs");
        assert_eq!(config["assets"]["directory"], "../../workers/web/dist");
        assert_eq!(config["assets"]["run_worker_first"], json!(["/api/*"]));
        assert_eq!(config["d1_databases"][0]["database_id"], "1234");
        assert_eq!(config["d1_databases"][0]["migrations_dir"], "../../migrations/d1");
        assert_eq!(config["r2_buckets"][0]["bucket_name"], "agents-artifacts");
        assert_eq!(config["routes"], json!([{"pattern": "agents.example.com", "custom_domain": true}]));
        assert_eq!(config["vars"]["PUBLIC_URL"], "https://agents.example.com");
        assert_eq!(config["vars"]["OPERATORS"], "ada");
        assert_eq!(config["vars"]["BRANCH_PREFIX"], base.vars["BRANCH_PREFIX"]);
        assert_eq!(config.get("build"), None);
        let classes = base.config.get("migrations").unwrap();
        assert_eq!(&config["migrations"], classes);
    }

    #[test]
    fn an_address_of_cloudflare_needs_no_route() {
        let text = GOOD.replace("agents.example.com", "agents.ada.workers.dev");
        let deployment = Deployment::read(&text, &base()).unwrap();
        let config = base().for_deployment(&deployment, "1234", "../..").unwrap();
        assert_eq!((&config["workers_dev"], config.get("routes")), (&json!(true), None));
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let text = problems(
            "name = \"Agents!\"\npublic_url = \"http://agents.example.com/x\"\n[vars]\nBRANCH_PREFIXX = \"a\"\nTEST_ROUTES = \"1\"\n\
             BRIDGE_KEY = \"k\"\nSIGN_IN = \"local\"\nBRIDGE_URL = \"http://bridge\"\n",
        );
        for part in [
            "name: up to 50",
            "must begin with https://",
            "did you mean BRANCH_PREFIX?",
            "vars.TEST_ROUTES does not belong there",
            "vars.BRIDGE_KEY is a secret",
            "vars.SIGN_IN must be \"github\"",
            "vars.BRIDGE_URL must begin with https://",
            "vars.GITHUB_CLIENT_ID is not set",
            "vars.OPERATORS is not set",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(problems("public_urll = \"\"").contains("public_url"));
    }

    #[test]
    fn the_template_is_filled_in_and_read() {
        let text = base().template();
        assert!(problems(&text).contains("public_url"));
        let filled = text
            .replace("public_url = \"\"", "public_url = \"https://a.example\"")
            .replace("GITHUB_CLIENT_ID = \"\"", "GITHUB_CLIENT_ID = \"Iv1\"")
            .replace("BRIDGE_URL = \"\"", "BRIDGE_URL = \"https://b.example\"")
            .replace("OPERATORS = \"\"", "OPERATORS = \"ada\"");
        let deployment = Deployment::read(&filled, &base()).unwrap();
        assert_eq!(deployment.vars.len(), 3);
        // With all comments taken away it says the same as wrangler.toml.
        let lines = filled.lines().map(|line| {
            let is_var =
                line.strip_prefix("# ").filter(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()));
            match is_var {
                Some(rest) if rest.contains(" = ") => rest,
                Some(_) | None => line,
            }
        });
        let all = Deployment::read(&lines.collect::<Vec<_>>().join("\n"), &base()).unwrap();
        assert_eq!(all.vars.len(), base().vars.len());
    }
}
