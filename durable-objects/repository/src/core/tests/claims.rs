//! Who gets what, and never twice.

use super::*;

#[test]
fn the_oldest_valid_sandbox_is_handed_out_once_and_the_pool_filled_again() {
    let mut bench = Bench::ready();
    bench.pass(MINUTE);
    let ids = bench.ready_ids();
    let got: Vec<SandboxId> = (1..=3).map(|number| sandbox_of(&bench.claim(number, 1)).unwrap()).collect();
    assert_eq!(got, ids);
    let reply = bench.claim(4, 1);
    let Reply::Claim(ClaimAnswer::None { image_id, reason, has_failed: false }) = reply else {
        panic!("{reply:?}")
    };
    assert_eq!(image_id, Some(bench.repository.current_image().unwrap().id.clone()));
    assert_eq!(reason, "no warm sandbox is ready");
    assert_eq!(bench.live().len(), 3, "as many are being made");
    assert_eq!(bench.report(&got[0], WarmState::Synced { commit: "x".into() }), Reply::Done, "it lives on");
}

#[test]
fn the_same_generation_gets_the_same_answer_and_an_older_one_none() {
    let mut bench = Bench::ready();
    let first = bench.claim(1, 2);
    assert_eq!(bench.claim(1, 2), first);
    assert_eq!(refusal(&bench.claim(1, 1)), Some(ErrorCode::GenerationStale));
    bench.pass(9 * MINUTE);
    assert_eq!(bench.claim(1, 2), first, "for at least as long as the lease");
    let next = bench.claim(1, 3);
    assert_ne!(sandbox_of(&next), sandbox_of(&first));
    assert_eq!(refusal(&bench.claim(1, 2)), Some(ErrorCode::GenerationStale));
}

#[test]
fn a_lost_sandbox_is_replaced_by_another_for_the_next_generation() {
    let mut bench = Bench::ready();
    let first = sandbox_of(&bench.claim(1, 1)).unwrap();
    bench.release(1, 1);
    assert!(bench.has_order(|work| *work == Work::Discard(first.clone())));
    let second = bench.claim(1, 2);
    assert_ne!(sandbox_of(&second).unwrap(), first);
    assert_eq!(bench.claim(1, 2), second, "a repeat");
}

#[test]
fn what_is_released_is_ended_and_its_late_claim_refused() {
    let mut bench = Bench::ready();
    let got = sandbox_of(&bench.claim(1, 1)).unwrap();
    bench.release(1, 1);
    assert!(bench.has_order(|work| *work == Work::Discard(got.clone())));
    assert_eq!(refusal(&bench.claim(1, 1)), Some(ErrorCode::GenerationStale));
    assert!(sandbox_of(&bench.claim(1, 2)).is_some());
    bench.release(1, 1);
    assert!(sandbox_of(&bench.claim(1, 2)).is_some(), "an older release ends nothing");
    bench.release(2, 5);
    assert_eq!(
        refusal(&bench.claim(2, 5)),
        Some(ErrorCode::GenerationStale),
        "released before it was claimed"
    );
}

#[test]
fn a_reservation_is_one_person_s() {
    let mut bench = Bench::ready();
    assert_eq!(bench.reserve(1, 1), Reply::Done);
    assert_eq!(refusal(&bench.reserve(2, 1)), Some(ErrorCode::IdConflict));
    assert_eq!(bench.reserve(2, 2), Reply::Done);
}

#[test]
fn a_reservation_holds_one_more_and_is_claimed_first() {
    let mut bench = Bench::ready();
    assert_eq!(bench.reserve(1, 1), Reply::Done);
    let pool = bench.repository.render_status(bench.now).pool;
    assert_eq!((pool.ready, pool.reserved, pool.filling), (2, 1, 1));
    bench.settle();
    let held = bench.live().iter().find(|s| s.reservation.is_some()).unwrap().id.clone();
    for number in 1..=3 {
        assert_ne!(sandbox_of(&bench.claim(number, 1)).unwrap(), held, "it is not for others");
    }
    assert_eq!(sandbox_of(&bench.claim(4, 1)), None);
    let call = ClaimCall { session_id: session(5), generation: 1, reservation: Some(reservation(1)) };
    assert_eq!(sandbox_of(&bench.claim_with(call)), Some(held));
    bench.settle();
    assert_eq!(bench.live().len(), 3);
}

#[test]
fn a_reservation_ends_quietly_two_minutes_after_it_was_asked_for_last() {
    let mut bench = Bench::ready();
    bench.reserve(1, 1);
    bench.settle();
    let held = bench.live().iter().find(|s| s.reservation.is_some()).unwrap().id.clone();
    bench.pass(MINUTE);
    bench.reserve(1, 1);
    bench.pass(2 * MINUTE - 1);
    assert!(bench.repository.sandbox(&held).unwrap().reservation.is_some());
    bench.pass(1);
    assert_eq!(bench.repository.sandbox(&held).unwrap().phase, Phase::Discarding, "never back to the pool");
    bench.settle();
    assert_eq!(bench.ready_ids().len(), 3);
}

#[test]
fn another_prompt_of_the_same_person_takes_over_what_is_held() {
    let mut bench = Bench::ready();
    bench.reserve(1, 1);
    bench.settle();
    bench.reserve(1, 2);
    let marks: Vec<_> = bench.live().iter().filter_map(|s| s.reservation.clone()).collect();
    assert_eq!(marks, [reservation(2)]);
    assert_eq!(bench.live().len(), 4);
}

#[test]
fn reservations_are_throttled_and_bounded() {
    let mut bench = Bench::ready();
    for number in 1..=6 {
        assert_eq!(bench.reserve(1, number), Reply::Done);
    }
    assert_eq!(refusal(&bench.reserve(1, 7)), Some(ErrorCode::RateLimited));
    assert_eq!(bench.reserve(1, 6), Reply::Done, "what holds is kept");
    bench.pass(MINUTE);
    assert_eq!(bench.reserve(1, 7), Reply::Done);
    for by in 2..=20 {
        assert_eq!(bench.reserve(by, by + 20), Reply::Done, "says nothing of whether there was one");
    }
    bench.settle();
    assert!(bench.live().len() <= 3 + RESERVATIONS_MAX);
}
