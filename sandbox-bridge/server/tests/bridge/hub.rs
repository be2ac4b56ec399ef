//! Runner connections: who may attach, that no event is lost or doubled whatever fails, and that commands arrive.

use crate::support::edge::{FakeEdge, Fault};
use crate::support::runner::{FakeRunner, appended, record};
use crate::support::{GatewaySettings, PATIENCE, Stack, order, sandbox_id, soon};
use protocol::error::ErrorCode;
use protocol::id::TurnId;
use protocol::limit::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX};
use protocol::runner::{AgentKind, BridgeMessage, RunnerEvent, RunnerMessage, SandboxMemory};
use reqwest::StatusCode;
use sandbox_bridge::provider::SandboxExit;
use sandbox_bridge::serve::Sandboxes;
use std::time::{Duration, Instant};

fn seqs(stack: &Stack) -> Vec<u64> {
    stack.edge.read(|session| session.stored.iter().map(|record| record.seq).collect())
}

fn up_to(last: u64) -> Vec<u64> {
    (1..=last).collect()
}

#[tokio::test]
async fn a_runner_is_announced_welcomed_and_configured() {
    let stack = Stack::start().await;
    let id = stack.create(&order("1", 1)).await;
    let place = stack.bridge.provider().place(&id);
    let mut runner = FakeRunner::dial(&place.url, &place.token).await.unwrap();
    runner.hello(&id, 1).await;
    let (resume_from, configuration) = runner.expect_welcome().await;
    assert_eq!(resume_from, 1);
    assert_eq!(configuration.session_id.as_str(), "ses_1");
    assert_eq!((configuration.branch.as_str(), configuration.agent), ("farhand/one", AgentKind::Scripted));
    let attached = stack.edge.read(|session| session.attached.clone());
    assert_eq!(attached.len(), 1);
    assert_eq!((&attached[0].sandbox_id, attached[0].generation), (&id, 1));
    assert_eq!(
        (attached[0].bridge_url.as_str(), attached[0].runner_version.as_str()),
        (stack.bridge.url.as_str(), "0.0.0-test")
    );

    runner.events(1..=3).await;
    runner.expect_ack(3).await;
    drop(runner);
    let mut again = FakeRunner::dial(&place.url, &place.token).await.unwrap();
    again.hello(&id, 1).await;
    assert_eq!(again.expect_welcome().await.0, 4);
    assert_eq!(stack.edge.read(|session| session.unsigned), 0);
}

#[tokio::test]
async fn only_the_sandbox_of_the_socket_gets_in() {
    let stack = Stack::start().await;
    let (one, two) = (stack.create(&order("1", 1)).await, stack.create(&order("2", 1)).await);
    let (place_one, place_two) = (stack.bridge.provider().place(&one), stack.bridge.provider().place(&two));
    for token in ["", "x", place_two.token.as_str(), &place_one.token[..place_one.token.len() - 2]] {
        assert!(FakeRunner::dial(&place_one.url, token).await.is_err(), "{token:?}");
    }
    let mut runner = FakeRunner::dial(&place_one.url, &place_one.token).await.unwrap();
    runner.hello(&two, 1).await;
    assert_eq!(runner.next().await, None);
    let mut runner = FakeRunner::dial(&place_one.url, &place_one.token).await.unwrap();
    runner.hello(&one, 2).await;
    assert_eq!(runner.next().await, None);
    let mut runner = FakeRunner::dial(&place_one.url, &place_one.token).await.unwrap();
    runner.events(1..=1).await;
    assert_eq!(runner.next().await, None);
    assert!(stack.edge.read(|session| session.attached.is_empty() && session.stored.is_empty()));
}

#[tokio::test]
async fn a_quiet_stream_goes_at_once_and_a_running_one_in_batches() {
    let stack = Stack::start().await;
    let (_, mut runner) = stack.attached().await;
    let begin = Instant::now();
    runner.events(1..=1).await;
    runner.expect_ack(1).await;
    let first = begin.elapsed();
    for seq in 2..=400 {
        runner.events(seq..=seq).await;
    }
    runner.expect_ack(400).await;
    assert_eq!(seqs(&stack), up_to(400));
    let batches = stack.edge.read(|session| session.batches.clone());
    assert!(first < Duration::from_millis(40), "the first event took {first:?}");
    assert_eq!(batches[0].1, [1]);
    assert!(batches.iter().all(|(_, seqs)| seqs.len() <= BATCH_EVENTS_MAX));
    assert!(batches.len() <= 40, "{} batches", batches.len());
    assert_eq!(stack.edge.read(|session| session.in_flight_max), 1);
}

#[tokio::test]
async fn what_people_wait_for_is_not_held_back() {
    let stack = Stack::start().await;
    let (_, mut runner) = stack.attached().await;
    runner.events(1..=1).await;
    runner.expect_ack(1).await;
    let turn_id = TurnId::parse("trn_1").unwrap();
    let events = vec![appended(2), record(3, RunnerEvent::TurnReceived { turn_id, attempt: 1 })];
    let begin = Instant::now();
    runner.say(&RunnerMessage::Events { events }).await;
    runner.expect_ack(3).await;
    assert!(begin.elapsed() < Duration::from_millis(40), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn batches_stay_within_their_size_but_one_large_event_passes() {
    let stack = Stack::start().await;
    let (_, mut runner) = stack.attached().await;
    let large = |seq, len| record(seq, RunnerEvent::SetupStep { step: "x".repeat(len) });
    let mut events: Vec<_> = (1..=20).map(|seq| large(seq, 60 * 1024)).collect();
    events.push(large(21, 600 * 1024));
    runner.say(&RunnerMessage::Events { events }).await;
    runner.expect_ack(21).await;
    let batches = stack.edge.read(|session| session.batches.clone());
    assert!(batches.iter().all(|(_, seqs)| seqs.len() <= BATCH_BYTES_MAX / (60 * 1024)), "{batches:?}");
    assert_eq!(seqs(&stack), up_to(21));
}

#[tokio::test]
async fn a_lost_ack_loses_and_doubles_nothing() {
    let stack = Stack::start().await;
    let (_, mut runner) = stack.attached().await;
    stack.edge.change(|session| {
        let slow = Fault::Slow(Duration::from_millis(30));
        session.faults =
            [Fault::AckLost, slow, Fault::AckLost, Fault::Refused(ErrorCode::Unavailable)].into();
    });
    for first in (1..=200).step_by(10) {
        runner.events(first..=first + 9).await;
    }
    runner.expect_ack(200).await;
    assert_eq!(seqs(&stack), up_to(200));
    assert!(stack.edge.read(|session| session.faults.is_empty()));
    assert_eq!(stack.edge.read(|session| session.in_flight_max), 1);
}

#[tokio::test]
async fn an_edge_that_comes_later_misses_nothing() {
    let edge = FakeEdge::absent().await;
    let stack = Stack::start_at(edge, GatewaySettings::default(), Vec::new()).await;
    let id = stack.create(&order("1", 1)).await;
    let place = stack.bridge.provider().place(&id);
    let mut runner = FakeRunner::dial(&place.url, &place.token).await.unwrap();
    runner.hello(&id, 1).await;
    stack.edge.begin().await;
    runner.expect_welcome().await;
    stack.edge.change(|session| session.down = Some(ErrorCode::Unavailable));
    for seq in 1..=120 {
        runner.events(seq..=seq).await;
    }
    stack.edge.until("a batch that is refused", |session| session.nonces.len() >= 3).await;
    stack.edge.change(|session| session.down = None);
    runner.expect_ack(120).await;
    assert_eq!(seqs(&stack), up_to(120));
}

#[tokio::test]
async fn a_session_that_lacks_events_gets_them_again() {
    let stack = Stack::start().await;
    let (id, mut runner) = stack.attached().await;
    runner.events(1..=5).await;
    runner.expect_ack(5).await;
    // The session falls back, as if it had lost what it acknowledged.
    stack.edge.change(|session| session.stored.truncate(2));
    runner.events(6..=6).await;
    assert_eq!(runner.next().await, None);
    let place = stack.bridge.provider().place(&id);
    let mut again = FakeRunner::dial(&place.url, &place.token).await.unwrap();
    again.hello(&id, 1).await;
    assert_eq!(again.expect_welcome().await.0, 3);
    again.events(3..=6).await;
    again.expect_ack(6).await;
    assert_eq!(seqs(&stack), up_to(6));
}

#[tokio::test]
async fn repeated_events_are_passed_over_and_gaps_end_the_connection() {
    let stack = Stack::start().await;
    let (id, mut runner) = stack.attached().await;
    runner.events(1..=4).await;
    runner.events(3..=6).await;
    runner.expect_ack(6).await;
    assert_eq!(seqs(&stack), up_to(6));
    runner.events(8..=8).await;
    assert_eq!(runner.next().await, None);
    for nonsense in ["", "{", r#"{"type":"events","events":[{"seq":1}]}"#, r#"{"type":"hello"}"#] {
        let mut runner = stack.dial(&id).await;
        runner.say_text(nonsense.to_owned()).await;
        assert_eq!(runner.next().await, None, "{nonsense}");
    }
    let mut runner = stack.dial(&id).await;
    runner.say_text(r#"{"type":"from_the_future","x":1}"#.to_owned()).await;
    runner.events(7..=7).await;
    runner.expect_ack(7).await;
}

#[tokio::test]
async fn a_stale_sandbox_is_retired_and_ended() {
    for code in [ErrorCode::GenerationStale, ErrorCode::NotFound] {
        let stack = Stack::start().await;
        let (id, mut runner) = stack.attached().await;
        stack.edge.change(|session| session.faults = [Fault::Refused(code)].into());
        runner.events(1..=1).await;
        assert!(matches!(runner.next().await, Some(BridgeMessage::Retired { .. })), "{code:?}");
        assert_eq!(runner.next().await, None);
        soon("the end of the sandbox", async {
            while !stack.bridge.provider().list_ids().is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(stack.command(&id, "1").await.unwrap_err().code, ErrorCode::NotFound);
    }
}

#[tokio::test]
async fn a_runner_that_attaches_to_a_gone_session_is_retired() {
    let stack = Stack::start().await;
    let id = stack.create(&order("1", 1)).await;
    stack.edge.change(|session| session.down = Some(ErrorCode::GenerationStale));
    let place = stack.bridge.provider().place(&id);
    let mut runner = FakeRunner::dial(&place.url, &place.token).await.unwrap();
    runner.hello(&id, 1).await;
    assert!(matches!(runner.next().await, Some(BridgeMessage::Retired { .. })));
}

#[tokio::test]
async fn commands_reach_the_newest_connection_quickly() {
    let stack = Stack::start().await;
    let (id, mut old) = stack.attached().await;
    let mut runner = stack.dial(&id).await;
    assert_eq!(old.next().await, None);
    let mut times = Vec::new();
    for number in 0..50 {
        let begin = Instant::now();
        let name = number.to_string();
        let (answer, got) = tokio::join!(stack.command(&id, &name), runner.next());
        assert_eq!(answer, Ok(serde_json::json!({})));
        times.push(begin.elapsed());
        match got {
            Some(BridgeMessage::Command { command_id, .. }) => {
                assert_eq!(command_id.as_str(), format!("cmd_{number}"))
            }
            other => panic!("expected a command, got {other:?}"),
        }
    }
    times.sort();
    assert!(times[25] < Duration::from_millis(10), "median {:?}", times[25]);
}

#[tokio::test]
async fn a_command_without_a_runner_is_to_be_tried_again() {
    let stack = Stack::start().await;
    let id = stack.create(&order("1", 1)).await;
    assert_eq!(stack.command(&id, "1").await.unwrap_err().code, ErrorCode::Unavailable);
    assert_eq!(stack.command(&sandbox_id("other"), "1").await.unwrap_err().code, ErrorCode::NotFound);
    let runner = stack.dial(&id).await;
    drop(runner);
    soon("the bridge to notice", async { while stack.command(&id, "2").await.is_ok() {} }).await;
    assert_eq!(stack.command(&id, "2").await.unwrap_err().code, ErrorCode::Unavailable);
}

#[tokio::test]
async fn a_command_that_comes_with_the_announcement_follows_the_welcome() {
    let stack = Stack::start().await;
    let id = stack.create(&order("1", 1)).await;
    stack.edge.change(|session| session.down = Some(ErrorCode::Unavailable));
    let place = stack.bridge.provider().place(&id);
    let mut runner = FakeRunner::dial(&place.url, &place.token).await.unwrap();
    runner.hello(&id, 1).await;
    stack.edge.until("the announcement", |session| !session.nonces.is_empty()).await;
    let (answer, ()) = tokio::join!(stack.command(&id, "1"), async {
        stack.edge.change(|session| session.down = None);
        runner.expect_welcome().await;
        assert!(matches!(runner.next().await, Some(BridgeMessage::Command { .. })));
    });
    assert_eq!(answer, Ok(serde_json::json!({})));
}

#[tokio::test]
async fn an_exit_is_reported_after_the_last_events() {
    let stack = Stack::start().await;
    let (id, mut runner) = stack.attached().await;
    stack.edge.change(|session| session.faults = [Fault::Slow(Duration::from_millis(100))].into());
    runner
        .say(&RunnerMessage::Events {
            events: vec![record(1, RunnerEvent::SetupFailed { reason: "no".to_owned() })],
        })
        .await;
    drop(runner);
    let exit = SandboxExit {
        record: stack.bridge.provider().place(&id).record,
        reason: "exit code 1".to_owned(),
        told_here: true,
    };
    stack.bridge.provider().exits.send(exit).await.unwrap();
    stack.edge.until("the report", |session| session.ended.len() == 1).await;
    assert_eq!(seqs(&stack), [1]);
    let ended = stack.edge.read(|session| session.ended[0].clone());
    assert_eq!((ended.sandbox_id, ended.generation, ended.reason.as_str()), (id.clone(), 1, "exit code 1"));
    assert_eq!(stack.command(&id, "1").await.unwrap_err().code, ErrorCode::NotFound);
}

#[tokio::test]
async fn sandboxes_of_an_earlier_bridge_are_found() {
    let id = sandbox_id("adopted");
    let stack = Stack::start_at(FakeEdge::start().await, GatewaySettings::default(), vec![id.clone()]).await;
    let mut runner = stack.dial(&id).await;
    runner.events(1..=2).await;
    runner.expect_ack(2).await;
    assert!(stack.command(&id, "1").await.is_ok());
}

#[tokio::test]
async fn stopping_delivers_what_was_read_and_does_with_sandboxes_as_told() {
    for sandboxes in [Sandboxes::RunOn, Sandboxes::End] {
        let stack = Stack::start().await;
        let (_, mut runner) = stack.attached().await;
        stack.edge.change(|session| session.faults = [Fault::Slow(Duration::from_millis(200))].into());
        runner.events(1..=1).await;
        stack.edge.until("the first batch", |session| session.batches.len() == 1).await;
        runner.events(2..=30).await;
        // A ping that is answered tells that the bridge has read what came before it.
        runner.ping().await;
        let provider = stack.bridge.provider().clone();
        let begin = Instant::now();
        stack.bridge.stop(sandboxes).await;
        assert!(begin.elapsed() < Duration::from_secs(10));
        assert_eq!(stack.edge.read(|session| session.acked()), 30);
        assert_eq!(provider.list_ids().len(), usize::from(sandboxes == Sandboxes::RunOn));
    }
}

#[tokio::test]
async fn a_runner_that_sends_more_than_the_edge_takes_is_slowed() {
    let stack = Stack::start().await;
    let (_, mut runner) = stack.attached().await;
    stack.edge.change(|session| session.down = Some(ErrorCode::Unavailable));
    let large = |seq| RunnerMessage::Events {
        events: vec![record(seq, RunnerEvent::SetupStep { step: "x".repeat(512 * 1024) })],
    };
    let sending = tokio::spawn(async move {
        for seq in 1..=100 {
            runner.say(&large(seq)).await;
        }
        runner
    });
    stack.edge.until("a refused batch", |session| session.nonces.len() >= 3).await;
    assert!(!sending.is_finished(), "50 MiB were read while the edge took nothing");
    stack.edge.change(|session| session.down = None);
    let mut runner = tokio::time::timeout(PATIENCE, sending).await.unwrap().unwrap();
    runner.expect_ack(100).await;
    assert_eq!(seqs(&stack), up_to(100));
}

#[tokio::test]
async fn a_runner_learns_what_the_provider_sees_of_its_memory() {
    let stack = Stack::start().await;
    let id = stack.create(&order("1", 1)).await;
    let place = stack.bridge.provider().place(&id);
    let ask = || stack.http.get(format!("http://{}/memory", place.url));
    assert_eq!(ask().send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let unknown = ask().bearer_auth(&place.token).send().await.unwrap();
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert!(unknown.text().await.unwrap().contains("is not limited as a whole"));
    let seen = SandboxMemory { limit_mib: 256, held_mib: Some(17), kills: 2 };
    *stack.bridge.provider().memory.lock().unwrap() = Some(seen);
    let known: SandboxMemory = ask().bearer_auth(&place.token).send().await.unwrap().json().await.unwrap();
    assert_eq!(known, seen);
}
