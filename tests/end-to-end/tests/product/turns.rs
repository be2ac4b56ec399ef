//! What people do: prompt, watch, prompt again, stop.

use crate::faults::check::same_for_all;
use crate::{Observer, scripted, session};
use anyhow::{Context, ensure};
use protocol::client::ClientMessage;
use protocol::timeline::{ArtifactContent, FileStatus, ItemContent, SessionEvent, ToolState, TurnOutcome};
use stack::fakes::seed::SHOP_PROMPT;
use stack::{Client, Options, Stack};

#[tokio::test]
async fn a_prompt_becomes_a_commit_and_a_pull_request_in_its_authors_name() -> anyhow::Result<()> {
    let stack = scripted("commit").await?;
    let ada = stack.sign_in("ada").await?;
    let (_, mut observer) =
        session(&ada, "say I will add a note.\nwrite NOTES.md hello\nrun cat NOTES.md").await?;
    let end = observer.turns_over(1).await?;
    ensure!(end.outcome == TurnOutcome::Completed, "{end:?}");
    let change = end.change.context("nothing was pushed")?;
    observer.until("the pull request", |observer| observer.pull_request().is_some()).await?;
    observer.until("the snapshot", |observer| observer.snapshots() == 1).await?;

    let commit = ["log", "-1", "--format=%H %an <%ae> %cn <%ce>", &format!("refs/heads/{}", change.branch)];
    assert_eq!(
        stack.github().git("acme/shop", &commit).await?.trim(),
        format!("{} Ada Lovelace <ada@acme.example> Ada Lovelace <ada@acme.example>", change.commit)
    );
    let pulls = stack.github().pulls("acme/shop");
    assert_eq!(
        pulls
            .iter()
            .map(|pull| (pull.author.as_str(), pull.head.as_str(), pull.base.as_str()))
            .collect::<Vec<_>>(),
        [("ada", change.branch.as_str(), "main")]
    );
    let diff = observer.view.artifacts.iter().find_map(|artifact| {
        if let ArtifactContent::Diff { files } = &artifact.content { Some(files.clone()) } else { None }
    });
    let files = diff.context("no diff")?;
    assert_eq!(
        files.iter().map(|file| (file.path.as_str(), file.status, file.additions)).collect::<Vec<_>>(),
        [("NOTES.md", FileStatus::Added, 1)]
    );
    let ran = observer.view.items.iter().any(|item| {
        matches!(&item.content, ItemContent::Tool { output, state: ToolState::Completed { exit_code: Some(0), .. }, .. } if output.trim() == "hello")
    });
    ensure!(ran, "the command's output is not there: {:?}", observer.view.items);
    ensure!(observer.text().contains("I will add a note."));
    Ok(())
}

#[tokio::test]
async fn opencode_fixes_the_shop() -> anyhow::Result<()> {
    let stack = Stack::start(Options { copies_worker: true, ..Options::new("opencode") }).await?;
    let ada = stack.sign_in("ada").await?;
    let (_, mut observer) = session(&ada, SHOP_PROMPT).await?;
    let end = observer.turns_over(1).await?;
    ensure!(end.outcome == TurnOutcome::Completed, "{end:?}");
    let change = end.change.context("nothing was pushed")?;
    ensure!(end.usage.input_tokens > 0 && end.first_token_ms.is_some(), "{:?}", end.usage);
    observer.until("the pull request", |observer| observer.pull_request().is_some()).await?;
    ensure!(
        observer.text().contains("demo model"),
        "the demo model does not say what it is: {}",
        observer.text()
    );

    let directory = stack.directory().join("checkout");
    let clone = ["clone", "--quiet", "--branch", &change.branch, ".", directory.to_str().context("path")?];
    stack.github().git("acme/shop", &clone).await?;
    let test = tokio::process::Command::new("sh").arg("test.sh").current_dir(&directory).output().await?;
    ensure!(
        test.status.success(),
        "the agent's commit does not pass the test: {}",
        String::from_utf8_lossy(&test.stdout)
    );
    Ok(())
}

#[tokio::test]
async fn prompts_of_two_people_queue_and_keep_their_authors() -> anyhow::Result<()> {
    let stack = scripted("queue").await?;
    let (ada, grace) = (stack.sign_in("ada").await?, stack.sign_in("grace").await?);
    let (session, mut observer) = session(&ada, "stream 60 20\nwrite a.txt ada").await?;
    observer.text_of(20).await?;
    let mut second = Observer::join(&grace, &session).await?;
    let prompt = Client::prompt("write b.txt grace");
    second.send(ClientMessage::Prompt { prompt: prompt.clone() }).await?;
    // The same prompt again, as a client does that missed the answer.
    second.send(ClientMessage::Prompt { prompt }).await?;

    observer.turns_over(2).await?;
    observer.until("the second snapshot", |observer| observer.snapshots() == 2).await?;
    second.until("the same", |second| second.seq >= observer.seq).await?;
    assert_eq!(observer.view, second.view);
    same_for_all(&ada, &session, &mut observer).await?;
    assert_eq!(observer.view.prompts.len(), 2);

    let branch = observer.view.session.branch.clone();
    let log = stack
        .github()
        .git("acme/shop", &["log", "-2", "--format=%an", &format!("refs/heads/{branch}")])
        .await?;
    assert_eq!(log.lines().collect::<Vec<_>>(), ["Grace Hopper", "Ada Lovelace"]);
    assert_eq!(stack.github().pulls("acme/shop").len(), 1);
    let joined = observer
        .events
        .iter()
        .filter(|record| matches!(record.event, SessionEvent::ParticipantJoined { .. }))
        .count();
    assert_eq!(joined, 1, "Grace joined once");
    Ok(())
}

#[tokio::test]
async fn a_stopped_turn_ends_and_the_next_prompt_runs() -> anyhow::Result<()> {
    let stack = scripted("stop").await?;
    let ada = stack.sign_in("ada").await?;
    let (session, mut observer) = session(&ada, "say Waiting.\nwait 600000").await?;
    observer.text_of(8).await?;
    let turn_id = observer.running().context("no turn runs")?;
    observer.send(ClientMessage::Stop { turn_id: turn_id.clone() }).await?;
    let end = observer.turns_over(1).await?;
    assert_eq!(end.outcome, TurnOutcome::Stopped);
    let stopped_by = observer
        .has_event(|event| matches!(event, SessionEvent::StopRequested { by, .. } if *by == ada.user().id));
    ensure!(stopped_by, "nobody knows who stopped it");
    ada.submit(&session, &Client::prompt("say Next.")).await?;
    assert_eq!(observer.turns_over(2).await?.outcome, TurnOutcome::Completed);
    Ok(())
}

#[tokio::test]
async fn a_conversation_outlives_its_sandbox() -> anyhow::Result<()> {
    let stack = scripted("poison").await?;
    let ada = stack.sign_in("ada").await?;
    let (session, mut observer) =
        session(&ada, "write kept.txt before\nrun echo secret > untracked.log").await?;
    observer.turns_over(1).await?;
    observer.until("the snapshot", |observer| observer.snapshots() == 1).await?;
    // The runner ends each time this runs: three attempts, each in a new sandbox, then the queue goes on.
    ada.submit(&session, &Client::prompt("exit 7")).await?;
    ada.submit(&session, &Client::prompt("run cat kept.txt untracked.log")).await?;
    let end = observer.turns_over(5).await?;
    assert_eq!(end.outcome, TurnOutcome::Completed);
    let attempts: Vec<u32> = observer.view.turns.iter().map(|turn| turn.attempt).collect();
    assert_eq!(attempts, [1, 1, 2, 3, 1]);
    ensure!(
        observer.output().contains("before") && observer.output().contains("secret"),
        "{}",
        observer.output()
    );
    Ok(())
}
