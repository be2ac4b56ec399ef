//! Warm sandboxes: claimed, bound, lost on the way, and made ready while somebody writes.

use super::*;
use expect_test::{Expect, expect};

fn check(effects: &[Effect], expected: &Expect) {
    expected.assert_eq(&render(effects));
}

fn image() -> ImageId {
    ImageId::parse("img_1").unwrap()
}

fn warm(number: u8) -> SandboxId {
    SandboxId::from_random([number; 16])
}

fn claimed(number: u8) -> WorkOutcome {
    let bridge_url = "http://127.0.0.1:2".into();
    WorkOutcome::SandboxClaimed { sandbox_id: warm(number), bridge_url, image_id: image() }
}

fn failed() -> WorkOutcome {
    WorkOutcome::Failed { reason: "no".into() }
}

fn rejected() -> WorkOutcome {
    WorkOutcome::Rejected { reason: "gone".into() }
}

/// What came of telling the bridge.
fn bind(rig: &mut Rig, outcome: WorkOutcome) -> Vec<Effect> {
    let work = Work::BindSandbox { sandbox_id: rig.sandbox(), generation: rig.session.generation };
    rig.apply(Input::WorkDone { work, outcome })
}

/// A session whose prompt waits for the warm sandbox of this number to be bound.
fn binding(number: u8) -> Rig {
    let mut rig = Rig::new().0;
    rig.prompt(1);
    rig.answer_claim(claimed(number));
    rig
}

fn ready() -> Vec<RunnerEvent> {
    vec![RunnerEvent::Ready { agent: "scripted 1".into() }]
}

#[test]
fn a_warm_sandbox_takes_the_prompt_at_once() {
    let mut rig = Rig::new().0;
    check(
        &rig.prompt(1),
        &expect![[r#"
            #3 queued prm_1
            #4 title prompt 1
            + claim_sandbox
            #5 sandbox starting: taking a warm sandbox
            + update_index
            = prm_1 at 3
        "#]],
    );
    check(
        &rig.answer_claim(claimed(7)),
        &expect![[r#"
            + bind_sandbox
            #6 sandbox starting: taking a warm sandbox
            = Done
        "#]],
    );
    assert_eq!((rig.sandbox(), rig.session.generation), (warm(7), 1));
    check(
        &bind(&mut rig, created()),
        &expect![[r#"
            = Done
        "#]],
    );
    rig.attach("http://127.0.0.1:2");
    check(
        &rig.events(ready()),
        &expect![[r#"
            #8 sandbox ready: local Namespaces scripted 1
            #9 turn of prm_1 attempt 1
            + start_turn
            + update_index
            = Acked { acked: 1 }
        "#]],
    );
}

#[test]
fn a_runner_that_is_announced_before_the_bridge_has_answered_is_no_stranger() {
    let mut rig = binding(7);
    assert_eq!(render(&rig.attach("http://127.0.0.1:3")).lines().last(), Some("= Acked { acked: 0 }"));
    assert!(render(&rig.events(ready())).contains("turn of prm_1 attempt 1"));
    let lines = render(&bind(&mut rig, created()));
    assert!(lines.contains("sandbox ready: local Namespaces scripted 1"), "{lines}");
    assert_eq!(rig.session.sandbox.as_ref().unwrap().bridge_url.as_deref(), Some("http://127.0.0.1:3"));
}

#[test]
fn a_repository_without_a_warm_sandbox_names_what_to_start_from() {
    for (image_id, source) in
        [(None, SandboxSource::Base), (Some(image()), SandboxSource::Image { image_id: image() })]
    {
        let mut rig = Rig::new().0;
        rig.prompt(1);
        let sandbox_id = rig.sandbox();
        let effects = rig.answer_claim(WorkOutcome::NoWarmSandbox { image_id, failure: None });
        let order = Work::CreateSandbox { sandbox_id, generation: 1, source };
        assert!(effects.contains(&Effect::Enqueue(order)), "{}", render(&effects));
        let lines = render(&rig.boot());
        assert!(lines.contains("turn of prm_1 attempt 1"), "{lines}");
    }
}

#[test]
fn a_session_is_told_why_there_is_no_image_when_its_build_failed() {
    let mut rig = Rig::new().0;
    rig.prompt(1);
    let failure = Some("no image of acme/shop: its last build failed at npm ci: exit code 1".to_owned());
    let lines = render(&rig.answer_claim(WorkOutcome::NoWarmSandbox { image_id: None, failure }));
    assert!(lines.contains("failed at npm ci: exit code 1"), "{lines}");
    assert!(lines.contains("create_sandbox"), "{lines}");
}

#[test]
fn a_repository_that_fails_or_says_nothing_for_three_seconds_is_not_waited_for() {
    let mut failing = Rig::new().0;
    failing.prompt(1);
    check(
        &failing.answer_claim(failed()),
        &expect![[r#"
            - claim_sandbox
            + release_claim
            + create_sandbox
            #6 sandbox starting: creating the sandbox
            = Done
        "#]],
    );
    let mut silent = Rig::new().0;
    silent.prompt(1);
    assert_eq!(render(&silent.answer_claim(WorkOutcome::Delayed { reason: "busy".into() })), "= Done\n");
    assert_eq!(silent.wait(2_999), []);
    assert_eq!(render(&silent.wait(1)), render(&failing.log.last().unwrap().1));
    // What comes too late is given back, and the sandbox that was ordered goes on.
    check(
        &silent.answer_claim(claimed(7)),
        &expect![[r#"
            + release_claim
            = Done
        "#]],
    );
    assert!(render(&silent.boot()).contains("turn of prm_1 attempt 1"));
    assert_eq!(silent.session.generation, 1);
}

#[test]
fn an_image_that_is_gone_gives_way_to_the_base_image_with_a_note() {
    let mut rig = Rig::new().0;
    rig.prompt(1);
    rig.answer_claim(WorkOutcome::NoWarmSandbox { image_id: Some(image()), failure: None });
    let work = rig.creation();
    check(
        &rig.apply(Input::WorkDone { work, outcome: rejected() }),
        &expect![[r#"
            - create_sandbox
            + terminate_sandbox
            #7 sandbox failed: gone
            #8 failed starting from the repository's image; the next sandbox starts from the base image: gone
            + create_sandbox
            #9 sandbox starting: creating the sandbox
            = Done
        "#]],
    );
    assert_eq!(rig.session.sandbox.as_ref().unwrap().source, SandboxSource::Base);
    assert!(render(&rig.boot()).contains("turn of prm_1 attempt 1"), "it costs no try");
    rig.receive();
    rig.lose_sandbox("killed");
    assert_eq!(rig.phase(), Some(SandboxPhase::Claiming), "the repository may have another image by then");
}

#[test]
fn a_sandbox_from_an_image_that_does_not_get_up_gives_way_to_the_base_image() {
    let mut rig = Rig::new().0;
    rig.prompt(1);
    rig.answer_claim(WorkOutcome::NoWarmSandbox { image_id: Some(image()), failure: None });
    let work = rig.creation();
    rig.apply(Input::WorkDone { work, outcome: created() });
    rig.attach("http://127.0.0.1:1");
    rig.events(vec![RunnerEvent::SetupFailed { reason: "no workspace".into() }]);
    assert_eq!(rig.session.sandbox.as_ref().unwrap().source, SandboxSource::Base);
    assert!(render(&rig.boot()).contains("turn of prm_1 attempt 1"), "it costs no try");
}

#[test]
fn a_claimed_sandbox_that_is_gone_is_replaced_and_not_ended() {
    let mut rig = binding(7);
    check(
        &bind(&mut rig, rejected()),
        &expect![[r#"
            - claim_sandbox
            + release_claim
            + claim_sandbox
            #7 sandbox starting: taking a warm sandbox
            = Done
        "#]],
    );
    assert_eq!(rig.session.generation, 2);
    rig.answer_claim(claimed(8));
    bind(&mut rig, created());
    rig.attach("http://127.0.0.1:2");
    assert!(render(&rig.events(ready())).contains("turn of prm_1 attempt 1"), "it costs no try");
    assert_eq!(rig.session.false_starts, 0);
}

#[test]
fn a_claimed_sandbox_whose_runner_is_away_is_ended_and_replaced() {
    let mut rig = binding(7);
    check(
        &bind(&mut rig, failed()),
        &expect![[r#"
            - claim_sandbox
            + release_claim
            - bind_sandbox
            + terminate_sandbox
            + claim_sandbox
            #7 sandbox starting: taking a warm sandbox
            = Done
        "#]],
    );
}

#[test]
fn five_warm_sandboxes_that_come_to_nothing_are_enough() {
    let mut rig = Rig::new().0;
    rig.prompt(1);
    for number in 1..=5 {
        assert_eq!((rig.phase(), rig.session.generation), (Some(SandboxPhase::Claiming), u64::from(number)));
        rig.answer_claim(claimed(number));
        bind(&mut rig, if number % 2 == 0 { rejected() } else { failed() });
    }
    let source = SandboxSource::Image { image_id: image() };
    let sandbox = rig.session.sandbox.as_ref().unwrap();
    assert_eq!((sandbox.phase, &sandbox.source), (SandboxPhase::Ordered, &source));
    assert!(render(&rig.boot()).contains("turn of prm_1 attempt 1"), "it costs no try");
}

#[test]
fn a_bridge_that_does_not_answer_is_not_asked_for_a_second_warm_sandbox() {
    let mut rig = binding(7);
    assert_eq!(rig.wait(4_999), []);
    check(
        &rig.wait(1),
        &expect![[r#"
            - claim_sandbox
            + release_claim
            - bind_sandbox
            + terminate_sandbox
            + create_sandbox
            #7 sandbox starting: creating the sandbox
            = Done
        "#]],
    );
    assert_eq!(rig.session.generation, 2, "whatever it bound is not the session's any more");
    // It had bound it all the same: the late answer ends it once more.
    let work = Work::BindSandbox { sandbox_id: warm(7), generation: 1 };
    let late = rig.apply(Input::WorkDone { work, outcome: created() });
    assert_eq!(render(&late), "+ terminate_sandbox\n= Done\n");
}

#[test]
fn a_bound_sandbox_that_is_not_announced_in_time_is_replaced_at_no_cost() {
    let mut rig = binding(7);
    bind(&mut rig, created());
    assert_eq!(rig.wait(9_999), []);
    check(
        &rig.wait(1),
        &expect![[r#"
            - bind_sandbox
            + terminate_sandbox
            + claim_sandbox
            #7 sandbox starting: taking a warm sandbox
            = Done
        "#]],
    );
    rig.answer_claim(claimed(8));
    bind(&mut rig, created());
    rig.attach("http://127.0.0.1:2");
    let lines = render(&rig.events(vec![RunnerEvent::SetupFailed { reason: "no branch".into() }]));
    assert!(lines.contains("+ claim_sandbox") && !lines.contains("failed"), "{lines}");
    assert!(render(&rig.boot()).contains("turn of prm_1 attempt 1"));
}

#[test]
fn a_session_that_is_deleted_on_the_way_leaves_nothing_behind() {
    let mut claiming = Rig::new().0;
    claiming.prompt(1);
    let lines = render(&claiming.apply(Input::DeletionRequested { by: user("ada").id }));
    assert!(lines.contains("- claim_sandbox\n+ release_claim") && !lines.contains("terminate"), "{lines}");
    let late = claiming.apply(Input::WorkDone { work: claim(1), outcome: claimed(7) });
    assert_eq!(render(&late), "+ release_claim\n= Done\n");

    let mut bound = binding(7);
    let lines = render(&bound.apply(Input::DeletionRequested { by: user("ada").id }));
    assert!(lines.contains("+ release_claim\n- bind_sandbox\n+ terminate_sandbox"), "{lines}");
}

fn claim(generation: u64) -> Work {
    Work::ClaimSandbox { generation, reservation: None }
}

#[test]
fn a_reservation_is_named_by_the_first_claim_only() {
    let models = models();
    let reservation = ReservationId::parse("rsv_1").unwrap();
    let new = NewSession { reservation: Some(reservation.clone()), ..new_session(Some(request(1, "Do it"))) };
    let context = Context { now: START, random: [0; 16], models: &models, timing: Timing::default() };
    let (session, effects) = Session::create(new, context).unwrap();
    let order = Work::ClaimSandbox { generation: 1, reservation: Some(reservation) };
    assert!(effects.contains(&Effect::Enqueue(order)), "{}", render(&effects));
    assert_eq!(session.reservation, None);
}

#[test]
fn the_life_of_a_warm_sandbox_counts_from_before_its_claim() {
    let mut rig = binding(7);
    bind(&mut rig, created());
    rig.attach("http://127.0.0.1:2");
    rig.events(ready());
    rig.receive();
    let handover = |rig: &Rig| rig.timing.handover_at(rig.session.sandbox.as_ref().unwrap().created_at);
    assert_eq!(handover(&rig).ms_since(rig.now), rig.timing.life_ms - (25 + 5) * 60_000);
    let mut short = Rig::new().0;
    short.timing = Timing { life_ms: 60_000, idle_ms: 60_000, ..Timing::default() };
    short.prompt(1);
    short.answer_claim(claimed(7));
    assert_eq!(handover(&short).ms_since(short.now), 30_000, "there is life left to work");
}

#[test]
fn who_begins_to_write_finds_a_sandbox_and_it_is_stopped_when_nothing_is_sent() {
    let mut rig = Rig::new().0;
    let begin = |rig: &mut Rig| render(&rig.apply(Input::PromptBegun { by: user("ada").id }));
    assert_eq!(begin(&mut rig), "+ claim_sandbox\n#3 sandbox starting: taking a warm sandbox\n= Done\n");
    assert_eq!(begin(&mut rig), "= Done\n", "once is enough");
    rig.boot();
    assert_eq!(rig.wait(599_999), []);
    let lines = render(&rig.wait(1));
    assert!(lines.contains("+ terminate_sandbox") && lines.contains("sandbox stopped"), "{lines}");
    assert!(begin(&mut rig).contains("+ claim_sandbox"), "the next time of writing");
    rig.boot();
    assert!(render(&rig.prompt(1)).contains("turn of prm_1 attempt 1"), "it takes the prompt at once");
}

#[test]
fn a_snapshot_is_restored_for_who_begins_to_write() {
    let mut rig = Rig::running();
    rig.end_turn(None);
    rig.finish_snapshot(WorkOutcome::Done);
    rig.wait(600_000);
    let lines = render(&rig.apply(Input::PromptBegun { by: user("ada").id }));
    assert!(lines.contains("+ create_sandbox"), "{lines}");
    assert!(rig.session.sandbox.as_ref().unwrap().snapshot_id().is_some());
    rig.boot();
    let lines = render(&rig.wait(600_000));
    assert!(lines.contains("sandbox stopped, with snapshot") && !lines.contains("take_snapshot"), "{lines}");
}

#[test]
fn a_sandbox_that_nobody_waits_for_any_more_is_not_made_for_ever() {
    let mut rig = Rig::new().0;
    rig.apply(Input::PromptBegun { by: user("ada").id });
    rig.answer_claim(WorkOutcome::NoWarmSandbox { image_id: None, failure: None });
    let lines = render(&rig.wait(600_000));
    assert!(lines.contains("- create_sandbox\n+ terminate_sandbox"), "{lines}");
    assert_eq!(rig.session.sandbox, None);
}

#[test]
fn a_warm_up_that_fails_is_not_tried_with_each_key() {
    let mut rig = Rig::new().0;
    rig.apply(Input::PromptBegun { by: user("ada").id });
    rig.answer_claim(claimed(7));
    assert!(render(&bind(&mut rig, rejected())).contains("sandbox stopped"));
    rig.wait(599_999);
    assert_eq!(render(&rig.apply(Input::PromptBegun { by: user("ada").id })), "= Done\n");
    rig.wait(1);
    assert!(render(&rig.apply(Input::PromptBegun { by: user("ada").id })).contains("+ claim_sandbox"));
}

#[test]
fn only_who_may_prompt_warms_and_only_a_session_that_takes_prompts() {
    let mut rig = Rig::new().0;
    rig.apply(Input::ParticipantJoined { user: user("grace") });
    let (user_id, by) = (user("grace").id, user("ada").id);
    rig.apply(Input::RoleChanged { user_id, role: Role::Viewer, by });
    for by in ["grace", "nobody"] {
        assert_eq!(render(&rig.apply(Input::PromptBegun { by: user(by).id })), "= Done\n");
    }
    rig.apply(Input::ArchiveChanged { archived: true, by: user("ada").id });
    assert_eq!(render(&rig.apply(Input::PromptBegun { by: user("ada").id })), "= Done\n");
}
