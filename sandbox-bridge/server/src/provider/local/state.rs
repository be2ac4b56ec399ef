//! What the bridge writes down about each sandbox, so that the next bridge can adopt it or clean up behind it.

use super::layout::Layout;
use super::meta::SnapshotDriver;
use crate::launcher::{ExitRecord, ProcessIdentity};
use crate::provider::SandboxRecord;
use protocol::bridge::CreateSandboxRequest;
use protocol::id::SandboxId;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// `state.json`: written before the sandbox starts, never changed. Holds no secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SandboxState {
    pub(crate) sandbox_id: SandboxId,
    pub(crate) request: CreateSandboxRequest,
    /// Names of the layers it stands on, the newest first.
    pub(crate) lowers: Vec<String>,
    pub(crate) created_at: u64,
    /// Loopback port that is the bridge for a sandbox without a network of its own.
    #[serde(default)]
    pub(crate) weak_port: Option<u16>,
    /// With copies, its upper directory holds everything, also what came from layers below.
    #[serde(default)]
    pub(crate) driver: SnapshotDriver,
}

impl SandboxState {
    pub(crate) fn record(&self) -> SandboxRecord {
        SandboxRecord {
            sandbox_id: self.sandbox_id.clone(),
            session_id: self.request.session_id.clone(),
            generation: self.request.generation,
            request: self.request.clone(),
        }
    }
}

pub(crate) fn write(directory: &Path, state: &SandboxState) -> io::Result<()> {
    let temporary = directory.join("state.json.tmp");
    fs::write(&temporary, serde_json::to_vec(state)?)?;
    fs::rename(temporary, directory.join("state.json"))
}

/// Every sandbox that has a readable state, running or not.
pub(crate) fn read_all(layout: &Layout) -> Vec<SandboxState> {
    let Ok(entries) = fs::read_dir(layout.sandboxes()) else { return Vec::new() };
    entries.flatten().filter_map(|entry| read_json(&entry.path().join("state.json")).ok()).collect()
}

/// The witness's word on who PID 1 is.
pub(crate) fn read_process(directory: &Path) -> io::Result<ProcessIdentity> {
    read_json(&directory.join("witness/process.json"))
}

/// The witness's word on how PID 1 ended.
pub(crate) fn read_exit(directory: &Path) -> io::Result<ExitRecord> {
    read_json(&directory.join("witness/exit.json"))
}

pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<T> {
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;
    const BYTES_MAX: u64 = 1024 * 1024;
    let file =
        fs::OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    let mut text = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
