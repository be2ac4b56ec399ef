//! Contents that go along with prompts: written with them, given to the runner in order, shown in snapshots, gone with the session.

use super::*;
use crate::core::tests::Rig;
use crate::core::tests::attachments::{capture, picture, with};
use crate::core::tests::{prompt_id, user};
use crate::core::{Input, prompt_digest};
use protocol::attachment::Attachment;
use protocol::runner::RunnerCommand;

fn rig() -> Rig {
    let mut rig = Rig::running();
    let image = Attachment::Image { name: "a.webp".into(), picture: picture() };
    let prompt = with(5, vec![capture("it's \"blue\""), image]);
    rig.apply(Input::PromptSubmitted { author: user("ada"), prompt });
    rig
}

fn written(rig: &Rig) -> Store<Memory> {
    let store = migrated();
    commit_all(&store, &rig.log);
    store
}

#[test]
fn a_snapshot_tells_of_them_as_the_event_does() {
    let rig = rig();
    let store = written(&rig);
    let (_, snapshot) = load_snapshot(&store);
    let prompt = snapshot.prompts.iter().find(|prompt| prompt.id == prompt_id(5)).unwrap();
    assert_eq!(prompt.attachments.len(), 2);
    assert_eq!(prompt_digest(prompt), rig.session.accepted.get(&prompt_id(5)).unwrap().digest);
    let others = snapshot.prompts.iter().filter(|prompt| prompt.id != prompt_id(5));
    assert!(others.clone().count() > 0 && others.into_iter().all(|prompt| prompt.attachments.is_empty()));
    assert_eq!(store.load().unwrap().unwrap().accepted, rig.session.accepted);
}

#[test]
fn the_runner_gets_their_contents_with_its_orders() {
    let mut rig = rig();
    let store = written(&rig);
    let steer = store.load_steering(&rig.turn(), &prompt_id(5)).unwrap();
    let Some(RunnerCommand::SteerTurn { attachments, .. }) = steer else { panic!("{steer:?}") };
    assert!(matches!(attachments.as_slice(), [Attachment::Capture { .. }, Attachment::Image { .. }]));
    assert_eq!(store.load_turn_order(&rig.turn()).unwrap().unwrap().attachments, []);
    rig.end_turn(None);
    rig.finish_snapshot(crate::core::WorkOutcome::Done);
    let order = written(&rig).load_turn_order(&rig.turn()).unwrap().unwrap();
    assert_eq!((order.prompt.as_str(), order.attachments), ("Look at this", attachments));
}

#[test]
fn an_agent_that_forgot_the_turn_is_told_their_names() {
    let mut rig = rig();
    rig.end_turn(None);
    rig.finish_snapshot(crate::core::WorkOutcome::Done);
    rig.receive();
    rig.end_turn(None);
    rig.finish_snapshot(crate::core::WorkOutcome::Done);
    rig.prompt_text(6, "And now?");
    let store = written(&rig);
    store.sql.exec("UPDATE sandbox SET digest_turns = 5", &[]).unwrap();
    let digest = store.load_turn_order(&rig.turn()).unwrap().unwrap().digest.unwrap();
    assert!(digest.contains("ADA wrote:\nLook at this\n(attached: Cart, a.webp)\n"), "{digest}");
}

#[test]
fn contents_are_found_by_what_the_timeline_calls_them() {
    let rig = rig();
    let store = written(&rig);
    let (_, snapshot) = load_snapshot(&store);
    let prompt = snapshot.prompts.iter().find(|prompt| prompt.id == prompt_id(5)).unwrap();
    let outline = store.load_attachment(prompt.attachments[0].text_id.as_ref().unwrap()).unwrap();
    assert!(matches!(outline, Some((Attachment::Capture { .. }, false))), "{outline:?}");
    let picture = &prompt.attachments[1].picture.as_ref().unwrap().artifact_id;
    let found = store.load_attachment(picture).unwrap();
    assert!(matches!(found, Some((Attachment::Image { .. }, true))), "{found:?}");
    let nothing = protocol::id::ArtifactId::parse("art_nothing").unwrap();
    assert_eq!(store.load_attachment(&nothing).unwrap(), None);
}

#[test]
fn they_go_with_the_session() {
    let mut rig = rig();
    rig.apply(Input::DeletionRequested { by: user("ada").id });
    let store = written(&rig);
    assert_eq!(count(&store, "attachments"), 0);
    assert_eq!(count(&store, "prompts"), 0);
}
