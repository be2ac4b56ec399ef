//! A bridge that ends at any moment of its work, without a word: what was ordered is ordered again, and then everything is there
//! once, whose it was stays so, and nothing is left over.
//!
//! The provider runs in a runtime of its own that is dropped with all that is under way. `FARHAND_KILLS` says how often, 30 times
//! where it is absent.

use crate::fleet::RUNNER;
use crate::support::{
    build_order, claimant, config, credentials, new_image, new_sandbox_id, secrets, soon, warm_order,
};
use fakes::modal::{ModalFake, ModalOptions};
use protocol::id::SandboxId;
use sandbox_bridge::provider::modal::{Credentials, ModalConfig, ModalProvider};
use sandbox_bridge::provider::{
    ImageRecord, Owner, ProviderError, SandboxOrder, SandboxProvider, SessionOwner,
};
use std::time::Duration;

fn kills() -> u64 {
    std::env::var("FARHAND_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(30)
}

/// What a repository and a session have ordered; every order may be given again.
#[derive(Clone)]
struct Orders {
    given: SandboxId,
    thrown: SandboxId,
    warm: SandboxId,
    builder: SandboxId,
    build: SandboxOrder,
    session: SessionOwner,
    image: ImageRecord,
}

impl Orders {
    fn new(number: u64) -> Self {
        Self {
            given: new_sandbox_id(),
            thrown: new_sandbox_id(),
            warm: new_sandbox_id(),
            builder: new_sandbox_id(),
            build: build_order(),
            session: claimant(&format!("ses_k{number}")),
            image: new_image(),
        }
    }

    /// Fill, claim, expire, and a build beside them.
    async fn carry_out(&self, provider: &ModalProvider) -> Result<(), ProviderError> {
        let pool = async {
            for id in [&self.given, &self.thrown, &self.warm] {
                match provider.create(id, &warm_order(), &secrets()).await {
                    Ok(_) => {}
                    // It was thrown away before.
                    Err(ProviderError::Rejected(_)) if *id == self.thrown => {}
                    Err(error) => return Err(error),
                }
            }
            provider.give(&self.given, &self.session).await?;
            provider.withhold(&self.thrown).await?;
            provider.terminate(&self.thrown).await
        };
        let build = async {
            let images = provider.images(&self.image.repository).await?;
            if images.iter().all(|image| image.record.image_id != self.image.image_id) {
                provider.create(&self.builder, &self.build, &secrets()).await?;
                provider.save_image(&self.builder, &self.image).await?;
            }
            provider.terminate(&self.builder).await
        };
        tokio::try_join!(pool, build).map(drop)
    }
}

/// A life of the bridge that ends after this time, wherever it is.
async fn die_after(life: Duration, config: ModalConfig, credentials: Credentials, orders: Orders) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.spawn(async move {
        let Ok(provider) = ModalProvider::start(config, credentials).await else { return };
        let _ = orders.carry_out(&provider).await;
        std::future::pending::<()>().await;
    });
    tokio::time::sleep(life).await;
    runtime.shutdown_background();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_is_killed_anywhere_leaves_nothing_twice_and_nothing_behind() {
    let options = ModalOptions { jitter: Duration::from_millis(4), ..ModalOptions::default() };
    let modal = ModalFake::start_with(options).await.unwrap();
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let runner = folder.path().join("runner");
    std::fs::write(&runner, RUNNER).unwrap();
    let own = config(folder.path(), runner.clone());
    let start = |config| ModalProvider::start(config, credentials(&modal));
    let other = soon("the other", start(config(elsewhere.path(), runner.clone()))).await.unwrap();
    soon("a start", async {
        start(own.clone()).await.unwrap().create(&new_sandbox_id(), &warm_order(), &secrets()).await
    })
    .await
    .unwrap();
    for sandbox in modal.running() {
        soon("an end", other.terminate(&SandboxId::parse(&sandbox.name).unwrap())).await.unwrap();
    }
    let mut images = modal.images().len();
    for number in 0..kills() {
        let orders = Orders::new(number);
        // Spread over a start and all orders.
        let life = Duration::from_millis(number * 37 % 400);
        die_after(life, own.clone(), credentials(&modal), orders.clone()).await;

        let provider = soon("the next start", start(own.clone())).await.unwrap();
        // As the hub does: builds do not outlive their bridge.
        let mut again = orders.clone();
        for record in provider.list().iter().filter(|it| matches!(it.order.owner, Owner::Build { .. })) {
            soon("an end", provider.terminate(&record.sandbox_id)).await.unwrap();
            again.builder = new_sandbox_id();
        }
        let given = soon("the look", other.look_up(&orders.given)).await.unwrap();
        if let Some(session) = given.as_ref().and_then(|record| record.session()) {
            assert_eq!(session, &orders.session, "kill {number}");
        }
        match soon("the orders again", again.carry_out(&provider)).await {
            Ok(()) => {}
            // It had been told to end, and the build is given a new sandbox, as every build is.
            Err(ProviderError::Rejected(_)) => {
                again.builder = new_sandbox_id();
                soon("the orders once more", again.carry_out(&provider)).await.unwrap();
            }
            Err(error) => panic!("kill {number} after {life:?}: {error}"),
        }
        assert_eq!(soon("a comparison", provider.reap()).await.unwrap(), 0, "kill {number}");
        let mut names: Vec<String> = modal.running().into_iter().map(|sandbox| sandbox.name).collect();
        names.sort();
        let mut expected = vec![orders.given.to_string(), orders.warm.to_string()];
        expected.sort();
        assert_eq!(names, expected, "kill {number} after {life:?}");
        for replica in [&provider, &other] {
            let thief = soon("the refusal", replica.give(&orders.given, &claimant("ses_thief"))).await;
            assert!(matches!(thief, Err(ProviderError::Taken(_))), "kill {number}: {thief:?}");
            let saved = soon("the list", replica.images(&orders.image.repository)).await.unwrap();
            assert_eq!(saved.iter().map(|it| &it.record).collect::<Vec<_>>(), [&orders.image]);
        }
        // An image that was saved and not written down before the kill is nobody's, and stays until its time.
        let saved = modal.images().len();
        assert!((images + 1..=images + 2).contains(&saved), "kill {number} after {life:?}: {saved}");
        images = saved - 1;
        let repository = &orders.image.repository;
        soon("its end", other.delete_image(&orders.image.image_id, repository)).await.unwrap();
        for id in [&orders.given, &orders.warm] {
            soon("an end", other.terminate(id)).await.unwrap();
        }
        assert!(modal.running().is_empty(), "kill {number}");
    }
}
