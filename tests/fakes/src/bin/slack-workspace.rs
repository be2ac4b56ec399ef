//! The stand-in for Slack as a program, for tests in other languages: configured by one line of JSON on standard input, ends when that is
//! closed. Its first line of output says where it listens; orders go to `/control` there.

use anyhow::Context as _;
use fakes::slack::{Slack, SlackOptions};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut input = BufReader::new(tokio::io::stdin());
    let mut line = String::new();
    input.read_line(&mut line).await.context("no configuration on standard input")?;
    let settings: Value = serde_json::from_str(&line).context("the configuration is no JSON")?;
    let text = |name: &str| settings.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let options = SlackOptions {
        port: 0,
        token: text("token"),
        refresh_token: settings.get("refreshToken").and_then(Value::as_str).map(str::to_owned),
        signing_secret: text("signingSecret"),
        target: text("target"),
    };
    let slack = Slack::start(options).await?;
    println!("{}", json!({"listening": slack.url(), "api": slack.api_url()}));
    // Whoever started it has gone when its end of the pipe has.
    input.read_to_end(&mut Vec::new()).await?;
    Ok(())
}
