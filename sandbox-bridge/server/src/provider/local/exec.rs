//! The bridge's end of a sandbox's control socket: connecting to it, and holding the sandbox still while a snapshot is taken.
//!
//! The socket lies in a directory that only the bridge may enter; inside, PID 1 has it as an open file.

use super::layout::CONTROL_DIRECTORY;
use crate::launcher::GOES_ON;
use protocol::supervisor::{
    FRAME_BYTES_MAX, FRAME_HEADER_BYTES, FrameKind, SupervisorAnswer, SupervisorOrder, frame,
    parse_frame_header,
};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixStream;

/// The socket's name in its directory.
pub(crate) const CONTROL_NAME: &str = "control.sock";
/// The witness's socket beside it.
pub(crate) const GUARD_NAME: &str = "witness.sock";
/// The supervisor itself gives up earlier.
const FREEZE_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects to the supervisor of the sandbox in this directory.
pub(crate) async fn connect(sandbox: &Path) -> io::Result<UnixStream> {
    let (_open, address) = address(sandbox, CONTROL_NAME)?;
    UnixStream::connect(address).await
}

/// Addresses of sockets are short; the way over the open directory always fits.
fn address(sandbox: &Path, name: &str) -> io::Result<(File, String)> {
    let directory = File::open(sandbox.join(CONTROL_DIRECTORY))?;
    let address = format!("/proc/self/fd/{}/{name}", directory.as_raw_fd());
    Ok((directory, address))
}

/// While this lives, the sandbox's witness lets everything go on should this bridge die.
pub(crate) struct Guard(StdStream);

/// Before anything is made to stand still.
pub(crate) fn guard(sandbox: &Path) -> io::Result<Guard> {
    let (_open, address) = address(sandbox, GUARD_NAME)?;
    StdStream::connect(address).map(Guard)
}

impl Guard {
    /// Everything goes on.
    pub(crate) fn dismiss(mut self) {
        // A witness that is gone has taken its sandbox along.
        let _ = self.0.write_all(&[GOES_ON]);
    }
}

/// While this lives, no process of the sandbox but its supervisor runs, unless the supervisor has died.
pub(crate) struct Frozen {
    _connection: StdStream,
}

/// Has the supervisor stop everything. Blocks.
pub(crate) fn freeze(sandbox: &Path) -> io::Result<Frozen> {
    let (_open, address) = address(sandbox, CONTROL_NAME)?;
    let mut connection = StdStream::connect(address)?;
    connection.set_read_timeout(Some(FREEZE_TIMEOUT))?;
    connection.set_write_timeout(Some(FREEZE_TIMEOUT))?;
    let order = serde_json::to_vec(&SupervisorOrder::Freeze)?;
    connection.write_all(&frame(FrameKind::Head, &order))?;
    let mut header = [0; FRAME_HEADER_BYTES];
    connection.read_exact(&mut header)?;
    let (_, length) = parse_frame_header(header).map_err(io::Error::other)?;
    let mut text = vec![0; length.min(FRAME_BYTES_MAX)];
    connection.read_exact(&mut text)?;
    match serde_json::from_slice(&text)? {
        SupervisorAnswer::Frozen { .. } => Ok(Frozen { _connection: connection }),
        SupervisorAnswer::Refused { message, .. } => Err(io::Error::other(message)),
        other @ (SupervisorAnswer::Started { .. }
        | SupervisorAnswer::Connected
        | SupervisorAnswer::Stats { .. }
        | SupervisorAnswer::Unknown) => Err(io::Error::other(format!("the supervisor answered {other:?}"))),
    }
}
