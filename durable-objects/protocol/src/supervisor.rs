//! Bridge ⇄ supervisor, which is PID 1 of a sandbox: commands, ports and stillness over a stream that only the bridge can open.
//!
//! Each connection has one purpose. It begins with a [`SupervisorOrder`] and its [`SupervisorAnswer`], each in a frame of kind
//! [`FrameKind::Head`]. Then:
//!
//! | order | what follows the answer | what the bridge's hanging up means |
//! |---|---|---|
//! | `exec` | frames both ways, the last of them [`FrameKind::Exit`] | every process of the command's group is killed |
//! | `dial` | bytes both ways, without frames | the connection inside is closed |
//! | `freeze` | nothing | everything goes on |
//! | `stats` | nothing | nothing |
//!
//! Output is paced by the stream itself: a supervisor that cannot write reads nothing, and the command waits. Input is paced by
//! [`FrameKind::Taken`], so that signals and the end of input pass a command that does not read. A bridge believes nothing of
//! what a supervisor says, because an agent may have got hold of it.

use crate::objects;
use crate::tagged;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

tagged!("type": SupervisorOrder, ExecControl, SupervisorAnswer);
objects!(ExecCommand, TerminalSize, SupervisorStats, ExecExit);

/// A frame's kind and, in network order, its length.
pub const FRAME_HEADER_BYTES: usize = 5;
/// An order or its answer.
pub const HEAD_BYTES_MAX: usize = 256 * 1024;
/// Any other frame.
pub const FRAME_BYTES_MAX: usize = 32 * 1024;
/// Input that may be under way: sent and not yet reported as taken.
pub const INPUT_WINDOW_BYTES: usize = 64 * 1024;
/// Connections that a supervisor serves at a time; more are refused.
pub const CONNECTIONS_MAX: usize = 64;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// JSON: [`SupervisorOrder`] or [`SupervisorAnswer`].
    Head = 0,
    /// Bytes for the command; an empty one ends its input.
    Input = 1,
    /// JSON: [`ExecControl`].
    Control = 2,
    /// Bytes that the command wrote to its output, or to its terminal.
    Output = 3,
    /// Bytes that the command wrote to its error output.
    ErrorOutput = 4,
    /// Four bytes, network order: so much more input has left the window.
    Taken = 5,
    /// JSON: [`ExecExit`]. Nothing follows.
    Exit = 6,
}

impl FrameKind {
    /// Longest frame of this kind.
    #[must_use]
    pub fn bytes_max(self) -> usize {
        match self {
            Self::Head => HEAD_BYTES_MAX,
            Self::Input | Self::Control | Self::Output | Self::ErrorOutput | Self::Taken | Self::Exit => {
                FRAME_BYTES_MAX
            }
        }
    }
}

/// What stands where a frame should begin is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// A kind that is not defined.
    Kind(u8),
    /// Longer than frames of its kind may be.
    TooLong(u32),
}

impl std::fmt::Display for FrameError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kind(kind) => write!(formatter, "{kind} is no kind of frame"),
            Self::TooLong(bytes) => write!(formatter, "a frame of {bytes} bytes is too long"),
        }
    }
}

impl std::error::Error for FrameError {}

/// What stands before a frame's content.
#[must_use]
pub fn frame_header(kind: FrameKind, content: &[u8]) -> [u8; FRAME_HEADER_BYTES] {
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    let [a, b, c, d] = length.to_be_bytes();
    [kind as u8, a, b, c, d]
}

/// A whole frame.
#[must_use]
pub fn frame(kind: FrameKind, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FRAME_HEADER_BYTES + content.len());
    bytes.extend_from_slice(&frame_header(kind, content));
    bytes.extend_from_slice(content);
    bytes
}

/// Reads what stands before a frame's content: its kind and how many bytes follow.
pub fn parse_frame_header(header: [u8; FRAME_HEADER_BYTES]) -> Result<(FrameKind, usize), FrameError> {
    let [kind, a, b, c, d] = header;
    let kind = match kind {
        0 => FrameKind::Head,
        1 => FrameKind::Input,
        2 => FrameKind::Control,
        3 => FrameKind::Output,
        4 => FrameKind::ErrorOutput,
        5 => FrameKind::Taken,
        6 => FrameKind::Exit,
        other => return Err(FrameError::Kind(other)),
    };
    let length = u32::from_be_bytes([a, b, c, d]);
    match usize::try_from(length) {
        Ok(bytes) if bytes <= kind.bytes_max() => Ok((kind, bytes)),
        Ok(_) | Err(_) => Err(FrameError::TooLong(length)),
    }
}

/// What a connection is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum SupervisorOrder {
    /// Run a command.
    Exec {
        /// Which and how.
        command: ExecCommand,
    },
    /// Connect to a port that something inside listens on.
    Dial {
        /// At the sandbox's loopback address.
        port: u16,
    },
    /// Stop every process but the supervisor for as long as this connection lasts.
    Freeze,
    /// Say what is running.
    Stats,
    /// Something of a newer bridge; refused.
    #[serde(other)]
    Unknown,
}

/// A command inside a sandbox. It has the runner's account, limits and environment, without the variables that are the runner's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct ExecCommand {
    /// The program, looked for in `PATH`, and its arguments.
    pub arguments: Vec<String>,
    /// Where it begins; the workspace where absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub folder: Option<String>,
    /// Variables beside the sandbox's own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub variables: BTreeMap<String, String>,
    /// With a terminal of this size, which then has output and error output in one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub terminal: Option<TerminalSize>,
    /// Whether input will come; otherwise its input is at its end from the beginning.
    #[serde(skip_serializing_if = "crate::is_default", default)]
    pub input: bool,
}

/// A terminal's size in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters of a line.
    pub columns: u16,
}

/// What can be done to a running command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum ExecControl {
    /// Send a signal to its process group.
    Signal {
        /// Which.
        signal: ExecSignal,
    },
    /// Its terminal has another size.
    Resize {
        /// From now on.
        terminal: TerminalSize,
    },
    /// Something of a newer bridge; ignored.
    #[serde(other)]
    Unknown,
}

/// Signals that people send to commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecSignal {
    /// `SIGHUP`: the terminal is gone.
    Hangup,
    /// `SIGINT`: as by Ctrl-C.
    Interrupt,
    /// `SIGQUIT`: as by Ctrl-\.
    Quit,
    /// `SIGKILL`: end now.
    Kill,
    /// `SIGUSR1`.
    User1,
    /// `SIGUSR2`.
    User2,
    /// `SIGTERM`: end in order.
    Terminate,
    /// `SIGCONT`: go on.
    Continue,
    /// `SIGSTOP`: stop until told to go on.
    Stop,
}

/// The first frame of a supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum SupervisorAnswer {
    /// The command runs.
    Started {
        /// Its number inside the sandbox, which is also that of its process group.
        process_id: i32,
    },
    /// Connected: every further byte is that of the connection.
    Connected,
    /// No process of the sandbox but the supervisor runs.
    Frozen {
        /// How many there are.
        processes: u32,
    },
    /// What is running.
    Stats {
        /// It.
        stats: SupervisorStats,
    },
    /// Nothing was done.
    Refused {
        /// Whose move is next.
        reason: RefusalReason,
        /// For humans.
        message: String,
    },
    /// Something of a newer supervisor.
    #[serde(other)]
    Unknown,
}

/// Why a supervisor did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// The order makes no sense, or the command cannot be run; a repeat ends the same.
    Rejected,
    /// Nothing listens on the port.
    PortClosed,
    /// Too much is going on; later it may work.
    Busy,
    /// This kind of sandbox cannot do it.
    Unsupported,
    /// Something of a newer supervisor.
    #[serde(other)]
    Unknown,
}

/// What goes on in a sandbox, as its supervisor sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct SupervisorStats {
    /// Processes, the supervisor included.
    pub processes: u32,
    /// Their threads.
    pub threads: u32,
    /// Their memory; what several share is counted for each.
    pub resident_bytes: u64,
    /// Processor time of those that live.
    pub processor_ms: u64,
    /// Commands of the bridge that run.
    pub commands: u32,
}

/// How a command ended: exactly one is present.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct ExecExit {
    /// What it returned.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub code: Option<i32>,
    /// What killed it, such as `SIGKILL`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signal: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_what_follows_it() {
        for kind in [
            FrameKind::Head,
            FrameKind::Input,
            FrameKind::Control,
            FrameKind::Output,
            FrameKind::ErrorOutput,
            FrameKind::Taken,
            FrameKind::Exit,
        ] {
            let bytes = frame(kind, b"content");
            let header = bytes[..FRAME_HEADER_BYTES].try_into().unwrap();
            assert_eq!(parse_frame_header(header), Ok((kind, 7)));
            assert_eq!(&bytes[FRAME_HEADER_BYTES..], b"content");
        }
    }

    #[test]
    fn what_is_no_frame_is_refused_before_anything_is_reserved_for_it() {
        assert_eq!(parse_frame_header([7, 0, 0, 0, 1]), Err(FrameError::Kind(7)));
        assert_eq!(parse_frame_header([3, 0, 0, 0x80, 1]), Err(FrameError::TooLong(32_769)));
        assert_eq!(parse_frame_header([0, 0xff, 0xff, 0xff, 0xff]), Err(FrameError::TooLong(u32::MAX)));
        assert_eq!(parse_frame_header([3, 0, 0, 0x80, 0]), Ok((FrameKind::Output, FRAME_BYTES_MAX)));
    }
}
