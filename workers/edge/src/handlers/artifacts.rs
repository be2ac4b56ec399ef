//! The content of an artifact: from the session's object while that keeps it, later from R2, which only the
//! object knows its way in.

use crate::answer::{Answer, OrInternal as _, download, forward, picture, plain_text};
use crate::context::Context;
use crate::session_object;
use protocol::attachment::{BINARY_TYPE, MEDIA_TYPES};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::{ArtifactId, SessionId};
use session::call::{ARTIFACTS_BINDING, Call, KEY_HEADER};
use worker::{Env, ResponseBody};

/// Answers the content.
pub(super) async fn text(context: &Context, id: &SessionId, artifact_id: &ArtifactId) -> Answer {
    let parameter = ("id", artifact_id.as_str());
    let answer = session_object::get_with(&context.env, id, Call::Output, parameter).await?;
    match answer.status_code() {
        200 => {
            let media_type = answer.headers().get("content-type").ok().flatten();
            content(media_type.as_deref(), answer.into_parts().1)
        }
        307 => {
            let key = answer.headers().get(KEY_HEADER).ok().flatten();
            let key = key.ok_or("the object names no key").or_internal("finding an artifact")?;
            stored(&context.env, &key).await
        }
        _ => forward(answer),
    }
}

async fn stored(env: &Env, key: &str) -> Answer {
    let bucket = env.bucket(ARTIFACTS_BINDING).or_internal("finding the store of artifacts")?;
    let object = bucket.get(key).execute().await.or_unavailable("the store of artifacts")?;
    let body = object.as_ref().and_then(worker::Object::body);
    let (Some(object), Some(body)) = (&object, body) else {
        return Err(ErrorBody::new(
            ErrorCode::NotFound,
            "this session has no such artifact; take the id from the item, prompt or artifact it belongs to",
        ));
    };
    let media_type = object.http_metadata().content_type;
    content(media_type.as_deref(), body.response_body().or_unavailable("the store of artifacts")?)
}

/// Whatever an agent or a stranger made: a picture is shown, text is text, and nothing else is more than a download.
fn content(media_type: Option<&str>, body: ResponseBody) -> Answer {
    let is = |known: &&str| Some(*known) == media_type;
    if is(&BINARY_TYPE) {
        return download(body);
    }
    match MEDIA_TYPES.into_iter().find(is) {
        Some(media_type) => picture(media_type, body),
        None => plain_text(body),
    }
}
