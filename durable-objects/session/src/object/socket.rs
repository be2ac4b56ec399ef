//! Frames of clients: a socket is opened once per ticket, brought up to date by a subscription, and may then take part.

use super::connection::{Attachment, Watching, attach, attachment_of, close, detach, send, send_raw};
use super::failure::Failure;
use super::host::{new_span, now, random};
use super::shell::Shell;
use super::viewers::Admission;
use crate::call::{SOCKET_HEADER, SocketCall};
use crate::core::{Action, Input, Person, Reply, evaluate_permission};
use platform::d1::{Database, Value};
use platform::log::{self, Level};
use protocol::client::{ClientMessage, SOCKET_PROTOCOL, ServerMessage, close_code};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::{ConnectionId, PromptId, UserId};
use protocol::limit::CLIENT_FRAME_BYTES_MAX;
use protocol::time::Timestamp;
use protocol::timeline::Seq;
use std::rc::Rc;
use std::time::Duration;
use wasm_bindgen::JsValue;
use worker::{Delay, Request, Response, WebSocket, WebSocketIncomingMessage, WebSocketPair};

/// A snapshot frame serves those who come later too, with the events since, as long as those are not many.
const SNAPSHOT_AGE_MAX: u64 = 64;
/// Sockets that close within this are forgotten by the index together.
const GONE_MS: u64 = 1000;

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
            read_only: call.read_only,
            ticket_id: call.ticket_id,
        };
        self.know_viewers();
        self.state.accept_websocket_with_tags(&pair.server, &[attachment.ticket_id.as_str()]);
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
            send(
                socket,
                &ServerMessage::Rejected { prompt_id: None, error: failure.into_body(&self.about()) },
            );
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
        let watches = matches!(
            message,
            ClientMessage::Subscribe { .. } | ClientMessage::Ack { .. } | ClientMessage::Typing
        );
        if attachment.read_only && !watches {
            let message =
                "this connection may only watch: the repository is read-only for you, or your key is";
            return Err(Failure::refused(ErrorCode::Forbidden, message));
        }
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
                let person = self.find_person(&by)?.filter(|_| !attachment.read_only);
                if person.is_some_and(|person| evaluate_permission(person.role, Action::Prompt))
                    && self.broadcast_typing(connection_id)
                {
                    self.apply(Input::PromptBegun { by })?;
                }
                return Ok(());
            }
            ClientMessage::Prompt { mut prompt } => {
                prompt.traceparent.get_or_insert_with(|| new_span(None));
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
                send(socket, &ServerMessage::Rejected { prompt_id, error: failure.into_body(&self.about()) });
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
        if let Some(attachment) = attachment_of(socket) {
            self.forget_ticket(attachment.ticket_id);
        }
        self.remove_viewer(socket);
    }

    /// Ends the sockets of these tickets, as far as there are any, and lets nobody open one with them.
    pub(super) fn dismiss(self: &Rc<Self>, tickets: &[String], until: Timestamp) -> Result<(), Failure> {
        self.require_session()?;
        for ticket in tickets {
            self.store.take_ticket(ticket, until, now())?;
            for socket in self.state.get_websockets_with_tag(ticket) {
                self.remove_viewer(&socket);
                detach(&socket);
                // Those who may still come here do so with the next ticket.
                close(
                    &socket,
                    close_code::TICKET_INVALID,
                    "your access here has changed; come back with a new ticket",
                );
            }
        }
        Ok(())
    }

    /// The index forgets the tickets of sockets that are gone: a little later, and together.
    fn forget_ticket(self: &Rc<Self>, ticket_id: String) {
        let mut gone = self.gone_tickets.borrow_mut();
        gone.push(ticket_id);
        if gone.len() > 1 {
            return;
        }
        let shell = self.clone();
        self.state.wait_until(async move {
            Delay::from(Duration::from_millis(GONE_MS)).await;
            let gone = shell.gone_tickets.take();
            // What is not forgotten is asked about once a day.
            if let Err(error) = shell.remove_tickets(&gone).await {
                let about = shell.about().with("error", &error.to_string());
                log::write(Level::Warn, "tickets of closed sockets stay in the index", &about);
            }
        });
    }

    async fn remove_tickets(&self, gone: &[String]) -> worker::Result<()> {
        const SQL: &str = "DELETE FROM sockets WHERE ticket_id IN (SELECT value FROM json_each(?1))";
        let gone = serde_json::to_string(gone).unwrap_or_default();
        Database::new(&self.env)?.rows(SQL, &[Value::Text(&gone)]).await.map(|_| ())
    }
}

fn refuse_frame(socket: &WebSocket, reason: &str) {
    close(socket, close_code::FRAME_REFUSED, reason);
}
