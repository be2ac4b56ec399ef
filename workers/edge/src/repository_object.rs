//! Calls to the object that owns a repository, as `repository::call` defines them.

use crate::answer::Answer;
use crate::object::Object;
use protocol::id::{BuildId, RepositoryId};
use repository::call::{BINDING, Call, object_name};
use serde::Serialize;
use worker::Env;

/// Calls without a body.
pub(crate) async fn get(env: &Env, id: &RepositoryId, call: Call) -> Answer {
    object(env, id).get(&call.url(), &[]).await
}

/// Asks for a build's log from some byte on.
pub(crate) async fn get_log(env: &Env, id: &RepositoryId, build_id: &BuildId, from: u64) -> Answer {
    object(env, id).get(&format!("{}?id={build_id}&from={from}", Call::BuildLog.url()), &[]).await
}

/// Calls with a value as body.
pub(crate) async fn post<T: Serialize>(env: &Env, id: &RepositoryId, call: Call, value: &T) -> Answer {
    object(env, id).post(&call.url(), value).await
}

/// Calls with a body that is JSON already, or is refused by the object.
pub(crate) async fn post_bytes(env: &Env, id: &RepositoryId, call: Call, body: &[u8]) -> Answer {
    object(env, id).post_bytes(&call.url(), body).await
}

fn object<'a>(env: &'a Env, id: &RepositoryId) -> Object<'a> {
    Object { env, binding: BINDING, name: object_name(id), kind: "the repository's object" }
}
