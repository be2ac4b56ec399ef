//! When images are made and removed, and what stays when that fails.

use super::*;

fn failed(step: &str, reason: &str) -> BuildOutcome {
    BuildOutcome::Failed { step: step.into(), reason: reason.into() }
}

#[test]
fn a_build_begins_at_once_and_then_every_thirty_minutes_from_start_to_start() {
    let mut bench = Bench::new(Recipe::default());
    let mut last = bench.running();
    let first_at = bench.now;
    for round in 1..5 {
        bench.pass(7 * MINUTE);
        bench.end_build(if round == 1 { bench.built("a") } else { BuildOutcome::Unchanged });
        bench.pass(23 * MINUTE - 1);
        assert_eq!(bench.repository.running_build(), None, "round {round}: too early");
        bench.pass(1);
        let next = bench.running();
        assert_ne!(next, last);
        assert_eq!(
            bench.repository.running_build().unwrap().started_at.ms_since(first_at),
            round * 30 * MINUTE
        );
        last = next;
    }
    assert_eq!(bench.repository.images.len(), 1, "what is unchanged is not made again");
}

#[test]
fn only_one_build_runs_and_one_that_is_asked_for_begins_at_once() {
    let mut bench = Bench::new(Recipe::default());
    let first = bench.running();
    assert_eq!(bench.apply(Input::BuildRequested), Reply::Accepted);
    assert_eq!(bench.running(), first);
    bench.build("a");
    bench.pass(MINUTE);
    assert_eq!(bench.repository.running_build(), None);
    assert_eq!(bench.apply(Input::BuildRequested), Reply::Accepted);
    assert_ne!(bench.running(), first);
}

#[test]
fn settings_that_change_during_a_build_are_built_when_it_is_over() {
    let mut bench = Bench::new(Recipe::default());
    let first = bench.running();
    bench.set_target(1);
    assert_eq!(bench.running(), first);
    bench.build("a");
    assert_ne!(bench.running(), first);
}

#[test]
fn a_failure_leaves_the_last_good_image_and_says_why() {
    let mut bench = Bench::ready();
    let image = bench.repository.current_image().unwrap().id.clone();
    bench.pass(30 * MINUTE);
    bench.end_build(failed("npm ci", "exit status 1"));
    let status = bench.repository.render_status(bench.now);
    assert_eq!(status.image.unwrap().image_id, image);
    assert_eq!(status.builds[0].outcome, Some(failed("npm ci", "exit status 1")));
    assert_eq!(status.builds[0].step, "npm ci");
    bench.pass(30 * MINUTE);
    assert!(bench.repository.running_build().is_some(), "it is tried again");
}

#[test]
fn a_build_that_takes_too_long_is_ended_here_and_at_the_bridge() {
    let mut bench = Bench::ready();
    bench.pass(30 * MINUTE);
    let id = bench.running();
    bench.done(Work::StartBuild(id.clone()), WorkOutcome::Done);
    let outcome = bench.built("b");
    bench.pass(26 * MINUTE);
    let ended = bench.repository.builds.last().unwrap().ended.clone().unwrap();
    assert_eq!(ended.outcome, failed("ordering the build", "timed out after 25 min"));
    assert!(bench.has_order(|work| *work == Work::CancelBuild(id.clone())));
    // It had succeeded, and the word of it was late: the image is nobody's.
    let BuildOutcome::Built { image_id, .. } = &outcome else { panic!() };
    let image_id = image_id.clone();
    bench.apply(Input::BuildEnded(EndedCall { build_id: id, ended: BuildEnded { outcome } }));
    assert!(bench.has_order(|work| *work == Work::DeleteImage(image_id.clone())));
    assert_eq!(bench.repository.images.len(), 1);
}

#[test]
fn a_build_whose_bridge_died_ends_with_the_next_inventory_and_is_tried_again() {
    let mut bench = Bench::ready();
    bench.pass(30 * MINUTE);
    let id = bench.running();
    bench.done(Work::StartBuild(id.clone()), WorkOutcome::Done);
    bench.pass(2 * MINUTE);
    let image = bench.repository.current_image().unwrap().id.clone();
    let warm = bench.live().iter().map(|sandbox| sandbox.id.clone()).collect();
    let inventory = Inventory { warm, builds: vec![], images: vec![image] };
    let asked_at = bench.now;
    bench.done(Work::TakeInventory, WorkOutcome::Inventory { inventory, asked_at, claimed: vec![] });
    let ended = bench.repository.builds.last().unwrap().ended.clone().unwrap();
    assert!(matches!(ended.outcome, BuildOutcome::Failed { reason, .. } if reason.contains("has ended")));
    bench.pass(28 * MINUTE);
    assert_ne!(bench.running(), id);
}

#[test]
fn a_build_that_the_bridge_refuses_has_failed_for_that_reason() {
    let mut bench = Bench::new(Recipe::default());
    let id = bench.running();
    bench.done(Work::StartBuild(id), WorkOutcome::Rejected { reason: "unknown base image".into() });
    let ended = bench.repository.builds.last().unwrap().ended.clone().unwrap();
    assert_eq!(ended.outcome, failed("ordering the build", "unknown base image"));
    let reply = bench.claim(1, 1);
    let Reply::Claim(ClaimAnswer::None { image_id: None, reason, has_failed: true }) = reply else {
        panic!("{reply:?}")
    };
    assert_eq!(
        reason,
        "no image of acme/shop: its last build failed at ordering the build: unknown base image"
    );
}

#[test]
fn a_log_grows_only_by_what_continues_it() {
    let mut bench = Bench::new(Recipe::default());
    let build_id = bench.running();
    let mut say = |offset: u64, text: &str| {
        let piece = BuildLogPiece { offset, text: text.into(), step: "npm ci".into() };
        bench.apply(Input::LogReported(LogCall { build_id: build_id.clone(), piece }))
    };
    assert_eq!(say(0, "über"), Reply::LogAcked { offset: 5 });
    assert_eq!(say(0, "über"), Reply::LogAcked { offset: 5 }, "a repeat");
    assert_eq!(say(9, "later"), Reply::LogAcked { offset: 5 }, "a gap");
    assert_eq!(say(1, "nonsense inside of a character"), Reply::LogAcked { offset: 31 });
    assert_eq!(say(2, "er"), Reply::LogAcked { offset: 31 });
    assert_eq!(bench.repository.running_build().unwrap().step, "npm ci");
    let unknown = LogCall {
        build_id: BuildId::from_random([9; 16]),
        piece: BuildLogPiece { offset: 0, text: "x".into(), step: String::new() },
    };
    assert_eq!(refusal(&bench.apply(Input::LogReported(unknown))), Some(ErrorCode::NotFound));
}

#[test]
fn images_go_when_nothing_stands_on_them_and_a_while_has_passed() {
    let mut bench = Bench::ready();
    let mut images = vec![bench.repository.current_image().unwrap().id.clone()];
    for commit in ["b", "c", "d"] {
        bench.pass(30 * MINUTE);
        images.push(bench.build(commit));
        bench.settle();
    }
    // The first was replaced an hour ago, the second 30 minutes ago.
    let kept: Vec<ImageId> = bench.repository.images.iter().map(|image| image.id.clone()).collect();
    assert_eq!(kept, images[2..]);
}

#[test]
fn an_image_that_a_session_was_told_of_stays_for_a_while() {
    let mut bench = Bench::new(Recipe { pool_target: Some(0), ..Recipe::default() });
    bench.build("a");
    bench.claim(1, 1);
    for commit in ["b", "c"] {
        bench.pass(MINUTE);
        bench.apply(Input::BuildRequested);
        bench.build(commit);
    }
    assert_eq!(bench.repository.images.len(), 3, "the first was replaced a minute ago");
    bench.pass(15 * MINUTE);
    assert_eq!(bench.repository.images.len(), 2);
    assert!(bench.has_order(|work| matches!(work, Work::DeleteImage(_))));
}

#[test]
fn one_repository_of_fifty_that_cannot_be_built_leaves_the_others_fresh() {
    let mut benches: Vec<Bench> = (0..50).map(|_| Bench::new(Recipe::default())).collect();
    for bench in &mut benches {
        bench.build("a");
        bench.settle();
    }
    let last_good = benches[7].repository.current_image().unwrap().clone();
    for round in 0..12 {
        for (index, bench) in benches.iter_mut().enumerate() {
            for _ in 0..30 {
                bench.pass(MINUTE);
                bench.settle();
            }
            let outcome = if index == 7 {
                failed("npm ci", "exit status 1")
            } else {
                bench.built(["b", "c"][round % 2])
            };
            bench.end_build(outcome);
            bench.settle();
        }
    }
    for (index, bench) in benches.iter().enumerate() {
        let image = bench.repository.current_image().unwrap();
        if index == 7 {
            assert_eq!(image.id, last_good.id);
            let newest = bench.repository.render_status(bench.now).builds.remove(0);
            assert_eq!(newest.outcome, Some(failed("npm ci", "exit status 1")));
        } else {
            assert!(bench.now.ms_since(image.built_at) <= 30 * MINUTE);
        }
        assert_eq!(bench.ready_ids().len(), 3, "also the last good one is warm");
    }
}
