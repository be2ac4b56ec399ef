//! Calls to the object that owns a session, as `session::call` defines them.

use crate::answer::Answer;
use crate::object::Object;
use protocol::id::SessionId;
use serde::Serialize;
use session::call::{BINDING, Call, SOCKET_HEADER, SocketCall, encode_header, object_name};
use worker::Env;

/// Calls without a body.
pub(crate) async fn get(env: &Env, id: &SessionId, call: Call) -> Answer {
    object(env, id).get(&call.url(), &[]).await
}

/// Calls with one parameter, whose value needs no escapes: a number or an id.
pub(crate) async fn get_with(env: &Env, id: &SessionId, call: Call, parameter: (&str, &str)) -> Answer {
    let (name, value) = parameter;
    object(env, id).get(&format!("{}?{name}={value}", call.url()), &[]).await
}

/// Calls with a value as body.
pub(crate) async fn post<T: Serialize>(env: &Env, id: &SessionId, call: Call, value: &T) -> Answer {
    object(env, id).post(&call.url(), value).await
}

/// Calls with a body that is JSON already, or is refused by the object.
pub(crate) async fn post_bytes(env: &Env, id: &SessionId, call: Call, body: &[u8]) -> Answer {
    object(env, id).post_bytes(&call.url(), body).await
}

/// Asks for a WebSocket.
pub(crate) async fn connect(env: &Env, id: &SessionId, socket: &SocketCall) -> Answer {
    let caller = encode_header(socket);
    let headers = [("upgrade", "websocket"), (SOCKET_HEADER, caller.as_str())];
    object(env, id).get(&Call::Socket.url(), &headers).await
}

fn object<'a>(env: &'a Env, id: &SessionId) -> Object<'a> {
    Object { env, binding: BINDING, name: object_name(id), kind: "the session" }
}
