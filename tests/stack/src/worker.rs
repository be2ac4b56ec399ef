//! Runs the Worker: workerd through `wrangler dev`, configured from `wrangler.toml` and nothing else.
//!
//! The run's own configuration is derived from that file: without the build step, with absolute paths and this run's variables.
//! Secrets are in a file beside it that only this user can read.

use crate::identity::{Secrets, write_private};
use crate::options::{Model, Options};
use crate::process::{End, Process, tail};
use crate::{StackError, revive, root};
use fakes::github::Github;
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use toml::{Table, Value};

const READY_TIMEOUT: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(20);

/// What changes from run to run.
pub(crate) struct Variables<'a> {
    pub(crate) bridge_url: &'a str,
    pub(crate) github_api_url: &'a str,
    pub(crate) github: &'a Github,
    pub(crate) slack_api_url: &'a str,
    pub(crate) slack_files_url: &'a str,
}

/// Writes the run's configuration; answers its path.
pub(crate) fn configure(
    options: &Options,
    secrets: &Secrets,
    variables: &Variables<'_>,
) -> Result<PathBuf, StackError> {
    let source = root().join("wrangler.toml");
    let text = std::fs::read_to_string(&source).map_err(StackError::file(&source))?;
    let mut table: Table = text.parse().map_err(|error| StackError::Configuration(format!("{error}")))?;
    let models = match &options.model {
        Model::Demo => vec![format!("demo/{}", fakes::model::MODEL)],
        Model::Real { models, .. } => models.clone(),
    };
    let models = serde_json::to_string(&models).unwrap_or_default();
    let mut all = vec![
        ("SIGN_IN", "local"),
        ("BRIDGE_URL", variables.bridge_url),
        ("GITHUB_API_URL", variables.github_api_url),
        ("SLACK_API_URL", variables.slack_api_url),
        ("SLACK_FILES_URL", variables.slack_files_url),
        ("SLACK_TEAM_ID", fakes::slack::TEAM),
        ("MODELS", &models),
        ("AGENT", options.agent.name()),
        ("IMAGES", if options.images { "on" } else { "off" }),
    ];
    let logins = crate::identity::PEOPLE.iter().map(|person| person.login).collect::<Vec<_>>().join(",");
    if options.github_sign_in {
        all.retain(|(name, _)| *name != "SIGN_IN");
        all.extend([
            ("SIGN_IN", "github"),
            ("GITHUB_URL", variables.github.url()),
            ("ALLOWED_LOGINS", &logins),
        ]);
    }
    all.extend(options.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let built = if options.copies_worker { copy_built(options)? } else { root() };
    derive(&mut table, &root(), &built, &all);
    // Miniflare leaves files where temporary ones go; in here they end with the run.
    let temporary = options.directory.join("tmp");
    std::fs::create_dir_all(&temporary).map_err(StackError::file(&temporary))?;
    let file = options.directory.join("wrangler.toml");
    std::fs::write(&file, table.to_string()).map_err(StackError::file(&file))?;
    let mut lines =
        vec![("SESSION_KEY", secrets.session_key.clone()), ("BRIDGE_KEY", secrets.bridge_key.clone())];
    match &secrets.app {
        Some(app) => lines.extend(app.lines(variables.github)),
        None => lines.push(("LOCAL_USERS", secrets.local_users())),
    }
    lines.push(("SLACK_SIGNING_SECRET", secrets.slack_signing_secret.clone()));
    lines.push(("SLACK_BOT_TOKEN", secrets.slack_token.clone()));
    let content: String = lines.iter().map(|(name, value)| format!("{name}='{value}'\n")).collect();
    write_private(&options.directory.join(".dev.vars"), content.as_bytes())?;
    Ok(file)
}

/// What wrangler serves and watches, in the run's own folder.
fn copy_built(options: &Options) -> Result<PathBuf, StackError> {
    let (from, to) = (root(), options.directory.join("worker"));
    if to.exists() {
        return Ok(to);
    }
    for folder in ["build", "workers/web/dist"] {
        copy(&from.join(folder), &to.join(folder))?;
    }
    let entry = Path::new("workers/edge/entry.mjs");
    let target = to.join(entry);
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent).map_err(StackError::file(parent))?;
    }
    std::fs::copy(from.join(entry), &target).map_err(StackError::file(&target))?;
    Ok(to)
}

/// Takes the build step out, makes paths absolute, sets variables. What is built is below `built`.
fn derive(table: &mut Table, root: &Path, built: &Path, variables: &[(&str, &str)]) {
    table.remove("build");
    let absolute = |root: &Path, value: &mut Value| {
        if let Some(path) = value.as_str() {
            *value = Value::String(root.join(path).to_string_lossy().into_owned());
        }
    };
    if let Some(main) = table.get_mut("main") {
        absolute(built, main);
    }
    if let Some(directory) = table.get_mut("assets").and_then(|assets| assets.get_mut("directory")) {
        absolute(built, directory);
    }
    for database in table.get_mut("d1_databases").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(migrations) = database.get_mut("migrations_dir") {
            absolute(root, migrations);
        }
    }
    let vars = table.entry("vars").or_insert_with(|| Value::Table(Table::new()));
    if let Some(vars) = vars.as_table_mut() {
        for (name, value) in variables {
            vars.insert((*name).to_owned(), Value::String((*value).to_owned()));
        }
    }
}

fn wrangler(options: &Options, configuration: &Path) -> Command {
    let mut command = Command::new(&options.binaries.node);
    let home = options.directory.join("wrangler-home");
    command.arg("--no-warnings").arg(&options.binaries.wrangler);
    command
        .current_dir(root())
        .env("CLOUDFLARE_CF_FETCH_ENABLED", "false")
        .env("WRANGLER_SEND_METRICS", "false")
        .env("WRANGLER_SEND_ERROR_REPORTS", "false")
        .env("WRANGLER_HIDE_BANNER", "true")
        .env("WRANGLER_NO_SKILLS_UPDATE_PROMPTS", "true")
        // What wrangler keeps of every call for pages that nobody opens here: 20 MB a minute, in a database and in memory.
        .env("X_LOCAL_OBSERVABILITY", "false")
        .env("X_LOCAL_EXPLORER", "false")
        .env("WRANGLER_LOG_PATH", home.join("logs"))
        .env("WRANGLER_REGISTRY_PATH", home.join("registry"))
        .env("CLOUDFLARE_DEV_REGISTRY_PATH", home.join("registry"))
        .env("XDG_CONFIG_HOME", &home)
        .env("TMPDIR", options.directory.join("tmp"))
        .env("CI", "1")
        .env("NO_COLOR", "1")
        .env("FARHAND_EDGE_PREBUILT", "1")
        .stdin(Stdio::null());
    for name in ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "NODE_OPTIONS"] {
        command.env_remove(name);
    }
    command.arg("--config").arg(configuration);
    command
}

/// Where workerd keeps SQLite files in the run's folder.
fn state(options: &Options) -> PathBuf {
    options.directory.join("workerd")
}

/// Brings the index's tables up to date: by copying a prepared database, or by wrangler where the run has one already.
pub(crate) fn migrate(options: &Options, configuration: &Path) -> Result<(), StackError> {
    let hash = migrations_hash()?;
    let state = state(options);
    let stamp = options.directory.join("migrations.sha256");
    if std::fs::read_to_string(&stamp).is_ok_and(|known| known == hash) {
        return Ok(());
    }
    if state.exists() {
        apply(options, configuration, &state)?;
    } else {
        let template = root().join("target/stack").join(format!("d1-{hash:.16}"));
        if !template.exists() {
            let unfinished = options.directory.join("d1-template");
            apply(options, configuration, &unfinished)?;
            let parent = template.parent().unwrap_or(&template);
            std::fs::create_dir_all(parent).map_err(StackError::file(parent))?;
            // Another run may have been quicker; its template is as good.
            if std::fs::rename(&unfinished, &template).is_err() {
                std::fs::remove_dir_all(&unfinished).map_err(StackError::file(&unfinished))?;
            }
        }
        copy(&template, &state)?;
    }
    std::fs::write(&stamp, hash).map_err(StackError::file(&stamp))
}

fn apply(options: &Options, configuration: &Path, state: &Path) -> Result<(), StackError> {
    let output = wrangler(options, configuration)
        .args(["d1", "migrations", "apply", "DB", "--local", "--persist-to"])
        .arg(state)
        .output()
        .map_err(StackError::file(&options.binaries.node))?;
    if output.status.success() {
        return Ok(());
    }
    let log = options.directory.join("logs/migrations.log");
    let text = [output.stdout, output.stderr].concat();
    if let Some(parent) = log.parent() {
        std::fs::create_dir_all(parent).map_err(StackError::file(parent))?;
    }
    std::fs::write(&log, &text).map_err(StackError::file(&log))?;
    let tail = tail(&log);
    Err(StackError::Part {
        part: "wrangler",
        happened: "could not apply the migrations of D1".to_owned(),
        log,
        tail,
    })
}

fn migrations_hash() -> Result<String, StackError> {
    let folder = root().join("migrations/d1");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .map_err(StackError::file(&folder))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .collect();
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file.file_name().unwrap_or_default().as_encoded_bytes());
        hash.update(std::fs::read(&file).map_err(StackError::file(&file))?);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn copy(from: &Path, to: &Path) -> Result<(), StackError> {
    std::fs::create_dir_all(to).map_err(StackError::file(to))?;
    for entry in std::fs::read_dir(from).map_err(StackError::file(from))? {
        let entry = entry.map_err(StackError::file(from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &target)?;
        } else {
            std::fs::copy(&source, &target).map_err(StackError::file(&target))?;
        }
    }
    Ok(())
}

/// Starts workerd; ready when [`ready`] says so.
pub(crate) fn start(options: &Options, configuration: &Path, port: u16) -> Result<Process, StackError> {
    let mut command = wrangler(options, configuration);
    command
        .args(["dev", "--ip", "127.0.0.1", "--inspector-port", "0", "--show-interactive-dev-session=false"])
        .arg(format!("--port={port}"))
        .arg("--persist-to")
        .arg(state(options));
    if options.revives_workerd {
        revive::prepare(options, &mut command)?;
    }
    if options.collects_all_garbage {
        command.env("MINIFLARE_WORKERD_V8_FLAGS", "--gc-global");
    }
    let log = options.directory.join("logs/worker.log");
    Process::spawn("the Worker", &mut command, &log, End::AtOnce)
}

/// Waits until the Worker answers.
pub(crate) async fn ready(process: &mut Process, url: &str) -> Result<(), StackError> {
    let client = reqwest::Client::new();
    let deadline = Instant::now() + READY_TIMEOUT;
    let mut last = "gave no answer".to_owned();
    while Instant::now() < deadline {
        let request = client.get(format!("{url}/api/health")).timeout(Duration::from_secs(10));
        match request.send().await {
            Ok(response) if response.status().is_success() => return Ok(()),
            Ok(response) => {
                let status = response.status();
                last = format!("answers {status}: {:.300}", response.text().await.unwrap_or_default());
            }
            Err(_) => {}
        }
        if !process.is_running() {
            return Err(process.failed("ended at its start"));
        }
        tokio::time::sleep(POLL).await;
    }
    Err(process.failed(&format!("is not ready after {} s and {last}", READY_TIMEOUT.as_secs())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_derived_configuration_keeps_bindings_and_loses_the_build() {
        let text = std::fs::read_to_string(root().join("wrangler.toml")).unwrap();
        let mut table: Table = text.parse().unwrap();
        let before = table.clone();
        derive(&mut table, Path::new("/checkout"), Path::new("/copy"), &[("SIGN_IN", "local")]);
        assert_eq!(table.get("build"), None);
        assert_eq!(table["main"].as_str(), Some("/copy/workers/edge/entry.mjs"));
        assert_eq!(table["d1_databases"][0]["migrations_dir"].as_str(), Some("/checkout/migrations/d1"));
        assert_eq!(table["assets"]["directory"].as_str(), Some("/copy/workers/web/dist"));
        assert_eq!(table["durable_objects"], before["durable_objects"]);
        assert_eq!(table["vars"]["SIGN_IN"].as_str(), Some("local"));
        assert_eq!(table["vars"]["BRANCH_PREFIX"], before["vars"]["BRANCH_PREFIX"]);
    }
}
