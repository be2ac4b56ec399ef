//! The runner's own process, disk and connections fail: nothing is lost, doubled or silently wrong.

use crate::support::bridge::{FakeBridge, items, origin_log};
use crate::support::{BRANCH, Place, Runner, command_id, configuration, start_turn, turn_id};
use protocol::limit::TOOL_OUTPUT_BYTES_MAX;
use protocol::runner::{AgentKind, BridgeMessage, RunnerCommand, RunnerEvent};
use protocol::timeline::{ItemContent, NoticeLevel, TurnOutcome};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

async fn ready(bridge: &FakeBridge) {
    bridge.event(|event| matches!(event, RunnerEvent::Ready { .. }).then_some(())).await;
}

async fn set_up() -> (Place, FakeBridge, Runner) {
    let place = Place::new();
    let bridge = FakeBridge::start(configuration(AgentKind::Scripted), place.repositories()).await;
    let runner = Runner::start(&place, &bridge, 1, None);
    ready(&bridge).await;
    (place, bridge, runner)
}

async fn start(bridge: &FakeBridge, turn: &str, prompt: &str) {
    assert_eq!(bridge.command(&command_id(turn), start_turn(turn, "Ada", prompt)).await, None);
}

async fn end(bridge: &FakeBridge, turn: &str) -> TurnOutcome {
    bridge
        .event(|event| match event {
            RunnerEvent::TurnEnded { turn_id: id, outcome, .. } if *id == turn_id(turn) => {
                Some(outcome.clone())
            }
            _ => None,
        })
        .await
}

fn notices(bridge: &FakeBridge) -> Vec<(NoticeLevel, String)> {
    let notice = |item| match item {
        ItemContent::Notice { level, text } => Some((level, text)),
        _ => None,
    };
    items(bridge).into_iter().filter_map(notice).collect()
}

fn acknowledge(bridge: &FakeBridge, acknowledging: bool) {
    *bridge.known.acknowledging.lock().unwrap() = acknowledging;
}

#[tokio::test]
async fn a_runner_killed_anywhere_in_a_stream_goes_on_without_a_gap() {
    let (place, bridge, mut runner) = set_up().await;
    acknowledge(&bridge, false);
    let whole: String = (0..400).map(|word| format!("word{word} ")).collect();
    for round in 1..=10 {
        let turn = round.to_string();
        start(&bridge, &turn, "stream 400 1").await;
        // Each round is cut somewhere else; the bridge checks every number.
        let reached = bridge.known.last_seq() + round * 37;
        bridge.wait(|known| (known.last_seq() >= reached).then_some(())).await;
        runner.kill();
        runner = Runner::start(&place, &bridge, 1, None);
        let outcome = end(&bridge, &turn).await;
        assert_eq!(
            outcome,
            TurnOutcome::Failed { reason: "the runner was restarted while the turn was on".into() }
        );
    }
    let texts: Vec<_> = items(&bridge)
        .into_iter()
        .filter_map(|item| if let ItemContent::Text { text, .. } = item { Some(text) } else { None })
        .collect();
    assert_eq!(texts.len(), 10);
    assert!(texts.iter().all(|text| !text.is_empty() && whole.starts_with(text)), "{texts:?}");
    let ends = bridge.events().iter().filter(|event| matches!(event, RunnerEvent::TurnEnded { .. })).count();
    assert_eq!(ends, 10);
    assert_eq!(notices(&bridge), []);
}

#[tokio::test]
async fn a_damaged_spool_says_that_an_event_is_missing() {
    let (place, bridge, mut runner) = set_up().await;
    start(&bridge, "1", "say One.").await;
    end(&bridge, "1").await;
    let before = bridge.known.last_seq();
    acknowledge(&bridge, false);
    start(&bridge, "2", "say Two is a canary.\nhang").await;
    bridge.wait(|known| (known.last_seq() >= before + 2).then_some(())).await;
    runner.kill();
    bridge.known.forget_after(before);
    let spool = spool_files(&place).pop().unwrap();
    let mut bytes = std::fs::read(&spool).unwrap();
    let canary = bytes.windows(8).position(|part| part == b"a canary").unwrap();
    bytes[canary] ^= 1;
    std::fs::write(&spool, bytes).unwrap();

    let _runner = Runner::start(&place, &bridge, 1, None);
    assert!(matches!(end(&bridge, "2").await, TurnOutcome::Failed { .. }));
    let [(level, text)] = notices(&bridge).try_into().unwrap();
    assert!(
        level == NoticeLevel::Error && text.contains("was damaged on its disk and is missing here"),
        "{text}"
    );
    assert!(
        !items(&bridge)
            .iter()
            .any(|item| matches!(item, ItemContent::Text { text, .. } if text.contains("canary")))
    );
}

fn spool_files(place: &Place) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(place.spool()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "log")).collect();
    files.sort();
    files
}

#[tokio::test]
async fn a_full_disk_makes_the_agent_wait_and_nothing_is_lost() {
    let place = Place::new();
    let bridge = FakeBridge::start(configuration(AgentKind::Scripted), place.repositories()).await;
    let Some(mut runner) = Runner::start_on_a_small_disk(&place, &bridge) else { return };
    ready(&bridge).await;
    let disk = PathBuf::from(format!("/proc/{}/root", runner.child.id()))
        .join(place.spool().strip_prefix("/").unwrap());

    // The spool itself fills the disk, because the session is away: the next output needs some 70 blocks of it.
    acknowledge(&bridge, false);
    let output = format!("output {TOOL_OUTPUT_BYTES_MAX}\n");
    start(&bridge, "1", &format!("{}say Done.\nwrite a.txt a", output.repeat(6))).await;
    let is_full = || nix::sys::statvfs::statvfs(&disk).unwrap().blocks_free() < 80;
    bridge.wait(|_| is_full().then_some(())).await;
    bridge.event(|event| matches!(event, RunnerEvent::ItemAppended { .. }).then_some(())).await;
    assert!(runner.child.try_wait().unwrap().is_none(), "it waits");
    assert!(!bridge.events().iter().any(|event| matches!(event, RunnerEvent::TurnEnded { .. })));
    acknowledge(&bridge, true);
    bridge.send(BridgeMessage::Ack { seq: bridge.known.last_seq() }).await;
    assert_eq!(end(&bridge, "1").await, TurnOutcome::Completed);
    assert_whole(&bridge, 6);

    // Something else fills it: what cannot be remembered is refused, with the reason.
    start(&bridge, "2", "run until test -e go; do sleep 0.02; done\noutput 20000\nsay After.").await;
    let received = |event: &RunnerEvent| matches!(event, RunnerEvent::TurnReceived { turn_id: id, .. } if *id == turn_id("2"));
    bridge.event(|event| received(event).then_some(())).await;
    let mut ballast = std::fs::File::create(disk.join("ballast")).unwrap();
    while ballast.write_all(&[7; 512]).is_ok() {}
    let stop = RunnerCommand::StopTurn { turn_id: turn_id("other") };
    let refusal = bridge.command(&command_id("stop"), stop).await.unwrap();
    assert!(refusal.contains("ledger cannot be written"), "{refusal}");
    // There is room for the notice, not for the output.
    ballast.set_len(ballast.metadata().unwrap().len() - 8192).unwrap();
    let before = notices(&bridge).len();
    std::fs::write(place.workspace().join("go"), "").unwrap();
    bridge.wait(|_| (notices(&bridge).len() > before).then_some(())).await;
    std::fs::remove_file(disk.join("ballast")).unwrap();
    assert_eq!(end(&bridge, "2").await, TurnOutcome::Completed);
    let shown = items(&bridge);
    assert!(
        shown.iter().any(|item| matches!(item, ItemContent::Tool { output, .. } if output.len() == 20_000))
    );
    assert!(matches!(shown.last().unwrap(), ItemContent::Text { text, .. } if text == "After."));
    let notices = notices(&bridge);
    assert!(notices.len() <= 4, "{notices:?}");
    let is_known =
        |(level, text): &(_, String)| *level == NoticeLevel::Warning && text.contains("no space left");
    assert!(notices.iter().all(is_known), "{notices:?}");
}

fn assert_whole(bridge: &FakeBridge, outputs: usize) {
    let whole = items(bridge)
        .into_iter()
        .filter(|item| matches!(item, ItemContent::Tool { output, omitted_bytes: 0, .. } if output.len() == TOOL_OUTPUT_BYTES_MAX));
    assert_eq!(whole.count(), outputs);
}

#[tokio::test]
async fn a_runner_killed_while_it_pushes_never_reports_a_success() {
    let (place, bridge, mut runner) = set_up().await;
    bridge.known.holding_pushes.send_replace(true);
    start(&bridge, "1", "write a.txt a").await;
    bridge
        .wait(|known| {
            let requests = known.git_requests.lock().unwrap();
            requests.iter().any(|path| path.ends_with("/git-receive-pack")).then_some(())
        })
        .await;
    runner.kill();
    bridge.known.holding_pushes.send_replace(false);
    let _runner = Runner::start(&place, &bridge, 1, None);
    let (outcome, change) = bridge
        .event(|event| match event {
            RunnerEvent::TurnEnded { outcome, change, .. } => Some((outcome.clone(), change.clone())),
            _ => None,
        })
        .await;
    assert_eq!(
        outcome,
        TurnOutcome::Failed { reason: "the runner was restarted while the turn was on".into() }
    );
    // The work is not lost: the next runner has pushed it.
    assert_eq!(change.unwrap().commit, origin_log(&place.repositories(), BRANCH, "%H"));
    start(&bridge, "2", "write b.txt b").await;
    assert_eq!(end(&bridge, "2").await, TurnOutcome::Completed);
    let ends = bridge.events().iter().filter(|event| matches!(event, RunnerEvent::TurnEnded { .. })).count();
    assert_eq!(ends, 2);
}

#[tokio::test]
async fn a_flood_of_output_is_cut_and_costs_no_memory() {
    let (_place, bridge, runner) = set_up().await;
    start(&bridge, "1", "run yes 0123456789 | head -c 500000000\nsay Done.").await;
    assert_eq!(end(&bridge, "1").await, TurnOutcome::Completed);
    let ItemContent::Tool { output, omitted_bytes, .. } = items(&bridge).remove(0) else { panic!() };
    assert_eq!(omitted_bytes, 500_000_000 - TOOL_OUTPUT_BYTES_MAX as u64);
    assert!(output.len() < TOOL_OUTPUT_BYTES_MAX + 100, "{}", output.len());
    let status = std::fs::read_to_string(format!("/proc/{}/status", runner.child.id())).unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kibibytes: u64 = most.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kibibytes < 64 * 1024, "the runner used {most}");
}

#[tokio::test]
async fn an_agent_that_says_nothing_is_known_to_be_alive() {
    let (_place, bridge, _runner) = set_up().await;
    start(&bridge, "1", "hang").await;
    let heartbeat = bridge.event(|event| matches!(event, RunnerEvent::Heartbeat).then_some(()));
    tokio::time::timeout(Duration::from_secs(20), heartbeat).await.unwrap();
    let stop = RunnerCommand::StopTurn { turn_id: turn_id("1") };
    assert_eq!(bridge.command(&command_id("stop"), stop).await, None);
    assert_eq!(end(&bridge, "1").await, TurnOutcome::Stopped);
}

#[tokio::test]
async fn a_bridge_that_stands_still_is_left_for_one_that_answers_and_the_turn_goes_on() {
    let (_place, bridge, _runner) = set_up().await;
    start(&bridge, "1", "say One.\nhang").await;
    let said = |item: ItemContent| matches!(item, ItemContent::Text { .. }).then_some(());
    bridge.wait(|_| items(&bridge).into_iter().find_map(said)).await;
    bridge.stand_still().await;
    bridge.wait(|known| (known.hellos.lock().unwrap().len() == 2).then_some(())).await;
    let stop = RunnerCommand::StopTurn { turn_id: turn_id("1") };
    assert_eq!(bridge.command(&command_id("stop"), stop).await, None);
    assert_eq!(end(&bridge, "1").await, TurnOutcome::Stopped);
}
