//! Agents that die, fall silent, flood or do not stop: the prompt comes to a visible end, and the next one runs.

use super::check::{Expected, settled};
use super::{breakable, eventually, only_sandbox, options, sandboxes_of, words};
use crate::session;
use anyhow::{Context, ensure};
use protocol::client::ClientMessage;
use protocol::limit::TOOL_PREVIEW_BYTES_MAX;
use protocol::timeline::{Delivery, ItemContent, PromptState, SessionEvent, TurnOutcome};
use stack::{Agent, Client, Options, Stack};

#[tokio::test]
async fn a_prompt_that_kills_its_agent_each_time_fails_and_the_next_runs() -> anyhow::Result<()> {
    let stack = breakable("poison").await?;
    let ada = stack.sign_in("ada").await?;
    let (session, mut observer) = session(&ada, "say Ouch.\nexit 7").await?;
    ada.submit(&session, &Client::prompt("write after.txt fine")).await?;
    observer.turns_over(4).await?;
    assert_eq!(observer.attempts(), [1, 2, 3, 1]);
    for end in observer.ends().take(3) {
        ensure!(
            matches!(&end.outcome, TurnOutcome::Failed { reason } if reason.contains("exit code 7")),
            "{end:?}"
        );
    }
    let states: Vec<_> = observer.view.prompts.iter().map(|prompt| prompt.state).collect();
    assert_eq!(states, [PromptState::Failed, PromptState::Done]);
    assert_eq!(only_sandbox(&stack, &session)?.generation, 4);
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 2, commits: 1 }).await
}

#[tokio::test]
async fn a_sandbox_killed_in_the_middle_of_a_turn_is_replaced() -> anyhow::Result<()> {
    let stack = breakable("killed").await?;
    let ada = stack.sign_in("ada").await?;
    let (session, mut observer) = session(&ada, "stream 150 20\nappend after.txt done").await?;
    observer.text_of(300).await?;
    let sandbox = only_sandbox(&stack, &session)?;
    sandbox.kill()?;
    let end = observer.turns_over(2).await?;
    assert_eq!(end.outcome, TurnOutcome::Completed);
    assert_eq!(observer.attempts(), [1, 2]);
    let turns: Vec<_> = observer.view.turns.iter().map(|turn| turn.id.clone()).collect();
    // What people saw of the first attempt stays; the second is whole.
    let first = observer.text_of_turn(turns.first().context("no first attempt")?);
    ensure!(first.len() >= 300 && words(150).starts_with(&first), "{first}");
    assert_eq!(observer.text_of_turn(turns.last().context("no second attempt")?), words(150));
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 1, commits: 1 }).await?;
    ensure!(!sandbox.is_alive());
    Ok(())
}

#[tokio::test]
async fn a_sandbox_that_falls_silent_loses_its_lease_and_is_replaced() -> anyhow::Result<()> {
    let stack = breakable("silent").await?;
    let ada = stack.sign_in("ada").await?;
    let (session, mut observer) =
        session(&ada, "stream 50 20\nrun test -e /tmp/x; sleep 1\nappend after.txt done").await?;
    observer.text_of(100).await?;
    let sandbox = only_sandbox(&stack, &session)?;
    sandbox.freeze()?;
    let end = observer.turns_over(2).await?;
    assert_eq!(end.outcome, TurnOutcome::Completed);
    assert_eq!(observer.attempts(), [1, 2]);
    let lost = observer.ends().next().context("no first end")?;
    ensure!(
        matches!(&lost.outcome, TurnOutcome::Failed { reason } if reason.contains("not been heard of")),
        "{lost:?}"
    );
    eventually("the end of the silent sandbox", || !sandbox.is_alive()).await?;
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 1, commits: 1 }).await
}

#[tokio::test]
async fn a_stop_that_nobody_confirms_is_enforced() -> anyhow::Result<()> {
    let stack = breakable("stop").await?;
    let ada = stack.sign_in("ada").await?;
    let (session, mut observer) = session(&ada, "stream 5000 20").await?;
    observer.text_of(100).await?;
    let sandbox = only_sandbox(&stack, &session)?;
    sandbox.freeze()?;
    let turn_id = observer.running().context("no turn runs")?;
    observer.send(ClientMessage::Stop { turn_id }).await?;
    ada.submit(&session, &Client::prompt("append after.txt done")).await?;
    assert_eq!(observer.turns_over(1).await?.outcome, TurnOutcome::Stopped);
    assert_eq!(observer.turns_over(2).await?.outcome, TurnOutcome::Completed);
    assert_eq!(observer.attempts(), [1, 1]);
    eventually("the end of the frozen sandbox", || !sandbox.is_alive()).await?;
    assert_eq!(sandboxes_of(&stack, &session).len(), 1);
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 2, commits: 1 }).await
}

#[tokio::test]
async fn an_agent_that_hangs_is_known_to_be_alive_and_can_be_stopped() -> anyhow::Result<()> {
    let stack = breakable("hang").await?;
    let ada = stack.sign_in("ada").await?;
    let (session, mut observer) = session(&ada, "say Thinking.\nhang").await?;
    observer.text_of(9).await?;
    let turn_id = observer.running().context("no turn runs")?;
    observer.send(ClientMessage::Stop { turn_id }).await?;
    assert_eq!(observer.turns_over(1).await?.outcome, TurnOutcome::Stopped);
    ada.submit(&session, &Client::prompt("append after.txt done")).await?;
    assert_eq!(observer.turns_over(2).await?.outcome, TurnOutcome::Completed);
    // The same sandbox, because its runner was well all the time.
    assert_eq!(only_sandbox(&stack, &session)?.generation, 1);
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 2, commits: 1 }).await
}

#[tokio::test]
async fn a_flood_of_output_is_cut_kept_as_an_artifact_and_harms_nothing() -> anyhow::Result<()> {
    let stack = breakable("flood").await?;
    let ada = stack.sign_in("ada").await?;
    let (session, mut observer) =
        session(&ada, "output 20000000\nrun yes flood | head -c 5000000\nsay Still here.").await?;
    assert_eq!(observer.turns_over(1).await?.outcome, TurnOutcome::Completed);
    assert_eq!(observer.text(), "Still here.");
    let mut artifacts = 0;
    for item in &observer.view.items {
        if let ItemContent::Tool { output, omitted_bytes, artifact_id, .. } = &item.content {
            ensure!(output.len() <= TOOL_PREVIEW_BYTES_MAX + 64, "{} bytes are shown", output.len());
            ensure!(*omitted_bytes > 4_000_000, "only {omitted_bytes} bytes are said to be left out");
            let id = artifact_id.as_ref().context("the whole output is nowhere")?;
            let whole = ada.artifact(&session, id).await?;
            ensure!(whole.len() > 200 * 1024, "the artifact has {} bytes", whole.len());
            ensure!(whole.contains("bytes left out"), "nothing says that it is not all");
            artifacts += 1;
        }
    }
    assert_eq!(artifacts, 2);
    ada.submit(&session, &Client::prompt("append after.txt done")).await?;
    assert_eq!(observer.turns_over(2).await?.outcome, TurnOutcome::Completed);
    assert_eq!(only_sandbox(&stack, &session)?.generation, 1);
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 2, commits: 1 }).await
}

#[tokio::test]
async fn a_prompt_steered_into_a_turn_that_is_lost_is_not_lost_with_it() -> anyhow::Result<()> {
    let stack = breakable("steer-killed").await?;
    let ada = stack.sign_in("ada").await?;
    let (session, mut observer) = session(&ada, "stream 100 20\nappend a.txt first").await?;
    observer.text_of(100).await?;
    let mut prompt = Client::prompt("append a.txt second");
    prompt.delivery = Delivery::Steer;
    ada.submit(&session, &prompt).await?;
    observer
        .until("the steering", |observer| {
            observer.has_event(|event| matches!(event, SessionEvent::PromptSteered { .. }))
        })
        .await?;
    only_sandbox(&stack, &session)?.kill()?;
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 2, commits: 2 }).await?;
    assert_eq!(observer.attempts(), [1, 2, 1]);
    let branch = format!("{}:a.txt", observer.view.session.branch);
    assert_eq!(stack.github().git("acme/shop", &["show", &branch]).await?, "firstsecond");
    Ok(())
}

/// Takes 600 MB, and ends by itself where that is granted: `tail` keeps a line that has no end.
const HOG: &str = "head -c 600000000 /dev/zero | tail -n 1 > /dev/null";

/// Whether the sandbox may take only so much more memory; says so where this machine cannot do that.
fn leaves(sandbox: &stack::Sandbox, bytes: u64) -> anyhow::Result<bool> {
    let is_limited = sandbox.leave_memory(bytes)?;
    if !is_limited {
        eprintln!("skipped: no control group limits the memory of sandboxes on this machine");
    }
    Ok(is_limited)
}

#[tokio::test]
async fn a_command_that_needs_more_memory_than_there_is_ends_alone() -> anyhow::Result<()> {
    let stack = breakable("memory").await?;
    let ada = stack.sign_in("ada").await?;
    let (session, mut observer) = session(&ada, "say Ready.").await?;
    observer.turns_over(1).await?;
    if !leaves(&only_sandbox(&stack, &session)?, 128 << 20)? {
        return Ok(());
    }
    let script = format!("run {HOG}; echo status $?\nappend after.txt done");
    ada.submit(&session, &Client::prompt(&script)).await?;
    assert_eq!(observer.turns_over(2).await?.outcome, TurnOutcome::Completed);
    // The agent sees how it ended: 128 and SIGKILL.
    ensure!(observer.output().contains("status 137"), "{}", observer.output());
    ada.submit(&session, &Client::prompt("say Still here.")).await?;
    assert_eq!(observer.turns_over(3).await?.outcome, TurnOutcome::Completed);
    assert_eq!(only_sandbox(&stack, &session)?.generation, 1);
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 3, commits: 1 }).await
}

#[tokio::test]
async fn an_agent_that_needs_more_memory_than_there_is_fails_with_the_reason_and_starts_again()
-> anyhow::Result<()> {
    let options = Options { agent: Agent::Opencode, ..options("memory-opencode") };
    let stack = Stack::start(options).await?;
    let ada = stack.sign_in("ada").await?;
    let (session, mut observer) = session(&ada, "Create a file `a.txt` that contains `one`.").await?;
    assert_eq!(observer.turns_over(1).await?.outcome, TurnOutcome::Completed);
    let sandbox = only_sandbox(&stack, &session)?;
    // So little that the agent is the largest of all processes whatever it starts, and the one that the kernel ends.
    if !leaves(&sandbox, 16 << 20)? {
        return Ok(());
    }
    ada.submit(&session, &Client::prompt(&format!("Run `{HOG}`."))).await?;
    let end = observer.turns_over(2).await?;
    ensure!(
        matches!(&end.outcome, TurnOutcome::Failed { reason } if reason.starts_with("OpenCode ran out of memory")),
        "{end:?}"
    );
    ensure!(leaves(&sandbox, 2 << 30)?, "the limit is gone");
    ada.submit(&session, &Client::prompt("Create a file `b.txt` that contains `two`.")).await?;
    observer.prompts_over(3).await?;
    let end = observer.ends().last().context("no end")?;
    assert_eq!(end.outcome, TurnOutcome::Completed);
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 3, commits: 2 }).await
}
