//! The Worker with its real objects, in workerd, beside a real bridge: what a session calls at its repository's object, what a bridge
//! reports to it, and time that passes for it.

use protocol::sign::{Audience, BridgeKeys, sign_request};
use sandbox_bridge::clock;
use serde::Serialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

/// No single step takes longer, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Of the edge's own tests.
pub(crate) const EDGE_SECRET: &str = "bridge-key-of-the-edge-tests-0123456789";

async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The Worker with its objects; ends with its input.
pub(crate) struct Worker {
    pub(crate) origin: String,
    repository: &'static str,
    ask: String,
    http: reqwest::Client,
    _input: ChildStdin,
    _child: Child,
}

impl Worker {
    /// For this repository. `None` where it cannot be run, after saying so.
    pub(crate) async fn start(repository: &'static str, bridge_url: &str) -> Option<Self> {
        if !root().join("build/index_bg.wasm").exists() {
            println!("skipped: there is no Worker; build it with cargo xtask build");
            return None;
        }
        let mut command = Command::new("node");
        command.arg("tests/edge/support/object-server.mjs").current_dir(root());
        command.env("BRIDGE_URL", bridge_url).stdin(Stdio::piped()).stdout(Stdio::piped());
        // It ends when its input does, and takes workerd along; killed, it would leave that behind.
        let Ok(mut child) = command.stderr(Stdio::null()).spawn() else {
            println!("skipped: node is not installed");
            return None;
        };
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said: Value = soon("the Worker", async {
            loop {
                let line = lines.next_line().await.unwrap().unwrap();
                if line.starts_with("{\"origin\"") {
                    return serde_json::from_str(&line).unwrap();
                }
            }
        })
        .await;
        // What it prints later goes nowhere, and must not stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let text = |name: &str| said[name].as_str().unwrap().to_owned();
        Some(Self {
            origin: text("origin"),
            repository,
            ask: text("ask"),
            // A connection that has been idle may be closed at the moment in which it is used again.
            http: reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap(),
            _input: child.stdin.take().unwrap(),
            _child: child,
        })
    }

    async fn post(&self, path: &str, body: &Value) -> reqwest::Response {
        let call = self.http.post(format!("{}/{path}", self.ask)).json(body);
        soon(path, call.send()).await.unwrap()
    }

    /// A call to the repository's object, and how many milliseconds it took there.
    pub(crate) async fn ask(&self, call: &str, body: &Value) -> (Value, f64) {
        let answer = self.post(&format!("{}/{call}", self.repository), body).await;
        let took = answer.headers()["x-took-ms"].to_str().unwrap().parse().unwrap();
        (answer.json().await.unwrap(), took)
    }

    /// What people see of the repository.
    pub(crate) async fn status(&self) -> Value {
        self.ask("status", &json!({})).await.0
    }

    /// Waits until people see the repository as wanted.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                last = self.status().await;
                if wanted(&last) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        assert!(found.await.is_ok(), "waited in vain for {what}: {last:#}");
        last
    }

    /// The tables of the repository's object.
    pub(crate) async fn ledger(&self) -> Value {
        self.ask("ledger", &json!({})).await.0
    }

    /// Lets time pass for the repository's object, which is taken out of memory; then it does what is due.
    pub(crate) async fn pass(&self, time: Duration) {
        let (answer, _) = self.ask("pass", &json!({ "ms": time.as_millis() as u64 })).await;
        assert_eq!(answer, json!({}), "time could not pass");
    }

    /// A user's request to the Worker; answers its body.
    pub(crate) async fn user(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.post(method, &json!({ "path": path, "body": body })).await;
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// A bridge's report about the repository, which must be taken.
    pub(crate) async fn report(&self, path: &str, body: &impl Serialize) {
        let path = format!("/api/bridge/repositories/{}/{path}", self.repository);
        let (status, text) = self.say(&path, body).await;
        assert!((200..300).contains(&status), "{path}: {status} {text}");
    }

    /// A bridge's report; answers status and body.
    pub(crate) async fn say(&self, path: &str, body: &impl Serialize) -> (u16, Value) {
        let body = serde_json::to_vec(body).unwrap();
        let key = BridgeKeys::parse(EDGE_SECRET).unwrap();
        let nonce = clock::random().unwrap();
        let signature = sign_request(&key, Audience::Edge, "POST", path, &body, nonce, clock::now());
        let call = self.http.post(format!("{}{path}", self.origin)).header("authorization", signature);
        let answer = soon("the report", call.body(body).send()).await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }
}
