//! What the bridge has done inside while it builds an image: `runner build clone` and `runner build tidy`; and `runner rest`, the
//! process beside which everything else of a build runs.
//!
//! The recipe's own commands are run by the bridge, one by one. Standard output is one line of JSON, what is for humans goes to the
//! error output. Called by `main`.

use crate::environment::Environment;
use crate::git::Workspace;
use crate::turn::with_causes;
use protocol::build::{BuildSources, LeftBehind};
use protocol::id::RepositoryId;
use protocol::limit::BUILD_SOURCE_BYTES_MAX;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Names of one folder that are looked at.
const ENTRIES_MAX: usize = 10_000;

/// `runner rest`: lives until it is told to end.
pub(crate) fn rest() -> ExitCode {
    run(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
        terminate.recv().await;
        Ok(())
    })
}

/// `runner build clone REPOSITORY DEFAULT_BRANCH COMMIT` and `runner build tidy REPOSITORY DEFAULT_BRANCH`.
pub(crate) fn main(arguments: &[String]) -> ExitCode {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["clone", repository, branch, commit] => run(clone(repository, branch, commit)),
        ["tidy", repository, branch] => run(tidy(repository, branch)),
        _ => {
            eprintln!(
                "usage: runner build clone REPOSITORY DEFAULT_BRANCH COMMIT | runner build tidy REPOSITORY DEFAULT_BRANCH"
            );
            ExitCode::from(2)
        }
    }
}

fn run(work: impl Future<Output = Result<(), String>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.map_err(|error| error.to_string()).and_then(|runtime| runtime.block_on(work));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

async fn clone(repository: &str, branch: &str, commit: &str) -> Result<(), String> {
    let (environment, workspace) = open(repository, branch)?;
    workspace.clone_for_build(commit).await.map_err(|error| with_causes(&error))?;
    print(&read_sources(&environment.workspace).map_err(|error| error.to_string())?)
}

async fn tidy(repository: &str, branch: &str) -> Result<(), String> {
    let (_, workspace) = open(repository, branch)?;
    let files = workspace.tidy().await.map_err(|error| with_causes(&error))?;
    print(&LeftBehind { files })
}

fn open(repository: &str, branch: &str) -> Result<(Environment, Workspace), String> {
    let environment = Environment::read().map_err(|error| error.to_string())?;
    let repository = RepositoryId::parse(repository).map_err(|error| error.to_string())?;
    let workspace = Workspace::unclaimed(&environment, &repository, branch);
    Ok((environment, workspace))
}

fn print(answer: &impl Serialize) -> Result<(), String> {
    println!("{}", serde_json::to_string(answer).map_err(|error| error.to_string())?);
    Ok(())
}

/// What the recipe is found out from.
fn read_sources(workspace: &Path) -> std::io::Result<BuildSources> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(workspace)?.take(ENTRIES_MAX) {
        entries.push(entry?.file_name().to_string_lossy().into_owned());
    }
    entries.sort();
    let mut files = BTreeMap::new();
    for name in BuildSources::READ {
        // A link may lead anywhere.
        let path = workspace.join(name);
        if !std::fs::symlink_metadata(&path).is_ok_and(|data| data.is_file()) {
            continue;
        }
        let mut text = Vec::new();
        std::fs::File::open(&path)?.take(BUILD_SOURCE_BYTES_MAX as u64 + 1).read_to_end(&mut text)?;
        if text.len() > BUILD_SOURCE_BYTES_MAX {
            let message =
                format!("{name} is longer than the {BUILD_SOURCE_BYTES_MAX} bytes that are read of it");
            return Err(std::io::Error::other(message));
        }
        files.insert((*name).to_owned(), String::from_utf8_lossy(&text).into_owned());
    }
    Ok(BuildSources { entries, files })
}
