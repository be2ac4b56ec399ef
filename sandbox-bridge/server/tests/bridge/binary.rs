//! The program itself: its first line, its end, and what it says about wrong settings.

use crate::support::edge::FakeEdge;
use crate::support::program::{listening, tell_to_end};
use crate::support::{BRIDGE_SECRET, soon};
use protocol::bridge::Health;
use std::process::{Output, Stdio};
use tempfile::TempDir;
use tokio::process::Command;

const GIT_CREDENTIALS: &str = r#"{"https://git.example": "canary-git"}"#;
const MODEL_PROVIDERS: &str =
    r#"{"demo": {"base_url": "http://127.0.0.1:1/v1", "api_key": "canary-model", "kind": "openai"}}"#;

fn bridge(state: &TempDir, edge_url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox-bridge"));
    command
        .args([
            "serve",
            "--edge-url",
            edge_url,
            "--runner",
            "/bin/true",
            "--sandboxes-die-with-bridge",
            "--state",
        ])
        .arg(state.path())
        .env_clear()
        .env("FARHAND_BRIDGE_KEY", BRIDGE_SECRET)
        .env("FARHAND_GIT_CREDENTIALS", GIT_CREDENTIALS)
        .env("FARHAND_MODEL_PROVIDERS", MODEL_PROVIDERS)
        .env("FARHAND_LOG", "trace")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn it_says_where_it_listens_and_ends_when_told() {
    let state = TempDir::new().unwrap();
    let edge = FakeEdge::start().await;
    let mut child = bridge(&state, &edge.url).spawn().unwrap();
    let url = listening(&mut child).await;
    let health: Health = reqwest::get(format!("{url}/health")).await.unwrap().json().await.unwrap();
    assert_eq!((health.protocol_version, health.sandboxes), (protocol::PROTOCOL_VERSION, 0));

    tell_to_end(&child);
    let output = soon("its end", child.wait_with_output()).await.unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let said = text(&output);
    assert!(said.contains("bridge stopped"), "{said}");
    assert!(!said.contains("canary") && !said.contains(BRIDGE_SECRET), "{said}");
    assert!(reqwest::get(format!("{url}/health")).await.is_err());
}

#[tokio::test]
async fn wrong_settings_stop_the_start_with_their_remedy() {
    let state = TempDir::new().unwrap();
    for (name, value, words) in [
        ("FARHAND_BRIDGE_KEY", "short", "FARHAND_BRIDGE_KEY must hold at least 32 bytes"),
        ("FARHAND_GIT_CREDENTIALS", "{canary", "FARHAND_GIT_CREDENTIALS must be JSON like"),
        (
            "FARHAND_MODEL_PROVIDERS",
            r#"{"x": {"api_key": "canary"}}"#,
            "FARHAND_MODEL_PROVIDERS must be JSON like",
        ),
        ("FARHAND_LISTEN", "0.0.0.0:0", "listen on 127.0.0.1, or put TLS in front"),
    ] {
        let output = bridge(&state, "http://127.0.0.1:1").env(name, value).output();
        let output = soon("its end", output).await.unwrap();
        let said = text(&output);
        assert!(!output.status.success() && said.contains(words), "{name}: {said}");
        assert!(!said.contains("canary"), "{name}: {said}");
    }
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = soon("its end", bridge(&state, "http://127.0.0.1:1").args(["--listen", &address]).output())
        .await
        .unwrap();
    let said = text(&output);
    assert!(said.contains(&format!("cannot listen on {address}")) && said.contains("--listen"), "{said}");
}
