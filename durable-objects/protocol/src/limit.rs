//! Limits of the wires. Sizes are bytes of UTF-8 unless the name says otherwise.

/// An id, prefix included.
pub const ID_BYTES_MAX: usize = 64;
/// The text of one prompt.
pub const PROMPT_BYTES_MAX: usize = 64 * 1024;
/// Prompts of a session that wait for their turn.
pub const QUEUE_PROMPTS_MAX: usize = 100;
/// An HTTP request body of a client.
pub const REQUEST_BYTES_MAX: usize = 256 * 1024;
/// A WebSocket frame of a client.
pub const CLIENT_FRAME_BYTES_MAX: usize = 256 * 1024;
/// A WebSocket frame between runner and bridge.
pub const RUNNER_FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Events in one batch from a bridge to a session.
pub const BATCH_EVENTS_MAX: usize = 50;
/// How long a bridge may hold a running stream's event back to fill a batch.
pub const BATCH_DELAY_MS_MAX: u64 = 50;
/// One batch from a bridge to a session.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;
/// One event of a runner: the end of a tool call has all that is kept of its output, with every character escaped.
pub const EVENT_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Output kept of one tool call; what is longer is cut in the middle and marked.
pub const TOOL_OUTPUT_BYTES_MAX: usize = 256 * 1024;
/// The hunks of one turn's diff; files beyond it are listed without hunks.
pub const DIFF_BYTES_MAX: usize = 512 * 1024;
/// How long a WebSocket ticket may be used.
pub const TICKET_MS_MAX: u64 = 60_000;
/// How far the clocks of edge and bridge may differ in a signed request.
pub const SIGNATURE_SKEW_MS_MAX: u64 = 60_000;
/// How often a turn is tried before its prompt counts as failed.
pub const TURN_ATTEMPTS_MAX: u32 = 3;
/// Output of a tool call that events carry; what is longer is a preview, and the whole is an artifact.
pub const TOOL_PREVIEW_BYTES_MAX: usize = 32 * 1024;
/// A session's title, in characters.
pub const TITLE_CHARACTERS_MAX: usize = 80;
/// Notices in a snapshot.
pub const NOTICES_MAX: usize = 20;
/// Events in one frame to a client …
pub const FRAME_EVENTS_MAX: usize = 1000;
/// … and their size, unless it is a single event.
pub const FRAME_EVENTS_BYTES_MAX: usize = 1024 * 1024;
/// A client acknowledges when it has read this much more.
pub const VIEWER_ACK_BYTES: usize = 128 * 1024;
/// What may be on its way to one client without having been acknowledged.
pub const VIEWER_WINDOW_BYTES: usize = 1024 * 1024;
/// How long a client may lag before it is closed.
pub const VIEWER_LAG_MS_MAX: u64 = 60_000;
/// How often someone who writes says so.
pub const TYPING_REPEAT_MS: u64 = 3_000;
/// How long that holds.
pub const TYPING_MS_MAX: u64 = 5_000;
/// Refused places that a bridge reports of one sandbox.
pub const EGRESS_DENIALS_MAX: usize = 100;
