//! What is in the pool, and for how long.

use super::*;

#[test]
fn the_pool_is_filled_when_there_is_an_image() {
    let mut bench = Bench::new(Recipe::default());
    assert!(bench.live().is_empty());
    bench.build("a");
    assert_eq!(bench.live().len(), 3);
    assert_eq!(bench.repository.render_status(bench.now).pool.filling, 3);
    bench.settle();
    let pool = bench.repository.render_status(bench.now).pool;
    assert_eq!((pool.target, pool.ready, pool.filling, pool.reserved), (3, 3, 0, 0));
}

#[test]
fn a_sandbox_is_valid_for_less_than_twenty_five_minutes() {
    let mut bench = Bench::ready();
    let old = bench.ready_ids();
    bench.pass(25 * MINUTE - 1);
    assert_eq!(bench.ready_ids(), old);
    bench.pass(1);
    assert!(bench.ready_ids().is_empty());
    for id in &old {
        assert!(bench.has_order(|work| *work == Work::Discard(id.clone())));
    }
    assert_eq!(bench.live().len(), 3, "as many are being made");
    assert_eq!(
        refusal(&bench.report(&old[0], WarmState::Synced { commit: "x".into() })),
        Some(ErrorCode::NotFound)
    );
}

#[test]
fn a_new_image_replaces_the_whole_pool_and_the_same_image_none_of_it() {
    let mut bench = Bench::ready();
    bench.pass(20 * MINUTE);
    let _ = bench.apply(Input::BuildRequested);
    let old = bench.ready_ids();
    bench.end_build(BuildOutcome::Unchanged);
    assert_eq!(bench.ready_ids(), old);
    let _ = bench.apply(Input::BuildRequested);
    let image = bench.build("b");
    assert!(bench.ready_ids().is_empty());
    assert!(bench.live().iter().all(|sandbox| sandbox.image_id == image));
    assert_eq!(bench.live().len(), 3);
}

#[test]
fn a_lower_target_ends_what_is_too_much_and_a_higher_one_makes_more() {
    let mut bench = Bench::ready();
    bench.set_target(5);
    assert_eq!(bench.live().len(), 5);
    bench.set_target(2);
    assert_eq!(bench.live().len(), 2);
    assert!(bench.live().iter().all(|sandbox| sandbox.phase != Phase::Filling), "those that are ready stay");
    bench.set_target(0);
    assert!(bench.live().is_empty());
}

#[test]
fn a_sandbox_that_does_not_become_ready_is_replaced() {
    let mut bench = Bench::new(Recipe { pool_target: Some(1), ..Recipe::default() });
    bench.build("a");
    let first = bench.live()[0].id.clone();
    bench.done(Work::Fill(first.clone()), WorkOutcome::Done);
    bench.pass(2 * MINUTE);
    assert!(bench.has_order(|work| *work == Work::Discard(first.clone())));
    assert_ne!(bench.live()[0].id, first);
}

#[test]
fn what_was_made_after_its_end_was_ordered_is_ended_again() {
    let mut bench = Bench::new(Recipe { pool_target: Some(1), ..Recipe::default() });
    bench.build("a");
    let first = bench.live()[0].id.clone();
    bench.pass(2 * MINUTE);
    bench.done(Work::Discard(first.clone()), WorkOutcome::Done);
    bench.done(Work::Fill(first.clone()), WorkOutcome::Done);
    assert!(bench.has_order(|work| *work == Work::Discard(first.clone())));
}

#[test]
fn a_sandbox_that_ends_is_replaced() {
    let mut bench = Bench::ready();
    let id = bench.ready_ids()[1].clone();
    assert_eq!(bench.report(&id, WarmState::Ended { reason: "killed".into() }), Reply::Done);
    assert_eq!(bench.ready_ids().len(), 2);
    assert_eq!(bench.live().len(), 3);
    assert_eq!(bench.report(&id, WarmState::Ended { reason: "killed".into() }), Reply::Done, "a repeat");
}

#[test]
fn an_image_that_cannot_be_restored_is_made_anew() {
    let mut bench = Bench::new(Recipe { pool_target: Some(1), ..Recipe::default() });
    bench.build("a");
    bench.pass(MINUTE);
    let id = bench.live()[0].id.clone();
    bench.done(Work::Fill(id), WorkOutcome::Gone { reason: "the image cannot be restored".into() });
    assert!(bench.repository.images.is_empty());
    assert!(bench.live().is_empty());
    assert!(bench.repository.running_build().is_some());
}

#[test]
fn an_image_that_does_not_exist_is_told_in_the_status_and_to_who_claims() {
    let mut bench = Bench::new(Recipe { pool_target: Some(1), ..Recipe::default() });
    bench.build("a");
    bench.pass(MINUTE);
    let id = bench.live()[0].id.clone();
    bench.done(Work::Fill(id), WorkOutcome::Gone { reason: "img_1 expired".into() });
    let told = "the image is lost, and another is built: img_1 expired";
    let status = bench.repository.render_status(bench.now);
    let failed = BuildOutcome::Failed { step: "keeping the image".into(), reason: told.into() };
    assert_eq!((status.image, status.builds[1].outcome.clone()), (None, Some(failed)));
    let Reply::Claim(ClaimAnswer::None { image_id: None, reason, has_failed: true }) = bench.claim(1, 1)
    else {
        panic!("a claim of what is lost")
    };
    assert_eq!(reason, format!("no image of acme/shop: its last build failed at keeping the image: {told}"));
    bench.build("b");
    assert!(bench.repository.current_image().is_some());
}

#[test]
fn what_the_provider_has_and_what_is_known_are_brought_together() {
    let mut bench = Bench::ready();
    bench.pass(MINUTE);
    let ids = bench.ready_ids();
    let image = bench.repository.current_image().unwrap().id.clone();
    let (stray, taken) = (SandboxId::from_random([7; 16]), sandbox_of(&bench.claim(1, 1)).unwrap());
    assert_eq!(taken, ids[0]);
    let stray_image = ImageId::from_random([8; 16]);
    let stray_build = BuildId::from_random([9; 16]);
    // One is gone, one is nobody's, one was claimed and is not bound yet.
    let inventory = Inventory {
        warm: vec![ids[1].clone(), stray.clone(), taken.clone()],
        builds: vec![stray_build.clone()],
        images: vec![image, stray_image.clone()],
    };
    let asked_at = bench.now;
    bench.done(
        Work::TakeInventory,
        WorkOutcome::Inventory { inventory, asked_at, claimed: vec![taken.clone()] },
    );
    assert!(bench.repository.sandbox(&ids[2]).is_none());
    assert!(bench.repository.sandbox(&ids[1]).is_some());
    assert_eq!(bench.live().len(), 3, "filled again");
    assert!(bench.has_order(|work| *work == Work::Discard(stray.clone())));
    assert!(!bench.has_order(|work| *work == Work::Discard(taken.clone())));
    assert!(bench.has_order(|work| *work == Work::DeleteImage(stray_image.clone())));
    assert!(bench.has_order(|work| *work == Work::CancelBuild(stray_build.clone())));
}

#[test]
fn an_inventory_says_nothing_of_what_came_after_it_was_asked() {
    let mut bench = Bench::new(Recipe::default());
    let asked_at = bench.now;
    bench.pass(1000);
    bench.build("a");
    bench.settle();
    let ready = bench.ready_ids();
    let empty = Inventory { warm: vec![], builds: vec![], images: vec![] };
    bench.done(Work::TakeInventory, WorkOutcome::Inventory { inventory: empty, asked_at, claimed: vec![] });
    assert_eq!(bench.ready_ids(), ready);
    assert_eq!(bench.repository.images.len(), 1);
}
