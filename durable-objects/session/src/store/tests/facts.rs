//! What a session tells metrics of itself: after a story with two people, a warm sandbox that was lost and a pull request that was merged,
//! before anything has happened, and that what is told rises with every change.

use super::*;
use crate::core::tests::{Rig, START, change, request, text, user};
use crate::core::{Input, Work, WorkOutcome};
use expect_test::expect;
use protocol::pull::{PullReport, PullSeen, PullState};
use protocol::runner::RunnerEvent;

fn told(log: &[(Session, Vec<Effect>, Timestamp)]) -> metrics::record::Facts {
    let store = migrated();
    commit_all(&store, log);
    store.load_facts().unwrap()
}

fn merged(at: u64) -> Input {
    let seen =
        PullSeen { state: PullState::Merged, title: "t".into(), head: "h".into(), updated_at: Timestamp(at) };
    Input::PullRequestReported(PullReport {
        number: 7,
        seen: Some(seen),
        checks: Vec::new(),
        reviews: Vec::new(),
    })
}

/// Every step takes a second.
fn story() -> Rig {
    let (mut rig, _) = Rig::new();
    let second = |rig: &mut Rig| rig.now = rig.now.plus_ms(1000);
    second(&mut rig);
    rig.prompt(1);
    second(&mut rig);
    rig.boot();
    second(&mut rig);
    rig.receive();
    second(&mut rig);
    let item = rig.item(1, text("I look."));
    rig.events(vec![RunnerEvent::ItemChanged { item }]);
    second(&mut rig);
    rig.apply(Input::PromptSubmitted { author: user("grace"), prompt: request(2, "And this?") });
    let taken_back = request(3, "No.");
    rig.apply(Input::PromptSubmitted { author: user("grace"), prompt: taken_back.clone() });
    rig.apply(Input::PromptCancelled { prompt_id: taken_back.id, by: user("grace").id });
    let effects = rig.end_turn(Some(change('a')));
    let order = effects.iter().find_map(|effect| match effect {
        Effect::Enqueue(work @ Work::OpenPullRequest(_)) => Some(work.clone()),
        _ => None,
    });
    rig.finish_snapshot(WorkOutcome::Done);
    second(&mut rig);
    let opened = WorkOutcome::PullRequestOpened {
        number: 7,
        url: "u".into(),
        title: "t".into(),
        base: "main".into(),
        progress: Default::default(),
    };
    rig.apply(Input::WorkDone { work: order.unwrap(), outcome: opened });
    rig.lose_sandbox("killed");
    second(&mut rig);
    rig.boot();
    rig.receive();
    second(&mut rig);
    rig.end_turn(None);
    second(&mut rig);
    rig.apply(merged(rig.now.0 - 300));
    rig.apply(merged(rig.now.0 + 5_000));
    rig
}

#[test]
fn a_session_tells_what_it_was_and_came_to() {
    let facts = told(&story().log);
    let since = |moment: Option<u64>| moment.map(|moment| moment - START.0);
    let moments = [
        Some(facts.started_at),
        facts.prompted_at,
        facts.first_token_at,
        facts.completed_at,
        facts.pull_created_at,
        facts.pull_merged_at,
    ];
    assert_eq!(
        moments.map(since),
        [Some(0), Some(1_000), Some(4_000), Some(8_000), Some(6_000), Some(8_700)]
    );
    assert_eq!((facts.prompts, facts.participants), (2, 2));
    assert_eq!((facts.input_tokens, facts.output_tokens, facts.cost_micro_usd), (20, 10, 250_000));
    // Moments as seconds since the start.
    let shown = |json: &str| json.replace("17950000", "+");
    expect![[r#"[["usr_ada",1,+01000,10,5,125000],["usr_grace",1,+05000,10,5,125000]]"#]]
        .assert_eq(&shown(&facts.people));
    expect![[r#"[[1,"base",+03000,2000],[2,"snapshot",+07000,1000]]"#]].assert_eq(&shown(&facts.starts));
}

#[test]
fn a_session_without_prompts_tells_that() {
    let facts = told(&Rig::new().0.log);
    assert_eq!(
        (facts.prompted_at, facts.first_token_at, facts.prompts, facts.participants),
        (None, None, 0, 1)
    );
    assert_eq!((facts.people.as_str(), facts.starts.as_str()), (r#"[["usr_ada",0,null,0,0,0]]"#, "[]"));
}

#[test]
fn what_differs_has_a_higher_revision() {
    let rig = story();
    let store = migrated();
    let mut before: Option<metrics::record::Facts> = None;
    for (index, (session, effects, now)) in rig.log.iter().enumerate() {
        if index == 0 {
            store.create(session, effects, *now).unwrap();
        } else {
            store.commit(session, effects, *now).unwrap();
        }
        let facts = store.load_facts().unwrap();
        if let Some(before) = before.filter(|before| *before != facts) {
            assert!(before.revision < facts.revision, "{before:?} {facts:?}");
            let orders = |effect: &Effect| *effect == Effect::Enqueue(Work::UpdateIndex);
            let is_same = metrics::record::Facts { revision: facts.revision, ..before } == facts;
            assert!(is_same || effects.iter().any(orders), "{facts:?} is told to nobody");
        }
        before = Some(facts);
    }
    assert_eq!(store.load().unwrap().unwrap().milestones, rig.session.milestones);
}
