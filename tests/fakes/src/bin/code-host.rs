//! The code host as a program, for tests in other languages: configured by one line of JSON on standard input, ends when that is closed.
//!
//! Its first line of output says where it listens, and where its other side is: what a script does to it is asked there, so that the
//! code host itself has nothing that GitHub does not have. Loopback only, as everything here.

use anyhow::Context as _;
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use fakes::github::{Account, App, Cut, Fate, Fault, Github, GithubOptions, Hook};
use fakes::{seed, token};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn list(value: &Value, name: &str) -> Vec<Value> {
    value.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut input = BufReader::new(tokio::io::stdin());
    let mut line = String::new();
    input.read_line(&mut line).await.context("no configuration on standard input")?;
    let settings: Value = serde_json::from_str(&line).context("the configuration is no JSON")?;
    let root = tempfile::tempdir().context("no temporary folder")?;
    let account = |value: &Value| Account {
        login: text(value, "login"),
        name: text(value, "name"),
        email: text(value, "email"),
        token: text(value, "token"),
    };
    let app = settings.get("app").map(|app| {
        let public_key = base64::engine::general_purpose::STANDARD.decode(text(app, "publicKey"));
        public_key.map(|public_key| App { id: text(app, "id"), public_key })
    });
    let options = GithubOptions {
        root: root.path().join("git"),
        port: 0,
        accounts: list(&settings, "accounts").iter().map(account).collect(),
        app_token: token::installation_token(),
        app: app.transpose().context("the App's public key is not base64")?,
    };
    seed::shop(&options.root).await?;
    let github = Arc::new(Github::start(options).await?);
    let control = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let says = json!({"listening": github.url(), "api": github.api_url(), "control": format!("http://{}", control.local_addr()?)});
    let router = Router::new().route("/", post(obey)).with_state(github);
    let serving = tokio::spawn(async move { axum::serve(control, router).await });
    println!("{says}");
    // Whoever started it has gone when its end of the pipe has.
    input.read_to_end(&mut Vec::new()).await?;
    serving.abort();
    Ok(())
}

async fn obey(State(github): State<Arc<Github>>, Json(order): Json<Value>) -> Json<Value> {
    let repository = text(&order, "repository");
    match text(&order, "do").as_str() {
        "install" => github.install(&repository),
        "uninstall" => github.uninstall(&repository),
        "send_to" => github.send_to(Hook { url: text(&order, "url"), secret: text(&order, "secret") }),
        "script" => github.script(list(&order, "fates").iter().map(|fate| match fate.as_str() {
            Some("lost") => Fate::Lost,
            Some("repeated") => Fate::Repeated,
            Some("overtaken") => Fate::Overtaken,
            Some(_) | None => Fate::Sent,
        })),
        "break" => github.break_calls([Fault {
            method: text(&order, "method"),
            path: text(&order, "path"),
            skip: order
                .get("skip")
                .and_then(Value::as_u64)
                .and_then(|skip| usize::try_from(skip).ok())
                .unwrap_or(0),
            cut: if text(&order, "cut") == "after" { Cut::After } else { Cut::Before },
        }]),
        "branch" => {
            let (branch, file, content) =
                (text(&order, "branch"), text(&order, "file"), text(&order, "content"));
            return Json(match github.commit(&repository, &branch, &file, &content).await {
                Ok(sha) => json!({"sha": sha}),
                Err(error) => json!({"error": error.to_string()}),
            });
        }
        "delivered" => {
            let delivered = github.delivered();
            let rows =
                delivered.iter().map(|one| json!({"id": one.id, "event": one.event, "status": one.status}));
            return Json(rows.collect());
        }
        "pulls" => return Json(serde_json::to_value(github.pulls(&repository)).unwrap_or_default()),
        other => return Json(json!({"error": format!("there is no order {other:?}")})),
    }
    Json(json!({}))
}
