//! What every provider promises about the warm sandboxes and the images of a repository. The suite calls it.

use crate::suite::Subject;
use crate::support::{
    build_order, claimant, exited, from_image, new_image, new_sandbox_id, new_snapshot_id, order, run,
    secrets, soon, warm_order,
};
use protocol::id::RepositoryId;
use sandbox_bridge::provider::{ImageRecord, ProviderError, SandboxOrder, SandboxProvider, SavedImage};

pub(crate) async fn a_warm_sandbox_is_given_once_and_for_ever<P: SandboxProvider>(subject: &Subject<P>) {
    let (provider, warm) = (&subject.provider, warm_order());
    let id = subject.create(&warm).await;
    assert!(provider.list().iter().all(|record| record.session().is_none()));
    let one = claimant("ses_one");
    let given = soon("the gift", provider.give(&id, &one)).await.unwrap();
    assert_eq!((&given.sandbox_id, &given.order, given.session()), (&id, &warm, Some(&one)));
    assert_eq!(provider.list(), std::slice::from_ref(&given));
    assert_eq!(soon("the repeat", provider.give(&id, &one)).await.unwrap(), given);
    let refusal = soon("the refusal", provider.give(&id, &claimant("ses_two"))).await.unwrap_err();
    assert!(matches!(&refusal, ProviderError::Taken(why) if why.contains("ses_one")), "{refusal}");
    // Whoever orders it again finds it as it is, and its snapshots are the session's.
    assert_eq!(soon("the repeat", provider.create(&id, &warm, &secrets())).await.unwrap(), given);
    let snapshot_id = new_snapshot_id();
    soon("the snapshot", provider.snapshot(&id, &snapshot_id)).await.unwrap();
    soon("the deletion", provider.delete_snapshot(&snapshot_id, &one.session_id)).await.unwrap();
}

pub(crate) async fn only_warm_sandboxes_are_given<P: SandboxProvider>(subject: &Subject<P>) {
    let provider = &subject.provider;
    for order in [order(), build_order()] {
        let id = subject.create(&order).await;
        let refusal = soon("the refusal", provider.give(&id, &claimant("ses_one"))).await.unwrap_err();
        assert!(matches!(refusal, ProviderError::Taken(_)), "{refusal}");
    }
    let refusal =
        soon("the refusal", provider.give(&new_sandbox_id(), &claimant("ses_one"))).await.unwrap_err();
    assert!(matches!(refusal, ProviderError::NotFound(_)), "{refusal}");
    // What belongs to nobody yet has no snapshots.
    let id = subject.create(&warm_order()).await;
    let refusal = soon("the refusal", provider.snapshot(&id, &new_snapshot_id())).await.unwrap_err();
    assert!(matches!(&refusal, ProviderError::Rejected(why) if why.contains("no session")), "{refusal}");
}

/// Makes an image with `one` in `/workspace/a`.
async fn built<P: SandboxProvider>(subject: &Subject<P>, image: &ImageRecord) -> SavedImage {
    let id = subject.create(&build_order()).await;
    assert_eq!(run(&subject.provider, &id, "echo one > /workspace/a").await.2, exited(0));
    let saved = soon("the image", subject.provider.save_image(&id, image)).await.unwrap();
    soon("the end", subject.provider.terminate(&id)).await.unwrap();
    saved
}

fn elsewhere() -> RepositoryId {
    RepositoryId::parse("octo/elsewhere").unwrap()
}

pub(crate) async fn an_image_is_its_repository_s<P: SandboxProvider>(subject: &Subject<P>) {
    let (provider, image) = (&subject.provider, new_image());
    let saved = built(subject, &image).await;
    assert_eq!(saved.record, image);
    assert_eq!(
        soon("the list", provider.images(&image.repository)).await.unwrap(),
        std::slice::from_ref(&saved)
    );
    assert!(soon("the list", provider.images(&elsewhere())).await.unwrap().is_empty());
    let source = from_image(&image.image_id).source;
    for order in [order(), warm_order(), build_order()] {
        let id = subject.create(&SandboxOrder { source: source.clone(), ..order }).await;
        assert_eq!(run(provider, &id, "cat /workspace/a").await.0, "one\n");
    }
    let mut foreign = from_image(&image.image_id);
    foreign.repository.id = elsewhere();
    let refusal = provider.create(&new_sandbox_id(), &foreign, &secrets()).await.unwrap_err();
    assert!(matches!(refusal, ProviderError::SnapshotUnusable(_)), "{refusal}");
    let refusal =
        soon("the refusal", provider.delete_image(&image.image_id, &elsewhere())).await.unwrap_err();
    assert!(matches!(refusal, ProviderError::Rejected(_)), "{refusal}");
    assert_eq!(soon("the list", provider.images(&image.repository)).await.unwrap(), [saved]);
}

pub(crate) async fn an_image_saved_again_is_the_first_one<P: SandboxProvider>(subject: &Subject<P>) {
    let (provider, image) = (&subject.provider, new_image());
    let saved = built(subject, &image).await;
    let id = subject.create(&build_order()).await;
    assert_eq!(run(provider, &id, "echo two > /workspace/a").await.2, exited(0));
    assert_eq!(soon("the repeat", provider.save_image(&id, &image)).await.unwrap(), saved);
    let restored = subject.create(&from_image(&image.image_id)).await;
    assert_eq!(run(provider, &restored, "cat /workspace/a").await.0, "one\n");
    for foreign in [
        ImageRecord { repository: elsewhere(), ..image },
        ImageRecord { repository: elsewhere(), ..new_image() },
    ] {
        let refusal = soon("the refusal", provider.save_image(&id, &foreign)).await.unwrap_err();
        assert!(
            matches!(&refusal, ProviderError::Rejected(why) if why.contains("another repository")),
            "{refusal}"
        );
    }
}

pub(crate) async fn a_deleted_image_is_gone_for_good<P: SandboxProvider>(subject: &Subject<P>) {
    let (provider, image) = (&subject.provider, new_image());
    built(subject, &image).await;
    // Whoever stands on it stays as it is.
    let standing = subject.create(&from_image(&image.image_id)).await;
    for _ in 0..2 {
        soon("the deletion", provider.delete_image(&image.image_id, &image.repository)).await.unwrap();
        assert!(soon("the list", provider.images(&image.repository)).await.unwrap().is_empty());
    }
    assert_eq!(run(provider, &standing, "cat /workspace/a").await.0, "one\n");
    let order = from_image(&image.image_id);
    let refusal = provider.create(&new_sandbox_id(), &order, &secrets()).await.unwrap_err();
    assert!(matches!(refusal, ProviderError::SnapshotUnusable(_)), "{refusal}");
    let refusal = soon("the refusal", provider.save_image(&standing, &image)).await.unwrap_err();
    assert!(matches!(&refusal, ProviderError::Rejected(why) if why.contains("was deleted")), "{refusal}");
}
