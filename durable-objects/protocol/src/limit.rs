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
/// One event of a runner; what is longer is cut at the source and marked.
pub const EVENT_BYTES_MAX: usize = 64 * 1024;
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
