//! git smart HTTP: hands each request to `git http-backend` and streams both ways.
//!
//! Who may do what is decided here; the backend sees an authenticated user or is not started.

use super::State;
use super::api::token;
use crate::repository;
use axum::body::Body;
use axum::extract::{Path, Request, State as Shared};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt;
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin};
use tokio_util::io::ReaderStream;

/// Longest header block of the backend.
const CGI_HEADER_BYTES_MAX: usize = 64 * 1024;

pub(crate) async fn git(
    Shared(state): Shared<Arc<State>>,
    Path((owner, folder, rest)): Path<(String, String, String)>,
    request: Request,
) -> Response {
    let name = folder.strip_suffix(".git").unwrap_or(&folder).to_owned();
    let Some(who) = token(request.headers()).and_then(|token| state.who(&token)) else {
        let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"stand-in for GitHub\"")];
        return (StatusCode::UNAUTHORIZED, challenge, "Authentication required.\n").into_response();
    };
    if state.visible(&who, &owner, &name).is_none() {
        return (StatusCode::NOT_FOUND, "Repository not found.\n").into_response();
    }
    match backend(&state, who.login(), &format!("/{owner}/{name}.git/{rest}"), request).await {
        Ok(response) => response,
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("stand-in: git http-backend: {error}\n"))
            .into_response(),
    }
}

async fn backend(state: &State, login: &str, path: &str, request: Request) -> std::io::Result<Response> {
    let announcement = announcement(&request);
    let mut child = start(state, login, path, &request)?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(std::io::Error::other("no pipes"));
    };
    tokio::spawn(feed(request.into_body(), stdin, child));
    respond(BufReader::new(stdout), announcement).await
}

/// What GitHub sends first in protocol 2 and `git http-backend` leaves out there; clients read both.
fn announcement(request: &Request) -> Bytes {
    let protocol =
        request.headers().get("git-protocol").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let asks = request.uri().path().ends_with("/info/refs")
        && request.uri().query() == Some("service=git-upload-pack");
    if asks && protocol.split(':').any(|part| part == "version=2") {
        Bytes::from_static(b"001e# service=git-upload-pack\n0000")
    } else {
        Bytes::new()
    }
}

fn start(state: &State, login: &str, path: &str, request: &Request) -> std::io::Result<Child> {
    let text =
        |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut command = repository::command(&state.root);
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &state.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", request.method().as_str())
        .env("PATH_INFO", path)
        .env("QUERY_STRING", request.uri().query().unwrap_or_default())
        .env("CONTENT_TYPE", text("content-type"))
        .env("HTTP_CONTENT_ENCODING", text("content-encoding"))
        .env("GIT_PROTOCOL", text("git-protocol"))
        .env("REMOTE_USER", login)
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(false);
    if let Some(length) = request.headers().get(header::CONTENT_LENGTH) {
        command.env("CONTENT_LENGTH", length.to_str().unwrap_or_default());
    }
    command.spawn()
}

/// Passes the request's body on, then reaps the backend.
async fn feed(body: Body, mut stdin: ChildStdin, mut child: Child) {
    let mut stream = body.into_data_stream();
    while let Some(Ok(piece)) = stream.next().await {
        if stdin.write_all(&piece).await.is_err() {
            break;
        }
    }
    drop(stdin);
    // Its status says nothing that the answer did not say.
    let _ = child.wait().await;
}

/// Reads the CGI header block; the rest is streamed.
async fn respond<R: AsyncRead + Send + Unpin + 'static>(
    mut output: BufReader<R>,
    first: Bytes,
) -> std::io::Result<Response> {
    let mut status = StatusCode::OK;
    let mut headers = HeaderMap::new();
    let mut total = 0;
    loop {
        let mut line = String::new();
        total += output.read_line(&mut line).await?;
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            break;
        }
        if total > CGI_HEADER_BYTES_MAX {
            return Err(std::io::Error::other("header too long"));
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("status") {
            let code = value.trim().split(' ').next().and_then(|code| code.parse().ok()).unwrap_or(500);
            status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        } else if let (Ok(name), Ok(value)) =
            (name.parse::<HeaderName>(), HeaderValue::from_str(value.trim()))
        {
            headers.append(name, value);
        }
    }
    let first = if status.is_success() { first } else { Bytes::new() };
    let first = futures::stream::iter((!first.is_empty()).then_some(Ok(first)));
    Ok((status, headers, Body::from_stream(first.chain(ReaderStream::new(output)))).into_response())
}
