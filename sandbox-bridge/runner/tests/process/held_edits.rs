//! The real OpenCode in a sandbox that was claimed before its workspace was at the newest commit: it reads, and its edits wait.

use crate::support::bridge::{FakeBridge, items, origin_log};
use crate::support::opencode::ProxiedOpencode;
use crate::support::{BRANCH, Place, Runner, command_id, configuration, git, opencode, start_turn, turn_id};
use crate::warm::{is_ready, outcome_of, said, warm_at};
use nix::sys::signal::Signal;
use protocol::runner::{AgentKind, RunnerCommand, RunnerConfiguration, RunnerEvent};
use protocol::timeline::{ItemContent, ToolState, TurnOutcome};

struct Scene {
    place: Place,
    bridge: FakeBridge,
    opencode: ProxiedOpencode,
    _runner: Runner,
}

impl Scene {
    /// Claimed, while the code host holds every fetch.
    async fn claimed(branch: &str) -> Option<Self> {
        let real = opencode()?;
        let place = Place::new();
        let opencode = ProxiedOpencode::new(&place, &real).await;
        let configuration =
            RunnerConfiguration { branch: branch.to_owned(), ..configuration(AgentKind::Opencode) };
        let (bridge, runner) = warm_at(&place, configuration, Some(&opencode.program())).await;
        bridge.known.holding_fetches.send_replace(true);
        said(&bridge, is_ready).await;
        bridge.known.claimed.send_replace(true);
        bridge.event(|event| matches!(event, RunnerEvent::Ready { .. }).then_some(())).await;
        Some(Self { place, bridge, opencode, _runner: runner })
    }

    async fn start(&self, turn: &str, script: &str) {
        let order = start_turn(turn, "Ada", &format!("SCRIPT:{script}"));
        assert_eq!(self.bridge.command(&command_id(&format!("start-{turn}")), order).await, None);
    }

    /// Waits until OpenCode has called a tool that is not over.
    async fn waits_with(&self, tool: &str) {
        let waits = |item: &ItemContent| matches!(item, ItemContent::Tool { name, state: ToolState::Running, .. } if name == tool);
        self.bridge.wait(|_| items(&self.bridge).iter().any(waits).then_some(())).await;
    }

    fn has(&self, file: &str) -> bool {
        self.place.workspace().join(file).exists()
    }

    fn failures(&self) -> Vec<String> {
        let failure = |item| match item {
            ItemContent::Tool { state: ToolState::Failed { message, .. }, .. } => Some(message),
            _ => None,
        };
        items(&self.bridge).into_iter().filter_map(failure).collect()
    }
}

#[tokio::test]
async fn opencode_reads_at_once_and_edits_the_newest_commit() {
    let Some(scene) = Scene::claimed(BRANCH).await else { return };
    // A turn that changes nothing does not wait at all.
    scene.start("0", "text").await;
    assert_eq!(outcome_of(&scene.bridge, "0").await, TurnOutcome::Completed);

    scene.start("1", "readedit").await;
    let has_read = |item: &ItemContent| {
        matches!(item, ItemContent::Tool { name, state: ToolState::Completed { .. }, output, .. }
            if name == "read" && output.contains("Welcome"))
    };
    scene.bridge.wait(|_| items(&scene.bridge).iter().any(has_read).then_some(())).await;
    scene.waits_with("write").await;
    scene.waits_with("bash").await;
    assert!(!scene.has("newer.txt") && !scene.has("written.txt"), "the edit waits");

    scene.bridge.known.holding_fetches.send_replace(false);
    assert_eq!(outcome_of(&scene.bridge, "1").await, TurnOutcome::Completed);
    assert_eq!(scene.failures(), [""; 0]);
    let (origin, newest) = (scene.place.origin(), origin_log(&scene.place.repositories(), "main", "%H"));
    assert_eq!(git(&origin, &["rev-parse", &format!("{BRANCH}~1")]), newest);
    assert_eq!(git(&origin, &["diff", "--name-only", "main", BRANCH]), "copied.txt\nwritten.txt");
    assert_eq!(git(&origin, &["show", &format!("{BRANCH}:copied.txt")]), "from somebody else");
}

#[tokio::test]
async fn an_edit_of_a_stopped_turn_or_a_dead_opencode_is_never_made() {
    let Some(scene) = Scene::claimed(BRANCH).await else { return };
    scene.start("1", "readedit").await;
    scene.waits_with("write").await;
    scene.bridge.command(&command_id("stop"), RunnerCommand::StopTurn { turn_id: turn_id("1") }).await;
    assert_eq!(outcome_of(&scene.bridge, "1").await, TurnOutcome::Stopped);

    // Nor does a command pass of which OpenCode itself asks nothing.
    scene.start("2", "truncate").await;
    scene.waits_with("bash").await;
    assert!(!scene.has("truncated.txt"));
    scene.opencode.signal(Signal::SIGKILL);
    assert!(matches!(outcome_of(&scene.bridge, "2").await, TurnOutcome::Failed { .. }));

    // The next OpenCode is held back like the first.
    scene.start("3", "truncate").await;
    let runs = |item: &ItemContent| matches!(item, ItemContent::Tool { state: ToolState::Running, .. });
    scene.bridge.wait(|_| items(&scene.bridge).last().is_some_and(runs).then_some(())).await;
    assert!(!scene.has("truncated.txt"));
    scene.bridge.known.holding_fetches.send_replace(false);
    assert_eq!(outcome_of(&scene.bridge, "3").await, TurnOutcome::Completed);
    assert_eq!(git(&scene.place.origin(), &["diff", "--name-only", "main", BRANCH]), "truncated.txt");
}

#[tokio::test]
async fn a_workspace_that_cannot_be_had_fails_the_turn_and_says_so() {
    // No branch can have this name.
    let Some(scene) = Scene::claimed("farhand/../1").await else { return };
    scene.start("1", "readedit").await;
    scene.waits_with("write").await;
    scene.bridge.known.holding_fetches.send_replace(false);
    let outcome = outcome_of(&scene.bridge, "1").await;
    let says = |reason: &String| reason.contains("nothing was changed; send the prompt again");
    assert!(matches!(&outcome, TurnOutcome::Failed { reason } if says(reason)), "{outcome:?}");
    assert!(!scene.has("written.txt") && !scene.has("copied.txt"));
    // The next turn tries again, which is of no use here.
    scene.start("2", "text").await;
    let outcome = outcome_of(&scene.bridge, "2").await;
    assert!(matches!(&outcome, TurnOutcome::Failed { reason } if says(reason)), "{outcome:?}");
}
