//! The program is told to end: new work is refused, what is being answered is answered, and a second word ends it at once.

use crate::support::edge::FakeEdge;
use crate::support::program::{listening, tell_to_end};
use crate::support::{BRIDGE_SECRET, soon};
use protocol::bridge::Health;
use protocol::error::{ErrorBody, ErrorCode};
use reqwest::StatusCode;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// The program, and a call that it is answering: it waits for the rest of the body.
struct Busy {
    child: Child,
    url: String,
    call: TcpStream,
    _state: TempDir,
    _edge: FakeEdge,
}

impl Busy {
    async fn start() -> Self {
        let (state, edge) = (TempDir::new().unwrap(), FakeEdge::start().await);
        let mut child = Command::new(env!("CARGO_BIN_EXE_sandbox-bridge"))
            .args(["serve", "--weak-sandbox", "--edge-url", &edge.url, "--runner", "/bin/true", "--state"])
            .arg(state.path())
            .env_clear()
            .env("FARHAND_BRIDGE_KEY", BRIDGE_SECRET)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let url = listening(&mut child).await;

        let mut call = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
        let head = "PUT /sandboxes/sbx_1 HTTP/1.1\r\nhost: bridge\r\nauthorization: Bearer x\r\ncontent-length: 2\r\n\
                    expect: 100-continue\r\nconnection: close\r\n\r\n";
        call.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 25];
        soon("the wish for a body", call.read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
        Self { child, url, call, _state: state, _edge: edge }
    }

    /// Tells it to end, and waits until it refuses work.
    async fn tell_and_wait(&self) -> reqwest::Response {
        tell_to_end(&self.child);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        soon("a refusal", async {
            loop {
                let answer = http.get(format!("{}/capabilities", self.url)).send().await.unwrap();
                if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
                    return answer;
                }
                // Without a signature; before the end begins that is what is wrong with it.
                assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await
    }
}

#[tokio::test]
async fn told_to_end_it_refuses_new_work_and_answers_what_it_has_begun() {
    let mut busy = Busy::start().await;
    let refusal = busy.tell_and_wait().await;
    assert_eq!(refusal.headers()["retry-after"], "1");
    let body: ErrorBody = refusal.json().await.unwrap();
    assert_eq!(body.code, ErrorCode::Unavailable);
    assert!(body.message.contains("ask again"), "{}", body.message);
    let health = reqwest::get(format!("{}/health", busy.url)).await.unwrap();
    assert_eq!(health.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(health.json::<Health>().await.unwrap().sandboxes, 0);

    busy.call.write_all(b"{}").await.unwrap();
    let mut answer = String::new();
    soon("the answer", busy.call.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let status = soon("its end", busy.child.wait()).await.unwrap();
    assert!(status.success(), "{status}");
    assert!(reqwest::get(format!("{}/health", busy.url)).await.is_err());
}

#[tokio::test]
async fn a_call_that_never_ends_does_not_keep_it() {
    let mut busy = Busy::start().await;
    busy.tell_and_wait().await;
    let status = tokio::time::timeout(Duration::from_secs(30), busy.child.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn told_twice_it_ends_at_once() {
    let mut busy = Busy::start().await;
    busy.tell_and_wait().await;
    tell_to_end(&busy.child);
    let status = soon("its end", busy.child.wait()).await.unwrap();
    // It says that it did not end in order.
    assert_eq!(status.code(), Some(1));
}
