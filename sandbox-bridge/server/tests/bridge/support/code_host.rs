//! A code host: real bare repositories behind `git http-backend`, open to one token only.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;

/// What opens the code host; must never be seen anywhere else.
pub(crate) const TOKEN: &str = "canary-git-token";

#[derive(Clone)]
pub(crate) struct CodeHost {
    pub(crate) url: String,
    pub(crate) root: Arc<TempDir>,
    /// Headers of every request.
    pub(crate) seen: Arc<Mutex<Vec<HeaderMap>>>,
}

impl CodeHost {
    /// With the repository `acme/shop`, whose branch `main` has one commit.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = Self {
            url: format!("http://localhost:{}", listener.local_addr().unwrap().port()),
            root: Arc::new(TempDir::new().unwrap()),
            seen: Arc::default(),
        };
        let root = host.root.path();
        git(root, &["init", "-q", "--bare", "-b", "main", "acme/shop.git"]).await;
        git(root, &["init", "-q", "-b", "main", "seed"]).await;
        let seed = root.join("seed");
        std::fs::write(seed.join("README.md"), "shop\n").unwrap();
        git(&seed, &["add", "."]).await;
        git(&seed, &["commit", "-q", "-m", "Begin"]).await;
        git(&seed, &["push", "-q", "../acme/shop.git", "main"]).await;
        let router =
            Router::new().fallback(serve).layer(DefaultBodyLimit::disable()).with_state(host.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        host
    }

    /// Host and port, by name.
    pub(crate) fn authority(&self) -> String {
        self.url.trim_start_matches("http://").to_owned()
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.root.path().join("acme/shop.git")
    }
}

async fn serve(State(host): State<CodeHost>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    host.seen.lock().unwrap().push(parts.headers.clone());
    let expected = format!("Basic {}", STANDARD.encode(format!("x-access-token:{TOKEN}")));
    let answer = |status| Response::builder().status(status);
    if parts.headers.get("authorization").is_none_or(|value| value.as_bytes() != expected.as_bytes()) {
        return answer(StatusCode::UNAUTHORIZED).body(Body::from("who are you")).unwrap();
    }
    if parts.uri.path().starts_with("/acme/moved.git/") {
        return answer(StatusCode::MOVED_PERMANENTLY)
            .header("location", "/acme/shop.git")
            .body(Body::empty())
            .unwrap();
    }
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let header = |name: &str| parts.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let mut backend = Command::new("git");
    backend.arg("http-backend").env_clear().env("PATH", std::env::var("PATH").unwrap());
    for (name, value) in [
        ("GIT_PROJECT_ROOT", host.root.path().to_str().unwrap().to_owned()),
        ("GIT_HTTP_EXPORT_ALL", "1".to_owned()),
        ("REMOTE_USER", "app".to_owned()),
        ("PATH_INFO", parts.uri.path().to_owned()),
        ("REQUEST_METHOD", parts.method.to_string()),
        ("QUERY_STRING", parts.uri.query().unwrap_or("").to_owned()),
        ("CONTENT_TYPE", header("content-type")),
        ("CONTENT_LENGTH", body.len().to_string()),
        ("HTTP_CONTENT_ENCODING", header("content-encoding")),
        ("GIT_PROTOCOL", header("git-protocol")),
    ] {
        backend.env(name, value);
    }
    let mut child =
        backend.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let (_, output) = tokio::join!(
        async move {
            let _ = stdin.write_all(&body).await;
        },
        child.wait_with_output()
    );
    cgi_response(&output.unwrap().stdout)
}

fn cgi_response(output: &[u8]) -> Response {
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let mut response = Response::new(Body::from(Bytes::copy_from_slice(&output[end + 4..])));
    for line in std::str::from_utf8(&output[..end]).unwrap().split("\r\n") {
        let (name, value) = line.split_once(": ").unwrap();
        if name == "Status" {
            *response.status_mut() = value[..3].parse().unwrap();
        } else {
            let name: HeaderName = name.parse().unwrap();
            response.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        }
    }
    // An answer that gives the credential away, as a careless host might.
    response.headers_mut().insert("x-echo", HeaderValue::from_static(TOKEN));
    response
}

/// Runs git in a folder, apart from this machine's configuration; answers what it did.
pub(crate) async fn try_git(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("git");
    command
        .args(["-c", "user.name=Ann", "-c", "user.email=ann@farhand.example", "-c", "credential.helper="])
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .env("HOME", folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null());
    super::soon("the end of git", command.output()).await.unwrap()
}

/// Runs git, which must succeed; answers its output.
pub(crate) async fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = try_git(folder, arguments).await;
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
