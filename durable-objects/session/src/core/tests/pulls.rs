//! The session's pull request: in whose name, how it is followed, and that order and repetition of what is told change nothing.

use super::*;
use protocol::pull::{Check, CheckState, PullReport, PullSeen, PullState, Review, Verdict};

fn opened() -> WorkOutcome {
    WorkOutcome::PullRequestOpened {
        number: 7,
        url: "u".into(),
        title: "t".into(),
        base: "main".into(),
        progress: Default::default(),
    }
}

fn order_of(effects: &[Effect]) -> Work {
    let found = effects.iter().find_map(|effect| match effect {
        Effect::Enqueue(work @ Work::OpenPullRequest(_)) => Some(work.clone()),
        _ => None,
    });
    found.unwrap()
}

/// A session whose pull request is open.
fn open() -> Rig {
    let mut rig = Rig::running();
    let work = order_of(&rig.end_turn(Some(change('a'))));
    rig.finish_snapshot(WorkOutcome::Done);
    rig.apply(Input::WorkDone { work, outcome: opened() });
    rig
}

fn seen(state: PullState, at: u64) -> PullReport {
    let seen = PullSeen { state, title: "t".into(), head: "h".into(), updated_at: Timestamp(at) };
    PullReport { number: 7, seen: Some(seen), checks: Vec::new(), reviews: Vec::new() }
}

fn checked(state: CheckState, commit: &str, at: u64) -> PullReport {
    let check = Check {
        name: "test".into(),
        state,
        url: String::new(),
        commit: commit.into(),
        updated_at: Timestamp(at),
    };
    PullReport { number: 7, seen: None, checks: vec![check], reviews: Vec::new() }
}

fn said(id: &str, at: u64) -> PullReport {
    let review = Review {
        id: id.into(),
        author: "grace".into(),
        verdict: Verdict::Comment,
        text: "x".repeat(100_000),
        path: None,
        line: None,
        url: String::new(),
        updated_at: Timestamp(at),
    };
    PullReport { number: 7, seen: None, checks: Vec::new(), reviews: vec![review] }
}

fn progress(rig: &Rig) -> protocol::pull::PullRequestProgress {
    match &rig.session.pull.artifact.as_ref().unwrap().content {
        ArtifactContent::PullRequest { progress, .. } => progress.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn f23_a_later_author_does_not_take_over_an_order_that_waits() {
    let mut rig = Rig::running();
    let first = order_of(&rig.end_turn(Some(change('a'))));
    rig.finish_snapshot(WorkOutcome::Done);
    let author = user("grace");
    rig.apply(Input::PromptSubmitted { author: author.clone(), prompt: request(2, "more") });
    rig.receive();
    let second = order_of(&rig.end_turn(Some(change('b'))));
    let (Work::OpenPullRequest(first), Work::OpenPullRequest(second)) = (first, second) else { panic!() };
    assert_eq!((first.author.as_str(), second.author), ("usr_ada", first.author.clone()));
    assert_ne!(first.change.commit, second.change.commit, "the newest change is what it is about");

    let mut rig = open();
    rig.apply(Input::PromptSubmitted { author: author.clone(), prompt: request(2, "more") });
    rig.receive();
    let Work::OpenPullRequest(update) = order_of(&rig.end_turn(Some(change('b')))) else { panic!() };
    assert_eq!(update.author, author.id, "the text is brought up to date by whose prompt it was");
}

#[test]
fn what_the_code_host_refuses_its_author_waits_for_the_author_and_is_told_once() {
    let mut rig = Rig::running();
    let work = order_of(&rig.end_turn(Some(change('a'))));
    rig.finish_snapshot(WorkOutcome::Done);
    let refused = || WorkOutcome::SignInNeeded { reason: "401".into() };
    let told = rig.apply(Input::WorkDone { work: work.clone(), outcome: refused() });
    assert!(render(&told).contains("401; it waits until"), "{}", render(&told));
    let is_order = |effects: &[Effect]| {
        effects.iter().any(|effect| matches!(effect, Effect::Enqueue(Work::OpenPullRequest(_))))
    };
    let comes = |rig: &mut Rig, login| rig.apply(Input::ParticipantJoined { user: user(login) });
    assert!(!is_order(&comes(&mut rig, "grace")), "somebody else's coming is not the author's");
    assert!(is_order(&comes(&mut rig, "ada")));
    let again = rig.apply(Input::WorkDone { work: work.clone(), outcome: refused() });
    assert!(!render(&again).contains("401"), "told once: {}", render(&again));
    let (at, _) = rig.session.next_deadline(rig.timing).unwrap();
    assert!(is_order(&rig.wait(at.ms_since(rig.now))) || rig.session.pull.waiting.is_some());
    assert!(is_order(&comes(&mut rig, "ada")));
    rig.apply(Input::WorkDone { work, outcome: opened() });
    assert_eq!(rig.session.pull.waiting, None);
    assert!(!is_order(&comes(&mut rig, "ada")));
}

#[test]
fn f39_reports_in_any_order_and_number_come_to_the_same() {
    let reports = [
        seen(PullState::Open, 10),
        seen(PullState::Closed, 20),
        seen(PullState::Open, 30),
        seen(PullState::Closed, 40),
        seen(PullState::Merged, 40),
        checked(CheckState::Pending, "h", 15),
        checked(CheckState::Failed, "h", 25),
        checked(CheckState::Passed, "h", 35),
    ];
    let mut expected = None;
    for shift in 0..reports.len() {
        for reversed in [false, true] {
            let mut order: Vec<_> = reports.iter().cycle().skip(shift).take(reports.len()).cloned().collect();
            if reversed {
                order.reverse();
            }
            let mut rig = open();
            for report in order.iter().chain(&order) {
                rig.apply(Input::PullRequestReported(report.clone()));
            }
            let progress = progress(&rig);
            assert_eq!(progress.state, PullState::Merged);
            assert_eq!(progress.checks.len(), 1);
            assert_eq!(progress.checks[0].state, CheckState::Passed, "{shift} {reversed}");
            assert_eq!(expected.get_or_insert(progress.clone()), &progress, "{shift} {reversed}");
        }
    }
}

#[test]
fn checks_of_an_older_commit_are_left_behind() {
    let mut rig = open();
    rig.apply(Input::PullRequestReported(checked(CheckState::Failed, "old", 5)));
    assert_eq!(progress(&rig).checks.len(), 1);
    rig.apply(Input::PullRequestReported(seen(PullState::Open, 10)));
    assert_eq!(progress(&rig).checks, []);
    // One of a commit that the pull request has yet to be told of stays.
    rig.apply(Input::PullRequestReported(checked(CheckState::Failed, "newer", 15)));
    assert_eq!(progress(&rig).checks.len(), 1);
}

#[test]
fn what_is_said_is_recorded_once_and_cut() {
    let mut rig = open();
    let first = rig.apply(Input::PullRequestReported(said("review-1", 10)));
    assert!(render(&first).contains("review review-1"), "{}", render(&first));
    for effect in &first {
        if let Effect::Record { event: SessionEvent::ReviewAdded { review, .. }, .. } = effect {
            assert_eq!(review.text.len(), 4096);
        }
    }
    for at in [10, 9] {
        assert!(!render(&rig.apply(Input::PullRequestReported(said("review-1", at)))).contains("review-1"));
    }
    assert!(
        render(&rig.apply(Input::PullRequestReported(said("review-1", 11)))).contains("review-1"),
        "edited"
    );
}

#[test]
fn only_its_own_pull_request_is_the_sessions_business() {
    let mut rig = Rig::running();
    assert!(render(&rig.apply(Input::PullRequestReported(seen(PullState::Merged, 1)))).contains("not_found"));
    let mut rig = open();
    let other = PullReport { number: 8, ..seen(PullState::Merged, 1) };
    assert!(render(&rig.apply(Input::PullRequestReported(other))).contains("not_found"));
    assert_eq!(progress(&rig).state, PullState::Open);
}

#[test]
fn f39_a_quiet_pull_request_is_looked_at_ever_more_rarely_until_it_is_decided() {
    let mut rig = open();
    rig.lose_sandbox("gone");
    let mut waits = Vec::new();
    for _ in 0..9 {
        let (at, reason) = rig.session.next_deadline(rig.timing).unwrap();
        assert_eq!(reason, DeadlineReason::PullRequestQuiet);
        waits.push(at.ms_since(rig.now) / 60_000);
        let effects = rig.wait(at.ms_since(rig.now));
        let is_look =
            |effect: &Effect| matches!(effect, Effect::Enqueue(Work::LookAtPullRequest { number: 7 }));
        assert!(effects.iter().any(is_look), "{}", render(&effects));
    }
    assert_eq!(waits, [15, 30, 60, 120, 240, 480, 960, 960, 960]);
    rig.apply(Input::PullRequestReported(checked(CheckState::Passed, "h", 1)));
    let (at, _) = rig.session.next_deadline(rig.timing).unwrap();
    assert_eq!(at.ms_since(rig.now) / 60_000, 15, "a word sets it back");
    rig.apply(Input::PullRequestReported(seen(PullState::Closed, 2)));
    assert_eq!(rig.session.next_deadline(rig.timing), None);
}
