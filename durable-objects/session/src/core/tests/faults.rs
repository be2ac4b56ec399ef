//! What goes wrong around a session: lost sandboxes, silent runners, repeated and missing events, flooding runners.

use super::*;
use expect_test::{Expect, expect};

fn check(effects: &[Effect], expected: &Expect) {
    expected.assert_eq(&render(effects));
}

#[test]
fn a_lost_sandbox_is_replaced_three_times() {
    let mut rig = Rig::running();
    rig.prompt(2);
    let item = rig.item(1, tool("out", ToolState::Running));
    rig.events(vec![RunnerEvent::ItemChanged { item }, appended(1, 3, "put")]);
    check(
        &rig.lose_sandbox("killed"),
        &expect![[r#"
            - start_turn
            - stop_turn
            save text of itm_1 at 14, 6 bytes
            #15 revise itm_1 Failed { duration_ms: 0, message: "cut off: the turn failed" } ""
            #16 turn failed (the sandbox ended: killed), prompt Queued
            - create_sandbox
            + terminate_sandbox
            #17 sandbox failed: the sandbox ended: killed
            + claim_sandbox
            #18 sandbox starting: taking a warm sandbox
            + update_index
            = Done
        "#]],
    );
    assert_eq!(rig.session.generation, 2);
    rig.boot();
    rig.receive();
    rig.lose_sandbox("killed");
    rig.boot();
    rig.receive();
    check(
        &rig.lose_sandbox("killed"),
        &expect![[r#"
            - start_turn
            - stop_turn
            #34 turn failed (the sandbox ended: killed), prompt Failed
            - create_sandbox
            + terminate_sandbox
            #35 sandbox failed: the sandbox ended: killed
            + claim_sandbox
            #36 sandbox starting: taking a warm sandbox
            + update_index
            = Done
        "#]],
    );
    assert_eq!(rig.session.queue.front().map(|prompt| prompt.id.clone()), Some(prompt_id(2)));
}

#[test]
fn silence_is_a_loss_when_the_lease_has_run_out_and_not_before() {
    let mut rig = Rig::running();
    assert_eq!(rig.wait(34_999), []);
    rig.events(vec![RunnerEvent::Heartbeat]);
    assert_eq!(rig.wait(34_999), []);
    assert!(
        render(&rig.wait(1))
            .contains("turn failed (the sandbox has not been heard of for 35 seconds), prompt Queued")
    );
}

#[test]
fn a_bridge_that_comes_back_loses_nothing() {
    let mut rig = Rig::running();
    rig.wait(30_000);
    check(
        &rig.attach("http://127.0.0.1:2"),
        &expect![[r#"
        = Acked { acked: 3 }
    "#]],
    );
    rig.wait(30_000);
    let item = rig.item(1, text("on"));
    check(
        &rig.events(vec![RunnerEvent::ItemChanged { item }]),
        &expect![[r##"
            #12 item itm_1 Text { text: "on", done: false }
            + update_index
            = Acked { acked: 4 }
        "##]],
    );
}

#[test]
fn a_session_that_was_away_itself_does_not_blame_the_runner() {
    let mut rig = Rig::running();
    rig.now = rig.now.plus_ms(600_000);
    check(
        &rig.apply(Input::DeadlineReached),
        &expect![[r#"
        = Done
    "#]],
    );
    assert_eq!(rig.wait(34_999), []);
    assert!(render(&rig.wait(1)).contains("turn failed"));
}

#[test]
fn an_unconfirmed_turn_is_sent_again() {
    let mut rig = Rig::new().0;
    rig.prompt(1);
    rig.boot();
    check(
        &rig.wait(30_000),
        &expect![[r#"
        + start_turn
        = Done
    "#]],
    );
    check(
        &rig.attach("http://127.0.0.1:2"),
        &expect![[r#"
        + start_turn
        = Acked { acked: 2 }
    "#]],
    );
    rig.receive();
    assert_eq!(rig.wait(34_000), []);
}

#[test]
fn a_bridge_that_comes_back_is_told_again_what_it_may_have_forgotten() {
    let mut rig = Rig::running();
    let turn_id = rig.turn();
    rig.apply(Input::StopRequested { turn_id, by: user("ada").id });
    check(
        &rig.attach("http://127.0.0.1:1"),
        &expect![[r#"
        + stop_turn
        = Acked { acked: 3 }
    "#]],
    );
    rig.end_turn(None);
    check(
        &rig.attach("http://127.0.0.1:1"),
        &expect![[r#"
        + take_snapshot
        = Acked { acked: 4 }
    "#]],
    );
    rig.finish_snapshot(WorkOutcome::Done);
    check(
        &rig.attach("http://127.0.0.1:1"),
        &expect![[r#"
        = Acked { acked: 4 }
    "#]],
    );
}

#[test]
fn a_stop_that_is_not_answered_is_repeated_and_then_enforced() {
    let mut rig = Rig::running();
    rig.prompt(2);
    let turn_id = rig.turn();
    rig.apply(Input::StopRequested { turn_id, by: user("ada").id });
    check(
        &rig.wait(15_000),
        &expect![[r#"
        + stop_turn
        = Done
    "#]],
    );
    check(
        &rig.wait(15_000),
        &expect![[r#"
            - start_turn
            - stop_turn
            #14 turn Stopped, prompt Done
            - create_sandbox
            + terminate_sandbox
            #15 sandbox stopped, no snapshot
            + claim_sandbox
            #16 sandbox starting: taking a warm sandbox
            + update_index
            = Done
        "#]],
    );
}

#[test]
fn a_stopped_turn_whose_sandbox_dies_is_not_tried_again() {
    let mut rig = Rig::running();
    let turn_id = rig.turn();
    rig.apply(Input::StopRequested { turn_id, by: user("ada").id });
    assert!(render(&rig.lose_sandbox("killed")).contains("turn Stopped, prompt Done"));
    assert_eq!(rig.session.sandbox, None);
}

#[test]
fn events_count_once() {
    let mut rig = Rig::running();
    let item = rig.item(1, text("a"));
    let batch = rig.batch(vec![RunnerEvent::ItemChanged { item }, appended(1, 1, "b")]);
    rig.apply(Input::RunnerEvents(batch.clone()));
    check(
        &rig.apply(Input::RunnerEvents(batch.clone())),
        &expect![[r#"
        = Acked { acked: 5 }
    "#]],
    );
    let more = rig.batch(vec![appended(1, 2, "c")]);
    let mut both = batch;
    both.events.extend(more.events.clone());
    check(
        &rig.apply(Input::RunnerEvents(both)),
        &expect![[r##"
            #14 append itm_1 2 "c"
            = Acked { acked: 6 }
        "##]],
    );
    rig.runner_seq += 1;
    let late = rig.batch(vec![appended(1, 3, "e")]);
    check(
        &rig.apply(Input::RunnerEvents(late)),
        &expect![[r#"
        = EventGap { expected: 7 }
    "#]],
    );
}

#[test]
fn an_old_sandbox_is_not_heard() {
    let mut rig = Rig::running();
    let stale = rig.batch(vec![RunnerEvent::Heartbeat]);
    rig.lose_sandbox("killed");
    rig.boot();
    check(
        &rig.apply(Input::RunnerEvents(stale.clone())),
        &expect![[r#"
        = generation_stale
    "#]],
    );
    let attached = RunnerAttached {
        sandbox_id: stale.sandbox_id.clone(),
        generation: 1,
        bridge_url: "http://127.0.0.1:9".into(),
        runner_version: "1".into(),
    };
    check(
        &rig.apply(Input::RunnerAttached(attached)),
        &expect![[r#"
        = generation_stale
    "#]],
    );
    let ended =
        SandboxEnded { sandbox_id: stale.sandbox_id, generation: 1, reason: "late".into(), halted: false };
    check(
        &rig.apply(Input::SandboxEnded(ended)),
        &expect![[r#"
        = Done
    "#]],
    );
    assert!(rig.session.turn.is_some());
}

#[test]
fn text_neither_overlaps_nor_leaves_holes() {
    let mut rig = Rig::running();
    let item = rig.item(1, text("a😀"));
    rig.events(vec![RunnerEvent::ItemChanged { item }]);
    check(
        &rig.events(vec![appended(1, 1, "😀b")]),
        &expect![[r##"
            #13 append itm_1 3 "b"
            = Acked { acked: 5 }
        "##]],
    );
    check(
        &rig.events(vec![appended(1, 9, "hole"), appended(2, 0, "nobody's"), appended(1, 0, "a")]),
        &expect![[r#"
        = Acked { acked: 8 }
    "#]],
    );
    check(
        &rig.events(vec![appended(1, 4, "c")]),
        &expect![[r##"
            #14 append itm_1 4 "c"
            = Acked { acked: 9 }
        "##]],
    );
}

#[test]
fn a_runner_speaks_for_its_turn_only() {
    let mut rig = Rig::running();
    let mut item = rig.item(1, text("x"));
    item.turn_id = TurnId::parse("trn_other").unwrap();
    let RunnerEvent::TurnEnded { outcome, usage, .. } = rig.ended(None) else { unreachable!() };
    let ended = RunnerEvent::TurnEnded {
        turn_id: rig.turn(),
        attempt: 2,
        outcome,
        change: None,
        files: Vec::new(),
        usage,
        first_token_ms: None,
    };
    check(
        &rig.events(vec![RunnerEvent::ItemChanged { item }, ended]),
        &expect![[r#"
        = Acked { acked: 5 }
    "#]],
    );
}

#[test]
fn what_a_runner_reports_is_cut_to_its_limits() {
    let mut rig = Rig::running();
    let item = rig.item(1, tool(&"x".repeat(1_000_000), ToolState::Running));
    rig.events(vec![RunnerEvent::ItemChanged { item }, appended(1, 32 * 1024, "more")]);
    let Some(TurnItem::Open { length, .. }) =
        rig.session.turn.as_ref().unwrap().items.get(&item_id(1)).cloned()
    else {
        panic!()
    };
    assert!(length.bytes <= 32 * 1024, "{length:?}");
    let mut large = file("large");
    large.hunks[0].lines[0].text = "\u{1}".repeat(400_000);
    let RunnerEvent::TurnEnded { turn_id, attempt, outcome, .. } = rig.ended(None) else { unreachable!() };
    let usage = Usage { input_tokens: u64::MAX, cost_usd: f64::NAN, ..Usage::default() };
    let ended = RunnerEvent::TurnEnded {
        turn_id,
        attempt,
        outcome,
        change: Some(change('a')),
        files: vec![file("small"), large, file("small too")],
        usage,
        first_token_ms: None,
    };
    let effects = rig.events(vec![ended]);
    let files = effects.iter().find_map(|effect| match effect {
        Effect::Record { event: SessionEvent::ArtifactChanged { artifact }, .. } => match &artifact.content {
            ArtifactContent::Diff { files } => {
                Some(files.iter().map(|file| file.omitted).collect::<Vec<_>>())
            }
            _ => None,
        },
        _ => None,
    });
    assert_eq!(files, Some(vec![false, true, false]));
    let usage = effects.iter().find_map(|effect| match effect {
        Effect::Record { event: SessionEvent::TurnEnded { end, .. }, .. } => Some(end.usage),
        _ => None,
    });
    assert_eq!(usage, Some(Usage { input_tokens: (1 << 53) - 1, ..Usage::default() }));
}

#[test]
fn a_commit_that_is_none_is_no_change() {
    let mut rig = Rig::running();
    let effects = rig.end_turn(Some(Change { commit: "--upload-pack=x".into(), ..change('a') }));
    assert!(!render(&effects).contains("artifact"), "{}", render(&effects));
}

#[test]
fn a_sandbox_that_cannot_be_set_up_fails_its_prompt_after_three_tries() {
    let mut rig = Rig::new().0;
    rig.prompt(1);
    rig.prompt(2);
    let fail = |rig: &mut Rig| {
        rig.runner_seq = 0;
        rig.creation();
        rig.attach("http://127.0.0.1:1");
        rig.events(vec![RunnerEvent::SetupFailed { reason: "no such branch".into() }])
    };
    check(
        &fail(&mut rig),
        &expect![[r#"
            - create_sandbox
            + terminate_sandbox
            #9 sandbox failed: no such branch
            + claim_sandbox
            #10 sandbox starting: taking a warm sandbox
            = Acked { acked: 1 }
        "#]],
    );
    fail(&mut rig);
    check(
        &fail(&mut rig),
        &expect![[r#"
            - create_sandbox
            + terminate_sandbox
            #17 sandbox failed: no such branch
            #18 turn of prm_1 attempt 3
            #19 turn failed (no such branch), prompt Failed
            + claim_sandbox
            #20 sandbox starting: taking a warm sandbox
            + update_index
            = Acked { acked: 1 }
        "#]],
    );
    assert_eq!(rig.session.queue.len(), 1);
}

#[test]
fn a_refused_sandbox_fails_its_prompt_at_once_and_the_next_is_tried_anew() {
    let mut rig = Rig::new().0;
    rig.prompt(1);
    rig.prompt(2);
    let work = rig.creation();
    check(
        &rig.apply(Input::WorkDone { work, outcome: WorkOutcome::Rejected { reason: "no".into() } }),
        &expect![[r#"
            - create_sandbox
            + terminate_sandbox
            #8 sandbox failed: no
            #9 turn of prm_1 attempt 1
            #10 turn failed (no), prompt Failed
            + claim_sandbox
            #11 sandbox starting: taking a warm sandbox
            + update_index
            = Done
        "#]],
    );
}

#[test]
fn a_bridge_that_is_away_is_waited_for() {
    let mut rig = Rig::new().0;
    rig.prompt(1);
    let delayed = WorkOutcome::Delayed { reason: "it does not answer".into() };
    for expected in
        ["#7 sandbox starting: waiting for the sandbox bridge: it does not answer\n= Done\n", "= Done\n"]
    {
        let work = rig.creation();
        assert_eq!(render(&rig.apply(Input::WorkDone { work, outcome: delayed.clone() })), expected);
    }
    assert_eq!(rig.session.next_deadline(rig.timing), None);
    assert!(render(&rig.boot()).contains("turn of prm_1 attempt 1"));
}

#[test]
fn a_snapshot_that_cannot_be_restored_is_forgotten() {
    let mut rig = Rig::running();
    rig.end_turn(None);
    rig.finish_snapshot(WorkOutcome::Done);
    check(
        &rig.lose_sandbox("4 hours are over"),
        &expect![[r#"
            - create_sandbox
            + terminate_sandbox
            #14 sandbox stopped, with snapshot
            = Done
        "#]],
    );
    rig.prompt(2);
    let work = rig.creation();
    assert!(rig.session.sandbox.as_ref().unwrap().snapshot_id().is_some());
    check(
        &rig.apply(Input::WorkDone { work, outcome: WorkOutcome::Rejected { reason: "gone".into() } }),
        &expect![[r#"
            - create_sandbox
            + terminate_sandbox
            #17 sandbox failed: gone
            + delete_snapshot
            #18 failed restoring the snapshot; the next sandbox starts afresh: gone
            + claim_sandbox
            #19 sandbox starting: taking a warm sandbox
            = Done
        "#]],
    );
    assert_eq!(rig.session.sandbox.as_ref().unwrap().snapshot_id(), None);
}

#[test]
fn a_sandbox_that_comes_too_late_is_ended() {
    let mut rig = Rig::new().0;
    rig.prompt(1);
    let work = rig.creation();
    rig.lose_sandbox("gave up");
    let created = WorkOutcome::SandboxCreated { provider: "local".into(), isolation: Isolation::Weak };
    check(
        &rig.apply(Input::WorkDone { work, outcome: created }),
        &expect![[r#"
        + terminate_sandbox
        = Done
    "#]],
    );
}

#[test]
fn a_runner_that_never_comes_is_given_up() {
    let mut rig = Rig::new().0;
    rig.prompt(1);
    let work = rig.creation();
    let created = WorkOutcome::SandboxCreated { provider: "local".into(), isolation: Isolation::Weak };
    rig.apply(Input::WorkDone { work, outcome: created });
    assert_eq!(rig.wait(119_999), []);
    assert!(render(&rig.wait(1)).contains("its runner has not connected within two minutes"));
}

#[test]
fn a_sandbox_that_refuses_the_turn_is_replaced() {
    let mut rig = Rig::new().0;
    rig.prompt(1);
    rig.boot();
    let work = Work::StartTurn { sandbox_id: rig.sandbox(), generation: 1, turn_id: rig.turn() };
    let outcome = WorkOutcome::Rejected { reason: "unknown sandbox".into() };
    let lines = render(&rig.apply(Input::WorkDone { work, outcome }));
    assert!(
        lines.contains("turn failed (the sandbox does not take the turn: unknown sandbox), prompt Queued"),
        "{lines}"
    );
}

#[test]
fn a_turn_that_ends_leaves_no_tool_running() {
    let mut rig = Rig::running();
    let item = rig.item(1, tool("", ToolState::Running));
    rig.events(vec![RunnerEvent::ItemChanged { item }]);
    assert!(render(&rig.end_turn(None)).contains("revise itm_1 Failed"));
}
