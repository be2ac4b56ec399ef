//! Calls to the object that owns a session, as `session::call` defines them.

use crate::answer::{Answer, OrInternal as _};
use js_sys::Uint8Array;
use protocol::error::ErrorBody;
use protocol::id::SessionId;
use serde::Serialize;
use session::call::{BINDING, Call, SOCKET_HEADER, SocketCall, encode_header, object_name};
use session::object::web::{Redirect, new_request};
use wasm_bindgen::JsValue;
use worker::{Env, Response};

/// Calls without a body.
pub(crate) async fn get(env: &Env, id: &SessionId, call: Call) -> Answer {
    send(env, id, call, &call.url(), &[], None).await
}

/// Calls with one parameter, whose value needs no escapes: a number or an id.
pub(crate) async fn get_with(env: &Env, id: &SessionId, call: Call, parameter: (&str, &str)) -> Answer {
    let (name, value) = parameter;
    send(env, id, call, &format!("{}?{name}={value}", call.url()), &[], None).await
}

/// Calls with a value as body.
pub(crate) async fn post<T: Serialize>(env: &Env, id: &SessionId, call: Call, value: &T) -> Answer {
    let body = serde_json::to_string(value).or_internal("writing a call")?;
    post_bytes(env, id, call, body.as_bytes()).await
}

/// Calls with a body that is JSON already, or is refused by the object.
pub(crate) async fn post_bytes(env: &Env, id: &SessionId, call: Call, body: &[u8]) -> Answer {
    let headers = [("content-type", "application/json")];
    send(env, id, call, &call.url(), &headers, Some(&Uint8Array::from(body).into())).await
}

/// Asks for a WebSocket.
pub(crate) async fn connect(env: &Env, id: &SessionId, socket: &SocketCall) -> Answer {
    let caller = encode_header(socket);
    let headers = [("upgrade", "websocket"), (SOCKET_HEADER, caller.as_str())];
    send(env, id, Call::Socket, &Call::Socket.url(), &headers, None).await
}

async fn send(
    env: &Env,
    id: &SessionId,
    call: Call,
    url: &str,
    headers: &[(&str, &str)],
    body: Option<&JsValue>,
) -> Result<Response, ErrorBody> {
    // An object's redirection is a word to the edge, not one that the platform is to follow.
    let request =
        new_request(call.method(), url, headers, Redirect::Answer, body).or_internal("building a call")?;
    let object = env
        .durable_object(BINDING)
        .and_then(|namespace| namespace.get_by_name(&object_name(id)))
        .or_internal("finding the session's object")?;
    object.fetch_with_request(request).await.or_unavailable("the session")
}
