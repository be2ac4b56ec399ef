//! A participant who is removed: the session of others goes on under a pseudonym, and nothing that names the person is left.

use super::*;
use crate::core::tests::{Rig, change, request, text, user};
use crate::core::{Erasure, Input, WorkOutcome, evaluate_erasure};
use protocol::error::ErrorCode;
use protocol::id::UserId;
use protocol::timeline::{Role, User};

fn pseudonym() -> User {
    User {
        id: UserId::parse("usr_removed_x").unwrap(),
        login: "removed".to_owned(),
        name: "Removed person".to_owned(),
        email: "removed@farhand.invalid".to_owned(),
    }
}

/// Ada began it and runs, Grace has asked for something and takes it back, Ada stops the turn, is paid for and has the pull request opened.
fn shared() -> (Store<Memory>, Rig) {
    let mut rig = Rig::running();
    let item = rig.item(1, text("I look."));
    rig.events(vec![protocol::runner::RunnerEvent::ItemChanged { item }]);
    for number in 2..=4 {
        let author = user(if number == 3 { "ada" } else { "grace" });
        rig.apply(Input::PromptSubmitted { author, prompt: request(number, "Then this") });
    }
    let waiting = rig.session.queue.get(1).unwrap().id.clone();
    rig.apply(Input::PromptCancelled { prompt_id: waiting, by: user("ada").id });
    let last = rig.session.queue.back().unwrap().id.clone();
    rig.apply(Input::PromptMoved { prompt_id: last, before: None, by: user("ada").id });
    rig.apply(Input::TitleChanged { title: "Together".to_owned(), by: user("ada").id });
    rig.end_turn(Some(change('a')));
    rig.finish_snapshot(WorkOutcome::Done);
    let turn_id = rig.turn();
    rig.apply(Input::StopRequested { turn_id, by: user("ada").id });
    let store = migrated();
    commit_all(&store, &rig.log);
    (store, rig)
}

/// Every value of every row that names the user.
fn traces(store: &Store<Memory>, user: &User) -> Vec<String> {
    let mut found = Vec::new();
    for table in column(store, "SELECT name FROM sqlite_master WHERE type = 'table'") {
        for row in store.sql.exec(&format!("SELECT * FROM {table}"), &[]).unwrap() {
            for value in &row.0 {
                let Value::Text(value) = value else { continue };
                let words = [user.id.as_str(), &user.login, &user.name, &user.email];
                if words.iter().any(|word| value.contains(word)) {
                    found.push(format!("{table}: {value}"));
                }
            }
        }
    }
    found
}

#[test]
fn nothing_names_a_removed_participant_and_the_session_goes_on() {
    let (store, rig) = shared();
    let ada = user("ada");
    assert!(traces(&store, &ada).len() > 10, "she is in many places");
    let facts = store.load_facts().unwrap();
    assert_eq!(evaluate_erasure(&rig.session, &ada.id), Erasure::Rewrite);
    store.erase_person(&ada.id, &pseudonym()).unwrap();
    assert_eq!(traces(&store, &ada), [""; 0]);

    let session = store.load().unwrap().unwrap();
    assert_eq!(session.info.created_by, pseudonym().id);
    assert_eq!(
        session.pull.opener,
        Some(pseudonym().id),
        "whose token is not there, so that the App opens it"
    );
    assert_eq!(session.queue.len(), rig.session.queue.len());
    assert_eq!(session.participants.get(&user("grace").id).unwrap().role, Role::Owner, "somebody owns it");
    assert_eq!(session.participants.get(&pseudonym().id).unwrap().role, Role::Viewer);
    let (_, snapshot) = load_snapshot(&store);
    assert!(snapshot.prompts.iter().any(|prompt| prompt.author == pseudonym().id && !prompt.text.is_empty()));
    let after = store.load_facts().unwrap();
    assert_eq!(
        (after.prompts, after.participants, after.revision),
        (facts.prompts, facts.participants, facts.revision)
    );
    assert!(after.people.contains("usr_removed_x"));

    // Again: nothing to do, and nothing else changes.
    store.erase_person(&ada.id, &pseudonym()).unwrap();
    assert_eq!(store.load().unwrap().unwrap(), session);
    assert_eq!(evaluate_erasure(&session, &ada.id), Erasure::Rewrite);
    assert_eq!(
        evaluate_erasure(&session, &user("grace").id),
        Erasure::Delete,
        "those who are left are nobody"
    );
}

#[test]
fn a_session_of_one_person_goes_with_that_person() {
    let mut rig = Rig::running();
    let ada = user("ada").id;
    assert_eq!(
        evaluate_erasure(&rig.session, &user("grace").id),
        Erasure::Rewrite,
        "who was never here ends nothing"
    );
    assert_eq!(evaluate_erasure(&rig.session, &ada), Erasure::Delete);
    rig.apply(Input::Forsaken);
    assert!(rig.session.deleted);
    assert_eq!(evaluate_erasure(&rig.session, &ada), Erasure::Deleting);
    let effects = rig.apply(Input::Forsaken);
    let is_refused = |effect: &Effect| matches!(effect, Effect::Reply(crate::core::Reply::Refused(error)) if error.code == ErrorCode::NotFound);
    assert!(effects.iter().any(is_refused), "{effects:?}");
}

#[test]
fn an_export_has_what_the_person_wrote_and_did_and_nothing_of_others() {
    let (store, _) = shared();
    let rows = store.export_person(&user("ada").id).unwrap();
    let of = |kind: &str| {
        rows.iter().filter(|(name, _)| *name == kind).map(|(_, row)| row.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(of("participant").len(), 1);
    assert!(of("participant")[0].contains("ada@farhand.example"));
    assert_eq!(of("prompt").len(), 2);
    assert!(of("prompt")[0].contains("prompt 1"), "{:?}", of("prompt"));
    assert!(of("event").iter().any(|event| event.contains("title_changed")));
    let rows = store.export_person(&user("nobody").id).unwrap();
    assert_eq!(rows.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), ["session"]);
}
