//! The door that OpenCode's tools come to before they change anything: shut until the workspace is where the session begins.
//!
//! A plugin asks at it over loopback for each call of a tool that is not known to only read (`hold_edits.js`). OpenCode runs
//! hooks of plugins before every tool, also those of sub-agents; its permissions are not asked for every command. Without a plugin
//! that has said so the turn has to wait as a whole. Used by `opencode`.

use super::loopback;
use crate::environment::Environment;
use crate::gate::EditGate;
use serde_json::{Value, json};
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

const PLUGIN: &str = include_str!("hold_edits.js");
/// The package that OpenCode installs into each of its folders before it loads a plugin.
const PACKAGE: &str = "@opencode-ai/plugin";

#[derive(Clone, Debug)]
enum State {
    Shut,
    Open,
    Refused { reason: String },
}

#[derive(Clone)]
struct Shared {
    state: watch::Sender<State>,
    attended: watch::Sender<bool>,
}

/// The door, listening.
pub(super) struct Door {
    shared: Shared,
    /// What OpenCode's configuration says of the plugin.
    pub(super) plugin: Value,
    serving: AbortHandle,
}

impl Door {
    /// Listens, and writes what OpenCode needs to know of it.
    pub(super) async fn build(environment: &Environment) -> io::Result<Self> {
        let file = write_plugin(&environment.home)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://127.0.0.1:{}", listener.local_addr()?.port());
        let shared = Shared { state: watch::channel(State::Shut).0, attended: watch::channel(false).0 };
        let serving = tokio::spawn(serve(listener, shared.clone())).abort_handle();
        let file = reqwest_plain::Url::from_file_path(&file)
            .map_err(|()| io::Error::other(format!("{} is not absolute", file.display())))?;
        Ok(Self { shared, plugin: json!([file.as_str(), { "door": url }]), serving })
    }

    /// Another OpenCode is being started.
    pub(super) fn forget(&self) {
        self.shared.attended.send_replace(false);
    }

    /// Whether the running OpenCode asks here.
    pub(super) fn is_attended(&self) -> bool {
        *self.shared.attended.borrow()
    }

    /// For one turn: opens with `edits`. A turn that is stopped or over lets nothing through that still waits.
    pub(super) fn hold(&self, edits: EditGate, stop: CancellationToken) -> Holding {
        let state = self.shared.state.clone();
        state.send_replace(if edits.is_open() { State::Open } else { State::Shut });
        let following = tokio::spawn({
            let state = state.clone();
            async move {
                let settled = tokio::select! {
                    passed = edits.passed() => match passed {
                        Ok(_) => State::Open,
                        Err(reason) => State::Refused { reason },
                    },
                    () = stop.cancelled() => State::Refused { reason: "The turn was stopped.".to_owned() },
                };
                state.send_replace(settled);
            }
        });
        Holding { state, following: following.abort_handle() }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// One turn's use of the door.
pub(super) struct Holding {
    state: watch::Sender<State>,
    following: AbortHandle,
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.following.abort();
        self.state.send_if_modified(|state| match state {
            State::Shut => {
                *state = State::Refused { reason: "The turn is over.".to_owned() };
                true
            }
            State::Open | State::Refused { .. } => false,
        });
    }
}

async fn serve(listener: TcpListener, shared: Shared) {
    while let Ok((socket, _)) = listener.accept().await {
        let shared = shared.clone();
        // An OpenCode that goes away is none of our business.
        tokio::spawn(async move { drop(answer(socket, shared).await) });
    }
}

async fn answer(mut socket: TcpStream, shared: Shared) -> io::Result<()> {
    let request = loopback::read_request(&mut socket).await?;
    let (status, body) = if request.starts_with(b"GET /attended ") {
        shared.attended.send_replace(true);
        ("200 OK", String::new())
    } else if request.starts_with(b"GET /pass ") {
        let mut states = shared.state.subscribe();
        let settled = states.wait_for(|state| !matches!(state, State::Shut)).await;
        match settled.map(|state| state.clone()) {
            Ok(State::Open) => ("200 OK", String::new()),
            Ok(State::Refused { reason }) => {
                ("403 Forbidden", format!("Nothing can be changed here: {reason}"))
            }
            Ok(State::Shut) | Err(_) => ("503 Service Unavailable", "The runner is ending.".to_owned()),
        }
    } else {
        ("404 Not Found", "Only /attended and /pass are here.".to_owned())
    };
    loopback::answer(&mut socket, status, "text/plain; charset=utf-8", &body).await
}

/// Puts the plugin into the home, and answers where it is.
fn write_plugin(home: &Path) -> io::Result<PathBuf> {
    let mut folders = vec![
        std::env::var_os("XDG_CONFIG_HOME")
            .map_or_else(|| home.join(".config"), PathBuf::from)
            .join("opencode"),
    ];
    folders.extend(Some(home.join(".opencode")).filter(|folder| folder.is_dir()));
    for folder in folders {
        spare_installation(&folder)?;
    }
    let folder = std::path::absolute(home)?.join(".farhand");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("hold_edits.js");
    std::fs::write(&file, PLUGIN)?;
    Ok(file)
}

/// Makes a folder of OpenCode's look as after the installation of [`PACKAGE`], for which the first request of an OpenCode with
/// plugins would wait a minute where no registry is reached. Our plugin imports nothing. OpenCode 1.18 looks for `node_modules`
/// and for the package's name in the lock file.
fn spare_installation(folder: &Path) -> io::Result<()> {
    let lock = folder.join("package-lock.json");
    match std::fs::read(&lock) {
        Ok(text) => {
            let lock: Value = serde_json::from_slice(&text).unwrap_or_default();
            let dependencies = lock.pointer("/packages//dependencies");
            if dependencies.is_none_or(|dependencies| dependencies.get(PACKAGE).is_none()) {
                let message = format!("{} has packages of its own, without {PACKAGE}", folder.display());
                return Err(io::Error::other(message));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::create_dir_all(folder)?;
            let content =
                json!({ "lockfileVersion": 3, "packages": { "": { "dependencies": { PACKAGE: "*" } } } });
            std::fs::write(&lock, content.to_string())?;
        }
        Err(error) => return Err(error),
    }
    std::fs::create_dir_all(folder.join("node_modules"))
}

#[cfg(test)]
mod tests;
