//! wrangler, Cloudflare's own tool, for one configuration. Only what it prints as JSON is read, apart from two of its errors.

use crate::shell;
use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Output, Stdio};

/// What wrangler says of a Worker that was never deployed (code of Cloudflare's API: workers.api.error.script_not_found).
const NO_WORKER: &str = "10007";
/// What it says of a bucket that does not exist (R2's `NoSuchBucket`).
const NO_BUCKET: &str = "10006";

#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(default)]
    uuid: String,
}

/// Runs wrangler with this configuration.
pub(super) struct Wrangler {
    config: PathBuf,
}

impl Wrangler {
    pub(super) fn new(config: PathBuf) -> Self {
        Self { config }
    }

    /// Somebody must have signed in, or set a token.
    pub(super) fn check_signed_in(&self) -> anyhow::Result<()> {
        let output = self.run(&["whoami", "--json"])?;
        ensure!(
            output.status.success(),
            "wrangler knows no account: run `npx wrangler login`, or set CLOUDFLARE_API_TOKEN"
        );
        Ok(())
    }

    /// The id of the database of this name, which is made where there is none.
    pub(super) fn database(&self, name: &str) -> anyhow::Result<String> {
        if let Some(id) = self.find_database(name)? {
            return Ok(id);
        }
        self.must(&["d1", "create", name])?;
        self.find_database(name)?.with_context(|| format!("the database {name} was made, but is not listed"))
    }

    fn find_database(&self, name: &str) -> anyhow::Result<Option<String>> {
        let text = self.must(&["d1", "list", "--json"])?;
        let all: Vec<Named> = serde_json::from_str(json_in(&text)?).context("wrangler d1 list")?;
        Ok(all.into_iter().find(|database| database.name == name).map(|database| database.uuid))
    }

    /// The bucket of this name is there afterwards.
    pub(super) fn bucket(&self, name: &str) -> anyhow::Result<()> {
        let output = self.run(&["r2", "bucket", "info", name, "--json"])?;
        if output.status.success() {
            return Ok(());
        }
        if !said(&output).contains(NO_BUCKET) {
            bail!("wrangler r2 bucket info {name}: {}", said(&output));
        }
        self.must(&["r2", "bucket", "create", name])?;
        Ok(())
    }

    /// Names of the secrets that are set; none where the Worker does not exist yet.
    pub(super) fn secrets(&self) -> anyhow::Result<BTreeSet<String>> {
        let output = self.run(&["secret", "list", "--format", "json"])?;
        if !output.status.success() {
            ensure!(said(&output).contains(NO_WORKER), "wrangler secret list: {}", said(&output));
            return Ok(BTreeSet::new());
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let all: Vec<Named> = serde_json::from_str(json_in(&text)?).context("wrangler secret list")?;
        Ok(all.into_iter().map(|secret| secret.name).collect())
    }

    /// Applies what is missing of `migrations/d1`.
    pub(super) fn migrate(&self, database: &str) -> anyhow::Result<()> {
        println!("{}", self.must(&["d1", "migrations", "apply", database, "--remote"])?);
        Ok(())
    }

    /// Packs and, unless it is dry, sends the Worker with the secrets; those of earlier deployments stay. What wrangler printed.
    pub(super) fn deploy(
        &self,
        secrets: Option<&BTreeMap<&str, String>>,
        is_dry: bool,
    ) -> anyhow::Result<String> {
        let mut arguments = vec!["deploy".to_owned()];
        if is_dry {
            let out = self.config.with_file_name("packed");
            arguments.extend(["--dry-run".to_owned(), "--outdir".to_owned(), out.display().to_string()]);
        }
        // A file of this user that has no name left once wrangler has ended.
        let mut file = tempfile::Builder::new().prefix("farhand-").suffix(".json").tempfile()?;
        if let Some(secrets) = secrets.filter(|secrets| !secrets.is_empty()) {
            file.write_all(&serde_json::to_vec(secrets)?)?;
            arguments.extend(["--secrets-file".to_owned(), file.path().display().to_string()]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.must(&arguments)
    }

    /// Standard output of a command that works.
    fn must(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.run(arguments)?;
        if !output.status.success() {
            let shown: Vec<&str> = arguments.iter().take(3).copied().collect();
            bail!("wrangler {} failed:\n{}", shown.join(" "), said(&output));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn run(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        // Where nobody watches it asks nothing, and takes the answers of scripts.
        shell::node_command("wrangler", arguments)
            .arg("--config")
            .arg(&self.config)
            .env("WRANGLER_SEND_METRICS", "false")
            .stdin(Stdio::null())
            .output()
            .context("cannot run wrangler")
    }
}

fn said(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).trim().to_owned());
    both.join("\n")
}

/// Notices may stand around what was asked for.
fn json_in(text: &str) -> anyhow::Result<&str> {
    let (start, end) = (text.find('['), text.rfind(']'));
    start
        .zip(end)
        .and_then(|(start, end)| text.get(start..=end))
        .with_context(|| format!("wrangler printed no list: {text:.200}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_found_among_notices() {
        let text = "\n update available\n[{\"name\": \"farhand\", \"uuid\": \"1\"}]\n";
        let all: Vec<Named> = serde_json::from_str(json_in(text).unwrap()).unwrap();
        assert_eq!((all[0].name.as_str(), all[0].uuid.as_str()), ("farhand", "1"));
        assert!(json_in("nothing").is_err());
    }
}
