//! The real OpenCode dies, freezes, or loses its event stream in the middle of a turn.

use crate::support::bridge::{FakeBridge, items};
use crate::support::opencode::ProxiedOpencode;
use crate::support::{Place, Runner, command_id, configuration, opencode, start_turn, turn_id};
use nix::sys::signal::Signal;
use protocol::runner::{AgentKind, RunnerCommand, RunnerEvent};
use protocol::timeline::{ItemContent, ToolState, TurnOutcome, Usage};
use std::time::{Duration, Instant};

struct Scene {
    place: Place,
    bridge: FakeBridge,
    opencode: ProxiedOpencode,
    _runner: Runner,
}

impl Scene {
    async fn set_up() -> Option<Self> {
        let real = opencode()?;
        let place = Place::new();
        let opencode = ProxiedOpencode::new(&place, &real).await;
        let bridge = FakeBridge::start(configuration(AgentKind::Opencode), place.repositories()).await;
        let runner = Runner::start(&place, &bridge, 1, Some(&opencode.program()));
        bridge
            .event(|event| match event {
                RunnerEvent::Ready { .. } => Some(()),
                RunnerEvent::SetupFailed { reason } => panic!("{reason}"),
                _ => None,
            })
            .await;
        Some(Self { place, bridge, opencode, _runner: runner })
    }

    async fn start(&self, turn: &str, prompt: &str) {
        let command = command_id(&format!("start-{turn}"));
        assert_eq!(self.bridge.command(&command, start_turn(turn, "Ada", prompt)).await, None);
    }

    /// Waits until a reader of the session sees this.
    async fn shown(&self, part: &str) {
        let has = |item| match item {
            ItemContent::Text { text, .. } | ItemContent::Tool { output: text, .. } => text.contains(part),
            _ => false,
        };
        self.bridge.wait(|_| items(&self.bridge).into_iter().any(has).then_some(())).await;
    }

    async fn end(&self, turn: &str) -> (TurnOutcome, Usage) {
        self.bridge
            .event(|event| match event {
                RunnerEvent::TurnEnded { turn_id: id, outcome, usage, .. } if *id == turn_id(turn) => {
                    Some((outcome.clone(), *usage))
                }
                _ => None,
            })
            .await
    }
}

fn texts(scene: &Scene) -> Vec<String> {
    let text = |item| match item {
        ItemContent::Text { text, .. } => Some(text),
        _ => None,
    };
    items(&scene.bridge).into_iter().filter_map(text).collect()
}

#[tokio::test]
async fn a_cut_event_stream_loses_and_doubles_nothing() {
    let Some(scene) = Scene::set_up().await else { return };
    // In the middle of frames, and between them: the whole turn is some ten thousands of bytes.
    scene.opencode.cut_after(&[900, 40, 1_700, 2_500, 333, 4_100, 1_000]);
    scene.opencode.cut();
    scene.start("1", "Write a greeting. SCRIPT:change").await;
    let (outcome, usage) = scene.end("1").await;
    assert_eq!(outcome, TurnOutcome::Completed);
    assert_eq!(usage, Usage { input_tokens: 200, output_tokens: 20, cached_tokens: 80, cost_usd: 0.0 });
    assert!(scene.opencode.cuts_left() <= 2, "{} cuts were not made", scene.opencode.cuts_left());
    // Text whose pieces were missed appears when it is complete, which may be behind what followed it.
    let shown = items(&scene.bridge);
    let is_shown = |content: &ItemContent| shown.iter().filter(|item| *item == content).count() == 1;
    assert!(is_shown(&ItemContent::Reasoning { text: "I need a file.".into(), done: false }), "{shown:#?}");
    for text in ["I will write it.", "All is done \u{e4}\u{1f600}."] {
        assert!(is_shown(&ItemContent::Text { text: text.into(), done: false }), "{shown:#?}");
    }
    let is_tool = |item: &ItemContent| matches!(item, ItemContent::Tool { output, state: ToolState::Completed { .. }, .. } if output == "one\ntwo\n");
    assert_eq!(shown.iter().filter(|item| is_tool(item)).count(), 1, "{shown:#?}");
    assert!(shown.iter().any(|item| matches!(item, ItemContent::Plan { .. })), "{shown:#?}");
    assert_eq!(shown.len(), 5, "{shown:#?}");

    // In the middle of a text, whose later pieces OpenCode tells only once.
    scene.opencode.cut_after(&[]);
    scene.start("2", "SCRIPT:drip").await;
    scene.shown("drop1").await;
    scene.opencode.cut();
    assert_eq!(scene.end("2").await.0, TurnOutcome::Completed);
    let drops: String = (0..10).map(|drop| format!("drop{drop} ")).collect();
    assert_eq!(texts(&scene)[2].trim_end(), drops.trim_end());
    assert_eq!(texts(&scene).len(), 3);
}

#[tokio::test]
async fn an_opencode_that_dies_fails_the_turn_and_the_next_one_has_the_conversation() {
    let Some(scene) = Scene::set_up().await else { return };
    scene.start("1", "Remember the teapot. SCRIPT:waitforgo").await;
    scene.shown("started").await;
    let dead = scene.opencode.pid();
    let leftovers = || {
        let mark = format!("OPENCODE_PID={dead}");
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let environments = entries.filter_map(|entry| std::fs::read(entry.path().join("environ")).ok());
        environments.filter(|text| text.split(|byte| *byte == 0).any(|line| line == mark.as_bytes())).count()
    };
    assert!(leftovers() >= 1, "the command runs");
    let died = Instant::now();
    scene.opencode.signal(Signal::SIGKILL);
    let (outcome, _) = scene.end("1").await;
    assert!(died.elapsed() < Duration::from_secs(10), "{:?}", died.elapsed());
    let TurnOutcome::Failed { reason } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("OpenCode ended (signal: 9"), "{reason}");
    // Killed before the turn's end is told; a process that is killed is still seen for a moment.
    let gone = async {
        while leftovers() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("what the agent ran ends with its turn");
    let tool = items(&scene.bridge).pop().unwrap();
    assert!(matches!(&tool, ItemContent::Tool { state: ToolState::Failed { .. }, .. }), "{tool:?}");

    scene.start("2", "SCRIPT:recall").await;
    assert_eq!(scene.end("2").await.0, TurnOutcome::Completed);
    assert_eq!(texts(&scene), ["I remember."]);
    assert_ne!(scene.opencode.pid(), dead);
    let asked = scene.bridge.known.model_requests.lock().unwrap().last().unwrap()["messages"].to_string();
    assert!(asked.contains("Remember the teapot."), "{asked}");
}

#[tokio::test]
async fn an_opencode_that_the_kernel_killed_is_said_to_have_run_out_of_memory() {
    let Some(scene) = Scene::set_up().await else { return };
    let asked = *scene.bridge.known.memory_requests.lock().unwrap();
    scene.start("1", "SCRIPT:waitforgo").await;
    scene.shown("started").await;
    scene.bridge.wait(|known| (*known.memory_requests.lock().unwrap() > asked).then_some(())).await;
    scene.bridge.known.memory.lock().unwrap().kills += 1;
    scene.opencode.signal(Signal::SIGKILL);
    let (outcome, _) = scene.end("1").await;
    let TurnOutcome::Failed { reason } = outcome else { panic!("{outcome:?}") };
    assert!(reason.starts_with("OpenCode ran out of memory (limit 256 MiB)"), "{reason}");
    assert!(reason.contains("give the sandbox more memory"), "{reason}");
}

#[tokio::test]
async fn an_opencode_that_freezes_can_be_stopped_and_is_replaced() {
    let Some(scene) = Scene::set_up().await else { return };
    scene.start("1", "SCRIPT:waitforgo").await;
    scene.shown("started").await;
    let frozen = scene.opencode.pid();
    scene.opencode.signal(Signal::SIGSTOP);
    let asked = Instant::now();
    let stop = RunnerCommand::StopTurn { turn_id: turn_id("1") };
    assert_eq!(scene.bridge.command(&command_id("stop"), stop).await, None);
    assert_eq!(scene.end("1").await.0, TurnOutcome::Stopped);
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());

    std::fs::write(scene.place.workspace().join("go"), "").unwrap();
    scene.start("2", "SCRIPT:text").await;
    assert_eq!(scene.end("2").await.0, TurnOutcome::Completed);
    assert_ne!(scene.opencode.pid(), frozen);
}
