//! What both services of the stand-in share: options, time, credentials, calls, and everything that has an id.

use super::ModalOptions;
use super::calls::{Calls, Ending};
use super::clock::Clock;
use super::process::{Order, Process, ProcessInput};
use super::state::State;
use super::token::Tokens;
use modal_api::{SecretSource, secret_source};
use prost::Message;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tonic::{Request, Status};

/// What both services share.
pub(super) struct Service {
    pub(super) options: ModalOptions,
    pub(super) folder: PathBuf,
    pub(super) clock: Clock,
    pub(super) calls: Calls,
    pub(super) tokens: Tokens,
    pub(super) state: Mutex<State>,
    pub(super) router_url: String,
}

impl Service {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a process, unless the stand-in has ended.
    pub(super) fn start_process(
        &self,
        order: &Order<'_>,
        kept_bytes: usize,
    ) -> std::io::Result<(Process, ProcessInput)> {
        let state = self.lock();
        if state.is_closed {
            return Err(std::io::Error::other("the stand-in has ended"));
        }
        Process::start(order, kept_bytes)
    }

    /// Records a call to the control plane, lets its fault happen and checks who calls.
    pub(super) async fn admit<M: Message>(
        &self,
        method: &'static str,
        request: Request<M>,
    ) -> Result<(M, Ending), Status> {
        let ending = self.calls.admit(method, &request).await?;
        self.tokens.check_account(request.metadata())?;
        if method.starts_with("Sandbox") {
            self.tokens.check_client(request.metadata(), &self.clock)?;
        }
        Ok((request.into_inner(), ending))
    }

    /// Now, and later than any answer before.
    pub(super) fn next_timestamp(&self) -> f64 {
        let mut state = self.lock();
        let now = self.clock.now().max(state.last_timestamp + Duration::from_micros(10));
        state.last_timestamp = now;
        now.as_secs_f64()
    }

    pub(super) fn secret(&self, secret_id: &str) -> Result<BTreeMap<String, String>, Status> {
        let state = self.lock();
        let secret = state.secrets.get(secret_id);
        secret
            .map(|secret| secret.values.clone())
            .ok_or_else(|| Status::not_found(format!("Secret {secret_id} not found")))
    }
}

/// Variables of a sandbox or a command; later ones win.
pub(super) fn variables(
    service: &Service,
    sources: &[SecretSource],
) -> Result<BTreeMap<String, String>, Status> {
    let mut variables = BTreeMap::new();
    for source in sources {
        match &source.source {
            Some(secret_source::Source::SecretId(id)) => variables.extend(service.secret(id)?),
            Some(secret_source::Source::Env(values)) => variables.extend(values.contents.clone()),
            None => {}
        }
    }
    Ok(variables)
}

/// A prefix and 22 hexadecimal digits.
pub(super) fn random_id(prefix: &str) -> String {
    format!("{prefix}{}", crate::token::random_hex(11))
}

pub(super) async fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    // `cp` keeps links, modes and times, and shares blocks where the file system can.
    let mut command = tokio::process::Command::new("cp");
    command.args(["-a", "--reflink=auto", "-T"]).arg(from).arg(to).stdin(std::process::Stdio::null());
    let output = command.kill_on_drop(true).output().await?;
    if output.status.success() {
        return Ok(());
    }
    // What disappears while a running sandbox is copied is no failure.
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let is_harmless = |line: &str| line.contains("No such file or directory") || line.contains("sockets");
    if to.exists() && said.lines().all(is_harmless) { Ok(()) } else { Err(std::io::Error::other(said)) }
}

pub(super) fn remove_folder(folder: &Path) {
    // What cannot be removed goes with the stand-in's own folder.
    let _ = std::fs::remove_dir_all(folder);
}
