//! A bridge that is gone and comes back: its sandboxes are taken over, ended ones reported, half made and half ended ones sorted out.

use crate::support::{
    Bench, build_order, claimant, exited, from_image, from_snapshot, new_image, new_sandbox_id,
    new_snapshot_id, order, run, secrets, soon, warm_order,
};
use fakes::modal::Fault;
use sandbox_bridge::provider::{ProviderError, SandboxProvider};

#[tokio::test(flavor = "multi_thread")]
async fn the_next_bridge_takes_sandboxes_and_snapshots_over() {
    let Some(bench) = Bench::start().await else { return };
    let id = bench.create(&order()).await;
    assert_eq!(run(&bench.provider, &id, "echo one > /workspace/a").await.2, exited(0));
    let snapshot_id = new_snapshot_id();
    soon("the snapshot", bench.provider.snapshot(&id, &snapshot_id)).await.unwrap();
    let records = bench.provider.list();
    let bench = bench.restart().await;
    assert_eq!(bench.provider.list(), records);
    assert_eq!(run(&bench.provider, &id, "cat /workspace/a").await.0, "one\n");
    let again = soon("the repeat", bench.provider.create(&id, &order(), &secrets())).await.unwrap();
    assert_eq!(vec![again], records);
    let restored = bench.create(&from_snapshot(&snapshot_id)).await;
    assert_eq!(run(&bench.provider, &restored, "cat /workspace/a").await.0, "one\n");
    assert_eq!(bench.modal.sandboxes().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ended_meanwhile_is_reported() {
    let Some(bench) = Bench::start().await else { return };
    let (id, other) = (bench.create(&order()).await, bench.create(&order()).await);
    let modal_id = bench.modal.running().iter().find(|it| it.name == id.as_str()).unwrap().sandbox_id.clone();
    let Bench { provider, exits, modal, folder, config } = bench;
    drop((provider, exits));
    modal.preempt(&modal_id).await;
    let provider =
        sandbox_bridge::provider::modal::ModalProvider::start(config, crate::support::credentials(&modal))
            .await
            .unwrap();
    let exit = soon("the report", provider.exits().unwrap().recv()).await.unwrap();
    assert_eq!(exit.record.sandbox_id, id);
    assert!(
        exit.reason.contains("preempted") && exit.reason.contains("while the bridge was away"),
        "{exit:?}"
    );
    assert_eq!(provider.list().iter().map(|it| it.sandbox_id.clone()).collect::<Vec<_>>(), [other]);
    let refusal = provider.create(&id, &order(), &secrets()).await.unwrap_err();
    assert!(matches!(refusal, ProviderError::Rejected(_)), "{refusal}");
    drop(folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_made_sandbox_is_finished_by_the_repeated_order() {
    let Some(bench) = Bench::start().await else { return };
    bench.modal.script("SandboxCreateV2", 1, &Fault::ReplyLost);
    bench.modal.script("SandboxCreateV2", 3, &Fault::UNAVAILABLE);
    bench.modal.script("SandboxGetFromNameV2", 4, &Fault::UNAVAILABLE);
    let id = new_sandbox_id();
    bench.provider.create(&id, &order(), &secrets()).await.unwrap_err();
    let bench = bench.restart().await;
    assert!(bench.provider.list().is_empty());
    assert_eq!(bench.modal.running().len(), 1);
    soon("the creation", bench.provider.create(&id, &order(), &secrets())).await.unwrap();
    assert_eq!(run(&bench.provider, &id, "exit 2").await.2, exited(2));
    assert_eq!(bench.modal.sandboxes().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_ended_sandbox_is_ended() {
    let Some(mut bench) = Bench::start().await else { return };
    let id = bench.create(&order()).await;
    bench.modal.script("SandboxTerminateV2", 4, &Fault::UNAVAILABLE);
    let error = bench.provider.terminate(&id).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unavailable { .. }), "{error}");
    assert_eq!(bench.modal.running().len(), 1);
    bench = bench.restart().await;
    assert!(bench.modal.running().is_empty() && bench.provider.list().is_empty());
    assert!(bench.exits.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_run_in_the_same_app_is_left_alone() {
    let Some(bench) = Bench::start().await else { return };
    let id = bench.create(&order()).await;
    let create = bench.modal.calls_of("SandboxCreateV2").remove(0);
    let create = create.message::<modal_api::SandboxCreateV2Request>().unwrap();
    let theirs = modal_api::Sandbox {
        name: Some("theirs".to_owned()),
        entrypoint_args: ["sleep", "1000"].map(str::to_owned).to_vec(),
        ..create.definition.unwrap()
    };
    let client = bench.provider.client();
    let tags = [("team".to_owned(), "other".to_owned())].into();
    client.create_sandbox(&create.app_id, theirs, &tags, [].into()).await.unwrap();
    assert_eq!(bench.provider.reap().await.unwrap(), 0);
    let bench = bench.restart().await;
    assert_eq!(bench.provider.list().iter().map(|it| it.sandbox_id.clone()).collect::<Vec<_>>(), [id]);
    assert_eq!(bench.modal.running().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_bridge_knows_whom_a_warm_sandbox_was_given_to() {
    let Some(bench) = Bench::start().await else { return };
    let (warm, given) = (bench.create(&warm_order()).await, bench.create(&warm_order()).await);
    let folder = bench.provider.folder(&given).unwrap();
    std::fs::write(folder.join("kept"), "1").unwrap();
    let one = claimant("ses_one");
    soon("the gift", bench.provider.give(&given, &one)).await.unwrap();
    let bench = bench.restart().await;
    for record in bench.provider.list() {
        let session = (record.sandbox_id == given).then_some(&one);
        assert_eq!(record.session(), session, "{record:?}");
    }
    let refusal = soon("the refusal", bench.provider.give(&given, &claimant("ses_two"))).await.unwrap_err();
    assert!(matches!(refusal, ProviderError::Taken(_)), "{refusal}");
    soon("the gift", bench.provider.give(&warm, &claimant("ses_two"))).await.unwrap();
    assert_eq!(std::fs::read(folder.join("kept")).unwrap(), b"1");
    soon("the end", bench.provider.terminate(&given)).await.unwrap();
    assert!(!folder.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_bridge_has_the_images() {
    let Some(bench) = Bench::start().await else { return };
    let (id, image) = (bench.create(&build_order()).await, new_image());
    assert_eq!(run(&bench.provider, &id, "echo one > /workspace/a").await.2, exited(0));
    let saved = soon("the image", bench.provider.save_image(&id, &image)).await.unwrap();
    let bench = bench.restart().await;
    assert_eq!(bench.provider.images(&image.repository).await.unwrap(), [saved]);
    let restored = bench.create(&from_image(&image.image_id)).await;
    assert_eq!(run(&bench.provider, &restored, "cat /workspace/a").await.0, "one\n");
}
