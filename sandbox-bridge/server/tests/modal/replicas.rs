//! Several replicas of the bridge on one app at Modal: each serves what the others have made, and whatever two of them do at the
//! same moment, one of them has done it.

use crate::support::{
    Bench, build_order, claimant, config, credentials, exited, from_image, from_snapshot, new_image,
    new_sandbox_id, new_snapshot_id, order, request, run, secrets, session, soon, until, warm_order,
};
use fakes::modal::{Call, Fault, ModalOptions};
use modal_api::DictGetRequest;
use protocol::bridge::CreateSandboxRequest;
use protocol::id::{BuildId, SandboxId};
use sandbox_bridge::provider::modal::ModalProvider;
use sandbox_bridge::provider::{
    Owner, ProviderError, SandboxExit, SandboxOrder, SandboxProvider, SessionOwner,
};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc;

/// Between every two calls lies up to so much, anew for each.
const JITTER: Duration = Duration::from_millis(6);
/// How often two replicas meet in one test.
const MEETINGS: usize = 12;

/// Another replica, with a folder of its own.
struct Second {
    provider: ModalProvider,
    exits: mpsc::Receiver<SandboxExit>,
    _folder: TempDir,
}

impl Second {
    async fn of(bench: &Bench) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let own = config(folder.path(), bench.config.runner.clone());
        let provider = soon("the start", ModalProvider::start(own, credentials(&bench.modal))).await.unwrap();
        let exits = provider.exits().unwrap();
        Self { provider, exits, _folder: folder }
    }
}

async fn two(jitter: Duration) -> Option<(Bench, Second)> {
    let bench = Bench::start_with(ModalOptions { jitter, ..ModalOptions::default() }, |_| {}).await?;
    let second = Second::of(&bench).await;
    Some((bench, second))
}

fn of_generation(generation: u64) -> SandboxOrder {
    SandboxOrder::of_session(&CreateSandboxRequest { generation, ..request() })
}

#[tokio::test(flavor = "multi_thread")]
async fn any_replica_serves_any_sandbox_snapshot_and_image() {
    let Some((bench, second)) = two(Duration::ZERO).await else { return };
    let (one, other) = (&bench.provider, &second.provider);
    let id = bench.create(&order()).await;
    assert_eq!(run(other, &id, "echo one > /workspace/a").await.2, exited(0));
    let record = soon("the look", other.look_up(&id)).await.unwrap().unwrap();
    assert_eq!(vec![record], one.list());
    assert!(other.list().is_empty(), "it is looked after by the first one");
    let snapshot_id = new_snapshot_id();
    let taken = soon("the snapshot", other.snapshot(&id, &snapshot_id)).await.unwrap();
    assert_eq!(soon("the repeat", one.snapshot(&id, &snapshot_id)).await.unwrap(), taken);
    let restored = bench.create(&from_snapshot(&snapshot_id)).await;
    assert_eq!(run(other, &restored, "cat /workspace/a").await.0, "one\n");

    let (builder, image) = (new_sandbox_id(), new_image());
    soon("the creation", other.create(&builder, &build_order(), &secrets())).await.unwrap();
    let saved = soon("the image", other.save_image(&builder, &image)).await.unwrap();
    assert_eq!(soon("the list", one.images(&image.repository)).await.unwrap(), [saved]);
    bench.create(&from_image(&image.image_id)).await;
    soon("its end", one.delete_image(&image.image_id, &image.repository)).await.unwrap();
    assert!(soon("the list", other.images(&image.repository)).await.unwrap().is_empty());
    soon("its end", one.delete_snapshot(&snapshot_id, &session())).await.unwrap();
    let source = from_snapshot(&snapshot_id);
    let refusal =
        soon("the refusal", other.create(&new_sandbox_id(), &source, &secrets())).await.unwrap_err();
    assert!(matches!(refusal, ProviderError::SnapshotUnusable(_)), "{refusal}");

    soon("the end", other.terminate(&id)).await.unwrap();
    let refusal = soon("the refusal", one.create(&id, &order(), &secrets())).await.unwrap_err();
    assert!(matches!(refusal, ProviderError::Rejected(_)), "{refusal}");
    let survey = soon("the survey", other.survey(&request().repository.id)).await.unwrap();
    assert_eq!(survey.len(), bench.modal.running().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_whose_answer_is_lost_is_finished_at_the_other_replica() {
    let Some((bench, second)) = two(Duration::ZERO).await else { return };
    bench.modal.script("SandboxCreateV2", 1, &Fault::ReplyLost);
    bench.modal.script("SandboxCreateV2", 3, &Fault::UNAVAILABLE);
    bench.modal.script("SandboxGetFromNameV2", 4, &Fault::UNAVAILABLE);
    let id = new_sandbox_id();
    bench.provider.create(&id, &order(), &secrets()).await.unwrap_err();
    assert_eq!(bench.modal.running().len(), 1);
    soon("the creation", second.provider.create(&id, &order(), &secrets())).await.unwrap();
    soon("the first one's repeat", bench.provider.create(&id, &order(), &secrets())).await.unwrap();
    assert_eq!(run(&bench.provider, &id, "exit 3").await.2, exited(3));
    assert_eq!(bench.modal.sandboxes().len(), 1);
    let other = of_generation(2);
    let refusal = soon("the refusal", second.provider.create(&id, &other, &secrets())).await.unwrap_err();
    assert!(matches!(refusal, ProviderError::Rejected(_)), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_order_at_both_replicas_makes_one_sandbox() {
    let Some((bench, second)) = two(JITTER).await else { return };
    let (order, secrets) = (order(), secrets());
    for meeting in 1..=MEETINGS {
        let id = new_sandbox_id();
        let create = |provider: &ModalProvider| {
            let (provider, id, order, secrets) =
                (provider.clone(), id.clone(), order.clone(), secrets.clone());
            async move { provider.create(&id, &order, &secrets).await }
        };
        let (one, other) =
            soon("both", async { tokio::join!(create(&bench.provider), create(&second.provider)) }).await;
        assert_eq!(one.unwrap(), other.unwrap());
        let running = bench.modal.running();
        assert_eq!(running.iter().filter(|it| it.name == id.as_str()).count(), 1, "meeting {meeting}");
        soon("the end", second.provider.terminate(&id)).await.unwrap();
    }
    assert!(bench.modal.running().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_sandbox_that_many_sessions_ask_two_replicas_for_is_one_session_s() {
    let Some((bench, second)) = two(JITTER).await else { return };
    for meeting in 0..MEETINGS {
        let id = bench.create(&warm_order()).await;
        let sessions: Vec<SessionOwner> =
            (0..6).map(|number| claimant(&format!("ses_{meeting}x{number}"))).collect();
        let gifts = sessions.iter().enumerate().map(|(number, session)| {
            let provider = if number % 2 == 0 { &bench.provider } else { &second.provider };
            provider.give(&id, session)
        });
        let answers = soon("all gifts", futures::future::join_all(gifts)).await;
        let mut winners = Vec::new();
        for (session, answer) in sessions.iter().zip(answers) {
            match answer {
                Ok(record) => winners.push((record.session().unwrap().clone(), session.clone())),
                Err(ProviderError::Taken(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        let [(has, asked)] = winners.as_slice() else { panic!("{winners:?}") };
        assert_eq!(has, asked);
        for provider in [&bench.provider, &second.provider] {
            let again = soon("the repeat", provider.give(&id, asked)).await.unwrap();
            assert_eq!(again.session(), Some(asked));
            let record = soon("the look", provider.look_up(&id)).await.unwrap().unwrap();
            assert_eq!(record.session(), Some(asked));
            let refusal = soon("the refusal", provider.withhold(&id)).await.unwrap_err();
            assert!(matches!(refusal, ProviderError::Taken(_)), "{refusal}");
        }
        soon("the end", second.provider.terminate(&id)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_replica_throws_away_the_other_does_not_give() {
    let Some((bench, second)) = two(JITTER).await else { return };
    let (mut given, mut thrown) = (0, 0);
    for meeting in 0..2 * MEETINGS {
        let (id, session) = (bench.create(&warm_order()).await, claimant(&format!("ses_t{meeting}")));
        // The other one has to look first.
        soon("the look", second.provider.look_up(&id)).await.unwrap();
        let both = async { tokio::join!(second.provider.give(&id, &session), bench.provider.withhold(&id)) };
        match soon("both", both).await {
            (Ok(_), Err(ProviderError::Taken(_))) => given += 1,
            (Err(ProviderError::Taken(_)), Ok(())) => thrown += 1,
            other => panic!("{other:?}"),
        }
        soon("the end", bench.provider.terminate(&id)).await.unwrap();
    }
    println!("given {given}, thrown away {thrown}");
    assert_eq!(given + thrown, 2 * MEETINGS);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_replica_ends_while_the_other_makes_it_does_not_stay() {
    let Some((bench, second)) = two(JITTER).await else { return };
    let (order, secrets) = (order(), secrets());
    for meeting in 0..2 * MEETINGS {
        let id = new_sandbox_id();
        let pause = Duration::from_millis(u64::try_from(meeting).unwrap() * 2);
        let end = async {
            tokio::time::sleep(pause).await;
            second.provider.terminate(&id).await
        };
        let both = async { tokio::join!(bench.provider.create(&id, &order, &secrets), end) };
        let (_, ended) = soon("both", both).await;
        ended.unwrap();
        assert!(bench.modal.running().is_empty(), "meeting {meeting}");
        let refusal = soon("the refusal", bench.provider.create(&id, &order, &secrets)).await;
        assert!(refusal.is_err() || bench.provider.list().is_empty(), "meeting {meeting}: {refusal:?}");
    }
    assert_eq!(bench.provider.reap().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_is_told_by_the_replica_that_the_runner_was_connected_to_last() {
    let Some((mut bench, mut second)) = two(Duration::ZERO).await else { return };
    let modal_id = |bench: &Bench, id: &SandboxId| {
        bench.modal.running().iter().find(|it| it.name == id.as_str()).unwrap().sandbox_id.clone()
    };
    let id = bench.create(&order()).await;
    bench.modal.preempt(&modal_id(&bench, &id)).await;
    let exit = soon("the report", bench.exits.recv()).await.unwrap();
    assert_eq!((&exit.record.sandbox_id, exit.told_here), (&id, true));

    let id = bench.create(&order()).await;
    soon("the look", second.provider.look_up(&id)).await.unwrap().unwrap();
    second.provider.attached(&id);
    until("the other looks after it", || second.provider.list().len() == 1).await;
    bench.modal.preempt(&modal_id(&bench, &id)).await;
    let exit = soon("the report", second.exits.recv()).await.unwrap();
    assert_eq!((&exit.record.sandbox_id, exit.told_here), (&id, true));
    let exit = soon("the other's report", bench.exits.recv()).await.unwrap();
    assert_eq!((&exit.record.sandbox_id, exit.told_here), (&id, false));

    // What was ended on purpose is told by nobody, and forgotten by both.
    let id = bench.create(&order()).await;
    soon("the end", second.provider.terminate(&id)).await.unwrap();
    let exit = soon("the report", bench.exits.recv()).await.unwrap();
    assert_eq!((&exit.record.sandbox_id, exit.told_here), (&id, false));
    assert!(bench.provider.list().is_empty() && second.exits.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_forgets_what_has_ended_elsewhere() {
    let Some((bench, mut second)) = two(Duration::ZERO).await else { return };
    let id = bench.create(&order()).await;
    soon("the look", second.provider.look_up(&id)).await.unwrap().unwrap();
    soon("the end", bench.provider.terminate(&id)).await.unwrap();
    assert_eq!(second.provider.reap().await.unwrap(), 0);
    let exit = soon("the report", second.exits.recv()).await.unwrap();
    assert_eq!((&exit.record.sandbox_id, exit.told_here), (&id, false));
    assert_eq!(soon("the look", second.provider.look_up(&id)).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_generation_is_refused_at_every_replica() {
    let Some((bench, second)) = two(Duration::ZERO).await else { return };
    let warm = bench.create(&warm_order()).await;
    soon("the creation", second.provider.create(&new_sandbox_id(), &of_generation(2), &secrets()))
        .await
        .unwrap();
    let late = SessionOwner { session_id: session(), ..claimant("ses_any") };
    for provider in [&bench.provider, &second.provider] {
        let refusal = soon("the refusal", provider.give(&warm, &late)).await.unwrap_err();
        assert!(
            matches!(&refusal, ProviderError::Rejected(why) if why.contains("generation 2")),
            "{refusal}"
        );
        let (id, older, secrets) = (new_sandbox_id(), of_generation(1), secrets());
        let refusal = soon("the refusal", provider.create(&id, &older, &secrets)).await.unwrap_err();
        assert!(
            matches!(&refusal, ProviderError::Rejected(why) if why.contains("generation 2")),
            "{refusal}"
        );
    }
    soon("the gift", second.provider.give(&warm, &claimant("ses_other"))).await.unwrap();
    assert_eq!(bench.modal.running().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_arrives_after_its_sandbox_was_thrown_away_is_refused() {
    let Some((bench, second)) = two(Duration::ZERO).await else { return };
    let id = bench.create(&warm_order()).await;
    let late = claimant("ses_late");
    bench.modal.forget_calls();
    // The first replica stands still in the very call that gives it.
    bench.modal.script("DictUpdate", 1, &Fault::Slow(Duration::from_secs(1)));
    let gift = tokio::spawn({
        let (provider, id, late) = (bench.provider.clone(), id.clone(), late.clone());
        async move { provider.give(&id, &late).await }
    });
    until("the gift is on its way", || !bench.modal.calls_of("DictUpdate").is_empty()).await;
    soon("the mark", second.provider.withhold(&id)).await.unwrap();
    soon("the end", second.provider.terminate(&id)).await.unwrap();
    let refusal = soon("the refusal", gift).await.unwrap().unwrap_err();
    assert!(matches!(refusal, ProviderError::Taken(_)), "{refusal}");
    assert!(bench.modal.running().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_is_one_replica_s_and_its_sandbox_is_no_other_s_to_end() {
    let Some((bench, second)) = two(JITTER).await else { return };
    for meeting in 0..MEETINGS {
        let build = BuildId::parse(&format!("bld_m{meeting}")).unwrap();
        let both =
            async { tokio::join!(bench.provider.hold_build(&build), second.provider.hold_build(&build)) };
        let (one, other) = soon("both", both).await;
        assert!(one.unwrap() != other.unwrap(), "meeting {meeting}");
    }
    let id = bench.create(&build_order()).await;
    let third = Second::of(&bench).await;
    assert_eq!(third.provider.reap().await.unwrap(), 0);
    let survey = soon("the survey", third.provider.survey(&request().repository.id)).await.unwrap();
    assert!(matches!(survey[0].order.owner, Owner::Build { .. }) && survey[0].sandbox_id == id);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_saved_is_known_for_as_long_as_a_replica_reads_it() {
    let day = Duration::from_secs(24 * 3600);
    let Some(bench) = Bench::start().await else { return };
    let id = bench.create(&order()).await;
    let (kept, lost) = (new_snapshot_id(), new_snapshot_id());
    soon("the snapshot", bench.provider.snapshot(&id, &kept)).await.unwrap();
    bench.modal.clock().advance(6 * day);
    // A replica that starts reads everything at once, and then every day.
    bench.modal.forget_calls();
    let second = Second::of(&bench).await;
    let key = format!("snapshot/{kept}");
    let is_kept = |call: &Call| call.message::<DictGetRequest>().unwrap().key == key.as_bytes();
    until("it was read", || bench.modal.calls_of("DictGet").iter().any(is_kept)).await;
    let again = bench.create(&order()).await;
    soon("the snapshot", second.provider.snapshot(&again, &lost)).await.unwrap();
    bench.modal.clock().advance(6 * day);
    let (id, source, secrets) = (new_sandbox_id(), from_snapshot(&kept), secrets());
    soon("the creation", second.provider.create(&id, &source, &secrets)).await.unwrap();
    bench.modal.clock().advance(8 * day);
    let refusal =
        second.provider.create(&new_sandbox_id(), &from_snapshot(&lost), &secrets).await.unwrap_err();
    assert!(matches!(&refusal, ProviderError::SnapshotUnusable(why) if why.contains("expired")), "{refusal}");
}
