//! Several people in one session: roles, the order of the queue, prompts that go into the running turn, archive and deletion.

use super::*;
use expect_test::{Expect, expect};

fn check(effects: &[Effect], expected: &Expect) {
    expected.assert_eq(&render(effects));
}

/// Ada's session with Grace in it, whose first prompt runs and whose second and third wait.
fn together() -> Rig {
    let mut rig = Rig::running();
    rig.apply(Input::ParticipantJoined { user: user("grace") });
    rig.prompt(2);
    rig.apply(Input::PromptSubmitted { author: user("grace"), prompt: request(3, "prompt 3") });
    rig
}

fn role(name: &str, role: Role, by: &str) -> Input {
    Input::RoleChanged { user_id: user(name).id, role, by: user(by).id }
}

fn steer(rig: &mut Rig, number: usize) -> Vec<Effect> {
    rig.apply(Input::PromptSubmitted { author: user("ada"), prompt: steer_request(number) })
}

fn taken(rig: &mut Rig, number: usize) -> Vec<Effect> {
    let turn_id = rig.turn();
    rig.events(vec![RunnerEvent::SteerTaken { turn_id, prompt_id: prompt_id(number) }])
}

fn waiting(rig: &Rig) -> String {
    let running = rig.session.turn.as_ref().map(|turn| turn.prompt_id.clone());
    let ids = rig.session.queue.iter().filter(|prompt| Some(&prompt.id) != running.as_ref());
    ids.map(|prompt| prompt.id.as_str().trim_start_matches("prm_").to_owned()).collect::<Vec<_>>().join(" ")
}

#[test]
fn an_owner_decides_who_may_do_what() {
    let mut rig = together();
    check(
        &rig.apply(role("ada", Role::Viewer, "grace")),
        &expect![[r#"
        = forbidden
    "#]],
    );
    check(
        &rig.apply(role("ada", Role::Viewer, "ada")),
        &expect![[r#"
        = forbidden
    "#]],
    );
    check(
        &rig.apply(role("linus", Role::Viewer, "ada")),
        &expect![[r#"
        = not_found
    "#]],
    );
    check(
        &rig.apply(role("grace", Role::Unknown, "ada")),
        &expect![[r#"
        = bad_request
    "#]],
    );
    check(
        &rig.apply(role("grace", Role::Viewer, "ada")),
        &expect![[r#"
            save grace@farhand.example
            #15 usr_grace is Viewer by usr_ada
            = Done
        "#]],
    );
    let before = rig.session.clone();
    let by = user("grace").id;
    let turn_id = rig.turn();
    for input in [
        Input::PromptSubmitted { author: user("grace"), prompt: request(9, "me too") },
        Input::PromptCancelled { prompt_id: prompt_id(3), by: by.clone() },
        Input::PromptEdited { prompt_id: prompt_id(3), text: "x".into(), by: by.clone() },
        Input::PromptMoved { prompt_id: prompt_id(3), before: Some(prompt_id(2)), by: by.clone() },
        Input::StopRequested { turn_id, by: by.clone() },
        Input::TitleChanged { title: "x".into(), by: by.clone() },
        Input::ArchiveChanged { archived: true, by: by.clone() },
        Input::DeletionRequested { by },
    ] {
        check(
            &rig.apply(input),
            &expect![[r#"
            = forbidden
        "#]],
        );
        assert_eq!(rig.session, before);
    }
    check(
        &rig.apply(role("grace", Role::Owner, "ada")),
        &expect![[r#"
            save grace@farhand.example
            #16 usr_grace is Owner by usr_ada
            = Done
        "#]],
    );
    assert!(
        render(&rig.apply(role("ada", Role::Driver, "grace"))).contains("usr_ada is Driver by usr_grace")
    );
}

#[test]
fn a_waiting_prompt_is_edited_by_its_author_and_moved_by_anyone() {
    let mut rig = together();
    let edit = |number, text: &str, by: &str| Input::PromptEdited {
        prompt_id: prompt_id(number),
        text: text.into(),
        by: user(by).id,
    };
    check(
        &rig.apply(edit(2, "better", "ada")),
        &expect![[r##"
            #15 edited prm_2 "better" by usr_ada
            = Done
        "##]],
    );
    check(
        &rig.apply(edit(2, "mine", "grace")),
        &expect![[r#"
        = forbidden
    "#]],
    );
    check(
        &rig.apply(edit(2, "  ", "ada")),
        &expect![[r#"
        = prompt_empty
    "#]],
    );
    check(
        &rig.apply(edit(1, "too late", "ada")),
        &expect![[r#"
        = prompt_not_queued
    "#]],
    );
    let place = |which, before: Option<usize>| Input::PromptMoved {
        prompt_id: prompt_id(which),
        before: before.map(prompt_id),
        by: user("grace").id,
    };
    check(
        &rig.apply(place(3, Some(2))),
        &expect![[r#"
            #16 moved prm_3 before prm_2 by usr_grace
            = Done
        "#]],
    );
    assert_eq!(waiting(&rig), "3 2");
    check(
        &rig.apply(place(3, Some(2))),
        &expect![[r#"
        = Done
    "#]],
    );
    check(
        &rig.apply(place(3, None)),
        &expect![[r#"
            #17 moved prm_3 to the end by usr_grace
            = Done
        "#]],
    );
    assert_eq!(waiting(&rig), "2 3");
    check(
        &rig.apply(place(3, Some(1))),
        &expect![[r#"
        = prompt_not_queued
    "#]],
    );
    // Sent again after a lost answer, the first text is what was submitted.
    check(
        &rig.prompt(2),
        &expect![[r#"
            = prm_2 at 13
        "#]],
    );
}

#[test]
fn a_steered_prompt_goes_into_the_running_turn_and_ends_with_it() {
    let mut rig = together();
    check(
        &steer(&mut rig, 4),
        &expect![[r#"
            #15 queued prm_4
            #16 moved prm_4 before prm_2 by usr_ada
            + steer_turn
            + update_index
            = prm_4 at 15
        "#]],
    );
    check(
        &taken(&mut rig, 4),
        &expect![[r#"
            - steer_turn
            #17 steered prm_4
            = Acked { acked: 4 }
        "#]],
    );
    check(
        &rig.apply(Input::PromptCancelled { prompt_id: prompt_id(4), by: user("ada").id }),
        &expect![[r#"
        = prompt_not_queued
    "#]],
    );
    rig.end_turn(None);
    assert_eq!(waiting(&rig), "2 3");
}

#[test]
fn a_steered_prompt_that_came_too_late_runs_next() {
    let mut rig = together();
    steer(&mut rig, 4);
    steer(&mut rig, 5);
    rig.end_turn(None);
    assert_eq!(waiting(&rig), "4 5 2 3");
    let mut rig = together();
    steer(&mut rig, 4);
    let order = rig.log.last().unwrap().1.iter().find_map(|effect| match effect {
        Effect::Enqueue(work @ Work::SteerTurn { .. }) => Some(work.clone()),
        _ => None,
    });
    let outcome = WorkOutcome::Rejected { reason: "this agent cannot".into() };
    let effects = rig.apply(Input::WorkDone { work: order.unwrap(), outcome });
    check(
        &effects,
        &expect![[r#"
            #17 moved prm_4 before prm_2 by usr_ada
            = Done
        "#]],
    );
    let is_told = |effect: &Effect| {
        matches!(
            effect,
            Effect::Record { event: SessionEvent::PromptMoved { delivery: Some(Delivery::Queue), .. }, .. }
        )
    };
    assert!(effects.iter().any(is_told), "it does not steer any more");
    assert_eq!(waiting(&rig), "4 2 3");
    check(
        &taken(&mut rig, 4),
        &expect![[r#"
        = Acked { acked: 4 }
    "#]],
    );
}

#[test]
fn what_a_lost_turn_had_taken_waits_behind_its_prompt() {
    let mut rig = together();
    for number in [4, 5, 6] {
        steer(&mut rig, number);
    }
    taken(&mut rig, 6);
    taken(&mut rig, 4);
    rig.lose_sandbox("killed");
    assert_eq!(waiting(&rig), "1 4 6 5 2 3");
}

#[test]
fn a_bridge_that_comes_back_is_told_again_of_a_steered_prompt() {
    let mut rig = together();
    steer(&mut rig, 4);
    assert!(render(&rig.attach("http://127.0.0.1:2")).contains("+ steer_turn"));
    taken(&mut rig, 4);
    assert!(!render(&rig.attach("http://127.0.0.1:2")).contains("+ steer_turn"));
}

#[test]
fn a_title_is_one_line() {
    let mut rig = together();
    let title = |title: &str| Input::TitleChanged { title: title.into(), by: user("grace").id };
    check(
        &rig.apply(title("  Basket  ")),
        &expect![[r#"
            #15 title Basket
            + update_index
            = Done
        "#]],
    );
    check(
        &rig.apply(title("Basket")),
        &expect![[r#"
        = Done
    "#]],
    );
    for wrong in ["", "  ", "two\nlines", &"x".repeat(81)] {
        check(
            &rig.apply(title(wrong)),
            &expect![[r#"
            = bad_request
        "#]],
        );
    }
}

#[test]
fn an_archived_session_takes_no_prompts_and_keeps_no_sandbox() {
    let mut rig = Rig::running();
    let archive = |archived| Input::ArchiveChanged { archived, by: user("ada").id };
    check(
        &rig.apply(archive(true)),
        &expect![[r#"
        = bad_request
    "#]],
    );
    rig.end_turn(None);
    rig.finish_snapshot(WorkOutcome::Done);
    check(
        &rig.apply(archive(true)),
        &expect![[r#"
            #14 archived by usr_ada
            - create_sandbox
            + terminate_sandbox
            #15 sandbox stopped, with snapshot
            + update_index
            = Done
        "#]],
    );
    check(
        &rig.prompt(2),
        &expect![[r#"
        = session_archived
    "#]],
    );
    check(
        &rig.apply(archive(false)),
        &expect![[r#"
            #16 unarchived by usr_ada
            + update_index
            = Done
        "#]],
    );
    assert!(render(&rig.prompt(2)).contains("+ create_sandbox"));
}

#[test]
fn a_deletion_leaves_nothing() {
    let mut rig = together();
    steer(&mut rig, 4);
    rig.end_turn(Some(change('a')));
    check(
        &rig.apply(Input::DeletionRequested { by: user("ada").id }),
        &expect![[r#"
        - take_snapshot
        + delete_snapshot
        - create_sandbox
        + terminate_sandbox
        - update_index
        - open_pull_request
        - look_at_pull_request
        + delete_artifacts
        + remove_index
        purge
        = Done
    "#]],
    );
    check(
        &rig.prompt(7),
        &expect![[r#"
        = not_found
    "#]],
    );
    assert_eq!(rig.session.next_deadline(rig.timing), None);
}
