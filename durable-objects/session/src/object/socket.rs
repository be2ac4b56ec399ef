//! Frames of clients: a socket is opened once per ticket, brought up to date by a subscription, and may then take part.

use super::connection::{Attachment, Watching, attach, attachment_of, close, send, send_raw};
use super::failure::Failure;
use super::platform::{now, random};
use super::shell::Shell;
use super::viewers::Admission;
use crate::call::{SOCKET_HEADER, SocketCall};
use crate::core::{Action, Input, Person, Reply, evaluate_permission};
use protocol::client::{ClientMessage, SOCKET_PROTOCOL, ServerMessage, close_code};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::{ConnectionId, PromptId, UserId};
use protocol::limit::CLIENT_FRAME_BYTES_MAX;
use protocol::timeline::Seq;
use std::rc::Rc;
use wasm_bindgen::JsValue;
use worker::{Request, Response, WebSocket, WebSocketIncomingMessage, WebSocketPair};

/// A snapshot frame serves those who come later too, with the events since, as long as those are not many.
const SNAPSHOT_AGE_MAX: u64 = 64;

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
            watching: Watching::No,
        };
        self.know_viewers();
        self.state.accept_websocket_with_tags(&pair.server, &[attachment.user_id.as_str()]);
        attach(&pair.server, &attachment);
        self.apply(Input::ParticipantJoined { user: call.user })?;
        self.add_viewer(pair.server, &attachment);
        Ok(response)
    }

    /// Takes one frame of a client.
    pub(super) fn take_frame(self: &Rc<Self>, socket: &WebSocket, message: WebSocketIncomingMessage) {
        let Some(attachment) = attachment_of(socket) else {
            return refuse_frame(socket, "the socket has lost its owner; connect again");
        };
        match self.admit_frame(&attachment.connection_id) {
            Admission::Taken => {}
            Admission::Refused => {
                let error = ErrorBody::new(
                    ErrorCode::RateLimited,
                    "too many frames; this one was not looked at, send it again in a while",
                );
                return send(socket, &ServerMessage::Rejected { prompt_id: None, error });
            }
            Admission::Closed => return close(socket, close_code::RATE_LIMITED, "too many frames"),
        }
        let text = match message {
            WebSocketIncomingMessage::String(text) if text.len() <= CLIENT_FRAME_BYTES_MAX => text,
            WebSocketIncomingMessage::String(_) => return refuse_frame(socket, "the frame is too large"),
            WebSocketIncomingMessage::Binary(_) => return refuse_frame(socket, "frames are text"),
        };
        let outcome = match serde_json::from_str::<ClientMessage>(&text) {
            Ok(message) => self.take_message(socket, &attachment, message),
            Err(error) => {
                let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) else {
                    return refuse_frame(socket, "the frame is not JSON");
                };
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
        attachment: &Attachment,
        message: ClientMessage,
    ) -> Result<(), Failure> {
        let by = attachment.user_id.clone();
        let connection_id = &attachment.connection_id;
        let (prompt_id, input) = match message {
            ClientMessage::Subscribe { since } => {
                if self.admit_subscription(connection_id) {
                    return self.subscribe(socket, connection_id, since);
                }
                close(socket, close_code::RATE_LIMITED, "too many subscriptions");
                return Ok(());
            }
            ClientMessage::Ack { seq } => {
                self.take_ack(connection_id, seq);
                return Ok(());
            }
            ClientMessage::Typing => {
                if self
                    .find_person(&by)?
                    .is_some_and(|person| evaluate_permission(person.role, Action::Prompt))
                {
                    self.broadcast_typing(connection_id);
                }
                return Ok(());
            }
            ClientMessage::Prompt { prompt } => {
                let Some(Person { user: author, .. }) = self.find_person(&by)? else {
                    let message = "you are not in this session; connect again";
                    return Err(Failure::refused(ErrorCode::Forbidden, message));
                };
                (Some(prompt.id.clone()), Input::PromptSubmitted { author, prompt })
            }
            ClientMessage::CancelPrompt { prompt_id } => {
                (Some(prompt_id.clone()), Input::PromptCancelled { prompt_id, by })
            }
            ClientMessage::EditPrompt { prompt_id, text } => {
                (Some(prompt_id.clone()), Input::PromptEdited { prompt_id, text, by })
            }
            ClientMessage::MovePrompt { prompt_id, before } => {
                (Some(prompt_id.clone()), Input::PromptMoved { prompt_id, before, by })
            }
            ClientMessage::SetRole { user_id, role } => (None, Input::RoleChanged { user_id, role, by }),
            ClientMessage::Rename { title } => (None, Input::TitleChanged { title, by }),
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

    fn find_person(&self, user_id: &UserId) -> Result<Option<Person>, Failure> {
        self.with_session(|session| session.participants.get(user_id).cloned())
    }

    /// Brings a client up to date and makes it a watcher. Nothing waits in between, so no event is missed or doubled.
    fn subscribe(
        &self,
        socket: &WebSocket,
        connection_id: &ConnectionId,
        since: Option<Seq>,
    ) -> Result<(), Failure> {
        self.require_session()?;
        self.flush_events();
        let (seq, kept_from) = self.with_session(|session| (session.seq, session.kept_from))?;
        match since.filter(|since| *since <= seq && since + 1 >= kept_from) {
            Some(since) => {
                self.replay(socket, since)?;
                send(socket, &ServerMessage::CaughtUp { seq });
            }
            None => {
                let (as_of, frame) = self.snapshot_frame(seq)?;
                send_raw(socket, &JsValue::from_str(&frame));
                if as_of < seq {
                    self.replay(socket, as_of)?;
                }
            }
        }
        self.start_watching(connection_id);
        Ok(())
    }

    fn replay(&self, socket: &WebSocket, since: Seq) -> Result<(), Failure> {
        Ok(self.store.replay(since, |frame| send_raw(socket, &JsValue::from_str(frame)))?)
    }

    /// A snapshot, and the number of its newest event: the one that was made for somebody else where it is recent.
    fn snapshot_frame(&self, seq: Seq) -> Result<(Seq, Rc<str>), Failure> {
        if let Some((as_of, frame)) = self.snapshot_frame.borrow().as_ref()
            && (*as_of..=*as_of + SNAPSHOT_AGE_MAX).contains(&seq)
        {
            return Ok((*as_of, frame.clone()));
        }
        let (as_of, frame) = self.store.render_snapshot()?;
        let frame: Rc<str> = frame.into();
        *self.snapshot_frame.borrow_mut() = Some((as_of, frame.clone()));
        Ok((as_of, frame))
    }

    /// A client is gone.
    pub(super) fn take_close(self: &Rc<Self>, socket: &WebSocket, code: usize) {
        // 1005 and 1006 stand for "no code" and must not be sent.
        let code =
            u16::try_from(code).ok().filter(|code| !matches!(code, 1004..=1006 | 1015)).unwrap_or(1000);
        close(socket, code, "closed");
        self.remove_viewer(socket);
    }
}

fn refuse_frame(socket: &WebSocket, reason: &str) {
    close(socket, close_code::FRAME_REFUSED, reason);
}
