//! A provider that fails: it is left alone, tried with one thing, and people see until when.

use super::*;

fn fail_all_fills(bench: &mut Bench) {
    let fills: Vec<Work> =
        bench.orders.iter().filter(|work| matches!(work, Work::Fill(_))).cloned().collect();
    for fill in fills {
        bench.apply(Input::WorkDone { work: fill, outcome: delayed("no capacity"), claimed: false });
    }
}

#[test]
fn three_failures_within_five_minutes_make_a_pause() {
    let mut bench = Bench::new(Recipe::default());
    bench.build("a");
    fail_all_fills(&mut bench);
    let pause = bench.repository.render_status(bench.now).pause.unwrap();
    assert_eq!(pause.reason, "no capacity");
    assert_eq!(pause.until, bench.now.plus_ms(30_000));
    let fill = bench.orders.iter().find(|work| matches!(work, Work::Fill(_))).cloned().unwrap();
    assert_eq!(bench.repository.evaluate_try(&fill, &[], bench.now), Retry::At(pause.until));
    assert_eq!(bench.repository.evaluate_try(&Work::TakeInventory, &[], bench.now), Retry::Now);
}

#[test]
fn failures_that_are_far_apart_make_none() {
    let mut bench = Bench::new(Recipe { pool_target: Some(1), ..Recipe::default() });
    bench.build("a");
    for _ in 0..6 {
        fail_all_fills(&mut bench);
        assert_eq!(bench.repository.render_status(bench.now).pause, None);
        bench.pass(151_000);
    }
}

#[test]
fn after_a_pause_one_thing_is_tried_and_decides() {
    let mut bench = Bench::new(Recipe::default());
    bench.build("a");
    fail_all_fills(&mut bench);
    // What could not be ordered is given up, and nothing is made during the pause that follows another failure.
    bench.pass(30_000);
    let fill = bench.orders.iter().find(|work| matches!(work, Work::Fill(_))).cloned().unwrap();
    assert_eq!(bench.repository.evaluate_try(&fill, &[], bench.now), Retry::Now);
    let beside = [fill.clone()];
    assert!(
        matches!(bench.repository.evaluate_try(&fill, &beside, bench.now), Retry::At(_)),
        "one at a time"
    );
    bench.apply(Input::WorkDone { work: fill, outcome: delayed("still none"), claimed: false });
    let pause = bench.repository.render_status(bench.now).pause.unwrap();
    assert_eq!(pause.until, bench.now.plus_ms(60_000), "twice as long");
    bench.pass(3 * MINUTE);
    let filling: Vec<_> = bench.live().iter().map(|sandbox| sandbox.id.clone()).collect();
    assert_eq!(filling.len(), 1, "one is made to see");
    bench.done(Work::Fill(filling[0].clone()), WorkOutcome::Done);
    bench.report(&filling[0], WarmState::Ready { agent: "scripted".into() });
    assert_eq!(bench.live().len(), 3);
    assert!(bench.has_order(|work| *work == Work::TakeInventory), "answers may have been lost");
}

#[test]
fn a_wait_that_the_provider_asks_for_is_honoured() {
    let mut bench = Bench::new(Recipe::default());
    bench.build("a");
    let fill = bench.orders.iter().find(|work| matches!(work, Work::Fill(_))).cloned().unwrap();
    let outcome = WorkOutcome::Delayed { reason: "slow down".into(), retry_after_ms: Some(90_000) };
    bench.apply(Input::WorkDone { work: fill, outcome, claimed: false });
    let pause = bench.repository.render_status(bench.now).pause.unwrap();
    assert_eq!(pause.until, bench.now.plus_ms(90_000));
}

#[test]
fn no_build_begins_during_a_pause_and_one_begins_after_it() {
    let mut bench = Bench::new(Recipe { pool_target: Some(0), ..Recipe::default() });
    for _ in 0..3 {
        let work = Work::StartBuild(bench.running());
        bench.apply(Input::WorkDone { work, outcome: delayed("away"), claimed: false });
    }
    bench.end_build(BuildOutcome::Failed { step: "x".into(), reason: "y".into() });
    bench.apply(Input::BuildRequested);
    assert_eq!(bench.repository.running_build(), None);
    let until = bench.repository.render_status(bench.now).next_build_at;
    bench.pass(until.ms_since(bench.now));
    assert!(bench.repository.running_build().is_some());
}

#[test]
fn a_pool_that_cannot_be_emptied_does_not_grow() {
    let mut bench = Bench::ready();
    for _ in 0..200 {
        bench.pass(5 * MINUTE);
        assert!(bench.repository.sandboxes.len() <= 6, "{}", bench.repository.sandboxes.len());
    }
}

#[test]
fn refusals_of_the_bridge_are_told_apart() {
    let judge = |status, body: &str| evaluate_refusal(status, body.as_bytes(), None);
    let reason = |text: &str| text.to_owned();
    assert_eq!(
        judge(404, r#"{"code":"not_found","message":"no such image"}"#),
        WorkOutcome::Gone { reason: reason("no such image") }
    );
    assert_eq!(
        judge(409, r#"{"code":"id_conflict","message":"a session has it"}"#),
        WorkOutcome::Rejected { reason: reason("a session has it") }
    );
    for (status, body) in [
        (404, "<html>"),
        (502, ""),
        (429, r#"{"code":"rate_limited","message":"slow"}"#),
        (503, r#"{"code":"unavailable","message":"busy"}"#),
        (503, r#"{"code":"sandbox_unavailable","message":"no namespaces"}"#),
        (401, r#"{"code":"signature_invalid","message":"wrong"}"#),
    ] {
        assert!(matches!(judge(status, body), WorkOutcome::Delayed { .. }), "{status} {body}");
    }
}

#[test]
fn removals_leave_room_for_what_somebody_waits_for() {
    let bench = Bench::new(Recipe::default());
    let discards: Vec<Work> =
        (0..REMOVALS_MAX).map(|index| Work::Discard(SandboxId::from_random([index as u8; 16]))).collect();
    let one_more = Work::Discard(SandboxId::from_random([99; 16]));
    let tried = |work: &Work, under_way: &[Work]| bench.repository.evaluate_try(work, under_way, bench.now);
    assert_eq!(tried(&one_more, &discards[1..]), Retry::Now);
    assert_eq!(tried(&one_more, &discards), Retry::AfterOthers);
    assert_eq!(tried(&Work::Fill(SandboxId::from_random([98; 16])), &discards), Retry::Now);
    assert_eq!(tried(&Work::TakeInventory, &discards), Retry::Now);
}
