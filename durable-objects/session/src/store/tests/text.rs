//! Text that grows: in the events first, in its row at checkpoints, and whole wherever it is read.

use super::history::check_loads;
use super::*;
use crate::core::growing_text;
use crate::core::tests::files::{PNG, made};
use crate::core::tests::{Rig, appended, prompt_id, steer_request, text, tool, user};
use crate::core::{Input, Output, WorkOutcome};
use protocol::id::ArtifactId;
use protocol::runner::{RunnerCommand, RunnerEvent};
use protocol::timeline::{Artifact, ArtifactContent, PromptState, ToolState};

fn replay_log(rig: &Rig) -> Store<Memory> {
    let store = migrated();
    commit_all(&store, &rig.log);
    store
}

fn text_of(store: &Store<Memory>, index: usize) -> String {
    let (_, snapshot) = load_snapshot(store);
    growing_text(&snapshot.items[index].content).unwrap().to_owned()
}

#[test]
fn a_piece_is_one_row_until_the_next_checkpoint() {
    let mut rig = Rig::running();
    let item = rig.item(1, text("a"));
    let other = rig.item(2, tool("", ToolState::Running));
    rig.events(vec![RunnerEvent::ItemChanged { item }, RunnerEvent::ItemChanged { item: other }]);
    let store = replay_log(&rig);
    let (mut expected, mut offset) = ("a".to_owned(), 1);
    for number in 0..60 {
        let piece = format!("{number} ä😀\"\\\n\u{1b}[0m\u{0}{}", "x".repeat(500));
        rig.events(vec![appended(1, offset, &piece), appended(2, number, "y")]);
        offset += piece.encode_utf16().count() as u64;
        expected.push_str(&piece);
        let (session, effects, now) = rig.log.last().unwrap();
        store.sql.statements_left.set(4);
        store.commit(session, effects, *now).unwrap();
        store.sql.statements_left.set(usize::MAX);
        check_loads(&store, session);
        assert_eq!(text_of(&store, 0), expected);
        assert_eq!(text_of(&store, 1).len() as u64, number + 1);
    }
    assert!(
        column(&store, "SELECT text FROM items WHERE item_id = 'itm_1'")[0].len() > 16_000,
        "there were checkpoints"
    );
    assert_ne!(column(&store, "SELECT text FROM items WHERE item_id = 'itm_1'")[0], expected);
    rig.end_turn(None);
    let (session, effects, now) = rig.log.last().unwrap();
    store.commit(session, effects, *now).unwrap();
    assert_eq!(column(&store, "SELECT text FROM items WHERE item_id = 'itm_1'"), [expected.clone()]);
    assert_eq!(column(&store, "SELECT content FROM messages WHERE role = 'agent'"), [expected]);
    check_loads(&store, session);
}

#[test]
fn text_survives_when_its_events_are_removed() {
    let mut rig = Rig::running();
    let (quiet, busy) = (rig.item(1, text("quiet")), rig.item(2, text("")));
    rig.events(vec![RunnerEvent::ItemChanged { item: quiet }, RunnerEvent::ItemChanged { item: busy }]);
    rig.events(vec![appended(1, 5, " piece")]);
    let store = replay_log(&rig);
    let mut written = 0;
    while rig.session.kept_from == 1 {
        rig.log.clear();
        // Two items by turns, so that each piece is an event.
        let pieces =
            (0..1_000).flat_map(|n| [appended(1, 11 + written + n, "q"), appended(2, written + n, "z")]);
        let pieces = pieces.collect();
        rig.events(pieces);
        written += 1_000;
        let (session, effects, now) = rig.log.last().unwrap();
        store.commit(session, effects, *now).unwrap();
    }
    assert_eq!(count(&store, "events"), rig.session.seq - rig.session.kept_from + 1);
    check_loads(&store, &rig.session);
    assert_eq!(text_of(&store, 0), format!("quiet piece{}", "q".repeat(written as usize)));
    assert_eq!(text_of(&store, 1), "z".repeat(written as usize));
    rig.log.clear();
    rig.events(vec![appended(2, written, "!")]);
    let (session, effects, now) = rig.log.last().unwrap();
    store.commit(session, effects, *now).unwrap();
    check_loads(&store, &rig.session);
    assert!(text_of(&store, 1).ends_with("z!"));
}

#[test]
fn an_output_is_kept_until_it_is_stored() {
    let mut rig = Rig::running();
    let whole = "line\n".repeat(20_000);
    let done = ToolState::Completed { duration_ms: 1, exit_code: Some(0), edit: None };
    let item = rig.item(1, tool(&whole, done));
    rig.events(vec![RunnerEvent::ItemChanged { item }]);
    let store = replay_log(&rig);
    let artifact_id = ArtifactId::parse(&column(&store, "SELECT artifact_id FROM outputs")[0]).unwrap();
    assert_eq!(store.load_output(&artifact_id).unwrap(), Some(Output::of_text(whole)));
    assert!(text_of(&store, 0).len() < 40_000);
    let effects = [Effect::DropOutput { artifact_id: artifact_id.clone() }];
    store.commit(&rig.session, &effects, rig.now).unwrap();
    assert_eq!(store.load_output(&artifact_id).unwrap(), None);
}

#[test]
fn a_file_is_kept_and_shown_until_the_session_is_gone() {
    let mut rig = Rig::running();
    let event = made(&rig, None, "shot.png", PNG);
    rig.events(vec![event]);
    let store = replay_log(&rig);
    check_loads(&store, &rig.session);
    let (_, snapshot) = load_snapshot(&store);
    let [Artifact { id, content: ArtifactContent::File { content_id, .. }, .. }] =
        snapshot.artifacts.as_slice()
    else {
        panic!("{:?}", snapshot.artifacts)
    };
    assert!(rig.session.files.contains_key(id));
    let kept = Output { media_type: "image/png".into(), text: PNG.into() };
    assert_eq!(store.load_output(content_id).unwrap(), Some(kept));
    rig.apply(Input::DeletionRequested { by: user("ada").id });
    let store = replay_log(&rig);
    check_loads(&store, &rig.session);
    assert_eq!((count(&store, "outputs"), count(&store, "artifacts")), (0, 0));
}

#[test]
fn an_edited_prompt_has_its_new_text_everywhere() {
    let mut rig = Rig::running();
    rig.prompt(2);
    let (prompt_id, by) = (prompt_id(2), user("ada").id);
    rig.apply(Input::PromptEdited { prompt_id: prompt_id.clone(), text: "better".into(), by: by.clone() });
    let store = replay_log(&rig);
    let (_, snapshot) = load_snapshot(&store);
    let prompt = snapshot.prompts.last().unwrap();
    assert_eq!((prompt.text.as_str(), prompt.edited_by.as_ref()), ("better", Some(&by)));
    assert_eq!(snapshot.queue, std::slice::from_ref(&prompt_id));
    let steer = store.load_steering(&rig.turn(), &prompt_id).unwrap();
    assert!(matches!(steer, Some(RunnerCommand::SteerTurn { prompt, .. }) if prompt == "better"));
    assert_eq!(store.load_steering(&rig.turn(), &crate::core::tests::prompt_id(77)).unwrap(), None);
}

/// A turn that took a second prompt up.
fn steered() -> Rig {
    let mut rig = Rig::running();
    rig.apply(Input::PromptSubmitted { author: user("ada"), prompt: steer_request(2) });
    let turn_id = rig.turn();
    rig.events(vec![RunnerEvent::SteerTaken { turn_id, prompt_id: prompt_id(2) }]);
    let item = rig.item(1, text("Both done."));
    rig.events(vec![RunnerEvent::ItemChanged { item }]);
    rig
}

fn states(store: &Store<Memory>) -> Vec<(PromptState, bool)> {
    let (_, snapshot) = load_snapshot(store);
    snapshot.prompts.iter().map(|prompt| (prompt.state, prompt.steered_into.is_some())).collect()
}

#[test]
fn a_steered_prompt_shares_the_end_of_its_turn() {
    let mut rig = steered();
    assert_eq!(states(&replay_log(&rig)), [(PromptState::Running, false), (PromptState::Running, true)]);
    rig.end_turn(None);
    let store = replay_log(&rig);
    assert_eq!(states(&store), [(PromptState::Done, false), (PromptState::Done, true)]);
    check_loads(&store, &rig.session);
    let mut rig = steered();
    rig.lose_sandbox("killed");
    let store = replay_log(&rig);
    assert_eq!(states(&store), [(PromptState::Queued, false), (PromptState::Queued, false)]);
    assert_eq!(load_snapshot(&store).1.queue, [prompt_id(1), prompt_id(2)]);
    check_loads(&store, &rig.session);
}

#[test]
fn a_digest_tells_what_the_agent_does_not_remember() {
    let mut rig = steered();
    rig.end_turn(None);
    rig.finish_snapshot(WorkOutcome::Done);
    for number in 3..6 {
        rig.prompt_text(number, &format!("question {number} {}", "long ".repeat(2_000)));
        rig.receive();
        let item = rig.item(number, text(&format!("answer {number}")));
        rig.events(vec![RunnerEvent::ItemChanged { item }]);
        rig.end_turn(None);
        rig.finish_snapshot(WorkOutcome::Done);
    }
    rig.prompt(9);
    let store = replay_log(&rig);
    let order = store.load_turn_order(&rig.turn()).unwrap().unwrap();
    assert_eq!(order.digest, None, "it remembers");

    let digest = |turns: u32| {
        let mut session = rig.session.clone();
        session.turn.as_mut().unwrap().digest_turns = turns;
        store.commit(&session, &[Effect::SaveWatch], rig.now).unwrap();
        store.load_turn_order(&rig.turn()).unwrap().unwrap().digest.unwrap()
    };
    let newest = digest(1);
    assert!(newest.starts_with("ADA wrote:\nquestion 5 long"), "{newest}");
    assert!(newest.contains("\n…\n") && newest.ends_with("The agent answered:\nanswer 5\n"));
    assert!(!newest.contains("question 4") && !newest.contains("prompt 9"));
    let all = digest(50);
    let places: Vec<usize> =
        ["prompt 1", "steer 2", "Both done.", "question 3", "answer 3", "answer 4", "answer 5"]
            .map(|text| all.find(text).unwrap())
            .into();
    assert!(places.is_sorted(), "{all}");
    assert!(!all.contains("left out"));
}

#[test]
fn a_digest_is_bounded_and_says_so() {
    let mut rig = Rig::running();
    for number in 2..30 {
        let item = rig.item(number, text(&"answer ".repeat(1_000)));
        rig.events(vec![RunnerEvent::ItemChanged { item }]);
        rig.end_turn(None);
        rig.finish_snapshot(WorkOutcome::Done);
        rig.prompt(number);
        rig.receive();
    }
    rig.session.turn.as_mut().unwrap().digest_turns = 28;
    let store = replay_log(&rig);
    store.commit(&rig.session, &[Effect::SaveWatch], rig.now).unwrap();
    let digest = store.load_turn_order(&rig.turn()).unwrap().unwrap().digest.unwrap();
    assert!(digest.len() < 34 * 1024, "{}", digest.len());
    assert!(digest.starts_with("(21 earlier turns are left out.)\n\nADA wrote:\nprompt 22"), "{digest:.80}");
    assert!(digest.contains("prompt 28") && !digest.contains("prompt 29"));
}
