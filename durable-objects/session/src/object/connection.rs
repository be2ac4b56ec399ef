//! One socket as the runtime has it: what it keeps while the object sleeps, and how it is sent to and closed.

use platform::log::{self, About, Level};
use protocol::client::ServerMessage;
use protocol::id::{ConnectionId, UserId};
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;
use worker::{State, WebSocket};

protocol::objects!(Attachment);

#[wasm_bindgen]
extern "C" {
    type RawSocket;

    /// Takes the text as a JavaScript string, so that it crosses from Wasm once for all sockets.
    #[wasm_bindgen(method, catch, js_name = send)]
    fn send_text(this: &RawSocket, text: &JsValue) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = serializeAttachment)]
    fn keep_text(this: &RawSocket, text: &JsValue) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = deserializeAttachment)]
    fn kept_text(this: &RawSocket) -> Result<JsValue, JsValue>;

    type RawState;

    #[wasm_bindgen(method, catch, js_name = getWebSocketAutoResponseTimestamp)]
    fn last_ping(this: &RawState, socket: &JsValue) -> Result<Option<js_sys::Date>, JsValue>;
}

/// What a socket keeps while the object sleeps.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub(super) struct Attachment {
    pub(super) user_id: UserId,
    pub(super) connection_id: ConnectionId,
    pub(super) watching: Watching,
    /// Whether it may only watch, whatever role its user has.
    #[serde(default)]
    pub(super) read_only: bool,
    /// Id of the ticket that opened it.
    #[serde(default)]
    pub(super) ticket_id: String,
}

/// Whether a socket gets events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Watching {
    /// Not before it subscribes.
    No,
    /// Each one.
    Yes,
    /// Not before it subscribes again: it has not read what it was sent.
    Lagging { since: Timestamp },
}

pub(super) fn attachment_of(socket: &WebSocket) -> Option<Attachment> {
    let text = raw(socket).kept_text().ok()?.as_string()?;
    serde_json::from_str(&text).ok()
}

/// Gives a socket what it keeps, as JSON: the module has one reader for that and none for JavaScript's values.
pub(super) fn attach(socket: &WebSocket, attachment: &Attachment) {
    let text = serde_json::to_string(attachment).unwrap_or_default();
    if let Err(error) = raw(socket).keep_text(&JsValue::from_str(&text)) {
        let about = About::default().with("error", &format!("{error:?}"));
        log::write(Level::Warn, "a socket's attachment could not be kept", &about);
    }
}

/// Takes from a socket what it keeps: whatever still comes of it is nobody's.
pub(super) fn detach(socket: &WebSocket) {
    // A socket that keeps what it had is closed with the next breath all the same.
    let _ = raw(socket).keep_text(&JsValue::from_str(""));
}

/// Closes a socket; one that is closing already is as it should be.
pub(super) fn close(socket: &WebSocket, code: u16, reason: &str) {
    let _ = socket.close(Some(code), Some(reason));
}

pub(super) fn send(socket: &WebSocket, message: &ServerMessage) {
    send_raw(socket, &render(message));
}

pub(super) fn render(message: &ServerMessage) -> JsValue {
    JsValue::from_str(&serde_json::to_string(message).unwrap_or_default())
}

/// A socket that cannot be sent to is closing; its close comes by itself.
pub(super) fn send_raw(socket: &WebSocket, frame: &JsValue) {
    let _ = raw(socket).send_text(frame);
}

fn raw(socket: &WebSocket) -> &RawSocket {
    let socket: &worker::web_sys::WebSocket = socket.as_ref();
    socket.unchecked_ref()
}

/// When the runtime last answered a `ping` of this socket.
pub(super) fn last_ping(state: &State, socket: &WebSocket) -> Option<Timestamp> {
    let state: &RawState = state.as_raw().unchecked_ref();
    let socket: &JsValue = raw(socket).as_ref();
    let date = state.last_ping(socket).ok().flatten()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds since 1970")]
    Some(Timestamp(date.get_time() as u64))
}
