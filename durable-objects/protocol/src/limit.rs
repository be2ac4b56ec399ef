//! Limits of the wires. Sizes are bytes of UTF-8 unless the name says otherwise.

/// An id, prefix included.
pub const ID_BYTES_MAX: usize = 64;
/// The text of one prompt.
pub const PROMPT_BYTES_MAX: usize = 64 * 1024;
/// What goes along with one prompt …
pub const ATTACHMENTS_MAX: usize = 5;
/// … of it, selections of web pages …
pub const CAPTURES_MAX: usize = 3;
/// … which are of this version …
pub const CAPTURE_VERSION: u32 = 1;
/// … and all of it as JSON, so that with the longest text it fits into one frame.
pub const ATTACHMENTS_BYTES_MAX: usize = 180 * 1024;
/// The name of an attachment, in characters.
pub const ATTACHMENT_NAME_CHARACTERS_MAX: usize = 120;
/// A picture or file that an agent made or looked at.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Such files that one turn brings …
pub const TURN_FILES_MAX: usize = 20;
/// … and a session keeps.
pub const SESSION_FILES_MAX: usize = 200;
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
/// Commands of one step of a recipe.
pub const RECIPE_COMMANDS_MAX: usize = 50;
/// One piece of a build's log on its way to the repository.
pub const BUILD_LOG_PIECE_BYTES_MAX: usize = 32 * 1024;
/// What is kept of a build's log; what is longer is cut in the middle and marked.
pub const BUILD_LOG_BYTES_MAX: usize = 1024 * 1024;
/// A file that a recipe is found out from.
pub const BUILD_SOURCE_BYTES_MAX: usize = 512 * 1024;
/// How long a warm sandbox may be handed out.
pub const WARM_MS_MAX: u64 = 25 * 60_000;
/// How often a repository's image is made anew.
pub const BUILD_INTERVAL_MS: u64 = 30 * 60_000;
/// How long a reservation holds after the client last asked for it.
pub const RESERVATION_MS_MAX: u64 = 2 * 60_000;
/// A line of a runner in the bridge's log.
pub const RUNNER_LOG_BYTES_MAX: usize = 2 * 1024;
