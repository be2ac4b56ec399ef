//! Calls to the object that owns a session, as `session::call` defines them.

use crate::answer::{Answer, OrInternal as _};
use js_sys::Uint8Array;
use protocol::error::ErrorBody;
use protocol::id::SessionId;
use serde::Serialize;
use session::call::{BINDING, Call, SOCKET_HEADER, SocketCall, encode_header, object_name};
use worker::{Env, Headers, Method, Request, RequestInit, RequestRedirect, Response};

/// Calls without a body.
pub(crate) async fn get(env: &Env, id: &SessionId, call: Call) -> Answer {
    send(env, id, &call.url(), &mut RequestInit::new()).await
}

/// Calls with one parameter, whose value needs no escapes: a number or an id.
pub(crate) async fn get_with(env: &Env, id: &SessionId, call: Call, parameter: (&str, &str)) -> Answer {
    let (name, value) = parameter;
    send(env, id, &format!("{}?{name}={value}", call.url()), &mut RequestInit::new()).await
}

/// Calls with a value as body.
pub(crate) async fn post<T: Serialize>(env: &Env, id: &SessionId, call: Call, value: &T) -> Answer {
    let body = serde_json::to_string(value).or_internal("writing a call")?;
    post_bytes(env, id, call, body.as_bytes()).await
}

/// Calls with a body that is JSON already, or is refused by the object.
pub(crate) async fn post_bytes(env: &Env, id: &SessionId, call: Call, body: &[u8]) -> Answer {
    let headers = Headers::new();
    headers.set("content-type", "application/json").or_internal("setting headers")?;
    let mut init = RequestInit::new();
    init.with_method(Method::from(call.method().to_owned()))
        .with_headers(headers)
        .with_body(Some(Uint8Array::from(body).into()));
    send(env, id, &call.url(), &mut init).await
}

/// Asks for a WebSocket.
pub(crate) async fn connect(env: &Env, id: &SessionId, socket: &SocketCall) -> Answer {
    let headers = Headers::new();
    for (name, value) in [("upgrade", "websocket"), (SOCKET_HEADER, &encode_header(socket))] {
        headers.set(name, value).or_internal("setting headers")?;
    }
    let mut init = RequestInit::new();
    init.with_headers(headers);
    send(env, id, &Call::Socket.url(), &mut init).await
}

async fn send(env: &Env, id: &SessionId, url: &str, init: &mut RequestInit) -> Result<Response, ErrorBody> {
    // An object's redirection is a word to the edge, not one that the platform is to follow.
    init.with_redirect(RequestRedirect::Manual);
    let request = Request::new_with_init(url, init).or_internal("building a call")?;
    let object = env
        .durable_object(BINDING)
        .and_then(|namespace| namespace.get_by_name(&object_name(id)))
        .or_internal("finding the session's object")?;
    object.fetch_with_request(request).await.or_unavailable("the session")
}
