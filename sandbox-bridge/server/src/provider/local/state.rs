//! What the bridge writes down about each sandbox, so that the next bridge can adopt it or clean up behind it.

use super::layout::Layout;
use super::meta::SnapshotDriver;
use crate::launcher::{ExitRecord, ProcessIdentity};
use crate::provider::{SandboxOrder, SandboxRecord, SessionOwner};
use protocol::id::SandboxId;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Beside `state.json`: the session that a warm sandbox was given to.
const GIVEN: &str = "given.json";

/// `state.json`: written before the sandbox starts, never changed. Holds no secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SandboxState {
    pub(crate) sandbox_id: SandboxId,
    pub(crate) order: SandboxOrder,
    /// Names of the layers it stands on, the newest first.
    pub(crate) lowers: Vec<String>,
    pub(crate) created_at: u64,
    /// Loopback port that is the bridge for a sandbox without a network of its own.
    #[serde(default)]
    pub(crate) weak_port: Option<u16>,
    /// With copies, its upper directory holds everything, also what came from layers below.
    #[serde(default)]
    pub(crate) driver: SnapshotDriver,
    /// Tools by name: those that were ordered, and those of what it stands on.
    #[serde(default)]
    pub(crate) tools: Vec<String>,
}

impl SandboxState {
    pub(crate) fn record(&self, given: Option<SessionOwner>) -> SandboxRecord {
        SandboxRecord { sandbox_id: self.sandbox_id.clone(), order: self.order.clone(), given }
    }
}

pub(crate) fn write(directory: &Path, state: &SandboxState) -> io::Result<()> {
    let temporary = directory.join("state.json.tmp");
    fs::write(&temporary, serde_json::to_vec(state)?)?;
    fs::rename(temporary, directory.join("state.json"))
}

/// Writes down for ever whom a warm sandbox was given to: when this returns, a crash of the machine does not undo it.
pub(crate) fn write_given(directory: &Path, session: &SessionOwner) -> io::Result<()> {
    let temporary = directory.join("given.json.tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec(session)?)?;
    file.sync_all()?;
    fs::rename(temporary, directory.join(GIVEN))?;
    File::open(directory)?.sync_all()
}

/// Whom it was given to. A file that cannot be read is an error: nobody else may have the sandbox then either.
pub(crate) fn read_given(directory: &Path) -> io::Result<Option<SessionOwner>> {
    match read_json(&directory.join(GIVEN)) {
        Ok(session) => Ok(Some(session)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
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
