//! What goes right, and what callers do wrong.

use super::*;
use expect_test::{Expect, expect};
use protocol::effort::Effort;
use protocol::limit::{PROMPT_BYTES_MAX, QUEUE_PROMPTS_MAX};

fn check(effects: &[Effect], expected: &Expect) {
    expected.assert_eq(&render(effects));
}

#[test]
fn a_prompt_from_beginning_to_end() {
    let (mut rig, effects) = Rig::new();
    check(
        &effects,
        &expect![[r#"
        #1 created acme/shop
        save ada@farhand.example
        #2 joined ada
        + update_index
        = Done
    "#]],
    );
    check(
        &rig.prompt_text(1, "\n  Fix the basket \nand more"),
        &expect![[r#"
            #3 queued prm_1
            #4 title Fix the basket
            + claim_sandbox
            #5 sandbox starting: taking a warm sandbox
            + update_index
            = prm_1 at 3
        "#]],
    );
    check(
        &rig.boot(),
        &expect![[r#"
            + create_sandbox
            #6 sandbox starting: creating the sandbox
            = Done
            #7 sandbox starting: booting the sandbox
            = Done
            #8 sandbox starting: the runner is connected
            = Acked { acked: 0 }
            #9 sandbox starting: cloning
            #10 sandbox ready: local Namespaces scripted 1
            #11 turn of prm_1 attempt 1
            + start_turn
            + update_index
            = Acked { acked: 2 }
        "#]],
    );
    check(
        &rig.receive(),
        &expect![[r#"
            - start_turn
            + update_index
            = Acked { acked: 3 }
        "#]],
    );
    let item = rig.item(1, text("He"));
    let events = vec![
        RunnerEvent::ItemChanged { item },
        appended(1, 2, "llo"),
        RunnerEvent::Heartbeat,
        appended(1, 5, " wörld 😀"),
    ];
    check(
        &rig.events(events),
        &expect![[r##"
            #12 item itm_1 Text { text: "He", done: false }
            #13 append itm_1 2 "llo wörld 😀"
            + update_index
            = Acked { acked: 7 }
        "##]],
    );
    check(
        &rig.end_turn(Some(change('a'))),
        &expect![[r#"
            - start_turn
            - stop_turn
            save text of itm_1 at 13, 17 bytes
            #14 revise itm_1 Text { text: "", done: true }
            #15 turn Completed, prompt Done
            #16 artifact art_branch
            #17 artifact art_diff
            + open_pull_request
            + take_snapshot
            + update_index
            + ask_ledger
            = Acked { acked: 8 }
        "#]],
    );
    check(
        &rig.finish_snapshot(WorkOutcome::Done),
        &expect![[r#"
            #18 snapshot taken
            = Done
        "#]],
    );
    let idle = (rig.now.plus_ms(600_000), DeadlineReason::Idle);
    assert_eq!(rig.session.next_deadline(rig.timing), Some(idle));
}

#[test]
fn the_next_prompt_waits_for_the_snapshot() {
    let mut rig = Rig::running();
    check(
        &rig.prompt(2),
        &expect![[r#"
            #12 queued prm_2
            + update_index
            = prm_2 at 12
        "#]],
    );
    rig.end_turn(None);
    assert!(rig.session.turn.is_none() && rig.session.saving.is_some());
    check(
        &rig.finish_snapshot(WorkOutcome::Done),
        &expect![[r#"
            #14 snapshot taken
            #15 turn of prm_2 attempt 1
            + start_turn
            + update_index
            = Done
        "#]],
    );
}

#[test]
fn a_failed_snapshot_is_told_and_holds_nobody_up() {
    let mut rig = Rig::running();
    rig.prompt(2);
    rig.end_turn(None);
    check(
        &rig.finish_snapshot(WorkOutcome::Failed { reason: "disk full".into() }),
        &expect![[r#"
            - take_snapshot
            + delete_snapshot
            #14 failed saving the sandbox: disk full
            #15 turn of prm_2 attempt 1
            + start_turn
            + update_index
            = Done
        "#]],
    );
    let mut rig = Rig::running();
    rig.prompt(2);
    rig.end_turn(None);
    check(
        &rig.wait(120_000),
        &expect![[r#"
            - take_snapshot
            + delete_snapshot
            #14 failed saving the sandbox: the bridge has not answered within two minutes
            #15 turn of prm_2 attempt 1
            + start_turn
            + update_index
            = Done
        "#]],
    );
}

#[test]
fn one_pull_request_per_session() {
    let mut rig = Rig::running();
    let order = rig.end_turn(Some(change('a')));
    let work = order
        .into_iter()
        .find_map(|effect| match effect {
            Effect::Enqueue(work @ Work::OpenPullRequest(_)) => Some(work),
            _ => None,
        })
        .unwrap();
    let Work::OpenPullRequest(pull_request) = &work else { unreachable!() };
    assert_eq!(pull_request.change.branch, "farhand/1", "a runner cannot name another branch");
    rig.finish_snapshot(WorkOutcome::Done);
    let opened = WorkOutcome::PullRequestOpened {
        number: 7,
        url: "https://code.example/7".into(),
        title: "Change".into(),
        base: "main".into(),
        progress: Default::default(),
    };
    check(
        &rig.apply(Input::WorkDone { work: work.clone(), outcome: opened.clone() }),
        &expect![[r#"
            #16 artifact art_pull_request
            + update_index
            = Done
        "#]],
    );
    rig.prompt(2);
    rig.receive();
    assert!(
        render(&rig.end_turn(Some(change('b')))).contains("open_pull_request"),
        "its text is brought up to date"
    );
    rig.finish_snapshot(WorkOutcome::Done);
    check(
        &rig.apply(Input::WorkDone { work: work.clone(), outcome: opened }),
        &expect![[r#"
            = Done
        "#]],
    );
    let failed = WorkOutcome::Failed { reason: "no".into() };
    let told = render(&rig.apply(Input::WorkDone { work: work.clone(), outcome: failed }));
    assert!(told.contains("failed updating the pull request: no"), "{told}");
    assert_eq!(rig.session.pull_request, PullRequestState::Open);

    let mut rig = Rig::running();
    rig.end_turn(Some(change('a')));
    rig.finish_snapshot(WorkOutcome::Done);
    check(
        &rig.apply(Input::WorkDone { work, outcome: WorkOutcome::Rejected { reason: "no".into() } }),
        &expect![[r#"
            #16 failed opening the pull request: no
            = Done
        "#]],
    );
    rig.prompt(2);
    rig.receive();
    assert!(render(&rig.end_turn(Some(change('b')))).contains("open_pull_request"));
}

#[test]
fn the_same_prompt_again_has_the_same_answer() {
    let mut rig = Rig::new().0;
    rig.prompt(1);
    check(
        &rig.prompt(1),
        &expect![[r#"
        = prm_1 at 3
    "#]],
    );
    check(
        &rig.prompt_text(1, "something else"),
        &expect![[r#"
        = id_conflict
    "#]],
    );
    let prompt = request(1, "prompt 1");
    check(
        &rig.apply(Input::PromptSubmitted { author: user("grace"), prompt }),
        &expect![[r#"
        = id_conflict
    "#]],
    );
}

#[test]
fn what_is_no_prompt_stores_nothing() {
    let before = Rig::new().0;
    let check_prompt = |prompt: PromptRequest, expected: Expect| {
        let mut rig = before.clone();
        check(&rig.apply(Input::PromptSubmitted { author: user("grace"), prompt }), &expected);
        assert_eq!(rig.session, before.session);
    };
    check_prompt(
        request(1, " \n\t "),
        expect![[r#"
        = prompt_empty
    "#]],
    );
    check_prompt(
        request(1, &"x".repeat(PROMPT_BYTES_MAX + 1)),
        expect![[r#"
        = too_large
    "#]],
    );
    check_prompt(
        PromptRequest { model: Some("other/model".into()), ..request(1, "x") },
        expect![[r#"
        = model_unknown
    "#]],
    );
    check_prompt(
        PromptRequest { model: Some("local/plain".into()), effort: Some(Effort::Low), ..request(1, "x") },
        expect![[r#"
        = bad_request
    "#]],
    );
    let timing = Timing::default();
    let context = Context { now: START, random: [0; 16], models: &models(), timing };
    let refused = Session::create(new_session(Some(request(1, ""))), context).unwrap_err();
    assert_eq!(refused.code, protocol::error::ErrorCode::PromptEmpty);
}

#[test]
fn a_prompt_at_its_limits_is_accepted_and_its_title_cut() {
    let mut rig = Rig::new().0;
    let text = "ä".repeat(PROMPT_BYTES_MAX / 2);
    let prompt = PromptRequest { model: Some("demo/other".into()), ..request(1, &text) };
    rig.apply(Input::PromptSubmitted { author: user("ada"), prompt });
    assert_eq!(rig.session.info.title, format!("{}…", "ä".repeat(79)));
}

#[test]
fn the_queue_has_an_end() {
    let mut rig = Rig::running();
    for number in 2..QUEUE_PROMPTS_MAX + 2 {
        assert!(render(&rig.prompt(number)).contains("queued"), "{number}");
    }
    check(
        &rig.prompt(999),
        &expect![[r#"
        = queue_full
    "#]],
    );
}

#[test]
fn only_a_waiting_prompt_is_cancelled() {
    let mut rig = Rig::running();
    rig.prompt(2);
    let cancel = |number| Input::PromptCancelled { prompt_id: prompt_id(number), by: user("ada").id };
    check(
        &rig.apply(cancel(2)),
        &expect![[r#"
            #13 cancelled prm_2 by usr_ada
            + update_index
            = Done
        "#]],
    );
    for number in [1, 2, 3] {
        check(
            &rig.apply(cancel(number)),
            &expect![[r#"
            = prompt_not_queued
        "#]],
        );
    }
}

#[test]
fn participants_join_once() {
    let mut rig = Rig::new().0;
    let mut grace = user("grace");
    let join = |user: &User| Input::ParticipantJoined { user: user.clone() };
    check(
        &rig.apply(join(&grace)),
        &expect![[r#"
            save grace@farhand.example
            #3 joined grace
            + update_index
            = Done
        "#]],
    );
    check(
        &rig.apply(join(&grace)),
        &expect![[r#"
        = Done
    "#]],
    );
    grace.email = "grace@new.example".into();
    check(
        &rig.apply(join(&grace)),
        &expect![[r#"
        save grace@new.example
        = Done
    "#]],
    );
}

#[test]
fn a_stop_ends_the_named_turn_only() {
    let mut rig = Rig::running();
    let stop = |turn_id| Input::StopRequested { turn_id, by: user("ada").id };
    check(
        &rig.apply(stop(TurnId::parse("trn_other").unwrap())),
        &expect![[r#"
        = turn_not_running
    "#]],
    );
    let turn_id = rig.turn();
    check(
        &rig.apply(stop(turn_id.clone())),
        &expect![[r#"
            #12 stop by usr_ada
            + stop_turn
            = Done
        "#]],
    );
    check(
        &rig.apply(stop(turn_id.clone())),
        &expect![[r#"
        = Done
    "#]],
    );
    let ended = rig.stopped();
    check(
        &rig.events(vec![ended]),
        &expect![[r#"
            - start_turn
            - stop_turn
            #13 turn Stopped, prompt Done
            + take_snapshot
            + update_index
            + ask_ledger
            = Acked { acked: 4 }
        "#]],
    );
}

#[test]
fn commands_are_named_after_their_turn() {
    let rig = Rig::running();
    let work = Work::StartTurn { sandbox_id: rig.sandbox(), generation: 1, turn_id: rig.turn() };
    let id = work.command_id().unwrap();
    assert_eq!(id.as_str().replace("cmd_start-", "trn_"), rig.turn().as_str());
    assert_eq!(Work::UpdateIndex.command_id(), None);
}
