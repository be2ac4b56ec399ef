//! Sandboxes that come and go: idleness, the end of a life, what the next one starts from, and what its agent is told.

use super::*;
use expect_test::{Expect, expect};
use protocol::bridge::EgressReport;
use protocol::limit::EGRESS_DENIALS_MAX;
use protocol::timeline::EgressDenial;

const HOUR_MS: u64 = 3_600_000;

fn check(effects: &[Effect], expected: &Expect) {
    expected.assert_eq(&render(effects));
}

/// A session whose prompt `number` has run to its end in a sandbox that was saved.
fn run(rig: &mut Rig, number: usize) {
    rig.prompt(number);
    if rig.session.turn.is_none() {
        rig.boot();
    }
    rig.receive();
    rig.end_turn(None);
    rig.finish_snapshot(WorkOutcome::Done);
}

fn source(rig: &Rig) -> Option<SnapshotId> {
    rig.session.sandbox.as_ref().unwrap().snapshot_id().cloned()
}

#[test]
fn a_sandbox_with_nothing_to_do_is_stopped_and_restored() {
    let mut rig = Rig::new().0;
    run(&mut rig, 1);
    assert_eq!(rig.wait(599_999), []);
    check(
        &rig.wait(1),
        &expect![[r#"
            - create_sandbox
            + terminate_sandbox
            #14 sandbox stopped, with snapshot
            = Done
        "#]],
    );
    rig.prompt(2);
    assert_eq!(source(&rig), rig.session.snapshots.first().map(|saved| saved.snapshot_id.clone()));
    let lines = render(&rig.boot());
    assert!(lines.contains("restored from the snapshot"), "{lines}");
    assert_eq!(rig.session.turn.as_ref().unwrap().digest_turns, 0);
}

#[test]
fn a_sandbox_that_was_not_saved_is_saved_before_it_stops() {
    let mut rig = Rig::running();
    rig.end_turn(None);
    rig.finish_snapshot(WorkOutcome::Failed { reason: "disk full".into() });
    check(
        &rig.wait(600_000),
        &expect![[r#"
        + take_snapshot
        = Done
    "#]],
    );
    check(
        &rig.finish_snapshot(WorkOutcome::Done),
        &expect![[r#"
            #14 snapshot taken
            - create_sandbox
            + terminate_sandbox
            #15 sandbox stopped, with snapshot
            = Done
        "#]],
    );
}

#[test]
fn an_agent_that_was_never_told_of_the_turns_before_it_does_not_count_as_remembering_them() {
    let mut rig = Rig::new().0;
    run(&mut rig, 1);
    let saved = rig.session.snapshots[0].clone();
    rig.wait(600_000);
    // The snapshot cannot be restored, and the prompt is taken back before the fresh sandbox takes it up.
    rig.prompt(2);
    let work = rig.creation();
    let outcome = WorkOutcome::Rejected { reason: "no such layer".into() };
    rig.apply(Input::WorkDone { work, outcome });
    assert_eq!((source(&rig), rig.session.snapshots.contains(&saved)), (None, false));
    rig.apply(Input::PromptCancelled { prompt_id: prompt_id(2), by: user("ada").id });
    rig.boot();
    rig.wait(600_000);
    assert_eq!(rig.session.sandbox, None);
    assert_eq!(rig.session.snapshots, [], "there is nothing in it to come back to");
    rig.prompt(3);
    rig.boot();
    assert_eq!(rig.session.turn.as_ref().unwrap().digest_turns, 1);
}

#[test]
fn a_prompt_that_comes_while_an_idle_sandbox_is_saved_keeps_it() {
    let mut rig = Rig::running();
    rig.end_turn(None);
    rig.finish_snapshot(WorkOutcome::Failed { reason: "disk full".into() });
    rig.wait(600_000);
    rig.prompt(2);
    let lines = render(&rig.finish_snapshot(WorkOutcome::Done));
    assert!(lines.contains("turn of prm_2") && !lines.contains("terminate"), "{lines}");
    assert_eq!(rig.session.generation, 1);
}

#[test]
fn a_life_that_ends_is_handed_over_with_its_turn() {
    let mut rig = Rig::running();
    let heartbeats = 4 * HOUR_MS - 300_000 - 1;
    for _ in 0..heartbeats / 30_000 {
        rig.wait(30_000);
        rig.events(vec![RunnerEvent::Heartbeat]);
    }
    check(&rig.wait(heartbeats % 30_000), &expect![""]);
    check(
        &rig.wait(1),
        &expect![[r#"
        + stop_turn
        = Done
    "#]],
    );
    let ended = rig.stopped();
    check(
        &rig.events(vec![ended]),
        &expect![[r#"
            - start_turn
            - stop_turn
            #12 turn Stopped, prompt Queued
            + take_snapshot
            + update_index
            + ask_ledger
            = Acked { acked: 473 }
        "#]],
    );
    check(
        &rig.finish_snapshot(WorkOutcome::Done),
        &expect![[r#"
            #13 snapshot taken
            - create_sandbox
            + terminate_sandbox
            #14 sandbox stopped, with snapshot
            + create_sandbox
            #15 sandbox starting: creating the sandbox
            = Done
        "#]],
    );
    let lines = render(&rig.boot());
    assert!(lines.contains("turn of prm_1 attempt 1"), "it costs no try: {lines}");
}

#[test]
fn a_turn_that_does_not_stop_for_the_handover_goes_on_elsewhere_all_the_same() {
    let mut rig = Rig::new().0;
    rig.timing = Timing { life_ms: 80_000, idle_ms: 600_000, ..Timing::default() };
    rig.prompt(1);
    rig.boot();
    rig.receive();
    rig.wait(60_000 - 30_000);
    rig.events(vec![RunnerEvent::Heartbeat]);
    assert!(render(&rig.wait(30_000)).contains("+ stop_turn"));
    rig.events(vec![RunnerEvent::Heartbeat]);
    let lines = render(&rig.wait(30_000));
    assert!(lines.contains("turn failed (the agent did not stop), prompt Queued"), "{lines}");
    assert!(render(&rig.boot()).contains("turn of prm_1 attempt 1"));
}

#[test]
fn what_cannot_be_restored_gives_way_to_what_is_older() {
    let mut rig = Rig::new().0;
    for number in 1..=4 {
        run(&mut rig, number);
    }
    let saved: Vec<u32> = rig.session.snapshots.iter().map(|saved| saved.turns).collect();
    assert_eq!(saved, [4, 3, 2], "three are kept");
    assert!(rig.log.iter().any(|(_, effects, _)| render(effects).contains("+ delete_snapshot")));
    rig.lose_sandbox("power cut");
    rig.prompt(5);
    let refuse = |rig: &mut Rig| {
        let work = rig.creation();
        rig.apply(Input::WorkDone { work, outcome: WorkOutcome::Rejected { reason: "damaged".into() } })
    };
    let lines = render(&refuse(&mut rig));
    assert!(lines.contains("the next sandbox starts from an older one: damaged"), "{lines}");
    assert_eq!(rig.session.sandbox.as_ref().unwrap().forgotten, 1);
    let lines = render(&rig.clone().boot());
    assert!(lines.contains("restored from an older snapshot, 1 turns told"), "{lines}");

    // One that is restored and does not get up is as good as damaged, and costs the prompt no try.
    rig.runner_seq = 0;
    rig.attach("http://127.0.0.1:1");
    let lines = render(&rig.events(vec![RunnerEvent::SetupFailed { reason: "no agent".into() }]));
    assert!(lines.contains("the next sandbox starts from an older one: no agent"), "{lines}");
    let lines = render(&refuse(&mut rig));
    assert!(lines.contains("the next sandbox starts afresh: damaged"), "{lines}");
    let lines = render(&rig.boot());
    assert!(lines.contains("restored by a digest of 4 turns"), "{lines}");
    assert!(lines.contains("turn of prm_5 attempt 1"), "{lines}");
    assert_eq!(rig.session.turn.as_ref().unwrap().digest_turns, 4);
    rig.receive();
    rig.end_turn(None);
    rig.finish_snapshot(WorkOutcome::Done);
    rig.prompt(6);
    assert_eq!(rig.session.turn.as_ref().unwrap().digest_turns, 0, "it was told once");
}

#[test]
fn text_is_saved_at_checkpoints_and_at_its_end() {
    let mut rig = Rig::running();
    let item = rig.item(1, text(""));
    rig.events(vec![RunnerEvent::ItemChanged { item }]);
    let mut saved = 0;
    for number in 0..64 {
        let lines = render(&rig.events(vec![appended(1, number * 1024, &"x".repeat(1024))]));
        saved += lines.matches("save text").count();
    }
    assert_eq!(saved, 4, "once each 16 KiB");
    let item = rig.item(1, ItemContent::Text { text: "x".repeat(64 * 1024), done: true });
    let lines = render(&rig.events(vec![RunnerEvent::ItemChanged { item }]));
    assert!(lines.contains(r#"revise itm_1 Text { text: "", done: true }"#), "its text is not sent again");
}

#[test]
fn long_output_is_a_preview_and_an_artifact() {
    let mut rig = Rig::running();
    let item = rig.item(1, tool("", ToolState::Running));
    rig.events(vec![RunnerEvent::ItemChanged { item }, appended(1, 0, &"y".repeat(40_000))]);
    let output: String = (0..20_000).map(|number| format!("{number}\n")).collect();
    let done = ToolState::Completed { duration_ms: 5, exit_code: Some(0), edit: None };
    let item = rig.item(1, tool(&output, done));
    let effects = rig.events(vec![RunnerEvent::ItemChanged { item }]);
    let kept = effects.iter().find_map(|effect| match effect {
        Effect::SaveOutput { artifact_id, output } => Some((artifact_id.clone(), output.text.clone())),
        _ => None,
    });
    let (artifact_id, kept) = kept.unwrap();
    assert_eq!(kept, output);
    let shown = effects.iter().find_map(|effect| match effect {
        Effect::Record { event: SessionEvent::ItemChanged { item }, .. } => Some(item.content.clone()),
        _ => None,
    });
    let Some(ItemContent::Tool { output: preview, artifact_id: Some(named), omitted_bytes, .. }) = shown
    else {
        panic!("{}", render(&effects))
    };
    assert_eq!(named, artifact_id);
    assert!(preview.len() <= 32 * 1024 && preview.starts_with("0\n1\n") && preview.ends_with("19999\n"));
    assert_eq!(omitted_bytes as usize + preview.len(), output.len());
    let work = Work::StoreOutput { artifact_id };
    check(
        &rig.apply(Input::WorkDone { work, outcome: WorkOutcome::Done }),
        &expect![[r#"
        drop output
        = Done
    "#]],
    );
}

#[test]
fn old_events_are_removed_together() {
    let mut rig = Rig::running();
    let item = rig.item(1, text(""));
    rig.events(vec![RunnerEvent::ItemChanged { item }]);
    let mut compactions = Vec::new();
    for number in 0..30_000 {
        for effect in rig.events(vec![appended(1, number, "x")]) {
            if let Effect::Compact { from } = effect {
                compactions.push(from);
            }
        }
        rig.log.clear();
    }
    assert_eq!(compactions, [5001, 10_001]);
    assert_eq!(rig.session.kept_from, 10_001);
}

#[test]
fn refused_connections_are_told_once_and_again_with_each_digit() {
    let mut rig = Rig::running();
    let report = |rig: &Rig, generation, denials: &[(&str, u64)]| {
        let denials = denials.iter().map(|(host, count)| EgressDenial {
            host: (*host).into(),
            port: 443,
            reason: "host_not_allowed".into(),
            count: *count,
        });
        let denials = denials.collect();
        Input::EgressDenied(EgressReport { sandbox_id: rig.sandbox(), generation, denials })
    };
    let generation = rig.session.generation;
    let first = report(&rig, generation, &[("a.example", 1), ("b.example", 20)]);
    check(
        &rig.apply(first.clone()),
        &expect![[r#"
            #12 denied a.example:443 host_not_allowed ×1
            #13 denied b.example:443 host_not_allowed ×20
            = Done
        "#]],
    );
    for again in [first, report(&rig, generation, &[("b.example", 99), ("a.example", 9)])] {
        assert_eq!(render(&rig.apply(again)), "= Done\n");
    }
    let more = report(&rig, generation, &[("a.example", 10)]);
    check(
        &rig.apply(more),
        &expect![[r#"
            #14 denied a.example:443 host_not_allowed ×10
            = Done
        "#]],
    );
    let stale = report(&rig, generation - 1, &[("c.example", 1)]);
    assert_eq!(render(&rig.apply(stale)), "= Done\n");
}

#[test]
fn a_sandbox_that_tries_every_host_is_told_of_a_hundred() {
    let mut rig = Rig::running();
    let (sandbox_id, generation) = (rig.sandbox(), rig.session.generation);
    for round in 0..3 {
        let denial = |index: usize| EgressDenial {
            host: format!("{}.example", round * EGRESS_DENIALS_MAX + index),
            port: 443,
            reason: "host_not_allowed".into(),
            count: 1,
        };
        rig.apply(Input::EgressDenied(EgressReport {
            sandbox_id: sandbox_id.clone(),
            generation,
            denials: (0..EGRESS_DENIALS_MAX - 1).map(denial).collect(),
        }));
    }
    assert_eq!(rig.session.sandbox.unwrap().denials.len(), EGRESS_DENIALS_MAX);
}

/// A sandbox of the session's first prompt whose runner is connected and has said this.
fn setting_up(said: Vec<RunnerEvent>) -> Rig {
    let mut rig = Rig::new().0;
    rig.prompt(1);
    rig.runner_seq = 0;
    rig.answer_claim(WorkOutcome::NoWarmSandbox { image_id: None, failure: None });
    let work = rig.creation();
    rig.apply(Input::WorkDone { work, outcome: created() });
    rig.attach("http://127.0.0.1:1");
    if !said.is_empty() {
        rig.events(said);
    }
    rig
}

#[test]
fn a_sandbox_that_falls_silent_while_it_is_set_up_is_replaced() {
    let step = RunnerEvent::SetupStep { step: "cloning".into() };
    // Nothing but the connection, a runner that gives signs of life, and one that gives none.
    for (said, silence_ms) in
        [(vec![], 60_000), (vec![RunnerEvent::Heartbeat, step.clone()], 35_000), (vec![step], 900_000)]
    {
        let mut rig = setting_up(said);
        assert_eq!(rig.wait(silence_ms - 1), [], "{silence_ms} ms");
        rig.wait(1);
        assert_eq!(rig.session.generation, 2, "{silence_ms} ms");
        assert_ne!(rig.phase(), Some(SandboxPhase::Attached), "{silence_ms} ms");
    }
}

#[test]
fn a_set_up_that_takes_an_hour_and_gives_signs_of_life_comes_to_its_end() {
    let mut rig = setting_up(vec![RunnerEvent::Heartbeat]);
    for _ in 0..360 {
        assert_eq!(rig.wait(10_000), []);
        rig.events(vec![RunnerEvent::Heartbeat]);
    }
    rig.events(vec![RunnerEvent::Ready { agent: "scripted 1".into() }]);
    assert_eq!((rig.session.generation, rig.phase()), (1, Some(SandboxPhase::Ready)));
}
