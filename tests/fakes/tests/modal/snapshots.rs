//! Snapshots: taken while the sandbox runs, started from, and gone when their time is over.

use crate::caller::Caller;
use modal_api::sandbox_get_exit_snapshot_response::Outcome;
use modal_api::*;
use std::time::Duration;
use tonic::Code;

#[tokio::test]
async fn a_sandbox_of_a_snapshot_has_its_files_and_settings() {
    let mut caller = Caller::start().await;
    let mut first = caller.create(caller.order()).await.unwrap();
    first.shell("echo kept > /workspace/file; ln -s file /workspace/link; mkdir -p /root/.config").await;
    let image_id = first.snapshot("one", Some(-1)).await.unwrap();
    first.shell("echo later > /workspace/file").await;
    assert_eq!(first.snapshot("one", Some(-1)).await.unwrap(), image_id);

    let mut order = caller.order();
    order.definition.as_mut().unwrap().image_id = image_id;
    let mut second = caller.create(order).await.unwrap();
    let (output, _) = second.shell("pwd; cat link; ls -a /root").await;
    assert_eq!(output, "/workspace\nkept\n.\n..\n.config\n");
    assert_eq!(first.shell("cat /workspace/file").await.0, "later\n");
}

#[tokio::test]
async fn a_snapshot_needs_an_end_that_is_said() {
    let mut caller = Caller::start().await;
    let mut sandbox = caller.create(caller.order()).await.unwrap();
    for ttl in [None, Some(0), Some(-2)] {
        assert_eq!(sandbox.snapshot("one", ttl).await.unwrap_err().code(), Code::InvalidArgument, "{ttl:?}");
    }
    assert!(sandbox.snapshot("one", Some(60)).await.is_ok());
}

#[tokio::test]
async fn an_expired_or_deleted_snapshot_is_not_found() {
    let mut caller = Caller::start().await;
    let mut sandbox = caller.create(caller.order()).await.unwrap();
    let short = sandbox.snapshot("short", Some(60)).await.unwrap();
    let long = sandbox.snapshot("long", Some(-1)).await.unwrap();
    assert_eq!(caller.fake.expires_at(&long), None);
    caller.fake.clock().advance(Duration::from_secs(59));
    caller.control.image_from_id(ImageFromIdRequest { image_id: short.clone() }).await.unwrap();
    caller.fake.clock().advance(Duration::from_secs(1));
    caller.control.image_delete(ImageDeleteRequest { image_id: long.clone() }).await.unwrap();
    for image_id in [short, long] {
        let look = ImageFromIdRequest { image_id: image_id.clone() };
        assert_eq!(caller.control.image_from_id(look).await.unwrap_err().code(), Code::NotFound);
        let mut order = caller.order();
        order.definition.as_mut().unwrap().image_id = image_id.clone();
        assert_eq!(caller.create(order).await.map(|_| ()).unwrap_err().code(), Code::NotFound);
        let delete = ImageDeleteRequest { image_id };
        assert_eq!(caller.control.image_delete(delete).await.unwrap_err().code(), Code::NotFound);
    }
}

#[tokio::test]
async fn a_sandbox_that_ends_can_leave_a_snapshot() {
    let mut caller = Caller::start().await;
    let mut order = caller.order();
    let definition = order.definition.as_mut().unwrap();
    definition.experimental_options_v2.insert("enable_exit_snapshot".to_owned(), "True".to_owned());
    let mut sandbox = caller.create(order).await.unwrap();
    sandbox.shell("echo left > /workspace/file").await;
    let ask = SandboxGetExitSnapshotRequest { sandbox_id: sandbox.sandbox_id.clone(), timeout: 0.0 };
    let answer = caller.control.sandbox_get_exit_snapshot_v2(ask.clone()).await.unwrap().into_inner();
    assert!(matches!(answer.outcome, Some(Outcome::Pending(_))), "{answer:?}");
    caller.fake.clock().advance(Duration::from_secs(3600));
    let ask = SandboxGetExitSnapshotRequest { timeout: 10.0, ..ask };
    let answer = caller.control.sandbox_get_exit_snapshot_v2(ask).await.unwrap().into_inner();
    let Some(Outcome::Success(success)) = answer.outcome else { panic!("{answer:?}") };
    let mut order = caller.order();
    order.definition.as_mut().unwrap().image_id = success.image_id;
    let mut next = caller.create(order).await.unwrap();
    assert_eq!(next.shell("cat /workspace/file").await.0, "left\n");
}
