//! A mention in Slack becomes a pull request: workspace, Worker, thread, session, bridge, sandbox, agent and code host, all of them real
//! but Slack and GitHub, which are stand-ins.

use crate::scripted;
use anyhow::{Context, bail, ensure};
use end_to_end::PATIENCE;
use reqwest::Method;
use serde_json::{Value, json};
use stack::Stack;
use std::time::{Duration, Instant};

/// A sandbox, an agent, a push and a pull request lie between a mention and its result.
const LONG: Duration = PATIENCE.saturating_mul(3);
const LOOK: Duration = Duration::from_millis(50);

/// The bot's message that has this in it.
async fn hears(stack: &Stack, words: &str) -> anyhow::Result<Value> {
    let until = Instant::now() + LONG;
    loop {
        let messages = stack.slack().messages();
        let said = messages.iter().filter(|message| message.get("bot_id").is_some());
        if let Some(found) = said.clone().find(|message| message.to_string().contains(words)) {
            return Ok(found.clone());
        }
        if Instant::now() > until {
            bail!("nobody said {words:?}; there was {:#?}", said.collect::<Vec<_>>());
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn write(stack: &Stack, text: &str, thread: &str) -> anyhow::Result<String> {
    let order = json!({"user": "U0ADA", "channel": "C0SHOPDEV", "text": text, "thread": thread});
    let sent = stack.slack().write(&order).await;
    let is_taken = sent.pointer("/deliveries/0/status") == Some(&json!(200));
    ensure!(is_taken, "the Worker does not take it: {sent}");
    Ok(sent.get("ts").and_then(Value::as_str).context("no ts")?.to_owned())
}

fn url_of(message: &Value, label: &str) -> Option<String> {
    let blocks = message.get("blocks")?.as_array()?;
    let elements = blocks.iter().filter_map(|block| block.get("elements")?.as_array()).flatten();
    let mut buttons =
        elements.filter(|element| element.pointer("/text/text").and_then(Value::as_str) == Some(label));
    buttons.next()?.get("url")?.as_str().map(str::to_owned)
}

#[tokio::test]
async fn a_mention_becomes_a_pull_request_and_an_answer_a_prompt() -> anyhow::Result<()> {
    let stack = scripted("slack").await?;
    let ada = stack.sign_in("ada").await?;
    let thread = write(&stack, "<@U0BOT>\nsay I will add a note.\nwrite NOTES.md hello", "").await?;

    let invitation = hears(&stack, "Link my account").await?;
    let url = url_of(&invitation, "Link my account").context("no link")?;
    let (_, code) = url.split_once("#code=").context("no code")?;
    let body = json!({"code": code, "step": "confirm"});
    ada.request::<Value>(Method::POST, "/api/slack/links", Some(&body)).await?;

    let result = hears(&stack, "I will add a note.").await?;
    ensure!(result.get("thread_ts") == Some(&json!(thread)), "{result}");
    ensure!(result.to_string().contains("NOTES.md"), "the result does not name the file: {result}");
    let card = hears(&stack, "Open pull request").await?;
    let pulls = stack.github().pulls("acme/shop");
    assert_eq!(pulls.iter().map(|pull| pull.author.as_str()).collect::<Vec<_>>(), ["ada"]);
    ensure!(card.to_string().contains("*Done*"), "{card}");

    // The agent asks; an answer without a mention reaches it.
    write(&stack, "<@U0BOT>\nsay Shall I go on?", &thread).await?;
    hears(&stack, "Answer in this thread").await?;
    write(&stack, "say I went on.\nwrite MORE.md more", &thread).await?;
    hears(&stack, "I went on.").await?;
    let sessions = ada.sessions().await?.sessions;
    ensure!(sessions.len() == 1, "{sessions:?}");
    Ok(())
}
