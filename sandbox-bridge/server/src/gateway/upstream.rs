//! The gateway's way out: sends a request to a code host or model provider and passes the answer on as it comes.
//!
//! Never follows redirects, never buffers, and passes only the headers on that its caller names.

use super::redact::Redactor;
use crate::config::is_loopback;
use axum::body::Body;
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use rustls::pki_types::CertificateDer;
use std::future::ready;
use std::time::Duration;
use url::Url;

/// Longest silence in the middle of an answer; models think long before they write.
const READ_TIMEOUT: Duration = Duration::from_secs(600);

/// HTTP clients of the gateway.
pub(super) struct Upstream {
    outside: reqwest::Client,
    /// A proxy of this machine's environment is not for its own services.
    loopback: reqwest::Client,
}

impl Upstream {
    /// `extra` are certificate authorities beside the usual ones.
    pub(super) fn new(extra: &[CertificateDer<'static>]) -> Result<Self, reqwest::Error> {
        let extra: Result<Vec<_>, _> = extra.iter().map(|der| reqwest::Certificate::from_der(der)).collect();
        let extra = extra?;
        let builder = || {
            let builder = reqwest::Client::builder();
            extra
                .iter()
                .fold(builder, |builder, certificate| builder.add_root_certificate(certificate.clone()))
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(Duration::from_secs(10))
                .read_timeout(READ_TIMEOUT)
                .tcp_nodelay(true)
        };
        Ok(Self { outside: builder().build()?, loopback: builder().no_proxy().build()? })
    }

    /// Sends a request whose body streams.
    pub(super) async fn send(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: reqwest::Body,
    ) -> Result<reqwest::Response, reqwest::Error> {
        let client = if is_loopback(&url) { &self.loopback } else { &self.outside };
        client.request(method, url).headers(headers).body(body).send().await
    }
}

/// The headers of `from` that are in `names`, in all their values.
pub(super) fn select(from: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let mut selected = HeaderMap::new();
    for name in names {
        for value in from.get_all(name) {
            selected.append(name.clone(), value.clone());
        }
    }
    selected
}

/// An answer as the sandbox gets it: selected headers, and a body that flows without the secrets.
pub(super) fn relay(response: reqwest::Response, names: &[HeaderName], secrets: Vec<String>) -> Response {
    let head = head(&response, names, &secrets);
    respond(head, Body::from_stream(redacted(response.bytes_stream(), Redactor::new(secrets))))
}

/// The same, read along by somebody, who is dropped before the end of the answer is passed on.
pub(super) fn relay_read(
    response: reqwest::Response,
    names: &[HeaderName],
    secrets: Vec<String>,
    reader: impl FnMut(&[u8]) + Send + 'static,
) -> Response {
    let mut head = head(&response, names, &secrets);
    // A body of known length is over with its last byte, whose reader may want to be quicker.
    head.1.remove(CONTENT_LENGTH);
    let mut reader = Some(reader);
    let chunks = response.bytes_stream().map(Some).chain(stream::once(ready(None)));
    let read = chunks.filter_map(move |chunk| {
        match (&chunk, &mut reader) {
            (Some(Ok(chunk)), Some(read)) => read(chunk),
            (Some(_), _) => {}
            (None, reader) => drop(reader.take()),
        }
        ready(chunk)
    });
    respond(head, Body::from_stream(redacted(read, Redactor::new(secrets))))
}

fn head(response: &reqwest::Response, names: &[HeaderName], secrets: &[String]) -> (StatusCode, HeaderMap) {
    let mut headers = select(response.headers(), names);
    redact_headers(&mut headers, secrets);
    (response.status(), headers)
}

/// Takes secrets out of headers: a value loses them, and a header that is named by one goes.
pub(super) fn redact_headers(headers: &mut HeaderMap, secrets: &[String]) {
    // Names of headers have lost their capitals.
    let in_names = Redactor::new(secrets.iter().map(|secret| secret.to_ascii_lowercase()));
    let telling: Vec<HeaderName> = headers
        .keys()
        .filter(|name| in_names.whole(name.as_str().as_bytes()) != name.as_str().as_bytes())
        .cloned()
        .collect();
    for name in telling {
        headers.remove(name);
    }
    let in_values = Redactor::new(secrets.iter().cloned());
    for value in headers.values_mut() {
        let clean = in_values.whole(value.as_bytes());
        if clean != value.as_bytes()
            && let Ok(clean) = HeaderValue::from_bytes(&clean)
        {
            *value = clean;
        }
    }
}

fn respond((status, headers): (StatusCode, HeaderMap), body: Body) -> Response {
    let mut relayed = Response::new(body);
    *relayed.status_mut() = status;
    *relayed.headers_mut() = headers;
    relayed
}

pub(super) fn redacted<E>(
    chunks: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    redactor: Redactor,
) -> impl Stream<Item = Result<Bytes, E>> + Send + 'static
where
    E: Send + 'static,
{
    let state = (Box::pin(chunks), redactor, false);
    stream::unfold(state, async |(mut chunks, mut redactor, ended)| {
        if ended {
            return None;
        }
        loop {
            match chunks.next().await {
                Some(Ok(chunk)) => {
                    let passed = redactor.pass(chunk);
                    if !passed.is_empty() {
                        return Some((Ok(passed), (chunks, redactor, false)));
                    }
                }
                Some(Err(error)) => return Some((Err(error), (chunks, redactor, true))),
                None => {
                    let rest = redactor.finish();
                    return (!rest.is_empty()).then_some((Ok(rest), (chunks, redactor, true)));
                }
            }
        }
    })
}
