//! Answers of the API: JSON with the headers that every one of them carries, and errors as [`ErrorBody`].

use futures::Stream;
use platform::log::{About, Level};
use protocol::attachment::BINARY_TYPE;
use protocol::error::{ErrorBody, ErrorCode};
use serde::Serialize;
use worker::{Headers, Response, ResponseBody, ResponseBuilder};

/// No answer of the API may be kept, sniffed, framed, or run as a page.
const HEADERS: [(&str, &str); 7] = [
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), microphone=(), geolocation=()"),
    ("referrer-policy", "no-referrer"),
    // Browsers heed it where it comes over https only (RFC 6797 §8.1).
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ("x-content-type-options", "nosniff"),
];

/// What text carries over and above [`HEADERS`].
const TEXT_HEADERS: [(&str, &str); 3] = [
    ("content-disposition", "inline"),
    ("content-security-policy", "sandbox; default-src 'none'; frame-ancestors 'none'"),
    ("content-type", "text/plain; charset=utf-8"),
];

/// What a handler gives.
pub(crate) type Answer = Result<Response, ErrorBody>;

/// A value as JSON.
pub(crate) fn json<T: Serialize>(status: u16, value: &T) -> Answer {
    let headers = headers().or_internal("setting headers")?;
    ResponseBuilder::new()
        .with_status(status)
        .with_headers(headers)
        .from_json(value)
        .or_internal("writing JSON")
}

/// JSON that was written elsewhere.
pub(crate) fn json_text(status: u16, text: String) -> Answer {
    let headers = headers().or_internal("setting headers")?;
    headers.set("content-type", "application/json").or_internal("setting headers")?;
    let body = ResponseBody::Body(text.into_bytes());
    Ok(ResponseBuilder::new().with_status(status).with_headers(headers).body(body))
}

/// Text of another media type.
pub(crate) fn text(media_type: &str, text: String) -> Answer {
    let response = json_text(200, text)?;
    response.headers().set("content-type", media_type).or_internal("setting headers")?;
    Ok(response)
}

/// Text that browsers save under a name.
pub(crate) fn file(media_type: &str, name: &str, content: String) -> Answer {
    let response = text(media_type, content)?;
    let disposition = format!("attachment; filename=\"{name}\"");
    response.headers().set("content-disposition", &disposition).or_internal("setting headers")?;
    Ok(response)
}

/// The same, as it is made.
pub(crate) fn file_stream(
    media_type: &str,
    name: &str,
    content: impl Stream<Item = worker::Result<Vec<u8>>> + 'static,
) -> Answer {
    let headers = headers().or_internal("setting headers")?;
    let disposition = format!("attachment; filename=\"{name}\"");
    for (header, value) in [("content-type", media_type), ("content-disposition", &disposition)] {
        headers.set(header, value).or_internal("setting headers")?;
    }
    ResponseBuilder::new().with_headers(headers).from_stream(content).or_internal("answering piece by piece")
}

/// Sends a browser elsewhere.
pub(crate) fn redirect(to: &str) -> Answer {
    let headers = headers().or_internal("setting headers")?;
    headers.set("location", to).or_internal("setting headers")?;
    Ok(ResponseBuilder::new().with_status(302).with_headers(headers).empty())
}

/// An error as HTTP.
pub(crate) fn error(error: &ErrorBody) -> worker::Result<Response> {
    ResponseBuilder::new().with_status(error.code.http_status()).with_headers(headers()?).from_json(error)
}

/// Hands on what an object answered: status and body are its own, headers are ours.
pub(crate) fn forward(response: Response) -> Answer {
    let headers = headers().or_internal("setting headers")?;
    headers.set("content-type", "application/json").or_internal("setting headers")?;
    let status = response.status_code();
    let (_, body) = response.into_parts();
    Ok(ResponseBuilder::new().with_status(status).with_headers(headers).body(body))
}

/// Text of somebody's or an agent's making: shown as it is, and never a page of ours, whatever is in it.
pub(crate) fn plain_text(body: ResponseBody) -> Answer {
    let headers = headers().or_internal("setting headers")?;
    for (name, value) in TEXT_HEADERS {
        headers.set(name, value).or_internal("setting headers")?;
    }
    Ok(ResponseBuilder::new().with_headers(headers).body(body))
}

/// A picture of somebody's making, of one of [`protocol::attachment::MEDIA_TYPES`].
pub(crate) fn picture(media_type: &str, body: ResponseBody) -> Answer {
    let response = plain_text(body)?;
    response.headers().set("content-type", media_type).or_internal("setting headers")?;
    Ok(response)
}

/// Something of somebody's or an agent's making that nothing opens by itself.
pub(crate) fn download(body: ResponseBody) -> Answer {
    let response = plain_text(body)?;
    for (name, value) in [("content-type", BINARY_TYPE), ("content-disposition", "attachment")] {
        response.headers().set(name, value).or_internal("setting headers")?;
    }
    Ok(response)
}

fn headers() -> worker::Result<Headers> {
    let headers = Headers::new();
    for (name, value) in HEADERS {
        headers.set(name, value)?;
    }
    Ok(headers)
}

/// Nothing is there.
pub(crate) fn not_found() -> ErrorBody {
    ErrorBody::new(ErrorCode::NotFound, "there is nothing at this path; the API begins at /api/")
}

/// For what fails only by a defect of ours, or of the platform under us.
pub(crate) trait OrInternal<T> {
    /// The value; or an error that tells the caller nothing but an incident id, under which the log has the rest.
    fn or_internal(self, doing: &str) -> Result<T, ErrorBody>;

    /// The value; or an error that tells the caller to try again. The log has the rest.
    fn or_unavailable(self, what: &str) -> Result<T, ErrorBody>;
}

impl<T, E: std::fmt::Display> OrInternal<T> for Result<T, E> {
    fn or_internal(self, doing: &str) -> Result<T, ErrorBody> {
        self.map_err(|error| {
            let incident = log(doing, &error);
            ErrorBody::new(
                ErrorCode::Internal,
                format!("something went wrong in Farhand; the log has it as incident {incident}"),
            )
        })
    }

    fn or_unavailable(self, what: &str) -> Result<T, ErrorBody> {
        self.map_err(|error| {
            let incident = log(what, &error);
            ErrorBody::new(
                ErrorCode::Unavailable,
                format!("{what} does not answer; try again (incident {incident})"),
            )
        })
    }
}

/// Writes a failure to the log and names it.
pub(crate) fn log(doing: &str, error: &dyn std::fmt::Display) -> String {
    let incident = crate::context::random_hex().unwrap_or_else(|_| "unknown".to_owned());
    let about = About::default().with("incident", &incident).with("error", &error.to_string());
    platform::log::write(Level::Error, doing, &about);
    incident
}
