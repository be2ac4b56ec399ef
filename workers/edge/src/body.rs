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

/// The fields of a small body. For a few texts and numbers, where a type of its own would be two kilobytes of the module each.
pub(crate) struct Fields(serde_json::Map<String, serde_json::Value>);

/// Reads a body with these fields and no others.
pub(crate) fn fields(body: &[u8], known: &[&str]) -> Result<Fields, ErrorBody> {
    let value: serde_json::Value = parse(body)?;
    let refused = |what: &str| {
        let message = format!("{what}; send one JSON object with {}", known.join(", "));
        ErrorBody::new(ErrorCode::BadRequest, message)
    };
    let serde_json::Value::Object(fields) = value else { return Err(refused("the body is no object")) };
    if fields.keys().any(|name| !known.contains(&name.as_str())) {
        return Err(refused("the body has a field that is not known here"));
    }
    Ok(Fields(fields))
}

impl Fields {
    /// A text.
    pub(crate) fn text(&self, name: &str) -> Result<&str, ErrorBody> {
        let text = self.0.get(name).and_then(serde_json::Value::as_str);
        text.ok_or_else(|| ErrorBody::new(ErrorCode::BadRequest, format!("`{name}` must be a text")))
    }

    /// Yes or no.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, ErrorBody> {
        let flag = self.0.get(name).and_then(serde_json::Value::as_bool);
        flag.ok_or_else(|| ErrorBody::new(ErrorCode::BadRequest, format!("`{name}` must be true or false")))
    }

    /// A list of texts.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<&str>, ErrorBody> {
        let list = self.0.get(name).and_then(serde_json::Value::as_array);
        let texts = list.and_then(|list| list.iter().map(serde_json::Value::as_str).collect());
        texts
            .ok_or_else(|| ErrorBody::new(ErrorCode::BadRequest, format!("`{name}` must be a list of texts")))
    }

    /// A whole number.
    pub(crate) fn number(&self, name: &str) -> Result<u64, ErrorBody> {
        let number = self.0.get(name).and_then(serde_json::Value::as_u64);
        number
            .ok_or_else(|| ErrorBody::new(ErrorCode::BadRequest, format!("`{name}` must be a whole number")))
    }
}
