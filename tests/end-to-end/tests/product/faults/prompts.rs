//! Prompts are taken once and run once, with their author's name, whatever is repeated, lost or killed.

use super::check::{Expected, settled};
use super::{breakable, eventually, only_sandbox, options, wires, witness};
use crate::session;
use anyhow::{Context, ensure};
use protocol::client::{CreateSessionRequest, CreateSessionResponse};
use protocol::error::ErrorCode;
use protocol::id::RepositoryId;
use protocol::timeline::TurnOutcome;
use reqwest::Method;
use stack::{Client, Options, Rule, Stack, StackError, Then};

#[tokio::test]
async fn fifty_copies_of_a_prompt_are_one_prompt() -> anyhow::Result<()> {
    let stack = breakable("copies").await?;
    let ada = stack.sign_in("ada").await?;
    let (session, mut observer) = session(&ada, "say First.").await?;
    let prompt = Client::prompt("append once.txt x");
    let sending: Vec<_> = (0..50)
        .map(|_| {
            let (ada, session, prompt) = (ada.clone(), session.clone(), prompt.clone());
            tokio::spawn(async move { ada.submit(&session, &prompt).await })
        })
        .collect();
    let mut answers = Vec::new();
    for answer in sending {
        answers.push(answer.await??);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    let mut other = prompt.clone();
    other.text.push('y');
    let refused = ada.submit(&session, &other).await;
    ensure!(
        matches!(&refused, Err(StackError::Refused(body)) if body.code == ErrorCode::IdConflict),
        "{refused:?}"
    );
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 2, commits: 1 }).await?;
    assert_eq!(ada.submit(&session, &prompt).await?, *answers.first().context("no answer")?);
    let branch = format!("{}:once.txt", observer.view.session.branch);
    assert_eq!(stack.github().git("acme/shop", &["show", &branch]).await?, "x");
    Ok(())
}

#[tokio::test]
async fn a_session_and_a_prompt_whose_answers_are_lost_are_there_once() -> anyhow::Result<()> {
    let stack = breakable("lost-accepted").await?;
    let wire = &wires(&stack)?.clients;
    let ada = stack.sign_in_at(wire.url(), "ada").await?;
    wire.add_rule(Rule::new("POST", "/message", Then::LoseAnswer).times(2));
    wire.add_rule(Rule::new("POST", "/api/sessions", Then::LoseAnswer).times(2));
    let request = CreateSessionRequest {
        repository: RepositoryId::parse("acme/shop")?,
        prompt: Some(Client::prompt("append log.txt one")),
        model: None,
        reservation: None,
    };
    let create = || ada.request::<CreateSessionResponse>(Method::POST, "/api/sessions", Some(&request));
    ensure!(create().await.is_err() && create().await.is_err(), "an answer came through");
    let session = create().await?.session_id;
    let prompt = Client::prompt("append log.txt two");
    ensure!(ada.submit(&session, &prompt).await.is_err() && ada.submit(&session, &prompt).await.is_err());
    ada.submit(&session, &prompt).await?;
    let mut observer = witness(&ada, &session).await?;
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 2, commits: 2 }).await?;
    assert_eq!(ada.sessions().await?.sessions.len(), 1);
    let branch = format!("{}:log.txt", observer.view.session.branch);
    assert_eq!(stack.github().git("acme/shop", &["show", &branch]).await?, "onetwo");
    Ok(())
}

#[tokio::test]
async fn commits_keep_their_authors_whatever_dies_in_between() -> anyhow::Result<()> {
    let mut stack = Stack::start(Options { sandboxes_die_with_bridge: false, ..options("authors") }).await?;
    let ada = stack.sign_in("ada").await?;
    let script = |name: &str| format!("stream 60 20\nappend {name}.txt {name}");
    let (session, _) = session(&ada, &script("ada")).await?;
    for name in ["grace", "alan"] {
        stack.sign_in(name).await?.submit(&session, &Client::prompt(&script(name))).await?;
    }
    let mut observer = witness(&ada, &session).await?;
    // The bridge in the first turn, workerd in the second, the sandbox in the third.
    observer.text_of(100).await?;
    stack.restart_bridge()?;
    observer.turns_over(1).await?;
    observer.until("the second turn", |observer| observer.view.turns.len() == 2).await?;
    stack.restart_workerd().await?;
    observer.turns_over(2).await?;
    observer.until("the third turn", |observer| observer.view.turns.len() == 3).await?;
    let third = observer.running().context("no turn runs")?;
    observer.until("its text", |observer| observer.text_of_turn(&third).len() > 20).await?;
    let sandbox = only_sandbox(&stack, &session)?;
    sandbox.kill()?;
    eventually("the end of the sandbox", || !sandbox.is_alive()).await?;
    observer.turns_over(4).await?;
    assert_eq!(observer.attempts(), [1, 1, 1, 2]);
    ensure!(observer.ends().filter(|end| end.outcome == TurnOutcome::Completed).count() == 3);
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 3, commits: 3 }).await?;
    let branch = format!("refs/heads/main..refs/heads/{}", observer.view.session.branch);
    let log = ["log", "--reverse", "--format=%an <%ae> %cn", &branch];
    let log = stack.github().git("acme/shop", &log).await?;
    assert_eq!(
        log.lines().collect::<Vec<_>>(),
        [
            "Ada Lovelace <ada@acme.example> Ada Lovelace",
            "Grace Hopper <grace@acme.example> Grace Hopper",
            "Alan Turing <alan@acme.example> Alan Turing",
        ]
    );
    let pulls = stack.github().pulls("acme/shop");
    assert_eq!(pulls.iter().map(|pull| pull.author.as_str()).collect::<Vec<_>>(), ["ada"]);
    Ok(())
}
