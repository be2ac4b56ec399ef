//! A session's WebSocket: the ticket for it, and the handshake that spends the ticket.

use super::guard::Admitted;
use crate::answer::{Answer, OrInternal as _, forward, json};
use crate::context::{Context, random_hex};
use crate::session_object;
use crate::sockets::Sockets;
use identity::ticket::{self, Ticket, TicketError};
use protocol::client::{SOCKET_PROTOCOL, TICKET_PROTOCOL_PREFIX, TicketResponse, close_code};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::SessionId;
use session::call::{Call, SocketCall};
use worker::{Headers, Request, ResponseBuilder, WebSocket, WebSocketPair};

/// Writes a ticket for a session that exists.
pub(super) async fn ticket(context: &Context, admitted: &Admitted, id: &SessionId) -> Answer {
    // A browser cannot see why a handshake failed, so an unknown session is told here.
    let status = session_object::get(&context.env, id, Call::Status).await?;
    if status.status_code() != 200 {
        return forward(status);
    }
    let ticket = Ticket {
        id: random_hex().or_internal("drawing random bytes")?,
        principal: admitted.principal()?.clone(),
        session_id: id.clone(),
        origin: context.origin.clone(),
        read_only: admitted.is_read_only(),
    };
    let (repository, proof) = admitted.proof()?;
    if !Sockets::new(&context.env)?.insert(&ticket, repository, proof, context.now).await? {
        let message = "your access has just changed; try again, or sign in again";
        return Err(ErrorBody::new(ErrorCode::SignInRequired, message));
    }
    let text = ticket::issue(&context.settings.session_key, &ticket, context.now);
    json(200, &TicketResponse { ticket: text, expires_at: ticket::expiry(context.now) })
}

/// Connects the holder of a ticket to the session's object, which spends it.
pub(super) async fn connect(context: &Context, request: &Request, id: &SessionId) -> Answer {
    let header = |name| request.headers().get(name).ok().flatten().unwrap_or_default();
    if !header("upgrade").eq_ignore_ascii_case("websocket") {
        return Err(ErrorBody::new(ErrorCode::BadRequest, "this path speaks WebSocket; send an upgrade"));
    }
    let offered = header("sec-websocket-protocol");
    let mut offered = offered.split(',').map(str::trim);
    if !offered.clone().any(|protocol| protocol == SOCKET_PROTOCOL) {
        let message = format!(
            "offer the sub-protocol {SOCKET_PROTOCOL}; reload the page if it is older than the server"
        );
        return Err(ErrorBody::new(ErrorCode::VersionUnsupported, message));
    }
    let text = offered.find_map(|protocol| protocol.strip_prefix(TICKET_PROTOCOL_PREFIX)).unwrap_or_default();
    // A local user's ticket is worth no more than the local user's cookie.
    if matches!(context.settings.sign_in, crate::settings::SignIn::Local(_)) {
        context.settings.local_users(&context.host())?;
    }
    let key = &context.settings.session_key;
    let ticket = match ticket::read(key, text, id, context.origin.as_deref(), context.now) {
        Ok(ticket) => ticket,
        Err(error) => return refuse_ticket(&error),
    };
    let call = SocketCall {
        user: ticket.principal.user,
        ticket_id: ticket.id,
        ticket_expires_at: ticket::expiry(context.now),
        read_only: ticket.read_only,
    };
    let response = session_object::connect(&context.env, id, &call).await?;
    if response.status_code() != 101 {
        return forward(response);
    }
    let socket =
        response.websocket().ok_or("no WebSocket came with it").or_internal("connecting to a session")?;
    upgraded(socket)
}

/// A page cannot see why a handshake failed, but it can see a close code.
fn refuse_ticket(error: &TicketError) -> Answer {
    let pair = WebSocketPair::new().or_internal("making a WebSocket")?;
    pair.server.accept().or_internal("accepting a WebSocket")?;
    let reason = error.to_string();
    pair.server.close(Some(close_code::TICKET_INVALID), Some(reason)).or_internal("closing a WebSocket")?;
    upgraded(pair.client)
}

fn upgraded(socket: WebSocket) -> Answer {
    let headers = Headers::new();
    headers.set("sec-websocket-protocol", SOCKET_PROTOCOL).or_internal("setting headers")?;
    Ok(ResponseBuilder::new().with_status(101).with_headers(headers).with_websocket(socket).empty())
}
