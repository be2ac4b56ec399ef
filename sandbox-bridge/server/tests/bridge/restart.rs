//! The bridge's program is killed while a real runner works in a real sandbox; connections to the edge break anywhere.

use crate::support::code_host::CodeHost;
use crate::support::edge::{FakeEdge, Fault, Session};
use crate::support::program::{Program, runner};
use crate::support::{GatewaySettings, Stack, order, soon};
use protocol::bridge::{
    CommandRequest, CreateSandboxRequest, SandboxSource, SnapshotRequest, SnapshotTaken, TerminateRequest,
};
use protocol::id::{SnapshotId, TurnId};
use protocol::runner::{Author, RunnerCommand, RunnerEvent, TurnOrder};
use protocol::timeline::{ItemContent, TurnOutcome};
use serde_json::Value;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) fn turn(name: &str, prompt: &str) -> RunnerCommand {
    RunnerCommand::StartTurn {
        turn: TurnOrder {
            turn_id: TurnId::parse(&format!("trn_{name}")).unwrap(),
            attempt: 1,
            prompt: prompt.to_owned(),
            author: Author { name: "Ada".to_owned(), email: "ada@example.com".to_owned() },
            model: "demo/demo".to_owned(),
            effort: None,
            digest: None,
            attachments: Vec::new(),
            traceparent: None,
            means: None,
        },
    }
}

pub(crate) fn is_ready(session: &Session) -> bool {
    session.stored.iter().any(|record| matches!(record.event, RunnerEvent::Ready { .. }))
}

pub(crate) fn is_over(session: &Session) -> bool {
    session.stored.iter().any(|record| matches!(record.event, RunnerEvent::TurnEnded { .. }))
}

/// A sandbox of the repository at this code host.
pub(crate) fn sandbox_of(host: &CodeHost, generation: u64) -> CreateSandboxRequest {
    let mut order = order("1", generation);
    order.repository.clone_url = format!("{}/acme/shop.git", host.url);
    order
}

/// The text of all items, put together as a reader does it.
fn text(edge: &FakeEdge) -> String {
    edge.read(|session| {
        let mut whole = String::new();
        for record in &session.stored {
            if let RunnerEvent::ItemChanged { item } = &record.event
                && let ItemContent::Text { text, .. } = &item.content
            {
                whole = text.clone();
            }
            if let RunnerEvent::ItemAppended { offset, text, .. } = &record.event {
                assert_eq!(*offset, whole.encode_utf16().count() as u64, "event {}", record.seq);
                whole.push_str(text);
            }
        }
        whole
    })
}

#[tokio::test]
async fn a_bridge_killed_anywhere_loses_and_doubles_nothing() {
    const WORDS: usize = 3000;
    let Some(runner) = runner() else { return };
    let (edge, host) = (FakeEdge::start().await, CodeHost::start().await);
    let mut program = Program::new(runner, &edge, &host, "restart");
    program.start().await;
    let sandbox = format!("/sandboxes/{}", program.sandbox_id);
    program.put::<Value>(&sandbox, &sandbox_of(&host, 1)).await;
    edge.until("ready", is_ready).await;
    let command = turn("1", &format!("stream {WORDS} 2\nwrite a.txt a"));
    let command = CommandRequest { generation: 1, command };
    program.put::<Value>(&format!("{sandbox}/commands/cmd_1"), &command).await;

    let mut kills = 0;
    while kills < 10 && !edge.read(is_over) {
        // Another point each time; every third batch before it is stored and its answer lost.
        let reached = edge.read(|session| session.acked()) + 1 + (kills * 89) % 230;
        edge.change(|session| {
            session.faults = [Fault::AckLost].into_iter().take(usize::from(kills % 3 == 0)).collect()
        });
        edge.until("some more events", |session| session.acked() >= reached || is_over(session)).await;
        program.kill().await;
        assert!(!program.processes().is_empty(), "the sandbox lives on");
        program.start().await;
        kills += 1;
    }
    assert!(kills >= 5, "only {kills} kills");
    edge.until("the end of the turn", is_over).await;

    let seqs: Vec<u64> = edge.read(|session| session.stored.iter().map(|record| record.seq).collect());
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    let whole: String = (0..WORDS).map(|word| format!("word{word} ")).collect();
    assert_eq!(text(&edge), whole);
    let ends = edge.read(|session| {
        let end = |event: &RunnerEvent| {
            let RunnerEvent::TurnEnded { outcome, change, .. } = event else { return None };
            Some((outcome.clone(), change.is_some()))
        };
        session.stored.iter().filter_map(|record| end(&record.event)).collect::<Vec<_>>()
    });
    assert_eq!(ends, [(TurnOutcome::Completed, true)]);
    assert_eq!(edge.read(|session| (session.unsigned, session.ended.len())), (0, 0));

    program
        .put::<Value>(&format!("{sandbox}/terminated"), &TerminateRequest { generation: 1, session_id: None })
        .await;
    assert_eq!(program.processes(), [], "nothing is left of the sandbox");
    program.kill().await;
}

#[tokio::test]
async fn a_bridge_killed_in_the_middle_of_a_snapshot_never_publishes_half_of_it() {
    const FILES: usize = 1500;
    let Some(runner) = runner() else { return };
    let (edge, host) = (FakeEdge::start().await, CodeHost::start().await);
    let mut program = Program::new(runner, &edge, &host, "saved");
    program.start().await;
    let sandbox = format!("/sandboxes/{}", program.sandbox_id);
    program.put::<Value>(&sandbox, &sandbox_of(&host, 1)).await;
    edge.until("ready", is_ready).await;
    let fill = format!("run mkdir ~/d; for i in $(seq {FILES}); do echo $i > ~/d/$i; done");
    let command = CommandRequest { generation: 1, command: turn("1", &fill) };
    program.put::<Value>(&format!("{sandbox}/commands/cmd_1"), &command).await;
    edge.until("the end of the turn", is_over).await;

    let layers = program.state.path().join("layers");
    for round in 0..6 {
        let snapshot = SnapshotId::parse(&format!("snp_{round}")).unwrap();
        let (path, body) = (format!("{sandbox}/snapshots/{snapshot}"), SnapshotRequest { generation: 1 });
        // Killed when so many files are copied, or when it is published.
        let copied = layers.join(format!(".tmp-{snapshot}/fs/home/d"));
        let reached = soon("some of the copy", async {
            loop {
                let count = std::fs::read_dir(&copied).map_or(0, Iterator::count);
                if count > round * FILES / 6 || layers.join(snapshot.as_str()).exists() {
                    return;
                }
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        });
        tokio::select! {
            () = reached => {}
            answer = program.ask(&path, &body) => assert!(answer.unwrap().status().is_success()),
        }
        program.kill().await;
        program.start().await;
        let names = std::fs::read_dir(&layers).unwrap().map(|entry| entry.unwrap().file_name());
        let names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
        // Asked for again, it is there as a whole.
        let taken: SnapshotTaken = program.put(&path, &body).await;
        assert_eq!(taken.snapshot_id, snapshot);
        assert_eq!(std::fs::read_dir(layers.join(format!("{snapshot}/fs/home/d"))).unwrap().count(), FILES);
    }

    let end = TerminateRequest { generation: 1, session_id: None };
    program.put::<Value>(&format!("{sandbox}/terminated"), &end).await;
    assert_eq!(program.processes(), []);
    edge.change(|session| session.stored.clear());
    let source = SandboxSource::Snapshot { snapshot_id: SnapshotId::parse("snp_5").unwrap() };
    let restored = format!("{sandbox}-again");
    program.put::<Value>(&restored, &CreateSandboxRequest { source, ..sandbox_of(&host, 2) }).await;
    edge.until("ready again", is_ready).await;
    let command = CommandRequest { generation: 2, command: turn("2", "run ls ~/d | wc -l") };
    program.put::<Value>(&format!("{restored}/commands/cmd_2"), &command).await;
    edge.until("the end of the second turn", is_over).await;
    let all = format!("{FILES}\n");
    let appends =
        |event: &RunnerEvent| matches!(event, RunnerEvent::ItemAppended { text, .. } if *text == all);
    let shows = |event: &RunnerEvent| {
        let RunnerEvent::ItemChanged { item } = event else { return false };
        matches!(&item.content, ItemContent::Tool { output, .. } if *output == all)
    };
    let shows_all = edge
        .read(|session| session.stored.iter().any(|record| appends(&record.event) || shows(&record.event)));
    assert!(shows_all, "{:#?}", edge.read(|session| session.stored.clone()));
    program
        .put::<Value>(
            &format!("{restored}/terminated"),
            &TerminateRequest { generation: 2, session_id: None },
        )
        .await;
    program.kill().await;
}

/// Passes connections on, each only for so many bytes.
async fn cutting_proxy(target: String) -> (String, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let cuts = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = cuts.clone();
    tokio::spawn(async move {
        let mut budget = 700_usize;
        while let Ok((mut outer, _)) = listener.accept().await {
            // As good as random, and the same each time: from within the first head to many batches later.
            budget = (budget * 7_919 + 104_729) % 30_000;
            let (mut left, counter) = (budget, counter.clone());
            let mut inner = TcpStream::connect(target.strip_prefix("http://").unwrap()).await.unwrap();
            tokio::spawn(async move {
                let (mut asked, mut answered) = ([0; 2048], [0; 2048]);
                loop {
                    let (count, to, buffer) = tokio::select! {
                        count = outer.read(&mut asked) => (count.unwrap_or(0), &mut inner, &asked),
                        count = inner.read(&mut answered) => (count.unwrap_or(0), &mut outer, &answered),
                    };
                    let passed = count.min(left);
                    left -= passed;
                    if count == 0 || to.write_all(&buffer[..passed]).await.is_err() {
                        return;
                    }
                    if left == 0 {
                        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        return;
                    }
                }
            });
        }
    });
    (url, cuts)
}

#[tokio::test]
async fn connections_to_the_edge_that_break_anywhere_lose_and_double_nothing() {
    let edge = FakeEdge::start().await;
    let (url, cuts) = cutting_proxy(edge.url.clone()).await;
    let stack = Stack::start_at(edge.behind(url), GatewaySettings::default(), Vec::new()).await;
    let (_, mut runner) = stack.attached().await;
    for first in (1..=4_000).step_by(20) {
        runner.events(first..=first + 19).await;
    }
    runner.expect_ack(4_000).await;
    let seqs: Vec<u64> = stack.edge.read(|session| session.stored.iter().map(|record| record.seq).collect());
    assert_eq!(seqs, (1..=4_000).collect::<Vec<_>>());
    let cuts = cuts.load(std::sync::atomic::Ordering::Relaxed);
    assert!(cuts >= 10, "only {cuts} cuts");
    let batches = stack.edge.read(|session| session.batches.len());
    println!("{cuts} cuts, {batches} batches arrived");
}
