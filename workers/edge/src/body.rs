//! Request bodies: never more than the limit is kept, and what does not fit the expected type is refused with the place of the fault.

use futures::StreamExt as _;
use protocol::error::{ErrorBody, ErrorCode};
use serde::de::DeserializeOwned;
use worker::Request;

/// A fault's description quotes what the caller sent; not at length.
const FAULT_CHARS_MAX: usize = 200;
/// Read beyond a limit and thrown away: who still sends when the answer comes may never see it.
const SURPLUS_BYTES_MAX: usize = 1024 * 1024;

/// Reads a body of at most `bytes_max` bytes.
pub(crate) async fn read(request: &mut Request, bytes_max: usize) -> Result<Vec<u8>, ErrorBody> {
    if request.inner().body().is_none() {
        return Ok(Vec::new());
    }
    let broken = |_| ErrorBody::new(ErrorCode::BadRequest, "the request's body broke off");
    let announced = request.headers().get("content-length").ok().flatten();
    let announced = announced.and_then(|length| length.parse::<u64>().ok()).unwrap_or_default();
    let fits = |length: usize| length <= bytes_max && announced <= bytes_max as u64;
    // Whoever announces a length sends no more than that; such a body is read in one piece.
    if announced > 0 && fits(0) {
        return request.bytes().await.map_err(broken);
    }
    let mut length = 0;
    let mut body = Vec::new();
    let mut stream = request.stream().map_err(broken)?;
    while length <= bytes_max + SURPLUS_BYTES_MAX
        && let Some(piece) = stream.next().await
    {
        let piece = piece.map_err(broken)?;
        length += piece.len();
        if fits(length) {
            body.extend_from_slice(&piece);
        }
    }
    if fits(length) {
        return Ok(body);
    }
    Err(ErrorBody::new(
        ErrorCode::TooLarge,
        format!("the request's body is too long; at most {bytes_max} bytes are accepted"),
    ))
}

/// Reads a body as JSON.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ErrorBody> {
    let refused = |message: String| ErrorBody::new(ErrorCode::BadRequest, message);
    if body.is_empty() {
        return Err(refused("the request has no body; send one JSON object".to_owned()));
    }
    let text =
        std::str::from_utf8(body).map_err(|error| refused(format!("the body is not JSON: {error}")))?;
    serde_json::from_str(text).map_err(|error| {
        let fault: String = error.to_string().chars().take(FAULT_CHARS_MAX).collect();
        match error.classify() {
            serde_json::error::Category::Data => {
                refused(format!("the body is JSON, but not as this path expects it: {fault}"))
            }
            serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof
            | serde_json::error::Category::Io => refused(format!("the body is not JSON: {fault}")),
        }
    })
}
