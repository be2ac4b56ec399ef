//! workerd dies or is replaced: what it answered is stored, what it stored is the same afterwards, and everybody comes back.

use super::check::{Expected, same_for_all, settled};
use super::{breakable, only_sandbox, wires, witness, words};
use crate::{Observer, session};
use anyhow::ensure;
use protocol::timeline::TurnOutcome;
use stack::{Client, Cut, Rule, Then};

#[tokio::test]
async fn a_worker_killed_between_write_and_answer_has_every_event_once() -> anyhow::Result<()> {
    let mut stack = breakable("worker-kills").await?;
    let ada = stack.sign_in("ada").await?;
    let (session, _) = session(&ada, "stream 1500 10\nwrite after.txt done").await?;
    let mut observer = witness(&ada, &session).await?;
    for kill in 1..=3 {
        observer.text_of(1500 * kill).await?;
        let wire = &wires(&stack)?.events;
        let held = wire.counts().held_answers;
        wire.add_rule(Rule::new("POST", "/events", Then::HoldAnswer).times(1));
        // The batch is stored, and its answer has not arrived.
        wire.until("a held answer", |counts| counts.held_answers > held).await?;
        stack.kill_workerd();
        wires(&stack)?.events.cut(Cut::Reset);
        stack.restart_workerd().await?;
    }
    let end = observer.turns_over(1).await?;
    assert_eq!(end.outcome, TurnOutcome::Completed);
    assert_eq!(observer.text(), words(1500));
    assert_eq!(observer.attempts(), [1], "the turn was tried again");
    ensure!(observer.rejoined >= 3, "came back {} times", observer.rejoined);
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 1, commits: 1 }).await
}

#[tokio::test]
async fn a_worker_killed_after_each_effect_and_before_it_hears_of_it_does_nothing_twice() -> anyhow::Result<()>
{
    let mut stack = breakable("effect-kills").await?;
    let ada = stack.sign_in("ada").await?;
    let hold = |path| Rule::new("PUT", path, Then::HoldAnswer).times(1);
    wires(&stack)?.commands.add_rule(hold("/sandboxes/"));
    let session = ada.create_session("acme/shop", Some(Client::prompt("append log.txt once"))).await?;
    let mut observer = witness(&ada, &session).await?;
    for held in 1..=3 {
        let wire = &wires(&stack)?.commands;
        wire.until("a held answer", |counts| counts.held_answers == held).await?;
        let next = ["/commands/", "/snapshots/"].get(usize::try_from(held)? - 1);
        if let Some(path) = next {
            wire.add_rule(hold(path));
        }
        if held == 2 {
            // The turn ends meanwhile, and both follow from that.
            wires(&stack)?.code_host.add_rule(Rule::new("POST", "/pulls", Then::HoldAnswer).times(1));
        }
        if held == 3 {
            wires(&stack)?.code_host.until("a held answer", |counts| counts.held_answers == 1).await?;
        }
        stack.kill_workerd();
        wires(&stack)?.commands.cut(Cut::Reset);
        wires(&stack)?.code_host.cut(Cut::Reset);
        stack.restart_workerd().await?;
        observer.rejoin().await?;
    }
    assert_eq!(observer.turns_over(1).await?.outcome, TurnOutcome::Completed);
    observer.until("the snapshot", |observer| observer.snapshots() == 1).await?;
    assert_eq!(observer.attempts(), [1]);
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 1, commits: 1 }).await?;
    assert_eq!(only_sandbox(&stack, &session)?.generation, 1);
    let layers = std::fs::read_dir(stack.directory().join("sandboxes/layers"))?.count();
    assert_eq!(layers, 2, "the base and one snapshot");
    let branch = format!("{}:log.txt", observer.view.session.branch);
    assert_eq!(stack.github().git("acme/shop", &["show", &branch]).await?, "once");
    Ok(())
}

#[tokio::test]
async fn a_prompt_that_was_stored_when_the_worker_died_is_the_same_prompt_when_it_is_sent_again()
-> anyhow::Result<()> {
    let mut stack = breakable("prompt-and-kill").await?;
    let ada = stack.sign_in("ada").await?;
    let (session, _) = session(&ada, "say First.").await?;
    let mut observer = witness(&ada, &session).await?;
    let through = stack.sign_in_at(wires(&stack)?.clients.url(), "ada").await?;
    let prompt = Client::prompt("append once.txt x");
    wires(&stack)?.clients.add_rule(Rule::new("POST", "/message", Then::HoldAnswer).times(1));
    let sending = tokio::spawn({
        let (through, session, prompt) = (through.clone(), session.clone(), prompt.clone());
        async move { through.submit(&session, &prompt).await }
    });
    wires(&stack)?.clients.until("a held answer", |counts| counts.held_answers == 1).await?;
    stack.kill_workerd();
    wires(&stack)?.clients.cut(Cut::Reset);
    ensure!(sending.await?.is_err(), "the answer came through a cut wire");
    stack.restart_workerd().await?;
    let first = through.submit(&session, &prompt).await?;
    let second = ada.submit(&session, &prompt).await?;
    assert_eq!(first, second);
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 2, commits: 1 }).await?;
    assert_eq!(observer.attempts(), [1, 1]);
    Ok(())
}

#[tokio::test]
async fn everybody_is_back_after_a_deployment_and_sees_the_same() -> anyhow::Result<()> {
    const EACH: usize = 20;
    let mut stack = breakable("deployment").await?;
    let ada = stack.sign_in("ada").await?;
    let (session, _) = session(&ada, "stream 600 20\nwrite after.txt done").await?;
    let mut observer = witness(&ada, &session).await?;
    let mut crowd = Vec::new();
    for login in ["ada", "grace", "alan"] {
        let client = stack.sign_in(login).await?;
        for _ in 0..EACH {
            crowd.push(Observer::join_patiently(&client, &session).await?);
        }
    }
    observer.text_of(600).await?;
    let tasks: Vec<_> = crowd
        .into_iter()
        .map(|mut viewer| {
            tokio::spawn(async move {
                viewer.until("the end of its socket", |viewer| viewer.rejoined > 0).await?;
                viewer.turns_over(1).await?;
                anyhow::Ok(viewer)
            })
        })
        .collect();
    stack.restart_workerd().await?;
    observer.turns_over(1).await?;
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 1, commits: 1 }).await?;
    assert_eq!(observer.text(), words(600));
    for task in tasks {
        let mut viewer = task.await??;
        same_for_all(&ada, &session, &mut viewer).await?;
        assert_eq!(viewer.text(), words(600));
    }
    Ok(())
}
