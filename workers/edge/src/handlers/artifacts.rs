//! The whole text of an artifact, or the picture that it is: from the session's object while that keeps it, later from R2, which only the
//! object knows its way in.

use crate::answer::{Answer, OrInternal as _, forward, picture, plain_text};
use crate::context::Context;
use crate::session_object;
use protocol::attachment::MEDIA_TYPES;
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::{ArtifactId, SessionId};
use session::call::{ARTIFACTS_BINDING, Call, KEY_HEADER};
use worker::Env;

/// Answers the text or the picture.
pub(super) async fn text(context: &Context, id: &SessionId, artifact_id: &ArtifactId) -> Answer {
    let parameter = ("id", artifact_id.as_str());
    let answer = session_object::get_with(&context.env, id, Call::Output, parameter).await?;
    match answer.status_code() {
        200 => {
            let media_type = answer.headers().get("content-type").ok().flatten().unwrap_or_default();
            let known = MEDIA_TYPES.into_iter().find(|known| *known == media_type);
            let body = answer.into_parts().1;
            match known {
                Some(media_type) => picture(media_type, body),
                None => plain_text(body),
            }
        }
        307 => {
            let key = answer.headers().get(KEY_HEADER).ok().flatten();
            let key = key.ok_or("the object names no key").or_internal("finding an artifact")?;
            stored_text(&context.env, &key).await
        }
        _ => forward(answer),
    }
}

async fn stored_text(env: &Env, key: &str) -> Answer {
    let bucket = env.bucket(ARTIFACTS_BINDING).or_internal("finding the store of artifacts")?;
    let object = bucket.get(key).execute().await.or_unavailable("the store of artifacts")?;
    let body = object.as_ref().and_then(worker::Object::body).ok_or_else(|| {
        ErrorBody::new(
            ErrorCode::NotFound,
            "this session has no such artifact; take the id from the item or prompt it belongs to",
        )
    })?;
    plain_text(body.response_body().or_unavailable("the store of artifacts")?)
}
