//! The runner as a process with the scripted agent, against a fake bridge and a real git server.

use crate::support::bridge::{FakeBridge, items, origin_log};
use crate::support::{BRANCH, Place, Runner, TOKEN, command_id, configuration, git, start_turn, turn_id};
use protocol::runner::{AgentKind, BridgeMessage, RunnerCommand, RunnerEvent, RunnerMessage};
use protocol::timeline::{Change, FileDiff, FileStatus, ItemContent, ToolState, TurnOutcome};
use std::time::{Duration, Instant};

struct End {
    outcome: TurnOutcome,
    change: Option<Change>,
    files: Vec<FileDiff>,
    first_token_ms: Option<u64>,
}

async fn turn_end(bridge: &FakeBridge, turn: &str) -> End {
    bridge
        .event(|event| match event {
            RunnerEvent::TurnEnded { turn_id: id, outcome, change, files, first_token_ms, .. }
                if *id == turn_id(turn) =>
            {
                Some(End {
                    outcome: outcome.clone(),
                    change: change.clone(),
                    files: files.clone(),
                    first_token_ms: *first_token_ms,
                })
            }
            _ => None,
        })
        .await
}

async fn ready(bridge: &FakeBridge) -> String {
    bridge
        .event(|event| match event {
            RunnerEvent::Ready { agent } => Some(agent.clone()),
            RunnerEvent::SetupFailed { reason } => panic!("{reason}"),
            _ => None,
        })
        .await
}

async fn set_up() -> (Place, FakeBridge, Runner) {
    let place = Place::new();
    let bridge = FakeBridge::start(configuration(AgentKind::Scripted), place.repositories()).await;
    let runner = Runner::start(&place, &bridge, 1, None);
    assert!(ready(&bridge).await.starts_with("scripted "));
    (place, bridge, runner)
}

#[tokio::test]
async fn a_turn_is_committed_in_its_authors_name_and_pushed() {
    let (place, bridge, _runner) = set_up().await;
    let prompt = "Greet people\nthink Hm.\nsay Hi \u{1f600}.\nstream 3 1\nwrite src/greeting.txt hello\\nworld\\n\nrun echo out; echo err >&2; exit 4\nread README.md\nplan A; B";
    assert_eq!(bridge.command(&command_id("1"), start_turn("1", "Ada", prompt)).await, None);
    let end = turn_end(&bridge, "1").await;
    assert_eq!(end.outcome, TurnOutcome::Completed);
    assert!(end.first_token_ms.is_some());

    let head = origin_log(&place.repositories(), BRANCH, "%H");
    assert_eq!(
        end.change,
        Some(Change {
            branch: BRANCH.into(),
            commit: head,
            subject: "Greet people".into(),
            files_changed: 1,
            additions: 2,
            deletions: 0
        })
    );
    assert_eq!(origin_log(&place.repositories(), BRANCH, "%an <%ae> %cn"), "Ada <ada@example.com> Ada");
    let [file] = end.files.try_into().unwrap();
    assert_eq!(
        (file.path.as_str(), file.status, file.hunks[0].lines.len()),
        ("src/greeting.txt", FileStatus::Added, 2)
    );

    let items = items(&bridge);
    assert_eq!(items[0], ItemContent::Reasoning { text: "Hm.".into(), done: false });
    assert_eq!(items[1], ItemContent::Text { text: "Hi \u{1f600}.".into(), done: false });
    assert_eq!(items[2], ItemContent::Text { text: "word0 word1 word2 ".into(), done: false });
    let ItemContent::Tool { name, title, output, state, .. } = &items[4] else { panic!("{:?}", items[4]) };
    assert_eq!((name.as_str(), title.as_str()), ("bash", "echo out; echo err >&2; exit 4"));
    assert!(output == "out\nerr\n" || output == "err\nout\n", "{output:?}");
    assert!(matches!(state, ToolState::Completed { exit_code: Some(4), .. }), "{state:?}");
    assert!(matches!(&items[5], ItemContent::Tool { output, .. } if output == "# Shop\n\nWelcome.\n"));
    assert!(matches!(&items[6], ItemContent::Plan { steps } if steps.len() == 2));

    // No token in the repository, and the remote is the gateway's plain URL.
    let config = std::fs::read_to_string(place.workspace().join(".git/config")).unwrap();
    assert!(!config.contains(TOKEN), "{config}");
    let url = git(&place.workspace(), &["remote", "get-url", "origin"]);
    assert_eq!(url, format!("{}/git/acme/shop.git", bridge.url()));
}

#[tokio::test]
async fn each_turn_has_its_own_author_and_commands_are_done_once() {
    let (place, bridge, _runner) = set_up().await;
    bridge.command(&command_id("1"), start_turn("1", "Ada", "append log.txt one\\n")).await;
    turn_end(&bridge, "1").await;
    // The same command, and the same turn under another command, do nothing.
    assert_eq!(bridge.command(&command_id("1"), start_turn("1", "Ada", "append log.txt one\\n")).await, None);
    assert_eq!(
        bridge.command(&command_id("1b"), start_turn("1", "Ada", "append log.txt one\\n")).await,
        None
    );
    let own_commit =
        "append log.txt two\\n\nrun git add -A && git commit -qm 'By the agent'\nappend log.txt three\\n";
    bridge.command(&command_id("2"), start_turn("2", "Grace", own_commit)).await;
    let end = turn_end(&bridge, "2").await;
    assert_eq!(end.change.unwrap().additions, 3);
    let log = git(&place.origin(), &["log", "--reverse", "--format=%an: %s", &format!("main..{BRANCH}")]);
    assert_eq!(log, "Ada: append log.txt one\\n\nGrace: By the agent\nGrace: append log.txt two\\n");
    let received =
        bridge.events().iter().filter(|event| matches!(event, RunnerEvent::TurnReceived { .. })).count();
    assert_eq!(received, 2);

    bridge.command(&command_id("3"), start_turn("3", "Ada", "say Nothing to change.")).await;
    let end = turn_end(&bridge, "3").await;
    assert_eq!((end.outcome, end.change, end.files), (TurnOutcome::Completed, None, Vec::new()));
    let answer = bridge.command(&command_id("4"), RunnerCommand::Unknown).await;
    assert!(answer.unwrap().contains("does not know"));
}

#[tokio::test]
async fn a_turn_survives_the_death_of_the_bridge() {
    let (place, mut bridge, _runner) = set_up().await;
    bridge.command(&command_id("1"), start_turn("1", "Ada", "stream 60 20\nwrite a.txt a")).await;
    bridge.event(|event| matches!(event, RunnerEvent::ItemAppended { .. }).then_some(())).await;
    bridge.cut().await;
    // The turn ends and its push fails while nobody is there.
    tokio::time::timeout(Duration::from_secs(20), async {
        while !git(&place.workspace(), &["log", "-1", "--format=%an"]).contains("Ada") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
    bridge.come_back().await;
    let end = turn_end(&bridge, "1").await;
    assert_eq!(end.outcome, TurnOutcome::Completed);
    let text: String = (0..60).map(|word| format!("word{word} ")).collect();
    assert_eq!(items(&bridge)[0], ItemContent::Text { text, done: false });
    assert_eq!(end.change.unwrap().commit, origin_log(&place.repositories(), BRANCH, "%H"));
    assert_eq!(bridge.known.hellos.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_restarted_runner_reports_the_open_turn_once_and_goes_on() {
    let (place, bridge, mut runner) = set_up().await;
    *bridge.known.acknowledging.lock().unwrap() = false;
    bridge.command(&command_id("1"), start_turn("1", "Ada", "write a.txt a\nsay Working.\nhang")).await;
    bridge.event(|event| matches!(event, RunnerEvent::ItemChanged { item } if matches!(item.content, ItemContent::Text { .. })).then_some(())).await;
    runner.kill();
    let mut runner = Runner::start(&place, &bridge, 1, None);
    let end = turn_end(&bridge, "1").await;
    assert_eq!(
        end.outcome,
        TurnOutcome::Failed { reason: "the runner was restarted while the turn was on".into() }
    );
    assert_eq!(end.change.unwrap().commit, origin_log(&place.repositories(), BRANCH, "%H"));
    assert_eq!(origin_log(&place.repositories(), BRANCH, "%an"), "Ada");
    runner.kill();
    let _runner = Runner::start(&place, &bridge, 1, None);
    assert_eq!(bridge.command(&command_id("1"), start_turn("1", "Ada", "say Again.")).await, None);
    bridge.command(&command_id("2"), start_turn("2", "Grace", "write b.txt b")).await;
    assert_eq!(turn_end(&bridge, "2").await.outcome, TurnOutcome::Completed);
    assert_eq!(origin_log(&place.repositories(), BRANCH, "%an"), "Grace");
    let ends = bridge.events().iter().filter(|event| matches!(event, RunnerEvent::TurnEnded { .. })).count();
    assert_eq!(ends, 2);
}

#[tokio::test]
async fn a_poisonous_prompt_kills_the_runner_and_is_reported() {
    let (place, bridge, mut runner) = set_up().await;
    bridge.command(&command_id("1"), start_turn("1", "Ada", "say Bye.\nwait 100\nexit 7")).await;
    let status = tokio::task::spawn_blocking(move || runner.child.wait().unwrap()).await.unwrap();
    assert_eq!(status.code(), Some(7));
    let _runner = Runner::start(&place, &bridge, 1, None);
    assert!(matches!(turn_end(&bridge, "1").await.outcome, TurnOutcome::Failed { .. }));
}

#[tokio::test]
async fn a_stop_ends_the_turn_and_its_processes() {
    let (place, bridge, _runner) = set_up().await;
    let mark = place.folder.path().join("late");
    let prompt = format!("write a.txt a\nrun echo started; sleep 30; touch {}", mark.display());
    bridge.command(&command_id("1"), start_turn("1", "Ada", &prompt)).await;
    bridge
        .event(|event| {
            matches!(event, RunnerEvent::ItemAppended { text, .. } if text == "started\n").then_some(())
        })
        .await;
    let stop = |turn: &str| RunnerCommand::StopTurn { turn_id: turn_id(turn) };
    assert_eq!(bridge.command(&command_id("2"), stop("other")).await, None);
    let began = Instant::now();
    assert_eq!(bridge.command(&command_id("3"), stop("1")).await, None);
    let end = turn_end(&bridge, "1").await;
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(end.outcome, TurnOutcome::Stopped);
    assert!(end.change.is_some(), "what was done before the stop is kept");
    let tool = items(&bridge).pop().unwrap();
    assert!(
        matches!(&tool, ItemContent::Tool { state: ToolState::Failed { message, .. }, .. } if message == "stopped"),
        "{tool:?}"
    );
    assert!(!mark.exists());
}

#[tokio::test]
async fn a_second_turn_is_refused_while_one_runs() {
    let (_place, bridge, _runner) = set_up().await;
    bridge.command(&command_id("1"), start_turn("1", "Ada", "hang")).await;
    let answer = bridge.command(&command_id("2"), start_turn("2", "Ada", "say Hi")).await;
    assert!(answer.unwrap().contains("still running"));
}

#[tokio::test]
async fn a_push_that_is_refused_is_never_a_success() {
    let (place, bridge, _runner) = set_up().await;
    bridge.command(&command_id("1"), start_turn("1", "Ada", "write a.txt a")).await;
    turn_end(&bridge, "1").await;
    place.push_as_other(BRANCH, "other.txt");
    let foreign = origin_log(&place.repositories(), BRANCH, "%H");
    bridge.command(&command_id("2"), start_turn("2", "Ada", "write b.txt b")).await;
    let end = turn_end(&bridge, "2").await;
    let TurnOutcome::Failed { reason } = end.outcome else { panic!("{:?}", end.outcome) };
    assert!(reason.contains("has commits that the workspace does not continue from"), "{reason}");
    assert_eq!(origin_log(&place.repositories(), BRANCH, "%H"), foreign, "nothing is forced");
    // Once the agent has taken the foreign commits in, everything arrives.
    let merge = format!("run git -c user.name=x merge --no-edit origin/{BRANCH}");
    bridge.command(&command_id("3"), start_turn("3", "Ada", &merge)).await;
    let end = turn_end(&bridge, "3").await;
    assert_eq!(end.outcome, TurnOutcome::Completed);
    assert_eq!(end.change.unwrap().files_changed, 3);
}

#[tokio::test]
async fn what_the_agent_does_to_branches_hooks_and_remotes_does_not_matter() {
    let (place, bridge, _runner) = set_up().await;
    let mark = place.folder.path().join("hook-ran");
    let prompt = format!(
        "run git checkout -q --detach && git remote set-url origin http://127.0.0.1:1/x.git && printf '#!/bin/sh\\ntouch {}' > .git/hooks/pre-commit && cp .git/hooks/pre-commit .git/hooks/pre-push && chmod +x .git/hooks/pre-* && git config core.fsmonitor .git/hooks/pre-commit\nwrite -a.txt a",
        mark.display()
    );
    bridge.command(&command_id("1"), start_turn("1", "Ada", &prompt)).await;
    let end = turn_end(&bridge, "1").await;
    assert_eq!(end.outcome, TurnOutcome::Completed);
    assert_eq!(end.files[0].path, "-a.txt");
    assert_eq!(end.change.unwrap().commit, origin_log(&place.repositories(), BRANCH, "%H"));
    assert!(!mark.exists(), "a hook of the repository ran");
    assert_eq!(git(&place.workspace(), &["rev-parse", "--abbrev-ref", "HEAD"]), BRANCH);
}

#[tokio::test]
async fn a_restored_workspace_continues_the_branch() {
    let (place, bridge, mut runner) = set_up().await;
    bridge.command(&command_id("1"), start_turn("1", "Ada", "write a.txt a")).await;
    turn_end(&bridge, "1").await;
    runner.kill();
    place.push_as_other(BRANCH, "other.txt");
    // Another sandbox of the session, with the same folders and an old spool.
    let next = FakeBridge::start(configuration(AgentKind::Scripted), place.repositories()).await;
    let _runner = Runner::start(&place, &next, 2, None);
    ready(&next).await;
    assert!(place.workspace().join("other.txt").exists());
    next.command(&command_id("1"), start_turn("2", "Grace", "write b.txt b")).await;
    let end = turn_end(&next, "2").await;
    assert_eq!(end.change.unwrap().files_changed, 3);
    let RunnerMessage::Hello { next_seq, generation, .. } = next.known.hellos.lock().unwrap()[0].clone()
    else {
        panic!()
    };
    assert_eq!((next_seq, generation), (1, 2));
}

#[tokio::test]
async fn an_existing_branch_is_continued_by_a_fresh_clone() {
    let place = Place::new();
    git(&place.origin(), &["branch", BRANCH, "main"]);
    place.push_as_other(BRANCH, "other.txt");
    let bridge = FakeBridge::start(configuration(AgentKind::Scripted), place.repositories()).await;
    let _runner = Runner::start(&place, &bridge, 1, None);
    ready(&bridge).await;
    assert!(place.workspace().join("other.txt").exists());
}

#[tokio::test]
async fn a_set_up_that_fails_says_why_and_ends_the_runner() {
    let place = Place::new();
    let mut wrong = configuration(AgentKind::Scripted);
    wrong.default_branch = "trunk".into();
    let bridge = FakeBridge::start(wrong, place.repositories()).await;
    let mut runner = Runner::start(&place, &bridge, 1, None);
    let reason = bridge
        .event(|event| match event {
            RunnerEvent::SetupFailed { reason } => Some(reason.clone()),
            _ => None,
        })
        .await;
    assert!(reason.contains("has no branch trunk"), "{reason}");
    let status = tokio::task::spawn_blocking(move || runner.child.wait().unwrap()).await.unwrap();
    assert_eq!(status.code(), Some(1));
}

#[tokio::test]
async fn large_output_is_cut_in_the_middle_and_marked() {
    let (_place, bridge, _runner) = set_up().await;
    bridge.command(&command_id("1"), start_turn("1", "Ada", "output 1000000\nfail on purpose")).await;
    let end = turn_end(&bridge, "1").await;
    assert_eq!(end.outcome, TurnOutcome::Failed { reason: "on purpose".into() });
    let ItemContent::Tool { output, omitted_bytes, .. } = items(&bridge).remove(0) else { panic!() };
    assert_eq!(omitted_bytes, 1_000_000 - 256 * 1024);
    assert!(output.len() < 256 * 1024 + 100 && output.contains("bytes left out"));
    let longest =
        bridge.events().iter().map(|event| serde_json::to_string(event).unwrap().len()).max().unwrap();
    assert!(longest <= protocol::limit::EVENT_BYTES_MAX, "{longest}");
}

#[tokio::test]
async fn a_retired_sandbox_ends_its_runner() {
    let (_place, bridge, mut runner) = set_up().await;
    bridge.command(&command_id("1"), start_turn("1", "Ada", "hang")).await;
    bridge.send(BridgeMessage::Retired { reason: "replaced".into() }).await;
    let status = tokio::task::spawn_blocking(move || runner.child.wait().unwrap()).await.unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn a_prompt_without_directives_is_told_what_there_is() {
    let (_place, bridge, _runner) = set_up().await;
    bridge.command(&command_id("1"), start_turn("1", "Ada", "Please make it nicer.")).await;
    assert_eq!(turn_end(&bridge, "1").await.outcome, TurnOutcome::Completed);
    assert!(
        matches!(&items(&bridge)[0], ItemContent::Text { text, .. } if text.starts_with("Nothing to do:"))
    );
}
