//! The last step out: one HTTP/1 connection to a target, and its answers on their way back.

use super::reason::Reason;
use super::request::remove_connection_headers;
use crate::gateway::redact::Redactor;
use crate::gateway::upstream::{redact_headers, redacted};
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_ENCODING;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// A connection to a target.
pub(super) struct Line(SendRequest<Body>);

impl Line {
    /// Begins to speak HTTP/1.
    pub(super) async fn open<S>(stream: S) -> hyper::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the sender and the last answer.
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Waits until the answer before is read to its end; false when the other side has closed the connection.
    pub(super) async fn is_open(&mut self) -> bool {
        self.0.ready().await.is_ok()
    }

    /// Sends a request, or gives it back when none of it was sent: the other side may close a connection at any time.
    pub(super) async fn send(
        &mut self,
        request: Request,
    ) -> Result<hyper::Response<Incoming>, Option<Box<Request>>> {
        self.0.try_send_request(request).await.map_err(|mut error| error.take_message().map(Box::new))
    }
}

/// An answer as the sandbox gets it, without these secrets.
pub(super) fn relay(response: hyper::Response<Incoming>, secrets: Vec<String>) -> Result<Response, Reason> {
    let (mut parts, body) = response.into_parts();
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Reason::UpgradeRefused);
    }
    remove_connection_headers(&mut parts.headers);
    if secrets.is_empty() {
        return Ok(Response::from_parts(parts, Body::new(body)));
    }
    let encoded = parts.headers.get_all(CONTENT_ENCODING).iter().any(|value| value.as_bytes() != b"identity");
    if encoded {
        return Err(Reason::AnswerEncoded);
    }
    redact_headers(&mut parts.headers, &secrets);
    // The words of the status line are the other side's as well.
    parts.extensions.clear();
    let redactor = Redactor::new(secrets);
    let body = Body::from_stream(redacted(Body::new(body).into_data_stream(), redactor));
    Ok(Response::from_parts(parts, body))
}
