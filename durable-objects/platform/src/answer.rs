//! How an object reads a call's body and writes its answer.

use crate::failure::Failure;
use crate::log::About;
use crate::web::JsUrl;
use protocol::error::ErrorCode;
use protocol::read_json;
use serde::Serialize;
use serde::de::DeserializeOwned;
use worker::{Request, Response, Result};

/// A parameter of the query.
#[must_use]
pub fn query(request: &Request, name: &str) -> Option<String> {
    JsUrl::new(&request.inner().url()).ok()?.parameter(name)
}

/// The body as JSON.
pub async fn read<T: DeserializeOwned>(
    request: &mut Request,
    bytes_max: usize,
) -> std::result::Result<T, Failure> {
    let body = request.bytes().await?;
    if body.len() > bytes_max {
        let message = format!("the request has {} bytes; at most {bytes_max} are accepted", body.len());
        return Err(Failure::refused(ErrorCode::TooLarge, message));
    }
    read_json(&body).map_err(|error| {
        Failure::refused(ErrorCode::BadRequest, format!("the body is not as expected: {error}"))
    })
}

/// A value as JSON.
pub fn json<T: Serialize>(status: u16, body: &T) -> std::result::Result<Response, Failure> {
    Ok(Response::from_json(body)?.with_status(status))
}

/// JSON that is written already.
pub fn written(text: String) -> std::result::Result<Response, Failure> {
    let mut response = Response::ok(text)?;
    response.headers_mut().set("content-type", "application/json")?;
    Ok(response)
}

/// Text.
pub fn text(text: String) -> std::result::Result<Response, Failure> {
    let mut response = Response::ok(text)?;
    response.headers_mut().set("content-type", "text/plain; charset=utf-8")?;
    Ok(response)
}

/// What went wrong.
pub fn refuse(failure: Failure, about: &About) -> Result<Response> {
    let body = failure.into_body(about);
    Ok(Response::from_json(&body)?.with_status(body.code.http_status()))
}
