//! WebSockets of clients: opened once per ticket, asleep with the object, fed with the same frame each.

use super::failure::Failure;
use super::platform::{now, random};
use super::shell::Shell;
use crate::call::{SOCKET_HEADER, SocketCall};
use crate::core::{Input, Person, Reply};
use protocol::client::{ClientMessage, SOCKET_PROTOCOL, ServerMessage, close_code};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::{ConnectionId, PromptId, UserId};
use protocol::limit::CLIENT_FRAME_BYTES_MAX;
use protocol::timeline::Seq;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use worker::{
    Request, Response, WebSocket, WebSocketIncomingMessage, WebSocketPair, WebSocketRequestResponsePair,
};

#[wasm_bindgen]
extern "C" {
    type RawSocket;

    /// Takes the text as a JavaScript string, so that it crosses from Wasm once for all sockets.
    #[wasm_bindgen(method, catch, js_name = send)]
    fn send_text(this: &RawSocket, text: &JsValue) -> Result<(), JsValue>;
}

/// What a socket keeps while the object sleeps.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Attachment {
    user_id: UserId,
    connection_id: ConnectionId,
    subscribed: bool,
}

impl Shell {
    /// Accepts a client's socket; the ticket is taken once.
    pub(super) fn open_socket(self: &Rc<Self>, request: &Request) -> Result<Response, Failure> {
        let header = request.headers().get(SOCKET_HEADER)?.unwrap_or_default();
        let call: SocketCall = serde_json::from_str(&header)
            .map_err(|_| Failure::refused(ErrorCode::BadRequest, "the socket comes without its caller"))?;
        self.require_session()?;
        let pair = WebSocketPair::new()?;
        let offered = request.headers().get("sec-websocket-protocol")?.unwrap_or_default();
        let mut response = Response::from_websocket(pair.client)?;
        if offered.split(',').any(|protocol| protocol.trim() == SOCKET_PROTOCOL) {
            response.headers_mut().set("sec-websocket-protocol", SOCKET_PROTOCOL)?;
        }
        if !self.store.take_ticket(&call.ticket_id, call.ticket_expires_at, now())? {
            // A browser cannot see the status of a refused upgrade, but it can see this.
            pair.server.accept()?;
            pair.server.close(Some(close_code::TICKET_INVALID), Some("this ticket was used before"))?;
            return Ok(response);
        }
        let attachment = Attachment {
            user_id: call.user.id.clone(),
            connection_id: ConnectionId::from_random(random()),
            subscribed: false,
        };
        self.state.accept_websocket_with_tags(&pair.server, &[attachment.user_id.as_str()]);
        pair.server.serialize_attachment(&attachment)?;
        if let Ok(answer) = WebSocketRequestResponsePair::new("ping", "pong") {
            self.state.set_websocket_auto_response(&answer);
        }
        self.apply(Input::ParticipantJoined { user: call.user })?;
        self.broadcast_presence(None);
        Ok(response)
    }

    /// Takes one frame of a client.
    pub(super) fn take_frame(self: &Rc<Self>, socket: &WebSocket, message: WebSocketIncomingMessage) {
        let text = match message {
            WebSocketIncomingMessage::String(text) if text.len() <= CLIENT_FRAME_BYTES_MAX => text,
            WebSocketIncomingMessage::String(_) => return refuse_frame(socket, "the frame is too large"),
            WebSocketIncomingMessage::Binary(_) => return refuse_frame(socket, "frames are text"),
        };
        let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) else {
            return refuse_frame(socket, "the frame is not JSON");
        };
        let Some(mut attachment) = socket.deserialize_attachment::<Attachment>().ok().flatten() else {
            return refuse_frame(socket, "the socket has lost its owner; connect again");
        };
        let outcome = match ClientMessage::deserialize(&value) {
            Ok(message) => self.take_message(socket, &mut attachment, message),
            Err(error) => {
                let prompt_id = value.pointer("/prompt/id").and_then(|id| PromptId::parse(id.as_str()?).ok());
                let error =
                    ErrorBody::new(ErrorCode::BadRequest, format!("the frame is not as expected: {error}"));
                send(socket, &ServerMessage::Rejected { prompt_id, error });
                Ok(())
            }
        };
        if let Err(failure) = outcome {
            send(socket, &ServerMessage::Rejected { prompt_id: None, error: failure.into_body() });
        }
    }

    fn take_message(
        self: &Rc<Self>,
        socket: &WebSocket,
        attachment: &mut Attachment,
        message: ClientMessage,
    ) -> Result<(), Failure> {
        let by = attachment.user_id.clone();
        let (prompt_id, input) = match message {
            ClientMessage::Subscribe { since } => return self.subscribe(socket, attachment, since),
            ClientMessage::Prompt { prompt } => {
                let author = self.with_session(|session| session.participants.get(&by).cloned())?;
                let Some(Person { user: author, .. }) = author else {
                    return Err(Failure::refused(
                        ErrorCode::Forbidden,
                        "you are not in this session; connect again",
                    ));
                };
                (Some(prompt.id.clone()), Input::PromptSubmitted { author, prompt })
            }
            ClientMessage::CancelPrompt { prompt_id } => {
                (Some(prompt_id.clone()), Input::PromptCancelled { prompt_id, by })
            }
            ClientMessage::Stop { turn_id } => (None, Input::StopRequested { turn_id, by }),
            ClientMessage::Unknown => {
                let message =
                    "this session does not know such a frame; reload the page after the next update";
                return Err(Failure::refused(ErrorCode::BadRequest, message));
            }
        };
        match self.apply(input) {
            Ok(Reply::PromptAccepted { prompt_id, seq }) => {
                send(socket, &ServerMessage::PromptAccepted { prompt_id, seq });
            }
            Ok(Reply::Refused(error)) => send(socket, &ServerMessage::Rejected { prompt_id, error }),
            Ok(Reply::Done | Reply::Acked { .. } | Reply::EventGap { .. }) => {}
            Err(failure) => {
                send(socket, &ServerMessage::Rejected { prompt_id, error: failure.into_body() });
            }
        }
        Ok(())
    }

    /// Brings a client up to date and makes it a watcher. Nothing waits in between, so no event is missed or doubled.
    fn subscribe(
        &self,
        socket: &WebSocket,
        attachment: &mut Attachment,
        since: Option<Seq>,
    ) -> Result<(), Failure> {
        let seq = self.with_session(|session| session.seq)?;
        match since.filter(|since| *since <= seq) {
            Some(since) => {
                self.store.replay(since, |frame| send_raw(socket, &JsValue::from_str(frame)))?;
                send(socket, &ServerMessage::CaughtUp { seq });
            }
            None => {
                let frame = self.render_snapshot(seq)?;
                send_raw(socket, &JsValue::from_str(&frame));
            }
        }
        attachment.subscribed = true;
        socket.serialize_attachment(&*attachment)?;
        *self.watchers.borrow_mut() = None;
        let present = ServerMessage::Presence { users: self.present(None) };
        send(socket, &present);
        Ok(())
    }

    fn render_snapshot(&self, seq: Seq) -> Result<Rc<str>, Failure> {
        if let Some((_, frame)) = self.snapshot_frame.borrow().as_ref().filter(|(known, _)| *known == seq) {
            return Ok(frame.clone());
        }
        let (seq, snapshot) = self.store.load_snapshot()?;
        let frame = serde_json::to_string(&ServerMessage::Snapshot { seq, snapshot })
            .map_err(|error| Failure::Bug(error.to_string()))?;
        let frame: Rc<str> = frame.into();
        *self.snapshot_frame.borrow_mut() = Some((seq, frame.clone()));
        Ok(frame)
    }

    /// A client is gone.
    pub(super) fn take_close(&self, socket: &WebSocket, code: usize) {
        // 1005 and 1006 stand for "no code" and must not be sent.
        let code =
            u16::try_from(code).ok().filter(|code| !matches!(code, 1004..=1006 | 1015)).unwrap_or(1000);
        // The runtime may have closed it already.
        let _ = socket.close(Some(code), Some("closed"));
        *self.watchers.borrow_mut() = None;
        let closed = socket.deserialize_attachment::<Attachment>().ok().flatten();
        self.broadcast_presence(closed.map(|attachment| attachment.connection_id).as_ref());
    }

    /// Sends frames to everyone who watches.
    pub(super) fn broadcast(&self, frames: &[String]) {
        if frames.is_empty() {
            return;
        }
        let mut watchers = self.watchers.borrow_mut();
        let watchers = watchers.get_or_insert_with(|| self.find_watchers());
        for frame in frames {
            let frame = JsValue::from_str(frame);
            for socket in watchers.iter() {
                send_raw(socket, &frame);
            }
        }
    }

    fn find_watchers(&self) -> Vec<WebSocket> {
        let subscribed = |socket: &WebSocket| {
            let attachment = socket.deserialize_attachment::<Attachment>().ok().flatten();
            attachment.is_some_and(|attachment| attachment.subscribed)
        };
        self.state.get_websockets().into_iter().filter(subscribed).collect()
    }

    /// Users with a socket, without the connection that is just closing.
    fn present(&self, without: Option<&ConnectionId>) -> Vec<UserId> {
        let users: BTreeSet<UserId> = self
            .state
            .get_websockets()
            .iter()
            .filter_map(|socket| socket.deserialize_attachment::<Attachment>().ok().flatten())
            .filter(|attachment| Some(&attachment.connection_id) != without)
            .map(|attachment| attachment.user_id)
            .collect();
        users.into_iter().collect()
    }

    fn broadcast_presence(&self, without: Option<&ConnectionId>) {
        let users = self.present(without);
        if let Ok(frame) = serde_json::to_string(&ServerMessage::Presence { users }) {
            self.broadcast(&[frame]);
        }
    }
}

fn refuse_frame(socket: &WebSocket, reason: &str) {
    // A socket that is closing cannot be closed; that is what was wanted.
    let _ = socket.close(Some(close_code::FRAME_REFUSED), Some(reason));
}

fn send(socket: &WebSocket, message: &ServerMessage) {
    if let Ok(frame) = serde_json::to_string(message) {
        send_raw(socket, &JsValue::from_str(&frame));
    }
}

/// A socket that cannot be sent to is closing; its close comes by itself.
fn send_raw(socket: &WebSocket, frame: &JsValue) {
    let raw: &web_sys_socket::Raw = socket.as_ref();
    let raw: &RawSocket = raw.unchecked_ref();
    let _ = raw.send_text(frame);
}

/// The type behind [`WebSocket`].
mod web_sys_socket {
    pub(super) use worker::web_sys::WebSocket as Raw;
}
