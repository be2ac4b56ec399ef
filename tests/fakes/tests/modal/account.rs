//! Who may call, and what an account has: apps and secrets.

use crate::caller::{Caller, control, credentials};
use fakes::modal::ModalOptions;
use modal_api::*;
use std::collections::BTreeMap;
use std::time::Duration;
use tonic::Code;

#[tokio::test]
async fn a_caller_without_the_accounts_pair_is_refused() {
    let caller = Caller::start().await;
    let mut wrong = credentials(&caller.fake);
    wrong.insert(metadata::TOKEN_SECRET, "as-wrong".to_owned());
    for metadata in [BTreeMap::new(), wrong] {
        let mut stranger = control(&caller.fake, metadata).await;
        let refused = stranger.auth_token_get(AuthTokenGetRequest {}).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
    }
}

#[tokio::test]
async fn calls_about_sandboxes_need_a_token_that_has_not_expired() {
    let mut caller = Caller::start().await;
    let mut without = control(&caller.fake, credentials(&caller.fake)).await;
    let list = SandboxListRequest { app_id: caller.app_id.clone(), ..SandboxListRequest::default() };
    assert_eq!(without.sandbox_list_v2(list.clone()).await.unwrap_err().code(), Code::Unauthenticated);
    caller.control.sandbox_list_v2(list.clone()).await.unwrap();
    caller.fake.revoke_tokens();
    assert_eq!(caller.control.sandbox_list_v2(list.clone()).await.unwrap_err().code(), Code::Unauthenticated);

    let options = ModalOptions { auth_token_life: Duration::ZERO, ..ModalOptions::default() };
    let mut caller = Caller::start_with(options).await;
    assert_eq!(caller.control.sandbox_list_v2(list).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn the_same_app_is_found_again_and_a_missing_one_is_not_made_by_looking() {
    let mut caller = Caller::start().await;
    let mut app =
        AppGetOrCreateRequest { app_name: "farhand".to_owned(), ..AppGetOrCreateRequest::default() };
    let found = caller.control.app_get_or_create(app.clone()).await.unwrap().into_inner();
    assert_eq!(found.app_id, caller.app_id);
    app.app_name = "other".to_owned();
    assert_eq!(caller.control.app_get_or_create(app.clone()).await.unwrap_err().code(), Code::NotFound);
    app.app_name = "not a name".to_owned();
    assert_eq!(caller.control.app_get_or_create(app).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn secrets_are_stored_by_name_and_their_values_never_come_back() {
    let mut caller = Caller::start().await;
    let store = |kind: ObjectCreationType, value: &str| SecretGetOrCreateRequest {
        deployment_name: "npm".to_owned(),
        object_creation_type: kind.into(),
        env_dict: BTreeMap::from([("NPM_TOKEN".to_owned(), value.to_owned())]),
        ..SecretGetOrCreateRequest::default()
    };
    let find =
        SecretGetOrCreateRequest { deployment_name: "npm".to_owned(), ..SecretGetOrCreateRequest::default() };
    let missing = caller.control.secret_get_or_create(find.clone()).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    let first = store(ObjectCreationType::CreateFailIfExists, "one");
    let made = caller.control.secret_get_or_create(first.clone()).await.unwrap().into_inner();
    assert_eq!(caller.control.secret_get_or_create(first).await.unwrap_err().code(), Code::AlreadyExists);
    let second = store(ObjectCreationType::CreateOverwriteIfExists, "two");
    let again = caller.control.secret_get_or_create(second).await.unwrap().into_inner();
    assert_eq!(
        (again.secret_id, again.metadata.unwrap().keys),
        (made.secret_id.clone(), vec!["NPM_TOKEN".to_owned()])
    );

    let mut order = caller.order();
    let source = secret_source::Source::SecretId(made.secret_id.clone());
    order.secret_sources = vec![SecretSource { source: Some(source) }];
    let mut sandbox = caller.create(order).await.unwrap();
    assert_eq!(sandbox.shell("echo $NPM_TOKEN").await.0, "two\n");

    caller.control.secret_delete(SecretDeleteRequest { secret_id: made.secret_id }).await.unwrap();
    assert_eq!(caller.control.secret_get_or_create(find).await.unwrap_err().code(), Code::NotFound);
}
